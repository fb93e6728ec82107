//! Detects workflow threads that block (PROTOCOL 25), and activities that block their threads.
//!
//! It runs on the engine's own thread, so that code which blocks the user's runtime cannot stop it.
//!
//! If [`REPORT_AFTER`] samples in a row see the same turn, the turn is reported with its await site. Its thread
//! is written off, and a new thread takes over all its other executions. The blocking execution is suspended
//! if it does not return in time, or if it blocks again. The watchdog counts samples, not seconds: a process
//! that was stopped and continues is not a blocked thread.

use super::attempts::Key;
use super::handle::{Busy, ThreadHandle};
use super::inputs::outcome_message;
use super::lock::lock;
use super::names::Names;
use super::session::Session;
use super::{compose, rounds};
use crate::activity::warn::Samples;
use crate::store::{Append, AppendOutcome, ExecutionRow, Find, StoreError};
use abide_core::exec::Suspension;
use abide_core::{Code, ExecutionId};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// In samples: 2 s at four samples a second.
const REPORT_AFTER: u32 = 8;
/// In samples: 10 s at four samples a second.
const SUSPEND_AFTER: u32 = 40;
/// More blocked threads than this end the worker: something is badly wrong, and memory is limited.
const MAX_BLOCKED: usize = 16;

/// A thread that was written off and has not yet returned.
struct Blocked {
    thread: Arc<ThreadHandle>,
    execution: ExecutionId,
    samples: u32,
}

/// Samples every thread until the session is over.
pub(super) async fn watch(session: Arc<Session>) {
    let mut seen: HashMap<usize, (u64, u32)> = HashMap::new();
    let mut blocked: Vec<Blocked> = Vec::new();
    let mut offences: HashMap<ExecutionId, u32> = HashMap::new();
    let mut bodies = Samples::default();
    while !session.is_over() {
        tokio::time::sleep(session.pace().threads).await;
        session.runner.sample(&mut bodies);
        for thread in session.threads() {
            if thread.panicked.load(Ordering::Acquire) {
                after_panic(&session, &thread).await;
                continue;
            }
            let Some(busy) = lock(&thread.busy).clone() else {
                seen.remove(&thread.index);
                continue;
            };
            let samples = match seen.get(&thread.index) {
                Some((turn, samples)) if *turn == busy.turn => samples + 1,
                _ => 1,
            };
            seen.insert(thread.index, (busy.turn, samples));
            if samples >= REPORT_AFTER {
                seen.remove(&thread.index);
                write_off(&session, &thread, &busy).await;
                *offences.entry(busy.execution).or_insert(0) += 1;
                blocked.push(Blocked { thread, execution: busy.execution, samples });
            }
        }
        if blocked.len() > MAX_BLOCKED {
            let reason = format!("{}: {MAX_BLOCKED} workflow threads are blocked", Code::ThreadBlocked);
            return session.finish(super::session::End::Fatal(reason));
        }
        blocked.retain_mut(|b| still_blocked(&session, b, offences.get(&b.execution).copied().unwrap_or(0)));
    }
}

/// Reports the turn, and moves all other executions of the thread to a new one.
async fn write_off(session: &Arc<Session>, thread: &Arc<ThreadHandle>, busy: &Busy) {
    let site = site_of(busy);
    tracing::error!(
        code = Code::ThreadBlocked.as_str(),
        execution = %busy.execution,
        "{}: a workflow has blocked its thread for more than 2 s, at {site}: workflow code must not wait, sleep \
         or compute for long; its other executions go on on a new thread",
        Code::ThreadBlocked
    );
    replace(session, thread, Some(busy.execution)).await;
}

/// Handles a panic outside of the guarded code (mostly in a `Drop` of workflow state): the execution that was
/// running is suspended, and the others continue.
async fn after_panic(session: &Arc<Session>, thread: &Arc<ThreadHandle>) {
    let culprit = lock(&thread.busy).take();
    replace(session, thread, culprit.as_ref().map(|busy| busy.execution)).await;
    if let Some(busy) = culprit {
        let mut reason = Suspension::new(Code::Panicked, "it panicked outside of its await points");
        reason.site = Some(site_of(&busy));
        suspend(session, busy.execution, reason);
    }
}

