//! The writer: a task of the process that takes whatever waits and commits it as one (PROTOCOL 7).
//!
//! What becomes of a batch is decided by the real group commit (`store/group.rs`). The task dies with its
//! process's runtime, the call that it was in does not: it is the server's.

use super::batch::{self, Written};
use super::call::{BUSY_TIMEOUT, NO_ANSWER, answered};
use super::guard::{self, Locks};
use super::locks::{Key, Mode};
use super::session::{Failure, Session, Style};
use super::shared::{NAME, Shared};
use super::start;
use super::statement::Statement;
use crate::store::decide::{DECISIONS, Ended, Notices, Notify, Receivers, addresses};
use crate::store::failure::{Failed, Kind};
use crate::store::group::{self, Committed, Committer, Group};
use crate::store::patience::Patience;
use crate::store::queue::Taken;
use crate::store::{Ack, Address, Append, AppendOutcome, Counters, Stage, StartAnswer, StoreError};
use abide_core::ExecutionId;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// How long a fresh connection is tried before an outcome is called unknown.
const RECONNECT: Duration = Duration::from_secs(15);
/// The calls by which a writer writes.
const WRITES: [&str; 2] = ["append", "start_alone"];

/// The writer of one process.
pub(super) struct Writer {
    shared: Arc<Shared>,
    dead: Option<StoreError>,
}

impl Writer {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), dead: None }
    }

    /// Until the queue is closed and empty.
    pub(super) async fn run(mut self) {
        loop {
            match self.shared.queue.take_now() {
                Taken::Finished => return,
                Taken::Appends(appends) if appends.is_empty() => self.shared.wake.notified().await,
                Taken::Appends(appends) => group::write(&mut self, appends).await,
            }
        }
    }
}

