//! Values on their way into and out of history. JSON by default, because people read their database.
//!
//! A payload is kept as the JSON text itself ([`RawValue`]): it is written once by the user's type and read once by
//! it, and never becomes a `serde_json::Value` on the hot path (measured 4x slower).

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::fmt;

/// The largest payload that a call accepts, in bytes: 2 MiB, Temporal's limit.
pub const MAX_PAYLOAD_BYTES: usize = 2 * 1024 * 1024;

/// The most lists and maps in each other: what `serde_json` still reads.
const MAX_DEPTH: usize = 127;

/// One encoded value: an argument list, a result, an error's data.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Payload(Box<RawValue>);

impl Payload {
    /// Encodes `value`. Fails if the type's `Serialize` refuses or if the value is nested too deeply to be decoded again
    /// (`AB0403`), and if it is over [`MAX_PAYLOAD_BYTES`] (`AB0405`).
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
            _ => Ok(Self(raw)),
        }
    }

    /// Decodes the value as a `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        serde_json::from_str(self.0.get()).map_err(|e| PayloadError::Decode {
            type_name: std::any::type_name::<T>(),
            message: e.to_string(),
        })
    }

    /// The JSON text.
    pub fn as_json(&self) -> &str {
        self.0.get()
    }

    /// Takes JSON text as it is; fails where it is not JSON.
    pub fn from_json(json: String) -> Result<Self, PayloadError> {
        RawValue::from_string(json)
            .map(Self)
            .map_err(|e| PayloadError::Decode { type_name: "JSON", message: e.to_string() })
    }

    /// The JSON `null`: no arguments, or a result of `()`.
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned())
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
    /// The recorded JSON is not a value of today's type.
    #[error("AB0404: the recorded payload is not a `{type_name}`: {message}")]
    Decode {
        /// The Rust type.
        type_name: &'static str,
        /// What serde said.
        message: String,
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
        }
    }
}
