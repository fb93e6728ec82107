//! The control task: the leases, the locks that tell a death early, and the notifications, on connections of their own.
//!
//! Neither a long batch nor a full pool may keep a lease from being renewed. One connection renews, holds the
//! session's advisory locks (one for each worker of this process) and notifies; another only listens. When
//! one breaks it is opened again with a back-off; what was missed meanwhile is made good by a look at
//! everything.

use super::command::Command;
use super::connection::{self, no_answer};
use super::notification::Notification;
use super::shared::Shared;
use crate::store::StoreError;
use crate::store::patience::reconnect_after;
use abide_core::{ExecutionId, Incarnation};
use sqlx::PgConnection;
use sqlx::postgres::PgListener;
use std::collections::HashMap;
use std::sync::Weak;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// At most one notification in this time.
const NOTIFY_EVERY: Duration = Duration::from_millis(10);
/// Answer timeout: the server is gone, or the way to it. Two renewals must have room for it and for another
/// connection before a worker gives its lease up. A renewal that arrives after all does no harm.
const NO_ANSWER: Duration = Duration::from_secs(4);
/// How often the listener, when it hears nothing, asks whether anybody is there: in rounds of [`ROUND`].
const QUIET_ROUNDS: u32 = 3;
const ROUND: Duration = Duration::from_secs(5);

pub(super) const RENEW: &str =
    "UPDATE {s}.lease SET lease_until = {now} + $2, renewed_at = {now}, server = {server}
    WHERE worker = $1 RETURNING renewed_at";

/// Runs until the store is dropped.
pub(super) async fn run(shared: Weak<Shared>, mut commands: mpsc::UnboundedReceiver<Command>) {
    let mut control = ControlConnection::default();
    loop {
        let Some(strong) = shared.upgrade() else { return };
        let some = strong.pending.some.notified();
        tokio::pin!(some);
        tokio::select! {
            command = commands.recv() => match command {
                Some(command) => control.obey(&strong, command).await,
                None => return,
            },
            () = &mut some => {
                control.notify(&strong).await;
                // What comes meanwhile goes with the next one; commands do not wait for it.
                control.pause(&strong, &mut commands).await;
            }
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

/// The connection that renews and notifies.
#[derive(Default)]
struct ControlConnection {
    connection: Option<PgConnection>,
    /// When it last broke.
    broke: Option<Instant>,
    held: HashMap<Incarnation, i64>,
    /// Whether some of these locks are not had yet: the last connection's session may outlive it on the server.
    lacks: bool,
    failures: u32,
}

impl ControlConnection {
    /// Obeys commands until the next notification may go.
    async fn pause(&mut self, shared: &Shared, commands: &mut mpsc::UnboundedReceiver<Command>) {
        let until = tokio::time::Instant::now() + NOTIFY_EVERY;
        while let Ok(Some(command)) = tokio::time::timeout_at(until, commands.recv()).await {
            self.obey(shared, command).await;
        }
    }

    async fn obey(&mut self, shared: &Shared, command: Command) {
        match command {
            Command::Hold(worker, key, reply) => {
                self.held.insert(worker, key);
                let held = answered(async {
                    let had = hold(self.connection(shared).await?, key).await?;
                    self.lacks |= !had;
                    Ok(())
                });
                let held = held.await;
                drop(reply.send(held.map_err(|error| self.broken(shared, error))));
            }
            Command::Release(worker) => {
                let Some(key) = self.held.remove(&worker) else { return };
                let Some(connection) = self.connection.as_mut() else { return };
                let release = sqlx::query("SELECT pg_advisory_unlock($1)").bind(key).execute(connection);
                if let Err(error) = answered(release).await {
                    self.broken(shared, error);
                }
            }
            Command::Renew(worker, reply) => drop(reply.send(self.renew(shared, worker).await)),
            Command::HearsLocks(reply) => {
                // Whatever broke it may have broken everybody's, and they must have their time to come back.
                let calm = self.broke.is_none_or(|at| at.elapsed() > shared.options.lease);
                let _ = reply.send(self.connection.is_some() && calm);
            }
        }
    }

    async fn renew(&mut self, shared: &Shared, worker: Incarnation) -> Result<i64, StoreError> {
        let lease_ms = shared.options.lease.as_millis() as i64;
        let query = sqlx::query_scalar::<_, i64>(shared.sql.of(RENEW)).bind(worker.0).bind(lease_ms);
        let renewed = answered(async {
            let slots = query.fetch_all(self.connection(shared).await?).await?;
            if self.lacks {
                self.hold_all(shared).await?;
            }
            Ok(slots)
        });
        match renewed.await {
            Ok(slots) => slots.first().copied().ok_or(StoreError::Fenced),
            Err(error) => Err(self.broken(shared, error)),
        }
    }

    async fn notify(&mut self, shared: &Shared) {
        let Some(pending) = shared.pending.take() else { return };
        let payload = format!("p{},{pending}", shared.block);
        let query = sqlx::query("SELECT pg_notify($1, $2)").bind(channel(shared)).bind(payload);
        let told = answered(async { query.execute(self.connection(shared).await?).await.map(drop) });
        if let Err(error) = told.await {
            // Lost, and no harm: who should have heard it looks by itself within a second.
            self.broken(shared, error);
        }
    }

    async fn connection(&mut self, shared: &Shared) -> Result<&mut PgConnection, sqlx::Error> {
        if self.connection.is_none() {
            if self.failures > 0 {
                tokio::time::sleep(reconnect_after(self.failures)).await;
            }
            self.connection = Some(connection::connect(&shared.options.connect, "control").await?);
            Box::pin(self.hold_all(shared)).await?;
        }
        self.failures = 0;
        Ok(self.connection.as_mut().expect("just opened"))
    }

    /// All locks; those that it has already are not counted twice.
    async fn hold_all(&mut self, shared: &Shared) -> Result<(), sqlx::Error> {
        let keys: Vec<i64> = self.held.values().copied().collect();
        self.lacks = false;
        for key in keys {
            self.lacks |= !hold(self.connection(shared).await?, key).await?;
        }
        Ok(())
    }

    /// Gives the connection up; the next call opens another.
    fn broken(&mut self, shared: &Shared, error: sqlx::Error) -> StoreError {
        self.failures = self.failures.saturating_add(1);
        if self.connection.take().is_some() {
            self.broke = Some(Instant::now());
        }
        if is_timeout(&error) {
            shared.note_timeout();
        }
        let error = shared.error(error);
        tracing::warn!(code = error.code(), "the connection that renews leases broke: {error}");
        error
    }
}

/// False while this very process's last session lives on, at a server that has not noticed its end.
async fn hold(connection: &mut PgConnection, key: i64) -> Result<bool, sqlx::Error> {
    const HOLD: &str = "SELECT pg_try_advisory_lock($1) WHERE NOT EXISTS (
            SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory' AND objsubid = 1
                AND ((classid::bigint << 32) | objid::bigint) = $1)";
    let held = sqlx::query_scalar::<_, bool>(HOLD).bind(key).fetch_optional(connection).await?;
    Ok(held.unwrap_or(true))
}

/// The answer, unless there is none for too long: then the connection is not to be used again.
async fn answered<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let timed_out = |_| Err(no_answer(NO_ANSWER));
    tokio::time::timeout(NO_ANSWER, answer).await.unwrap_or_else(timed_out)
}

fn is_timeout(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut)
}

