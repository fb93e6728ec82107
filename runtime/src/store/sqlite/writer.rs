//! The writer: one thread that owns the one connection that writes (PROTOCOL 7).
//!
//! It is a thread with its own runtime, not a task of the user's runtime: it must never be cancelled between sending
//! a batch and reading its answer, and user code that blocks a worker thread must not delay a commit. It takes
//! everything that waits, commits it, and acknowledges it; what arrives during a commit goes into the next. Between
//! commits it asks `PRAGMA data_version` whether another process has written (own commits do not count there).

use super::connection::connect_writer;
use super::failure::{kind, store_error};
use super::job::{Granted, Item, MAX_JOBS, Pause, Queued};
use super::shared::Shared;
use crate::store::Trouble;
use crate::store::failure::Kind;
use crate::store::group::{self, Committer};
use crate::store::owner::CHANGE_POLL;
use crate::store::queue::{Taken, Turn};
use crate::store::{Counters, Stage, StoreError};
use abide_core::Code;
use sqlx::{Connection, Executor, SqliteConnection};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// How long the writer still waits after a transaction's time limit: the body is dropped at its next await.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// The writer's state. Only its thread touches it.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    connection: Option<SqliteConnection>,
    data_version: Option<i64>,
    /// Set once the disk has failed. Nothing is written after that.
    pub(super) dead: Option<StoreError>,
}

