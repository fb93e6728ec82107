//! Group commit of appends, whatever the database: what to do with a batch, and when it fails.
//!
//! A batch is all or nothing. An error that names a reason (a lost lease, a message at a close, a refused
//! row) is traced to its append by halving, so that only that append is refused (PROTOCOL 11). An error that
//! names none is *unknown*: the journal is read back on a fresh connection before anybody is told anything
//! (PROTOCOL 8). Locks and full disks are waited out, by tokio's clock, so that a simulation can have its
//! own. Nothing here ever decides what becomes of a workflow.

use super::decide::{Concerned, Notices};
use super::failure::{Failed, Kind};
use super::{Ack, Append, AppendOutcome, Counters, ExecutionRow, StartAnswer, StoreError};
#[cfg(any(feature = "postgres", feature = "testing"))]
use abide_core::Code;
use abide_core::ExecutionId;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;
use tokio::time::Instant;

/// Appends on their way, each with who waits for it.
pub(crate) type Group = Vec<(Append, Ack)>;

/// A batch that is in, but for these.
#[derive(Clone, Debug, Default)]
pub(crate) struct Committed {
    /// Starts whose ids are taken.
    pub(crate) missing: HashSet<ExecutionId>,
    /// Closes that a message forbids: left out of the batch.
    pub(crate) conflicts: HashSet<ExecutionId>,
    /// Left out of the batch: another session holds what they need, or the batch sends a message to what they close.
    pub(crate) locked: HashSet<ExecutionId>,
    /// Left out of the batch, which was full.
    pub(crate) over: HashSet<ExecutionId>,
    /// Whom the batch concerns. `None`: unknown, since its answer was lost.
    pub(crate) concerned: Option<Concerned>,
}

impl Committed {
    /// Whether the batch leaves this one out.
    #[cfg(any(feature = "postgres", feature = "testing"))]
    pub(crate) fn leaves_out(&self, id: ExecutionId) -> bool {
        [&self.conflicts, &self.locked, &self.over].iter().any(|out| out.contains(&id))
    }
}

/// How often a close is put off before it waits for its row on its own connection.
pub(crate) const PATIENCE: u32 = 5;
/// The first delay of an append that is put off, in ms; it doubles with each try.
const FIRST_DELAY_MS: u64 = 10;
/// The longest.
const LONGEST_DELAY_MS: u64 = 500;

/// The delay before an append is tried again, after so many tries: 10 ms, doubled up to 500 ms, each spread
/// by a quarter either way. Two guards that skip each other's rows would meet again and again without the
/// spread; it is taken from the execution's id, so that a simulation repeats it.
#[cfg_attr(not(any(feature = "postgres", feature = "testing")), allow(dead_code))] // SQLite has one writer
pub(crate) fn put_off(append: &Append) -> Duration {
    let doubled = FIRST_DELAY_MS << append.tries.saturating_sub(1).min(6);
    let delay = doubled.min(LONGEST_DELAY_MS) * 1_000;
    let mut hasher = DefaultHasher::new();
    (append.execution, append.tries).hash(&mut hasher);
    Duration::from_micros(delay * 3 / 4 + hasher.finish() % (delay / 2 + 1))
}

/// Whether it is a close that waits for its row by itself from now on.
#[cfg_attr(not(any(feature = "postgres", feature = "testing")), allow(dead_code))] // SQLite has one writer
pub(crate) fn waits_alone(append: &Append) -> bool {
    append.tries >= PATIENCE && append.closes_row() && !mutant!(CloseStarves)
}

/// Waits for a lock or for room on a server: others go on meanwhile.
#[cfg(any(feature = "postgres", feature = "testing"))]
pub(crate) async fn wait_out(name: &str, kind: Kind, since: Instant) {
    if since.elapsed() > Duration::from_secs(1) {
        let code = if kind == Kind::Full { Code::DiskFull } else { Code::Aborted };
        tracing::warn!(code = code.as_str(), "the database `{name}` is not writing ({kind:?}); appends wait");
    }
    let pause = if kind == Kind::Full { 500 } else { 5 };
    tokio::time::sleep(Duration::from_millis(pause)).await;
}

