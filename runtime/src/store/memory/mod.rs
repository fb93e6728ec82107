//! The memory store: tables in memory, for tests. A model of Postgres under READ COMMITTED, as
//! `store/postgres/` uses it.
//!
//! It has two uses. In a user's test environment every call answers at once. In a deterministic simulation
//! several processes, each with its own runtime and clock, share one [`Server`], whose calls take time, break
//! off and are lost as its [`Conditions`] say. It has the statements of `store/postgres/`, in the same
//! transactions, with the same locks, without SQL and without I/O.
//!
//! Reading order: [`tables`] and [`write`] (what is committed), [`locks`], [`statement`] (one statement),
//! [`server`] (transactions), [`session`] and [`conditions`] (the course of a call); then the side of a
//! process: [`open`], [`shared`], [`call`], [`writer`], [`batch`], [`tokens`], [`attempt`] and [`guard`],
//! then the traits, each in the file of its name: [`journal`], [`start`], [`message`], [`find`], [`lease`]
//! with [`claim`], [`task`], [`sweep`], [`transaction`], and [`store`].
//!
//! Nothing here may read the wall clock, draw a random number, start a thread, or iterate over an unordered map.
//!
//! # What it leaves out
//! A statement that has to wait takes all its locks and its snapshot again, at once. What a single SQL
//! statement may see while it waits in its middle is tested by `store/postgres/permutations/` on a real
//! server. A process has one writer, and a worker one lease row.

mod attempt;
mod batch;
mod call;
mod claim;
mod conditions;
mod ends;
mod family;
mod find;
mod followed;
mod guard;
mod handed;
mod held;
mod join;
mod journal;
mod lease;
mod limit;
mod locks;
mod message;
mod open;
mod options;
mod reports;
mod schedule;
mod server;
mod session;
mod shared;
mod start;
mod statement;
mod store;
mod stream;
mod sweep;
mod tables;
mod taken;
mod task;
#[cfg(test)]
#[cfg(all(feature = "sqlite", feature = "postgres"))] // with the suite, whose processes they use
pub(in crate::store) mod tests;
mod tokens;
mod transaction;
mod write;
mod writer;

pub(crate) use conditions::Conditions;
pub use conditions::{Call, Course, End};
pub(crate) use options::ConnectOptions;
pub(crate) use server::{Server, ServerOptions};
pub(crate) use store::MemoryStore;
pub(crate) use tables::Tables;
pub(crate) use write::Write;
