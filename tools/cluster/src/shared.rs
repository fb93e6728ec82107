//! The cluster that all tests of a process share: starting one takes a second, creating a database a tenth of
//! that.

use crate::{Cluster, Error, Options};
use std::sync::OnceLock;

/// The cluster of this process. The first call starts it; it is not durable. It is removed when the process
/// ends.
///
/// # Panics
/// If there is no Postgres. The message says how to get it.
pub fn shared() -> &'static Cluster {
    // The error is kept too: of a hundred tests only one looks for Postgres, and all of them report the
    // error.
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
