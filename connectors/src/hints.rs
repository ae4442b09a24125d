//! What the other side says of its limits, read from the headers of an answer.
//!
//! Its rule: **the latest of all hints holds, and a hint that cannot be meant is none**. Systems say the same thing in many
//! ways, often in several at once, and proxies add their own: what is negative, past or no number is ignored, and nothing is
//! believed for longer than [`HINT_MAX`].
//!
//! What is read: `retry-after` (seconds or a date), `retry-after-ms`; `x-ratelimit-remaining` and `x-ratelimit-reset` with
//! whatever follows them (`-requests`, `-tokens`), and without the `x-`; and the draft `ratelimit`, as fields
//! (`"default";r=50;t=30`) or as it was before (`limit=100, remaining=50, reset=30`).

use std::{
    collections::BTreeMap,
    time::{Duration, UNIX_EPOCH},
};

use soloist_kernel::time::{Timestamp, parse_rfc3339};

/// The longest wait that is believed. A system that is away for longer is asked once an hour.
pub const HINT_MAX: Duration = Duration::from_secs(60 * 60);

/// A number of seconds from here on is a time since 1970, and a thousand times that is one in milliseconds: nobody asks for
/// a wait of thirty years.
const EPOCH_MIN: f64 = 1e9;

/// What an answer says of the limits that the call has met, or will meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Not to be called before then.
    pub retry_at: Option<Timestamp>,
    /// What is left for now.
    pub remaining: Option<Remaining>,
}

/// What is left until a limit begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Calls that may still be made.
    pub calls: u64,
    /// When there are more.
    pub reset_at: Timestamp,
}

impl Hints {
    /// The hints of an answer that refused the call for its rate. Every time that is named is one to wait for.
    #[must_use]
    pub fn of_refusal<'a>(
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        now: Timestamp,
    ) -> Self {
        let found = Found::read(headers, now);
        let resets = found.limits.values().filter_map(|limit| limit.reset_at);
        Self { retry_at: resets.chain(found.retry_at).max(), remaining: found.remaining() }
    }

    /// The hints of any other answer. A limit is only one to wait for when nothing is left of it.
    #[must_use]
    pub fn of_answer<'a>(
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        now: Timestamp,
    ) -> Self {
        let found = Found::read(headers, now);
        let used_up = found.limits.values().filter(|limit| limit.remaining == Some(0));
        let resets = used_up.filter_map(|limit| limit.reset_at);
        Self { retry_at: resets.chain(found.retry_at).max(), remaining: found.remaining() }
    }
}

/// What the headers hold.
#[derive(Default)]
struct Found {
    retry_at: Option<Timestamp>,
    /// Each limit by what its headers are called after `remaining` and `reset`.
    limits: BTreeMap<String, Limit>,
}

#[derive(Clone, Copy, Default)]
struct Limit {
    remaining: Option<u64>,
    reset_at: Option<Timestamp>,
}

impl Found {
    fn read<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>, now: Timestamp) -> Self {
        let mut found = Self::default();
        for (name, value) in headers {
            found.header(&name.trim().to_ascii_lowercase(), value.trim(), now);
        }
        found
    }

    fn header(&mut self, name: &str, value: &str, now: Timestamp) {
        match name {
            "retry-after" => self.retry_at(seconds(value, now).or_else(|| http_date(value, now))),
            "retry-after-ms" => self.retry_at(number(value).and_then(|ms| later(ms, now))),
            "ratelimit" => self.draft(value, now),
            _ => {
                let name = name.strip_prefix("x-").unwrap_or(name);
                let limit = name.strip_prefix("ratelimit-");
                if let Some(of) = limit.and_then(|name| name.strip_prefix("remaining")) {
                    self.remains(of, value);
                } else if let Some(of) = limit.and_then(|name| name.strip_prefix("reset")) {
                    self.resets(of, reset(value, now));
                }
            }
        }
    }

    /// `"minute";r=50;t=30, "day";r=100;t=9000`, or the older `limit=100, remaining=50, reset=30`.
    fn draft(&mut self, value: &str, now: Timestamp) {
        for item in value.split(',') {
            let mut parts = item.split(';').map(str::trim).peekable();
            let of = parts.next_if(|part| !part.contains('=')).unwrap_or_default();
            for part in parts {
                match part.split_once('=') {
                    Some(("r" | "remaining", value)) => self.remains(of, value),
                    Some(("t" | "reset", value)) => self.resets(of, seconds(value, now)),
                    Some(_) | None => {}
                }
            }
        }
    }

    fn retry_at(&mut self, at: Option<Timestamp>) {
        self.retry_at = self.retry_at.max(at);
    }

    fn remains(&mut self, of: &str, value: &str) {
        let Ok(remaining) = value.parse::<u64>() else { return };
        let limit = self.limits.entry(of.to_owned()).or_default();
        limit.remaining = Some(limit.remaining.map_or(remaining, |known| known.min(remaining)));
    }

    fn resets(&mut self, of: &str, at: Option<Timestamp>) {
        let limit = self.limits.entry(of.to_owned()).or_default();
        limit.reset_at = limit.reset_at.max(at);
    }

    /// The limit of which the least is left. A limit of tokens says nothing of calls, unless nothing is left of it.
    fn remaining(&self) -> Option<Remaining> {
        let calls = self.limits.iter().filter_map(|(of, limit)| {
            let (calls, reset_at) = (limit.remaining?, limit.reset_at?);
            (calls == 0 || !of.contains("token")).then_some(Remaining { calls, reset_at })
        });
        calls.min_by_key(|left| (left.calls, std::cmp::Reverse(left.reset_at)))
    }
}

