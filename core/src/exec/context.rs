//! The state that an execution's futures share with its executor: the *context*. A thread-local holds it
//! while a task of the execution is polled.
//!
//! Who may touch what: futures of [`crate::flow`] register commands and waits here during a poll. The
//! executor (`exec/mod.rs`) delivers inputs and takes commands between polls. Everything is on one thread, so
//! cells suffice. No cell may be borrowed while user code runs.

use super::activities::Activities;
use super::cancel::Cancellation;
use super::halt::{Halt, Suspension};
use super::history::History;
use super::saga::Compensations;
use super::tasks::Spawned;
use super::timers::Timers;
use super::waker::{Frame, Strict};
use crate::flow::random::Rng;
use crate::guard::Site;
use crate::ids::EventId;
use crate::spans::Tracing;
use crate::state::Slot;
use crate::{Event, flow::info::Info};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Waker};

thread_local! {
    static CURRENT: RefCell<Option<Rc<Context>>> = const { RefCell::new(None) };
}

/// The context of the execution being polled on this thread.
pub(crate) fn current() -> Option<Rc<Context>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Returns the context, for calls that are valid only in a workflow.
///
/// # Panics
/// Outside of a workflow, with `AB0210`: no value can be returned.
pub(crate) fn expect(what: &str) -> Rc<Context> {
    current().unwrap_or_else(|| outside(what))
}

/// Panics for a workflow call made outside of a workflow.
pub(crate) fn outside(what: &str) -> ! {
    panic!("AB0210: {what} was used outside of a workflow: it works in functions marked `#[workflow]` only")
}

/// Panics when a future is polled after it returned its value, as `async` blocks and tokio's futures do.
///
/// # Panics
/// Always: the execution is suspended with `AB0218`.
#[cold]
pub(crate) fn polled_again(what: &str) -> ! {
    panic!(
        "AB0218: {what} was awaited again after it had ended, and its value is gone. Keep the value, or leave the future \
         out of the next round: `_ = &mut future, if !done => ..`"
    )
}

/// Panics if a query is running: a query must not do this. See [`Context::refuse_in_query`].
pub(crate) fn refuse_in_query(did: std::fmt::Arguments<'_>) {
    if let Some(ctx) = current() {
        ctx.refuse_in_query(did);
    }
}

/// Whether the execution being polled is halted. Its futures stay pending until it is dropped.
pub(crate) fn is_halted() -> bool {
    current().is_some_and(|ctx| ctx.halted())
}

/// Resets the current context when dropped; see [`enter`].
pub(crate) struct Entered(Option<Rc<Context>>);

