//! An activity that is not mocked runs in real time, and the environment's clock stands still meanwhile: unless its body
//! itself waits for a workflow, which may need that time to pass.
//!
//! The clock is held again at the very wake-up of the body, on the thread that wakes it, like a waiter's (`gate`).

use super::gate::Gate;
use crate::host::GivenUp;
use crate::hub::BoxFuture;
use abide_core::exec::AttemptOutcome;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

tokio::task_local! {
    /// The activity that runs in this task.
    static CURRENT: Arc<Hold>;
}

/// One running body and its hold on the clock.
pub(super) struct Hold {
    gate: Arc<Gate>,
    name: &'static str,
    /// The gate's number of it while it holds. Changed under the gate's lock.
    held: Mutex<Held>,
    /// How many waits for the engine are under way in the body.
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
    fn take(&self) {
        self.gate.change(|state| {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            if matches!(*held, Held::No) {
                *held = Held::Yes(state.hold(self.name));
            }
        });
    }

    /// Lets go of the clock if `unless` does not say otherwise by then.
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

    /// The body, which lets time pass where it waits.
    pub(super) fn around(
        &self,
        body: BoxFuture<'static, AttemptOutcome>,
    ) -> BoxFuture<'static, AttemptOutcome> {
        let hold = Arc::clone(&self.0);
        let body = Box::pin(CURRENT.scope(Arc::clone(&hold), body));
        Box::pin(Body { hold, body })
    }
}

/// A wait for the engine: where the body of an activity asks for it, it is seen.
pub(super) fn noted<'a>(wait: BoxFuture<'a, Result<(), GivenUp>>) -> BoxFuture<'a, Result<(), GivenUp>> {
    match CURRENT.try_with(Arc::clone) {
        Ok(hold) => Box::pin(Wait { hold, counted: false, wait }),
        Err(_) => wait,
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
