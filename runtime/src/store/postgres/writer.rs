//! The writers: two threads, each with the one connection that it writes on (PROTOCOL 7).
//!
//! Threads with runtimes of their own, not tasks of the user's runtime: a batch is never cancelled between
//! its sending and its answer, and user code that blocks holds up no commit. The first takes whatever waits;
//! the second joins in under load, when two batches at once keep the server's cores busy. A batch without a
//! close is one statement; one with a close is begun by [`guard`], a round trip more for the locks and one
//! for the commit.

use super::alone::{self, PutOff};
use super::batch::{Batch, Written, write_batch};
use super::connection;
use super::failure::failed;
use super::guard;
use super::shared::{SLOTS, Shared};
use super::sql::SETTLE;
use super::start;
use crate::store::decide::{DECISIONS, Notices, Notify, addresses};
use crate::store::failure::{Failed, Kind};
use crate::store::group::{self, Committed, Committer, Group};
use crate::store::queue::{Taken, Turn};
use crate::store::{Ack, Append, AppendOutcome, Counters, Stage, StartAnswer, StoreError};
use abide_core::ExecutionId;
use sqlx::{Connection, Executor, PgConnection};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a start that ends another run waits for that run's row, which a user's open transaction may hold:
/// other appends wait meanwhile. It is put off then, and tried again.
const START_PATIENCE: &str = "SET LOCAL lock_timeout = '50ms'";
/// How long a broken connection is retried before an outcome is called unknown.
const RECONNECT: Duration = Duration::from_secs(15);
/// One writer. Everything here is touched by its thread only.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    slot: i16,
    connection: Option<PgConnection>,
    dead: Option<StoreError>,
    runtime: tokio::runtime::Handle,
}

