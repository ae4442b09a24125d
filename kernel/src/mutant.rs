//! Bugs that are planted on purpose, so that it can be shown that the simulator's oracles find them.
//!
//! Its rule: **a mutant is a bug that somebody could have made**, in the place where it would have been made, and what comes
//! of it can be seen from outside. An oracle that no mutant ever reddens may be blind; a mutant that no oracle finds names an
//! oracle that is missing.
//!
//! A site asks [`planted`]. Without the feature `mutants` that is the constant `false`, and the compiler removes the site. The
//! feature is for simulation alone and is never shipped; with it on and nothing planted, everything behaves as ever. What is
//! planted is a matter of the thread: the simulator runs a whole kernel on one, so simulations on several threads do not
//! disturb each other, and a kernel on many threads has no mutants. For the same reason there is no site in what runs on the
//! journal's writer thread.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// Declares the mutants, each with what is wrong, its name and the promise that it breaks.
macro_rules! mutants {
    ($($(#[doc = $says:literal])+ $variant:ident = $name:literal breaks $promise:literal,)+) => {
        /// A bug that can be planted: what is wrong in the kernel while it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutant {
            $(
                $(#[doc = $says])+
                #[doc = ""]
                #[doc = concat!("It breaks: ", $promise, ".")]
                $variant,
            )+
        }

        impl Mutant {
            /// Every mutant, in the order of the way that a write takes through the house.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name, as a command line has it: `fresh-key-per-attempt`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What is wrong, in one sentence.
            #[must_use]
            pub fn says(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($says),+).trim_ascii_start(),)+
                }
            }

            /// The promise that it breaks, in a few words.
            #[must_use]
            pub fn breaks(self) -> &'static str {
                match self {
                    $(Self::$variant => $promise,)+
                }
            }
        }
    };
}

