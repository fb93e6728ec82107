//! What the control task is asked for.

use crate::store::StoreError;
use abide_core::Incarnation;
use tokio::sync::oneshot;

/// What the control task is asked for. Bounded by those who wait for the answers: workers, and one
/// notification at a time.
pub(super) enum Command {
    /// Holds this lock for as long as the process and its connection live.
    Hold(Incarnation, i64, oneshot::Sender<Result<(), StoreError>>),
    /// Lets go of it.
    Release(Incarnation),
    /// Renews a lease; the database's time.
    Renew(Incarnation, oneshot::Sender<Result<i64, StoreError>>),
    /// Whether free locks of others mean anything here.
    HearsLocks(oneshot::Sender<bool>),
}
