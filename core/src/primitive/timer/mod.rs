//! Durable timers: `sleep`, `timeout`, and the same until a point in time.

pub(crate) mod table;

use crate::call_error::Elapsed;
use crate::event::Event;
use crate::exec::command::Command;
use crate::exec::context::{self, Context as Shared};
use crate::guard::{WorkflowFuture, engine_future};
use crate::ids::EventId;
use crate::policy::millis;
use jiff::Timestamp;
use pin_project_lite::pin_project;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Waits for `duration`, from milliseconds to years, through crashes and restarts, like `tokio::time::sleep`.
/// Resolution: 1 ms. The timer starts at the first poll. A drop cancels it. If it is awaited again by
/// reference after its end, it is ready at once.
pub fn sleep(duration: Duration) -> Sleep {
    context::refuse_in_query(format_args!("started a timer"));
    Sleep { limit: Limit::After(duration), started: None, ended: false }
}

/// Waits until `at`, through crashes and restarts, like `tokio::time::sleep_until`. Resolution: 1 ms, rounded up. If
/// `at` has passed, it is ready in the same turn. Everything else is as for [`sleep`].
pub fn sleep_until(at: Timestamp) -> Sleep {
    context::refuse_in_query(format_args!("started a timer"));
    Sleep { limit: Limit::At(at), started: None, ended: false }
}

/// When a timer is due.
#[derive(Clone, Copy)]
enum Limit {
    /// After its first poll.
    After(Duration),
    At(Timestamp),
}

impl Limit {
    fn due_ms(self, now_ms: i64) -> i64 {
        match self {
            Self::After(duration) => now_ms.saturating_add(millis(duration)),
            Self::At(at) => {
                // A part of a millisecond counts as a whole one, so that it is not due too early.
                let whole = at.as_millisecond();
                let part = at.as_nanosecond() > i128::from(whole) * 1_000_000;
                (whole + i64::from(part)).max(now_ms)
            }
        }
    }
}

/// See [`sleep`] and [`sleep_until`].
#[must_use = "a timer does nothing until it is awaited"]
pub struct Sleep {
    limit: Limit,
    started: Option<(Rc<Shared>, EventId)>,
    ended: bool,
}

struct StartTimer {
    fire_at_ms: i64,
}

impl Command for StartTimer {
    fn event(&self) -> Event {
        Event::TimerStarted { fire_at_ms: self.fire_at_ms }
    }

    /// The recorded time is used, so that a changed duration does not break open runs.
    fn same(&self, recorded: &Event) -> bool {
        matches!(recorded, Event::TimerStarted { .. })
    }

    fn adopt(&mut self, recorded: Event) {
        if let Event::TimerStarted { fire_at_ms } = recorded {
            self.fire_at_ms = fire_at_ms;
        }
    }
}

struct CancelTimer {
    timer: EventId,
}

impl Command for CancelTimer {
    fn event(&self) -> Event {
        Event::TimerCancelled { timer: self.timer }
    }

    fn same(&self, recorded: &Event) -> bool {
        *recorded == self.event()
    }
}

impl Sleep {
    fn start(&mut self, ctx: &Rc<Shared>) -> Option<EventId> {
        let issued = ctx.issue(StartTimer { fire_at_ms: self.limit.due_ms(ctx.now_ms()) })?;
        ctx.tables.timers.borrow_mut().start(issued.id, issued.command.fire_at_ms, ctx.site());
        self.started = Some((Rc::clone(ctx), issued.id));
        Some(issued.id)
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.ended {
            return Poll::Ready(());
        }
        let id = match &self.started {
            Some((_, id)) => *id,
            None => match self.start(&context::expect("workflow::sleep")) {
                Some(id) => id,
                None => return Poll::Pending,
            },
        };
        let Some((ctx, _)) = &self.started else { return Poll::Pending };
        if ctx.tables.timers.borrow_mut().poll(id, || ctx.register(cx)).is_pending() {
            return Poll::Pending;
        }
        (self.started, self.ended) = (None, true);
        Poll::Ready(())
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let Some((ctx, id)) = self.started.take() else { return };
        let had_not_fired = ctx.tables.timers.borrow_mut().dropped(id);
        if had_not_fired && ctx.is_given_up() {
            ctx.issue(CancelTimer { timer: id });
        }
    }
}

engine_future!([] Sleep);

/// Waits for `future`, at most `limit`, like `tokio::time::timeout`. When the limit runs out, the future is
/// dropped, which cancels its activities. If it is awaited again by reference after `Elapsed`, it returns
/// `Elapsed` again. If its future was ready, the value was taken and the execution is suspended (`AB0218`).
pub fn timeout<F>(limit: Duration, future: F) -> Timeout<F::IntoFuture>
where
    F: IntoFuture,
    F::IntoFuture: WorkflowFuture,
{
    Timeout { future: Some(future.into_future()), sleep: sleep(limit) }
}

/// Waits for `future`, at most until `at`, like `tokio::time::timeout_at`. If `at` has passed, the future is polled
/// once. Everything else is as for [`timeout`].
pub fn timeout_at<F>(at: Timestamp, future: F) -> Timeout<F::IntoFuture>
where
    F: IntoFuture,
    F::IntoFuture: WorkflowFuture,
{
    Timeout { future: Some(future.into_future()), sleep: sleep_until(at) }
}

pin_project! {
    /// See [`timeout`] and [`timeout_at`].
    #[must_use = "futures do nothing until they are awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: Option<F>,
        #[pin]
        sleep: Sleep,
    }
}

impl<F: WorkflowFuture> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.future.is_none() && !this.sleep.ended && !context::is_halted() {
            context::polled_again("a `workflow::timeout`");
        }
        if let Some(future) = this.future.as_mut().as_pin_mut() {
            let polled = crate::guard::poll_child(future, cx);
            if let Poll::Ready(value) = polled {
                // Drop the future first, so that its commands come before the end of the timer, live and
                // replayed.
                this.future.set(None);
                return Poll::Ready(Ok(value));
            }
        }
        match this.sleep.poll(cx) {
            Poll::Ready(()) => {
                this.future.set(None);
                Poll::Ready(Err(Elapsed))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

engine_future!([F: WorkflowFuture] Timeout<F>);
