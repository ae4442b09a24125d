//! Groups of digits, and what stands around them.

use std::ops::Range;

/// Spaces that keep a number on one line: no-break, and narrow no-break.
pub(super) const NO_BREAK: [char; 2] = ['\u{a0}', '\u{202f}'];

/// Whether `c` is part of a word. Scripts from U+2E80 on put no spaces between words, so that what stands there beside a
/// number or an address is no part of it.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() && c < '\u{2e80}'
}

/// The character before `at`.
pub(super) fn before(text: &str, at: usize) -> Option<char> {
    text[..at].chars().next_back()
}

/// Whether the character before `at` is part of a word.
pub(super) fn word_before(text: &str, at: usize) -> bool {
    before(text, at).is_some_and(is_word)
}

/// Whether the character at `at` is part of a word.
pub(super) fn word_at(text: &str, at: usize) -> bool {
    text[at..].chars().next().is_some_and(is_word)
}

/// Whether a number that begins at `at` is the rest of something longer: `.5` in `1.5`, `-11` in `2026-11`.
pub(super) fn continues(text: &str, at: usize) -> bool {
    let mut earlier = text[..at].chars().rev();
    match earlier.next() {
        Some(c) if is_word(c) => true,
        Some('.' | ',' | ':' | '/' | '-' | '+') => {
            earlier.next().is_some_and(|c| c.is_ascii_digit())
        }
        _ => false,
    }
}

/// Whether what ends at `at` goes on as something longer: `-11` after `2026`.
pub(super) fn goes_on(text: &str, at: usize) -> bool {
    let mut later = text[at..].chars();
    match later.next() {
        Some(c) if is_word(c) => true,
        Some('.' | ',' | '/' | '-') => later.next().is_some_and(|c| c.is_ascii_digit()),
        _ => false,
    }
}

/// Every longest run of ASCII digits.
pub(super) fn groups(text: &str) -> Vec<Range<usize>> {
    let (mut groups, mut start) = (vec![], None);
    for (at, byte) in text.bytes().enumerate() {
        match (byte.is_ascii_digit(), start) {
            (true, None) => start = Some(at),
            (false, Some(first)) => {
                groups.push(first..at);
                start = None;
            }
            _ => {}
        }
    }
    groups.extend(start.map(|first| first..text.len()));
    groups
}

/// Removes the groups that `taken` touches. Both are sorted.
pub(super) fn remove(groups: &mut Vec<Range<usize>>, taken: &[Range<usize>]) {
    let mut taken = taken.iter().peekable();
    groups.retain(|group| {
        while taken.next_if(|range| range.end <= group.start).is_some() {}
        taken.peek().is_none_or(|range| range.start >= group.end)
    });
}

/// Looks for a number at each group in turn; `scan` says how many groups it takes and where it begins and ends.
pub(super) fn each(
    groups: &[Range<usize>],
    scan: impl Fn(&[Range<usize>]) -> Option<(usize, Range<usize>)>,
) -> Vec<Range<usize>> {
    let (mut found, mut at) = (vec![], 0);
    while at < groups.len() {
        match scan(&groups[at..]) {
            Some((taken, range)) => {
                found.push(range);
                at += taken.max(1);
            }
            None => at += 1,
        }
    }
    found
}

/// What stands between one group and the next.
pub(super) fn gap<'a>(text: &'a str, groups: &[Range<usize>], index: usize) -> &'a str {
    &text[groups[index].end..groups[index + 1].start]
}

/// Whether `gap` is one space of some kind, or one of `others`.
pub(super) fn is_space_or(gap: &str, others: &[&str]) -> bool {
    gap == " "
        || others.contains(&gap)
        || NO_BREAK.iter().any(|space| gap.strip_prefix(*space) == Some(""))
}

/// The values of the digits in `range`.
pub(super) fn values(text: &str, range: &Range<usize>) -> impl Iterator<Item = u32> {
    text.as_bytes()[range.clone()].iter().map(|byte| u32::from(byte - b'0'))
}

/// Whether the last digit is the check digit of ISO 7064 MOD 11,10 over the others.
pub(super) fn mod_11_10(digits: &[u32]) -> bool {
    let Some((check, digits)) = digits.split_last() else { return false };
    let product = digits.iter().fold(10, |product, digit| {
        let sum = (product + digit) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == *check
}
