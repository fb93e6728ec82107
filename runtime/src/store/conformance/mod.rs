//! One suite for every store: what the worker and the client rely on, tried through `dyn Store` alone.
//!
//! A [`Lab`] is a database that several "processes" (stores of their own) open. Only [`Lab`] knows which
//! store it is. The suite itself, each test on each store, is the list at the end of this file.

mod appends;
mod attempts;
mod beats;
pub(super) mod chains;
mod closes;
mod dispatches;
mod ends;
mod faults;
mod handed;
mod lab;
mod limits;
mod list_fuzz;
mod messages;
mod newer;
pub(super) mod orphans;
mod ownership;
pub(super) mod parked;
mod process;
mod revisions;
pub(super) mod schedules;
mod starts;
mod streams;
mod suite;
mod tasks;
pub(super) mod transactions;
mod wakes;
mod with_start;

pub(super) use lab::{Lab, Settings};
pub(super) use process::Process;

use super::*;
use crate::policy::{IdConflictPolicy, IdReusePolicy};
use crate::status::ExecutionStatus;
use abide_core::{EventId, ExecutionId, Incarnation};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// The release of a run that is known to be closed.
pub(super) fn let_go() -> RowChange {
    RowChange { release: true, ..RowChange::default() }
}

pub(super) fn closed(status: ExecutionStatus) -> Close {
    Close { kind: CloseKind::Drained, status, result: r#"{"completed":{"result":7}}"#.to_owned() }
}

pub(super) fn ids(claimed: &Claimed) -> Vec<ExecutionId> {
    claimed.rows.iter().map(|row| row.id).collect()
}