/// How often an outcome is read back before it is called unknown.
const READ_BACKS: u32 = 5;

/// One writing connection, as the group commit drives it.
pub(crate) trait Committer {
    /// One batch, one transaction.
    async fn attempt(&mut self, group: &[(Append, Ack)]) -> Result<Committed, Failed>;
    /// A start whose id is taken: its policies decide, in a transaction of its own.
    async fn start_alone(&mut self, append: &Append) -> Result<AppendOutcome, Failed>;
    /// The incarnations that hold their leases.
    async fn alive(&mut self) -> Result<HashSet<i64>, Failed>;
    /// Those of these appends whose journal rows are in.
    async fn found(&mut self, appends: &[&Append]) -> Result<HashSet<ExecutionId>, StoreError>;
    /// Those of these appends whose execution's row still has the owner and the revision that they know.
    async fn unchanged(&mut self, appends: &[&Append]) -> Result<HashSet<ExecutionId>, StoreError>;
    /// Gives the connection up: nothing of it may still be on its way.
    async fn disconnect(&mut self);
    /// Waits a little for a lock or for room.
    async fn wait_out(&mut self, kind: Kind, since: Instant);
    /// Whether to give up on an obstacle that lasts: the store is closing.
    fn gives_up(&self, since: Instant) -> bool;
    /// Set once nothing may be written any more: the disk has failed, or the database is damaged (PROTOCOL 8).
    fn dead(&mut self) -> &mut Option<StoreError>;
    /// Nothing may be written any more.
    fn die(&mut self, error: &StoreError) {
        tracing::error!(code = error.code(), "{error}");
        *self.dead() = Some(error.clone());
    }
    /// Notifies those whom a commit concerns.
    fn notify(&mut self, notices: &Notices<'_>);
    /// Tries these again after [`put_off`]; a close that has been put off [`PATIENCE`] times waits for its
    /// row by itself, without holding up a batch (PROTOCOL 96).
    fn later(&mut self, group: Group);
    /// Notes how long a call took.
    fn took(&mut self, time: Duration);
    /// What is counted.
    fn counters(&self) -> &Counters;
}

/// Writes these appends and tells each what became of it.
pub(crate) async fn write<C: Committer>(to: &mut C, group: Group) {
    let since = Instant::now();
    let mut todo = vec![group];
    let mut broken = 0;
    while let Some(group) = todo.pop() {
        if let Some(dead) = to.dead() {
            tell(group, dead);
            continue;
        }
        let started = Instant::now();
        match to.attempt(&group).await {
            Ok(committed) => acknowledge(to, group, committed, &mut todo).await,
            Err(failed) => {
                Counters::add(&to.counters().retries, 1);
                broken += u32::from(failed.kind == Kind::Broken);
                settle(to, group, failed, since, broken, &mut todo).await;
            }
        }
        to.took(started.elapsed());
    }
}

fn count(counters: &Counters, appends: usize) {
    Counters::add(&counters.commits, 1);
    Counters::add(&counters.batches, 1);
    Counters::add(&counters.appends, appends as u64);
}

/// Tells a committed group. Starts that are not in are looked at one by one.
async fn acknowledge<C: Committer>(to: &mut C, group: Group, committed: Committed, todo: &mut Vec<Group>) {
    let Committed { missing, conflicts, locked, over, concerned } = committed;
    if !(conflicts.is_empty() && locked.is_empty()) {
        Counters::add(&to.counters().retries, 1);
    }
    let (mut done, mut absent, mut later) = (Vec::with_capacity(group.len()), Vec::new(), Vec::new());
    let mut next = Vec::new();
    for (mut append, ack) in group {
        let id = append.execution;
        if locked.contains(&id) {
            append.tries = append.tries.saturating_add(1);
            later.push((append, ack));
        } else if over.contains(&id) {
            next.push((append, ack));
        } else if append.starts() && missing.contains(&id) {
            absent.push((append, ack));
        } else if conflicts.contains(&id) {
            ack(Ok(AppendOutcome::Conflict));
        } else {
            done.push((append, ack));
        }
    }
    if !done.is_empty() {
        count(to.counters(), done.len());
        to.notify(&Notices::of(done.iter().map(|(append, _)| append), concerned.as_ref()));
    }
    for (_, ack) in done {
        ack(Ok(AppendOutcome::Done));
    }
    if !later.is_empty() {
        to.later(later);
    }
    if !next.is_empty() {
        todo.push(next);
    }
    for (append, ack) in absent {
        alone(to, append, ack, todo).await;
    }
}

/// A start whose id is taken.
async fn alone<C: Committer>(to: &mut C, mut append: Append, ack: Ack, todo: &mut Vec<Group>) {
    match to.start_alone(&append).await {
        Ok(AppendOutcome::Duplicate(StartAnswer::Known(row))) => ack(known(to, &append, row).await),
        Ok(outcome) => {
            if matches!(outcome, AppendOutcome::Done) {
                count(to.counters(), 1);
                to.notify(&Notices::of([&append], None));
            }
            ack(Ok(outcome));
        }
        // Somebody is in its way: the others need not wait for that.
        // Or the run that it was to end has written its next turn meanwhile, and is looked at again.
        Err(failed) if matches!(failed.kind, Kind::Busy | Kind::Duplicate) => {
            append.tries = append.tries.saturating_add(1);
            to.later(vec![(append, ack)]);
        }
        Err(failed) if matches!(failed.kind, Kind::Full | Kind::Broken) => {
            to.wait_out(failed.kind, Instant::now()).await;
            todo.push(vec![(append, ack)]);
        }
        Err(failed) => refuse(to, vec![(append, ack)], failed),
    }
}

/// What became of a start whose row is in already. An earlier try of the same start, whose answer was lost,
/// has put it there with a first turn of its own: only the journal tells whether it was this one.
async fn known<C: Committer>(
    to: &mut C,
    append: &Append,
    row: Box<ExecutionRow>,
) -> Result<AppendOutcome, StoreError> {
    let ours = match append.may_have_made(&row) {
        true => mutant!(TakeAnyTry) || !to.found(&[append]).await?.is_empty(),
        false => mutant!(KnownIsOwned) && row.id == append.execution,
    };
    Ok(if ours { AppendOutcome::Done } else { AppendOutcome::Duplicate(StartAnswer::Known(row)) })
}

/// Decides how a failed group goes on.
async fn settle<C: Committer>(
    to: &mut C,
    group: Group,
    failed: Failed,
    since: Instant,
    broken: u32,
    todo: &mut Vec<Group>,
) {
    match failed.kind {
        Kind::Busy | Kind::Full if to.gives_up(since) => tell(group, &failed.error),
        Kind::Busy | Kind::Full => {
            to.wait_out(failed.kind, since).await;
            todo.push(group);
        }
        Kind::Fenced => drop_fenced(to, group, todo).await,
        Kind::Broken if broken > READ_BACKS => tell(group, &failed.error),
        Kind::Broken => read_back(to, group, todo).await,
        Kind::Conflict | Kind::Lost | Kind::Duplicate | Kind::Refused if group.len() > 1 => {
            let mut first = group;
            let second = first.split_off(first.len() / 2);
            todo.push(second);
            todo.push(first);
        }
        Kind::Duplicate => look_at_duplicate(to, group, todo).await,
        _ => refuse(to, group, failed),
    }
}

/// What an append is told that has failed by itself. `None`: the failure was not its own, and the same again
/// may succeed.
pub(crate) fn verdict(failed: &Failed) -> Option<Result<AppendOutcome, StoreError>> {
    match failed.kind {
        Kind::Conflict => Some(Ok(AppendOutcome::Conflict)),
        Kind::Lost => Some(Ok(AppendOutcome::Lost)),
        Kind::Refused => Some(Ok(AppendOutcome::BadRow(failed.error.to_string()))),
        Kind::Fenced => Some(Err(StoreError::Fenced)),
        _ => None,
    }
}

/// An append that fails by itself, or a store that does.
fn refuse<C: Committer>(to: &mut C, group: Group, failed: Failed) {
    match verdict(&failed) {
        Some(verdict) => group.into_iter().for_each(|(_, ack)| ack(verdict.clone())),
        None => {
            if failed.error.is_fatal() {
                to.die(&failed.error);
            }
            tell(group, &failed.error);
        }
    }
}

/// Tells the appends of lost owners; the others go on.
async fn drop_fenced<C: Committer>(to: &mut C, group: Group, todo: &mut Vec<Group>) {
    let Ok(alive) = to.alive().await else { return todo.push(group) };
    let (rest, fenced): (Group, Group) =
        group.into_iter().partition(|(append, _)| alive.contains(&append.owner.0));
    tell(fenced, &StoreError::Fenced);
    if !rest.is_empty() {
        todo.push(rest);
    }
}

/// The journal has a row there: ours, from an attempt that was thought lost, or somebody else's.
async fn look_at_duplicate<C: Committer>(to: &mut C, group: Group, todo: &mut Vec<Group>) {
    for (append, ack) in group {
        match to.found(&[&append]).await {
            Ok(found) if !found.is_empty() => {
                to.notify(&Notices::of([&append], None));
                ack(Ok(AppendOutcome::Done));
            }
            Ok(_) if append.starts() => alone(to, append, ack, todo).await,
            Ok(_) => ack(Ok(AppendOutcome::Lost)),
            Err(error) => ack(Err(error)),
        }
    }
}

/// After an unknown outcome: one journal row of the group in means all are in. Without one, an append that
/// has no journal row is looked up by the revision of its execution's row: where that has changed, the append
/// is never sent again, since its first copy may be in (PROTOCOL 93).
async fn read_back<C: Committer>(to: &mut C, group: Group, todo: &mut Vec<Group>) {
    to.disconnect().await;
    if mutant!(AssumeCommitted) {
        return acknowledge(to, group, Committed::default(), todo).await;
    }
    let written: Vec<&Append> =
        group.iter().map(|(append, _)| append).filter(|append| append.n > 0).collect();
    let found = match to.found(&written).await {
        Ok(found) if found.is_empty() => return send_again(to, group, todo).await,
        Ok(found) => found,
        Err(error) => return tell(group, &error),
    };
    // What was left out of the batch has no row there either; asked again, it says so by itself.
    let absent = |append: &Append| append.n > 0 && !found.contains(&append.execution);
    let (again, group): (Group, Group) =
        group.into_iter().partition(|(append, _)| absent(append) && !append.starts());
    if !again.is_empty() {
        todo.push(again);
    }
    let missing = group.iter().filter(|(append, _)| absent(append)).map(|(append, _)| append.execution);
    let committed = Committed { missing: missing.collect(), ..Committed::default() };
    acknowledge(to, group, committed, todo).await;
}

/// None of these has a journal row: those that may be sent again are.
async fn send_again<C: Committer>(to: &mut C, group: Group, todo: &mut Vec<Group>) {
    let by_revision: Vec<&Append> =
        group.iter().map(|(append, _)| append).filter(|append| append.is_known_by_revision()).collect();
    let unchanged = match by_revision.is_empty() {
        true => None,
        false => match to.unchanged(&by_revision).await {
            Ok(unchanged) => Some(unchanged),
            Err(error) => return tell(group, &error),
        },
    };
    let may_be_in = |append: &Append| {
        append.is_known_by_revision()
            && unchanged.as_ref().is_some_and(|unchanged| !unchanged.contains(&append.execution))
    };
    let (lost, again): (Group, Group) = group.into_iter().partition(|(append, _)| may_be_in(append));
    for (_, ack) in lost {
        ack(Ok(AppendOutcome::Lost));
    }
    if !again.is_empty() {
        todo.push(again);
    }
}

/// Tells all of them the same error.
pub(crate) fn tell(group: Group, error: &StoreError) {
    for (_, ack) in group {
        ack(Err(error.clone()));
    }
}
