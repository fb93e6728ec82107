//! A folder for one test, the children that work in it, and waiting.

use crate::journal::Database;
use abide::prelude::*;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long anything may take before the test gives up: no check depends on how fast the machine is.
const PATIENCE: Duration = Duration::from_secs(180);

/// A test's folder, with the ledger and what the children said, and its database. Stays where the test failed.
pub(crate) struct Scene {
    folder: tempfile::TempDir,
    /// How the children reach the database.
    url: String,
    /// How the test itself reaches it.
    database: Database,
}

impl Scene {
    /// With a fresh database of the kind that this program is about.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        if crate::ON_POSTGRES {
            let url = cluster::shared_database();
            return Self { folder, database: Database::Postgres(url.clone()), url };
        }
        let file = folder.path().join("abide.db");
        Self { folder, url: format!("sqlite://{}", file.display()), database: Database::Sqlite(file) }
    }

    /// With a Postgres database that the children reach under one URL, and the test under another.
    #[allow(dead_code, reason = "files need no way to them")]
    pub(crate) fn on(url: String, strangers: String) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder, url, database: Database::Postgres(strangers) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// As the test reaches it.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.path("ledger")
    }

    /// Opens the database in this process.
    pub(crate) async fn open(&self) -> Abide {
        Abide::open(self.url()).await.expect("the database opens")
    }

    /// A client in this process, where there is no worker.
    pub(crate) async fn client(&self) -> Client {
        self.open().await.client().task_queue(crate::workflows::QUEUE)
    }

    /// Starts a child.
    pub(crate) fn spawn(&self, role: &str) -> Victim {
        self.spawn_with(role, &[])
    }

    /// Starts a child with these variables in its environment.
    pub(crate) fn spawn_with(&self, role: &str, variables: &[(&str, &str)]) -> Victim {
        let mut command = Command::new(env!("CARGO_BIN_EXE_victim"));
        command.arg(role).arg(self.folder()).env("VICTIM_DATABASE", self.url());
        self.start(command.envs(variables.iter().copied()))
    }

    /// Starts this program as a child.
    pub(crate) fn start(&self, command: &mut Command) -> Victim {
        let said = std::fs::File::options().append(true).create(true).open(self.path("children.log"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(said.expect("the log opens"));
        let mut child = command.spawn().expect("the child starts");
        let input = child.stdin.take();
        let output = child.stdout.take().expect("its output is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Victim { child, input, lines }
    }

    /// A worker that works.
    pub(crate) fn worker(&self) -> Victim {
        self.ready("work", &[])
    }

    /// A child that is ready.
    pub(crate) fn ready(&self, role: &str, variables: &[(&str, &str)]) -> Victim {
        let mut victim = self.spawn_with(role, variables);
        victim.until_says("ready");
        victim
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("what is left of it: {}", self.folder().display());
        }
    }
}

/// A child. Dropped, it is killed.
pub(crate) struct Victim {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Victim {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has said this line.
    pub(crate) fn until_says(&mut self, line: &str) {
        self.until_says_what_begins_with(line, |rest| rest.is_empty().then_some(()));
    }

    /// Waits until it has said a line that begins so, and gives what `read` finds in the rest of it.
    pub(crate) fn until_says_what_begins_with<T>(
        &mut self,
        begin: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> T {
        let mut said = std::iter::from_fn(|| self.lines.recv_timeout(PATIENCE).ok());
        let found = said.find_map(|line| read(line.strip_prefix(begin)?));
        found.unwrap_or_else(|| panic!("the victim never said `{begin}`: {:?}", self.child.try_wait()))
    }

    /// `kill -9`. True where it was still there to be killed.
    pub(crate) fn kill(mut self) -> bool {
        let alive = self.child.try_wait().expect("it can be asked for").is_none();
        self.end();
        alive
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stops it without its knowledge: `kill -STOP`.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on: `kill -CONT`.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    /// `kill` with this signal.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.pid().to_string()).status();
        assert!(sent.expect("kill runs").success(), "kill {signal}");
    }

    /// Asks it to shut down; does not wait.
    pub(crate) fn ask_to_stop(&mut self) {
        self.input = None;
    }

    /// Shuts it down gracefully.
    pub(crate) fn stop(mut self) {
        self.ask_to_stop();
        let status = self.wait();
        assert!(status.success(), "it shuts down cleanly: {status}");
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status;
            }
            assert!(since.elapsed() < PATIENCE, "the victim never ended");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it can be asked for").is_some()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let since = Instant::now();
    while !condition().await {
        assert!(since.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The future's value, unless that takes too long.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// Random choices that a seed repeats (splitmix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Less than `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    /// A random time below this.
    pub(crate) fn wait(&mut self, below: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(below.as_micros()).unwrap_or(u64::MAX).max(1)))
    }
}

/// The seed of this run: `ABIDE_SEED`, or the clock's. Printed, to run it again.
pub(crate) fn dice() -> Dice {
    let given = std::env::var("ABIDE_SEED").ok().and_then(|text| text.parse().ok());
    let now = || {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64)
    };
    let seed = given.unwrap_or_else(now);
    eprintln!("ABIDE_SEED={seed}");
    Dice::new(seed)
}
