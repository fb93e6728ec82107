//! The one cluster that all tests of a process share: starting takes a second, a fresh database a tenth of one.

use crate::{Cluster, Error, Options};
use std::sync::OnceLock;

/// The cluster of this process, started by the first call; not durable. Removed when the process ends.
///
/// # Panics
/// Where there is no Postgres: with the text that says how to get it.
pub fn shared() -> &'static Cluster {
    // The error is kept too: of a hundred tests one looks, and all of them tell.
    static SHARED: OnceLock<Result<Cluster, Error>> = OnceLock::new();
    match SHARED.get_or_init(|| Cluster::start(Options::default())) {
        Ok(cluster) => cluster,
        Err(error) => panic!("{error}"),
    }
}

/// The URL of a fresh database on the [`shared`] cluster.
///
/// # Panics
/// As [`shared`] does.
pub fn shared_database() -> String {
    shared().create_database().unwrap_or_else(|error| panic!("{error}"))
}
