//! An activity that is not mocked runs in real time, and the environment's clock stands still meanwhile. But
//! if its body waits for a workflow, time passes, because the workflow may need it.
//!
//! The clock is held again in the wake-up of the body, on the thread that makes the wake-up, like a waiter's
//! (`gate`). A body on its own thread waits on that thread, where its sleep cannot be observed. There each
//! pending wait lets time pass.

use super::gate::Gate;
use crate::activity::blocking::ENTER;
use crate::future::BoxFuture;
use crate::host::GivenUp;
use abide_core::exec::AttemptOutcome;
use std::any::Any;
use std::cell::RefCell;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

tokio::task_local! {
    /// The activity that runs in this task.
    static CURRENT: Arc<Hold>;
}

thread_local! {
    /// The activity whose body blocks this thread.
    static ON_THREAD: RefCell<Option<Arc<Hold>>> = const { RefCell::new(None) };
}

/// Marks the thread as an activity's until this is dropped.
struct OnThread {
    before: Option<Arc<Hold>>,
}

impl OnThread {
    fn enter(hold: &Arc<Hold>) -> Self {
        Self { before: ON_THREAD.replace(Some(Arc::clone(hold))) }
    }
}

impl Drop for OnThread {
    fn drop(&mut self) {
        ON_THREAD.set(self.before.take());
    }
}

/// One running body and its hold on the clock.
pub(super) struct Hold {
    gate: Arc<Gate>,
    name: &'static str,
    /// The number of its hold in the gate, while it holds. Changed under the gate's lock.
    held: Mutex<Held>,
    /// How many waits for the engine are pending in the body.
    waits: AtomicUsize,
}

#[derive(Clone, Copy)]
enum Held {
    No,
    Yes(u64),
    /// The body has ended.
    Over,
}

impl Hold {
    /// Holds the clock (`Some(true)`) or releases it (`Some(false)`), as `decide` returns.
    fn change(&self, decide: impl FnOnce(&Self) -> Option<bool>) {
        self.gate.change(|state| {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            match (decide(self), *held) {
                (Some(false), Held::Yes(number)) => {
                    state.let_go(number);
                    *held = Held::No;
                }
                (Some(true), Held::No) => *held = Held::Yes(state.hold(self.name)),
                _ => {}
            }
        });
    }

    fn take(&self) {
        self.gate.change(|state| {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            if matches!(*held, Held::No) {
                *held = Held::Yes(state.hold(self.name));
            }
        });
    }

    /// Releases the clock, unless `unless` returns true at that moment.
    fn release(&self, after: Held, unless: impl FnOnce() -> bool) {
        self.gate.change(|state| {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            if unless() {
                return;
            }
            if let Held::Yes(number) = *held {
                state.let_go(number);
            }
            if !matches!(*held, Held::Over) {
                *held = after;
            }
        });
    }
}

/// Ends a hold when it is dropped.
pub(super) struct Holding(Arc<Hold>);

impl Drop for Holding {
    fn drop(&mut self) {
        self.0.release(Held::Over, || false);
    }
}

impl Holding {
    /// Time stands still until this is dropped, or the body waits.
    pub(super) fn new(gate: &Arc<Gate>, name: &'static str) -> Self {
        let hold = Hold { gate: Arc::clone(gate), name, held: Mutex::new(Held::No), waits: 0.into() };
        hold.take();
        Self(Arc::new(hold))
    }

    /// Wraps the body, so that time passes while it waits.
    pub(super) fn around(
        &self,
        body: BoxFuture<'static, AttemptOutcome>,
    ) -> BoxFuture<'static, AttemptOutcome> {
        let hold = Arc::clone(&self.0);
        let on_thread = Arc::clone(&self.0);
        let enter: Arc<dyn Fn() -> Box<dyn Any> + Send + Sync> =
            Arc::new(move || Box::new(OnThread::enter(&on_thread)));
        let body = Box::pin(CURRENT.scope(Arc::clone(&hold), ENTER.scope(enter, body)));
        Box::pin(Body { hold, body })
    }
}

/// Wraps a wait for the engine, so that a wait in an activity's body is noticed.
pub(super) fn noted<'a>(wait: BoxFuture<'a, Result<(), GivenUp>>) -> BoxFuture<'a, Result<(), GivenUp>> {
    if let Ok(hold) = CURRENT.try_with(Arc::clone) {
        return Box::pin(Wait { hold, counted: false, wait });
    }
    match ON_THREAD.with_borrow(Clone::clone) {
        Some(hold) => Box::pin(ThreadWait { parked: Arc::new(Parked::new(hold)), wait }),
        None => wait,
    }
}

