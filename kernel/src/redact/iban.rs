//! International bank account numbers: a country, its length, and the remainder of ISO 7064 MOD 97-10.

use std::ops::Range;

use super::digits::{NO_BREAK, word_at, word_before};

/// Each country with the length of its numbers, as in the registry of SWIFT.
const LENGTHS: &str = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24\
    FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25\
    MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23\
    ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30";

/// Account numbers in `text`.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let (mut found, mut end) = (vec![], 0);
    for (at, window) in text.as_bytes().windows(4).enumerate() {
        let begins = window[..2].iter().all(u8::is_ascii_alphabetic)
            && window[2..].iter().all(u8::is_ascii_digit);
        if begins
            && at >= end
            && !word_before(text, at)
            && let Some(range) = account(text, at)
        {
            end = range.end;
            found.push(range);
        }
    }
    found
}

/// The account number that begins at `at`, with or without spaces or hyphens between its letters.
fn account(text: &str, at: usize) -> Option<Range<usize>> {
    let length = length(&text[at..at + 2])?;
    let (mut letters, mut end, mut separated) = (String::new(), at, false);
    for c in text[at..].chars() {
        if c.is_ascii_alphanumeric() {
            letters.push(c.to_ascii_uppercase());
            separated = false;
        } else if !separated && (c == ' ' || c == '-' || NO_BREAK.contains(&c)) {
            separated = true;
        } else {
            return None;
        }
        end += c.len_utf8();
        if letters.len() == length {
            break;
        }
    }
    let whole = letters.len() == length && !word_at(text, end);
    (whole && remainder(&letters) == 1).then_some(at..end)
}

fn length(country: &str) -> Option<usize> {
    let country = country.to_ascii_uppercase();
    let entry =
        LENGTHS.as_bytes().chunks_exact(4).find(|entry| entry[..2] == *country.as_bytes())?;
    Some(usize::from(entry[2] - b'0') * 10 + usize::from(entry[3] - b'0'))
}

/// The first four letters go to the end, each letter counts as two digits, and the number is taken modulo 97.
fn remainder(letters: &str) -> u32 {
    let (front, rest) = letters.split_at(4);
    rest.chars().chain(front.chars()).filter_map(|c| c.to_digit(36)).fold(0, |remainder, value| {
        let shift = if value < 10 { 10 } else { 100 };
        (remainder * shift + value) % 97
    })
}
