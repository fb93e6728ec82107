//! The steps that both releases execute in the same way: activities, drawn values, sagas, and what a workflow says to
//! others.
//!
//! This is workflow code, as `interpret` is.

use crate::act::{Act, Cancellation, OnError, Options, Place};
use crate::effects::{AWAY, Effects, NOWHERE, OnSqlite, Refused};
use crate::program::{Child, Closes, Draw, Fan, HEARD, Leg, SagaEnd};
use crate::value::{Output, ScriptFailed, Seen, Trouble, Value};
use abide::__private::{ActivityCall, ActivityDef, WorkflowCall, WorkflowDef};
use abide::prelude::*;
use futures::stream::{FuturesOrdered, FuturesUnordered};
use futures::{FutureExt, StreamExt};
use std::pin::Pin;
use std::time::Duration;
use workflow::{ChildCall, WorkflowFuture};

pub(crate) fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A running activity. Boxed, because there are two types.
pub(crate) type Calling = Pin<Box<dyn WorkflowFuture<Output = Result<u64, ActivityError<Refused>>>>>;

/// The activity's call with all its options.
#[workflow::helper]
pub(crate) fn call(act: Act) -> Calling {
    let options = act.options.clone();
    match options.place {
        Place::Here => Box::pin(with(options, Effects::act(act))),
        Place::Away => Box::pin(with(options, Effects::act(act)).task_queue(AWAY)),
        Place::Nowhere => Box::pin(with(options, Effects::act(act)).task_queue(NOWHERE)),
        // The activity is identified by its name, which is the same on both databases.
        Place::Within => Box::pin(with(options, OnSqlite::act(act))),
    }
}

fn with<D: ActivityDef>(options: Options, call: ActivityCall<D>) -> ActivityCall<D> {
    let retry = RetryPolicy {
        initial_interval: millis(options.backoff),
        backoff_coefficient: 1.5,
        max_interval: Some(millis(options.backoff * 4)),
        max_attempts: options.max_attempts,
    };
    let mut call = call.retry(retry).cancellation(cancellation(options.cancellation));
    if let Some(ms) = options.start_to_close {
        call = call.start_to_close(millis(ms));
    }
    if let Some(ms) = options.schedule_to_close {
        call = call.schedule_to_close(millis(ms));
    }
    if let Some(ms) = options.schedule_to_start {
        call = call.schedule_to_start(millis(ms));
    }
    call
}

#[workflow::helper]
pub(crate) async fn once(act: Act) -> Value {
    let on_error = act.on_error;
    seen(on_error, call(act).await)
}

fn seen(on_error: OnError, ended: Result<u64, ActivityError<Refused>>) -> Value {
    let error = match ended {
        Ok(number) => return Value::Number(number),
        Err(error) => error,
    };
    let trouble = match error {
        ActivityError::Failed(Refused { label, attempt, stopped, .. }) => {
            Trouble::Refused { label, attempt, stopped }
        }
        ActivityError::TimedOut { kind: TimeoutKind::StartToClose, .. } => Trouble::StartToClose,
        ActivityError::TimedOut { kind: TimeoutKind::ScheduleToClose, .. } => Trouble::ScheduleToClose,
        ActivityError::TimedOut { kind: TimeoutKind::ScheduleToStart, .. } => Trouble::ScheduleToStart,
        ActivityError::WorkerLost => Trouble::WorkerLost,
        ActivityError::Cancelled => Trouble::Cancelled,
        other => Trouble::Other(other.to_string()),
    };
    match on_error {
        OnError::Keep => Value::Failed(trouble),
        OnError::Raise => Value::Raised(trouble),
    }
}

/// Many activities at once. The results are in the order of the calls, however they end.
#[workflow::helper]
pub(crate) async fn fan(how: Fan, acts: Vec<Act>) -> Value {
    let calls = acts.into_iter().enumerate().map(|(at, act)| {
        let on_error = act.on_error;
        call(act).map(move |ended| (at, seen(on_error, ended)))
    });
    let mut all: Vec<(usize, Value)> = match how {
        Fan::JoinAll => futures::future::join_all(calls).await,
        Fan::Unordered => {
            let (mut all, mut running) = (Vec::new(), calls.collect::<FuturesUnordered<_>>());
            while let Some(one) = running.next().await {
                all.push(one);
            }
            all
        }
        Fan::Ordered => calls.collect::<FuturesOrdered<_>>().collect().await,
        Fan::Buffered { width } => futures::stream::iter(calls).buffered(width.max(1)).collect().await,
        Fan::BufferUnordered { width } => {
            futures::stream::iter(calls).buffer_unordered(width.max(1)).collect().await
        }
    };
    if matches!(how, Fan::Unordered | Fan::BufferUnordered { .. }) {
        all.sort_by_key(|(at, _)| *at);
    }
    // Not sorted if the combinator guarantees the order: the model then sees a wrong order.
    let at = |place: usize, (at, value): (usize, Value)| match place == at {
        true => value,
        false => Value::Failed(Trouble::Other(format!("result {at} came in place {place}"))),
    };
    Value::All(all.into_iter().enumerate().map(|(place, one)| at(place, one)).collect())
}

