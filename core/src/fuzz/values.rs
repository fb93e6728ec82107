//! Arbitrary events, failures and JSON. Boxed, because proptest keeps values on the stack and a test has 2
//! MiB of stack.

use crate::carried::{Carried, CarriedCancel, CarriedId, CarriedKind, CarriedSignal, CarriedUpdate, NextRun};
use crate::child::{ChildEnd, ChildOptions, ParentClosePolicy};
use crate::event::{Event, Recipient};
use crate::failure::{FailureKind, FailureRecord, TimeoutKind};
use crate::ids::{EventId, ExecutionId};
use crate::payload::Payload;
use crate::start_context::{Parent, StartContext};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// A text: short, of any characters, sometimes one that is special in JSON, SQL or a terminal.
pub(super) fn text() -> BoxedStrategy<String> {
    let odd = [
        "",
        "\0",
        "\u{7f}",
        "\"",
        "\\",
        "\\u0000",
        "\u{2028}",
        "\u{feff}",
        "😀",
        "null",
        "{}",
        "\r\n",
        "\u{10ffff}",
    ];
    prop_oneof![
        3 => "[a-z_.]{0,8}",
        2 => "\\PC{0,12}",
        1 => any::<String>(),
        1 => select(odd.to_vec()).prop_map(str::to_owned),
    ]
    .boxed()
}

/// A number as JSON may write it.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<u64>().prop_map(|n| n.to_string()),
        any::<i128>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("JSON has no such number", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        select(vec!["-0", "-0.0", "1e400", "-1E-400", "0.1", "1e0", "123456789012345678901234567890.5"])
            .prop_map(str::to_owned),
    ]
}

/// A JSON string as other programs may write it: with escapes that serde does not write, and lone surrogates.
fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z ]{1,6}".prop_map(|text| text),
        2 => text().prop_map(|text| {
            let quoted = serde_json::to_string(&text).expect("a text");
            quoted[1..quoted.len() - 1].to_owned()
        }),
        2 => any::<u16>().prop_map(|unit| format!("\\u{unit:04x}")),
        1 => select(vec!["\\ud800", "\\udc00", "\\ud83d\\ude00", "\\/", "\\b", "\\u0000", "\\u0022"])
            .prop_map(str::to_owned),
    ];
    vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// Any JSON text, with blanks, duplicate keys and nesting.
pub(super) fn json() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        select(vec!["null", "true", "false", "[]", "{}"]).prop_map(str::to_owned),
        number(),
        string(),
    ];
    let nested = leaf.prop_recursive(5, 32, 5, |inner| {
        let blank = || select(vec!["", " ", "\n", "\t "]);
        prop_oneof![
            (vec(inner.clone(), 0..5), blank())
                .prop_map(|(list, blank)| format!("[{blank}{}{blank}]", list.join(&format!("{blank},")))),
            (vec((string(), inner), 0..5), blank()).prop_map(|(map, blank)| {
                let pairs: Vec<_> = map.iter().map(|(key, value)| format!("{key}{blank}:{value}")).collect();
                format!("{{{}}}", pairs.join(&format!(",{blank}")))
            }),
        ]
    });
    // Includes duplicate keys, and nesting that no person would write.
    prop_oneof![
        12 => nested.clone(),
        1 => nested.clone().prop_map(|value| format!("{{\"a\":{value},\"a\":1}}")),
        1 => (nested, 1_usize..300)
            .prop_map(|(value, deep)| format!("{}{value}{}", "[".repeat(deep), "]".repeat(deep))),
    ]
    .boxed()
}

pub(super) fn payload() -> BoxedStrategy<Payload> {
    prop_oneof![
        3 => json().prop_map(|json| Payload::from_json(json).expect("JSON")),
        1 => Just(Payload::null()),
        2 => any::<u32>().prop_map(|n| Payload::encode(&n).expect("a number")),
    ]
    .boxed()
}

pub(super) fn failure() -> BoxedStrategy<FailureRecord> {
    use TimeoutKind::{Heartbeat, ScheduleToClose, ScheduleToStart, StartToClose};
    let kinds = vec![
        FailureKind::Application,
        FailureKind::TimedOut(StartToClose),
        FailureKind::TimedOut(ScheduleToClose),
        FailureKind::TimedOut(ScheduleToStart),
        FailureKind::TimedOut(Heartbeat),
        FailureKind::Cancelled,
        FailureKind::Panicked,
        FailureKind::WorkerLost,
        FailureKind::WorkerShutdown,
        FailureKind::Invalid,
    ];
    let cause = proptest::option::weighted(0.2, text());
    (select(kinds), text(), vec(text(), 0..3), proptest::option::of(payload()), cause)
        .prop_map(|(kind, message, chain, data, cause)| FailureRecord {
            kind,
            message,
            chain,
            data,
            cause: cause.map(|message| Box::new(FailureRecord::new(FailureKind::Panicked, message))),
        })
        .boxed()
}

