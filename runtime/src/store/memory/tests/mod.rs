//! What the conformance suite cannot see: transactions that meet while they are under way, and calls that break off.
//!
//! Each test has a script of courses and a clock that stands still while anybody has something to do.

mod breaks;
mod death;
mod locks;
pub(in crate::store) mod pairs;
mod runtimes;
mod traces;

use super::{Call, Conditions, ConnectOptions, Course, MemoryStore, Server, ServerOptions, Tables, Write};
use crate::store::conformance::Process;
use crate::store::*;
use abide_core::ExecutionId;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// The courses of some calls, by name and process; each is for one call. All others take no time.
#[derive(Default)]
struct Script {
    courses: Mutex<Vec<(&'static str, u32, Course)>>,
    /// Which calls there were.
    calls: Mutex<Vec<(&'static str, u32)>>,
    /// What was committed, one commit a line.
    trace: Mutex<Vec<String>>,
    notify_after: Mutex<Option<Duration>>,
}

impl Conditions for Script {
    fn course(&self, call: &Call) -> Course {
        self.calls.lock().unwrap().push((call.name, call.process));
        let mut courses = self.courses.lock().unwrap();
        let found =
            courses.iter().position(|(name, process, _)| (*name, *process) == (call.name, call.process));
        found.map_or_else(Course::default, |at| courses.remove(at).2)
    }

    fn notify_after(&self) -> Option<Duration> {
        *self.notify_after.lock().unwrap()
    }

    fn committed(&self, call: &Call, writes: &[Write], _: &Tables) {
        let writes: Vec<_> = writes.iter().map(ToString::to_string).collect();
        self.trace.lock().unwrap().push(format!("{}: {}", call.name, writes.join("; ")));
    }
}

/// A database, its script and its processes, on the test's own runtime.
struct Scene {
    server: Arc<Server>,
    script: Arc<Script>,
}

impl Scene {
    fn new() -> Self {
        Self::with(|options| options)
    }

    fn with(change: impl FnOnce(ServerOptions) -> ServerOptions) -> Self {
        let (script, began) = (Arc::<Script>::default(), Instant::now());
        let options = ServerOptions::new(Arc::new(move || 1_000_000 + began.elapsed().as_millis() as i64));
        let conditions = Some(Arc::clone(&script) as Arc<dyn Conditions>);
        let options = ServerOptions { conditions, runtime: Some(Handle::current()), ..options };
        Self { server: Server::new(change(options)), script }
    }

    async fn process(&self) -> One {
        self.process_with(LEASE).await
    }

    async fn process_with(&self, lease: Duration) -> One {
        self.connect(ConnectOptions { lease, ..ConnectOptions::default() }).await
    }

    /// On a machine that knows its processes.
    async fn process_on(&self, machine: u32) -> One {
        self.connect(ConnectOptions { machine: Some(machine), ..ConnectOptions::default() }).await
    }

    async fn connect(&self, options: ConnectOptions) -> One {
        let options = ConnectOptions { own_clock: true, ..options };
        let store = self.server.connect(options);
        let number = store.process();
        One { process: Process::of(Arc::clone(&store) as Arc<dyn Store>).await, number, store }
    }

    /// The next call of this name that this process makes has this course.
    fn next(&self, name: &'static str, process: &One, course: Course) {
        self.script.courses.lock().unwrap().push((name, process.number, course));
    }

    /// The calls since the last time.
    fn calls(&self, which: &[&'static str]) -> Vec<&'static str> {
        let calls = std::mem::take(&mut *self.script.calls.lock().unwrap());
        calls.into_iter().map(|(name, _)| name).filter(|name| which.contains(name)).collect()
    }

    fn turns(&self, id: ExecutionId) -> usize {
        self.server.look(|tables| tables.turns(id).count())
    }

    /// The place of the first commit that says so.
    fn commit(&self, text: &str) -> usize {
        let trace = self.script.trace.lock().unwrap();
        trace
            .iter()
            .position(|line| line.contains(text))
            .unwrap_or_else(|| panic!("no `{text}` in {trace:#?}"))
    }
}

/// A process and its number.
struct One {
    process: Process,
    number: u32,
    store: Arc<MemoryStore>,
}

impl std::ops::Deref for One {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Holds its locks for so long.
fn held(ms: u64) -> Course {
    Course { held: Duration::from_millis(ms), ..Course::default() }
}

async fn pass(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// How long it took.
async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let since = Instant::now();
    (future.await, since.elapsed())
}