/// When a limit begins anew: `30`, `59.9s`, `6m0s`, `1700000000`, a date.
fn reset(value: &str, now: Timestamp) -> Option<Timestamp> {
    let Some(number) = number(value) else {
        let spelled = spelled(value).and_then(|ms| later(ms, now));
        return spelled
            .or_else(|| future(parse_rfc3339(value)?, now))
            .or_else(|| http_date(value, now));
    };
    if number >= EPOCH_MIN {
        let ms = if number >= EPOCH_MIN * 1_000.0 { number } else { number * 1_000.0 };
        return future(Timestamp(ms as u64), now);
    }
    later(number * 1_000.0, now)
}

fn seconds(value: &str, now: Timestamp) -> Option<Timestamp> {
    later(number(value)? * 1_000.0, now)
}

fn http_date(value: &str, now: Timestamp) -> Option<Timestamp> {
    let since = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
    future(Timestamp(u64::try_from(since.as_millis()).ok()?), now)
}

/// `1h2m3.5s`, `120ms`, in milliseconds.
fn spelled(mut text: &str) -> Option<f64> {
    let mut ms = 0.0;
    while !text.is_empty() {
        let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (amount, rest) = text.split_at(digits);
        let unit_end = rest.find(|letter: char| !letter.is_ascii_lowercase()).unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(unit_end);
        let unit_ms = match unit {
            "ms" => 1.0,
            "s" => 1_000.0,
            "m" => 60_000.0,
            "h" => 3_600_000.0,
            "d" => 86_400_000.0,
            _ => return None,
        };
        ms += number(amount)? * unit_ms;
        text = rest;
    }
    Some(ms)
}

/// Digits, with or without a point: neither a sign nor `inf` is a number that is meant.
fn number(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_plain.then(|| text.parse().ok()).flatten()
}

fn later(ms: f64, now: Timestamp) -> Option<Timestamp> {
    // The cast ends at the largest number there is, and `future` cuts it.
    future(now.after(Duration::from_millis(ms.ceil() as u64)), now)
}