/// Usually the number of a short history, so that events refer to each other; sometimes any number.
pub(super) fn id() -> impl Strategy<Value = EventId> {
    prop_oneof![8 => 0_u64..12, 1 => any::<u64>(), 1 => Just(u64::MAX)].prop_map(EventId)
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 0_i64..100_000, 1 => any::<i64>(), 1 => Just(i64::MAX), 1 => Just(i64::MIN)]
}

/// The number of early signals that a start records.
fn early() -> impl Strategy<Value = u32> {
    prop_oneof![6 => Just(0_u32), 2 => 0_u32..4, 1 => any::<u32>()]
}

/// What a start records besides its input.
fn context() -> impl Strategy<Value = Box<StartContext>> {
    let parent = (text(), text()).prop_map(|(workflow_id, run_id)| Parent::new(workflow_id, run_id));
    let all = (proptest::option::of(parent), any::<u32>(), carried());
    let all = all.prop_map(|(parent, depth, carried)| {
        Box::new(StartContext { parent, depth, carried, ..StartContext::default() })
    });
    prop_oneof![2 => Just(Box::default()), 1 => all]
}

fn attempt() -> impl Strategy<Value = u32> {
    prop_oneof![6 => 0_u32..5, 1 => any::<u32>(), 1 => Just(u32::MAX)]
}

/// What a run before has handed on.
fn carried() -> impl Strategy<Value = Carried> {
    let kind = select(vec![CarriedKind::Signal, CarriedKind::Cancel]);
    let known = (kind, text(), time()).prop_map(|(kind, id, at_ms)| CarriedId { kind, id, at_ms });
    let signal = (signal_name(), payload(), text()).prop_map(|(name, input, request_id)| CarriedSignal {
        name,
        input,
        request_id,
    });
    let cancel = (text(), text()).prop_map(|(request_id, reason)| CarriedCancel { request_id, reason });
    let update = (text(), text(), time()).prop_map(|(update_id, run_id, at_ms)| CarriedUpdate {
        update_id,
        run_id,
        at_ms,
    });
    let all = (vec(known, 0..3), vec(signal, 0..3), proptest::option::of(cancel), vec(update, 0..2))
        .prop_map(|(known, signals, cancel, updates)| Carried { signals, cancel, updates, known });
    prop_oneof![4 => Just(Carried::default()), 1 => all]
}

/// The run that goes on.
fn next_run() -> impl Strategy<Value = Option<NextRun>> {
    let next = (any::<i64>(), text()).prop_map(|(id, run_id)| NextRun { execution: ExecutionId(id), run_id });
    proptest::option::of(next)
}

/// Any event of any kind.
pub(super) fn event() -> BoxedStrategy<Event> {
    prop_oneof![input_event(), command()].boxed()
}

fn input_event() -> BoxedStrategy<Event> {
    prop_oneof![
        (payload(), any::<u64>(), 0..2_u32, early(), context()).prop_map(
            |(input, seed, rules, early, context)| Event::Started { input, seed, rules, early, context }
        ),
        (id(), payload()).prop_map(|(activity, result)| Event::ActivityCompleted { activity, result }),
        (id(), failure()).prop_map(|(activity, failure)| Event::ActivityFailed { activity, failure }),
        (id(), attempt(), failure(), time()).prop_map(|(activity, attempt, failure, next_at_ms)| {
            Event::AttemptFailed { activity, attempt, failure, next_at_ms }
        }),
        id().prop_map(|timer| Event::TimerFired { timer }),
        (signal_name(), payload(), text(), any::<bool>()).prop_map(|(name, input, request_id, handled)| {
            Event::Signaled { name, input, request_id, handled }
        }),
        id().prop_map(|signal| Event::SignalRedelivered { signal }),
        (text(), text()).prop_map(|(request_id, reason)| Event::CancelRequested { request_id, reason }),
        (id(), proptest::option::of(text()))
            .prop_map(|(command, refused)| Event::Answered { command, refused }),
        vec(id(), 0..4).prop_map(|lost| Event::Recovered { lost }),
        (id(), child_end()).prop_map(|(child, end)| Event::ChildEnded { child, end }),
        text().prop_map(|reason| Event::Terminated { reason }),
        (select(vec![TimeoutKind::Run, TimeoutKind::Execution]), next_run())
            .prop_map(|(kind, next)| Event::TimedOut { kind, next }),
    ]
    .boxed()
}

