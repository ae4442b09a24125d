//! Policy: may this write happen?
//!
//! A policy is a list of rules in TOML. Each rule that matches a proposal gives its verdict, and the strictest verdict
//! stands: deny before redact before shadow before approve before allow. Where no rule matches, the operator is asked. A
//! rule sees what the kernel knows, never what an agent claims: whether an address has been written to before comes from
//! the journal, and where a value comes from is in its labels.
//!
//! `read.rs` and `rule.rs` turn text into a policy, `builtin.rs` holds the rules that one can switch on, `scope.rs` is what
//! a condition sees, `judge.rs` gives the verdict, `example.rs` runs the policy's own test cases, and `diff.rs` says what a
//! newer version changes.
//!
//! ```toml
//! [lists]
//! contacts = ["ada@client.example"]
//!
//! [[rule]]
//! name = "known-recipient"
//! operation = "mail.send"
//! when = "routing.to.reached or routing.to.value in lists.contacts"
//! verdict = "allow"
//! reason = "we have written to this address before"
//! ```

mod backtest;
mod builtin;
mod diff;
mod example;
mod fields;
mod judge;
mod read;
mod rule;
mod scope;
mod suggest;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use backtest::{Backtest, Consequence, Difference, Heard, seen};
pub use diff::PolicyChange;
pub use example::ExampleResult;
pub use judge::Redaction;
pub(crate) use scope::shown;
pub use suggest::{HeldBack, Risk, Suggestion, Suggestions, Wanted, wilson};

use self::{builtin::Builtins, example::Example, rule::Rule};
use crate::{
    payload::Digest,
    time::Timestamp,
    workflow::problem::{advice, place},
};

/// Longest policy, in bytes. A person has to keep it in view.
pub const POLICY_BYTES_MAX: usize = 256 << 10;

/// Most entries of one list. Each judgement looks through the lists its rules name.
pub const LIST_ENTRIES_MAX: usize = 10_000;

/// The stream of the policy's versions: the first record is version 1.
pub const STREAM: &str = "policy";

/// The name of the rule that gives the verdict where no other matches.
pub const DEFAULT_RULE: &str = "default";

/// What policy says of a proposal, strictest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It does not happen.
    Deny,
    /// It is planned again without the personal data that the rule names. Never the last word on a proposal: once
    /// redacted, it is judged by the other rules.
    Redact,
    /// It does not happen, and is recorded as if it had.
    Shadow,
    /// The operator is asked.
    Approve,
    /// It happens.
    Allow,
}

impl Verdict {
    /// All of them, strictest first.
    pub const ALL: [Self; 5] = [Self::Deny, Self::Redact, Self::Shadow, Self::Approve, Self::Allow];

    /// The verdict as policies write it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Redact => "redact",
            Self::Shadow => "shadow",
            Self::Approve => "approve",
            Self::Allow => "allow",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A verdict with where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// What is to happen. Never [`Verdict::Redact`].
    pub verdict: Verdict,
    /// The rule that said so.
    pub rule: String,
    /// Why, for the operator.
    pub reason: String,
    /// What the operator can do about it.
    pub remedy: Option<String>,
    /// The version of the policy that was asked.
    pub policy: u32,
    /// How long the operator may take, if the verdict is `approve`. Absent: for ever.
    pub deadline: Option<Duration>,
    /// Whether it counts as approved at the deadline; else it counts as turned down.
    pub approved_at_deadline: bool,
}

/// What is known of a place that has been written to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// When a write last landed there.
    pub at: Timestamp,
    /// How many landed there on the UTC day of the judgement.
    pub today: u32,
}

/// What the kernel knows about a proposal besides what it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The places it would go to, by routing argument; absent if no write has ever landed there.
    pub reached: BTreeMap<String, Reached>,
    /// Whether it takes an earlier write back.
    pub reverses: bool,
    /// The workflow it is made in.
    pub workflow: String,
    /// The agent that proposes it, if it is one.
    pub agent: Option<String>,
}

/// A checked policy.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    version: u32,
    source: Arc<str>,
    timezone: Tz,
    lists: BTreeMap<String, Vec<String>>,
    /// What [`with_list`](Self::with_list) added; `lists` holds it too.
    added: BTreeMap<String, Vec<String>>,
    builtins: Builtins,
    rules: Vec<Rule>,
    examples: Vec<Example>,
}

impl Policy {
    /// Reads and checks a policy. `file` names it in errors.
    ///
    /// # Errors
    ///
    /// Every problem there is, not only the first.
    pub fn parse(file: &str, source: &str) -> Result<Self, Vec<PolicyProblem>> {
        read::read(file, source)
    }

    /// The same policy with `values` added to the list called `name`.
    #[must_use]
    pub fn with_list(mut self, name: &str, values: impl IntoIterator<Item = String>) -> Self {
        let values: Vec<String> = values.into_iter().collect();
        self.lists.entry(name.into()).or_default().extend(values.iter().cloned());
        self.added.entry(name.into()).or_default().extend(values);
        self
    }

    /// The same policy with what was added to the lists of `other`: what the configuration adds stays when the text changes.
    #[must_use]
    pub fn with_lists_of(mut self, other: &Self) -> Self {
        for (name, values) in &other.added {
            self = self.with_list(name, values.iter().cloned());
        }
        self
    }

    /// What was added to its lists, by list.
    #[must_use]
    pub fn added_lists(&self) -> &BTreeMap<String, Vec<String>> {
        &self.added
    }

    /// The same policy as version `version`; judgements name it.
    #[must_use]
    pub fn with_version(self, version: u32) -> Self {
        Self { version, ..self }
    }

    /// Its version; zero until it is given one.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The text it was read from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The hash of its text and of what was added to its lists: policies with the same digest judge alike.
    ///
    /// # Panics
    ///
    /// Never: lists of texts are plain data, which is JSON.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let added: Vec<_> = self.added.iter().filter(|(_, values)| !values.is_empty()).collect();
        if added.is_empty() {
            return Digest::of(self.source.as_bytes());
        }
        let whole = serde_json::to_vec(&(&*self.source, added));
        Digest::of(&whole.expect("lists of texts are plain data"))
    }
}

/// Something wrong with a policy.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize)]
#[error("{file}{}{}: {message}{}", place("rule", .rule.as_deref()), place("field", .field.as_deref()), advice(.help.as_deref()))]
pub struct PolicyProblem {
    /// The file, as it was given.
    pub file: String,
    /// The rule, if the problem is in one; `#2` is the second, if it has no name.
    pub rule: Option<String>,
    /// The field.
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}
