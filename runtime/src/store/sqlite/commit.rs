//! The SQLite side of the group commit: one batch, one call on the writer's connection.

use super::batch::Batch;
use super::failure::{kind, store_error};
use super::start;
use super::writer::Writer;
use crate::store::decide::{Concerned, Notices, Receivers, addresses};
use crate::store::failure::{Failed, Kind};
use crate::store::group::{self, Committed, Committer, Group};
use crate::store::{Ack, Address, Append, AppendOutcome, Counters, Stage, StartAnswer, StoreError};
use abide_core::{ExecutionId, Incarnation};
use sqlx::sqlite::SqliteRow;
use sqlx::{Executor, Row, SqliteConnection};
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::Instant;

/// What a batch gives back: the starts that are not in, and whom it concerns.
fn read(rows: &[SqliteRow]) -> (HashSet<ExecutionId>, Concerned) {
    let (mut missing, mut concerned) = (HashSet::new(), Concerned::default());
    for row in rows {
        match row.get::<Option<i64>, _>(0) {
            Some(start) => drop(missing.insert(ExecutionId(start))),
            None => concerned.add(row.get::<Option<i64>, _>(1).map(Incarnation), row.get(2)),
        }
    }
    (missing, concerned)
}

/// A batch with messages to other workflows: their receivers are found under the write lock.
async fn dispatch<'a>(
    connection: &mut SqliteConnection,
    appends: impl Iterator<Item = &'a Append> + Clone,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    connection.execute("BEGIN IMMEDIATE").await?;
    let receivers = look(connection, appends.clone()).await?;
    // No other session can hold a receiver.
    let resolved: Vec<Append> = appends.filter_map(|append| append.resolved(&receivers)).collect();
    let rows = connection.fetch_all(Batch::of(resolved.iter()).query(false)).await?;
    connection.execute("COMMIT").await?;
    Ok(rows)
}

/// Who is found under the addresses of these appends' messages.
async fn look<'a>(
    connection: &mut SqliteConnection,
    appends: impl Iterator<Item = &'a Append>,
) -> Result<Receivers, sqlx::Error> {
    const NAME: &str = "SELECT id FROM execution WHERE workflow_id = ? AND status < 10";
    const CHILD: &str = "SELECT id FROM execution WHERE parent = ? AND child_no = ? AND status < 10";
    let mut receivers = Receivers::default();
    for address in addresses(appends) {
        let query = match address {
            Address::Name(name) => sqlx::query_scalar::<_, i64>(NAME).bind(name),
            Address::Child { parent, no } => {
                sqlx::query_scalar(CHILD).bind(parent.0).bind(i64::try_from(no.0).unwrap_or(i64::MAX))
            }
        };
        let run = query.fetch_optional(&mut *connection).await?;
        run.into_iter().for_each(|run| receivers.locked(address.clone(), ExecutionId(run)));
    }
    Ok(receivers)
}

impl Committer for Writer {
    async fn attempt(&mut self, group: &[(Append, Ack)]) -> Result<Committed, Failed> {
        self.shared.fault(Stage::BeforeCommit)?;
        let appends = group.iter().map(|(append, _)| append);
        let rows = match self.connection().await {
            Ok(connection) if appends.clone().all(Append::is_resolved) => {
                connection.fetch_all(Batch::of(appends).query(true)).await
            }
            Ok(connection) => dispatch(connection, appends).await,
            Err(error) => Err(error),
        };
        match rows {
            Ok(rows) => {
                self.shared.fault(Stage::AfterCommit)?;
                let (missing, concerned) = read(&rows);
                Ok(Committed { missing, concerned: Some(concerned), ..Committed::default() })
            }
            Err(error) => {
                self.clean().await;
                Err(self.failed(error))
            }
        }
    }

