//! The Postgres store: any number of processes on one database.
//!
//! Reading order: [`schema`] and [`migrate`], [`connection`] and [`open`], [`sql`] and [`keys`], then the hot
//! path: [`writer`], [`guard`], [`batch`], [`rows`], [`tokens`] and [`attempt`], and [`alone`] (a close whose
//! row is held); [`failure`] (Postgres's errors), [`control`] and [`notification`] (leases renewed, others
//! notified), [`call`] (how clients and workers ask), then the traits, each in the file of its name:
//! [`journal`], [`start`], [`message`], [`find`], [`lease`] with [`claim`] and [`process`], [`task`],
//! [`transaction`], and [`store`]. Each statement keeps the rules of docs/protocol.md by itself;
//! `permutations` tries them against each other.

mod alone;
mod attempt;
mod batch;
mod beats;
mod call;
mod children;
mod claim;
mod command;
mod connection;
mod control;
mod ends;
mod failure;
mod family;
mod find;
mod followed;
mod guard;
mod handed;
mod held;
mod join;
mod journal;
mod keys;
mod lease;
mod limit;
#[cfg(test)]
mod lock_tests;
mod message;
mod migrate;
mod notification;
mod open;
mod options;
#[cfg(test)]
pub(crate) mod permutations;
#[cfg(test)]
mod plan_tests;
mod process;
mod replies;
mod reports;
mod rows;
mod schedule;
#[cfg(test)]
mod schedule_tests;
mod schema;
mod shared;
mod sql;
mod start;
mod store;
mod stream;
mod sweep;
mod task;
#[cfg(test)]
mod tests;
mod timeout;
mod tokens;
mod transaction;
mod writer;

pub(crate) use open::{open, pending_migrations};
pub(crate) use options::OpenOptions;
