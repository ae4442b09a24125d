//! A stored payload: in the record, or by its hash.

use serde::{Deserialize, Serialize};

use super::{Blobs, Fetch, StoredError};
use crate::{
    labels::{Labeled, Labels},
    payload::{Digest, INLINE_BYTES_MAX, Payload},
};

#[derive(Serialize, Deserialize)]
pub(super) enum StoredPayload {
    Inline(String),
    Blob(Digest),
}

/// A payload with its labels.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredLabeled {
    payload: StoredPayload,
    labels: Labels,
}

impl StoredPayload {
    pub(super) fn of(payload: &Payload, blobs: &mut Blobs) -> Self {
        let text = payload.as_str();
        if text.len() <= INLINE_BYTES_MAX {
            return Self::Inline(text.to_owned());
        }
        let digest = payload.digest();
        blobs.push((digest, text.as_bytes().into()));
        Self::Blob(digest)
    }

    /// A text, which spills like every payload.
    pub(super) fn of_text(text: &str, blobs: &mut Blobs) -> Self {
        let payload = Payload::of(&text).unwrap_or_else(|_| Payload::null());
        Self::of(&payload, blobs)
    }

    pub(super) fn read(self, fetch: Fetch<'_>) -> Result<Payload, StoredError> {
        let (digest, text) = match self {
            Self::Inline(text) => (None, text),
            Self::Blob(digest) => {
                let problem = |problem| StoredError::Payload { digest: digest.to_hex(), problem };
                let bytes = fetch(&digest)?.ok_or_else(|| problem("missing"))?;
                (Some(digest), String::from_utf8(bytes).map_err(|_| problem("not text"))?)
            }
        };
        Payload::from_json(&text).map_err(|_| StoredError::Payload {
            digest: digest.map_or_else(|| "inline".into(), Digest::to_hex),
            problem: "not JSON",
        })
    }

    pub(super) fn read_text(self, fetch: Fetch<'_>) -> Result<String, StoredError> {
        Ok(self.read(fetch)?.parse().unwrap_or_default())
    }
}

impl StoredLabeled {
    pub(super) fn of(labeled: &Labeled<Payload>, blobs: &mut Blobs) -> Self {
        let payload = StoredPayload::of(&labeled.value, blobs);
        Self { payload, labels: labeled.labels.clone() }
    }

    pub(super) fn read(self, fetch: Fetch<'_>) -> Result<Labeled<Payload>, StoredError> {
        Ok(Labeled::new(self.payload.read(fetch)?, self.labels))
    }
}
