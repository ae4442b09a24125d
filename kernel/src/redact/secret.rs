//! Secrets: tokens that carry their maker's mark, private keys, and what stands behind the word "password".

use std::ops::Range;

use super::{begins_removed, digits::is_word};

/// How tokens begin, with the fewest characters that follow.
const MARKS: [(&str, usize); 36] = [
    ("sk_live_", 10),
    ("sk_test_", 10),
    ("rk_live_", 10),
    ("rk_test_", 10),
    ("whsec_", 16),
    ("sk-ant-", 16),
    ("sk-proj-", 16),
    ("sk-or-", 16),
    ("sk-", 32),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("xoxa-", 10),
    ("xoxb-", 10),
    ("xoxe-", 10),
    ("xoxp-", 10),
    ("xoxr-", 10),
    ("xoxs-", 10),
    ("xapp-", 10),
    ("AKIA", 16),
    ("ASIA", 16),
    ("AIza", 30),
    ("ya29.", 20),
    ("npm_", 30),
    ("pypi-", 30),
    ("dckr_pat_", 20),
    ("hf_", 30),
    ("SG.", 30),
    ("shpat_", 20),
    ("shpss_", 20),
    ("dop_v1_", 30),
    ("eyJ", 40),
];

/// Words before a secret, as the end of a name: `db_password`. After these, whatever follows is one.
const PASSWORDS: [&str; 7] =
    ["password", "passwd", "passphrase", "passwort", "kennwort", "passcode", "pwd"];

/// After these, what follows is a secret if it looks like one, for they are also words of everyday.
const KEYS: [&str; 8] =
    ["secret", "token", "api_key", "api-key", "apikey", "access_key", "accesskey", "private_key"];

/// Longest name before a secret that is looked at, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Fewest characters of a password.
const PASSWORD_CHARS_MIN: usize = 3;

/// Fewest characters of what looks like a key.
const KEY_CHARS_MIN: usize = 8;

/// Longest value that must look like a key to be one, in bytes. Nobody writes a longer word.
const WORD_BYTES_MAX: usize = 256;

/// Longest header of a private key, in bytes.
const HEADER_BYTES_MAX: usize = 80;

/// Secrets in `text`; those that overlap are one.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut all = private_keys(text);
    all.extend(tokens(text));
    all.extend(assigned(text));
    all.extend(in_urls(text));
    all.sort_by_key(|range| range.start);
    let mut found: Vec<Range<usize>> = vec![];
    for range in all {
        match found.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => found.push(range),
        }
    }
    found
}

/// From `-----BEGIN … PRIVATE KEY-----` to its end, or to the end of the text.
fn private_keys(text: &str) -> Vec<Range<usize>> {
    const KEY: &str = "PRIVATE KEY-----";
    let (mut found, mut at) = (vec![], 0);
    while let Some(begin) = text[at..].find("-----BEGIN ").map(|offset| at + offset) {
        let header = &text[begin..text.floor_char_boundary(begin + HEADER_BYTES_MAX)];
        let Some(body) = header.find(KEY).map(|offset| begin + offset + KEY.len()) else {
            at = begin + 1;
            continue;
        };
        let footer = text[body..].find("-----END ").map(|offset| body + offset);
        let end = footer.and_then(|footer| Some(footer + text[footer..].find(KEY)? + KEY.len()));
        at = end.unwrap_or(text.len());
        found.push(begin..at);
    }
    found
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-.".contains(c)
}

/// Tokens that begin with a mark, and what `Bearer` introduces.
fn tokens(text: &str) -> Vec<Range<usize>> {
    let (mut found, mut bearer, mut at) = (vec![], false, 0);
    while let Some(start) = text[at..].find(is_token).map(|offset| at + offset) {
        let end = text[start..].find(|c| !is_token(c)).map_or(text.len(), |offset| start + offset);
        // A sentence may end in a token, and a token does not end in a full stop.
        let token = text[start..end].trim_end_matches('.');
        let marked = |(mark, least): &(&str, usize)| {
            token.strip_prefix(mark).is_some_and(|rest| rest.len() >= *least)
        };
        let begins = !text[..start].chars().next_back().is_some_and(is_word);
        if begins && MARKS.iter().any(marked) || bearer && token.len() >= 16 {
            // Base64 goes on with characters that no word has.
            let padding = text[start + token.len()..].bytes().take_while(|b| b"+/=~".contains(b));
            found.push(start..start + token.len() + padding.count());
        }
        bearer = token.eq_ignore_ascii_case("bearer");
        at = end;
    }
    found
}

