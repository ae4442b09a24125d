//! Texts as vectors, without a model: hashed character trigrams.
//!
//! Each trigram of the lower-cased words adds one to a place given by its hash, with a sign given by another bit of it
//! (Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", 2009); the vector is scaled to length one. It
//! finds misspelt names and parts of names. It knows nothing of meaning.

/// Numbers in a vector. Names have some tens of trigrams, so that few of them share a place.
pub const DIMENSIONS: usize = 256;

/// A vector of length one, or of zeros for a text without letters.
pub type Vector = [f32; DIMENSIONS];

/// The vector of `text`.
#[must_use]
pub fn embed(text: &str) -> Vector {
    let mut vector = [0.0; DIMENSIONS];
    let lower = text.to_lowercase();
    for word in
        lower.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty())
    {
        let letters: Vec<char> = std::iter::once(' ').chain(word.chars()).chain([' ']).collect();
        for trigram in letters.windows(3) {
            let hash = hash(trigram);
            let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
            vector[usize::try_from(hash % DIMENSIONS as u64).expect("it is below DIMENSIONS")] +=
                sign;
        }
    }
    let length = vector.iter().map(|number: &f32| number * number).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|number| *number /= length);
    }
    vector
}

/// FNV-1a, 64 bit: the same on every machine, and quick for twelve bytes.
fn hash(letters: &[char]) -> u64 {
    let bytes = letters.iter().flat_map(|letter| u32::from(*letter).to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // FNV's low bits mix poorly; fold the high ones in.
    hash ^ (hash >> 29)
}
