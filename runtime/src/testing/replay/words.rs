//! Describes an event in a few words, for a column of a report: a recorded event, or the command that the
//! code issued.
//!
//! Each description is one line, whatever the payloads contain. `table` cuts it to a width.

use abide_core::{ChildEnd, Event, EventId, FailureRecord, Site};

/// Describes a recorded event. `at_ms` is the time of its row.
pub(super) fn recorded(event: &Event, at_ms: i64) -> String {
    let words = match event {
        Event::Started { input, early: 0, .. } => format!("started with {}", input.as_json()),
        Event::Started { input, early, .. } => {
            format!("started with {}, after {early} signals", input.as_json())
        }
        Event::ActivityCompleted { activity, result } => {
            format!("activity {activity} gave {}", result.as_json())
        }
        Event::ActivityFailed { activity, failure } => format!("activity {activity} failed: {failure}"),
        Event::AttemptFailed { activity, attempt, failure, .. } => {
            format!("attempt {attempt} of activity {activity} failed: {failure}")
        }
        Event::TimerFired { timer } => format!("timer {timer} fired"),
        Event::ChildEnded { child, end } => child_ended(*child, end),
        Event::Signaled { name, input, handled, .. } => {
            let kept = if *handled { "" } else { ", which no handler took" };
            format!("signal `{name}` with {}{kept}", input.as_json())
        }
        Event::SignalRedelivered { signal } => format!("signal {signal} given to a handler"),
        Event::CancelRequested { reason, .. } => format!("asked to cancel: {reason}"),
        Event::Answered { command, refused: None } => format!("command {command} was accepted"),
        Event::Answered { command, refused: Some(reason) } => {
            format!("command {command} was refused: {reason}")
        }
        Event::Recovered { .. } => "taken over from a dead worker".to_owned(),
        Event::SideEffect { value } => format!("side effect {}", value.as_json()),
        Event::Terminated { reason } => format!("terminated: {reason}"),
        Event::TimedOut { kind, .. } => format!("timed out ({kind})"),
        command => asked(command, at_ms),
    };
    one_line(&words)
}

/// Describes a command, relative to the workflow's time.
pub(super) fn asked(event: &Event, now_ms: i64) -> String {
    let words = match event {
        Event::ActivityScheduled { name, input, task_queue, .. } => {
            let queue = task_queue.as_ref().map_or_else(String::new, |queue| format!(" on queue `{queue}`"));
            format!("activity `{name}` with {}{queue}", input.as_json())
        }
        Event::ActivityCancelRequested { activity } => format!("cancellation of activity {activity}"),
        Event::ChildScheduled { workflow_type, workflow_id, named, task_queue, input, .. } => {
            let queue = task_queue.as_ref().map_or_else(String::new, |queue| format!(" on queue `{queue}`"));
            let id = if *named { format!(" of id `{workflow_id}`") } else { String::new() };
            format!("child `{workflow_type}` with {}{id}{queue}", input.as_json())
        }
        Event::ChildCancelRequested { child, .. } => format!("cancellation of child {child}"),
        Event::TimerStarted { fire_at_ms } => format!("timer of {}", span(fire_at_ms.saturating_sub(now_ms))),
        Event::TimerCancelled { timer } => format!("end of timer {timer} before its time"),
        Event::Published { stream } => format!("item of stream `{stream}`"),
        // Its value is computed only if none is recorded.
        Event::SideEffect { .. } => "side effect".to_owned(),
        Event::SignalSent { to, name, input } => {
            format!("signal `{name}` to workflow `{to}` with {}", input.as_json())
        }
        Event::CancelSent { to, reason } => format!("cancellation of workflow `{to}`: {reason}"),
        Event::Completed { result } => format!("completed with {}", result.as_json()),
        Event::Failed { failure, compensation_failures, .. } => {
            format!("failed: {failure}{}", uncompensated(compensation_failures))
        }
        Event::Cancelled { reason, compensation_failures } => {
            format!("cancelled: {reason}{}", uncompensated(compensation_failures))
        }
        Event::ContinuedAsNew { input, .. } => format!("continued as new with {}", input.as_json()),
        // Not a command, but the history has it where the code issues one.
        other => other.describe(),
    };
    one_line(&words)
}

/// Describes a command without its payload.
pub(super) fn kind(event: &Event, at_ms: i64) -> String {
    match event {
        Event::ActivityScheduled { name, .. } => format!("activity `{name}`"),
        Event::SignalSent { .. } => event.describe(),
        Event::ChildScheduled { workflow_type, .. } => format!("child `{workflow_type}`"),
        Event::Completed { .. } => "the completion".to_owned(),
        Event::ContinuedAsNew { .. } => "the continuation as a new run".to_owned(),
        other => asked(other, at_ms),
    }
}

fn child_ended(child: EventId, end: &ChildEnd) -> String {
    match end {
        ChildEnd::Completed(result) => format!("child {child} gave {}", result.as_json()),
        ChildEnd::Failed(failure) => format!("child {child} failed: {failure}"),
        ChildEnd::Cancelled => format!("child {child} was cancelled"),
        ChildEnd::Terminated => format!("child {child} was terminated"),
        ChildEnd::TimedOut(kind) => format!("child {child} timed out ({kind})"),
        // The enum may grow.
        _ => format!("child {child} ended"),
    }
}

fn uncompensated(failures: &[FailureRecord]) -> String {
    match failures.len() {
        0 => String::new(),
        1 => " (a compensation failed as well)".to_owned(),
        n => format!(" ({n} compensations failed as well)"),
    }
}

/// The place of an await: `src/orders.rs:42:9 charge(order.payment)`.
pub(super) fn place(site: &Site) -> String {
    let text = one_line(site.text);
    match site.line {
        // The engine's own awaits have no line.
        0 => format!("{text} of a {}", site.file),
        line => format!("{}:{line}:{} {text}", site.file, site.column),
    }
}

/// The place of an await, shortened to this width. The folders are removed first: the awaited expression says
/// more.
pub(super) fn short_place(site: &Site, width: usize) -> String {
    let place = place(site);
    let file = site.file.rsplit(['/', '\\']).next().unwrap_or(site.file);
    if place.chars().count() <= width {
        return place;
    }
    super::table::cut(&place.replacen(site.file, file, 1), width)
}

/// A duration, in its two largest units.
fn span(ms: i64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];
    let mut rest = ms.max(0);
    let mut parts = Vec::new();
    for (name, length) in units {
        if rest >= length && parts.len() < 2 {
            parts.push(format!("{} {name}", rest / length));
            rest %= length;
        }
    }
    if parts.is_empty() { "0 ms".to_owned() } else { parts.join(" ") }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        assert_eq!(span(0), "0 ms");
        assert_eq!(span(1_500), "1 s 500 ms");
        assert_eq!(span(3 * 86_400_000 + 61_000), "3 d 1 min");
        assert_eq!(span(-5), "0 ms", "a recorded time in the past");
    }

    #[test]
    fn words_are_one_line() {
        let reason = "first\nsecond".to_owned();
        assert_eq!(recorded(&Event::Terminated { reason }, 0), "terminated: first second");
        let site = Site { file: "src/a.rs", line: 3, column: 9, text: "pay(\n    order,\n)" };
        assert_eq!(place(&site), "src/a.rs:3:9 pay( order, )");
        assert_eq!(short_place(&site, 25), "a.rs:3:9 pay( order, )", "the folders go first");
        assert_eq!(short_place(&site, 16), "a.rs:3:9 pay(..");
    }
}