pub(crate) fn enter(context: &Rc<Context>) -> Entered {
    context.bodies.borrow_mut().clear();
    Entered(CURRENT.replace(Some(Rc::clone(context))))
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// The place of the last polled await. Other threads can read it, to report a turn that takes long.
#[derive(Clone, Default)]
pub struct Position(Arc<Mutex<Option<&'static Site>>>);

impl Position {
    fn set(&self, site: &'static Site) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(site);
    }

    /// The place; `None` before the first await.
    pub fn get(&self) -> Option<&'static Site> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The context; see the head of this module. rustc prints the name where an activity, or code outside of
/// workflows, awaits something that holds a context: "the trait `Send` is not implemented for `Rc<..>`".
#[allow(non_camel_case_types)]
pub(crate) struct only_workflows_await_this_see_ab0316 {
    pub(crate) info: RefCell<Info>,
    pub(crate) now_ms: Cell<i64>,
    pub(crate) history: RefCell<History>,
    pub(crate) activities: RefCell<Activities>,
    pub(crate) timers: RefCell<Timers>,
    pub(crate) spawned: RefCell<Vec<Spawned>>,
    pub(crate) compensations: RefCell<Compensations>,
    pub(crate) cancellation: RefCell<Cancellation>,
    pub(crate) rng: RefCell<Rng>,
    pub(crate) halt: RefCell<Option<Halt>>,
    /// The rules that the run began with; see [`crate::RULES`]. 0 before the start.
    pub(crate) rules: Cell<u32>,
    pub(crate) tracing: Tracing,
    /// The task being polled.
    pub(crate) task: Cell<usize>,
    /// The live state is being dropped, but the workflow did not drop its futures. Drops emit nothing
    /// (PROTOCOL 17).
    pub(crate) evicting: Cell<bool>,
    /// A query is running, so nothing may be scheduled.
    pub(crate) read_only: Cell<bool>,
    slot: RefCell<Option<Box<dyn Any>>>,
    position: Position,
    knows: Rc<dyn Fn(&str) -> bool>,
    next_task: Cell<usize>,
    waits: Cell<u64>,
    progress: Cell<u64>,
    /// How often `workflow::now()` was called.
    pub(crate) clock_looks: Cell<u64>,
    state_waiters: RefCell<Vec<StateWaiter>>,
    bodies: RefCell<Vec<Frame>>,
}

pub(crate) use only_workflows_await_this_see_ab0316 as Context;

/// A body that waits for the workflow's state to change.
struct StateWaiter {
    waker: Waker,
    site: Option<&'static Site>,
    is_timeless: bool,
}

/// The values that [`Context::check_wait`] compares with.
pub(crate) struct Before {
    waits: u64,
    holders: usize,
}

impl Context {
    pub(crate) fn new(info: Info, knows: Rc<dyn Fn(&str) -> bool>) -> Rc<Self> {
        Rc::new(Self {
            info: RefCell::new(info),
            now_ms: Cell::new(0),
            history: RefCell::default(),
            activities: RefCell::default(),
            timers: RefCell::default(),
            spawned: RefCell::default(),
            compensations: RefCell::default(),
            cancellation: RefCell::default(),
            rng: RefCell::default(),
            halt: RefCell::default(),
            rules: Cell::new(0),
            tracing: Tracing::default(),
            task: Cell::new(0),
            evicting: Cell::new(false),
            read_only: Cell::new(false),
            slot: RefCell::default(),
            position: Position::default(),
            knows,
            next_task: Cell::new(0),
            waits: Cell::new(0),
            progress: Cell::new(0),
            clock_looks: Cell::new(0),
            state_waiters: RefCell::default(),
            bodies: RefCell::default(),
        })
    }

    pub(crate) fn set_slot(&self, slot: Box<dyn Any>) {
        *self.slot.borrow_mut() = Some(slot);
    }

    pub(crate) fn take_slot(&self) -> Option<Box<dyn Any>> {
        self.slot.take()
    }

    pub(crate) fn slot<S: 'static>(&self) -> Option<Slot<S>> {
        self.slot.borrow().as_ref()?.downcast_ref::<Slot<S>>().cloned()
    }

    // Commands.

    /// Numbers a command, and compares it with the recorded event of that number if there is one. `None`:
    /// they differ, so the execution is halted and the caller stays pending.
    pub(crate) fn command(
        &self,
        event: Event,
        same_input: &dyn Fn(&Event) -> bool,
    ) -> Option<(EventId, Event)> {
        if self.halted() {
            return None;
        }
        self.refuse_in_query(format_args!("scheduled something"));
        self.history.borrow_mut().note(&event, || self.site());
        let result = self.history.borrow_mut().command(event, same_input);
        match result {
            Ok(numbered) => Some(numbered),
            Err(mismatch) => {
                self.halt(Halt::suspend(mismatch.into_suspension(self.site())));
                None
            }
        }
    }

    /// Panics if a query is running: a query must not do this.
    ///
    /// # Panics
    /// In a query. Its answer is then `AB0409` with this text. The execution itself is not affected.
    pub(crate) fn refuse_in_query(&self, did: std::fmt::Arguments<'_>) {
        assert!(!self.read_only.get(), "a query handler {did}: queries can only read the state");
    }

    /// Whether calls refuse what the rules from 1 on forbid. An older run keeps its behaviour.
    pub(crate) fn is_strict(&self) -> bool {
        self.rules.get() >= 1
    }

    pub(crate) fn halt(&self, halt: Halt) {
        self.halt.borrow_mut().get_or_insert(halt);
    }

    pub(crate) fn suspend(&self, suspension: Suspension) {
        self.halt(Halt::suspend(suspension));
    }

    pub(crate) fn halted(&self) -> bool {
        self.halt.borrow().is_some()
    }

    // Waits and wakers.

    /// Returns the waker that an engine future must register. If `cx` has the strict waker, that is the outer
    /// waker of the body; if not, it is the waker of `cx`, which belongs to a combinator. Counts as a wait.
    pub(crate) fn register(&self, cx: &TaskContext<'_>) -> Waker {
        self.note_wait();
        self.outer_waker(cx)
    }

    pub(crate) fn outer_waker(&self, cx: &TaskContext<'_>) -> Waker {
        match self.bodies.borrow().last() {
            Some(frame) if frame.is_strict(cx.waker()) => frame.outer.clone(),
            _ => cx.waker().clone(),
        }
    }

    pub(crate) fn note_wait(&self) {
        self.waits.set(self.waits.get() + 1);
    }

    pub(crate) fn waits(&self, cx: &TaskContext<'_>) -> Before {
        Before { waits: self.waits.get(), holders: self.holders(cx) }
    }

    /// Checks a guarded await that stayed pending: an engine future must have registered a wait, and no
    /// future may have kept the strict waker.
    pub(crate) fn check_wait(&self, cx: &TaskContext<'_>, before: Before, site: &'static Site) {
        let foreign = self.holders(cx) > before.holders;
        let stuck = self.waits.get() == before.waits;
        if (foreign || stuck) && !self.halted() {
            self.suspend(Suspension::foreign_await(site));
        }
    }

    fn holders(&self, cx: &TaskContext<'_>) -> usize {
        match self.bodies.borrow().last() {
            Some(frame) if frame.is_strict(cx.waker()) => frame.holders(),
            _ => 0,
        }
    }

    pub(crate) fn enter_body(&self, strict: &Strict, cx: &TaskContext<'_>) -> BodyEntered<'_> {
        let outer = self.outer_waker(cx);
        self.bodies.borrow_mut().push(strict.frame(outer));
        BodyEntered(self)
    }

    // Workflow state.

    /// A body made progress or a handler ran, so conditions may have changed.
    pub(crate) fn note_progress(&self) {
        self.progress.set(self.progress.get() + 1);
    }

    /// Waits for a change of the workflow's state. `is_timeless`: a handler may change the condition, and not
    /// only the clock.
    pub(crate) fn wait_for_state(&self, cx: &TaskContext<'_>, is_timeless: bool) {
        let waker = self.register(cx);
        let mut waiters = self.state_waiters.borrow_mut();
        match waiters.iter_mut().find(|waiter| waiter.waker.will_wake(&waker)) {
            Some(waiter) => waiter.is_timeless |= is_timeless,
            None => waiters.push(StateWaiter { waker, site: self.site(), is_timeless }),
        }
    }

    /// Wakes all waiters for the state if it may have changed since `seen`. Returns the new mark.
    pub(crate) fn wake_state_waiters(&self, seen: u64) -> u64 {
        if self.progress.get() != seen {
            for waiter in self.state_waiters.take() {
                waiter.waker.wake();
            }
        }
        self.progress.get()
    }

    pub(crate) fn state_waiter_sites(&self) -> Vec<&'static Site> {
        self.state_waiters.borrow().iter().filter_map(|waiter| waiter.site).collect()
    }

    pub(crate) fn has_state_waiters(&self) -> bool {
        !self.state_waiters.borrow().is_empty()
    }

    /// Whether a body waits for a condition that a handler may change.
    pub(crate) fn waits_for_handlers(&self) -> bool {
        self.state_waiters.borrow().iter().any(|waiter| waiter.is_timeless)
    }

    /// Reserves the id of a new task. Ids are never reused, so that a late wake has no effect.
    pub(crate) fn reserve_task(&self) -> usize {
        self.next_task.replace(self.next_task.get() + 1)
    }

    // Position.

    pub(crate) fn enter_site(&self, site: &'static Site) {
        self.position.set(site);
    }

    pub(crate) fn site(&self) -> Option<&'static Site> {
        self.position.get()
    }

    pub(crate) fn position(&self) -> Position {
        self.position.clone()
    }

    /// Whether this worker can run the activity.
    pub(crate) fn knows_activity(&self, name: &str) -> bool {
        (self.knows)(name)
    }
}

/// Marks a body as being polled until it is dropped.
pub(crate) struct BodyEntered<'a>(&'a Context);

impl Drop for BodyEntered<'_> {
    fn drop(&mut self) {
        self.0.bodies.borrow_mut().pop();
    }
}