/// One channel for each schema.
pub(super) fn channel(shared: &Shared) -> String {
    format!("abide_{}", shared.sql.schema())
}

/// Listens until the store is dropped, and tells this process's workers and clients what concerns them.
pub(super) async fn listen(shared: Weak<Shared>) {
    let mut failures = 0;
    while let Some(strong) = shared.upgrade() {
        match listener(&strong).await {
            Ok(mut listener) => {
                failures = 0;
                // Whatever came before it listened.
                strong.tick();
                strong.tell_clients();
                strong.tell_schedules();
                drop(strong);
                hear(&shared, &mut listener).await;
            }
            Err(error) => {
                failures += 1;
                let error = strong.error(error);
                tracing::warn!(
                    code = error.code(),
                    "cannot listen for notifications: {error}; looking every second"
                );
                drop(strong);
            }
        }
        tokio::time::sleep(reconnect_after(failures)).await;
    }
}

async fn listener(shared: &Shared) -> Result<PgListener, sqlx::Error> {
    let options = connection::named(&shared.options.connect, "listener");
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(shared.options.busy_timeout)
        .connect_with(options)
        .await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(&channel(shared)).await?;
    Ok(listener)
}

/// Until the connection breaks or the store is gone.
async fn hear(shared: &Weak<Shared>, listener: &mut PgListener) {
    let mut quiet = 0;
    loop {
        let heard = tokio::time::timeout(ROUND, listener.try_recv()).await;
        let Some(shared) = shared.upgrade() else { return };
        match heard {
            Ok(Ok(Some(notification))) => take(&shared, notification.payload()),
            Ok(Ok(None) | Err(_)) => return,
            Err(_) => quiet += 1,
        }
        if quiet == QUIET_ROUNDS {
            quiet = 0;
            // Who hears nothing cannot tell a quiet server from one that is gone.
            if answered(sqlx::query("SELECT 1").execute(&mut *listener)).await.is_err() {
                return;
            }
        }
    }
}

fn take(shared: &Shared, payload: &str) {
    let (from, payload) = payload.split_once(',').unwrap_or(("", payload));
    if from == format!("p{}", shared.block) {
        return; // told here already
    }
    let Some(notifications) = Notification::read(payload) else {
        shared.tick();
        shared.tell_schedules();
        shared.readers.tell_all();
        return shared.tell_clients();
    };
    for notification in &notifications {
        if let Notification::Stream(run) = notification {
            shared.readers.tell(ExecutionId(*run));
        }
    }
    if notifications.iter().any(|notification| shared.is_news(notification)) {
        shared.tell_clients();
    }
    if notifications.iter().any(|notification| shared.concerns(notification)) {
        shared.tick();
    }
    if notifications.contains(&Notification::Schedules) {
        shared.tell_schedules();
    }
}
