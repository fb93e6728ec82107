//! What is sent to the children of a run that has closed (PROTOCOL 55), and to the parent of one that was terminated.

/// The key of the message.
pub(crate) const PARENT_CLOSED: &str = "abide/parent-close";

/// The most runs, and the most children of each, that one call tells.
pub(crate) const SLICE: i64 = 100;

/// How a run that was terminated ended, as its parent is told.
pub(crate) const TERMINATED_END: &str = "\"terminated\"";

/// The body of the message: of a request to cancel, and of a terminate.
pub(crate) const PARENT_CLOSED_BODY: &str = "{\"reason\":\"its parent has closed\"}";
