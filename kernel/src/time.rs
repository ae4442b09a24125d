//! Points in time, as the journal records them.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch. 64 bits outlast every journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This time later by `wait`, saturating.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long it is from this time until `later`; nothing if `later` has passed.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0))
    }
}

impl Timestamp {
    /// The day since 1970, in UTC.
    #[must_use]
    pub fn day(self) -> u64 {
        self.0 / 86_400_000
    }
}

/// Reads a time in RFC 3339: `2026-11-21T09:00:00Z`, `2026-11-21T10:00:00.5+01:00`. Years from 1970 to 9999.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    u64::try_from(time.timestamp_millis()).ok().map(Timestamp)
}

/// The time that `text` names, seen from `now`: how long ago (`30d`), a date in UTC (`2026-11-21`), or a time in RFC 3339.
#[must_use]
pub fn since(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(ago) = crate::workflow::duration::parse(text) {
        let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        return Some(Timestamp(now.0.saturating_sub(ago)));
    }
    parse_rfc3339(text).or_else(|| parse_rfc3339(&format!("{text}T00:00:00Z")))
}

/// `2026-11-21T00:05:06.789Z`, by the days-to-civil algorithm of Howard Hinnant's "chrono-compatible low-level date
/// algorithms".
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0 / 1000, self.0 % 1000);
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_index = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_index + 2) / 5 + 1;
        let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(millis: u64, expected: &str) {
        assert_eq!(Timestamp(millis).to_string(), expected);
    }

    #[test]
    fn a_timestamp_reads_as_iso_8601() {
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(1_795_219_506_789, "2026-11-21T00:05:06.789Z");
    }

    #[test]
    fn a_time_that_was_written_is_read_back() {
        for millis in [0, 951_782_400_000, 1_795_219_506_789] {
            assert_eq!(parse_rfc3339(&Timestamp(millis).to_string()), Some(Timestamp(millis)));
        }
        assert_eq!(parse_rfc3339("1970-01-01T01:00:01+01:00"), Some(Timestamp(1_000)));
        for wrong in ["", "tomorrow", "2026-11-21", "1969-12-31T23:59:59Z"] {
            assert_eq!(parse_rfc3339(wrong), None, "{wrong}");
        }
    }
}
