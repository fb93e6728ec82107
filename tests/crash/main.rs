//! What must survive a crash, with real crashes: the service in `tests/src/victim` runs as a child and is killed, and
//! its activities' own ledger is held against the database. One file per way to die.
//!
//! `ABIDE_SEED=n` repeats a run's random choices; `ABIDE_KILLS=n` sets how often the kill loop kills.

/// The other program, `postgres`, runs the same tests on Postgres, and more.
pub(crate) const ON_POSTGRES: bool = false;

mod chains;
mod crash_loop;
mod deploys;
mod elsewhere;
mod evidence;
mod expected;
mod faults;
mod heartbeats;
mod in_flight;
#[path = "../src/victim/items.rs"]
mod items;
mod journal;
mod kills;
#[path = "../src/victim/ledger.rs"]
mod ledger;
mod migration;
#[path = "../src/victim/mixed.rs"]
mod mixed;
mod once;
mod others;
mod restart;
mod scene;
mod schedules;
mod shutdown;
mod sqlite_lock;
mod transactions;
#[path = "../src/victim/transactions.rs"]
mod transactions_victim;
mod web;
mod workers;
#[path = "../src/victim/workflows.rs"]
mod workflows;