/// Replaces a thread that cannot be used any more. The new thread takes all its executions except the
/// culprit.
async fn replace(session: &Arc<Session>, thread: &Arc<ThreadHandle>, culprit: Option<ExecutionId>) {
    thread.written_off.store(true, Ordering::SeqCst);
    let fresh = rounds::spawn(session, thread.index);
    session.put_thread(thread.index, Arc::clone(&fresh));
    let mut moved = session.owned_by(thread);
    moved.retain(|id| Some(*id) != culprit);
    for execution in &moved {
        session.set_owned(*execution, Arc::clone(&fresh));
    }
    thread.gone.cancel();
    // The old thread's appends must be answered before its journals are read again.
    thread.all_answered().await;
    for execution in moved {
        session.name(execution, None);
    }
    // Executions that the old mailbox names: that mailbox may never be read.
    let mut named: Vec<_> = std::mem::take(&mut *lock(&thread.named)).into_iter().collect();
    named.sort_unstable_by_key(|(execution, _)| *execution);
    for (execution, permit) in named {
        session.name(execution, permit);
    }
}

fn site_of(busy: &Busy) -> String {
    busy.position.get().map_or_else(|| "a place before its first await".to_owned(), ToString::to_string)
}

/// Samples a written-off thread. False once it is settled.
fn still_blocked(session: &Arc<Session>, blocked: &mut Blocked, offences: u32) -> bool {
    let busy = lock(&blocked.thread.busy).clone().filter(|busy| busy.execution == blocked.execution);
    blocked.samples += 1;
    match busy {
        None if offences < 2 && blocked.samples < SUSPEND_AFTER => {
            // The thread came back. Its turn was discarded, and is run again where possible. Set the new
            // owner now, in case the new thread is written off before it reads the message.
            session.set_owned(blocked.execution, session.home_of(blocked.execution));
            session.name(blocked.execution, None);
            false
        }
        None => {
            suspend(session, blocked.execution, blocks(None));
            false
        }
        Some(busy) if blocked.samples == SUSPEND_AFTER => {
            suspend(session, blocked.execution, blocks(Some(site_of(&busy))));
            true
        }
        Some(_) => true,
    }
}

fn blocks(site: Option<String>) -> Suspension {
    let mut reason =
        Suspension::new(Code::ThreadBlocked, "its code blocked the workflow thread for more than 2 s");
    reason.site = site;
    reason
}

fn suspend(session: &Arc<Session>, execution: ExecutionId, reason: Suspension) {
    let session = Arc::clone(session);
    tokio::spawn(async move {
        let Some(row) = found(&session, execution).await else { return };
        if row.owner != Some(session.me) {
            return;
        }
        let at_ms = session.store().now_ms();
        let run = (execution, &Names::from(&row), None);
        let change = compose::suspension(&session, run, &reason, at_ms);
        let outcomes = session.attempts.outcomes(execution);
        let kept: Vec<_> = outcomes.iter().map(|(activity, attempt, _)| (*activity, *attempt)).collect();
        let messages = outcomes.into_iter().map(|outcome| outcome_message(execution, outcome, at_ms));
        let append = Append {
            messages: messages.collect(),
            row: Some(change),
            rev: Some(row.rev),
            ..Append::bare(session.me, execution, at_ms)
        };
        let ended = Arc::clone(&session);
        let ack = move |result: Result<AppendOutcome, StoreError>| {
            match &result {
                Ok(AppendOutcome::Done) => {
                    for (activity, attempt) in kept {
                        ended.attempts.settle(Key::Own(execution, activity), attempt);
                    }
                }
                // The outcomes stay until they are written. The comparison with the database finds the
                // execution's owner.
                Ok(_) => ended.doubtful.store(true, Ordering::Release),
                Err(error) => ended.failed(error),
            }
            ended.disown(execution);
            ended.hub().row_changed(execution);
        };
        session.store().submit(append, Box::new(ack));
    });
}

/// Reads the row of an execution, and retries storage errors: otherwise no worker would ever run it. `None`:
/// there is no such execution, or the session is over.
async fn found(session: &Session, execution: ExecutionId) -> Option<ExecutionRow> {
    while !session.is_over() {
        match session.store().find(Find::Execution(execution)).await {
            Ok(row) => return row,
            Err(error) => session.failed(&error),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    None
}

#[cfg(test)]
#[cfg(feature = "testing")]
#[path = "watchdog_tests.rs"]
mod tests;
