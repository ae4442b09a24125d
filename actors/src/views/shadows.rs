//! What shadows came to, as it is on record.

use std::collections::BTreeMap;

use serde::Serialize;
use soloist_kernel::{
    id::RunId,
    journal::{Journal, ReadError},
    rollout::{Mode, Rollout, Subject},
    shadow::{DIFFERENCES, DUE, Due, Kind, Played, TABLE, group},
};

use super::{each_row, rollouts};

/// What the shadows of one version came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shadows {
    /// Of what.
    pub of: Subject,
    /// The version that is played.
    pub shadow: u32,
    /// The share of the new runs whose shadow it is played in, in percent; absent if it no longer is.
    pub percent: Option<f64>,
    /// Shadows that are due.
    pub due: u64,
    /// Those that were played: they agreed, or diverged.
    pub played: u64,
    /// Those in which nothing was otherwise.
    pub agreed: u64,
    /// The share of those that were played, in percent; absent if none was.
    pub agreed_percent: Option<f64>,
    /// Those in which something was.
    pub diverged: u64,
    /// Those that could not be played.
    pub failed: u64,
    /// Those of runs that somebody had taken in hand.
    pub passed_over: u64,
    /// In how many shadows something of a kind was otherwise.
    pub kinds: BTreeMap<Kind, u64>,
}

/// A shadow that did not agree, and what was otherwise in it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shadowed {
    /// What it came to.
    #[serde(flatten)]
    pub played: Played,
    /// What was otherwise, as of a fork; absent if it was not played.
    pub difference: Option<serde_json::Value>,
}

/// What the shadows of each version came to, those that are no longer played included.
///
/// # Errors
///
/// [`ReadError`].
pub fn shadows(journal: &dyn Journal) -> Result<Vec<Shadows>, ReadError> {
    let rollouts = rollouts(journal)?;
    let mut found: BTreeMap<(Subject, u32), Shadows> = BTreeMap::new();
    for rollout in rollouts.iter().filter(|rollout| rollout.mode == Mode::Shadow) {
        let Rollout { of, canary, share, .. } = rollout;
        let row = Shadows { percent: Some(share.as_percent()), ..Shadows::of(of, *canary) };
        found.insert((of.clone(), *canary), row);
    }
    let mut of = |of: &Subject, shadow: u32, count: &dyn Fn(&mut Shadows)| {
        let row = found.entry((of.clone(), shadow)).or_insert_with(|| Shadows::of(of, shadow));
        count(row);
    };
    each_row(journal, DUE, "", |_, bytes| {
        if let Ok(due) = serde_json::from_slice::<Due>(bytes) {
            of(&due.of, due.shadow, &|row| row.due += 1);
        }
        Ok::<_, ReadError>(())
    })?;
    each_row(journal, TABLE, "", |_, bytes| {
        if let Ok(played) = serde_json::from_slice::<Played>(bytes) {
            of(&played.of, played.shadow, &|row| row.count(&played));
        }
        Ok::<_, ReadError>(())
    })?;
    Ok(found.into_values().map(Shadows::shared).collect())
}

/// The shadows of the newest version of `of` that was played, or of the run `only`, which did not agree, by run; at most `max`.
/// Tells how many more there are.
///
/// # Errors
///
/// [`ReadError`].
pub fn shadowed(
    journal: &dyn Journal,
    of: &Subject,
    only: Option<&RunId>,
    max: usize,
) -> Result<(Vec<Shadowed>, u64), ReadError> {
    let newest = shadows(journal)?.into_iter().rfind(|row| row.of == *of);
    let Some(newest) = newest else { return Ok((vec![], 0)) };
    let (mut found, mut more) = (vec![], 0);
    each_row(journal, TABLE, &group(of, newest.shadow), |key, bytes| {
        let Ok(played) = serde_json::from_slice::<Played>(bytes) else { return Ok(()) };
        if only.map_or(played.outcome == "agreed", |only| *only != played.run) {
            return Ok(());
        }
        if found.len() == max {
            more += 1;
            return Ok(());
        }
        let key = soloist_kernel::journal::ProjectionKey::new(DIFFERENCES, key);
        let difference = journal.projection(&key)?;
        let difference = difference.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        found.push(Shadowed { played, difference });
        Ok::<_, ReadError>(())
    })?;
    Ok((found, more))
}

impl Shadows {
    fn of(of: &Subject, shadow: u32) -> Self {
        Self {
            of: of.clone(),
            shadow,
            percent: None,
            due: 0,
            played: 0,
            agreed: 0,
            agreed_percent: None,
            diverged: 0,
            failed: 0,
            passed_over: 0,
            kinds: BTreeMap::new(),
        }
    }

    fn count(&mut self, played: &Played) {
        match played.outcome.as_str() {
            "agreed" => self.agreed += 1,
            "diverged" => self.diverged += 1,
            "failed" => self.failed += 1,
            _ => self.passed_over += 1,
        }
        self.played = self.agreed + self.diverged;
        for kind in played.kinds.keys() {
            *self.kinds.entry(*kind).or_default() += 1;
        }
    }

    fn shared(mut self) -> Self {
        let share = |part: u64, whole: u64| (part * 10_000 / whole) as f64 / 100.0;
        self.agreed_percent = (self.played > 0).then(|| share(self.agreed, self.played));
        self
    }
}