/// Starts the writers' threads. They end when the queue is closed and empty.
pub(super) fn spawn(shared: &Arc<Shared>) -> Result<(), StoreError> {
    for slot in 0..SLOTS {
        let failed = |error: std::io::Error| StoreError::Open {
            path: shared.name.clone(),
            message: format!("a writer's thread did not start: {error}"),
            source: Some(Arc::new(error)),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let slot_number = i16::try_from(slot).unwrap_or(i16::MAX);
        let writer = Writer {
            shared: Arc::clone(shared),
            slot: slot_number,
            connection: None,
            dead: None,
            runtime: tokio::runtime::Handle::current(),
        };
        let turn = if slot == 0 { Turn::First } else { Turn::Second };
        let main = move || runtime.block_on(writer.run(turn));
        std::thread::Builder::new().name(format!("abide-writer-{slot}")).spawn(main).map_err(failed)?;
    }
    Ok(())
}

impl Writer {
    async fn run(mut self, turn: Turn) {
        while let Taken::Appends(appends) = self.shared.queue.take(turn, None) {
            if !appends.is_empty() {
                group::write(&mut self, appends).await;
            }
        }
        if let Some(connection) = self.connection.take() {
            drop(connection.close().await);
        }
    }

    /// The connection. It is opened again after an error.
    async fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        if self.connection.is_none() {
            let connected = connection::connect(&self.shared.options.connect, "writer").await;
            let mut connection = connected?;
            // The statements' shapes are few and their plans never depend on the numbers.
            connection.execute("SET plan_cache_mode = force_generic_plan").await?;
            self.connection = Some(connection);
        }
        Ok(self.connection.as_mut().expect("just opened"))
    }

    /// A connection, tried for as long as an outcome may stay open.
    async fn patient(&mut self) -> Result<&mut PgConnection, StoreError> {
        let since = Instant::now();
        while let Err(error) = self.connection().await.map(drop) {
            if since.elapsed() > RECONNECT || self.shared.queue.is_closed() {
                return Err(self.shared.error(error));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(self.connection.as_mut().expect("just opened"))
    }

    /// One statement where nothing closes, else a transaction.
    async fn send(&mut self, group: &[(Append, Ack)]) -> Result<Committed, sqlx::Error> {
        let (shared, slot) = (Arc::clone(&self.shared), self.slot);
        let locks = guard::locks(&shared, group.iter().map(|(append, _)| append));
        let connection = self.connection().await?;
        let Some(locks) = locks else {
            let batch = Batch::of(group.iter().map(|(append, _)| append));
            let written = write_batch(connection, &shared, batch, slot).await?;
            return Ok(committed(group, written, Committed::default()));
        };
        let mut guarded = guard::take(&locks, true, connection, &shared).await?;
        let rest = guarded.admit(group.iter().map(|(append, _)| append), locks.closes());
        if rest.is_empty() {
            connection.execute(sqlx::raw_sql("ROLLBACK")).await?;
            return Ok(guarded.out);
        }
        let batch = Batch::of(rest.iter().map(AsRef::as_ref));
        let written = write_batch(connection, &shared, batch, slot).await?;
        connection.execute(sqlx::raw_sql("COMMIT")).await?;
        Ok(committed(group, written, guarded.out))
    }

    /// After an error: whatever transaction is open ends. Where even that fails, the connection goes.
    async fn clean(&mut self, kind: Kind) {
        let Some(connection) = self.connection.as_mut() else { return };
        let ends = kind == Kind::Broken || connection.execute(sqlx::raw_sql("ROLLBACK")).await.is_err();
        if ends {
            self.disconnect().await;
        }
    }

    async fn failed(&mut self, error: sqlx::Error) -> Failed {
        let failed = failed(&self.shared.name, error);
        self.clean(failed.kind).await;
        failed
    }
}

fn committed(group: &[(Append, Ack)], written: Written, guarded: Committed) -> Committed {
    let Written { born, concerned } = written;
    let starts = group.iter().filter(|(append, _)| append.starts());
    let missing = starts.map(|(append, _)| append.execution).filter(|id| !born.contains(&id.0)).collect();
    Committed { missing, concerned: Some(concerned), ..guarded }
}

impl Committer for Writer {
    async fn attempt(&mut self, group: &[(Append, Ack)]) -> Result<Committed, Failed> {
        self.shared.fault(Stage::BeforeCommit)?;
        let shared = Arc::clone(&self.shared);
        match shared.answered(self.send(group)).await {
            Ok(committed) => self.shared.fault(Stage::AfterCommit).map(|()| committed),
            Err(error) => Err(self.failed(error).await),
        }
    }

    async fn start_alone(&mut self, append: &Append) -> Result<AppendOutcome, Failed> {
        let Some(new) = append.own_start() else { return Ok(AppendOutcome::Lost) };
        let (shared, slot) = (Arc::clone(&self.shared), self.slot);
        let outcome = shared.answered(async {
            let mut transaction = self.connection().await?.begin().await?;
            transaction.execute(START_PATIENCE).await?;
            // Held by a user's transaction, perhaps for long: it is tried again later and delays no other.
            if !start::try_lock(&mut transaction, &shared, new).await? {
                transaction.rollback().await?;
                return Ok(None);
            }
            let (mut all_ended, mut outcome) = (Vec::new(), None);
            // The rows may have changed between the decision and the write: then the start is decided again.
            for _ in 0..DECISIONS {
                let (answer, ended) = start::decide(&mut transaction, &shared, new).await?;
                all_ended.extend(ended);
                if !matches!(answer, StartAnswer::Started) {
                    outcome = Some(AppendOutcome::Duplicate(answer));
                    break;
                }
                let addresses = addresses(std::iter::once(append)).into_iter();
                let receivers = guard::look(addresses, &mut transaction, &shared).await?;
                let Some(decided) = append.decided().resolved(&receivers) else { break };
                let batch = Batch::of([&decided].into_iter());
                if !write_batch(&mut transaction, &shared, batch, slot).await?.born.is_empty() {
                    outcome = Some(AppendOutcome::Done);
                    break;
                }
            }
            if outcome.is_none() {
                transaction.rollback().await?;
                return Ok(None);
            }
            transaction.commit().await?;
            shared.notify_ended(&all_ended);
            Ok(outcome)
        });
        match outcome.await {
            Ok(Some(outcome)) => Ok(outcome),
            Ok(None) => {
                let message =
                    "another transaction is about to start this workflow id or request id".to_owned();
                Err(Failed { kind: Kind::Busy, error: StoreError::Conflicting { message } })
            }
            Err(error) => Err(self.failed(error).await),
        }
    }

    async fn alive(&mut self) -> Result<HashSet<i64>, Failed> {
        let (shared, slot) = (Arc::clone(&self.shared), self.slot);
        let query =
            sqlx::query_scalar::<_, i64>(shared.sql.of("SELECT worker FROM {s}.lease WHERE slot = $1"));
        let alive = shared.answered(async { query.bind(slot).fetch_all(self.connection().await?).await });
        match alive.await {
            Ok(alive) => Ok(alive.into_iter().collect()),
            Err(error) => Err(self.failed(error).await),
        }
    }

    async fn found(&mut self, appends: &[&Append]) -> Result<HashSet<ExecutionId>, StoreError> {
        const QUERY: &str = "SELECT j.execution FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
            AS a(execution, seq, writer, at)
            JOIN {s}.journal j ON j.execution = a.execution AND j.seq = a.seq AND j.writer = a.writer AND j.at = a.at";
        let shared = Arc::clone(&self.shared);
        let column = |of: fn(&Append) -> i64| appends.iter().map(|append| of(append)).collect::<Vec<i64>>();
        let query = sqlx::query_scalar::<_, i64>(shared.sql.of(QUERY))
            .bind(column(|append| append.execution.0))
            .bind(column(|append| i64::try_from(append.seq.0).unwrap_or(i64::MAX)))
            .bind(column(|append| append.owner.0))
            .bind(column(|append| append.at_ms));
        let connection = self.patient().await?;
        let found = shared.answered(async {
            let found = query.fetch_all(&mut *connection).await?;
            if !found.is_empty() {
                connection.execute(SETTLE).await?;
            }
            Ok(found)
        });
        match found.await {
            Ok(found) => Ok(found.into_iter().map(ExecutionId).collect()),
            Err(error) => Err(self.failed(error).await.error),
        }
    }

    async fn unchanged(&mut self, appends: &[&Append]) -> Result<HashSet<ExecutionId>, StoreError> {
        const QUERY: &str =
            "SELECT e.id FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS a(id, owner, rev)
            JOIN {s}.execution e ON e.id = a.id AND e.owner = a.owner AND e.rev = a.rev";
        let shared = Arc::clone(&self.shared);
        let column = |of: fn(&Append) -> i64| appends.iter().map(|append| of(append)).collect::<Vec<i64>>();
        let query = sqlx::query_scalar::<_, i64>(shared.sql.of(QUERY))
            .bind(column(|append| append.execution.0))
            .bind(column(|append| append.owner.0))
            .bind(column(|append| append.rev.unwrap_or(-1)));
        let connection = self.patient().await?;
        match shared.answered(query.fetch_all(connection)).await {
            Ok(unchanged) => Ok(unchanged.into_iter().map(ExecutionId).collect()),
            Err(error) => Err(self.failed(error).await.error),
        }
    }

    async fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            // The server ends what the connection was doing when it reads the end; no answer is waited for.
            drop(tokio::time::timeout(Duration::from_secs(1), connection.close()).await);
        }
    }

    async fn wait_out(&mut self, kind: Kind, since: tokio::time::Instant) {
        group::wait_out(&self.shared.name, kind, since).await;
    }

    fn gives_up(&self, since: tokio::time::Instant) -> bool {
        self.shared.queue.is_closed() && since.elapsed() > self.shared.options.busy_timeout
    }

    fn dead(&mut self) -> &mut Option<StoreError> {
        &mut self.dead
    }

    fn notify(&mut self, notices: &Notices<'_>) {
        self.shared.notify(notices);
    }

    fn later(&mut self, group: Group) {
        // On the store's thread, which ends after what is put off.
        for (append, ack) in group {
            self.runtime.spawn(alone::later(PutOff::new(&self.shared), self.slot, append, ack));
        }
    }

    fn took(&mut self, _time: Duration) {}

    fn counters(&self) -> &Counters {
        &self.shared.counters
    }
}
/// Also runs if the thread panicked: every waiting caller is answered, and later ones are refused.
impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.close();
        if self.slot == 0 {
            while let Taken::Appends(appends) = self.shared.queue.take(Turn::First, Some(Instant::now())) {
                group::tell(appends, &StoreError::Closed);
            }
        }
        self.shared.ended.send_modify(|ended| *ended += 1);
        self.shared.tick();
        self.shared.tell_clients();
    }
}
