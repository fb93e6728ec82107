//! A synchronous hot standby of a cluster, created by `pg_basebackup` and fed by streaming.

use crate::cluster::url;
use crate::error::Error;
use crate::home::Home;
use crate::server::Server;
use crate::wire::{self, Rows, USER};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long it may take until the standby follows.
const PATIENCE: Duration = Duration::from_secs(60);

/// A standby. It is removed in the same way as a cluster.
#[derive(Debug)]
pub struct Replica(Server);

impl Replica {
    /// As [`Cluster::url`](crate::Cluster::url). The standby is read-only until it is promoted.
    pub fn url(&self, database: &str) -> String {
        url(&self.0, database)
    }

    /// Its port, which differs from the cluster's.
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// As [`Cluster::sql`](crate::Cluster::sql).
    pub fn sql(&self, database: &str, statement: &str) -> Result<Rows, Error> {
        wire::query(self.port(), database, statement)
    }

    /// Promotes it to a server that writes, and waits until that is done. The caller is responsible for the
    /// old server.
    pub fn promote(&self) -> Result<(), Error> {
        let promoted = self.sql("postgres", "SELECT pg_promote()")?;
        if promoted == [[Some("t".to_string())]] {
            return Ok(());
        }
        let what = "the replica was not promoted within 60 s".to_string();
        Err(Error::Server { what, log: String::new() })
    }
}

/// Adds the `number`th replica of `primary`. Returns when commits wait for it.
pub(crate) fn add(primary: &Server, folder: &Path, number: usize) -> Result<Replica, Error> {
    let home = Home::new(folder)?;
    let name = format!("replica_{number}");
    let from = format!("--dbname=host=127.0.0.1 port={} user={USER} application_name={name}", primary.port());
    let how =
        ["--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf", "--no-sync", "--pgdata=data"];
    home.run(primary.binaries().program("pg_basebackup"), &[&how[..], &[from.as_str()]].concat())?;
    // The copy contains the primary's setting for replicas, with which a promoted replica would wait for the
    // others.
    let replica = Server::first_start(home, primary.binaries().clone(), &["synchronous_standby_names="])?;
    let names: Vec<_> = (1..=number).map(|number| format!("replica_{number}")).collect();
    let wish =
        format!("ALTER SYSTEM SET synchronous_standby_names = 'FIRST {number} ({})'", names.join(", "));
    for statement in [&wish, "SELECT pg_reload_conf()"] {
        wire::query(primary.port(), "postgres", statement)?;
    }
    let following =
        "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'sync'";
    let all = [[Some(number.to_string())]];
    let begun = Instant::now();
    while wire::query(primary.port(), "postgres", following)? != all {
        if begun.elapsed() > PATIENCE {
            let what = format!("{name} does not follow after {} s", PATIENCE.as_secs());
            return Err(Error::Server { what, log: String::new() });
        }
        sleep(Duration::from_millis(10));
    }
    Ok(Replica(replica))
}
