//! Times of a calendar at which runs start.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use serde::{Deserialize, Serialize};

use super::{
    MISSED_MAX,
    problem::{Said, did_you_mean, said},
};
use crate::time::Timestamp;

/// The end of the calendar that is searched, in milliseconds since 1970: the year 5000.
const CALENDAR_END_MS: u64 = 95_617_584_000_000;

/// Longest text of the five fields, in bytes.
const CRON_BYTES_MAX: usize = 200;

/// Starts a run at each time of a calendar.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Five fields: minute, hour, day of the month, month, day of the week.
    pub cron: String,
    /// The IANA name of the time zone that the fields are in.
    pub timezone: String,
    /// What becomes of times that passed while the kernel did not run.
    pub missed: Missed,
    /// The run's input: literal values.
    pub input: BTreeMap<String, serde_json::Value>,
}

/// What becomes of times that passed unnoticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// Nothing.
    Skip,
    /// One run for all of them.
    Once,
    /// A run for each, the oldest first, at most [`MISSED_MAX`].
    All,
}

impl Schedule {
    /// The first time after `now` at which it is due. `None` if there is none: the 30th of February.
    ///
    /// What a clock shows twice in autumn, a fixed time is due at once, the first time; what it skips in spring, a fixed
    /// time is due at right after the gap. A step as in `*/15` goes by time as it passes.
    #[must_use]
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let (cron, zone) = (cron(&self.cron).ok()?, timezone(&self.timezone).ok()?);
        next(&cron, zone, now)
    }

    /// The times after `after` and up to `until` for which a run is to start, oldest first, by what [`Missed`] says. If
    /// there are more than [`MISSED_MAX`], the oldest of them.
    #[must_use]
    pub fn missed_between(&self, after: Timestamp, until: Timestamp) -> Vec<Timestamp> {
        let (Ok(cron), Ok(zone)) = (cron(&self.cron), timezone(&self.timezone)) else {
            return vec![];
        };
        let due = |from: &Timestamp| next(&cron, zone, *from).filter(|due| *due <= until);
        match self.missed {
            Missed::Skip => vec![],
            Missed::Once => {
                last(&cron, zone, until).filter(|due| *due > after).into_iter().collect()
            }
            Missed::All => std::iter::successors(due(&after), due).take(MISSED_MAX).collect(),
        }
    }
}

/// The first time after `now`.
fn next(cron: &Cron, zone: Tz, now: Timestamp) -> Option<Timestamp> {
    stamp(&cron.find_next_occurrence(&local(zone, now)?, false).ok()?)
}

/// The last time up to `now`.
fn last(cron: &Cron, zone: Tz, now: Timestamp) -> Option<Timestamp> {
    stamp(&cron.find_previous_occurrence(&local(zone, now)?, true).ok()?)
}

fn local(zone: Tz, at: Timestamp) -> Option<DateTime<Tz>> {
    if at.0 >= CALENDAR_END_MS {
        return None;
    }
    let utc: DateTime<Utc> = DateTime::from_timestamp_millis(i64::try_from(at.0).ok()?)?;
    Some(utc.with_timezone(&zone))
}

fn stamp(at: &DateTime<Tz>) -> Option<Timestamp> {
    u64::try_from(at.timestamp_millis()).ok().map(Timestamp)
}

/// Reads the five fields, or says what is wrong with them.
pub(super) fn cron(text: &str) -> Result<Cron, Said> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let help = "write minute, hour, day of the month, month and day of the week: 0 9 * * mon-fri";
    if text.len() > CRON_BYTES_MAX || text.contains('@') {
        return Err(said("it does not have five fields", help));
    }
    parser.parse(text).map_err(|error| {
        let problem = error.to_string();
        let problem = problem.rsplit(": ").next().unwrap_or_default();
        said(format!("{text:?} is not a calendar: {}", problem.trim_end_matches('.')), help)
    })
}

/// Finds a time zone by its name in the IANA database.
pub(super) fn timezone(name: &str) -> Result<Tz, Said> {
    name.parse().map_err(|_| {
        let help = did_you_mean(name, TZ_VARIANTS.iter().map(|zone| zone.name()))
            .unwrap_or_else(|| "write a name as in `Europe/Berlin`".into());
        let short: String = name.chars().take(60).collect();
        said(format!("there is no time zone {short:?}"), help)
    })
}

#[cfg(test)]
mod tests;
