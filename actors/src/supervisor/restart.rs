//! Who is restarted when a child dies, in OTP's words: a pure function of the strategy, the child and the deaths so far.

use std::{collections::VecDeque, ops::Range, time::Duration};

use tokio::time::Instant;

/// Whom a child's death concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// Only itself.
    OneForOne,
    /// Itself and those started after it, which depend on it.
    RestForOne,
}

/// How many deaths within how long a supervisor bears before it gives up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intensity {
    deaths_max: usize,
    period: Duration,
}

impl Intensity {
    /// Five within ten seconds: a fault that passes has passed by then, and one that does not is not worth a busy loop.
    pub(super) const DEFAULT: Self = Self { deaths_max: 5, period: Duration::from_secs(10) };
}

/// What a supervisor does about a death.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Stop these, last first, and start them again in order.
    Restart {
        /// By index.
        children: Range<usize>,
    },
    /// Leave it to the parent.
    GiveUp,
}

/// Decides what follows the death of child `index` of `count` at `now`, and remembers it in `deaths`.
pub(super) fn after_exit(
    strategy: Strategy,
    count: usize,
    index: usize,
    deaths: &mut VecDeque<Instant>,
    now: Instant,
    intensity: &Intensity,
) -> Verdict {
    deaths.push_back(now);
    deaths.retain(|death| now.duration_since(*death) < intensity.period);
    if deaths.len() > intensity.deaths_max {
        return Verdict::GiveUp;
    }
    let children = match strategy {
        Strategy::OneForOne => index..index + 1,
        Strategy::RestForOne => index..count,
    };
    Verdict::Restart { children }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWICE_A_SECOND: Intensity = Intensity { deaths_max: 2, period: Duration::from_secs(1) };

    #[tokio::test(start_paused = true)]
    async fn the_strategy_says_who_is_restarted() {
        let now = Instant::now();
        let verdict =
            |strategy| after_exit(strategy, 4, 1, &mut VecDeque::new(), now, &TWICE_A_SECOND);
        assert_eq!(verdict(Strategy::OneForOne), Verdict::Restart { children: 1..2 });
        assert_eq!(verdict(Strategy::RestForOne), Verdict::Restart { children: 1..4 });
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_deaths_within_the_period_are_given_up() {
        let mut deaths = VecDeque::new();
        let start = Instant::now();
        let mut dies_after = |millis| {
            let now = start + Duration::from_millis(millis);
            after_exit(Strategy::OneForOne, 1, 0, &mut deaths, now, &TWICE_A_SECOND)
        };
        assert_eq!(dies_after(0), Verdict::Restart { children: 0..1 });
        assert_eq!(dies_after(400), Verdict::Restart { children: 0..1 });
        assert_eq!(
            dies_after(1_100),
            Verdict::Restart { children: 0..1 },
            "the first death is forgotten"
        );
        assert_eq!(dies_after(1_200), Verdict::GiveUp);
    }
}
