//! Items that a workflow publishes into a stream of its run, for readers outside.
//!
//! The item rides in the append of its turn and is not in the history: a replay must not publish it again, and must not
//! depend on it. So the command has the stream's name alone.

pub(crate) mod item;

pub use item::PublishedItem;

use crate::code::Code;
use crate::event::Event;
use crate::exec::command::Command;
use crate::exec::context;
use crate::payload::{Payload, PayloadError};
use serde::Serialize;

/// The most characters of a stream's name.
pub const MAX_STREAM_NAME_CHARS: usize = 100;

/// Why an item was not published. Nothing of it was kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The item cannot be encoded (`AB0403`), or is over the limit of 2 MiB (`AB0405`).
    #[error(transparent)]
    Item(#[from] PayloadError),
    /// The stream's name is empty or too long.
    #[error("{}: the name of a stream has 1 to 100 characters, this one has {chars}", Code::InvalidId)]
    Name {
        /// Its length.
        chars: usize,
    },
    /// The attempt cannot publish.
    #[error("{}: {message}", Code::PublishRefused)]
    Refused {
        /// Why, and what to do instead.
        message: &'static str,
    },
}

impl PublishError {
    /// The error's code, the name of its page in `docs/errors/`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Item(error) => error.code(),
            Self::Name { .. } => Code::InvalidId.as_str(),
            Self::Refused { .. } => Code::PublishRefused.as_str(),
        }
    }
}

/// Checks the name of a stream, and encodes an item for it.
#[doc(hidden)]
pub fn encode_item<T: Serialize + ?Sized>(stream: &str, item: &T) -> Result<Payload, PublishError> {
    match stream.chars().count() {
        1..=MAX_STREAM_NAME_CHARS => Ok(Payload::encode(item)?),
        chars => Err(PublishError::Name { chars }),
    }
}

/// Publishes `item` into the stream `stream` of this run. Readers get it when the turn is durable, which is at the next
/// await at the latest.
///
/// It costs no commit: the item is written together with the turn. A replay publishes nothing again, and the history
/// has the stream's name but not the item. Publish much, or from I/O, in an activity. Fails if the item cannot be
/// encoded (`AB0403`) or is over 2 MiB (`AB0405`), or if the name has not 1 to 100 characters (`AB0412`).
pub fn publish<T: Serialize + ?Sized>(stream: &str, item: &T) -> Result<(), PublishError> {
    let ctx = context::expect("workflow::publish");
    ctx.refuse_in_query(format_args!("called `workflow::publish`"));
    let body = encode_item(stream, item)?;
    let issued = ctx.issue(Publish { stream: stream.to_owned() });
    if let Some(issued) = issued.filter(|issued| issued.live || mutant!(PublishOnReplay)) {
        ctx.draft().published.push(PublishedItem { stream: issued.command.stream, body });
    }
    Ok(())
}

struct Publish {
    stream: String,
}

impl Command for Publish {
    fn event(&self) -> Event {
        Event::Published { stream: self.stream.clone() }
    }

    fn same(&self, recorded: &Event) -> bool {
        *recorded == self.event()
    }
}
