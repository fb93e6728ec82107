//! One server in its [`Home`]: a postmaster that is our own child, on its own port.
//!
//! It must never signal a process that is not its unreaped child. Only such a process id cannot belong to
//! another process.

use crate::Mode;
use crate::binaries::Binaries;
use crate::error::{Error, Tried};
use crate::home::Home;
use crate::log::Log;
use crate::program::succeed;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often to check whether it has started or stopped.
const GLANCE: Duration = Duration::from_millis(10);

/// How many ports are tried.
const PORTS: usize = 20;

const TAKEN: &str = "Address already in use";

/// What postgres prints while the orphans of a killed postmaster are still ending.
const ORPHANS: &str = "is still in use";

#[derive(Debug)]
pub(crate) struct Server {
    home: Home,
    binaries: Binaries,
    port: u16,
    /// Settings of this server only. They override those in its folder.
    settings: Vec<String>,
    postmaster: Mutex<Option<Child>>,
}

impl Server {
    /// Starts, on a free port, the data folder that `initdb` or `pg_basebackup` has created in `home`.
    pub(crate) fn first_start(home: Home, binaries: Binaries, settings: &[&str]) -> Result<Self, Error> {
        let settings = settings.iter().map(ToString::to_string).collect();
        let mut server = Self { home, binaries, port: free_port()?, settings, postmaster: Mutex::default() };
        for _ in 1..PORTS {
            match server.launch() {
                Err(Error::Server { log, .. }) if log.contains(TAKEN) => server.port = free_port()?,
                started => return started.map(|()| server),
            }
        }
        server.launch().map(|()| server)
    }

    /// Starts it again, on the same port.
    pub(crate) fn start(&self) -> Result<(), Error> {
        let begun = Instant::now();
        loop {
            match self.launch() {
                Err(Error::Server { log, .. })
                    if [TAKEN, ORPHANS].iter().any(|passes| log.contains(passes))
                        && begun.elapsed() < PATIENCE => {}
                started => return started,
            }
            sleep(GLANCE);
        }
    }

    fn launch(&self) -> Result<(), Error> {
        let mut postmaster = self.postmaster();
        if let Some(child) = postmaster.as_mut()
            && child.try_wait().tried("looking after postgres")?.is_none()
        {
            return Err(Error::Server { what: "postgres runs already".to_string(), log: String::new() });
        }
        let log = Log::open(self.home.path())?;
        let mut command = self.home.command(self.binaries.program("postgres"));
        command.arg("-D").arg(self.home.data()).args(["-p", &self.port.to_string()]);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        log.take_from(&mut command)?;
        let mut child = command.spawn().tried("running `postgres`")?;
        let ended = wait_for(&mut child, |child| self.is_ready(child.id()))?;
        let what = match ended {
            Waited::Came => {
                *postmaster = Some(child);
                return Ok(());
            }
            Waited::Ended => "postgres did not start:".to_string(),
            Waited::Neither => format!("postgres was not ready after {} s:", PATIENCE.as_secs()),
        };
        kill(&mut child)?;
        Err(Error::Server { what, log: log.read()? })
    }

    /// Whether its pid file says so. A connection would not prove it: if the port is taken, another server
    /// answers.
    fn is_ready(&self, id: u32) -> bool {
        let text = fs::read_to_string(self.home.data().join("postmaster.pid")).unwrap_or_default();
        let mut lines = text.lines();
        lines.next() == Some(&id.to_string()) && lines.nth(6).is_some_and(|state| state.trim() == "ready")
    }

    /// Does nothing if it does not run.
    pub(crate) fn stop(&self, mode: Mode) -> Result<(), Error> {
        let mut postmaster = self.postmaster();
        let Some(child) = postmaster.as_mut() else { return Ok(()) };
        if child.try_wait().tried("looking after postgres")?.is_none() {
            let signal = match mode {
                Mode::Fast => "INT",
                Mode::Immediate => "QUIT",
            };
            // The shell's built-in `kill`: a minimal Debian has no program of that name.
            let id = child.id().to_string();
            let mut command = Command::new("sh");
            succeed(command.args(["-c", "kill -s \"$0\" \"$1\"", signal, &id]))?;
            if let Waited::Neither = wait_for(child, |_| false)? {
                let what = format!("postgres did not stop within {} s", PATIENCE.as_secs());
                return Err(Error::Server { what, log: String::new() });
            }
        }
        *postmaster = None;
        Ok(())
    }

    /// Sends SIGKILL only to the postmaster. Its backends end when they notice.
    pub(crate) fn kill(&self) -> Result<(), Error> {
        self.postmaster().take().map_or(Ok(()), |mut child| kill(&mut child))
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn postmaster(&self) -> MutexGuard<'_, Option<Child>> {
        self.postmaster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.home.remove();
        // The watchdog has ended it. This removes its entry from the process table.
        if let Some(mut child) = self.postmaster().take() {
            let _ = child.wait();
        }
    }
}

enum Waited {
    /// The expected state was reached.
    Came,
    /// The process ended instead.
    Ended,
    Neither,
}

fn wait_for(child: &mut Child, came: impl Fn(&Child) -> bool) -> Result<Waited, Error> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if came(child) {
            return Ok(Waited::Came);
        }
        if child.try_wait().tried("looking after postgres")?.is_some() {
            return Ok(Waited::Ended);
        }
        sleep(GLANCE);
    }
    Ok(Waited::Neither)
}

fn kill(child: &mut Child) -> Result<(), Error> {
    child.kill().and_then(|()| child.wait()).map(drop).tried("killing postgres")
}

/// A port that was free a moment ago. It is below the kernel's range for outgoing connections: such a
/// connection could take it while the server is down.
fn free_port() -> Result<u16, Error> {
    let mut last = Ok(());
    for _ in 0..PORTS {
        let port = 10_000 + (RandomState::new().hash_one(()) % 20_000) as u16;
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = Err(error),
        }
    }
    last.tried("looking for a free port").map(|()| 0)
}
