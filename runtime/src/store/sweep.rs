//! The sweep: what each process corrects now and then, since no other statement can keep it right at all times.

use super::error::StoreFuture;

/// The most rows of a kind that one call corrects. A caller that corrected that many calls again.
pub(crate) const SWEEP_AT_ONCE: u64 = 1_000;

/// What one call did for the children of closed runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orphans {
    /// How many children it told.
    pub(crate) told: u64,
    /// How many closed runs have children that are still to be told.
    pub(crate) left: u64,
}

/// Corrections.
pub(crate) trait Sweep: Send + Sync {
    /// Corrects which messages are parked (PROTOCOL 97): parks what a run that was suspended since has not
    /// read, and gives back what a run that goes on has not. A wrong flag only delays. Also deletes the limits of keys
    /// that nothing has begun of for long (PROTOCOL 78). How many rows, of the
    /// kind that had more.
    fn sweep(&self) -> StoreFuture<'_, u64>;

    /// Sends the close policies of some closed runs to their open children, in slices: to each child once, a request
    /// to cancel or a terminate (PROTOCOL 55). A child that another session has locked is left for the next call.
    fn tell_orphans(&self) -> StoreFuture<'_, Orphans>;
}