/// How a child ends: usually with what the fuzzed workflow can read.
pub(super) fn child_end() -> BoxedStrategy<ChildEnd> {
    let number = any::<u32>().prop_map(|n| ChildEnd::Completed(Payload::encode(&n).expect("a number")));
    prop_oneof![
        6 => number,
        1 => payload().prop_map(ChildEnd::Completed),
        2 => failure().prop_map(ChildEnd::Failed),
        1 => select(vec![ChildEnd::Cancelled, ChildEnd::Terminated]),
        1 => Just(ChildEnd::TimedOut(TimeoutKind::StartToClose)),
    ]
    .boxed()
}

fn child_scheduled() -> BoxedStrategy<Event> {
    let name = prop_oneof![2 => Just("child".to_owned()), 1 => text()];
    let policies =
        vec![ParentClosePolicy::Terminate, ParentClosePolicy::Abandon, ParentClosePolicy::RequestCancel];
    let limits = (proptest::option::of(time()), proptest::option::of(time()));
    let options =
        (select(policies), limits).prop_map(|(parent_close, (run_timeout_ms, execution_timeout_ms))| {
            Box::new(ChildOptions { parent_close, run_timeout_ms, execution_timeout_ms, retry: None })
        });
    let ids = (text(), any::<bool>(), any::<i64>(), text());
    (name, ids, proptest::option::of(text()), payload(), options)
        .prop_map(|(workflow_type, (workflow_id, named, execution, run_id), task_queue, input, options)| {
            let execution = ExecutionId(execution);
            Event::ChildScheduled {
                workflow_type,
                workflow_id,
                named,
                execution,
                run_id,
                task_queue,
                input,
                options,
            }
        })
        .boxed()
}

fn command() -> BoxedStrategy<Event> {
    let name = prop_oneof![2 => select(vec!["step", "ours"]).prop_map(str::to_owned), 1 => text()];
    prop_oneof![
        (name, payload(), proptest::option::of(text()), any::<[bool; 2]>()).prop_map(
            |(name, input, task_queue, [transactional, heartbeat])| Event::ActivityScheduled {
                name,
                input,
                task_queue,
                transactional,
                heartbeat
            }
        ),
        id().prop_map(|activity| Event::ActivityCancelRequested { activity }),
        child_scheduled(),
        (id(), any::<bool>()).prop_map(|(child, unborn)| Event::ChildCancelRequested { child, unborn }),
        time().prop_map(|fire_at_ms| Event::TimerStarted { fire_at_ms }),
        id().prop_map(|timer| Event::TimerCancelled { timer }),
        payload().prop_map(|value| Event::SideEffect { value }),
        (recipient(), signal_name(), payload()).prop_map(|(to, name, input)| Event::SignalSent {
            to,
            name,
            input
        }),
        (recipient(), text()).prop_map(|(to, reason)| Event::CancelSent { to, reason }),
        text().prop_map(|stream| Event::Published { stream }),
        payload().prop_map(|result| Event::Completed { result }),
        (failure(), vec(failure(), 0..2), next_run()).prop_map(|(failure, compensation_failures, next)| {
            Event::Failed { failure, compensation_failures, next }
        }),
        (text(), vec(failure(), 0..2))
            .prop_map(|(reason, compensation_failures)| Event::Cancelled { reason, compensation_failures }),
        (next_run(), proptest::option::of(text()), proptest::option::of(text()), payload()).prop_map(
            |(next, workflow_type, task_queue, input)| Event::ContinuedAsNew {
                next,
                workflow_type,
                task_queue,
                delay_ms: None,
                input
            }
        ),
    ]
    .boxed()
}

fn recipient() -> BoxedStrategy<Recipient> {
    prop_oneof![text().prop_map(Recipient::Workflow), id().prop_map(Recipient::Child)].boxed()
}

/// A signal that the fuzzed workflow has a handler for, or any other.
pub(super) fn signal_name() -> impl Strategy<Value = String> {
    prop_oneof![4 => select(vec!["push", "work"]).prop_map(str::to_owned), 1 => text()]
}
