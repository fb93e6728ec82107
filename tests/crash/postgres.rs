//! What must survive a crash, over a real Postgres server: the tests of `main` that are not about a file, and what only
//! a server can do to those who lean on it. The files `pg_*` are of this program alone.
//!
//! `ABIDE_SEED=n` repeats a run's random choices; `ABIDE_KILLS=n` sets how often the kill loop kills.

/// The other program, `main`, is about files.
pub(crate) const ON_POSTGRES: bool = true;

mod chains;
mod deploys;
mod elsewhere;
mod evidence;
mod expected;
mod forwarder;
mod heartbeats;
mod in_flight;
#[path = "../src/victim/items.rs"]
mod items;
mod journal;
#[path = "../src/victim/ledger.rs"]
mod ledger;
mod load;
#[path = "../src/victim/mixed.rs"]
mod mixed;
mod once;
mod others;
mod pg_clock;
mod pg_connections;
mod pg_crash_loop;
mod pg_first;
mod pg_locks;
mod pg_machine;
mod pg_server;
mod pg_standby;
mod pg_zombies;
mod restart;
mod scene;
mod schedules;
mod shutdown;
mod transactions;
#[path = "../src/victim/transactions.rs"]
mod transactions_victim;
mod workers;
#[path = "../src/victim/workflows.rs"]
mod workflows;
