//! Numbers of the tax and social security offices: of the United States and of Germany, and the VAT ids of the European Union.

use std::ops::Range;

use super::digits::{
    continues, each, gap, goes_on, is_space_or, mod_11_10, values, word_at, word_before,
};

/// Each country with the forms of its VAT ids: `9` a digit, `A` a letter, `*` either. The standard of the Commission's VIES,
/// with Greece as `EL` and Northern Ireland as `XI`.
const VAT: [(&str, &[&str]); 28] = [
    ("AT", &["U99999999"]),
    ("BE", &["9999999999"]),
    ("BG", &["999999999", "9999999999"]),
    ("CY", &["99999999A"]),
    ("CZ", &["99999999", "999999999", "9999999999"]),
    ("DE", &["999999999"]),
    ("DK", &["99999999"]),
    ("EE", &["999999999"]),
    ("EL", &["999999999"]),
    ("ES", &["*9999999*"]),
    ("FI", &["99999999"]),
    ("FR", &["**999999999"]),
    ("HR", &["99999999999"]),
    ("HU", &["99999999"]),
    ("IE", &["9*99999A", "9999999AA"]),
    ("IT", &["99999999999"]),
    ("LT", &["999999999", "999999999999"]),
    ("LU", &["99999999"]),
    ("LV", &["99999999999"]),
    ("MT", &["99999999"]),
    ("NL", &["999999999B99"]),
    ("PL", &["9999999999"]),
    ("PT", &["999999999"]),
    // Some are shorter, and then look like everything else.
    ("RO", &["999999", "9999999", "99999999", "999999999", "9999999999"]),
    ("SE", &["999999999999"]),
    ("SI", &["99999999"]),
    ("SK", &["9999999999"]),
    ("XI", &["999999999", "999999999999"]),
];

/// Tax numbers in `text`, whose groups of digits are `groups`.
pub(super) fn find(text: &str, groups: &[Range<usize>]) -> Vec<Range<usize>> {
    let numbers = each(groups, |groups| {
        let taken = social_security(text, groups).or_else(|| steuer_id(text, groups))?;
        Some((taken, groups[0].start..groups[taken - 1].end))
    });
    let mut found = vat_ids(text, groups);
    found.extend(numbers);
    found.sort_by_key(|range| range.start);
    found
}

/// `123-45-6789`, with the numbers that are never given out excluded.
fn social_security(text: &str, groups: &[Range<usize>]) -> Option<usize> {
    let [area, group, serial, ..] = groups else { return None };
    let gap_is = |wanted: &str| gap(text, groups, 0) == wanted && gap(text, groups, 1) == wanted;
    let shape = area.len() == 3 && group.len() == 2 && serial.len() == 4;
    if !shape || !(gap_is("-") || gap_is(" ")) {
        return None;
    }
    if continues(text, area.start) || goes_on(text, serial.end) {
        return None;
    }
    let number = |range: &Range<usize>| values(text, range).fold(0, |n, digit| n * 10 + digit);
    let (area, group, serial) = (number(area), number(group), number(serial));
    // From 900 on they are the numbers of taxpayers without social security, in these groups.
    let given_out = match area {
        0 | 666 => false,
        900.. => matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99),
        _ => group != 0 && serial != 0,
    };
    given_out.then_some(3)
}

/// The German tax id: eleven digits, the last of which checks the others, of which one or two are repeated.
fn steuer_id(text: &str, groups: &[Range<usize>]) -> Option<usize> {
    let spaced = |groups: &[Range<usize>]| {
        groups.iter().map(Range::len).eq([2, 3, 3, 3])
            && (0..3).all(|index| is_space_or(gap(text, groups, index), &[]))
    };
    let taken = match groups {
        [whole, ..] if whole.len() == 11 => 1,
        [_, _, _, _, ..] if spaced(&groups[..4]) => 4,
        _ => return None,
    };
    if continues(text, groups[0].start) || goes_on(text, groups[taken - 1].end) {
        return None;
    }
    let digits: Vec<u32> = groups[..taken].iter().flat_map(|group| values(text, group)).collect();
    let times = |digit: u32| digits[..10].iter().filter(|other| **other == digit).count();
    let repeated: Vec<usize> = (0..10).map(times).filter(|count| *count > 1).collect();
    let plausible = digits[0] != 0 && matches!(repeated[..], [2 | 3]);
    (plausible && mod_11_10(&digits)).then_some(taken)
}

/// `DE136695976`, also with a space after the country.
fn vat_ids(text: &str, groups: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut found, mut end) = (vec![], 0);
    let upper = |byte: &u8| byte.is_ascii_uppercase();
    for (at, pair) in text.as_bytes().windows(2).enumerate() {
        if at >= end && pair.iter().all(upper) && !word_before(text, at) {
            let range = vat_id(text, at).filter(|range| is_left(groups, range));
            end = range.as_ref().map_or(end, |range| range.end);
            found.extend(range);
        }
    }
    found
}

/// Whether the digits in `range` are among `groups`, and no stronger class has taken them.
fn is_left(groups: &[Range<usize>], range: &Range<usize>) -> bool {
    let at = groups.partition_point(|group| group.end <= range.start);
    groups.get(at).is_some_and(|group| group.start < range.end)
}

fn vat_id(text: &str, at: usize) -> Option<Range<usize>> {
    let (_, forms) = VAT.iter().find(|(country, _)| *country == &text[at..at + 2])?;
    let start = if text[at + 2..].starts_with(' ') { at + 3 } else { at + 2 };
    let rest = &text.as_bytes()[start..];
    let fits = |form: &&&str| {
        let end = start + form.len();
        rest.len() >= form.len()
            && form.bytes().zip(rest).all(|(wanted, byte)| match wanted {
                b'9' => byte.is_ascii_digit(),
                b'A' => byte.is_ascii_uppercase(),
                b'*' => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
                letter => *byte == letter,
            })
            && !word_at(text, end)
    };
    let form = forms.iter().find(fits)?;
    Some(at..start + form.len())
}
