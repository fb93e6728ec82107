//! The identity of the attempt that a body runs as.

use abide_core::EventId;
use std::sync::Arc;

/// Identifies the attempt. The worker fills it in.
#[derive(Clone, Debug)]
pub(crate) struct AttemptInfo {
    pub(crate) workflow_id: Arc<str>,
    pub(crate) run_id: Arc<str>,
    pub(crate) workflow_type: Arc<str>,
    pub(crate) activity: EventId,
    /// From 1.
    pub(crate) attempt: u32,
}