/// A wait on the thread of a blocking body.
struct ThreadWait<'a> {
    parked: Arc<Parked>,
    wait: BoxFuture<'a, Result<(), GivenUp>>,
}

struct Parked {
    hold: Arc<Hold>,
    /// The wait is pending and was not woken, and counts as one of the hold's waits. Changed under the gate's
    /// lock.
    counted: AtomicBool,
    woken: AtomicBool,
}

impl Parked {
    fn new(hold: Arc<Hold>) -> Self {
        Self { hold, counted: false.into(), woken: false.into() }
    }

    /// Counts the wait as pending, if nothing has woken it since the poll.
    fn wait(&self) {
        self.hold.change(|hold| {
            if self.woken.load(Ordering::Acquire) {
                return Some(true);
            }
            if !self.counted.swap(true, Ordering::AcqRel) {
                hold.waits.fetch_add(1, Ordering::AcqRel);
            }
            Some(false)
        });
    }

    /// What the wait waited for has come: time stands still before the body sees it.
    fn wake(&self) {
        self.hold.change(|_| {
            self.woken.store(true, Ordering::Release);
            self.uncount().then_some(true)
        });
    }

    /// The wait has ended. Other waits of the same body may still be pending: the thread may sleep on them
    /// without another poll.
    fn end(&self) {
        self.hold.change(|hold| {
            self.uncount();
            Some(hold.waits.load(Ordering::Acquire) == 0)
        });
    }

    /// Returns whether it was counted.
    fn uncount(&self) -> bool {
        let counted = self.counted.swap(false, Ordering::AcqRel);
        if counted {
            self.hold.waits.fetch_sub(1, Ordering::AcqRel);
        }
        counted
    }
}

impl Future for ThreadWait<'_> {
    type Output = Result<(), GivenUp>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let parked = Arc::clone(&self.parked);
        parked.woken.store(false, Ordering::Release);
        let waker =
            Waker::from(Arc::new(Unparking { parked: Arc::clone(&parked), outer: cx.waker().clone() }));
        let poll = self.wait.as_mut().poll(&mut Context::from_waker(&waker));
        match poll {
            Poll::Pending => parked.wait(),
            Poll::Ready(_) => parked.end(),
        }
        poll
    }
}

impl Drop for ThreadWait<'_> {
    fn drop(&mut self) {
        self.parked.end();
    }
}

/// Stops the clock before it wakes the thread.
struct Unparking {
    parked: Arc<Parked>,
    outer: Waker,
}

impl Wake for Unparking {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.parked.wake();
        self.outer.wake_by_ref();
    }
}

struct Wait<'a> {
    hold: Arc<Hold>,
    counted: bool,
    wait: BoxFuture<'a, Result<(), GivenUp>>,
}

impl Wait<'_> {
    fn count(&mut self, pending: bool) {
        match (std::mem::replace(&mut self.counted, pending), pending) {
            (false, true) => _ = self.hold.waits.fetch_add(1, Ordering::AcqRel),
            (true, false) => _ = self.hold.waits.fetch_sub(1, Ordering::AcqRel),
            _ => {}
        }
    }
}

impl Future for Wait<'_> {
    type Output = Result<(), GivenUp>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let poll = self.wait.as_mut().poll(cx);
        self.count(poll.is_pending());
        poll
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.count(false);
    }
}

struct Body {
    hold: Arc<Hold>,
    body: BoxFuture<'static, AttemptOutcome>,
}

impl Future for Body {
    type Output = AttemptOutcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<AttemptOutcome> {
        let hold = Arc::clone(&self.hold);
        let woken = Arc::new(Woken { hold, woken: AtomicBool::new(false), outer: cx.waker().clone() });
        let waker = Waker::from(Arc::clone(&woken));
        self.hold.take();
        let poll = self.body.as_mut().poll(&mut Context::from_waker(&waker));
        if poll.is_pending() && self.hold.waits.load(Ordering::Acquire) > 0 {
            self.hold.release(Held::No, || woken.woken.load(Ordering::Acquire));
        }
        poll
    }
}

/// Stops the clock before it wakes the body.
struct Woken {
    hold: Arc<Hold>,
    woken: AtomicBool,
    outer: Waker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.hold.take();
        self.outer.wake_by_ref();
    }
}
