//! Group commit of appends: one batch, one call; what to do when it fails.
//!
//! A batch is all or nothing. An error that names a reason (a lost lease, a message at a close, an attempt that is decided, a refused row) is
//! traced to its append by halving, so that only that append is refused (PROTOCOL 11). An error that names none is
//! *unknown*: the journal is read back on a fresh connection before anybody is told anything (PROTOCOL 8). Locks and
//! full disks are waited out. Nothing here ever decides what becomes of a workflow.

use super::batch::Batch;
use super::failure::{Kind, kind, store_error};
use super::start;
use super::writer::Writer;
use crate::store::{Ack, Append, AppendOutcome, Counters, Stage, StartAnswer, StoreError, TaskChange};
use sqlx::{Executor, Row};
use std::collections::HashSet;
use std::time::{Duration, Instant};

type Group = Vec<(Append, Ack)>;

/// A failed attempt.
struct Failed {
    kind: Kind,
    error: StoreError,
}

/// How often an outcome is read back before it is called unknown.
const READ_BACKS: u32 = 5;

impl Writer {
    /// Writes these appends and tells each what became of it.
    pub(super) async fn write(&mut self, group: Group) {
        let since = Instant::now();
        let mut todo = vec![group];
        let mut broken = 0;
        while let Some(group) = todo.pop() {
            if let Some(dead) = &self.dead {
                tell(group, &dead.clone());
                continue;
            }
            let started = Instant::now();
            match self.attempt(&group).await {
                Ok(missing) => {
                    self.count(group.len() - missing.len());
                    self.acknowledge(group, &missing, &mut todo).await;
                }
                Err(failed) => {
                    Counters::add(&self.shared.counters.retries, 1);
                    broken += u32::from(failed.kind == Kind::Broken);
                    self.settle(group, failed, since, broken, &mut todo).await;
                }
            }
            self.shared.note_duration(started.elapsed());
        }
    }

    /// One call. The ids of the starts that are not in.
    async fn attempt(&mut self, group: &[(Append, Ack)]) -> Result<HashSet<i64>, Failed> {
        if let Some(kind) = self.fault(Stage::BeforeCommit) {
            return Err(Failed { kind, error: self.injected(kind) });
        }
        let query = Batch::of(group.iter().map(|(append, _)| append)).query(true);
        let rows = match self.connection().await {
            Ok(connection) => connection.fetch_all(query).await,
            Err(error) => Err(error),
        };
        match rows {
            Ok(rows) => match self.fault(Stage::AfterCommit) {
                Some(kind) => Err(Failed { kind, error: self.injected(kind) }),
                None => Ok(rows.iter().map(|row| row.get(0)).collect()),
            },
            Err(error) => {
                self.clean().await;
                let kind = kind(&error);
                Err(Failed { kind, error: store_error(&self.shared.path, error, Duration::ZERO) })
            }
        }
    }

    fn count(&self, appends: usize) {
        let counters = &self.shared.counters;
        Counters::add(&counters.commits, 1);
        Counters::add(&counters.batches, 1);
        Counters::add(&counters.appends, appends as u64);
    }

    /// Tells a committed group. Starts that are not in are looked at one by one.
    async fn acknowledge(&mut self, group: Group, missing: &HashSet<i64>, todo: &mut Vec<Group>) {
        let mut sent = false;
        let mut absent = Vec::new();
        for (append, ack) in group {
            sent |= !append.messages.is_empty() || append.tasks.iter().any(TaskChange::is_news);
            if append.create.is_some() && missing.contains(&append.execution.0) {
                absent.push((append, ack));
            } else {
                ack(Ok(AppendOutcome::Done));
            }
        }
        if sent {
            self.shared.tick();
        }
        for (append, ack) in absent {
            match self.start_alone(&append).await {
                Ok(outcome) => ack(Ok(outcome)),
                Err(failed) if matches!(failed.kind, Kind::Busy | Kind::Full | Kind::Broken) => {
                    self.wait_out(failed.kind, Instant::now());
                    todo.push(vec![(append, ack)]);
                }
                Err(failed) => self.refuse(vec![(append, ack)], failed),
            }
        }
    }

    /// A start whose id is taken: its policies decide, in a transaction of its own.
    async fn start_alone(&mut self, append: &Append) -> Result<AppendOutcome, Failed> {
        let path = self.shared.path.clone();
        let failed = |error: sqlx::Error| Failed {
            kind: kind(&error),
            error: store_error(&path, error, Duration::ZERO),
        };
        let Some(new) = &append.create else { return Ok(AppendOutcome::Lost) };
        let outcome = async {
            let connection = self.connection().await?;
            connection.execute("BEGIN IMMEDIATE").await?;
            let outcome = match start::decide(connection, new).await? {
                StartAnswer::Started => {
                    let missing = connection.fetch_all(Batch::of([append].into_iter()).query(false)).await?;
                    match missing.is_empty() {
                        true => AppendOutcome::Done,
                        false => AppendOutcome::BadRow("the start was refused twice".to_owned()),
                    }
                }
                StartAnswer::Known(row) if row.id == new.id => AppendOutcome::Done,
                answer => AppendOutcome::Duplicate(answer),
            };
            connection.execute("COMMIT").await?;
            Ok::<_, sqlx::Error>(outcome)
        }
        .await;
        match outcome {
            Ok(outcome) => {
                if matches!(outcome, AppendOutcome::Done) {
                    self.count(1);
                }
                Ok(outcome)
            }
            Err(error) => {
                self.clean().await;
                Err(failed(error))
            }
        }
    }

