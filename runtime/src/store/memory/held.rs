//! Whether a worker still has its lease.

use super::session::{Failure, Session};
use abide_core::Incarnation;

/// Whether an incarnation's lease is there.
pub(super) async fn holds_lease(session: &mut Session, owner: Incarnation) -> Result<bool, Failure> {
    session.run(|st| Ok(st.tables.leases.contains_key(&owner))).await
}
