//! A turn on its way to the store: the append that holds its events, and what waits for it.

use super::attempts::AttemptBody;
use super::live::{InFlight, Live, Pending};
use super::session::Session;
use crate::client::message::{CancelBody, SignalBody, to_json};
use crate::store::{Append, MessageKind, NewMessage, RowChange, Status, Suspension};
use abide_core::Event;
use abide_core::exec::{self, Execution, Input, Standing, Turn};

/// Codes of suspensions that another build may mend: each tries once by itself (PROTOCOL 21).
const NOT_THE_BUILDS: [&str; 3] = ["AB0205", "AB0208", "AB0212"];

/// What `compose` takes from a turn's inputs before the executor consumes them.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) inputs: Vec<Input>,
    origins: Vec<Pending>,
}

impl Taken {
    /// Messages go first: one that waits is taken in before an outcome can close the execution.
    pub(super) fn from(mut pending: Vec<Pending>) -> Self {
        pending.sort_by_key(|p| match &p.input {
            Input::Start { .. } | Input::Recovered { .. } => 0,
            Input::Again(Event::Started { .. } | Event::Recovered { .. }) => 0,
            input if input.is_message() => 1,
            _ => 2,
        });
        let inputs = pending.iter().map(|p| p.input.clone()).collect();
        Self { inputs, origins: pending }
    }
}

/// The append of a turn, and what waits for its acknowledgement. `None` for the append where there is nothing to
/// write.
pub(super) fn compose(
    session: &Session,
    live: &mut Live,
    turn: Turn,
    taken: Taken,
) -> (Option<Append>, InFlight) {
    let undelivered = turn.undelivered.len();
    let mut origins = taken.origins;
    let rest = origins.split_off(origins.len() - undelivered);
    let suspended = matches!(turn.standing, Standing::Suspended(_));
    let carried = std::mem::take(&mut live.carried);
    let mut in_flight = InFlight {
        actions: turn.actions,
        replies: carried.replies,
        rows: carried.rows,
        settles: carried.settles,
        ..InFlight::of(turn.standing.clone())
    };
    let mut progress = false;
    for origin in origins {
        progress |= origin.input.is_message() || matches!(origin.input, Input::Attempt { .. });
        in_flight.rows.extend(origin.row);
        in_flight.replies.extend(origin.reply);
        if let Input::Attempt { activity, .. } = origin.input {
            in_flight.settles.push(activity);
        }
    }
    // A timer fires once: its append is as much progress as a completion's.
    progress |= turn.events.iter().any(|event| matches!(event, Event::TimerFired { .. }));
    let mut messages = Vec::new();
    for origin in rest {
        keep_undelivered(live, origin, suspended, turn.at_ms, &mut messages, &mut in_flight);
    }
    let row = row_change(session, live, &turn.standing, &turn.events, turn.at_ms, progress);
    if matches!(turn.standing, Standing::Closed) {
        in_flight.close = turn.events.last().cloned();
        in_flight.again = turn.events.iter().filter(|e| is_repeatable(e)).cloned().collect();
    }
    let body = body_of(&turn.events);
    live.bytes += body.len() * 2;
    let nothing = turn.events.is_empty() && row.is_none() && in_flight.rows.is_empty() && messages.is_empty();
    let append = Append {
        seq: turn.seq,
        n: u32::try_from(turn.events.len()).unwrap_or(u32::MAX),
        body,
        row,
        consumed: in_flight.rows.clone(),
        messages,
        ..Append::bare(session.me, live.id, turn.at_ms)
    };
    ((!nothing).then_some(append), in_flight)
}