impl Writer {
    /// Looks at what earlier calls of this writer have come to, on a fresh connection.
    async fn look_back(
        &self,
        name: &'static str,
        look: impl Fn(&Statement<'_>) -> HashSet<ExecutionId> + Clone + Send + Sync + 'static,
    ) -> Result<HashSet<ExecutionId>, StoreError> {
        let mut patience = Patience::steady(RECONNECT, Duration::from_millis(100));
        loop {
            let look = look.clone();
            let seen = answered(&self.shared, NO_ANSWER, name, Style::Read, move |session| {
                Box::pin(async move {
                    session.after_earlier(&WRITES).await;
                    session.run(|st| Ok(look(st))).await
                })
            });
            match seen.await {
                Ok(seen) => return Ok(seen),
                Err(failure @ Failure::Unreachable) if !self.shared.queue.is_closed() => {
                    patience.again(failure.error(NAME)).await?;
                }
                Err(failure) => return Err(failure.error(NAME)),
            }
        }
    }
}

fn failed(failure: Failure) -> Failed {
    Failed { kind: failure.kind(), error: failure.error(NAME) }
}

/// One statement where nothing closes, else a transaction that begins with its locks.
async fn write_batch(
    session: &mut Session,
    appends: &[Append],
    locks: Option<Locks>,
) -> Result<(Committed, BTreeSet<ExecutionId>), Failure> {
    let Some(locks) = locks else {
        let all: Vec<&Append> = appends.iter().collect();
        let Written { born, concerned } = session.run(|st| batch::write(st, &all)).await?;
        return Ok((Committed { concerned: Some(concerned), ..Committed::default() }, born));
    };
    let mut guarded = guard::take(&locks, session).await?;
    let admitted = guarded.admit(appends, locks.closes());
    if admitted.is_empty() {
        return Ok((guarded.out, BTreeSet::new()));
    }
    let rest: Vec<&Append> = admitted.iter().map(AsRef::as_ref).collect();
    let Written { born, concerned } = session.run(|st| batch::write(st, &rest)).await?;
    Ok((Committed { concerned: Some(concerned), ..guarded.out }, born))
}

/// `None`: somebody else is about to start this workflow id.
async fn decide_alone(session: &mut Session, append: &Append) -> Result<Option<Alone>, Failure> {
    let Some(new) = append.own_start() else { return Ok(Some((AppendOutcome::Lost, Vec::new()))) };
    if !start::try_lock(session, new).await? {
        return Ok(None);
    }
    let mut all_ended = Vec::new();
    // The rows may have changed between the decision and the write: then the start is decided again.
    for _ in 0..DECISIONS {
        let (answer, ended) = start::decide(session, new).await?;
        all_ended.extend(ended);
        if !matches!(answer, StartAnswer::Started) {
            return Ok(Some((AppendOutcome::Duplicate(answer), all_ended)));
        }
        let mut receivers = Receivers::default();
        let addresses: Vec<&Address> = addresses(std::iter::once(append)).into_iter().collect();
        guard::look(&addresses, session, &mut receivers).await?;
        let Some(decided) = append.decided().resolved(&receivers) else { return Ok(None) };
        if !session.run(|st| batch::write(st, &[&decided])).await?.born.is_empty() {
            return Ok(Some((AppendOutcome::Done, all_ended)));
        }
    }
    let message = "its ids are taken and let go at the same moment".to_owned();
    Err(Failure::Raised(Kind::Busy, message))
}

/// What became of a start, and the runs that it has ended.
type Alone = (AppendOutcome, Vec<Ended>);

/// A close that waits for its row, and then looks whether a message is there (PROTOCOL 96). `None`: there is one.
async fn close_alone(session: &mut Session, append: &Append) -> Result<Option<()>, Failure> {
    session.run(|st| st.lock(Key::Execution(append.execution), Mode::Update)).await?;
    let Some(locks) = guard::locks(std::iter::once(append)) else { return Ok(None) };
    let mut guarded = guard::take(&locks, session).await?;
    let admitted = guarded.admit([append], locks.closes());
    if let Some(append) = admitted.first() {
        return session.run(|st| batch::write(st, &[append])).await.map(|_| Some(()));
    }
    match guarded.out.conflicts.contains(&append.execution) {
        true => Ok(None),
        false => Err(Failure::Raised(Kind::Busy, "a receiver is locked".to_owned())),
    }
}

/// Closes, or puts the append back into the queue, where the next try finds out whether it is in.
async fn close(shared: &Arc<Shared>, mut append: Append, ack: Ack) {
    let closing = append.clone();
    let closed = answered(shared, NO_ANSWER, "append", Style::Transaction, move |session| {
        Box::pin(async move { close_alone(session, &closing).await })
    });
    match closed.await {
        Ok(Some(())) => {
            let counters = &shared.counters;
            for count in [&counters.commits, &counters.batches, &counters.appends] {
                Counters::add(count, 1);
            }
            shared.notify(&Notices::of([&append], None));
            ack(Ok(AppendOutcome::Done));
        }
        Ok(None) => ack(Ok(AppendOutcome::Conflict)),
        Err(failure) => match group::verdict(&failed(failure)) {
            Some(verdict) => ack(verdict),
            None => {
                append.tries = append.tries.saturating_add(1);
                again(shared, append, ack);
            }
        },
    }
}

/// Queues an append again.
fn again(shared: &Shared, append: Append, ack: Ack) {
    match shared.queue.again(vec![(append, ack)]) {
        Ok(()) => shared.wake.notify_one(),
        Err(group) => group::tell(group, &StoreError::Closed),
    }
}

impl Committer for Writer {
    async fn attempt(&mut self, group: &[(Append, Ack)]) -> Result<Committed, Failed> {
        self.shared.fault(Stage::BeforeCommit)?;
        let appends: Vec<Append> = group.iter().map(|(append, _)| append.clone()).collect();
        let starts = appends.iter().filter(|append| append.starts());
        let mut missing: HashSet<ExecutionId> = starts.map(|append| append.execution).collect();
        let locks = guard::locks(appends.iter());
        let style = if locks.is_some() { Style::Transaction } else { Style::Once };
        let written = answered(&self.shared, NO_ANSWER, "append", style, move |session| {
            Box::pin(async move { write_batch(session, &appends, locks).await })
        });
        let (mut committed, born) = written.await.map_err(failed)?;
        self.shared.fault(Stage::AfterCommit)?;
        missing.retain(|id| !born.contains(id));
        committed.missing = missing;
        Ok(committed)
    }

