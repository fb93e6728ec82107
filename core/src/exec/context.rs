//! The state that an execution's futures share with its executor: the *context*. A thread-local holds it
//! while a task of the execution is polled.
//!
//! Who may touch what, and when:
//!
//! - Workflow code runs only inside a poll, a handler or a drop. It reaches the context through [`expect`].
//! - The futures of [`crate::primitive`] and [`crate::flow`] call the context's verbs during a poll or a drop:
//!   [`issue`](Context::issue) a command, [`draft`](Context::draft) an effect of it, [`register`](Context::register) a
//!   waker, [`wait_for_state`](Context::wait_for_state), [`spawn`](Context::spawn) a task,
//!   [`suspend`](Context::suspend). A room of `primitive` also changes its own table in [`Context::tables`].
//! - The executor (the other modules of `exec`) delivers inputs and polls tasks. It owns the history, the draft of the
//!   turn and the halt: only it records inputs, and only it takes or drops what a turn has produced.
//! - Everything is on one thread, so cells suffice. No cell may be borrowed while user code runs.

use super::bodies::Bodies;
use super::command::{Command, Issued};
use super::draft::{Mark, TurnDraft};
use super::history::{History, Replayed};
use super::info::Info;
use super::spawned::{Spawned, TaskKind};
use super::suspension::Suspension;
use super::waker::TaskId;
use super::watch::StateWatch;
use crate::child::ChildIds;
use crate::code::Code;
use crate::event::Event;
use crate::future::LocalBoxFuture;
use crate::ids::EventId;
use crate::primitive::tables::Tables;
use crate::site::Site;
use crate::spans::Tracing;
use crate::start_context::StartContext;
use std::any::Any;
use std::cell::{Cell, RefCell, RefMut};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
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
    panic!(
        "{}: {what} was used outside of a workflow: it works in functions marked `#[workflow]` \
            only",
        Code::OutsideWorkflow
    )
}