/// A suspended execution keeps what it could not take in: rows stay, the rest becomes rows. A closed one refuses it.
fn keep_undelivered(
    live: &mut Live,
    origin: Pending,
    suspended: bool,
    at_ms: i64,
    messages: &mut Vec<NewMessage>,
    in_flight: &mut InFlight,
) {
    if let Some(row) = origin.row {
        live.rows_seen.remove(&row);
        return;
    }
    if !suspended {
        if let Some(reply) = origin.reply {
            let workflow_id = live.names.workflow_id.to_string();
            let _ = reply.send(Err(crate::Error::ExecutionClosed { workflow_id }));
        }
        return;
    }
    let (kind, request_id, body) = match origin.input {
        Input::Signal { name, input, request_id } => {
            (MessageKind::Signal, request_id, to_json(&SignalBody { name, input }))
        }
        Input::Cancel { request_id, reason } => {
            (MessageKind::Cancel, request_id, to_json(&CancelBody { reason }))
        }
        Input::Attempt { activity, attempt, outcome } => {
            in_flight.settles.push(activity);
            let request_id = format!("attempt/{activity}/{attempt}");
            (MessageKind::Attempt, request_id, to_json(&AttemptBody { activity, attempt, outcome }))
        }
        _ => return,
    };
    in_flight.replies.extend(origin.reply);
    messages.push(NewMessage { execution: live.id, kind, request_id, body, at_ms });
}

/// Input events that a refused close records again. Timers are due again by themselves.
fn is_repeatable(event: &Event) -> bool {
    !event.is_command() && !matches!(event, Event::TimerFired { .. } | Event::SignalRedelivered { .. })
}

fn body_of(events: &[Event]) -> String {
    if events.is_empty() {
        return String::new();
    }
    serde_json::to_string(events).expect("events hold strings and encoded payloads, which always encode")
}

/// What has to change in the execution's row: on most turns nothing, which saves an update.
fn row_change(
    session: &Session,
    live: &mut Live,
    standing: &Standing,
    events: &[Event],
    at_ms: i64,
    progress: bool,
) -> Option<RowChange> {
    let mut row = RowChange::default();
    let exec = live.exec.as_ref()?;
    match standing {
        Standing::Open => {
            let next = exec.next_timer_ms();
            let past = live.db_wake_ms.is_some_and(|known| known <= at_ms);
            let sooner = next.is_some_and(|next| live.db_wake_ms.is_none_or(|known| next < known));
            // A time that has passed goes even where no other follows: a take-over would take it for work that was
            // due, and count a crash against an execution that only waits. A running activity makes it due anyway.
            if sooner || past && (next.is_some() || !exec.has_activities()) {
                live.db_wake_ms = next;
                row.wake_at_ms = Some(next);
            }
            if exec.has_activities() != live.db_active {
                live.db_active = !live.db_active;
                row.active = Some(live.db_active);
            }
        }
        Standing::Closed => {
            let close = events.last()?;
            row.status = Some(status_of(close));
            row.result = Some(serde_json::to_string(close).expect("an event always encodes"));
        }
        Standing::Suspended(reason) => {
            row = suspension(session, live, reason, at_ms);
        }
    }
    if progress && live.crashes > 0 {
        live.crashes = 0;
        row.reset_crashes = true;
    }
    if live.recovered
        && events.iter().any(|event| matches!(event, Event::Recovered { .. } | Event::Started { .. }))
    {
        live.recovered = false;
        row.clear_recovered = true;
    }
    (row != RowChange::default()).then_some(row)
}

fn status_of(close: &Event) -> Status {
    match close {
        Event::Completed { .. } => Status::Completed,
        Event::Canceled { .. } => Status::Canceled,
        Event::Terminated { .. } => Status::Terminated,
        _ => Status::Failed,
    }
}

/// The row of a suspended execution, told in the log as well.
pub(super) fn suspension(session: &Session, live: &Live, reason: &exec::Suspension, at_ms: i64) -> RowChange {
    let names = &live.names;
    let at = reason.site.as_ref().map(|site| format!(", at {site}")).unwrap_or_default();
    let message = format!(
        "workflow {} ({}, run {}) is suspended: {}{at}",
        names.workflow_type, names.workflow_id, names.run_id, reason.message
    );
    tracing::error!(code = reason.code, "{}: {message}", reason.code);
    let active = live.exec.as_ref().is_some_and(Execution::has_activities);
    RowChange {
        status: Some(Status::Suspended),
        active: Some(active),
        suspension: Some(Suspension {
            code: reason.code.clone(),
            message,
            build: session.options.build.clone(),
            other_builds: !NOT_THE_BUILDS.contains(&reason.code.as_str()),
            at_ms,
        }),
        ..RowChange::default()
    }
}
