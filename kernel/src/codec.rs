//! The one place that names bincode.
//!
//! Stored types go through [`encode`] and [`decode`] and nothing else, so the codec can be swapped here. bincode is not
//! self-describing: `#[serde(tag)]`, `untagged`, `flatten`, `skip_serializing_if` and `serde_json::Value` write bytes that
//! cannot be read back. Stored types avoid them, and a decoder accepts only a value that uses up all its bytes.

use bincode::config::{Configuration, Limit};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// Largest single stored value that is decoded: a length field that a disk error made huge must not allocate.
const DECODE_BYTES_MAX: usize = 64 << 20;

const CONFIG: Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    Limit<DECODE_BYTES_MAX>,
> = bincode::config::standard().with_limit::<DECODE_BYTES_MAX>();

/// Bytes that do not decode.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// Not what the type's encoding can be.
    #[error("{0}")]
    Malformed(#[from] bincode::error::DecodeError),
    /// A value, and then more.
    #[error("{0} bytes are left over after the value")]
    TrailingBytes(usize),
}

/// Encodes a stored type.
///
/// # Panics
///
/// If the type uses a serde attribute that bincode cannot write (`flatten`): a defect in the stored type.
#[must_use]
pub fn encode(value: &impl Serialize) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, CONFIG).expect("stored types are plain structs and enums")
}

/// Encodes a stored type at the end of `bytes`, so that a buffer can be used again.
///
/// # Panics
///
/// As [`encode`].
pub fn encode_into(value: &impl Serialize, bytes: &mut Vec<u8>) {
    bincode::serde::encode_into_std_write(value, bytes, CONFIG)
        .expect("stored types are plain structs and enums");
}

/// Decodes a stored type from all of `bytes`.
///
/// # Errors
///
/// Fails if the bytes are not exactly one value of the type.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let (value, used) = bincode::serde::decode_from_slice(bytes, CONFIG)?;
    match bytes.len() - used {
        0 => Ok(value),
        left => Err(DecodeError::TrailingBytes(left)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_bytes_left_over_is_refused() {
        let mut bytes = encode(&(7u32, "seven"));
        assert_eq!(decode::<(u32, String)>(&bytes).unwrap(), (7, "seven".to_owned()));
        bytes.push(0);
        assert!(matches!(decode::<(u32, String)>(&bytes), Err(DecodeError::TrailingBytes(1))));
    }

    #[test]
    fn a_huge_length_is_refused_without_allocating() {
        let mut evil = vec![253u8];
        evil.extend(u64::MAX.to_le_bytes());
        assert!(decode::<Vec<String>>(&evil).is_err());
    }
}
