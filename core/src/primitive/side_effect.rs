//! A recorded value, for a quick read of something that is not deterministic.

use crate::event::Event;
use crate::exec::command::{Command, Issued};
use crate::exec::context;
use crate::exec::suspension::Suspension;
use crate::guard::engine_future;
use crate::outcome::Persist;
use crate::payload::Payload;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Calls `read` once and records its value. A replay returns the recorded value and does not call `read`.
///
/// For a quick read only (a feature flag, a file's name). It runs on the workflow's thread, and runs again if
/// the process dies before the turn is written. Use an activity for a call that can fail or take time. If the
/// future is awaited again by reference after its end, the execution is suspended with `AB0218`.
pub fn side_effect<T: Persist, F: FnOnce() -> T>(read: F) -> SideEffect<T, F> {
    context::refuse_in_query(format_args!("called `workflow::side_effect`"));
    SideEffect { read: Some(read), output: std::marker::PhantomData }
}

/// See [`side_effect`].
#[must_use = "a side effect does nothing until it is awaited"]
pub struct SideEffect<T, F> {
    read: Option<F>,
    output: std::marker::PhantomData<fn() -> T>,
}

struct Record {
    value: Payload,
}

impl Command for Record {
    fn event(&self) -> Event {
        Event::SideEffect { value: self.value.clone() }
    }

    fn same(&self, recorded: &Event) -> bool {
        matches!(recorded, Event::SideEffect { .. })
    }

    fn adopt(&mut self, recorded: Event) {
        if let Event::SideEffect { value } = recorded {
            self.value = value;
        }
    }
}

impl<T, F> Unpin for SideEffect<T, F> {}

impl<T: Persist, F: FnOnce() -> T> Future for SideEffect<T, F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<T> {
        let ctx = context::expect("workflow::side_effect");
        let Some(read) = self.read.take() else {
            if ctx.halted() {
                return Poll::Pending;
            }
            context::polled_again("a `workflow::side_effect`")
        };
        // On replay, the recorded value replaces this one.
        let value = match ctx.is_replaying() {
            true => Ok(Payload::null()),
            false if ctx.is_strict() => Payload::keep(&read()),
            false => Payload::encode(&read()),
        };
        let issued = match value {
            Ok(value) => ctx.issue(Record { value }),
            Err(error) => {
                ctx.suspend(Suspension::new(error.code(), error.to_string()).at(ctx.site()));
                None
            }
        };
        let Some(Issued { command: Record { value }, .. }) = issued else { return Poll::Pending };
        match value.decode() {
            Ok(value) => Poll::Ready(value),
            Err(error) => {
                let what = "the recorded value of a side effect";
                ctx.suspend(Suspension::undecodable(what, &error, Some(&value)).at(ctx.site()));
                Poll::Pending
            }
        }
    }
}

engine_future!([T: Persist, F: FnOnce() -> T] SideEffect<T, F>);
