//! Suggestions as JSON, for people's tools: keys are added and not taken away.

use serde_json::{Value, json};

use super::{HeldBack, Risk, Suggestion, Suggestions};
use crate::decisions::Case;

impl Suggestions<'_> {
    /// All of it as JSON.
    #[must_use]
    pub fn view(&self) -> Value {
        json!({
            "answered": self.answered,
            "rules": self.rules.iter().map(Suggestion::view).collect::<Vec<_>>(),
            "held_back": self.held_back.iter().map(HeldBack::view).collect::<Vec<_>>(),
        })
    }
}

impl Suggestion<'_> {
    fn view(&self) -> Value {
        json!({
            "name": self.name,
            "verdict": self.verdict,
            "operation": self.operation,
            "when": self.when,
            "text": self.text,
            "cases": self.cases.len(),
            "bound": self.bound,
            "waited_median_ms": self.waited.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            "unanswered": self.unanswered,
            "turned_down": 0,
            "items": self.cases.iter().map(|case| named(case)).collect::<Vec<_>>(),
            "exceptions": self.exceptions.iter().map(|case| named(case)).collect::<Vec<_>>(),
        })
    }
}

fn named(case: &Case) -> Value {
    let first = case.first();
    json!({
        "run": case.run,
        "item": first.item,
        "at": first.at,
        "routing": first.proposal.routing,
        "answer": case.answer.word(),
        "taken_back": case.taken_back,
    })
}

impl HeldBack {
    fn view(&self) -> Value {
        json!({
            "operation": self.operation,
            "workflow": self.workflow,
            "agent": self.agent,
            "cases": self.cases,
            "risks": self.risks.iter().map(|risk| risk.word()).collect::<Vec<_>>(),
        })
    }
}

impl Risk {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NewPlaces, Self::Untrusted, Self::Money];

    /// The risk in a word, as a command line has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NewPlaces => "new-places",
            Self::Untrusted => "untrusted",
            Self::Money => "money",
        }
    }

    /// The risk for a person.
    #[must_use]
    pub fn says(self) -> &'static str {
        match self {
            Self::NewPlaces => "what cannot be taken back would go to new places",
            Self::Untrusted => "it would go where somebody outside chose",
            Self::Money => "it is about money",
        }
    }
}
