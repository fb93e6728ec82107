//! Watches for workflow threads that block (PROTOCOL 25), and for activities that block theirs.
//!
//! It runs on the engine's own thread: those who block the user's runtime must not keep it from looking.
//!
//! A turn that is seen on [`REPORT_AFTER`] looks in a row is reported with its await site; its thread is written off,
//! and a new one takes over all its other executions. The culprit is suspended where it does not return in time, or
//! blocks again. Looks are counted, not seconds: a process that was stopped and goes on is not a blocked thread.

use super::attempts;
use super::claims;
use super::handle::{Busy, ThreadHandle};
use super::load;
use super::session::{Session, lock};
use super::turn;
use crate::activity::warn::Looks;
use crate::store::{Append, AppendOutcome, StoreError};
use abide_core::ExecutionId;
use abide_core::exec::Suspension;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// 2 s, at four looks a second.
const REPORT_AFTER: u32 = 8;
/// 10 s.
const SUSPEND_AFTER: u32 = 40;
/// So many blocked threads end the worker: something is badly wrong, and memory is not endless.
const MAX_BLOCKED: usize = 16;

/// A thread that was written off and has not returned.
struct Blocked {
    thread: Arc<ThreadHandle>,
    execution: ExecutionId,
    looks: u32,
}

/// Looks at every thread until the session is over.
pub(super) async fn watch(session: Arc<Session>) {
    let mut seen: HashMap<usize, (u64, u32)> = HashMap::new();
    let mut blocked: Vec<Blocked> = Vec::new();
    let mut offences: HashMap<ExecutionId, u32> = HashMap::new();
    let mut bodies = Looks::default();
    while !session.is_over() {
        tokio::time::sleep(session.pace().threads).await;
        session.runner.look(&mut bodies);
        for thread in session.threads() {
            if thread.panicked.load(Ordering::Acquire) {
                after_panic(&session, &thread).await;
                continue;
            }
            let Some(busy) = lock(&thread.busy).clone() else {
                seen.remove(&thread.index);
                continue;
            };
            let looks = match seen.get(&thread.index) {
                Some((turn, looks)) if *turn == busy.turn => looks + 1,
                _ => 1,
            };
            seen.insert(thread.index, (busy.turn, looks));
            if looks >= REPORT_AFTER {
                seen.remove(&thread.index);
                write_off(&session, &thread, &busy).await;
                *offences.entry(busy.execution).or_insert(0) += 1;
                blocked.push(Blocked { thread, execution: busy.execution, looks });
            }
        }
        if blocked.len() > MAX_BLOCKED {
            let reason = format!("AB0208: {MAX_BLOCKED} workflow threads are blocked");
            return session.finish(super::session::End::Fatal(reason));
        }
        blocked.retain_mut(|b| still_blocked(&session, b, offences.get(&b.execution).copied().unwrap_or(0)));
    }
}

/// Reports the turn, and gives everything else of the thread to a new one.
async fn write_off(session: &Arc<Session>, thread: &Arc<ThreadHandle>, busy: &Busy) {
    let site = site_of(busy);
    tracing::error!(
        code = "AB0208",
        execution = %busy.execution,
        "AB0208: a workflow has blocked its thread for more than 2 s, at {site}: workflow code must not wait, sleep \
         or compute for long; its other executions go on on a new thread"
    );
    replace(session, thread, Some(busy.execution)).await;
}

/// Something panicked that is not guarded (a `Drop` of workflow state, mostly): the execution that was being run is
/// suspended, and the others go on.
async fn after_panic(session: &Arc<Session>, thread: &Arc<ThreadHandle>) {
    let culprit = lock(&thread.busy).take();
    replace(session, thread, culprit.as_ref().map(|busy| busy.execution)).await;
    if let Some(busy) = culprit {
        let mut reason = Suspension::new("AB0202", "it panicked outside of its await points");
        reason.site = Some(site_of(&busy));
        suspend(session, busy.execution, reason);
    }
}

