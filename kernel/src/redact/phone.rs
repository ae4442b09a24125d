//! Telephone numbers. They have no checksum, so their form must say what they are: a country's prefix, the grouping of
//! North America, Germany or France, or a word before them.

use std::ops::Range;

use super::digits::{continues, each, gap, goes_on, is_space_or, values, word_at, word_before};

/// Words after which a number is one to call, in lower case.
const WORDS: [&str; 12] = [
    "phone",
    "telephone",
    "tel",
    "mobile",
    "mobil",
    "telefon",
    "fax",
    "handy",
    "cell",
    "whatsapp",
    "rufnummer",
    "call",
];

/// Longest gap between the groups of a number, in characters: ` (0) ` has a group within.
const GAP_CHARS_MAX: usize = 3;

/// Most groups of a number: digits in pairs, behind a prefix.
const GROUPS_MAX: usize = 9;

/// Telephone numbers among `groups`.
pub(super) fn find(text: &str, groups: &[Range<usize>]) -> Vec<Range<usize>> {
    each(groups, |groups| {
        let start = start(text, &groups[0]);
        if word_before(text, start) {
            return None;
        }
        let scans = [international, north_american, national, in_pairs, labelled];
        let taken = scans.iter().find_map(|scan| scan(text, start, groups))?;
        Some((taken, start..groups[taken - 1].end))
    })
}

/// Where a number whose first digits are `first` begins: with a plus sign or an opening bracket, if it has one.
fn start(text: &str, first: &Range<usize>) -> usize {
    let before = &text[..first.start];
    let closes = text[first.end..].starts_with(')');
    let bare = before.strip_suffix('(').filter(|_| closes).unwrap_or(before);
    bare.strip_suffix('+').unwrap_or(bare).len()
}

/// Whether a number that begins at `at` is no part of a longer one, of which the groups before stand apart by a space.
fn is_apart(text: &str, at: usize) -> bool {
    let mut before = text[..at].chars().rev();
    let spaced = before.next().is_some_and(char::is_whitespace);
    let follows_digit = spaced && before.next().is_some_and(|c| c.is_ascii_digit());
    !continues(text, at) && !follows_digit
}

/// How many of `groups`, from the first, are a number of `digits` digits: as many as can be.
fn run(
    text: &str,
    groups: &[Range<usize>],
    digits: std::ops::RangeInclusive<usize>,
) -> Option<usize> {
    let (mut count, mut longest) = (0, None);
    for (index, group) in groups.iter().enumerate().take(GROUPS_MAX) {
        if index > 0 && !joins(gap(text, groups, index - 1)) {
            break;
        }
        count += group.len();
        if digits.contains(&count) && !word_at(text, group.end) {
            longest = Some(index + 1);
        }
        if count > *digits.end() {
            break;
        }
    }
    longest
}

/// Whether a number can go on after `gap`. A full stop joins only without a space: with one it ends a sentence.
fn joins(gap: &str) -> bool {
    let joining = |c: char| " -./()\u{a0}\u{202f}\u{2011}\u{2013}".contains(c);
    gap.chars().all(joining)
        && gap.chars().count() <= GAP_CHARS_MAX
        && gap.chars().filter(|c| "./-".contains(*c)).count() <= 1
        && (gap == "." || !gap.contains('.'))
}

/// `+49 30 1234567`, `0049 30 1234567`.
fn international(text: &str, start: usize, groups: &[Range<usize>]) -> Option<usize> {
    let first = &text[groups[0].clone()];
    if text[start..].starts_with('+') {
        let again = text[..start].ends_with('+');
        return if again || first.starts_with('0') { None } else { run(text, groups, 8..=15) };
    }
    let prefixed = first.strip_prefix("00")?;
    let country_follows = prefixed.is_empty()
        && groups
            .get(1)
            .is_some_and(|next| next.len() <= 3 && !text[next.clone()].starts_with('0'));
    let country_within = prefixed.len() >= 2 && !prefixed.starts_with('0');
    let begins = (country_follows || country_within) && is_apart(text, start);
    if begins { run(text, groups, 10..=17) } else { None }
}

/// `(415) 555-2671`, `1-415-555-2671`, `415.555.2671`.
fn north_american(text: &str, start: usize, groups: &[Range<usize>]) -> Option<usize> {
    let prefix = usize::from(&text[groups[0].clone()] == "1");
    let [area, exchange, line, ..] = groups.get(prefix..)? else { return None };
    let shape = area.len() == 3 && exchange.len() == 3 && line.len() == 4;
    let given_out =
        |range: &Range<usize>| values(text, range).next().is_some_and(|digit| digit >= 2);
    if !shape || !given_out(area) || !given_out(exchange) {
        return None;
    }
    let (first, second) = (gap(text, groups, prefix), gap(text, groups, prefix + 1));
    let separated =
        ["-", ".", ") ", ")", ")-"].contains(&first) && ["-", ".", " "].contains(&second);
    let joined = prefix == 0 || joins(gap(text, groups, 0));
    let whole = !continues(text, start) && !goes_on(text, line.end);
    (separated && joined && whole).then_some(prefix + 3)
}

/// `030 1234567`, `(0171) 123 45 67`, `089/123456`.
fn national(text: &str, start: usize, groups: &[Range<usize>]) -> Option<usize> {
    let area = &text[groups[0].clone()];
    let begins = (3..=6).contains(&area.len())
        && area.starts_with('0')
        && !area.starts_with("00")
        && is_apart(text, start);
    let dotted = groups.len() > 1 && gap(text, groups, 0).contains('.');
    if begins && !dotted { run(text, groups, 9..=12).filter(|taken| *taken > 1) } else { None }
}

/// `01 23 45 67 89`.
fn in_pairs(text: &str, start: usize, groups: &[Range<usize>]) -> Option<usize> {
    let pairs = groups.get(..5)?;
    let first = gap(text, groups, 0);
    let shape = pairs.iter().all(|pair| pair.len() == 2)
        && (0..4).all(|index| gap(text, groups, index) == first)
        && is_space_or(first, &[".", "-"]);
    let area = &text[pairs[0].clone()];
    let begins = area.starts_with('0') && area != "00" && is_apart(text, start);
    (shape && begins && !goes_on(text, pairs[4].end)).then_some(5)
}

/// `Tel. 5551234`.
fn labelled(text: &str, start: usize, groups: &[Range<usize>]) -> Option<usize> {
    let before = text[..start].trim_end_matches([' ', ':', '.', '\u{a0}']);
    let longest = WORDS.iter().map(|word| word.len()).max().unwrap_or_default();
    let letters =
        before.bytes().rev().take(longest + 1).take_while(u8::is_ascii_alphabetic).count();
    let word = &before[before.len() - letters..];
    let known = WORDS.iter().any(|known| known.eq_ignore_ascii_case(word));
    let whole = known && before.len() < start && !word_before(before, before.len() - letters);
    if whole { run(text, groups, 6..=15) } else { None }
}
