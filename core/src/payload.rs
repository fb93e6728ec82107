//! Values as history stores them. The format is JSON, so that people can read their database.
//!
//! A payload is the JSON text itself ([`RawValue`]). The user's type writes it once and reads it once. It
//! never becomes a `serde_json::Value` on the hot path (measured: 4x slower).
//!
//! A value that does not come back unchanged from its JSON is refused when it is written ([`Payload::keep`]).

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

use crate::code::Code;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::fmt;
use std::sync::Arc;

/// The largest payload that a call accepts, in bytes: 2 MiB, Temporal's limit.
pub const MAX_PAYLOAD_BYTES: usize = 2 * 1024 * 1024;

/// The most nested lists and maps: the limit of `serde_json` for reading.
const MAX_DEPTH: usize = 127;

/// One encoded value: an argument list, a result, an error's data.
///
/// Cheap to clone, because a value passes through an input, an event, a result and a row.
#[derive(Clone)]
pub struct Payload(Arc<RawValue>);

impl Payload {
    /// Encodes `value`. Fails if the type's `Serialize` fails or if the value is nested too deeply to be
    /// decoded again (`AB0403`), and if it is over [`MAX_PAYLOAD_BYTES`] (`AB0405`). Does not check whether
    /// the value comes back; see [`Payload::keep`].
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

    /// Encodes a value that will be read back. Fails like [`Payload::encode`]. Also fails if the JSON cannot
    /// be read as a `T` again (`AB0216`: a `NaN`, a 128-bit integer in an untagged enum), and if it is read
    /// as another value (`AB0217`: a `Some(None)`, which comes back as `None`).
    pub fn keep<T: Serialize + DeserializeOwned>(value: &T) -> Result<Self, PayloadError> {
        Self::write(value)?.kept()
    }

    /// Encodes a value, and tells whether it comes back.
    #[doc(hidden)]
    pub fn write<T: Serialize + DeserializeOwned>(value: &T) -> Result<Encoded, PayloadError> {
        let payload = Self::encode(value)?;
        let refusal = back::refusal(value, &payload).map(Box::new);
        Ok(Encoded { payload, refusal })
    }

    /// Whether both are the same JSON. The order of an object's keys and the escapes in a text do not matter.
    /// Numbers are compared exactly, at any length.
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

    /// Takes JSON text unchanged. Fails if it is not JSON.
    pub fn from_json(json: String) -> Result<Self, PayloadError> {
        // The error message says what is wrong with the text, and quotes nothing of it.
        RawValue::from_string(json)
            .map(|raw| Self(Arc::from(raw)))
            .map_err(|e| PayloadError::Decode { type_name: "JSON", message: e.to_string() })
    }

    /// The JSON `null`: no arguments, or a result of `()`.
    pub fn null() -> Self {
        Self(Arc::from(RawValue::NULL.to_owned()))
    }
}

/// Serializes as the JSON itself.
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

/// A payload, and the reason if its value does not come back from it.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Encoded {
    payload: Payload,
    refusal: Option<Box<PayloadError>>,
}

impl Encoded {
    /// Returns the payload, or an error if its value does not come back.
    pub fn kept(self) -> Result<Payload, PayloadError> {
        self.refusal.map_or(Ok(self.payload), |error| Err(*error))
    }

    /// Returns the payload without the check: for a history that was recorded before the check existed.
    pub fn unchecked(self) -> Payload {
        self.payload
    }
}

/// Whether this JSON is nested too deeply to be read again. Once in history, it would suspend its execution
/// for good.
fn is_too_deep(json: &str) -> bool {
    let opens = |byte: &u8| matches!(byte, b'[' | b'{');
    // This returns for nearly all payloads.
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
    /// The type's `Serialize` failed (for JSON: usually a map whose keys are not strings).
    #[error("{}: a value of type `{type_name}` cannot be encoded as JSON: {message}", Code::Unencodable)]
    Encode {
        /// The Rust type.
        type_name: &'static str,
        /// The message of serde.
        message: String,
    },
    /// The recorded JSON is not a value of the current type. The text contains places, names and lengths, but
    /// no values.
    #[error("{}: the recorded payload is not a `{type_name}`: {message}", Code::PayloadType)]
    Decode {
        /// The Rust type.
        type_name: &'static str,
        /// The message of serde, without values.
        message: String,
    },
    /// The value's own JSON cannot be read as its type.
    #[error(
        "{}: what a `{type_name}` is written as cannot be read as one again: {message}; {places}",
        Code::Unreadable
    )]
    Unreadable {
        /// The Rust type.
        type_name: &'static str,
        /// The message of serde, without values.
        message: String,
        /// The paths of the possible reasons, and what is there.
        places: String,
    },
    /// The value's own JSON is read as another value.
    #[error(
        "{}: a `{type_name}` would come back from its JSON as another value: {places}",
        Code::ReadsBackChanged
    )]
    Changed {
        /// The Rust type.
        type_name: &'static str,
        /// The paths of the values that would be lost, and what is there.
        places: String,
    },
    /// Over [`MAX_PAYLOAD_BYTES`].
    #[error(
        "{}: a `{type_name}` of {bytes} bytes is over the limit of 2 MiB (2,097,152 bytes): \
         store it elsewhere and pass a reference",
        Code::PayloadTooLarge
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
        let code = match self {
            Self::Encode { .. } => Code::Unencodable,
            Self::Decode { .. } => Code::PayloadType,
            Self::TooLarge { .. } => Code::PayloadTooLarge,
            Self::Unreadable { .. } => Code::Unreadable,
            Self::Changed { .. } => Code::ReadsBackChanged,
        };
        code.as_str()
    }
}
