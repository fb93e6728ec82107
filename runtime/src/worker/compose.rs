//! Composes the append that holds a turn's events, and what waits for its acknowledgement.
//!
//! All that core's `Turn` says is read here: what becomes rows of the append, and what this worker does once
//! the append is durable (`commit`).

use super::children;
use super::inputs::{Pending, Taken, message_of};
use super::names::Names;
use super::news::News;
use super::run::{InFlight, RowState, Run};
use super::session::Session;
use super::successor;
use super::task_rows::{self, TaskRows};
use super::updates;
use crate::status::ExecutionStatus;
use crate::store::{
    Address, Append, AttemptChange, Close, CloseKind, Dispatch, MessageKind, NewItem, NewMessage, RowChange,
    Suspension,
};
use crate::wire::{CancelBody, SignalBody, to_json};
use abide_core::exec::{self, Action, Execution, Input, Outlook, Standing, Turn};
use abide_core::{ChildEnd, Code, Event, EventId, ExecutionId, Recipient};

/// Codes of suspensions that do not depend on the build. After any other code, each other build tries once by
/// itself (PROTOCOL 21).
const NOT_THE_BUILDS: [Code; 3] = [Code::CrashLoop, Code::ThreadBlocked, Code::RowRefused];

/// What the turn publishes.
fn published(turn: &Turn) -> Vec<NewItem> {
    match mutant!(DropLastItems) && turn.standing == Standing::Closed {
        true => Vec::new(),
        false => NewItem::of(turn),
    }
}

/// Composes the append of a turn, and what waits for its acknowledgement. The append is `None` if there is
/// nothing to write.
pub(super) fn append(
    session: &Session,
    run: &mut Run,
    mut turn: Turn,
    taken: Taken,
) -> (Option<Append>, InFlight) {
    let successor = successor::of(session, run, &mut turn);
    let (undelivered, published) = (turn.undelivered.len(), published(&turn));
    let mut origins = taken.origins;
    let rest = origins.split_off(origins.len().saturating_sub(undelivered));
    warn_of_length(run);
    let progress = progress(run, &turn, &origins);
    let first_left = rest.iter().any(Pending::is_first);
    let mut messages = put_back(run, &turn, rest, successor.is_some(), &mut origins);
    let (row, mut after) = row_change(session, run, &turn, (progress, first_left));
    // Without a journal row, the row's revision tells whether the append was written (PROTOCOL 93).
    let row = match turn.events.is_empty() && !turn.attempts.is_empty() {
        true => Some(row.unwrap_or_default()),
        false => row,
    };
    let closes = turn.standing == Standing::Closed;
    let TaskRows { changes, messages: ends, here } =
        task_rows::of(run.id, turn.actions, &origins, closes, turn.at_ms);
    messages.extend(ends);
    let children = children::of(session, run, turn.births, turn.at_ms);
    let body = body_of(&turn.events);
    run.bytes += body.len() * 2;
    let (consumed, replies) = (consumed(&origins), updates::replies(run.id, &turn.updates, turn.at_ms));
    let quiet = messages.is_empty() && replies.is_empty();
    let idle = row.is_none() && consumed.is_empty() && changes.is_empty() && quiet;
    let nothing = turn.events.is_empty() && turn.attempts.is_empty() && idle;
    let close = turn.events.last().filter(|_| closes).cloned();
    let begins = begins(session, run, turn.events.first());
    after.rev += i64::from(row.is_some() || closes);
    let next = successor.as_ref().filter(|next| next.owned).map(|next| (next.id, next.due_ms));
    let append = Append {
        rev: Some(run.row.rev),
        seq: turn.seq,
        n: u32::try_from(turn.events.len()).unwrap_or(u32::MAX),
        body,
        row,
        close: close.as_ref().map(close_of),
        consumed,
        messages,
        dispatches: dispatches(run.id, turn.seq, &turn.events),
        children,
        report: close.as_ref().and_then(|close| report_to(run, close)),
        scheduled: closes && run.row.scheduled,
        orphans: closes && run.exec().is_some_and(Execution::had_children),
        tasks: changes,
        attempts: turn.attempts.iter().map(AttemptChange::from).collect(),
        replies,
        successor: successor.map(Box::new),
        published,
        ..Append::bare(session.me, run.id, turn.at_ms)
    };
    let in_flight = InFlight {
        born: append.owned_children(),
        next,
        actions: here,
        origins,
        row: Some(after),
        close,
        updates: turn.updates,
        news: News { begins, failures: turn.failures },
        bears: append.bears(),
        ..InFlight::of(turn.standing)
    };
    ((!nothing).then_some(append), in_flight)
}

