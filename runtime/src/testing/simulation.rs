//! The engine in simulated processes: the internals that `tests/simulation` needs. Not part of the API.
//!
//! It offers a database whose calls take time and fail, and processes that the caller builds from tokio
//! runtimes with paused clocks, each with its own [`Abide`]. All run on one thread, so that one seed decides
//! everything.

use super::random::Random;
use crate::activity::ActivityContext;
use crate::client::journal;
use crate::future::BoxFuture;
use crate::host::{GivenUp, Host, Pace, TestHost};
use crate::store::memory::{Conditions, ConnectOptions, MemoryStore, Server, ServerOptions, Tables, Write};
use crate::store::{LEASE, Store};
use crate::{Abide, Client, Error};
use abide_core::exec::AttemptOutcome;
use abide_core::{Event, ExecutionId, FailureKind, FailureRecord, JournalRow};
use std::sync::Arc;
use tokio::runtime::Handle;

pub use crate::store::Fault;
pub use crate::store::memory::{Call, Course, End};

/// Decides what happens to calls and notifications, and observes commits.
pub trait Weather: Send + Sync {
    /// Decides what happens to this call.
    fn course(&self, call: &Call) -> Course;

    /// How long a notification takes. `None`: it is lost.
    fn notify_after(&self) -> Option<std::time::Duration>;

    /// Called when a transaction was committed.
    fn committed(&self, commit: &Commit<'_>);
}

/// One commit.
pub struct Commit<'c> {
    /// The call that made it.
    pub call: &'c Call,
    writes: &'c [Write],
    tables: &'c Tables,
}

/// A committed failed attempt that another attempt follows.
pub struct Failed {
    /// The run id of its execution.
    pub run_id: String,
    /// The number of the activity's event.
    pub activity: u64,
    /// The number of the attempt.
    pub attempt: u32,
    /// The kind of its failure.
    pub kind: FailureKind,
}

/// A committed turn.
pub struct Turn {
    /// The run id of its execution.
    pub run_id: String,
    /// When its execution was created: ms since the Unix epoch, by the database's clock.
    pub created_ms: i64,
    /// The number of its first event.
    pub first: u64,
    /// Its events.
    pub events: Vec<Event>,
}

impl Commit<'_> {
    /// The writes, one line each.
    pub fn lines(&self) -> Vec<String> {
        self.writes.iter().map(ToString::to_string).collect()
    }

    /// The turns of the commit.
    pub fn turns(&self) -> Vec<Turn> {
        let turns = self.writes.iter().filter_map(|write| match write {
            Write::Turn(execution, turn) => Some((execution, turn)),
            _ => None,
        });
        let decoded = turns.filter_map(|(execution, turn)| {
            let events = serde_json::from_str(&turn.body).ok()?;
            let row = &self.tables.executions.get(execution)?.row;
            let (run_id, created_ms) = (row.run_id.clone(), row.created_at_ms);
            Some(Turn { run_id, created_ms, first: turn.seq.0, events })
        });
        decoded.collect()
    }

    /// The failed attempts of the commit that another attempt follows.
    pub fn failed_attempts(&self) -> Vec<Failed> {
        let kept = self.writes.iter().filter_map(|write| {
            let Write::Attempt(execution, row) = write else { return None };
            let run_id = self.tables.executions.get(execution)?.row.run_id.clone();
            let failed = row.decode().ok()?;
            Some(Failed {
                run_id,
                activity: failed.activity.0,
                attempt: failed.attempt,
                kind: failed.failure.kind,
            })
        });
        kept.collect()
    }

    /// The invariants that this commit violates. They must hold at every moment.
    pub fn broken(&self) -> Vec<String> {
        self.writes.iter().filter_map(|write| self.breaks(write)).collect()
    }

    fn breaks(&self, write: &Write) -> Option<String> {
        let Write::Turn(execution, turn) = write else { return None };
        // The store itself writes the end of a terminated execution.
        if turn.writer.0 == 0 {
            return None;
        }
        let row = &self.tables.executions.get(execution)?.row;
        let others = row.owner.is_some_and(|owner| owner != turn.writer);
        if others {
            return Some(format!(
                "worker {} wrote a turn of execution {execution}, which {row:?} owns",
                turn.writer
            ));
        }
        if !self.tables.leases.contains_key(&turn.writer) {
            return Some(format!(
                "worker {} wrote a turn of execution {execution} without a lease",
                turn.writer
            ));
        }
        None
    }
}

struct Watched(Arc<dyn Weather>);

impl Conditions for Watched {
    fn course(&self, call: &Call) -> Course {
        self.0.course(call)
    }

    fn notify_after(&self) -> Option<std::time::Duration> {
        self.0.notify_after()
    }

