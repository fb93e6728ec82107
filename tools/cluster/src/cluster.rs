//! A cluster as its users see it: made, asked, stopped and killed.

use crate::binaries::Binaries;
use crate::certificates;
use crate::error::{Error, Tried};
use crate::home::Home;
use crate::replica::{self, Replica};
use crate::server::Server;
use crate::wire::{self, Rows, USER};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// What kind of cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether a commit waits for the disk (`fsync`). Default: no. Either way it survives a crash of Postgres.
    pub durable: bool,
    /// Whether it takes TLS as well; needs `openssl` on PATH. Default: no.
    pub ssl: bool,
    /// Postgres' own `max_connections`. Default: 200.
    pub max_connections: u16,
    /// Settings for `postgresql.conf`, stronger than ours. Default: none.
    pub settings: Vec<(String, String)>,
    /// The folder in which its own one is made; the user that Postgres runs as must be able to reach it. Default: the
    /// system's temporary one.
    pub folder: Option<PathBuf>,
    /// Whether to install Postgres where it is missing, as `ABIDE_POSTGRES=install` says too. Default: no.
    pub install: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durable: false,
            ssl: false,
            max_connections: 200,
            settings: Vec::new(),
            folder: None,
            install: false,
        }
    }
}

/// How a server is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Connections are cut, transactions rolled back, and a checkpoint is written.
    Fast,
    /// As in a crash: everything ends where it is, and the next start recovers.
    Immediate,
}

/// A running Postgres of one's own, on 127.0.0.1. Its user `postgres` needs no password.
///
/// Stopped and removed, folder and all, when it is dropped and when this process ends, in whatever way. All calls
/// block; from async code, use `spawn_blocking` for those that start and stop.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
    /// Where its folder and those of its replicas are.
    folder: PathBuf,
    replicas: Mutex<usize>,
}

impl Cluster {
    /// Makes one and starts it; about a second.
    ///
    /// # Errors
    /// [`Error::Missing`] where Postgres, or `openssl`, is not installed; its text says what to do.
    pub fn start(options: Options) -> Result<Self, Error> {
        let binaries = Binaries::locate(options.install)?;
        let folder = options.folder.clone().unwrap_or_else(std::env::temp_dir);
        let home = Home::new(&folder)?;
        let user = format!("--username={USER}");
        let how = ["--locale=C", "--encoding=UTF8", "--auth=trust", "--no-sync", "--pgdata=data", &user];
        home.run(binaries.program("initdb"), &how)?;
        if options.ssl {
            certificates::make(&home)?;
        }
        configure(&home.data().join("postgresql.conf"), &options)?;
        let server = Server::first_start(home, binaries, &[])?;
        Ok(Self { server, folder, replicas: Mutex::default() })
    }

    /// `postgres://postgres@127.0.0.1:PORT/DATABASE`. There is always a database `postgres`.
    pub fn url(&self, database: &str) -> String {
        url(&self.server, database)
    }

    /// The port, the same for its whole life.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Its folder: `data` is Postgres' own, `log` is what the server says.
    pub fn folder(&self) -> &Path {
        self.server.home().path()
    }

    /// The certificate of the authority that vouches for the server; exists with [`Options::ssl`] only.
    pub fn ca_crt(&self) -> PathBuf {
        self.server.home().data().join("ca.crt")
    }

    /// Makes an empty database with a name of its own, and returns its URL.
    pub fn create_database(&self) -> Result<String, Error> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("db_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(self.url(&name))
    }

    /// Runs a statement, or several, in a database, on a connection of its own; returns the rows, as text.
    ///
    /// # Errors
    /// [`Error::Sql`] is the server's refusal. A server that says nothing for 60 s is an error too.
    pub fn sql(&self, database: &str, statement: &str) -> Result<Rows, Error> {
        wire::query(self.port(), database, statement)
    }

    /// Stops it and waits for its end.
    pub fn stop(&self, mode: Mode) -> Result<(), Error> {
        self.server.stop(mode)
    }

    /// Kills the postmaster with SIGKILL; its other processes end when they notice, soon after.
    pub fn kill(&self) -> Result<(), Error> {
        self.server.kill()
    }

    /// Starts it after a [`stop`](Self::stop) or a [`kill`](Self::kill), on the same port, and waits until it answers.
    pub fn start_again(&self) -> Result<(), Error> {
        self.server.start()
    }

    /// Stops it and starts it again.
    pub fn restart(&self, mode: Mode) -> Result<(), Error> {
        self.stop(mode)?;
        self.start_again()
    }

    /// Adds a hot standby to which every commit waits to have been streamed.
    ///
    /// From then on commits wait while it does not run: drop this cluster first.
    pub fn add_replica(&self) -> Result<Replica, Error> {
        let mut count = self.replicas.lock().unwrap_or_else(PoisonError::into_inner);
        let replica = replica::add(&self.server, &self.folder, *count + 1)?;
        *count += 1;
        Ok(replica)
    }
}

pub(crate) fn url(server: &Server, database: &str) -> String {
    format!("postgres://{USER}@127.0.0.1:{}/{database}", server.port())
}

/// Adds to what initdb has written; what comes last is what counts.
fn configure(file: &Path, options: &Options) -> Result<(), Error> {
    let max_connections = options.max_connections.to_string();
    let mut settings = vec![
        ("listen_addresses", "127.0.0.1"),
        // Their paths would be too long in a deep folder.
        ("unix_socket_directories", ""),
        ("max_connections", &max_connections),
    ];
    if !options.durable {
        // `synchronous_commit` stays on: what is committed survives a crash of the server, if not of the machine.
        // Shared memory in files goes with the folder, also after a SIGKILL.
        settings.extend([("fsync", "off"), ("dynamic_shared_memory_type", "mmap")]);
    }
    if options.ssl {
        settings.extend(certificates::SETTINGS);
    }
    settings.extend(options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let line = |(name, value): (&str, &str)| {
        format!("{name} = '{}'\n", value.replace('\\', "\\\\").replace('\'', "''"))
    };
    let lines: String = settings.into_iter().map(line).collect();
    let opened = std::fs::File::options().append(true).open(file);
    opened
        .and_then(|mut file| file.write_all(lines.as_bytes()))
        .tried(format_args!("writing {}", file.display()))
}