    async fn start_alone(&mut self, append: &Append) -> Result<AppendOutcome, Failed> {
        let Some(new) = append.own_start() else { return Ok(AppendOutcome::Lost) };
        let outcome = async {
            let connection = self.connection().await?;
            connection.execute("BEGIN IMMEDIATE").await?;
            let (answer, ended) = start::decide(connection, new).await?;
            let outcome = match answer {
                StartAnswer::Started => {
                    let receivers = look(connection, std::iter::once(append)).await?;
                    let decided = append.decided().resolved(&receivers).unwrap_or_else(|| append.decided());
                    let batch = Batch::of([&decided].into_iter()).query(false);
                    let (missing, _) = read(&connection.fetch_all(batch).await?);
                    match missing.is_empty() {
                        true => AppendOutcome::Done,
                        // What was decided holds for as long as the write lock is held: nothing of it may stay.
                        false => {
                            connection.execute("ROLLBACK").await?;
                            let refused = AppendOutcome::BadRow("the start was refused twice".to_owned());
                            return Ok((refused, false));
                        }
                    }
                }
                answer => AppendOutcome::Duplicate(answer),
            };
            connection.execute("COMMIT").await?;
            Ok::<_, sqlx::Error>((outcome, ended))
        }
        .await;
        match outcome {
            Ok((outcome, ended)) => {
                // The owner of the run that was ended for it may be here.
                if ended {
                    self.shared.tick();
                    self.shared.tell_schedules();
                }
                Ok(outcome)
            }
            Err(error) => {
                self.clean().await;
                Err(self.failed(error))
            }
        }
    }

    async fn alive(&mut self) -> Result<HashSet<i64>, Failed> {
        let query = sqlx::query_scalar::<_, i64>("SELECT worker FROM lease WHERE slot = 0");
        let alive = match self.connection().await {
            Ok(connection) => query.fetch_all(connection).await,
            Err(error) => Err(error),
        };
        alive.map(|alive| alive.into_iter().collect()).map_err(|error| self.failed(error))
    }

    async fn found(&mut self, appends: &[&Append]) -> Result<HashSet<ExecutionId>, StoreError> {
        let mut found = HashSet::new();
        for append in appends {
            if self.is_in(append).await? {
                found.insert(append.execution);
            }
        }
        Ok(found)
    }

    async fn unchanged(&mut self, appends: &[&Append]) -> Result<HashSet<ExecutionId>, StoreError> {
        let path = self.shared.path.clone();
        let unknown = |error| store_error(&path, error, Duration::ZERO);
        let mut unchanged = HashSet::new();
        for append in appends {
            let query = "SELECT count(*) FROM execution WHERE id = ? AND owner = ? AND rev = ?";
            let query = sqlx::query_scalar::<_, i64>(query).bind(append.execution.0).bind(append.owner.0);
            let connection = self.connection().await.map_err(unknown)?;
            if query.bind(append.rev).fetch_one(connection).await.map_err(unknown)? == 1 {
                unchanged.insert(append.execution);
            }
        }
        Ok(unchanged)
    }

    async fn disconnect(&mut self) {
        self.drop_connection().await;
    }

    async fn wait_out(&mut self, kind: Kind, since: Instant) {
        self.pause(kind, since.into_std());
    }

    fn gives_up(&self, since: Instant) -> bool {
        self.shared.queue.is_closed() && since.elapsed() > self.shared.options.busy_timeout
    }

    fn dead(&mut self) -> &mut Option<StoreError> {
        &mut self.dead
    }

    fn notify(&mut self, notices: &Notices<'_>) {
        // Clients of this process hear of its own runs from their workers.
        let is_here = |owner: Incarnation| self.shared.life_locks().contains_key(&owner.0);
        if notices.concern_workers(is_here) || notices.askers.contains(&self.shared.block) {
            self.shared.tick();
        }
        notices.published.iter().for_each(|execution| self.shared.readers.tell(*execution));
        if notices.schedules {
            self.shared.tell_schedules();
        }
    }

    fn later(&mut self, group: Group) {
        if let Err(group) = self.shared.queue.again(group) {
            group::tell(group, &StoreError::Closed);
        }
    }

    fn took(&mut self, time: Duration) {
        self.shared.note_duration(time);
    }

    fn counters(&self) -> &Counters {
        &self.shared.counters
    }
}

impl Writer {
    fn failed(&self, error: sqlx::Error) -> Failed {
        Failed { kind: kind(&error), error: store_error(&self.shared.path, error, Duration::ZERO) }
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