/// Whether the run begins in this turn. A test environment limits the attempts of one wait.
fn begins(session: &Session, run: &Run, first: Option<&Event>) -> bool {
    let Some(Event::Started { context, .. }) = first else { return false };
    if let (Some(test), 1..) = (session.abide.host().test(), context.failed_runs) {
        test.workflow_begins_again(&run.names.workflow_id, context.failed_runs);
    }
    true
}

/// The inbox rows of these inputs: the append deletes them.
fn consumed(origins: &[Pending]) -> Vec<i64> {
    let rows = origins.iter().filter_map(|origin| origin.row);
    rows.filter(|_| !mutant!(ForgetInboxDelete)).collect()
}

/// The messages that these events of a run send to other workflows. `seq`: the number of the first event.
fn dispatches(run: ExecutionId, seq: EventId, events: &[Event]) -> Vec<Dispatch> {
    let address = |to: &Recipient| match to {
        Recipient::Workflow(name) => Address::Name(name.clone()),
        Recipient::Child(no) => Address::Child { parent: run, no: *no },
    };
    let of = |(number, event): (u64, &Event)| {
        let (to, kind, body, answered) = match event {
            Event::SignalSent { to, name, input } => {
                let body = to_json(&SignalBody { name: name.clone(), input: input.clone() });
                (address(to), MessageKind::Signal, body, true)
            }
            Event::CancelSent { to, reason } => {
                (address(to), MessageKind::Cancel, to_json(&CancelBody { reason: reason.clone() }), true)
            }
            // The call of the child was dropped: nothing waits for an answer. An unborn child needs no message.
            Event::ChildCancelRequested { child, unborn: false } => {
                let reason = "its parent does not wait for it any more".to_owned();
                let to = Address::Child { parent: run, no: *child };
                (to, MessageKind::Cancel, to_json(&CancelBody { reason }), false)
            }
            _ => return None,
        };
        Some(Dispatch { command: EventId(number), to, kind, body, answered })
    };
    (seq.0..).zip(events).filter_map(of).collect()
}

/// If an activity has lost this many attempts in a row, only its own outcome counts as progress.
const LOST_IN_A_ROW: u32 = 3;

/// Whether this turn shows that the execution did not kill its owners: something ended, or nothing runs any
/// more. Other work beside an activity that never survives does not count, or the execution would never be
/// suspended.
fn progress(run: &Run, turn: &Turn, origins: &[Pending]) -> bool {
    // Most executions have no crashes to reset.
    let Some(exec) = run.exec().filter(|_| run.row.crashes > 0) else { return false };
    // A timer fires once, so its append is as much progress as that of a completion.
    let ended = |event: &Event| matches!(event, Event::TimerFired { .. } | Event::Started { .. });
    let goes_on = turn.events.iter().any(ended)
        || origins.iter().any(|o| o.input.is_message() || matches!(o.input, Input::Attempt { .. }))
        || !exec.any_due(turn.at_ms);
    goes_on && exec.lost_in_a_row() < LOST_IN_A_ROW
}

/// The history length at which the log warns once: a fifth of the limits, as in Temporal.
const LONG_EVENTS: u64 = 10_240;
const LONG_BYTES: usize = 10 * 1024 * 1024;

fn warn_of_length(run: &mut Run) {
    let Some(exec) = run.exec().filter(|_| !run.warned) else { return };
    let (events, bytes) = (exec.history_len(), exec.history_bytes());
    if events < LONG_EVENTS && bytes < LONG_BYTES {
        return;
    }
    run.warned = true;
    let (names, mib) = (&run.names, bytes / (1024 * 1024));
    tracing::warn!(
        code = Code::HistoryTooLong.as_str(),
        "{}: the history of workflow {} ({}, run {}) has {events} events and {mib} MiB: at 51,200 events or 50 MiB \
         it is suspended; let a new workflow go on from its state before that",
        Code::HistoryTooLong,
        names.workflow_type,
        names.workflow_id,
        names.run_id
    );
}

