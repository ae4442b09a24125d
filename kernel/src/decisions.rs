//! Decisions as data: what was proposed, what policy said of it, what was decided about it, and what became of it.
//!
//! Its rule: **nothing is kept beside the journal for this**. [`Walk`] is shown the journal's records in their order and folds
//! them into [`Case`]s, one for each write that was proposed. What policy knew at the time is folded along: where writes had
//! landed by then. So a judgement can be made again, by the policy that made it or by another one, and the record says what it
//! was made on.
//!
//! `walk.rs` is the fold, `places.rs` the places that writes have landed at, `edit.rs` what an operator changed, `view.rs` a case
//! as JSON. [`policy`](crate::policy) judges cases again and proposes rules that they support.

mod edit;
mod places;
#[cfg(test)]
pub(crate) mod tests;
mod view;
mod walk;

use std::time::Duration;

pub use edit::{Edit, edits};
pub use walk::{Unreadable, Walk};

use crate::{
    effect::Proposal,
    id::{InboxId, RunId, StepName, WorkflowRef},
    journal::Seq,
    policy::{Evidence, Judgement, Verdict},
    run::EffectRef,
    time::Timestamp,
};

/// A write that was proposed, with all that was said of it and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The run that proposed it.
    pub run: RunId,
    /// The version of its workflow.
    pub workflow: WorkflowRef,
    /// The step.
    pub step: StepName,
    /// Which effect of the step.
    pub effect: EffectRef,
    /// Each time that it was put before policy: as it was proposed, and whenever it was changed or judged again. At least one.
    pub hearings: Vec<Hearing>,
    /// What was said about it, in order.
    pub said: Vec<Said>,
    /// What the operator answered, all in all.
    pub answer: Answer,
    /// How long it waited for that answer, from the first time that it was asked about.
    pub waited: Option<Duration>,
    /// What became of it.
    pub fate: Fate,
    /// Why it did not happen, or what it waits for, where that is known.
    pub why: Option<String>,
    /// Whether something that takes it back was proposed later on.
    pub taken_back: bool,
}

/// One judgement, and all that it was made on.
#[derive(Clone, Debug, PartialEq)]
pub struct Hearing {
    /// Its record.
    pub seq: Seq,
    /// When it was judged.
    pub at: Timestamp,
    /// What brought it before policy.
    pub cause: Cause,
    /// What was judged.
    pub proposal: Proposal,
    /// What policy said. Its policy is the version that was in force.
    pub judgement: Judgement,
    /// What the kernel knew besides: all that had landed before this record.
    pub evidence: Evidence,
    /// The same without what landed in other runs while this was being judged, latest first; mostly nothing. A landing is on
    /// record before it can be read, so that a judgement of the same moment may have been made without it.
    pub earlier: Vec<Evidence>,
    /// The item under which it was put to the operator, if it was.
    pub item: Option<InboxId>,
}

/// What brings a write before policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was proposed.
    Proposed,
    /// The operator changed it.
    Modified {
        /// Who.
        by: String,
    },
    /// It was approved of, and policy or the connector had changed since it was shown.
    Reproposed,
}

/// Something that was said about a write.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Its record.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
    /// The item that it was said about.
    pub item: Option<InboxId>,
    /// Who said it; none if it follows from time or from the end of the run.
    pub by: Option<String>,
    /// What.
    pub what: Word,
}

/// What can be said about a write.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// It may happen as shown.
    Approved,
    /// It may happen with these changes.
    Modified {
        /// What is other than before.
        edit: Vec<Edit>,
    },
    /// It may not happen.
    Aborted {
        /// Why.
        reason: String,
    },
    /// It happened, or it did not.
    Resolved {
        /// Whether it did.
        happened: bool,
    },
    /// Somebody else is to decide.
    Delegated {
        /// Who.
        to: String,
    },
    /// Nobody decided in time.
    Expired {
        /// Whether it counts as approved.
        approved: bool,
    },
    /// Its run ended before anybody decided.
    Stopped {
        /// Why.
        reason: String,
    },
}

/// What the operator answered to a write, all in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// Nobody was asked.
    NotAsked,
    /// Nobody has decided yet.
    Waiting,
    /// It was approved as it was.
    Approved,
    /// It was changed first.
    Edited,
    /// It was turned down.
    TurnedDown,
    /// Nobody decided in time, and that counted as approved.
    LapsedApproved,
    /// Nobody decided in time, and that counted as turned down.
    LapsedRefused,
    /// Policy had changed meanwhile, and decided by itself.
    Overruled,
    /// Its run ended before anybody decided.
    Dropped,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It waits for the operator.
    Waiting,
    /// It is on its way.
    UnderWay,
    /// It may have happened, and nobody has said whether it did.
    InDoubt,
    /// It happened.
    Landed,
    /// Policy denied it.
    Denied,
    /// It was turned down, or its run ended before it was attempted.
    Aborted,
    /// It did not happen, and trying again would not have helped.
    Failed,
    /// It was recorded and not made.
    Shadowed,
}

impl Case {
    /// How it was first judged.
    ///
    /// # Panics
    ///
    /// Never: a case begins with a judgement.
    #[must_use]
    pub fn first(&self) -> &Hearing {
        self.hearings.first().expect("a case begins with a judgement")
    }

    /// When it was proposed.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.first().at
    }

    /// `mail.send`
    #[must_use]
    pub fn operation(&self) -> String {
        let proposal = &self.first().proposal;
        format!("{}.{}", proposal.connector, proposal.operation)
    }

    /// Whether it takes an earlier write back.
    #[must_use]
    pub fn reverses(&self) -> bool {
        self.first().evidence.reverses
    }

    /// Whether the operator was asked when it was proposed.
    #[must_use]
    pub fn was_asked(&self) -> bool {
        self.first().judgement.verdict == Verdict::Approve
    }

    /// Whether an agent gave the answer in the operator's place.
    #[must_use]
    pub fn is_answered_by_agent(&self) -> bool {
        let decides = |said: &&Said| {
            matches!(said.what, Word::Approved | Word::Modified { .. } | Word::Aborted { .. })
        };
        let by = self.said.iter().rev().find(decides).and_then(|said| said.by.as_deref());
        by.is_some_and(|by| by.starts_with("agent:"))
    }
}

impl Answer {
    /// The answer in a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NotAsked => "not_asked",
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Edited => "edited",
            Self::TurnedDown => "turned_down",
            Self::LapsedApproved => "lapsed_approved",
            Self::LapsedRefused => "lapsed_refused",
            Self::Overruled => "overruled",
            Self::Dropped => "dropped",
        }
    }
}

impl Fate {
    /// The fate in a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::UnderWay => "under_way",
            Self::InDoubt => "in_doubt",
            Self::Landed => "landed",
            Self::Denied => "denied",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
            Self::Shadowed => "shadowed",
        }
    }
}