/// Starts the writer's thread. It ends when the queue is closed and empty.
pub(super) fn spawn(shared: Arc<Shared>, connection: SqliteConnection) -> Result<(), StoreError> {
    let path = shared.path.display().to_string();
    let failed = |error: std::io::Error| StoreError::Open {
        path: path.clone(),
        message: format!("the writer's thread did not start: {error}"),
        source: Some(Arc::new(error)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
    let writer = Writer { shared, connection: Some(connection), data_version: None, dead: None };
    let main = move || runtime.block_on(writer.run());
    std::thread::Builder::new().name("abide-writer".to_owned()).spawn(main).map_err(failed)?;
    Ok(())
}

impl Writer {
    async fn run(mut self) {
        let mut next_poll = Instant::now();
        loop {
            let Taken::Appends(appends) = self.shared.queue.take(Turn::First, Some(next_poll)) else { break };
            if !appends.is_empty() {
                group::write(&mut self, appends).await;
            }
            self.do_items().await;
            if Instant::now() >= next_poll {
                self.poll_changes().await;
                next_poll = Instant::now() + CHANGE_POLL;
            }
        }
        if let Some(connection) = self.connection.take() {
            // Closing the last connection checkpoints the WAL into the file. If that fails, the next open does it.
            drop(connection.close().await);
        }
    }

    /// The connection. It is opened again after an error.
    pub(super) async fn connection(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        if self.connection.is_none() {
            self.connection = Some(connect_writer(&self.shared.path).await?);
            // A new connection counts versions differently, so commits of others meanwhile are assumed.
            self.data_version = None;
            self.shared.tick();
        }
        Ok(self.connection.as_mut().expect("just opened"))
    }

    /// Rolls back a transaction that a failed call has left open. If that fails too, drops the connection.
    pub(super) async fn clean(&mut self) {
        let Some(connection) = self.connection.as_mut() else { return };
        match connection.execute("ROLLBACK").await {
            Ok(_) => {}
            Err(error) if error.to_string().contains("no transaction is active") => {}
            Err(_) => self.drop_connection().await,
        }
    }

    /// Drops the connection and waits for its thread, so that no call of it is still under way.
    pub(super) async fn drop_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.close().await);
        }
    }

    /// Runs the waiting calls together, or one attempt's transaction, whichever is first in the queue.
    async fn do_items(&mut self) {
        let calls = self.shared.queue.take_jobs(MAX_JOBS, |item| matches!(item, Item::Call(_)));
        let calls: Vec<Queued> = calls.into_iter().filter_map(Item::into_call).collect();
        if !calls.is_empty() {
            self.do_jobs(calls).await;
        }
        for item in self.shared.queue.take_jobs(1, |item| matches!(item, Item::Pause(_))) {
            if let Item::Pause(pause) = item {
                self.let_in(pause).await;
            }
        }
    }

    /// Writes nothing while an attempt's transaction lasts, at most until its time limit.
    async fn let_in(&mut self, pause: Pause) {
        if let Some(dead) = self.dead.clone() {
            return Item::Pause(pause).refuse(dead);
        }
        let (since, limit) = (Instant::now(), self.shared.options.attempt_limit);
        let (back, mut released) = oneshot::channel();
        let cut_off = CancellationToken::new();
        if pause.grant.send(Ok(Granted { cut_off: cut_off.clone(), back })).is_err() {
            return;
        }
        let mut told = tokio::time::timeout(limit, &mut released).await;
        if told.is_err() {
            cut_off.cancel();
            told = tokio::time::timeout(ABORT_GRACE, released).await;
        }
        match told {
            Ok(Ok(error)) => self.die(&error),
            Ok(Err(_)) => {}
            Err(_) => tracing::warn!(
                code = Code::TransactionTooLong.as_str(),
                "{}: the transaction of an activity still holds the database, {} s after its time \
                 limit: does its body block the thread?",
                Code::TransactionTooLong,
                ABORT_GRACE.as_secs()
            ),
        }
        self.shared.note_duration(since.elapsed());
    }

    /// A lock or a full disk: waits a little, and refuses the calls whose patience is over.
    pub(super) fn pause(&mut self, kind: Kind, since: Instant) {
        self.shared.disturbed();
        let (pause, error) = self.shared.obstacle(kind, since.elapsed());
        if since.elapsed() > Duration::from_secs(1) {
            tracing::warn!(code = error.code(), "{error}; appends wait");
        }
        let limit = self.shared.options.busy_timeout;
        for late in self.shared.queue.take_jobs(usize::MAX, |item| item.since().elapsed() >= limit) {
            late.refuse(error.clone());
        }
        std::thread::sleep(pause);
    }

    /// Runs jobs together in one transaction, each in a savepoint of its own, and answers them after the commit.
    async fn do_jobs(&mut self, mut jobs: Vec<Queued>) {
        if let Some(dead) = self.dead.clone() {
            return answer(jobs, &Err(dead));
        }
        if !self.begin(&mut jobs).await {
            return;
        }
        let mut done = Vec::with_capacity(jobs.len());
        for queued in jobs {
            match self.do_job(queued).await {
                Ok(queued) => done.push(queued),
                Err(()) => continue,
            }
        }
        let started = Instant::now();
        let committed = match self.shared.fail(Stage::BeforeCommit) {
            Err(error) => Err(error),
            Ok(()) => self.commit().await,
        };
        let outcome = match committed {
            Ok(()) => {
                Counters::add(&self.shared.counters.commits, 1);
                self.shared.fail(Stage::AfterCommit)
            }
            Err(error) => {
                self.clean().await;
                Err(error)
            }
        };
        if let Err(error @ StoreError::Io { .. }) = &outcome {
            self.die(&error.clone());
        }
        self.shared.note_duration(started.elapsed());
        answer(done, &outcome);
    }

    /// `BEGIN IMMEDIATE`. Waits for a lock as long as each caller's patience lasts. False: all were refused.
    async fn begin(&mut self, jobs: &mut Vec<Queued>) -> bool {
        let since = Instant::now();
        loop {
            let begun = match self.connection().await {
                Ok(connection) => connection.execute("BEGIN IMMEDIATE").await.map(drop),
                Err(error) => Err(error),
            };
            let Err(error) = begun else { return true };
            self.clean().await;
            let kind = kind(&error);
            if !matches!(kind, Kind::Busy | Kind::Full) {
                let error = store_error(&self.shared.path, error, since.elapsed());
                answer(std::mem::take(jobs), &Err(error));
                return false;
            }
            let limit = self.shared.options.busy_timeout;
            let (late, rest) =
                std::mem::take(jobs).into_iter().partition(|queued| queued.since.elapsed() >= limit);
            *jobs = rest;
            let (_, error) = self.shared.obstacle(kind, limit);
            answer(late, &Err(error));
            if jobs.is_empty() {
                return false;
            }
            self.pause(kind, since);
        }
    }

    /// One job in its savepoint. `Err`: it has been answered and nothing of it stays.
    async fn do_job(&mut self, mut queued: Queued) -> Result<Queued, ()> {
        let path = self.shared.path.clone();
        let Ok(connection) = self.connection().await else {
            queued.job.finish(Err(StoreError::Unknown { message: "the connection is gone".to_owned() }));
            return Err(());
        };
        let done: Result<(), Trouble> = async {
            connection.execute("SAVEPOINT job").await?;
            queued.job.run(connection).await?;
            connection.execute("RELEASE job").await?;
            Ok(())
        }
        .await;
        let Err(trouble) = done else { return Ok(queued) };
        // If this fails, the whole transaction is gone, and the commit will report it.
        drop(connection.execute("ROLLBACK TO job; RELEASE job").await);
        queued.job.finish(Err(match trouble {
            Trouble::Sql(error) => store_error(&path, error, Duration::ZERO),
            Trouble::Refused(error) => error,
        }));
        Err(())
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        let path = self.shared.path.clone();
        let unknown = |error| store_error(&path, error, Duration::ZERO);
        self.connection().await.map_err(unknown)?.execute("COMMIT").await.map(drop).map_err(unknown)
    }

    /// Whether another process has committed something.
    async fn poll_changes(&mut self) {
        if self.dead.is_some() {
            return;
        }
        let Ok(connection) = self.connection().await else { return };
        let version = sqlx::query_scalar::<_, i64>("PRAGMA data_version").fetch_one(connection).await.ok();
        if version != self.data_version && self.data_version.is_some() {
            self.shared.tick();
            // Perhaps another process has published.
            self.shared.readers.tell_all();
        }
        self.data_version = version;
    }
}

/// Also runs if the thread panicked: every waiting caller is answered, and later ones are refused.
impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.queue.close();
        while let Taken::Appends(appends) = self.shared.queue.take(Turn::First, Some(Instant::now())) {
            group::tell(appends, &StoreError::Closed);
            for item in self.shared.queue.take_jobs(usize::MAX, |_| true) {
                item.refuse(StoreError::Closed);
            }
        }
        // This process's workers can write nothing any more, so others may claim their work at once.
        self.shared.life_locks().clear();
        self.shared.closed.send_replace(true);
    }
}

/// Gives all of them the same answer.
fn answer(jobs: Vec<Queued>, outcome: &Result<(), StoreError>) {
    for queued in jobs {
        queued.job.finish(outcome.clone());
    }
}
