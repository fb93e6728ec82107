//! A throw-away Postgres for tests, the bench and examples: in its own folder, on a free port, removed
//! afterwards.
//!
//! ```
//! use cluster::{Cluster, Options};
//!
//! # fn main() -> Result<(), cluster::Error> {
//! let cluster = Cluster::start(Options::default())?;
//! let url = cluster.create_database()?;
//! assert!(url.starts_with("postgres://postgres@127.0.0.1:"));
//! assert_eq!(cluster.sql("postgres", "SELECT 1 + 1")?, [[Some("2".to_string())]]);
//! # Ok(())
//! # }
//! ```
//!
//! The programs of Postgres come from the folder `ABIDE_POSTGRES_BIN` if it is set, otherwise from PATH,
//! otherwise from `/usr/lib/postgresql`. If there are none, `ABIDE_POSTGRES=install` installs them on Debian,
//! as root. A test that needs Postgres and finds none fails: nothing here skips.
//!
//! Read `cluster` first. `server` is a postmaster; `home` is its folder and the watchdog that cleans up. Unix
//! only.

mod account;
mod binaries;
mod certificates;
mod cluster;
mod error;
mod home;
mod install;
mod log;
mod program;
mod replica;
mod server;
mod shared;
mod wire;

pub use cluster::{Cluster, Mode, Options};
pub use error::Error;
pub use replica::Replica;
pub use shared::{shared, shared_database};
pub use wire::Rows;
