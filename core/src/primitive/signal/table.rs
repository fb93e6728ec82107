//! The signals that an execution was told of.

use crate::ids::EventId;
use crate::payload::Payload;
use crate::primitive::known::KnownIds;
use std::collections::BTreeMap;

/// A signal without a handler.
#[derive(Clone, Debug)]
pub(crate) struct Unhandled {
    pub(crate) name: String,
    pub(crate) input: Payload,
    pub(crate) request_id: String,
}

/// The signals of one execution.
#[derive(Default)]
pub(crate) struct Signals {
    /// The request ids. A signal and a cancel request may share an id (PROTOCOL 41).
    pub(crate) known: KnownIds,
    /// Those without a handler, by event.
    pub(crate) unhandled: BTreeMap<EventId, Unhandled>,
    /// Whether the unhandled signals were offered to the current handlers.
    pub(super) redelivered: bool,
}

impl Signals {
    /// Whether a signal with this request id was taken in.
    pub(crate) fn knows(&self, request_id: &str) -> bool {
        self.known.has(request_id)
    }

    /// Whether it keeps signals without a handler.
    pub(crate) fn has_unhandled(&self) -> bool {
        !self.unhandled.is_empty()
    }
}
