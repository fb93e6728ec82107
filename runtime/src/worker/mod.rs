//! The worker owns runs. It runs their turns on workflow threads and their activities on tokio, and commits
//! each turn before its effects become visible.
//!
//! # The phases of a run
//!
//! A workflow thread keeps one entry for each of its runs: `run::Run`. Its phase (`run::Phase`) says who may
//! touch it:
//!
//! | phase | what is in memory | who may act on the run | file |
//! |---|---|---|---|
//! | `Evicted` | the row's state, the times that are due | a load, when something waits for it or is due; a release at a shutdown | `load`, `release` |
//! | `Loading` | nothing that decides | the answer to this load, and no other | `load` |
//! | `Idle` | the live state, which is durable | a turn; a read; starts whose back-off has ended; an eviction | `turn`, `release` |
//! | `Writing` | the live state, ahead of the journal | the answer to its append. Nothing outside has happened yet | `commit` |
//! | `Leaving` | nothing | the answer to the append that releases, suspends or ends it | `commit` |
//!
//! What arrives meanwhile waits in the run's mailbox (`mailbox`). `inputs` has one place for each kind of
//! input: how it is read, when a turn takes it, how it goes back into the inbox.
//!
//! # The walk of an append
//!
//! 1. `rounds` takes all messages that have arrived and advances the runs that they concern.
//! 2. `turn` takes the inputs, polls the code, and lets `compose` make the append. `commit::submit` hands it in:
//!    the run is `Writing`.
//! 3. The store answers with a message. This walk enters three files (beside the data: `run` and its mailbox):
//!    `rounds` takes the message; `commit::acknowledge` settles the inputs, performs the actions and answers the
//!    clients; `attempts::launch` starts what is due. If the append was not written as expected, `acknowledge`
//!    only says so (`commit::Next`), and `rounds` has the run read again, suspended or let go.
//! 4. An attempt ends: `outcomes` gives its outcome to the run's thread, or writes it. Then 1 again.
//!
//! # The rest
//!
//! `session` is one incarnation and what it owns. `supervisor` begins a new one when the lease is lost.
//! `claims`, `ends`, `inbox`, `tasks`, `beats`, `lease` and `watchdog` are its loops; they never touch a run, they send
//! messages to its thread. `local` is the way in for clients of this process, `query` reads states, `news` logs.
//!
//! # Invariants
//!
//! One thread owns a live run, and nothing else touches it. At most one append of a run is in flight (PROTOCOL
//! 2). No effect outside happens before the append that holds its command is durable (PROTOCOL 1). A run has one
//! load at a time (PROTOCOL 34). The channels into a thread have no bound of their own. Two things bound what
//! they hold: callers wait for an answer, and a run has at most 2,000 open activities.
//!
//! `commit`, `release`, `ends`, `load`, `turn` and `rounds` each have an `impl Thread`. Each calls only those before
//! it.

mod attempts;
mod beats;
mod builder;
mod children;
mod claims;
mod commit;
mod compose;
mod ends;
mod handle;
mod inbox;
mod inputs;
mod lease;
mod load;
mod local;
mod lock;
mod mailbox;
mod names;
mod news;
mod options;
mod orphans;
mod outcomes;
mod query;
mod registry;
mod release;
mod rounds;
mod run;
mod schedules;
mod session;
mod stored;
mod successor;
mod supervisor;
mod sweep;
mod task_rows;
mod tasks;
mod thread;
mod turn;
mod updates;
#[cfg(feature = "testing")]
mod verify;
mod watchdog;

pub use builder::WorkerBuilder;
pub use supervisor::Worker;
