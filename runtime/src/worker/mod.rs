//! The worker: owns executions, runs their turns on workflow threads and their activities on tokio, and writes each
//! turn before anybody can see it.
//!
//! Data's way: the claim loop (`claims`) or a client (`local`) brings an execution; `load` reads its journal; its
//! workflow thread (`thread`) keeps it live (`live`), runs turns (`runs`) and hands each to the store as one append (`turn`);
//! the acknowledgement comes back to the thread, which only then starts activities (`attempts`) and answers clients.
//! `tokens` says what a turn does to the rows of attempts that the database arbitrates, `tasks` runs those of other workers.
//! `lease` keeps the incarnation alive and takes over from dead ones; `watchdog` watches for threads that block;
//! `supervisor` begins a new session when the lease was lost.
//!
//! Invariants. One thread owns a live execution; nothing else touches it. At most one append of an execution is in
//! flight (PROTOCOL 2). Nothing outside happens before the append that holds its command is durable (PROTOCOL 1).
//! Channels into a thread have no bound of their own: what they can hold is bounded by callers that wait for an
//! answer and by the 2,000 open activities of each execution.

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
mod tasks;
mod thread;
mod tokens;
mod turn;
#[cfg(feature = "testing")]
mod verify;
mod watchdog;

pub use builder::WorkerBuilder;
pub use supervisor::Worker;
