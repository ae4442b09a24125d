//! What is like what: the nearest of many texts.
//!
//! A text becomes a vector ([`embed`]), and an [`Index`] finds the nearest ones. There are two: [`Exact`] compares with
//! all, and is the oracle and what runs without C++; `Faiss` (feature `faiss`) is FAISS. They answer alike, and a test
//! holds them to it. An index is a projection: it is made from facts and can be thrown away.

mod embed;
mod exact;
#[cfg(feature = "faiss")]
mod faiss;

pub use embed::{DIMENSIONS, Vector, embed};
pub use exact::Exact;

#[cfg(feature = "faiss")]
pub use self::faiss::{Faiss, FaissError};

/// A place in an index: counted from zero, in the order of adding.
pub type Slot = usize;

/// Finds the nearest of many vectors.
pub trait Index {
    /// Adds a vector. Its slot is the number of those before it.
    ///
    /// # Errors
    ///
    /// Fails if the index cannot grow.
    fn add(&mut self, vector: &Vector) -> Result<(), String>;

    /// Up to `limit` slots with their similarity (cosine, 1.0 is the same), the most similar first, equals by slot.
    ///
    /// # Errors
    ///
    /// Fails if the index cannot be searched.
    fn search(&mut self, vector: &Vector, limit: usize) -> Result<Vec<(Slot, f32)>, String>;
}

/// The index this build uses: FAISS where it is built in, else the exact one.
///
/// # Errors
///
/// Fails if FAISS cannot make one.
pub fn index() -> Result<Box<dyn Index>, String> {
    #[cfg(feature = "faiss")]
    return Ok(Box::new(Faiss::new().map_err(|error| error.to_string())?));
    #[cfg(not(feature = "faiss"))]
    Ok(Box::new(Exact::default()))
}

/// The name of the index this build uses.
pub const INDEX: &str = if cfg!(feature = "faiss") { "faiss" } else { "exact" };

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 6] = [
        "Ilan Petrov",
        "Jörg Weiß",
        "Mara Lindqvist",
        "Northlight Accounts",
        "Lines and Grids",
        "Petra Ivanova",
    ];

    #[track_caller]
    fn check(mut index: impl Index, text: &str, expected: &str) {
        for name in NAMES {
            index.add(&embed(name)).unwrap();
        }
        let found = index.search(&embed(text), 3).unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(NAMES[found[0].0], expected);
        assert!(found.windows(2).all(|pair| pair[0].1 >= pair[1].1), "{found:?}");
    }

    #[test]
    fn a_name_is_found_though_it_is_misspelt() {
        check(Exact::default(), "petrow ilan", "Ilan Petrov");
        check(Exact::default(), "accounts at northlight", "Northlight Accounts");
        check(Exact::default(), "MARA LINDQUIST", "Mara Lindqvist");
    }

    #[cfg(feature = "faiss")]
    #[test]
    fn faiss_answers_as_the_exact_index_does() {
        check(Faiss::new().unwrap(), "petrow ilan", "Ilan Petrov");
        let (mut exact, mut faiss) = (Exact::default(), Faiss::new().unwrap());
        for number in 0..500 {
            let vector = embed(&format!("contact number {number} of {}", number % 17));
            exact.add(&vector).unwrap();
            faiss.add(&vector).unwrap();
        }
        for number in 0..50 {
            let asked = embed(&format!("number {}", number * 7));
            let (one, other) = (exact.search(&asked, 5).unwrap(), faiss.search(&asked, 5).unwrap());
            for ((_, near), (_, also_near)) in one.iter().zip(&other) {
                assert!((near - also_near).abs() < 1e-5, "{one:?} against {other:?}");
            }
        }
    }

    #[test]
    fn an_empty_index_finds_nothing() {
        assert!(index().unwrap().search(&embed("x"), 3).unwrap().is_empty());
    }
}
