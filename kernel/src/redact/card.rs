//! Payment cards: 13 to 19 digits that an issuer gives out, in groups or not, with Luhn's check digit.

use std::ops::Range;

use super::digits::{each, gap, is_space_or, values, word_at, word_before};

/// Most digits of a card.
const DIGITS_MAX: usize = 19;

/// Cards among `groups`.
pub(super) fn find(text: &str, groups: &[Range<usize>]) -> Vec<Range<usize>> {
    each(groups, |groups| {
        let taken = card(text, groups)?;
        Some((taken, groups[0].start..groups[taken - 1].end))
    })
}

/// How many of `groups`, from the first, are a card: as many as can be.
fn card(text: &str, groups: &[Range<usize>]) -> Option<usize> {
    if word_before(text, groups[0].start) {
        return None;
    }
    let (mut digits, mut longest) = (vec![], None);
    for (index, group) in groups.iter().enumerate() {
        // Cards are written in groups of three to six digits; only the last may be shorter.
        let joined = index == 0
            || is_space_or(gap(text, groups, index - 1), &["-"])
                && (3..=6).contains(&groups[index - 1].len());
        if !joined || digits.len() + group.len() > DIGITS_MAX {
            break;
        }
        digits.extend(values(text, group));
        if is_issued(&digits) && luhn(&digits) && !word_at(text, group.end) {
            longest = Some(index + 1);
        }
    }
    longest
}

/// Whether an issuer gives out numbers that begin so and are that long.
fn is_issued(digits: &[u32]) -> bool {
    if digits.len() < 13 {
        return false;
    }
    let first = |count: usize| digits[..count].iter().fold(0, |number, digit| number * 10 + digit);
    match (first(1), first(2), first(3), first(4), digits.len()) {
        // Visa.
        (4, _, _, _, 13 | 16 | 19)
        // Mastercard.
        | (_, 51..=55, _, _, 16)
        | (_, _, _, 2221..=2720, 16)
        // American Express.
        | (_, 34 | 37, _, _, 15)
        // Diners Club.
        | (_, 36 | 38 | 39, _, _, 14 | 16)
        | (_, _, 300..=305, _, 14 | 16)
        // Discover, UnionPay and JCB.
        | (_, 62 | 65, _, _, 16..=19)
        | (_, _, 644..=649, _, 16..=19)
        | (_, _, _, 6011 | 3528..=3589, 16..=19)
        // Maestro.
        | (_, 50 | 56..=58, _, _, 13..=19)
        | (_, _, _, 6304 | 6759 | 6761..=6763, 13..=19) => true,
        _ => false,
    }
}

/// Whether the digits, every second one from the right doubled, sum to a multiple of ten.
fn luhn(digits: &[u32]) -> bool {
    let weighed = digits.iter().rev().enumerate().map(|(index, digit)| match index % 2 {
        0 => *digit,
        _ => digit * 2 / 10 + digit * 2 % 10,
    });
    weighed.sum::<u32>().is_multiple_of(10)
}
