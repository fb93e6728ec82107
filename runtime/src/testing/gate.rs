//! Decides when time passes: the clock of a test's process stands still except while a caller waits.
//!
//! tokio's paused clock jumps to the next timer whenever nothing else can run, except while a blocking task
//! runs. Here such a task stops the clock. The clock must stop in the wake-up that a waiter waited for, on
//! the thread that makes the wake-up. Otherwise the clock would jump on before the test, on its own thread,
//! has seen what happened.

use crate::future::BoxFuture;
use crate::host::{Endless, GivenUp, Standstill};
use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// If time stands still for this long (wall clock) while a caller waits for it to pass, a message goes to
/// stderr.
const TOLD_AFTER: Duration = Duration::from_secs(10);

/// See the module documentation.
pub(super) struct Gate {
    runtime: Handle,
    state: Arc<Mutex<State>>,
    /// Why waiting callers must give up. `NothingLeft` is permanent.
    given_up: watch::Sender<Option<GivenUp>>,
    /// How long (wall clock) one hold may last while a caller waits.
    limit: Duration,
}

#[derive(Default)]
pub(super) struct State {
    /// How many callers wait for something that the engine does.
    waiting: usize,
    /// What runs in real time and must not miss its time limits: activities that are not mocked.
    holding: BTreeMap<u64, Holder>,
    next_hold: u64,
    /// Ends the blocking task that stops the clock.
    stopper: Option<Sender<()>>,
    /// The process is about to end: the clock is not stopped any more.
    shut: bool,
}

struct Holder {
    name: &'static str,
    since: Instant,
}

impl State {
    pub(super) fn hold(&mut self, name: &'static str) -> u64 {
        self.next_hold += 1;
        self.holding.insert(self.next_hold, Holder { name, since: Instant::now() });
        self.next_hold
    }

    /// Why time stands still, if a caller waits for it to pass.
    fn standstill(&self) -> Option<Standstill> {
        let since = self.holding.values().map(|holder| holder.since).min()?;
        let activities = self.holding.values().map(|holder| holder.name.to_owned()).collect();
        (self.waiting > 0).then(|| Standstill { activities, lasted: since.elapsed() })
    }

    pub(super) fn let_go(&mut self, hold: u64) {
        self.holding.remove(&hold);
    }
}

impl Gate {
    /// A gate for the clock of this runtime, which must be paused. Time stands still at first.
    pub(super) fn new(runtime: Handle, limit: Duration) -> Arc<Self> {
        let gate = Self { runtime, state: Arc::default(), given_up: watch::Sender::new(None), limit };
        gate.change(|_| {});
        Arc::new(gate)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let passes = state.shut || state.waiting > 0 && state.holding.is_empty();
        if passes {
            state.stopper = None;
        } else if state.stopper.is_none() {
            let (stopper, stopped) = channel::<()>();
            let (weak, given_up, limit) = (Arc::downgrade(&self.state), self.given_up.clone(), self.limit);
            // tokio counts the blocking task as soon as it is spawned. The task ends when the stopper is
            // dropped.
            self.runtime.spawn_blocking(move || {
                let mut told = false;
                while stopped.recv_timeout(TOLD_AFTER.min(limit)) == Err(RecvTimeoutError::Timeout) {
                    let Some(standstill) = standstill(&weak) else { continue };
                    if standstill.lasted >= limit {
                        give_up(&given_up, GivenUp::Standstill(standstill));
                    } else if !std::mem::replace(&mut told, true) {
                        tell_standstill(standstill);
                    }
                }
            });
            state.stopper = Some(stopper);
        }
    }

    /// Lets time pass while the future waits.
    pub(super) async fn wait(self: Arc<Self>, future: BoxFuture<'_, ()>) -> Result<(), GivenUp> {
        let mut given_up = self.given_up.subscribe();
        // Of earlier reasons to give up, only `NothingLeft` still holds.
        let over = matches!(*given_up.borrow_and_update(), Some(GivenUp::NothingLeft));
        let mut told = pin!(async move {
            if !over && given_up.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            given_up.borrow().clone().unwrap_or(GivenUp::NothingLeft)
        });
        let mut waiting =
            Waiting { pass: Arc::new(Pass { gate: Arc::clone(&self), open: false.into() }), future };
        tokio::select! {
            biased;
            () = &mut waiting => Ok(()),
            why = &mut told => Err(why),
        }
    }

    /// The clock has jumped to its end: all waiting callers give up.
    pub(super) fn nothing_is_left(&self) {
        self.given_up.send_replace(Some(GivenUp::NothingLeft));
    }

    /// An activity is retried without end: callers that wait now give up. Callers that wait later may have
    /// fixed it.
    pub(super) fn endless(&self, endless: Endless) {
        give_up(&self.given_up, GivenUp::Endless(endless));
    }

    /// Stops the clock never again, so that its runtime can end.
    pub(super) fn shut(&self) {
        self.change(|state| state.shut = true);
    }
}

/// Makes callers that wait now give up, unless `NothingLeft` was the reason before.
fn give_up(waiters: &watch::Sender<Option<GivenUp>>, why: GivenUp) {
    waiters.send_if_modified(|given_up| {
        let open = !matches!(given_up, Some(GivenUp::NothingLeft));
        if open {
            *given_up = Some(why);
        }
        open
    });
}

fn standstill(state: &Weak<Mutex<State>>) -> Option<Standstill> {
    let state = state.upgrade()?;
    let state = state.lock().unwrap_or_else(PoisonError::into_inner);
    state.standstill()
}

/// The activity may simply take long, so this is only a hint before it becomes an error.
fn tell_standstill(standstill: Standstill) {
    eprintln!("abide: {}", crate::Error::from(standstill));
}

/// One waiter's share in letting time pass.
struct Pass {
    gate: Arc<Gate>,
    /// Changed under the gate's lock.
    open: AtomicBool,
}

impl Pass {
    /// Opens, unless what the waiter waits for has come since the poll that returned `Pending`.
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

/// Lets time pass while the future is pending.
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
        // After the poll, not before: what the future waits for may already be there, and then the clock must
        // not go on.
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
