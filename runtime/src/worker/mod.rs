//! The worker owns executions. It runs their turns on workflow threads and their activities on tokio, and
//! commits each turn before its effects become visible.
//!
//! The path of the data: the claim loop (`claims`) or a client of this process (`local`) brings an execution.
//! `load` reads its journal. Its workflow thread (`thread`) keeps it live (`live`), runs turns (`runs`) and
//! hands each turn to the store as one append (`turn`). The store's acknowledgement goes back to the thread
//! (`acks`), which only then starts activities (`attempts`) and answers clients. `tokens` derives what a turn
//! changes in the rows of attempts that the database arbitrates. `tasks` runs such attempts for executions of
//! other workers. `lease` keeps the incarnation alive and takes over from dead ones. `watchdog` detects
//! threads that block. `supervisor` begins a new session when the lease is lost.
//!
//! Invariants. One thread owns a live execution, and nothing else touches it. At most one append of an
//! execution is in flight (PROTOCOL 2). No effect outside happens before the append that holds its command is
//! durable (PROTOCOL 1). The channels into a thread have no bound of their own. Two things bound what they
//! hold: callers wait for an answer, and an execution has at most 2,000 open activities.

mod acks;
mod attempts;
mod builder;
mod claims;
mod handed_in;
mod handle;
mod lease;
mod live;
mod load;
mod local;
mod news;
mod registry;
mod runs;
mod session;
mod supervisor;
mod sweep;
mod tasks;
mod thread;
mod tokens;
mod turn;
#[cfg(feature = "testing")]
mod verify;
mod watchdog;

pub use builder::WorkerBuilder;
pub use supervisor::Worker;