/// A closed execution does not need the input. An outcome's row is deleted with the close. A message gets here only if
/// another run goes on: its row moves there, and a client that waits is told once the append is durable that it is not
/// taken in here.
fn refuse(run: &mut Run, origin: Pending, goes_on: bool, origins: &mut Vec<Pending>) {
    match (&origin.input, origin.row) {
        (Input::Attempt { .. }, _) => origins.push(origin),
        (_, row @ Some(_)) => run.mailbox.forget_row(row),
        (_, None) if goes_on => run.mailbox.inputs.push(origin),
        (_, None) => {
            if let Some(reply) = origin.reply {
                let workflow_id = run.names.workflow_id.to_string();
                let _ = reply.send(Err(crate::Error::ExecutionClosed { workflow_id }));
            }
        }
    }
}

/// What the turn did not take in: it is kept, or its senders are told. Returns the rows to write for it.
fn put_back(
    run: &mut Run,
    turn: &Turn,
    rest: Vec<Pending>,
    goes_on: bool,
    origins: &mut Vec<Pending>,
) -> Vec<NewMessage> {
    let mut messages = Vec::new();
    for origin in rest {
        match &turn.standing {
            Standing::Suspended(_) => keep(run, origin, turn.at_ms, &mut messages, origins),
            _ => refuse(run, origin, goes_on, origins),
        }
    }
    messages
}

/// A suspended run keeps the inputs that it could not take in: inbox rows stay, the messages of the start stay in the
/// run's row, other inputs become rows.
fn keep(
    run: &mut Run,
    origin: Pending,
    at_ms: i64,
    messages: &mut Vec<NewMessage>,
    origins: &mut Vec<Pending>,
) {
    if origin.is_first() {
        return;
    }
    if origin.row.is_some() {
        run.mailbox.forget_row(origin.row);
    } else if let Some(message) = message_of(run.id, origin.input.clone(), at_ms) {
        messages.push(message);
        origins.push(origin);
    }
}

fn body_of(events: &[Event]) -> String {
    if events.is_empty() {
        return String::new();
    }
    serde_json::to_string(events).expect("events hold strings and encoded payloads, which always encode")
}

/// The change of the execution's row, and the row after it. On most turns the row does not change, which
/// saves an update. Memory takes the new row over once the append is durable, not before.
/// `first_left`: messages of its start are not taken in.
fn row_change(
    session: &Session,
    run: &Run,
    turn: &Turn,
    (progress, first_left): (bool, bool),
) -> (Option<RowChange>, RowState) {
    let Turn { standing, events, at_ms, .. } = turn;
    let (mut row, mut after, at_ms) = (RowChange::default(), run.row, *at_ms);
    match (standing, run.exec()) {
        (Standing::Open, Some(exec)) => {
            // Retries that are due now start once this append is durable. From then on a running attempt
            // makes the execution due.
            if exec.next_retry_ms(after.retried_ms).is_some_and(|due_ms| due_ms <= at_ms) {
                after.retried_ms = at_ms;
                row.retried_ms = Some(at_ms);
            }
            let Outlook { active, wake_at_ms: next } = exec.outlook(at_ms);
            let past = after.wake_ms.is_some_and(|at| at <= at_ms);
            let sooner = next.is_some_and(|next| after.wake_ms.is_none_or(|at| next < at));
            // Clear a time that has passed, even if no other time follows: after a takeover the execution
            // would be claimed at once, for nothing. If an activity runs, the execution is due anyway.
            if sooner || past && (next.is_some() || !active) {
                after.wake_ms = next;
                row.wake_at_ms = Some(next);
            }
            if active != after.active && !mutant!(ForgetActive) {
                after.active = active;
                row.active = Some(active);
            }
        }
        (Standing::Suspended(reason), _) => {
            row = suspension(session, (run.id, &run.names, run.exec()), reason, at_ms);
            // Its retries that are due start as well. If the row did not say so, the next owner would start the same
            // attempt again (PROTOCOL 4).
            let retry = |action: &Action| match action {
                Action::Start(start) => start.not_before_ms.filter(|due_ms| *due_ms <= at_ms),
                _ => None,
            };
            if turn.actions.iter().any(|action| retry(action).is_some()) && !mutant!(RetryUnnoted) {
                after.retried_ms = at_ms;
                row.retried_ms = Some(at_ms);
            }
        }
        (Standing::Closed, _) | (Standing::Open, None) => {}
    }
    if progress {
        after.crashes = 0;
        row.reset_crashes = true;
        after.offered = false;
    }
    let unhandled = *standing == Standing::Open && run.exec().is_some_and(Execution::has_unhandled);
    if unhandled && !after.offered {
        after.offered = true;
        row.offered_by = Some(session.options.build.clone());
    }
    let noted = |event: &Event| matches!(event, Event::Recovered { .. } | Event::Started { .. });
    if after.recovered && events.iter().any(noted) {
        after.recovered = false;
        row.clear_recovered = true;
    }
    if after.has_context && !events.is_empty() && !first_left {
        after.has_context = false;
        row.begins = true;
    }
    ((row != RowChange::default()).then_some(row), after)
}

