//! Mail addresses: what may stand before an `@`, and a domain after it that ends like one.

use std::ops::Range;

use super::digits::is_word;

/// Mail addresses in `text`. Reading stops at the next `@` on either side, so each character is read at most twice.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let address = |(at, _)| Some(local(text, at)?..at + 1 + domain(&text[at + 1..])?);
    text.match_indices('@').filter_map(address).collect()
}

/// Where the part before the `@` at `at` begins.
fn local(text: &str, at: usize) -> Option<usize> {
    let is_local = |c: char| is_word(c) || "._%+-'&=~".contains(c);
    let before = &text[..at];
    let part = &before[before.trim_end_matches(is_local).len()..];
    let part = part.trim_start_matches(|c| !is_word(c) && c != '_');
    (!part.is_empty()).then(|| at - part.len())
}

/// How long the domain at the start of `text` is: as long as it can be and still end in letters.
fn domain(text: &str) -> Option<usize> {
    let end = text.find(|c: char| !is_word(c) && c != '.' && c != '-').unwrap_or(text.len());
    let (mut start, mut longest) = (0, None);
    for (index, label) in text[..end].split('.').enumerate() {
        if label.is_empty() || label.starts_with('-') {
            break;
        }
        let letters = label.find(|c: char| !c.is_alphabetic()).unwrap_or(label.len());
        let ends_word = letters == label.len() || label[letters..].starts_with('-');
        if index > 0 && label.starts_with("xn--") {
            longest = Some(start + label.trim_end_matches('-').len());
        } else if index > 0 && ends_word && label[..letters].chars().count() >= 2 {
            longest = Some(start + letters);
        }
        start += label.len() + 1;
    }
    longest
}
