//! What is known of a worker's life: its lease, its lock and its process.

use super::statement::Statement;
use super::tables::ProcessId;
use abide_core::Incarnation;

/// A worker as a look sees it.
pub(super) struct Seen {
    pub(super) incarnation: Incarnation,
    pub(super) name: String,
    pub(super) process: Option<ProcessId>,
    /// Until its lease runs out; `None` where it has none: a take-over was begun and not finished.
    pub(super) left_ms: Option<i64>,
    /// Whether it has renewed its lease at this very run of the server.
    pub(super) same_server: bool,
    /// Whether somebody holds the lock that says that it lives.
    pub(super) held: bool,
}

pub(super) fn seen(st: &Statement<'_>, incarnation: Incarnation) -> Option<Seen> {
    let (worker, lease) = (st.tables.workers.get(&incarnation)?, st.tables.leases.get(&incarnation));
    Some(Seen {
        incarnation,
        name: worker.info.name.clone(),
        process: worker.process,
        left_ms: lease.map(|lease| lease.until_ms - st.now_ms),
        same_server: lease.is_some_and(|lease| lease.server == st.sessions.server),
        held: st.sessions.lives.contains_key(&incarnation),
    })
}
