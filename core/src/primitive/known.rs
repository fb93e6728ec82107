//! The request ids that an execution has taken in (PROTOCOL 6).

use std::collections::HashMap;

/// Request ids of messages of one kind, each with the time of its turn.
#[derive(Default)]
pub(crate) struct KnownIds(HashMap<String, (i64, usize)>);

impl KnownIds {
    /// Whether a message with this id was taken in.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// Notes an id. The first time counts.
    pub(crate) fn note(&mut self, id: String, at_ms: i64) {
        let nth = self.0.len();
        self.0.entry(id).or_insert((at_ms, nth));
    }

    /// All ids with their times, in the order in which they were noted.
    pub(crate) fn all(&self) -> Vec<(&str, i64)> {
        let mut all: Vec<_> = self.0.iter().map(|(id, (at_ms, nth))| (*nth, id.as_str(), *at_ms)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, id, at_ms)| (id, at_ms)).collect()
    }
}
