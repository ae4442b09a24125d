//! The exact index: compares with all.

use super::{Index, Slot, Vector};

/// Compares with every vector. Right by construction, and quick enough for tens of thousands.
#[derive(Default)]
pub struct Exact {
    vectors: Vec<Vector>,
}

impl Index for Exact {
    fn add(&mut self, vector: &Vector) -> Result<(), String> {
        self.vectors.push(*vector);
        Ok(())
    }

    fn search(&mut self, vector: &Vector, limit: usize) -> Result<Vec<(Slot, f32)>, String> {
        let similarity = |other: &Vector| other.iter().zip(vector).map(|(a, b)| a * b).sum::<f32>();
        let mut found: Vec<(Slot, f32)> = self.vectors.iter().map(similarity).enumerate().collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found.truncate(limit);
        Ok(found)
    }
}
