//! The lengths of what events hold.

use crate::failure::FailureRecord;
use crate::ids::EventId;
use crate::payload::Payload;
use crate::start_context::StartContext;

/// The length of a field in the journal.
pub(super) trait Texts {
    fn bytes(&self) -> usize;
}

impl Texts for String {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl Texts for Payload {
    fn bytes(&self) -> usize {
        self.as_json().len()
    }
}

impl Texts for Box<StartContext> {
    fn bytes(&self) -> usize {
        StartContext::bytes(self)
    }
}

impl Texts for FailureRecord {
    fn bytes(&self) -> usize {
        Self::bytes(self)
    }
}

impl Texts for EventId {
    fn bytes(&self) -> usize {
        size_of::<u64>()
    }
}

impl<T: Texts> Texts for Vec<T> {
    fn bytes(&self) -> usize {
        self.iter().map(Texts::bytes).sum()
    }
}

impl<T: Texts> Texts for Option<T> {
    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, Texts::bytes)
    }
}
