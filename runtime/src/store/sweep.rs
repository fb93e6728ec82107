//! The sweep: what each process corrects now and then, since no other statement can keep it right at all times.

use super::error::StoreFuture;

/// The most rows of a kind that one call corrects. A caller that corrected that many calls again.
pub(crate) const SWEEP_AT_ONCE: u64 = 1_000;

/// Corrections.
pub(crate) trait Sweep: Send + Sync {
    /// Corrects which messages are parked (PROTOCOL 97): parks what a run that was suspended since has not
    /// read, and gives back what a run that goes on has not. A wrong flag only delays. How many rows, of the
    /// kind that had more.
    fn sweep(&self) -> StoreFuture<'_, u64>;
}
