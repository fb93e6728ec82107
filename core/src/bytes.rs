//! A byte string that history stores as one text. serde writes a `Vec<u8>` to JSON as a list of numbers.

use base64::Engine as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::Deref;

/// The most bytes to reserve from the length that a list of numbers announces.
const TRUSTED_BYTES: usize = 64 * 1024;
/// The most bytes that `Debug` shows.
const SHOWN_BYTES: usize = 24;

/// Bytes as an argument, a result or a field: base64 in history, 4 characters for 3 bytes.
///
/// In JSON, a `Vec<u8>` is a list of numbers, with up to 4 characters for each byte (3.57 on average). The
/// limit of 2 MiB ([`MAX_PAYLOAD_BYTES`](crate::MAX_PAYLOAD_BYTES)) allows 512 KiB in a list of large
/// numbers, and 1.5 MiB in `Bytes`.
///
/// `Bytes` also reads a list of numbers, so that a field can become `Bytes` while runs that have recorded a
/// `Vec<u8>` are open. It reads a text as base64 with the standard alphabet and padding (RFC 4648, section
/// 4), and refuses every other text. A format that is not human-readable uses serde's bytes.
///
/// ```
/// use abide_core::Bytes;
///
/// let photo = Bytes::from(vec![0xff, 0xd8, 0xff]);
/// assert_eq!(photo.len(), 3); // it is a `[u8]` to read
/// assert_eq!(serde_json::to_string(&photo)?, r#""/9j/""#);
/// assert_eq!(serde_json::from_str::<Bytes>("[255, 216, 255]")?, photo);
/// assert_eq!(Vec::from(photo), [0xff, 0xd8, 0xff]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serializer.is_human_readable() {
            true => serializer.collect_str(&Base64Display::new(&self.0, &STANDARD)),
            false => serializer.serialize_bytes(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.is_human_readable() {
            true => deserializer.deserialize_any(Read),
            false => deserializer.deserialize_byte_buf(Read),
        }
    }
}

/// The visitor: it accepts every form in which bytes are written.
struct Read;

impl<'de> Visitor<'de> for Read {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes: a text in base64, or a list of numbers from 0 to 255")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        STANDARD.decode(text).map(Bytes).map_err(|error| E::custom(format_args!("no base64: {error}")))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes(bytes.to_vec()))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(Bytes(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Bytes, A::Error> {
        let mut bytes = Vec::with_capacity(list.size_hint().unwrap_or(0).min(TRUSTED_BYTES));
        while let Some(byte) = list.next_element()? {
            bytes.push(byte);
        }
        Ok(Bytes(bytes))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl<const N: usize> From<[u8; N]> for Bytes {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<Bytes> for Vec<u8> {
    fn from(bytes: Bytes) -> Self {
        bytes.0
    }
}

impl FromIterator<u8> for Bytes {
    fn from_iter<I: IntoIterator<Item = u8>>(bytes: I) -> Self {
        Self(bytes.into_iter().collect())
    }
}

/// Shows the number of bytes, and the first ones in base64.
impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(SHOWN_BYTES)];
        let more = if shown.len() < self.0.len() { ".." } else { "" };
        write!(f, "Bytes({}: {}{more})", self.0.len(), Base64Display::new(shown, &STANDARD))
    }
}

#[cfg(test)]
mod tests {
    use super::Bytes;
    use crate::payload::{MAX_PAYLOAD_BYTES, Payload};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::fuzz::cases(1_000))]

        #[test]
        fn any_bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let payload = Payload::keep(&(Bytes::from(bytes.clone()), Some(Bytes::default()))).unwrap();
            let (back, none): (Bytes, Option<Bytes>) = payload.decode().unwrap();
            prop_assert_eq!((&*back, none.map(|none| none.len())), (bytes.as_slice(), Some(0)));
            // A value recorded when the field was a `Vec<u8>`.
            let list = Payload::encode(&bytes).unwrap();
            prop_assert_eq!(Vec::from(list.decode::<Bytes>().unwrap()), bytes);
        }
    }

    /// The test vectors of RFC 4648, section 10.
    #[test]
    fn it_is_base64() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
        ] {
            let payload = Payload::keep(&Bytes::from(bytes.as_bytes())).unwrap();
            assert_eq!(payload.as_json(), format!("\"{text}\""));
        }
        for wrong in ["\"Zg\"", "\"Zh==\"", "\"Z g==\"", "\"_-8=\"", "[256]", "[-1]", "3", "null", "{}"] {
            let read = Payload::from_json(wrong.to_owned()).unwrap().decode::<Bytes>();
            assert_eq!(read.unwrap_err().code(), "AB0404", "{wrong}");
        }
    }

    #[test]
    fn one_and_a_half_mebibytes_fit() {
        let fit = MAX_PAYLOAD_BYTES / 4 * 3 - 3;
        assert!(Payload::keep(&Bytes::from(vec![255; fit])).is_ok());
        assert_eq!(Payload::keep(&Bytes::from(vec![255; fit + 3])).unwrap_err().code(), "AB0405");
        let list = Payload::keep(&vec![255_u8; MAX_PAYLOAD_BYTES / 4 + 1]);
        assert_eq!(list.unwrap_err().code(), "AB0405", "a list of numbers is over it at a third");
    }

    #[test]
    fn it_is_shown_in_short() {
        assert_eq!(format!("{:?}", Bytes::from(*b"foo")), "Bytes(3: Zm9v)");
        assert_eq!(format!("{:?}", Bytes::from([0; 100])), format!("Bytes(100: {}..)", "A".repeat(32)));
    }
}
