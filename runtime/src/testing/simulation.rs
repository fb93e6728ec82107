//! The engine among simulated processes: what `tests/simulation` needs of the inside. No part of the API.
//!
//! A database whose calls take their time and break; processes that the caller makes of tokio runtimes with paused
//! clocks, each with an [`Abide`] of its own. All of them on one thread, so that one seed decides everything.

use super::random::Random;
use crate::Abide;
use crate::activity::ActivityContext;
use crate::future::BoxFuture;
use crate::host::{GivenUp, Host, Pace, TestHost};
use crate::store::memory::{Conditions, ConnectOptions, MemoryStore, Server, ServerOptions, Tables, Write};
use crate::store::{LEASE, Store};
use abide_core::exec::AttemptOutcome;
use abide_core::{Event, ExecutionId, FailureKind, FailureRecord};
use std::sync::Arc;
use tokio::runtime::Handle;

pub use crate::store::Fault;
pub use crate::store::memory::{Call, Course, End};

/// What happens to calls and notifications, and who watches.
pub trait Weather: Send + Sync {
    /// How this call goes.
    fn course(&self, call: &Call) -> Course;

    /// How long a notification is on its way; `None`: it is lost.
    fn notify_after(&self) -> Option<std::time::Duration>;

    /// A transaction has just been committed.
    fn committed(&self, commit: &Commit<'_>);
}

/// One commit.
pub struct Commit<'c> {
    /// Whose.
    pub call: &'c Call,
    writes: &'c [Write],
    tables: &'c Tables,
}

/// A failed attempt that was committed; another one follows.
pub struct Failed {
    /// Whose.
    pub run_id: String,
    /// The activity's number.
    pub activity: u64,
    /// Which attempt.
    pub attempt: u32,
    /// How it failed.
    pub kind: FailureKind,
}

/// A turn that was committed.
pub struct Turn {
    /// Whose.
    pub run_id: String,
    /// The number of its first event.
    pub first: u64,
    /// What it holds.
    pub events: Vec<Event>,
}

impl Commit<'_> {
    /// What was written, a line each.
    pub fn lines(&self) -> Vec<String> {
        self.writes.iter().map(ToString::to_string).collect()
    }

    /// The turns among it.
    pub fn turns(&self) -> Vec<Turn> {
        let turns = self.writes.iter().filter_map(|write| match write {
            Write::Turn(execution, turn) => Some((execution, turn)),
            _ => None,
        });
        let decoded = turns.filter_map(|(execution, turn)| {
            let events = serde_json::from_str(&turn.body).ok()?;
            let run_id = self.tables.executions.get(execution)?.row.run_id.clone();
            Some(Turn { run_id, first: turn.seq.0, events })
        });
        decoded.collect()
    }

    /// The failed attempts among it that another one follows.
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

    /// What must hold at every instant and does not.
    pub fn broken(&self) -> Vec<String> {
        self.writes.iter().filter_map(|write| self.breaks(write)).collect()
    }

    fn breaks(&self, write: &Write) -> Option<String> {
        let Write::Turn(execution, turn) = write else { return None };
        // The store itself ends what is terminated.
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

/// A database in memory for any number of processes.
pub struct Database(Arc<Server>);

/// What is left in a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// Workflow and run ids of what is open, with its row.
    pub open: Vec<String>,
    /// Messages that nobody has taken in.
    pub messages: Vec<String>,
    /// Attempts that nobody has decided.
    pub tasks: Vec<String>,
    /// Failed attempts that are kept.
    pub attempts: Vec<String>,
    /// Workers that hold a lease.
    pub leases: usize,
}

impl Database {
    /// One whose calls run as tasks of `runtime`, by this clock, in this weather.
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

    /// A process of its own on it: needs the context of that process's runtime.
    pub fn process(&self, seed: u64) -> Process {
        // Some processes share a machine, whose operating system tells them when another has ended.
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

    /// The process has died: its runtime is dropped next.
    pub fn kill(&self, process: u32) {
        self.0.kill(process);
    }

    /// What is left.
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
    /// Its view of the database.
    pub abide: Abide,
    /// Its number, for [`Database::kill`].
    pub number: u32,
    _store: Arc<MemoryStore>,
}

/// What a process still keeps in memory for executions, in words.
pub fn keeps(process: &Abide) -> Vec<String> {
    let kept = process.hub().keeps().into_iter().filter(|(_, count)| *count > 0);
    kept.map(|(kind, count)| format!("{count} {kind}")).collect()
}

/// A process whose chance is a seed's, and whose tasks are those of the runtime that it is made on.
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
