//! Values on their way into and out of history. JSON by default, because people read their database.
//!
//! A payload is kept as the JSON text itself ([`RawValue`]): it is written once by the user's type and read once by
//! it, and never becomes a `serde_json::Value` on the hot path (measured 4x slower).
//!
//! What does not come back from its JSON as it was is refused when it is written ([`Payload::keep`]).

mod back;
mod first;
mod look;
mod place;
mod risk;
mod same;
#[cfg(test)]
mod tests;
mod unread;

pub use unread::unread;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::fmt;
use std::sync::Arc;

/// The largest payload that a call accepts, in bytes: 2 MiB, Temporal's limit.
pub const MAX_PAYLOAD_BYTES: usize = 2 * 1024 * 1024;

/// The most lists and maps in each other: what `serde_json` still reads.
const MAX_DEPTH: usize = 127;

/// One encoded value: an argument list, a result, an error's data.
///
/// Cheap to clone: a value goes through an input, an event, a result and a row.
#[derive(Clone)]
pub struct Payload(Arc<RawValue>);

impl Payload {
    /// Encodes `value`. Fails if the type's `Serialize` refuses or if the value is nested too deeply to be decoded again
    /// (`AB0403`), and if it is over [`MAX_PAYLOAD_BYTES`] (`AB0405`). Whether the value comes back is [`Payload::keep`]'s
    /// question.
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, PayloadError> {
        let refused = |message| PayloadError::Encode { type_name: std::any::type_name::<T>(), message };
        let raw = serde_json::value::to_raw_value(value).map_err(|e| refused(e.to_string()))?;
        match raw.get().len() {
            bytes if bytes > MAX_PAYLOAD_BYTES => {
                Err(PayloadError::TooLarge { type_name: std::any::type_name::<T>(), bytes })
            }
            _ if is_too_deep(raw.get()) => {
                Err(refused(format!("it has more than {MAX_DEPTH} lists and maps in each other")))
            }
            _ => Ok(Self(Arc::from(raw))),
        }
    }

    /// Encodes a value that is to be read back. Fails as [`Payload::encode`] does, where the JSON is not read as a `T` again
    /// (`AB0216`: a `NaN`, a 128-bit integer in an untagged enum), and where it is read as another value (`AB0217`: a
    /// `Some(None)`, which comes back as `None`).
    pub fn keep<T: Serialize + DeserializeOwned>(value: &T) -> Result<Self, PayloadError> {
        Self::write(value)?.kept()
    }

    /// Encodes a value, and says whether it comes back.
    #[doc(hidden)]
    pub fn write<T: Serialize + DeserializeOwned>(value: &T) -> Result<Encoded, PayloadError> {
        let payload = Self::encode(value)?;
        let refusal = back::refusal(value, &payload).map(Box::new);
        Ok(Encoded { payload, refusal })
    }

    /// Whether both are the same JSON: the order of an object's keys and how a text is escaped do not matter, and numbers are
    /// compared exactly, however long they are.
    pub fn is_same(&self, other: &Self) -> bool {
        same::same(self.as_json(), other.as_json())
    }

    /// Decodes the value as a `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        serde_json::from_str(self.0.get()).map_err(|e| PayloadError::Decode {
            type_name: std::any::type_name::<T>(),
            message: unread(self.0.get(), &e),
        })
    }

    /// The JSON text.
    pub fn as_json(&self) -> &str {
        self.0.get()
    }

    /// Takes JSON text as it is; fails where it is not JSON.
    pub fn from_json(json: String) -> Result<Self, PayloadError> {
        // Its words tell what is wrong with the text, and quote nothing of it.
        RawValue::from_string(json)
            .map(|raw| Self(Arc::from(raw)))
            .map_err(|e| PayloadError::Decode { type_name: "JSON", message: e.to_string() })
    }

    /// The JSON `null`: no arguments, or a result of `()`.
    pub fn null() -> Self {
        Self(Arc::from(RawValue::NULL.to_owned()))
    }
}

/// As the JSON itself.
impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|raw| Self(Arc::from(raw)))
    }
}

/// A payload, and why its value does not come back from it, if it does not.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Encoded {
    payload: Payload,
    refusal: Option<Box<PayloadError>>,
}

impl Encoded {
    /// The payload; an error where its value does not come back.
    pub fn kept(self) -> Result<Payload, PayloadError> {
        self.refusal.map_or(Ok(self.payload), |error| Err(*error))
    }

    /// The payload, whatever comes back: for a history that was recorded before this was asked.
    pub fn unchecked(self) -> Payload {
        self.payload
    }
}

/// Whether this JSON could not be read again. Told when it is written: in history it would suspend its execution for good.
fn is_too_deep(json: &str) -> bool {
    let opens = |byte: &u8| matches!(byte, b'[' | b'{');
    // Nearly all payloads are done with here.
    if json.len() <= 2 * MAX_DEPTH || json.bytes().filter(opens).count() <= MAX_DEPTH {
        return false;
    }
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    json.bytes().any(|byte| {
        match byte {
            _ if std::mem::take(&mut escaped) => {}
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth -= 1,
            _ => {}
        }
        depth > MAX_DEPTH
    })
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get())
    }
}

/// Why a value could not become a payload, or a payload a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The type's `Serialize` failed (for JSON: a map whose keys are not strings, mostly).
    #[error("AB0403: a value of type `{type_name}` cannot be encoded as JSON: {message}")]
    Encode {
        /// The Rust type.
        type_name: &'static str,
        /// What serde said.
        message: String,
    },
    /// The recorded JSON is not a value of today's type. The text tells places, names and lengths, not what is recorded.
    #[error("AB0404: the recorded payload is not a `{type_name}`: {message}")]
    Decode {
        /// The Rust type.
        type_name: &'static str,
        /// What serde said, without values.
        message: String,
    },
    /// The value's own JSON cannot be read as its type.
    #[error("AB0216: what a `{type_name}` is written as cannot be read as one again: {message}; {places}")]
    Unreadable {
        /// The Rust type.
        type_name: &'static str,
        /// What serde said, without values.
        message: String,
        /// The paths of what may be the reason, and what is there.
        places: String,
    },
    /// The value's own JSON is read as another value.
    #[error("AB0217: a `{type_name}` would come back from its JSON as another value: {places}")]
    Changed {
        /// The Rust type.
        type_name: &'static str,
        /// The paths of what would be lost, and what is there.
        places: String,
    },
    /// Over [`MAX_PAYLOAD_BYTES`].
    #[error(
        "AB0405: a `{type_name}` of {bytes} bytes is over the limit of 2 MiB (2,097,152 bytes): \
         store it elsewhere and pass a reference"
    )]
    TooLarge {
        /// The Rust type.
        type_name: &'static str,
        /// Its encoded size.
        bytes: usize,
    },
}

impl PayloadError {
    /// The error's code, the name of its page in `docs/errors/`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Encode { .. } => "AB0403",
            Self::Decode { .. } => "AB0404",
            Self::TooLarge { .. } => "AB0405",
            Self::Unreadable { .. } => "AB0216",
            Self::Changed { .. } => "AB0217",
        }
    }
}