    fn committed(&self, call: &Call, writes: &[Write], tables: &Tables) {
        self.0.committed(&Commit { call, writes, tables });
    }
}

/// An in-memory database for any number of processes.
pub struct Database(Arc<Server>);

/// What a database still holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// The rows of open executions.
    pub open: Vec<String>,
    /// Messages that no execution has taken in.
    pub messages: Vec<String>,
    /// Rows of attempts that are not decided.
    pub tasks: Vec<String>,
    /// Failed attempts that are kept beside the journal.
    pub attempts: Vec<String>,
    /// The number of workers that hold a lease.
    pub leases: usize,
}

impl Database {
    /// A database whose calls run as tasks of `runtime`, with this clock and this weather.
    pub fn new(
        runtime: Handle,
        now_ms: Arc<dyn Fn() -> i64 + Send + Sync>,
        weather: Arc<dyn Weather>,
    ) -> Self {
        let conditions: Arc<dyn Conditions> = Arc::new(Watched(weather));
        let options = ServerOptions {
            conditions: Some(conditions),
            runtime: Some(runtime),
            overtaken: false,
            ..ServerOptions::new(now_ms)
        };
        Self(Server::new(options))
    }

    /// Connects a new process. Must be called in the context of that process's runtime.
    pub fn process(&self, seed: u64) -> Process {
        // Some processes share a machine, whose operating system reports when one of them has ended.
        let machine = Some((seed % 3) as u32);
        let store = self.0.connect(ConnectOptions {
            lease: LEASE,
            machine,
            own_clock: true,
            ..ConnectOptions::default()
        });
        let host = Host::of_test(Pace::PROGRAM, Arc::new(Seeded(Random::new(seed))));
        let number = store.process();
        Process { abide: Abide::of(Arc::clone(&store) as Arc<dyn Store>, host), number, _store: store }
    }

    /// Marks the process as dead. The caller drops its runtime next.
    pub fn kill(&self, process: u32) {
        self.0.kill(process);
    }

    /// What the database still holds.
    pub fn remains(&self) -> Remains {
        self.0.look(|tables| {
            let name = |id: &ExecutionId| {
                tables.executions.get(id).map_or_else(|| id.to_string(), |e| e.row.workflow_id.clone())
            };
            let open = tables.executions.values().filter(|e| e.row.status.is_open());
            Remains {
                open: open.map(|e| format!("{:?}", e.row)).collect(),
                messages: tables
                    .inbox
                    .values()
                    .map(|row| format!("{}: {row:?}", name(&row.execution)))
                    .collect(),
                tasks: tables
                    .tasks
                    .keys()
                    .map(|(id, activity)| format!("{}: {activity}", name(id)))
                    .collect(),
                attempts: tables
                    .attempts
                    .iter()
                    .map(|((id, _), row)| format!("{}: {row:?}", name(id)))
                    .collect(),
                leases: tables.leases.len(),
            }
        })
    }
}

/// One simulated process.
pub struct Process {
    /// Its connection to the database.
    pub abide: Abide,
    /// Its number, for [`Database::kill`].
    pub number: u32,
    _store: Arc<MemoryStore>,
}

/// Reads the history of a run by its key, as another history names it.
///
/// # Errors
/// Those of the database, and a damaged journal.
pub async fn history(client: &Client, run: ExecutionId) -> Result<Vec<JournalRow>, Error> {
    journal(client, run).await
}

/// What a process still keeps in memory for executions, as text.
pub fn keeps(process: &Abide) -> Vec<String> {
    let kept = process.hub().keeps().into_iter().filter(|(_, count)| *count > 0);
    kept.map(|(kind, count)| format!("{count} {kind}")).collect()
}

/// A process whose random numbers come from a seed, and whose tasks run on the runtime on which it was
/// created.
struct Seeded(Random);

impl TestHost for Seeded {
    fn random(&self) -> u64 {
        self.0.next()
    }

    fn run_inside(&self, future: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
        future
    }

    fn attempt_begins(&self, _: &ActivityContext) {}

    fn attempt_failed(&self, _: &ActivityContext, _: &FailureRecord) {}

    fn workflow_failed(&self, _: &str, _: u32, _: &str) {}

    fn workflow_begins_again(&self, _: &str, _: u32) {}

    fn run_activity(
        &self,
        _: &'static str,
        body: BoxFuture<'static, AttemptOutcome>,
    ) -> BoxFuture<'static, AttemptOutcome> {
        body
    }

    fn wait<'a>(&self, future: BoxFuture<'a, ()>) -> BoxFuture<'a, Result<(), GivenUp>> {
        Box::pin(async move {
            future.await;
            Ok(())
        })
    }
}