#[workflow::helper]
pub(crate) async fn draw(what: Draw, mut act: Act) -> Value {
    let note = match what {
        Draw::Random => workflow::random::<u64>().to_string(),
        Draw::Range => workflow::random_range(10..1_000_000).to_string(),
        Draw::Uuid => workflow::uuid().to_string(),
        Draw::Now => workflow::now().as_millisecond().to_string(),
        Draw::SideEffect => {
            // The closure's result differs on a replay, which must use the recorded value instead.
            let info = workflow::info();
            workflow::side_effect(move || format!("{} {}", info.history_len, info.is_replaying)).await
        }
    };
    act.note = Some(note.clone());
    Value::Drawn { note, result: Box::new(once(act).await) }
}

#[workflow::helper]
pub(crate) async fn saga(legs: Vec<Leg>, end: SagaEnd) -> Value {
    let mut saga = workflow::saga();
    let mut values = Vec::new();
    for leg in legs {
        let value = once(leg.act).await;
        if matches!(value, Value::Number(_)) {
            saga.on_failure(call(leg.undo));
        }
        let stops = value.stops().is_some();
        values.push(value);
        if stops {
            return Value::Saga { legs: values, failures: None };
        }
    }
    let failures = match end {
        SagaEnd::Keep => None,
        SagaEnd::Compensate => {
            let compensated = saga.compensate().await;
            Some(compensated.map_or_else(|error| error.failures.len(), |()| 0))
        }
        SagaEnd::Forget => {
            saga.forget();
            None
        }
    };
    Value::Saga { legs: values, failures }
}

/// What became of a poke to a workflow.
pub(crate) fn told(answer: Result<(), MessageError>) -> Value {
    match answer {
        Ok(()) => Value::Told(true),
        Err(MessageError::NotRunning(_)) => Value::Told(false),
        Err(error) => Value::Failed(Trouble::Other(error.to_string())),
    }
}

#[workflow::helper]
pub(crate) fn publish(n: u64) -> Value {
    match workflow::publish(HEARD, &n) {
        Ok(()) => Value::Done,
        Err(error) => Value::Failed(Trouble::Other(error.to_string())),
    }
}

fn cancellation(kind: Cancellation) -> CancellationType {
    match kind {
        Cancellation::Try => CancellationType::TryCancel,
        Cancellation::Wait => CancellationType::WaitCancellationCompleted,
        Cancellation::Abandon => CancellationType::Abandon,
    }
}

/// The call of a child with all its options.
pub(crate) fn configured<W: WorkflowDef>(call: WorkflowCall<W>, child: &Child) -> ChildCall<W> {
    let close = match child.close {
        Closes::Terminate => ParentClosePolicy::Terminate,
        Closes::Cancel => ParentClosePolicy::RequestCancel,
        Closes::Abandon => ParentClosePolicy::Abandon,
    };
    let call = call.parent_close(close).cancellation(cancellation(child.cancellation));
    let mut call = match &child.id {
        Some(id) => call.id(id),
        None => call,
    };
    let terms = &child.program.terms;
    if let Some(policy) = terms.retry() {
        call = call.retry(policy);
    }
    if let Some(ms) = terms.run {
        call = call.run_timeout(millis(ms));
    }
    if let Some(ms) = terms.chain {
        call = call.execution_timeout(millis(ms));
    }
    call
}

/// How a child has ended.
pub(crate) fn seen_child(ended: Result<Output, ChildError<ScriptFailed>>) -> Seen {
    match ended {
        Ok(output) => Seen::Completed(Box::new(output)),
        Err(ChildError::Failed(error)) => Seen::Failed(Box::new(error.output)),
        Err(ChildError::Cancelled) => Seen::Cancelled,
        Err(ChildError::Terminated) => Seen::Terminated,
        Err(ChildError::TimedOut(_)) => Seen::TimedOut,
        Err(ChildError::IdTaken(_)) => Seen::Taken,
        Err(error) => Seen::Other(error.to_string()),
    }
}