    /// Decides how a failed group goes on.
    async fn settle(
        &mut self,
        group: Group,
        failed: Failed,
        since: Instant,
        broken: u32,
        todo: &mut Vec<Group>,
    ) {
        match failed.kind {
            Kind::Busy | Kind::Full => {
                if self.shared.queue.is_closed() && since.elapsed() > self.shared.options.busy_timeout {
                    return tell(group, &failed.error);
                }
                self.wait_out(failed.kind, since);
                todo.push(group);
            }
            Kind::Fenced => self.drop_fenced(group, todo).await,
            Kind::Broken if broken > READ_BACKS => tell(group, &failed.error),
            Kind::Broken => self.read_back(group, todo).await,
            Kind::Conflict | Kind::Lost | Kind::Duplicate | Kind::Refused if group.len() > 1 => {
                let mut first = group;
                let second = first.split_off(first.len() / 2);
                todo.push(second);
                todo.push(first);
            }
            Kind::Duplicate => self.look_at_duplicate(group).await,
            _ => self.refuse(group, failed),
        }
    }

    /// An append that fails by itself, or a store that does.
    fn refuse(&mut self, group: Group, failed: Failed) {
        let outcome = match failed.kind {
            Kind::Conflict => Ok(AppendOutcome::Conflict),
            Kind::Lost => Ok(AppendOutcome::Lost),
            Kind::Refused => Ok(AppendOutcome::BadRow(failed.error.to_string())),
            _ => {
                if failed.error.is_fatal() {
                    self.die(&failed.error);
                }
                return tell(group, &failed.error);
            }
        };
        for (append, ack) in group {
            // Letting go of what is gone already is what was wanted; it may be a repeated release.
            let let_go =
                append.n == 0 && append.row.as_ref().is_some_and(|row| row.release && row.status.is_none());
            match outcome {
                Ok(AppendOutcome::Lost) if let_go => ack(Ok(AppendOutcome::Done)),
                _ => ack(outcome.clone()),
            }
        }
    }

    /// Tells the appends of lost owners; the others go on.
    async fn drop_fenced(&mut self, group: Group, todo: &mut Vec<Group>) {
        let query = "SELECT worker FROM lease WHERE slot = 0";
        let alive = match self.connection().await {
            Ok(connection) => sqlx::query_scalar::<_, i64>(query).fetch_all(connection).await,
            Err(error) => Err(error),
        };
        let Ok(alive) = alive else { return todo.push(group) };
        let alive: HashSet<i64> = alive.into_iter().collect();
        let (rest, fenced): (Group, Group) =
            group.into_iter().partition(|(append, _)| alive.contains(&append.owner.0));
        tell(fenced, &StoreError::Fenced);
        if !rest.is_empty() {
            todo.push(rest);
        }
    }

    /// The journal has a row there: ours, from an attempt that was thought lost, or somebody else's.
    async fn look_at_duplicate(&mut self, group: Group) {
        for (append, ack) in group {
            match self.is_in(&append).await {
                Ok(true) => ack(Ok(AppendOutcome::Done)),
                Ok(false) => ack(Ok(AppendOutcome::Lost)),
                Err(error) => ack(Err(error)),
            }
        }
    }

    /// After an outcome that nobody told: one journal row of the group in means all are in.
    async fn read_back(&mut self, group: Group, todo: &mut Vec<Group>) {
        self.drop_connection().await;
        let mut found = HashSet::new();
        for (append, _) in group.iter().filter(|(append, _)| append.n > 0) {
            match self.is_in(append).await {
                Ok(true) => found.insert(append.execution),
                Ok(false) => continue,
                Err(error) => return tell(group, &error),
            };
        }
        if found.is_empty() {
            return todo.push(group);
        }
        self.count(group.len());
        let absent = |append: &Append| append.n > 0 && !found.contains(&append.execution);
        let missing = group.iter().filter(|(append, _)| absent(append)).map(|(append, _)| append.execution.0);
        let missing = missing.collect();
        self.acknowledge(group, &missing, todo).await;
    }

    /// Whether this append's journal row is in the database.
    async fn is_in(&mut self, append: &Append) -> Result<bool, StoreError> {
        let path = self.shared.path.clone();
        let unknown = |error| store_error(&path, error, Duration::ZERO);
        let query = "SELECT count(*) FROM journal WHERE execution = ? AND seq = ? AND writer = ? AND n = ? AND at = ?";
        let query = sqlx::query_scalar::<_, i64>(query)
            .bind(append.execution.0)
            .bind(append.seq.0 as i64)
            .bind(append.owner.0)
            .bind(i64::from(append.n))
            .bind(append.at_ms);
        let count = query.fetch_one(self.connection().await.map_err(unknown)?).await.map_err(unknown)?;
        Ok(count == 1)
    }
}

/// Tells all of them the same error.
fn tell(group: Group, error: &StoreError) {
    for (_, ack) in group {
        ack(Err(error.clone()));
    }
}
