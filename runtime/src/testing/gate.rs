//! Who lets time pass: the clock of a test's process stands still but while somebody waits for something.
//!
//! tokio's paused clock jumps to the next timer whenever nothing else can run, unless a blocking task runs. That task is
//! what stops it here. Time stops at the very wake-up that a waiter waited for, on the thread that wakes it: else the
//! clock would have jumped on before the test, on its own thread, has seen what happened.

use crate::hub::BoxFuture;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// See the module's head.
pub(super) struct Gate {
    runtime: Handle,
    state: Mutex<State>,
    /// Time has reached its end: there is nothing left that could happen.
    stuck: AtomicBool,
    news: Notify,
}

#[derive(Default)]
struct State {
    /// Who waits for something that the engine does.
    waiting: usize,
    /// What runs in real time and must find its limits where it left them: activities that are not mocked.
    holding: usize,
    /// Ends the blocking task that stops the clock.
    stopper: Option<Sender<()>>,
    /// The process is about to end: the clock is not stopped any more.
    shut: bool,
}

impl Gate {
    /// A gate before the clock of this runtime, which must be a paused one. Time stands still.
    pub(super) fn new(runtime: Handle) -> Arc<Self> {
        let gate =
            Self { runtime, state: Mutex::default(), stuck: AtomicBool::new(false), news: Notify::new() };
        gate.change(|_| {});
        Arc::new(gate)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let passes = state.shut || state.waiting > 0 && state.holding == 0;
        if passes {
            state.stopper = None;
        } else if state.stopper.is_none() {
            let (stopper, stopped) = channel::<()>();
            // Counted by the clock as soon as it is spawned.
            // It ends when the stopper is dropped.
            self.runtime.spawn_blocking(move || stopped.recv().is_ok());
            state.stopper = Some(stopper);
        }
    }

    /// Lets time pass while the future waits. `None`: time has come to its end.
    pub(super) async fn wait(self: Arc<Self>, future: BoxFuture<'_, ()>) -> Option<()> {
        let mut end = pin!(self.end());
        let mut waiting =
            Waiting { pass: Arc::new(Pass { gate: Arc::clone(&self), open: false.into() }), future };
        tokio::select! {
            biased;
            () = &mut waiting => Some(()),
            () = &mut end => None,
        }
    }

    async fn end(&self) {
        loop {
            let mut news = pin!(self.news.notified());
            news.as_mut().enable();
            if self.stuck.load(Ordering::Acquire) {
                return;
            }
            news.await;
        }
    }

    /// The clock has jumped to its end: whoever waits is told.
    pub(super) fn nothing_is_left(&self) {
        self.stuck.store(true, Ordering::Release);
        self.news.notify_waiters();
    }

    /// Time stands still until the guard is dropped.
    pub(super) fn hold(self: &Arc<Self>) -> Hold {
        self.change(|state| state.holding += 1);
        Hold(Arc::clone(self))
    }

    /// Never stops the clock again, so that its runtime can end.
    pub(super) fn shut(&self) {
        self.change(|state| state.shut = true);
    }
}

/// See [`Gate::hold`].
pub(super) struct Hold(Arc<Gate>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.change(|state| state.holding -= 1);
    }
}

/// One waiter's part in letting time pass.
struct Pass {
    gate: Arc<Gate>,
    /// Changed under the gate's lock.
    open: AtomicBool,
}

impl Pass {
    /// Unless what it waits for has come since the poll that found nothing.
    fn open(&self, woken: &Woken) {
        self.gate.change(|state| {
            if !woken.woken.load(Ordering::Acquire) && !self.open.swap(true, Ordering::AcqRel) {
                state.waiting += 1;
            }
        });
    }

    fn close(&self) {
        self.gate.change(|state| {
            if self.open.swap(false, Ordering::AcqRel) {
                state.waiting -= 1;
            }
        });
    }
}

/// A future during whose waits time passes.
struct Waiting<'a> {
    pass: Arc<Pass>,
    future: BoxFuture<'a, ()>,
}

impl Future for Waiting<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let pass = Arc::clone(&self.pass);
        let woken = Arc::new(Woken { pass, woken: AtomicBool::new(false), outer: cx.waker().clone() });
        let waker = Waker::from(Arc::clone(&woken));
        let poll = self.future.as_mut().poll(&mut Context::from_waker(&waker));
        // Not before the poll: what it waits for may be there already, and the clock must not have gone on since.
        match poll {
            Poll::Ready(()) => self.pass.close(),
            Poll::Pending => self.pass.open(&woken),
        }
        poll
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.pass.close();
    }
}

/// Stops the clock before it wakes the waiter.
struct Woken {
    pass: Arc<Pass>,
    woken: AtomicBool,
    outer: Waker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.pass.close();
        self.outer.wake_by_ref();
    }
}