mutants! {
    // What an attempt may and may not be.
    /// Each further attempt of a write has an idempotency key of its own.
    FreshKeyPerAttempt = "fresh-key-per-attempt"
        breaks "an effect keeps its key over every retry",
    /// The intent of an attempt is recorded and not fsynced before the call is made.
    IntentNotSynced = "intent-not-synced"
        breaks "no external write before its intent is fsynced",
    /// An attempt that may have been sent counts as one that was not.
    MaybeSentIsNotSent = "maybe-sent-is-not-sent"
        breaks "what may have happened is repeated only where that is declared safe",
    /// An opaque write that may have happened is tried again instead of put to the operator.
    OpaqueIsRetried = "opaque-is-retried"
        breaks "what may have happened is repeated only where that is declared safe",
    /// A call that did not end in time counts as one that was not sent.
    DeadlineIsNotSent = "deadline-is-not-sent"
        breaks "`NotSent`, `MaybeSent` and `Answered` are never confused",
    /// An attempt that was under way when the process died counts as one that was not sent.
    RecoverAsNotSent = "recover-as-not-sent"
        breaks "a crash in mid-call is a fault that may have been sent",
    /// A write is looked for at once, while a search may still miss it.
    ProbeBeforeLag = "probe-before-lag"
        breaks "a search is asked only after its visibility lag",
    /// A write that may have happened is tried again under a key that the other side may have forgotten.
    KeyedBeyondTtl = "keyed-beyond-ttl"
        breaks "a key protects no longer than it is remembered",
    /// A probe that proves a write absent is taken for one that found it.
    AbsentMeansLanded = "absent-means-landed"
        breaks "what is recorded as landed has landed",
    /// A probe that could not tell is taken for one that proved the write absent.
    UnknownMeansAbsent = "unknown-means-absent"
        breaks "what may have happened is repeated only once it is proven absent",
    /// A write in doubt whose step or run ends is recorded as not made, and the operator is not asked.
    DoubtStopped = "doubt-stopped"
        breaks "what may have happened is put to the operator whatever has become of its run",
    /// The receipt of a write that landed is dropped on the way to its record.
    ReceiptLost = "receipt-lost"
        breaks "the receipt of a write is the one that the other side gave",
    /// A write or a step that always fails is tried again without end.
    RetriesWithoutEnd = "retries-without-end"
        breaks "every retry has a limit",
    /// While an attempt is in flight its write may be probed or attempted again, once its run's actor is another.
    InFlightForgotten = "in-flight-forgotten"
        breaks "a write with an attempt in flight is neither attempted again nor probed",

    // What calls cost.
    /// After a restart, nothing of a budget counts as used.
    BudgetForgotten = "budget-forgotten"
        breaks "what was reserved and not settled counts, also across a crash",
    /// What a call can cost is recorded and not fsynced before the call is made.
    ReservationUnsynced = "reservation-unsynced"
        breaks "no call that costs something leaves before its reservation is fsynced",
    /// A call whose price is not known is made although money is limited.
    UnpricedIsFree = "unpriced-is-free"
        breaks "an unknown price means no",
    /// What was reserved for a call that was lost stays reserved.
    SettlementForgotten = "settlement-forgotten"
        breaks "every reservation is settled",
    /// A raised budget wakes nobody who waits for it.
    RaiseWakesNobody = "raise-wakes-nobody"
        breaks "whoever waits for a budget goes on when it is raised",

    // What is paused.
    /// A pause is forgotten when the process ends.
    PauseForgotten = "pause-forgotten"
        breaks "a pause lasts until someone lets it go on",
    /// A write that stood in line for room when it was paused is made all the same.
    PauseNotFenced = "pause-not-fenced"
        breaks "nothing begins of what is paused",

    // What is side by side.
    /// A new run takes the newest version, whatever share of the runs is to.
    CanaryForAll = "canary-for-all"
        breaks "a canary is taken by its share of the runs",
    /// Each run draws the policy that judges it for itself, also beneath another.
    PolicyDrawnBeneath = "policy-drawn-beneath"
        breaks "a run and those beneath it are judged by one version of the policy",
    /// That a shadow is due is told, and not written beside the end of its run.
    ShadowNotWritten = "shadow-not-written"
        breaks "what is due in the shadow is on disk with the end of its run",
    /// The connector of a shadow makes its writes.
    ShadowActs = "shadow-acts"
        breaks "a shadow commits nothing",

    // What is acknowledged.
    /// A run's start is acknowledged before its beginning is fsynced.
    StartAcknowledgedUnsynced = "start-acknowledged-unsynced"
        breaks "no acknowledgement before what it acknowledges is fsynced",
    /// What the operator says of a write is acknowledged before it is fsynced.
    DecisionUnsynced = "decision-unsynced"
        breaks "no acknowledgement before what it acknowledges is fsynced",
    /// An event is acknowledged before it is fsynced.
    EventAcknowledgedUnsynced = "event-acknowledged-unsynced"
        breaks "no acknowledgement before what it acknowledges is fsynced",

    // What policy and the operator say.
    /// A write that policy wants approved is made without asking.
    ApprovalNotAsked = "approval-not-asked"
        breaks "nothing that wants approval happens without it",
    /// A write that policy wants recorded and not made is made.
    ShadowIsSent = "shadow-is-sent"
        breaks "what is shadowed never leaves",
    /// What the connector would send now is sent, whether or not it is what was judged.
    ApprovalNotBound = "approval-not-bound"
        breaks "an approval is bound to exact bytes",
    /// An approval counts although policy or the connector has changed since the write was shown.
    ApprovalOutlivesPolicy = "approval-outlives-policy"
        breaks "an approval stands only if what was shown still holds",
    /// A write that the operator has changed keeps the judgement of what it was before.
    ModifiedKeepsJudgement = "modified-keeps-judgement"
        breaks "a change is judged again",
    /// The id of an inbox item does not change with what it shows, so a decision about what was shown earlier counts.
    StaleDecisionTaken = "stale-decision-taken"
        breaks "a decision can only meet what was shown",
    /// A decision that comes after its item's deadline still counts.
    LateDecisionTaken = "late-decision-taken"
        breaks "a write is decided before its deadline or not at all",
    /// A write that nobody decided in time is made, although its rule says that it is turned down.
    ExpiredApproves = "expired-approves"
        breaks "silence approves only where policy says so",
    /// A write that may have happened does not appear in the inbox.
    AmbiguousNotShown = "ambiguous-not-shown"
        breaks "what nothing can tell waits for the operator",
    /// The places that writes have landed at are not remembered.
    ReachedNotKept = "reached-not-kept"
        breaks "policy sees where writes have landed",
    /// How many writes have landed at a place on the same day is not counted.
    TodayNotCounted = "today-not-counted"
        breaks "policy sees how often writes have landed on the day",

    // Taking back.
    /// What a run did is taken back in the order it was done.
    UnwindsForward = "unwinds-forward"
        breaks "taking back goes in reverse",
    /// Taking back begins, and ends, while a write may still have happened or a run beneath is under way.
    UnwindsInDoubt = "unwinds-in-doubt"
        breaks "taking back begins when nothing is in doubt",
    /// The first write of a run is neither taken back nor named.
    ForgetsFirstWrite = "forgets-first-write"
        breaks "what is not taken back is named",
    /// What the runs beneath a run did is neither taken back nor named.
    ChildNotUnwound = "child-not-unwound"
        breaks "a run that takes back what it did has the runs beneath it do so",

    // Replay and recovery.
    /// A turn that is taken again performs again what its journal has the answers of.
    AnswersNotReplayed = "answers-not-replayed"
        breaks "a turn has the same answers in every replay",
    /// A snapshot lacks the last record that it claims to hold.
    SnapshotBehind = "snapshot-behind"
        breaks "a snapshot with the records after it is the fold of all records",
    /// A run that no longer waits for an event is still listed among those that do.
    AwaitedForEver = "awaited-for-ever"
        breaks "what is kept of a run beside its records is their projection",
    /// Runs that were under way when the last process ended are not taken up again.
    InterruptedForgotten = "interrupted-forgotten"
        breaks "a run that was begun ends or waits for somebody",
    /// The end of a run beneath that its parent was not told of is not told after a restart.
    EndedChildForgotten = "ended-child-forgotten"
        breaks "the end of a run beneath is told until it is taken in",
    /// Events that were taken and not delivered are not delivered after a restart.
    EventsUndelivered = "events-undelivered"
        breaks "an event that was taken is delivered at least once",
    /// Runs that are set aside go on after a restart.
    AsideForgotten = "aside-forgotten"
        breaks "nothing is delivered to a run that is set aside until the operator says so",
    /// A change that was taken in is not marked as seen.
    SeenNotKept = "seen-not-kept"
        breaks "a change is taken once",
    /// A change is marked as seen in a batch of its own, before the run that it starts is begun.
    SeenBeforeRun = "seen-before-run"
        breaks "a crash leaves a change's mark and its run, or neither",
    /// A newer version of a fact is in the log and not in the table that is read.
    MemoryBehind = "memory-behind"
        breaks "memory is the projection of the log",

    // Time.
    /// Timers on disk are not looked at when the kernel starts.
    DueForgotten = "due-forgotten"
        breaks "what waits for a time is woken, also after a restart",
    /// A run that leaves memory does not say when it is to be woken.
    RestingNotTimed = "resting-not-timed"
        breaks "what waits for a time is woken at that time",
    /// A run leaves memory although something is on its way to it.
    LeavesUnseen = "leaves-unseen"
        breaks "an actor that leaves has seen everything that was sent to it",
    /// What waits for a time goes on ten seconds before it.
    FiresEarly = "fires-early"
        breaks "a sleep lasts as long as was asked",
    /// A write that is put aside until a time is not in the table of what is due.
    ParkedNotDue = "parked-not-due"
        breaks "what is put aside goes on when its time has come",

    // Limits.
    /// After a restart, nothing of a limit counts as used.
    ReservationsForgotten = "reservations-forgotten"
        breaks "a limit holds also across a crash",
    /// Calls are spread to the rate, and nobody counts those of a period.
    WindowNotStrict = "window-not-strict"
        breaks "a limit holds over every stretch of its time",
    /// The narrower limit of a single operation is not held.
    OperationLimitIgnored = "operation-limit-ignored"
        breaks "the limits of the operation and of the credential both hold",
    /// Calls go on although the other side has said not before when.
    RetryAfterIgnored = "retry-after-ignored"
        breaks "what the other side says last counts",
    /// A breaker that has opened lets nobody find out whether the other side is well again.
    BreakerNeverCloses = "breaker-never-closes"
        breaks "whoever is refused is told a time, and that time comes",
    /// The budget of retries is filled neither by time nor by success.
    RetryBudgetNeverRefills = "retry-budget-never-refills"
        breaks "whoever is refused is told a time, and that time comes",
    /// The room of a call that failed is never given back.
    PermitLeaked = "permit-leaked"
        breaks "a permit lives no longer than what holds it",

    // Supervision.
    /// A permanent child that died is not started again.
    ChildNotRestarted = "child-not-restarted"
        breaks "any actor may die at any moment",
    /// What dies again and again is started again and again.
    IntensityIgnored = "intensity-ignored"
        breaks "past its intensity a supervisor gives up, and a run is set aside",
    /// A guard that is dropped without an answer does not answer.
    GuardSilent = "guard-silent"
        breaks "no run waits for an answer that cannot come",
}