/// The value in `password: value`, `"api_key": "value"`, `TOKEN=value`.
fn assigned(text: &str) -> Vec<Range<usize>> {
    let (mut found, mut end) = (vec![], 0);
    for (at, _) in text.match_indices([':', '=']) {
        if at >= end {
            let range = assigned_at(text, at);
            end = range.as_ref().map_or(end, |range| range.end);
            found.extend(range);
        }
    }
    found
}

fn assigned_at(text: &str, at: usize) -> Option<Range<usize>> {
    let name = name_before(text, at);
    let ends = |words: &[&str]| words.iter().any(|word| ends_with(name, word));
    let (password, key) = (ends(&PASSWORDS), ends(&KEYS));
    if !password && !key {
        return None;
    }
    let (start, quote) = value_start(text, at + 1);
    let ends = |c: char| match quote {
        Some(quote) => c == quote || c == '\n',
        None => c.is_whitespace() || "\"'`,;<>".contains(c),
    };
    // Only so far is looked before it is known that this is a secret, so that `token=token=…` is not read again and again.
    let near = &text[start..text.floor_char_boundary(start + WORD_BYTES_MAX)];
    let value = &near[..near.find(ends).unwrap_or(near.len())];
    let has = |least: usize| value.chars().nth(least - 1).is_some();
    let fits = value.len() + 4 > WORD_BYTES_MAX
        || password && has(PASSWORD_CHARS_MIN)
        || has(KEY_CHARS_MIN) && value.contains(|c: char| c.is_ascii_digit());
    let end = || text[start..].find(ends).map_or(text.len(), |offset| start + offset);
    (fits && !begins_removed(&text[start..])).then(|| start..end())
}

/// The name before the sign at `at`, also one in quotes.
fn name_before(text: &str, at: usize) -> &str {
    let before = &text.as_bytes()[..at];
    let near = &before[before.len().saturating_sub(NAME_BYTES_MAX)..];
    let end = near.iter().rposition(|byte| !b" \"'`".contains(byte)).map_or(0, |last| last + 1);
    let named = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
    let start = near[..end].iter().rposition(|byte| !named(byte)).map_or(0, |last| last + 1);
    str::from_utf8(&near[start..end]).expect("a name is ASCII")
}

/// Where the value after the sign before `at` begins, and the quote that ends it, if it has one.
fn value_start(text: &str, at: usize) -> (usize, Option<char>) {
    let rest = text[at..].trim_start_matches([' ', '\t']);
    let quote = rest.chars().next().filter(|c| "\"'`".contains(*c));
    (text.len() - rest.len() + quote.map_or(0, char::len_utf8), quote)
}

fn ends_with(name: &str, word: &str) -> bool {
    let tail = name.len().checked_sub(word.len()).and_then(|start| name.get(start..));
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(word))
}

/// The password in `https://user:password@host`.
fn in_urls(text: &str) -> Vec<Range<usize>> {
    let password = |(at, scheme): (usize, &str)| {
        let start = at + scheme.len();
        let rest = &text[start..];
        let end =
            rest.find(|c: char| c.is_whitespace() || "/?#\"'<>".contains(c)).unwrap_or(rest.len());
        let at_sign = rest[..end].rfind('@')?;
        let colon = rest[..at_sign].find(':')?;
        let range = start + colon + 1..start + at_sign;
        let value = &text[range.clone()];
        (!value.is_empty() && !begins_removed(value)).then_some(range)
    };
    text.match_indices("://").filter_map(password).collect()
}
