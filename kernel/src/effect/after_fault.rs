//! What follows a failed attempt: the table of phases and semantics.
//!
//! `NotSent` and an answer that says "no" are certain, so they may be repeated under any semantics. `MaybeSent` is not:
//! there the declared semantics decide, and [`WriteSemantics::Opaque`] asks the operator. What is certain of one attempt says
//! nothing of an earlier one: as long as that may have happened, only the other side's word on the thing itself settles it.

use serde::{Deserialize, Serialize};

use super::{Outcome, WriteState};
use crate::{
    fault::{Fault, FaultClass, Phase},
    gate::HOLD_MAX,
    mutant::{Mutant, planted},
    retry::RetryPolicy,
    semantics::{WriteSemantics, remembers},
    time::Timestamp,
};

/// Probes without a clear answer before the operator is asked.
pub const PROBES_MAX: u32 = 5;

/// What is done after a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AfterFault {
    /// Try again with the same key and the same bytes.
    Retry {
        /// Not before.
        at: Timestamp,
    },
    /// Ask the other side whether it happened.
    Probe {
        /// Not before.
        at: Timestamp,
    },
    /// Ask the operator.
    Ask,
    /// Give up: it certainly did not happen, and would not.
    Fail,
}

impl AfterFault {
    pub(super) fn state(self, fault: &Fault, probes: u32, now: Timestamp) -> WriteState {
        match self {
            Self::Retry { at } => WriteState::Retrying { at },
            Self::Probe { at } => WriteState::Probing { at, probes },
            Self::Ask => WriteState::Ambiguous { fault: fault.clone(), since: now },
            Self::Fail => WriteState::Settled(Outcome::Failed { fault: fault.clone() }),
        }
    }
}

/// Where a write stands when a fault meets it.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// What the connector declares.
    pub semantics: WriteSemantics,
    /// Attempts made.
    pub attempts: u32,
    /// How long ago the first was.
    pub age: std::time::Duration,
    /// The time now.
    pub now: Timestamp,
    /// A number in place of chance, for the wait.
    pub chance: u64,
    /// Whether an earlier attempt may have happened.
    pub doubt: bool,
}

/// What follows `fault` of an attempt.
#[must_use]
pub fn after_fault(fault: &Fault, standing: &Standing, retry: &RetryPolicy) -> AfterFault {
    // An attempt that did not leave, or that the other side would not look at, says nothing of an earlier one that may have
    // happened. Only a refusal of the thing itself does: it has it under this key.
    let certain = match fault.phase {
        Phase::NotSent => !standing.doubt,
        Phase::Answered => !standing.doubt || fault.class == FaultClass::Declined,
        Phase::MaybeSent => planted(Mutant::MaybeSentIsNotSent),
    };
    if certain {
        return again(fault, standing, retry);
    }
    match standing.semantics {
        WriteSemantics::Opaque if planted(Mutant::OpaqueIsRetried) => again(fault, standing, retry),
        WriteSemantics::Keyed { ttl }
            if remembers(ttl, standing.age) || planted(Mutant::KeyedBeyondTtl) =>
        {
            // A credential that is refused now is refused at once again: the operator is told while there is time.
            let in_vain = fault.phase != Phase::MaybeSent && !fault.class.passes();
            if retry.allows_after(standing.attempts) && !in_vain {
                AfterFault::Retry { at: due(fault, standing, retry) }
            } else {
                AfterFault::Ask
            }
        }
        WriteSemantics::NaturalKey | WriteSemantics::Conditional => {
            AfterFault::Probe { at: due(fault, standing, retry) }
        }
        WriteSemantics::Searchable { .. } if planted(Mutant::ProbeBeforeLag) => {
            AfterFault::Probe { at: standing.now }
        }
        WriteSemantics::Searchable { visibility_lag } => {
            AfterFault::Probe { at: standing.now.after(visibility_lag) }
        }
        WriteSemantics::Keyed { .. } | WriteSemantics::Opaque => AfterFault::Ask,
    }
}

/// What follows a probe that failed or could not tell, the `probes`th of its write.
#[must_use]
pub fn after_probe(
    fault: &Fault,
    probes: u32,
    standing: &Standing,
    retry: &RetryPolicy,
) -> AfterFault {
    if probes >= PROBES_MAX {
        AfterFault::Ask
    } else {
        AfterFault::Probe { at: due(fault, standing, retry) }
    }
}

/// What follows a probe that proved the write absent: the ambiguous attempt is as if never made, but it counts.
#[must_use]
pub fn after_absence(standing: &Standing, retry: &RetryPolicy) -> AfterFault {
    again(&absent(), standing, retry)
}

/// The fault of an attempt that a probe proved to have had no effect.
pub(super) fn absent() -> Fault {
    Fault::new(
        FaultClass::Transient,
        Phase::Answered,
        "a probe proved that the attempt had no effect",
    )
}

fn again(fault: &Fault, standing: &Standing, retry: &RetryPolicy) -> AfterFault {
    if fault.class.passes() && retry.allows_after(standing.attempts) {
        AfterFault::Retry { at: due(fault, standing, retry) }
    } else {
        AfterFault::Fail
    }
}