/// A run's end as its parent or its schedule is told. A schedule is told the message of a failure.
pub(super) fn report_to(run: &Run, close: &Event) -> Option<String> {
    match (run.row.scheduled, run.exec()) {
        (true, _) => close.child_end().map(|end| match end {
            ChildEnd::Failed(failure) => to_json(&Some(failure.message)),
            _ => "null".to_owned(),
        }),
        (false, Some(exec)) if !exec.is_child() => None,
        // Nothing is told where the row has no parent.
        (false, _) => close.child_end().map(|end| to_json(&end)),
    }
}

/// The close that an event is.
pub(super) fn close_of(event: &Event) -> Close {
    let status = match event {
        Event::Completed { .. } => ExecutionStatus::Completed,
        Event::Cancelled { .. } => ExecutionStatus::Cancelled,
        Event::Terminated { .. } => ExecutionStatus::Terminated,
        Event::TimedOut { .. } => ExecutionStatus::TimedOut,
        Event::ContinuedAsNew { .. } => ExecutionStatus::ContinuedAsNew,
        _ => ExecutionStatus::Failed,
    };
    let kind = match status {
        _ if event.next_run().is_some() => CloseKind::HandedOn,
        _ if event.is_end_without_code() => CloseKind::Discarded,
        _ => CloseKind::Drained,
    };
    Close { kind, status, result: serde_json::to_string(event).expect("an event always encodes") }
}

/// The row of a suspended execution. The suspension is logged as well.
pub(super) fn suspension(
    session: &Session,
    (execution, names, exec): (ExecutionId, &Names, Option<&Execution>),
    reason: &exec::Suspension,
    at_ms: i64,
) -> RowChange {
    let at = reason.site.as_ref().map(|site| format!(" at {site}")).unwrap_or_default();
    let message = format!(
        "workflow {} ({}, run {}) is suspended{at}: {}",
        names.workflow_type,
        names.workflow_id,
        names.run_id,
        reason.told(session.options.shows_values)
    );
    tracing::error!(code = reason.code, "{}: {message}", reason.code);
    let here = !session.attempts.of(execution).is_empty();
    let active = here || exec.is_some_and(Execution::has_activities);
    RowChange {
        status: Some(ExecutionStatus::Suspended),
        active: Some(active),
        suspension: Some(Suspension {
            code: reason.code.clone(),
            message,
            site: reason.site.clone(),
            // An unknown type does not depend on the build: every worker that has the type may take the
            // execution.
            build: if reason.code == Code::UnknownWorkflow {
                String::new()
            } else {
                session.options.build.clone()
            },
            other_builds: !NOT_THE_BUILDS.iter().any(|code| reason.code == *code),
            at_ms,
        }),
        ..RowChange::default()
    }
}
