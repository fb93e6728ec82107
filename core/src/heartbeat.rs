//! What an activity tells by a heartbeat, and why it may not go on.

use crate::code::Code;
use crate::outcome::Persist;
use crate::payload::Payload;
use serde::{Deserialize, Serialize};

/// The most bytes of what a heartbeat tells, as JSON: 256 KiB.
pub const MAX_DETAILS_BYTES: usize = 256 * 1024;

/// Why a heartbeat failed. The body should return: `context.heartbeat(&done)?`.
///
/// It can be a part of an activity's own error: `#[from] activity::HeartbeatError`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum HeartbeatError {
    /// The attempt should stop: its workflow has dropped or cancelled it, a limit ran out, its worker stops, or it is
    /// decided elsewhere. The details are kept nevertheless.
    #[error("the activity was asked to stop")]
    Cancelled,
    /// The details were not kept, for this reason: they cannot be encoded (`AB0403`), would not come back as they are
    /// (`AB0216`, `AB0217`), or are over 256 KiB (`AB0620`). The text begins with the code.
    #[error("{0}")]
    Invalid(String),
}

/// Encodes what a heartbeat tells.
///
/// # Errors
/// [`HeartbeatError::Invalid`].
#[doc(hidden)]
pub fn heartbeat_details<T: Persist>(details: &T) -> Result<Payload, HeartbeatError> {
    let payload = Payload::keep(details).map_err(|error| HeartbeatError::Invalid(error.to_string()))?;
    match payload.as_json().len() {
        bytes if bytes > MAX_DETAILS_BYTES => Err(HeartbeatError::Invalid(format!(
            "{}: the details of a heartbeat are {bytes} bytes of JSON, and the limit is 256 KiB: tell where the \
             activity is, not what it has done so far",
            Code::HeartbeatTooLarge
        ))),
        _ => Ok(payload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_over_the_limit_and_such_that_do_not_come_back_are_refused() {
        assert_eq!(heartbeat_details(&(7, 'a')).unwrap().as_json(), r#"[7,"a"]"#);
        assert!(
            heartbeat_details(&"x".repeat(MAX_DETAILS_BYTES - 2)).is_ok(),
            "with its quotes it just fits"
        );
        let code = |refused: Result<Payload, HeartbeatError>| match refused {
            Err(HeartbeatError::Invalid(text)) => text[..6].to_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(code(heartbeat_details(&"x".repeat(MAX_DETAILS_BYTES - 1))), "AB0620");
        assert_eq!(code(heartbeat_details(&f64::NAN)), "AB0216");
        assert_eq!(code(heartbeat_details(&Some(None::<u8>))), "AB0217");
    }

    #[test]
    fn its_error_can_be_a_part_of_a_users_error() {
        for error in [HeartbeatError::Cancelled, HeartbeatError::Invalid("AB0620: long".to_owned())] {
            let json = serde_json::to_string(&error).unwrap();
            assert_eq!(serde_json::from_str::<HeartbeatError>(&json).unwrap(), error);
        }
    }
}
