//! An item on its way into the append of its turn.

use crate::payload::Payload;

/// An item that a turn publishes.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishedItem {
    /// The stream's name.
    pub stream: String,
    /// The item.
    pub body: Payload,
}