/// What is planted on this thread, to be planted on another that belongs to the same simulation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Carried {
    #[cfg(feature = "mutants")]
    planted: Option<Mutant>,
}

impl Carried {
    /// What is planted here. Nothing without the feature `mutants`.
    #[must_use]
    pub fn here() -> Self {
        #[cfg(feature = "mutants")]
        return Self { planted: thread::here() };
        #[cfg(not(feature = "mutants"))]
        Self {}
    }

    /// Plants it on this thread.
    pub fn arrives(self) {
        #[cfg(feature = "mutants")]
        plant(self.planted);
    }
}

/// Whether `mutant` is planted on this thread. Without the feature `mutants` it never is.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
#[must_use]
pub const fn planted(_mutant: Mutant) -> bool {
    false
}

#[cfg(feature = "mutants")]
pub use thread::{plant, planted};

/// What is planted, where anything can be.
#[cfg(feature = "mutants")]
mod thread {
    use std::cell::Cell;

    use super::Mutant;

    thread_local! {
        // No state of a kernel: of the test that is run on it.
        static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Plants `mutant` on this thread, in the place of the one before; `None` leaves none.
    pub fn plant(mutant: Option<Mutant>) {
        PLANTED.set(mutant);
    }

    /// What is planted on this thread.
    pub(super) fn here() -> Option<Mutant> {
        PLANTED.get()
    }

    /// Whether `mutant` is planted on this thread.
    #[inline(always)]
    #[must_use]
    pub fn planted(mutant: Mutant) -> bool {
        PLANTED.get() == Some(mutant)
    }
}

/// A name that no mutant has.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no mutant `{given}`; there is {}", names())]
pub struct UnknownMutant {
    /// As given.
    pub given: String,
}

fn names() -> String {
    Mutant::ALL.iter().map(|mutant| mutant.name()).collect::<Vec<_>>().join(", ")
}

impl FromStr for Mutant {
    type Err = UnknownMutant;

