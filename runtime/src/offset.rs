//! A place in a stream, as text that readers keep.

use abide_core::ExecutionId;
use std::fmt;
use std::str::FromStr;

/// A place in a stream: an item, in a run of a workflow. It is text (`Display`, `FromStr`), so that a client can keep
/// it and go on there later, also in another process: as the id of a server-sent event, for example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamOffset {
    pub(crate) run: ExecutionId,
    pub(crate) seq: i64,
}

impl StreamOffset {
    /// The number of the item in the stream of its run, from 1. 0 is before the first.
    pub fn seq(&self) -> u64 {
        self.seq.unsigned_abs()
    }
}

impl fmt::Display for StreamOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.run, self.seq)
    }
}

/// The text is no offset of a stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no offset of a stream: it is the text of a `StreamOffset`, such as `12-7`")]
pub struct ParseOffsetError(String);

impl FromStr for StreamOffset {
    type Err = ParseOffsetError;

    fn from_str(text: &str) -> std::result::Result<Self, ParseOffsetError> {
        let number = |text: &str| text.parse::<i64>().ok().filter(|n| *n >= 0);
        let parts = text.split_once('-').map(|(run, seq)| (number(run), number(seq)));
        match parts {
            Some((Some(run), Some(seq))) => Ok(Self { run: ExecutionId(run), seq }),
            _ => Err(ParseOffsetError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_text() {
        let offset = StreamOffset { run: ExecutionId(12), seq: 7 };
        assert_eq!(offset.to_string(), "12-7");
        assert_eq!("12-7".parse(), Ok(offset));
        for wrong in ["", "12", "-1", "12--7", "a-7", "12-", "12-7-8", "99999999999999999999-1"] {
            assert!(wrong.parse::<StreamOffset>().is_err(), "{wrong}");
        }
    }
}
