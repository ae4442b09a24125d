//! Values that users put into the kernel: inputs, outputs, arguments, receipts.
//!
//! They are JSON text. bincode is not self-describing, so a `serde_json::Value` inside a stored record would be written
//! and could not be read back; text can. A payload over [`INLINE_BYTES_MAX`] leaves the record for the blob keyspace when
//! it is stored (`run/stored.rs`), so that journal batches stay small.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use thiserror::Error;

/// Largest payload. A model answer or a mail's text fits many times over; what is larger belongs in a file or a blob, with
/// its hash in the payload.
pub const PAYLOAD_BYTES_MAX: usize = 4 << 20;

/// Largest payload kept inside a journal record. Batches whose values stay near a disk sector are torn less often by a
/// power loss.
pub const INLINE_BYTES_MAX: usize = 4 << 10;

/// A JSON value as text. Cloning it is cheap.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Arc<str>);

/// A value that cannot be a payload, or a payload that is not what was expected.
#[derive(Debug, Error)]
pub enum PayloadError {
    /// Over [`PAYLOAD_BYTES_MAX`].
    #[error(
        "the value has {bytes} bytes of JSON and the limit is {PAYLOAD_BYTES_MAX}; keep large content in a file or blob and pass its hash"
    )]
    TooLarge {
        /// How large it was.
        bytes: usize,
    },
    /// Not JSON, or not of the expected shape.
    #[error("the value does not have the expected shape: {0}")]
    Shape(#[from] serde_json::Error),
}

impl Payload {
    /// Serializes `value`.
    ///
    /// # Errors
    ///
    /// Fails if `value` cannot be JSON or is over [`PAYLOAD_BYTES_MAX`].
    pub fn of(value: &impl Serialize) -> Result<Self, PayloadError> {
        Self::bounded(serde_json::to_string(value)?)
    }

    /// Takes JSON text after checking that it is JSON.
    ///
    /// # Errors
    ///
    /// Fails if `text` is not one JSON value or is over [`PAYLOAD_BYTES_MAX`].
    pub fn from_json(text: &str) -> Result<Self, PayloadError> {
        // As a value, not only as syntax: a number that no value can hold is refused here and not when it is read.
        serde_json::from_str::<Value>(text)?;
        Self::bounded(text.to_owned())
    }

    fn bounded(text: String) -> Result<Self, PayloadError> {
        if text.len() > PAYLOAD_BYTES_MAX {
            return Err(PayloadError::TooLarge { bytes: text.len() });
        }
        Ok(Self(text.into()))
    }

    /// JSON `null`.
    #[must_use]
    pub fn null() -> Self {
        Self("null".into())
    }

    /// Reads it as a `T`.
    ///
    /// # Errors
    ///
    /// Fails if the JSON does not have the shape of `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        Ok(serde_json::from_str(&self.0)?)
    }

    /// Reads it as a JSON value.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).expect("a payload is checked to be JSON when it is made")
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The BLAKE3 hash of the text.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self::null()
    }
}

/// As text, also where the format could hold the value itself: so it reads back the same from every format.
impl Serialize for Payload {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_json(&text).map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A BLAKE3 hash: of a payload, a blob, a journal record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Hashes `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// 64 lower-case hex digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }

    /// Reads 64 hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        blake3::Hash::from_hex(text).ok().map(|hash| Self(*hash.as_bytes()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex()[..16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_as_json_can_be_read_as_a_value() {
        for wrong in ["", "{", "[1,]", "1e999", "nul", "1 2"] {
            assert!(Payload::from_json(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Payload::from_json(r#"{"a":[1,null]}"#).unwrap().value()["a"][0], 1);
    }

    #[test]
    fn a_payload_over_the_limit_says_how_large_it_is() {
        let error = Payload::of(&"x".repeat(PAYLOAD_BYTES_MAX)).unwrap_err();
        assert!(error.to_string().starts_with("the value has 4194306 bytes of JSON"), "{error}");
    }
}