    fn from_str(name: &str) -> Result<Self, UnknownMutant> {
        let found = Self::ALL.iter().find(|mutant| mutant.name() == name);
        found.copied().ok_or_else(|| UnknownMutant { given: name.into() })
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_parse_back() {
        let names: BTreeSet<_> = Mutant::ALL.iter().map(|mutant| mutant.name()).collect();
        assert_eq!(names.len(), Mutant::ALL.len());
        for mutant in Mutant::ALL {
            assert_eq!(mutant.name().parse(), Ok(*mutant));
            assert_eq!(mutant.to_string(), mutant.name());
        }
    }

    /// `FreshKeyPerAttempt` is `fresh-key-per-attempt`.
    #[test]
    fn a_name_is_that_of_its_variant() {
        for mutant in Mutant::ALL {
            let mut name = String::new();
            for letter in format!("{mutant:?}").chars() {
                if letter.is_ascii_uppercase() && !name.is_empty() {
                    name.push('-');
                }
                name.push(letter.to_ascii_lowercase());
            }
            assert_eq!(mutant.name(), name);
        }
    }

    #[test]
    fn each_says_what_is_wrong_in_one_sentence() {
        for mutant in Mutant::ALL {
            let says = mutant.says();
            assert!(says.starts_with(|first: char| first.is_ascii_uppercase()), "{says}");
            assert!(says.ends_with('.') && says.matches(". ").count() == 0, "{says}");
            assert!(!mutant.breaks().is_empty(), "{mutant}");
        }
    }

    #[test]
    fn an_unknown_name_says_which_there_are() {
        let message = "no-such".parse::<Mutant>().unwrap_err().to_string();
        assert!(message.contains("`no-such`; there is fresh-key-per-attempt, "), "{message}");
    }

    #[test]
    fn by_itself_nothing_is_planted() {
        assert!(Mutant::ALL.iter().all(|mutant| !planted(*mutant)));
    }

    #[cfg(feature = "mutants")]
    #[test]
    fn a_mutant_is_planted_on_its_thread_alone() {
        plant(Some(Mutant::GuardSilent));
        let here: Vec<_> = Mutant::ALL.iter().filter(|mutant| planted(**mutant)).collect();
        assert_eq!(here, [&Mutant::GuardSilent]);
        let elsewhere = std::thread::scope(|scope| {
            scope.spawn(|| Mutant::ALL.iter().any(|mutant| planted(*mutant))).join().unwrap()
        });
        assert!(!elsewhere);
        plant(None);
        assert!(Mutant::ALL.iter().all(|mutant| !planted(*mutant)));
    }
}