/// When the next try is due: after our own wait, and not before the other side asked for it, as far as that is believed.
fn due(fault: &Fault, standing: &Standing, retry: &RetryPolicy) -> Timestamp {
    let ours = standing.now.after(retry.delay(standing.attempts, standing.chance));
    let theirs = fault.retry_at.filter(|_| !planted(Mutant::RetryAfterIgnored));
    let latest = standing.now.after(HOLD_MAX);
    theirs.map_or(ours, |theirs| ours.max(theirs.min(latest)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp(10_000);
    const DAY: Duration = Duration::from_secs(86_400);
    const KEYED: WriteSemantics = WriteSemantics::Keyed { ttl: DAY };
    const SEARCHABLE: WriteSemantics =
        WriteSemantics::Searchable { visibility_lag: Duration::from_secs(30) };
    const ALL: [WriteSemantics; 5] = [
        KEYED,
        WriteSemantics::NaturalKey,
        WriteSemantics::Conditional,
        SEARCHABLE,
        WriteSemantics::Opaque,
    ];

    fn standing(semantics: WriteSemantics, attempts: u32) -> Standing {
        Standing { semantics, attempts, age: Duration::ZERO, now: NOW, chance: 0, doubt: false }
    }

    #[track_caller]
    fn check(
        semantics: WriteSemantics,
        class: FaultClass,
        phase: Phase,
        attempts: u32,
        expected: AfterFault,
    ) {
        let fault = Fault::new(class, phase, "x");
        assert_eq!(
            after_fault(&fault, &standing(semantics, attempts), &RetryPolicy::WRITE),
            expected
        );
    }

    #[test]
    fn what_was_not_sent_is_tried_again_under_any_semantics() {
        for semantics in ALL {
            check(
                semantics,
                FaultClass::Transient,
                Phase::NotSent,
                1,
                AfterFault::Retry { at: NOW },
            );
            check(semantics, FaultClass::Transient, Phase::NotSent, 6, AfterFault::Fail);
        }
    }

    #[test]
    fn what_was_refused_for_good_is_not_tried_again() {
        for semantics in ALL {
            check(semantics, FaultClass::Declined, Phase::Answered, 1, AfterFault::Fail);
            check(
                semantics,
                FaultClass::Throttled,
                Phase::Answered,
                1,
                AfterFault::Retry { at: NOW },
            );
        }
    }

    #[test]
    fn what_may_have_been_sent_follows_the_semantics() {
        let (class, phase) = (FaultClass::Transient, Phase::MaybeSent);
        check(KEYED, class, phase, 1, AfterFault::Retry { at: NOW });
        check(WriteSemantics::NaturalKey, class, phase, 1, AfterFault::Probe { at: NOW });
        check(SEARCHABLE, class, phase, 1, AfterFault::Probe { at: Timestamp(40_000) });
        check(WriteSemantics::Opaque, class, phase, 1, AfterFault::Ask);
        check(WriteSemantics::Opaque, FaultClass::Bug, phase, 1, AfterFault::Ask);
    }

    /// The first attempt may have landed. That the last one did not leave does not make the write one that never happened.
    #[test]
    fn an_attempt_that_was_not_sent_does_not_settle_an_earlier_doubt() {
        let fault = Fault::new(FaultClass::Transient, Phase::NotSent, "refused");
        let doubtful = |attempts| Standing { doubt: true, ..standing(KEYED, attempts) };
        let next = after_fault(&fault, &doubtful(6), &RetryPolicy::WRITE);
        assert_eq!(next, AfterFault::Ask);
        let next = after_fault(&fault, &doubtful(2), &RetryPolicy::WRITE);
        assert_eq!(next, AfterFault::Retry { at: NOW });
        let declined = Fault::new(FaultClass::Declined, Phase::Answered, "no funds");
        assert_eq!(after_fault(&declined, &doubtful(2), &RetryPolicy::WRITE), AfterFault::Fail);
    }

    /// The first attempt may have landed. That the credential has expired since, or that this request is not understood, says
    /// nothing of it.
    #[test]
    fn an_attempt_that_was_not_looked_at_does_not_settle_an_earlier_doubt() {
        for class in [FaultClass::Auth, FaultClass::Invalid, FaultClass::Bug] {
            let fault = Fault::new(class, Phase::Answered, "no");
            let doubtful = Standing { doubt: true, ..standing(KEYED, 2) };
            assert_eq!(after_fault(&fault, &doubtful, &RetryPolicy::WRITE), AfterFault::Ask);
            check(KEYED, class, Phase::Answered, 2, AfterFault::Fail);
        }
    }

    #[test]
    fn a_key_that_may_have_expired_is_not_used_again() {
        let fault = Fault::new(FaultClass::Transient, Phase::MaybeSent, "x");
        let old = Standing { age: DAY, ..standing(KEYED, 1) };
        assert_eq!(after_fault(&fault, &old, &RetryPolicy::WRITE), AfterFault::Ask);
    }

    #[test]
    fn the_other_sides_hint_is_honoured() {
        let mut fault = Fault::new(FaultClass::Throttled, Phase::Answered, "x");
        fault.retry_at = Some(Timestamp(99_000));
        let next = after_fault(&fault, &standing(KEYED, 1), &RetryPolicy::WRITE);
        assert_eq!(next, AfterFault::Retry { at: Timestamp(99_000) });
    }

    #[test]
    fn probes_end_at_the_operator() {
        let fault = Fault::new(FaultClass::Transient, Phase::NotSent, "x");
        let standing = standing(SEARCHABLE, 1);
        assert_eq!(
            after_probe(&fault, 1, &standing, &RetryPolicy::WRITE),
            AfterFault::Probe { at: NOW }
        );
        assert_eq!(
            after_probe(&fault, PROBES_MAX, &standing, &RetryPolicy::WRITE),
            AfterFault::Ask
        );
    }
}
