//! The signals that an execution was told of.

use crate::ids::EventId;
use crate::payload::Payload;
use std::collections::{BTreeMap, HashSet};

/// The signals of one execution.
#[derive(Default)]
pub(crate) struct Signals {
    /// The request ids. A signal and a cancel request may share an id (PROTOCOL 41).
    pub(super) known: HashSet<String>,
    /// Those without a handler, by event: name and input.
    pub(super) unhandled: BTreeMap<EventId, (String, Payload)>,
    /// Whether the unhandled signals were offered to the current handlers.
    pub(super) redelivered: bool,
}

impl Signals {
    /// Whether a signal with this request id was taken in.
    pub(crate) fn knows(&self, request_id: &str) -> bool {
        self.known.contains(request_id)
    }

    /// Whether it keeps signals without a handler.
    pub(crate) fn has_unhandled(&self) -> bool {
        !self.unhandled.is_empty()
    }
}