/// Panics when a future is polled after it returned its value, as `async` blocks and tokio's futures do.
///
/// # Panics
/// Always: the execution is suspended with `AB0218`.
#[cold]
pub(crate) fn polled_again(what: &str) -> ! {
    panic!(
        "{}: {what} was awaited again after it had ended, and its value is gone. Keep the value, or leave the future \
         out of the next round: `_ = &mut future, if !done => ..`",
        Code::AwaitedAgain
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
pub(crate) struct Entered {
    outer: Option<Rc<Context>>,
    _rules: crate::rules::Entered,
}

pub(crate) fn enter(context: &Rc<Context>) -> Entered {
    context.bodies.clear();
    let rules = crate::rules::enter(context.rules.get());
    Entered { outer: CURRENT.replace(Some(Rc::clone(context))), _rules: rules }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.outer.take());
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
    /// What each primitive remembers.
    pub(crate) tables: Tables,
    pub(crate) bodies: Bodies,
    pub(crate) watch: StateWatch,
    pub(super) history: RefCell<History>,
    pub(super) draft: RefCell<TurnDraft>,
    /// Why the executor has stopped. It stays stopped until the execution is loaded again.
    pub(super) halt: RefCell<Option<Suspension>>,
    pub(super) info: RefCell<Info>,
    pub(super) now_ms: Cell<i64>,
    /// The rules that the run began with; see [`crate::RULES`]. 0 before the start.
    pub(super) rules: Cell<u32>,
    pub(super) tracing: Tracing,
    /// Tasks that the executor has not added yet.
    pub(super) spawned: RefCell<Vec<Spawned>>,
    /// The task being polled.
    pub(super) task: Cell<TaskId>,
    /// The handlers that have not ended.
    handlers: RefCell<BTreeSet<TaskId>>,
    /// The live state is being dropped, but the workflow did not drop its futures. Drops emit nothing
    /// (PROTOCOL 17).
    pub(super) evicting: Cell<bool>,
    /// A query is running, so nothing may be scheduled.
    pub(crate) read_only: Cell<bool>,
    slot: RefCell<Option<Box<dyn Any>>>,
    position: Position,
    /// No other execution of this process has it: futures that are `Send` keep it instead of the context.
    pub(crate) id: u64,
    pub(super) lent: RefCell<Option<Rc<dyn Fn() -> ChildIds>>>,
    knows: Rc<dyn Fn(&str) -> bool>,
    next_task: Cell<TaskId>,
    clock_looks: Cell<u64>,
}

pub(crate) use only_workflows_await_this_see_ab0316 as Context;

impl Context {
    pub(super) fn new(info: Info, knows: Rc<dyn Fn(&str) -> bool>) -> Rc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Rc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            lent: RefCell::default(),
            tables: Tables::default(),
            bodies: Bodies::default(),
            watch: StateWatch::default(),
            history: RefCell::default(),
            draft: RefCell::default(),
            halt: RefCell::default(),
            info: RefCell::new(info),
            now_ms: Cell::new(0),
            rules: Cell::new(0),
            tracing: Tracing::default(),
            spawned: RefCell::default(),
            task: Cell::new(0),
            handlers: RefCell::default(),
            evicting: Cell::new(false),
            read_only: Cell::new(false),
            slot: RefCell::default(),
            position: Position::default(),
            knows,
            next_task: Cell::new(0),
            clock_looks: Cell::new(0),
        })
    }

    // Commands.

    /// Numbers a command. On replay, compares it with the recorded event of that number, which decides. `None`: they
    /// differ, so the execution is halted and the caller stays pending.
    pub(crate) fn issue<C: Command>(&self, mut command: C) -> Option<Issued<C>> {
        if self.halted() {
            return None;
        }
        self.refuse_in_query(format_args!("scheduled something"));
        let mut history = self.history.borrow_mut();
        history.note(|| command.event(), || self.site());
        let (id, live) = match history.replay_command(&command) {
            Replayed::Beyond => {
                let event = command.event();
                let id = history.add(&event);
                self.draft.borrow_mut().events.push(event);
                (id, true)
            }
            Replayed::Same(id, recorded) => {
                command.adopt(recorded);
                (id, false)
            }
            Replayed::Differs(mismatch) => {
                drop(history);
                self.suspend(mismatch.into_suspension(self.site()));
                return None;
            }
        };
        Some(Issued { id, command, live })
    }

    /// The draft of the turn, for the effects of a live command or input.
    pub(crate) fn draft(&self) -> RefMut<'_, TurnDraft> {
        self.draft.borrow_mut()
    }

    /// Whether a future that is dropped now was given up by the workflow, and must emit its cancellation.
    pub(crate) fn is_given_up(&self) -> bool {
        !self.evicting.get() && !self.halted()
    }

    /// Panics if a query is running: a query must not do this.
    ///
    /// # Panics
    /// In a query. Its answer is then `AB0409` with this text. The execution itself is not affected.
    pub(crate) fn refuse_in_query(&self, did: std::fmt::Arguments<'_>) {
        assert!(!self.read_only.get(), "a query handler {did}: queries can only read the state");
    }

    /// Stops the executor: the execution cannot go on. The first reason counts.
    pub(crate) fn suspend(&self, reason: Suspension) {
        self.halt.borrow_mut().get_or_insert(reason);
    }

    pub(crate) fn halted(&self) -> bool {
        self.halt.borrow().is_some()
    }

    // The turn. For the executor only.

    /// Records an input.
    pub(crate) fn record(&self, event: Event) -> EventId {
        debug_assert!(!event.is_command());
        let id = self.history.borrow_mut().add(&event);
        self.draft.borrow_mut().events.push(event);
        id
    }

    /// Drops what the turn has produced since that point.
    pub(crate) fn rollback(&self, to: Mark) {
        let dropped = self.draft.borrow_mut().rollback(to);
        self.history.borrow_mut().remove(&dropped);
    }

    pub(crate) fn history_len(&self) -> u64 {
        self.history.borrow().len()
    }

    /// The last event in the journal. Commands after it have had no effect yet.
    pub(crate) fn written(&self) -> EventId {
        EventId(self.history.borrow().len() - self.draft.borrow().events.len() as u64)
    }

    // Waits and tasks.

    /// Returns the waker that an engine future must register. Counts as a wait.
    pub(crate) fn register(&self, cx: &TaskContext<'_>) -> Waker {
        self.bodies.note_wait();
        self.bodies.outer_waker(cx)
    }

    /// Waits for a change of the workflow's state. `is_timeless`: a handler may change the condition, and not
    /// only the clock.
    pub(crate) fn wait_for_state(&self, cx: &TaskContext<'_>, is_timeless: bool) {
        self.watch.add(self.register(cx), self.site(), is_timeless);
    }

    /// Adds a task. It is polled first after the current poll.
    pub(crate) fn spawn(&self, kind: TaskKind, future: LocalBoxFuture<()>) {
        let spawned = self.reserve(kind, future);
        self.spawned.borrow_mut().push(spawned);
    }

    /// Gives a task its id. Ids are never reused, so that a late wake has no effect.
    pub(super) fn reserve(&self, kind: TaskKind, future: LocalBoxFuture<()>) -> Spawned {
        let id = self.next_task.replace(self.next_task.get() + 1);
        if kind.is_handler() {
            self.handlers.borrow_mut().insert(id);
        }
        Spawned { id, kind, future }
    }

    /// A task is gone.
    pub(super) fn forget_task(&self, id: TaskId) {
        self.handlers.borrow_mut().remove(&id);
        self.tables.cancellation.borrow_mut().forget(id);
    }

    /// Whether a handler is under way that is not the task being polled.
    pub(crate) fn has_other_handlers(&self) -> bool {
        self.handlers.borrow().iter().any(|handler| *handler != self.task.get())
    }

    /// The task being polled.
    pub(crate) fn task(&self) -> TaskId {
        self.task.get()
    }

    // Facts.

    /// The time of the turn.
    pub(crate) fn now_ms(&self) -> i64 {
        self.now_ms.get()
    }

    /// The time of the turn, for workflow code.
    pub(crate) fn look_at_clock(&self) -> i64 {
        self.clock_looks.set(self.clock_looks.get() + 1);
        self.now_ms.get()
    }

    /// How often workflow code has asked for the time.
    pub(crate) fn clock_looks(&self) -> u64 {
        self.clock_looks.get()
    }

    /// The run begins now.
    pub(super) fn begins(&self, context: StartContext) {
        self.info.borrow_mut().begins(context, self.now_ms());
    }

    pub(crate) fn info(&self) -> Info {
        let history = self.history.borrow();
        let (history_len, is_replaying) = (history.len(), history.is_replaying());
        let (history_bytes, updates) = (history.bytes() as u64, self.tables.updates.borrow().len());
        Info { history_len, history_bytes, updates, is_replaying, ..self.info.borrow().clone() }
    }

    /// Whether the next command is compared with a recorded one.
    pub(crate) fn is_replaying(&self) -> bool {
        self.history.borrow().is_replaying()
    }

    /// Whether calls refuse what the rules from 1 on forbid. An older run keeps its behaviour.
    pub(crate) fn is_strict(&self) -> bool {
        self.rules.get() >= 1
    }

    /// The ids of a new child.
    pub(crate) fn lent_ids(&self) -> ChildIds {
        self.lent.borrow().as_ref().map_or_else(ChildIds::none, |lend| lend())
    }

    /// Whether this worker can run the activity.
    pub(crate) fn knows_activity(&self, name: &str) -> bool {
        (self.knows)(name)
    }

    // The state and the position of the code.

    pub(super) fn set_slot(&self, slot: Box<dyn Any>) {
        *self.slot.borrow_mut() = Some(slot);
    }

    pub(super) fn take_slot(&self) -> Option<Box<dyn Any>> {
        self.slot.take()
    }

    pub(crate) fn slot<Slot: Clone + 'static>(&self) -> Option<Slot> {
        self.slot.borrow().as_ref()?.downcast_ref::<Slot>().cloned()
    }

    pub(crate) fn enter_site(&self, site: &'static Site) {
        self.position.set(site);
    }

    pub(crate) fn site(&self) -> Option<&'static Site> {
        self.position.get()
    }

    pub(super) fn position(&self) -> Position {
        self.position.clone()
    }
}
