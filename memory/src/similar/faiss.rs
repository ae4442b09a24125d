//! FAISS: a flat index by inner product, which for vectors of length one is the cosine.

use ::faiss::{Index as _, MetricType, index::IndexImpl, index_factory};
use thiserror::Error;

use super::{DIMENSIONS, Index, Slot, Vector};

/// A FAISS index.
pub struct Faiss {
    inner: IndexImpl,
}

/// FAISS did not make an index.
#[derive(Debug, Error)]
#[error("failed to make a FAISS index: {0}")]
pub struct FaissError(String);

impl Faiss {
    /// An empty index.
    ///
    /// # Errors
    ///
    /// [`FaissError`], in FAISS's own words.
    pub fn new() -> Result<Self, FaissError> {
        let dimensions = u32::try_from(DIMENSIONS).expect("there are few dimensions");
        let made = index_factory(dimensions, "Flat", MetricType::InnerProduct);
        Ok(Self { inner: made.map_err(|error| FaissError(error.to_string()))? })
    }
}

impl Index for Faiss {
    fn add(&mut self, vector: &Vector) -> Result<(), String> {
        self.inner.add(vector).map_err(|error| error.to_string())
    }

    fn search(&mut self, vector: &Vector, limit: usize) -> Result<Vec<(Slot, f32)>, String> {
        // FAISS fills up with slots that are not there.
        let limit = limit.min(usize::try_from(self.inner.ntotal()).unwrap_or(usize::MAX));
        if limit == 0 {
            return Ok(vec![]);
        }
        let found = self.inner.search(vector, limit).map_err(|error| error.to_string())?;
        let slots = found.labels.iter().filter_map(|label| label.get()).map(|slot| slot as Slot);
        let mut found: Vec<(Slot, f32)> = slots.zip(found.distances).collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Ok(found)
    }
}
