//! Durations as people write them: `250ms`, `30s`, `5m`, `2h`, `1d`, `2w`.

use std::time::Duration;

/// What to write instead.
pub(crate) const HELP: &str = "write a number and a unit: 250ms, 30s, 5m, 2h, 1d, 2w";

/// Units, largest first, with their milliseconds.
const UNITS: [(&str, u64); 6] = [
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads a whole number and a unit: `250ms`, `30s`, `5m`, `2h`, `1d`, `2w`.
///
/// # Errors
///
/// That the text is no duration.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = UNITS.iter().find(|(name, _)| *name == unit);
    let millis = unit.and_then(|(_, millis)| number.parse::<u64>().ok()?.checked_mul(*millis));
    let positive = millis.filter(|millis| *millis > 0);
    let short: String = text.chars().take(60).collect();
    positive.map(Duration::from_millis).ok_or_else(|| format!("{short:?} is not a duration"))
}

/// Writes it in the largest unit that it is a whole number of. What is below a millisecond is not written.
pub(super) fn text(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let whole = |(_, unit): &&(&str, u64)| millis > 0 && millis.is_multiple_of(*unit);
    let (name, unit) = UNITS.iter().find(whole).unwrap_or(&("ms", 1));
    format!("{}{name}", millis / unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(parse("2w"), Ok(Duration::from_secs(14 * 86_400)));
        for wrong in ["", "5", "s", "0s", "-1s", "1.5s", "1y", "99999999999999999999d"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 1..u64::MAX) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&text(duration)), Ok(duration));
        }
    }
}