    async fn start_alone(&mut self, append: &Append) -> Result<AppendOutcome, Failed> {
        let append = append.clone();
        let decided = answered(&self.shared, NO_ANSWER, "start_alone", Style::Transaction, move |session| {
            Box::pin(async move { decide_alone(session, &append).await })
        });
        match decided.await.map_err(failed)? {
            Some((outcome, ended)) => {
                self.shared.notify_ended(&ended);
                Ok(outcome)
            }
            // Held by a user's transaction, perhaps for long: it is tried again later and delays no other.
            None => {
                let message = "another transaction is about to start this workflow id".to_owned();
                Err(Failed { kind: Kind::Busy, error: StoreError::Conflicting { message } })
            }
        }
    }

    async fn alive(&mut self) -> Result<HashSet<i64>, Failed> {
        let alive = answered(&self.shared, NO_ANSWER, "alive", Style::Read, |session| {
            Box::pin(async move {
                session.run(|st| Ok(st.tables.leases.keys().map(|worker| worker.0).collect())).await
            })
        });
        alive.await.map_err(failed)
    }

    async fn found(&mut self, appends: &[&Append]) -> Result<HashSet<ExecutionId>, StoreError> {
        let keys = appends.iter().map(|append| (append.execution, append.seq, append.owner, append.at_ms));
        let keys: Vec<_> = keys.collect();
        self.look_back("found", move |st| {
            let there = keys.iter().filter(|(execution, seq, writer, at_ms)| {
                let turn = st.tables.journal.get(&(*execution, *seq));
                turn.is_some_and(|turn| turn.writer == *writer && turn.at_ms == *at_ms)
            });
            there.map(|(execution, ..)| *execution).collect()
        })
        .await
    }

    async fn unchanged(&mut self, appends: &[&Append]) -> Result<HashSet<ExecutionId>, StoreError> {
        let known = appends.iter().map(|append| (append.execution, append.owner, append.rev));
        let known: Vec<_> = known.collect();
        self.look_back("unchanged", move |st| {
            let same = known.iter().filter(|(execution, owner, rev)| {
                let execution = st.tables.executions.get(execution);
                execution.is_some_and(|e| e.row.owner == Some(*owner) && Some(e.row.rev) == *rev)
            });
            same.map(|(execution, ..)| *execution).collect()
        })
        .await
    }

    /// Each call has a connection of its own here.
    async fn disconnect(&mut self) {}

    async fn wait_out(&mut self, kind: Kind, since: Instant) {
        group::wait_out(NAME, kind, since).await;
    }

    fn gives_up(&self, since: Instant) -> bool {
        self.shared.queue.is_closed() && since.elapsed() > BUSY_TIMEOUT
    }

    fn dead(&mut self) -> &mut Option<StoreError> {
        &mut self.dead
    }

    fn notify(&mut self, notices: &Notices<'_>) {
        self.shared.notify(notices);
    }

    fn later(&mut self, group: Group) {
        for (append, ack) in group {
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move {
                tokio::time::sleep(group::put_off(&append)).await;
                match group::waits_alone(&append) {
                    true => close(&shared, append, ack).await,
                    false => again(&shared, append, ack),
                }
            });
        }
    }

    fn took(&mut self, _time: Duration) {}

    fn counters(&self) -> &Counters {
        &self.shared.counters
    }
}
/// Also runs if the task is dropped with its runtime: later callers are refused.
impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.queue.close();
        while let Taken::Appends(appends) = self.shared.queue.take_now() {
            group::tell(appends, &StoreError::Closed);
        }
        self.shared.ended.store(true, Ordering::Release);
        self.shared.end.notify_waiters();
        self.shared.tick();
        self.shared.tell_clients();
    }
}
