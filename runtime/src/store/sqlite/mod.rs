//! The SQLite store: one file, one writing connection on a thread of its own, a few that read.
//!
//! Reading order: [`schema`] and [`migrate`], [`place`], [`connection`] and [`open`], [`job`] and [`call`],
//! [`writer`], [`batch`], [`tokens`], [`attempt`] and [`sql`] (the hot path), [`commit`] (what to do when a
//! batch fails), [`failure`] (SQLite's errors), then the traits, each in the file of its name: [`journal`],
//! [`start`], [`message`], [`find`], [`lease`] with [`claim`] and [`life`], [`task`], [`transaction`], and
//! [`store`]. It must never write on another connection than the writer's, except in a user's transaction.

mod attempt;
mod batch;
mod beats;
mod call;
mod claim;
mod commit;
mod connection;
mod ends;
mod failure;
mod family;
mod find;
mod handed;
mod job;
mod join;
mod journal;
mod lease;
mod life;
mod limit;
mod message;
mod migrate;
mod open;
mod options;
mod place;
mod replies;
mod reports;
mod schedule;
mod schema;
mod shared;
mod sql;
mod start;
mod store;
mod stream;
mod sweep;
mod task;
#[cfg(test)]
#[cfg(feature = "postgres")]
mod tests;
mod tokens;
mod transaction;
#[cfg(test)]
#[cfg(feature = "postgres")]
mod transaction_tests;
mod writer;

pub(crate) use open::open;
pub(crate) use options::OpenOptions;