fn future(at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    (at > now).then(|| at.min(now.after(HINT_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const NOW: Timestamp = Timestamp(784_111_777_000);

    fn at(seconds: u64) -> Timestamp {
        NOW.after(Duration::from_secs(seconds))
    }

    #[track_caller]
    fn check_retry(headers: &[(&str, &str)], expected_ms: Option<u64>) {
        let hints = Hints::of_refusal(headers.iter().copied(), NOW);
        assert_eq!(hints.retry_at.map(|at| at.0 - NOW.0), expected_ms, "{headers:?}");
    }

    #[track_caller]
    fn check_remaining(headers: &[(&str, &str)], expected: Option<(u64, u64)>) {
        let hints = Hints::of_answer(headers.iter().copied(), NOW);
        let remaining =
            hints.remaining.map(|left| (left.calls, NOW.until(left.reset_at).as_secs()));
        assert_eq!(remaining, expected, "{headers:?}");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_in_each_of_its_forms() {
        check_retry(&[("Retry-After", "30")], Some(30_000));
        check_retry(&[("retry-after", " 1.5 ")], Some(1_500));
        check_retry(&[("retry-after-ms", "250")], Some(250));
        check_retry(&[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")], Some(10_000));
        check_retry(&[("retry-after", "Sunday, 06-Nov-94 08:49:47 GMT")], Some(10_000));
        check_retry(&[("retry-after", "Sun Nov  6 08:49:47 1994")], Some(10_000));
    }

    #[test]
    fn a_reset_is_spelled_or_a_number_or_a_time() {
        for (value, expected) in [
            ("59.9s", 59_900),
            ("6m0s", 360_000),
            ("120ms", 120),
            ("1m", 60_000),
            ("30", 30_000),
            ("0.25", 250),
            ("1994-11-06T08:49:38Z", 1_000),
        ] {
            check_retry(&[("x-ratelimit-reset-requests", value)], Some(expected));
        }
        let now = Timestamp(1_700_000_000_000);
        for epoch in ["1700000030", "1700000030.0", "1700000030000"] {
            let hints = Hints::of_refusal([("X-RateLimit-Reset", epoch)], now);
            assert_eq!(hints.retry_at, Some(Timestamp(1_700_000_030_000)), "{epoch}");
        }
    }

    #[test]
    fn the_latest_of_all_hints_holds_and_none_for_longer_than_an_hour() {
        let resets = [("x-ratelimit-reset-requests", "1s"), ("x-ratelimit-reset-tokens", "6m0s")];
        check_retry(&[("retry-after", "5"), resets[0], resets[1]], Some(360_000));
        check_retry(&[("retry-after", "400"), resets[0], resets[1]], Some(400_000));
        check_retry(&[("retry-after", "86400")], Some(3_600_000));
        check_retry(&[("retry-after", "99999999999999999999999999")], Some(3_600_000));
        check_retry(&[("x-ratelimit-reset", "99999999999")], Some(3_600_000));
    }

    #[test]
    fn what_cannot_be_meant_is_ignored() {
        for value in [
            "",
            "-5",
            "0",
            "+5",
            "soon",
            "NaN",
            "inf",
            "1e9",
            "5 s",
            "1.2.3",
            ".",
            "s",
            "5x",
            "1m2",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sat, 05 Nov 1994 08:49:37 GMT",
            "\u{0665}",
        ] {
            check_retry(&[("retry-after", value), ("x-ratelimit-reset", value)], None);
            check_remaining(
                &[("x-ratelimit-remaining", value), ("x-ratelimit-reset", value)],
                None,
            );
        }
        check_retry(&[("ratelimit-limit", "100"), ("x-request-id", "30")], None);
    }

    #[test]
    fn what_is_left_comes_with_when_there_is_more() {
        check_remaining(
            &[("x-ratelimit-remaining", "7"), ("x-ratelimit-reset", "30")],
            Some((7, 30)),
        );
        check_remaining(&[("RateLimit-Remaining", "7"), ("RateLimit-Reset", "30")], Some((7, 30)));
        check_remaining(&[("x-ratelimit-remaining", "7")], None);
        check_remaining(&[("ratelimit", "\"default\";r=50;t=30")], Some((50, 30)));
        check_remaining(
            &[("ratelimit", "\"minute\";r=50;t=30, \"day\"; r=4 ; t=900")],
            Some((4, 900)),
        );
        check_remaining(&[("ratelimit", "limit=100, remaining=50, reset=30")], Some((50, 30)));
    }

    #[test]
    fn tokens_are_no_calls_but_no_tokens_are_no_calls() {
        let left = |tokens| {
            [
                ("x-ratelimit-remaining-requests", "59"),
                ("x-ratelimit-reset-requests", "1s"),
                ("x-ratelimit-remaining-tokens", tokens),
                ("x-ratelimit-reset-tokens", "6m0s"),
            ]
        };
        check_remaining(&left("40"), Some((59, 1)));
        check_remaining(&left("0"), Some((0, 360)));
    }

    #[test]
    fn an_answer_with_room_left_is_nothing_to_wait_for() {
        let answer = |remaining, reset| {
            let headers = [("x-ratelimit-remaining", remaining), ("x-ratelimit-reset", reset)];
            Hints::of_answer(headers, NOW).retry_at
        };
        assert_eq!(answer("7", "30"), None);
        assert_eq!(answer("0", "30"), Some(at(30)));
        assert_eq!(Hints::of_answer([("x-ratelimit-reset", "30")], NOW), Hints::default());
        assert_eq!(Hints::of_answer([("retry-after", "30")], NOW).retry_at, Some(at(30)));
    }
}
