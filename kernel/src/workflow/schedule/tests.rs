//! When runs start, and when they would have.

use chrono::TimeZone;

use super::*;

fn schedule(cron: &str, timezone: &str, missed: Missed) -> Schedule {
    Schedule { cron: cron.into(), timezone: timezone.into(), missed, input: BTreeMap::new() }
}

/// A time in UTC: `2026-03-29 01:30`.
fn at(text: &str) -> Timestamp {
    let naive = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
    Timestamp(Utc.from_utc_datetime(&naive).timestamp_millis().try_into().unwrap())
}

fn shown(at: Timestamp) -> String {
    at.to_string()[..16].replace('T', " ")
}

/// The first `count` times after `from`, in UTC.
#[track_caller]
fn check(cron: &str, timezone: &str, from: &str, expected: &[&str]) {
    let schedule = schedule(cron, timezone, Missed::Once);
    let next = |from: &Timestamp| schedule.next_after(*from);
    let times = std::iter::successors(next(&at(from)), next).take(expected.len());
    assert_eq!(times.map(shown).collect::<Vec<_>>(), expected);
}

#[test]
fn a_schedule_is_due_by_the_clock_of_its_zone() {
    check("0 9 * * mon-fri", "UTC", "2026-11-20 09:00", &["2026-11-23 09:00", "2026-11-24 09:00"]);
    check("0 9 * * mon-fri", "Europe/Berlin", "2026-11-20 08:00", &["2026-11-23 08:00"]);
    // Winter time until the 29th of March, then summer time.
    check(
        "0 9 * * *",
        "Europe/Berlin",
        "2026-03-27 12:00",
        &["2026-03-28 08:00", "2026-03-29 07:00"],
    );
    check(
        "*/15 * * * *",
        "Asia/Kolkata",
        "2026-01-01 00:01",
        &["2026-01-01 00:15", "2026-01-01 00:30"],
    );
}

#[test]
fn a_time_that_the_clock_skips_is_due_right_after_the_gap() {
    // At 01:00 UTC, clocks in Berlin go from 02:00 to 03:00.
    check(
        "30 2 * * *",
        "Europe/Berlin",
        "2026-03-28 12:00",
        &["2026-03-29 01:00", "2026-03-30 00:30"],
    );
    check(
        "*/30 * * * *",
        "Europe/Berlin",
        "2026-03-29 00:15",
        &["2026-03-29 00:30", "2026-03-29 01:00", "2026-03-29 01:30"],
    );
}

#[test]
fn a_time_that_the_clock_shows_twice_is_due_once() {
    // At 01:00 UTC, clocks in Berlin go from 03:00 back to 02:00.
    check(
        "30 2 * * *",
        "Europe/Berlin",
        "2026-10-24 12:00",
        &["2026-10-25 00:30", "2026-10-26 01:30"],
    );
    check(
        "*/30 * * * *",
        "Europe/Berlin",
        "2026-10-25 00:15",
        &["2026-10-25 00:30", "2026-10-25 01:00", "2026-10-25 01:30"],
    );
}

#[test]
fn a_date_that_never_comes_is_never_due() {
    let never = schedule("0 0 30 2 *", "UTC", Missed::All);
    assert_eq!(never.next_after(at("2026-01-01 00:00")), None);
    assert_eq!(never.missed_between(at("2026-01-01 00:00"), at("2027-01-01 00:00")), []);
    let daily = schedule("0 0 * * *", "America/New_York", Missed::Once);
    assert_eq!(daily.next_after(Timestamp(u64::MAX)), None);
    assert!(daily.next_after(Timestamp(0)).is_some());
}

#[test]
fn what_was_missed_is_skipped_made_up_once_or_made_up_for_each() {
    let missed = |policy, from: &str, until: &str| {
        let schedule = schedule("0 9 * * *", "UTC", policy);
        let times = schedule.missed_between(at(from), at(until));
        times.into_iter().map(shown).collect::<Vec<_>>()
    };
    let (from, until) = ("2026-11-18 09:00", "2026-11-21 09:00");
    assert_eq!(missed(Missed::Skip, from, until), <[&str; 0]>::default());
    assert_eq!(missed(Missed::Once, from, until), ["2026-11-21 09:00"]);
    assert_eq!(
        missed(Missed::All, from, until),
        ["2026-11-19 09:00", "2026-11-20 09:00", "2026-11-21 09:00"]
    );
    assert_eq!(
        missed(Missed::Once, "2026-11-18 09:00", "2026-11-18 12:00"),
        <[&str; 0]>::default()
    );
    assert_eq!(missed(Missed::All, until, from), <[&str; 0]>::default());
    let year = missed(Missed::All, "2026-01-01 00:00", "2026-12-31 00:00");
    assert_eq!((year.len(), year[0].as_str()), (MISSED_MAX, "2026-01-01 09:00"));
}
