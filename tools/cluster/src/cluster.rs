//! The public API of a cluster: start it, query it, stop it and kill it.

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

/// Options of a cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether a commit waits for the disk (`fsync`). Default: no. Either way a commit survives a crash of
    /// Postgres.
    pub durable: bool,
    /// Whether it also accepts TLS; needs `openssl` on PATH. Default: no.
    pub ssl: bool,
    /// Postgres' own `max_connections`. Default: 200.
    pub max_connections: u16,
    /// Settings for `postgresql.conf`. They override ours. Default: none.
    pub settings: Vec<(String, String)>,
    /// The folder in which the cluster's folder is created. The user that Postgres runs as must be able to
    /// reach it. Default: the system's temporary folder.
    pub folder: Option<PathBuf>,
    /// Whether to install Postgres if it is missing. `ABIDE_POSTGRES=install` does the same. Default: no.
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

/// How to stop a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Closes connections, rolls transactions back, and writes a checkpoint.
    Fast,
    /// As in a crash: everything ends at once, and the next start recovers.
    Immediate,
}

/// A running private Postgres, on 127.0.0.1. Its user `postgres` needs no password.
///
/// The cluster is stopped and its folder removed when this is dropped, and when this process ends, however it
/// ends. All calls block; from async code, use `spawn_blocking` for those that start and stop.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
    /// The folder that contains the cluster's own folder and those of its replicas.
    folder: PathBuf,
    replicas: Mutex<usize>,
}

impl Cluster {
    /// Creates a cluster and starts it. This takes about a second.
    ///
    /// # Errors
    /// [`Error::Missing`] if Postgres, or `openssl`, is not installed; the text says what to do.
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

    /// The port, which never changes.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Its folder: `data` is Postgres' own, `log` contains the server's output.
    pub fn folder(&self) -> &Path {
        self.server.home().path()
    }

    /// The certificate of the authority that signed the server's. It exists only with [`Options::ssl`].
    pub fn ca_crt(&self) -> PathBuf {
        self.server.home().data().join("ca.crt")
    }

    /// Creates an empty database with a new name, and returns its URL.
    pub fn create_database(&self) -> Result<String, Error> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("db_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(self.url(&name))
    }

    /// Runs one or several statements in a database, on a new connection. Returns the rows as text.
    ///
    /// # Errors
    /// [`Error::Sql`] is the server's refusal. If the server sends nothing for 60 s, that is an error too.
    pub fn sql(&self, database: &str, statement: &str) -> Result<Rows, Error> {
        wire::query(self.port(), database, statement)
    }

    /// Stops the server and waits for its end.
    pub fn stop(&self, mode: Mode) -> Result<(), Error> {
        self.server.stop(mode)
    }

    /// Kills the postmaster with SIGKILL. Its other processes end soon after, when they notice.
    pub fn kill(&self) -> Result<(), Error> {
        self.server.kill()
    }

    /// Starts the server after a [`stop`](Self::stop) or a [`kill`](Self::kill), on the same port, and waits
    /// until it answers.
    pub fn start_again(&self) -> Result<(), Error> {
        self.server.start()
    }

    /// Stops the server and starts it again.
    pub fn restart(&self, mode: Mode) -> Result<(), Error> {
        self.stop(mode)?;
        self.start_again()
    }

    /// Adds a hot standby. Every commit waits until it was streamed to the standby.
    ///
    /// From then on commits wait while the standby does not run, so drop this cluster first.
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

/// Adds to the file that initdb has written. The last setting of a name counts.
fn configure(file: &Path, options: &Options) -> Result<(), Error> {
    let max_connections = options.max_connections.to_string();
    let mut settings = vec![
        ("listen_addresses", "127.0.0.1"),
        // The paths of the sockets would be too long in a deep folder.
        ("unix_socket_directories", ""),
        ("max_connections", &max_connections),
    ];
    if !options.durable {
        // `synchronous_commit` stays on: commits survive a crash of the server, but not of the machine.
        // Shared memory in files is removed with the folder, also after a SIGKILL.
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