/// A new thread takes the place of one that is of no use any more, and everything that it had but the culprit.
async fn replace(session: &Arc<Session>, thread: &Arc<ThreadHandle>, culprit: Option<ExecutionId>) {
    thread.written_off.store(true, Ordering::SeqCst);
    let fresh = session.replace_thread(thread);
    let mut moved = session.owned_by(thread);
    moved.retain(|id| Some(*id) != culprit);
    for execution in &moved {
        session.set_owned(*execution, Arc::clone(&fresh));
    }
    thread.gone.cancel();
    // What the old thread handed in is on disk before its journals are read again.
    thread.all_answered().await;
    for execution in moved {
        load::name(session, execution, None);
    }
    // What its mailbox named: nobody may ever read that.
    let mut named: Vec<_> = std::mem::take(&mut *lock(&thread.named)).into_iter().collect();
    named.sort_unstable_by_key(|(execution, _)| *execution);
    for (execution, permit) in named {
        load::name(session, execution, permit);
    }
}

fn site_of(busy: &Busy) -> String {
    busy.position.get().map_or_else(|| "a place before its first await".to_owned(), ToString::to_string)
}

/// One look at a written-off thread; false once it is settled.
fn still_blocked(session: &Arc<Session>, blocked: &mut Blocked, offences: u32) -> bool {
    let busy = lock(&blocked.thread.busy).clone().filter(|busy| busy.execution == blocked.execution);
    blocked.looks += 1;
    match busy {
        None if offences < 2 && blocked.looks < SUSPEND_AFTER => {
            // It came back: its turn was thrown away, and is run again where it can be. Its new thread has it from now on, should
            // that be written off before it hears of it.
            session.set_owned(blocked.execution, session.home_of(blocked.execution));
            load::name(session, blocked.execution, None);
            false
        }
        None => {
            suspend(session, blocked.execution, blocks(None));
            false
        }
        Some(busy) if blocked.looks == SUSPEND_AFTER => {
            suspend(session, blocked.execution, blocks(Some(site_of(&busy))));
            true
        }
        Some(_) => true,
    }
}

fn blocks(site: Option<String>) -> Suspension {
    let mut reason = Suspension::new("AB0208", "its code blocked the workflow thread for more than 2 s");
    reason.site = site;
    reason
}

fn suspend(session: &Arc<Session>, execution: ExecutionId, reason: Suspension) {
    let session = Arc::clone(session);
    tokio::spawn(async move {
        let Some(row) = load::found(&session, execution).await else { return };
        if row.owner != Some(session.me) {
            return;
        }
        let live = super::live::Live::claimed(&row);
        let at_ms = session.store().now_ms();
        let change = turn::suspension(&session, &live, &reason, at_ms);
        let outcomes = session.attempts.outcomes(execution);
        let kept: Vec<_> = outcomes.iter().map(|(activity, attempt, _)| (*activity, *attempt)).collect();
        let messages = outcomes.into_iter().map(|outcome| attempts::message(execution, outcome, at_ms));
        let append = Append {
            messages: messages.collect(),
            ..claims::bare(&session, execution, change, Some(row.rev))
        };
        let ended = Arc::clone(&session);
        let ack = move |result: Result<AppendOutcome, StoreError>| {
            match &result {
                Ok(AppendOutcome::Done) => {
                    for (activity, attempt) in kept {
                        ended.attempts.settle(execution, activity, attempt);
                    }
                }
                // The outcomes stay until they are written, and whoever has the run is found by the comparison with the database.
                Ok(_) => ended.doubtful.store(true, Ordering::Release),
                Err(error) => ended.failed(error),
            }
            ended.disown(execution);
            ended.hub().look(execution);
        };
        session.store().submit(append, Box::new(ack));
    });
}

#[cfg(test)]
#[cfg(feature = "testing")]
#[path = "watchdog_tests.rs"]
mod tests;
