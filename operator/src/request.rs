//! What can be asked.
//!
//! Nothing is decided by a question: what [`acts`](Request::acts) is a variant of its own and never the side effect of one
//! that reads. Whatever carries requests later, a page that is only looked at cannot decide.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use soloist_actors::views::CostBy;
use soloist_kernel::{budget::Cost, effect::Decision};
use thiserror::Error;

/// A question or a decision of the operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// List what waits.
    Inbox,
    /// Show one waiting item.
    InboxItem {
        /// Its id.
        item: String,
    },
    /// List the runs.
    Runs,
    /// Show a run with its history.
    Run {
        /// Its id.
        run: String,
        /// The record after which it is shown; as it is now if absent.
        #[serde(default)]
        at: Option<u64>,
    },
    /// Rebuild a run from its records alone, and hold what else is kept of it against that.
    Replay {
        /// Its id.
        run: String,
    },
    /// Pack a run, and those beneath it, into a bundle.
    Export {
        /// Its id.
        run: String,
    },
    /// Let a copy of a run go on in another way, without touching the world or the journal, and tell what would be otherwise.
    Fork {
        /// Its id.
        run: String,
        /// The last record that the copy has in common with the run; from its very beginning if absent.
        #[serde(default)]
        from: Option<u64>,
        /// What judges in it; what is in force if absent.
        #[serde(default)]
        policy: Option<PolicyText>,
        /// Its input, if that is another one.
        #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
        input: Option<Value>,
        /// Agents that are there in another version: `NAME@VERSION`.
        #[serde(default)]
        agents: Vec<String>,
    },
    /// List what could not be read.
    Quarantined,
    /// Show what is known about a contact.
    Facts {
        /// The system that knows the contact: `mail`.
        system: String,
        /// The contact's id there: an address.
        external: String,
    },
    /// Find contacts by what their name is like.
    Contacts {
        /// A name, or a part of one, misspelt or not.
        like: String,
    },
    /// Check the journal's hash chain from its first record to its last.
    Verify,
    /// List the segments that runs were archived in.
    Segments,
    /// Check the chain through live records and segments.
    VerifyArchive,
    /// List the workflows, each in its newest version.
    Workflows,
    /// Show a workflow as it was added.
    Workflow {
        /// `NAME`, which is its newest version, or `NAME@VERSION`.
        workflow: String,
    },
    /// Show the policy as it was set.
    Policy {
        /// Which version; the one in force if absent.
        #[serde(default)]
        version: Option<u32>,
    },
    /// List the writes that were proposed, with what policy said of each, what was decided about it and what became of it.
    Decisions {
        /// Those that were proposed at this time or later, in milliseconds since 1970; all if absent.
        #[serde(default)]
        since_ms: Option<u64>,
        /// Those of one connector; of all if absent.
        #[serde(default)]
        connector: Option<String>,
    },
    /// Tell what another policy would have said of these writes. Nothing is changed by it.
    Backtest {
        /// The file, as problems name it.
        file: String,
        /// Its text.
        text: String,
        /// As in [`Request::Decisions`].
        #[serde(default)]
        since_ms: Option<u64>,
    },
    /// Propose rules that these decisions support. Nothing is changed by it.
    Suggest {
        /// As in [`Request::Decisions`].
        #[serde(default)]
        since_ms: Option<u64>,
        /// Fewest cases that a rule must rest on.
        min: usize,
        /// What may be left to a rule although it is risky: `new-places`, `untrusted`, `money`.
        #[serde(default)]
        also: Vec<String>,
    },
    /// Show what moving a run to another version of its workflow would change.
    Migration {
        /// The run.
        run: String,
        /// The version; the newest if absent.
        #[serde(default)]
        to: Option<u32>,
    },
    /// List what is paused.
    Pauses,
    /// Compare the versions that are side by side.
    Rollouts,
    /// Compare the versions that are side by side and the arms of experiments.
    Compare {
        /// `workflow:NAME`, `agent:NAME`, `policy` or `experiment:NAME`; all there is if absent.
        #[serde(default)]
        of: Option<String>,
    },
    /// Tell what shadows came to.
    Shadows,
    /// Show the shadows of something that did not agree, with what was otherwise.
    Shadowed {
        /// `workflow:NAME` or `agent:NAME`.
        of: String,
        /// That of this run alone, whatever it came to.
        #[serde(default)]
        run: Option<String>,
    },
    /// Tell what calls have cost.
    Costs {
        /// What it is counted by: `agent`, `workflow`, `run`, `day`, `month`, `connector` or `operation`.
        by: CostBy,
        /// Of calls that were made at this time or later, in milliseconds since 1970; of all if absent.
        #[serde(default)]
        since_ms: Option<u64>,
    },
    /// List the budgets, and what is used of them.
    Budgets,
    /// Let a budget be exceeded.
    RaiseBudget {
        /// Its name.
        budget: String,
        /// Of which run, of one that is for each run by itself.
        #[serde(default)]
        run: Option<String>,
        /// By how much.
        more: Cost,
        /// Why.
        reason: String,
    },
    /// Show the live tree, and what lately happened in it.
    Tree,
    /// Tell whether the kernel is ready for work, and why not.
    Ready,
    /// List the connectors: what each can do and how it stands.
    Connectors,
    /// Look whether the other side of a connector answers and takes its credential. It changes nothing.
    CheckConnector {
        /// What it is mounted as.
        name: String,
    },
    /// Take no more work in, and wait until the runs rest.
    Drain {
        /// How long to wait, in seconds.
        seconds: u32,
    },
    /// Move runs that have been over for long into a segment.
    Archive {
        /// For how long, in milliseconds; as is configured if absent.
        #[serde(default)]
        older_than_ms: Option<u64>,
        /// Who, if not the operator.
        #[serde(default)]
        by: Option<String>,
    },
    /// Decide about a waiting item.
    Decide {
        /// Its id.
        item: String,
        /// What.
        decision: Decision,
        /// Who, if not the operator.
        #[serde(default)]
        by: Option<String>,
    },
    /// Change what a waiting item proposes, and let the changed write happen.
    Modify {
        /// Its id.
        item: String,
        /// The arguments that replace those of the same name.
        arguments: serde_json::Map<String, Value>,
        /// Who, if not the operator.
        #[serde(default)]
        by: Option<String>,
    },
    /// Start a run.
    Start {
        /// Of which workflow.
        workflow: String,
        /// Under which id; one that is made of the workflow and the input if absent, so that the same twice is one run.
        #[serde(default)]
        run: Option<String>,
        /// With what.
        input: Value,
    },
    /// Start a run for a goal.
    Pursue {
        /// The goal in words.
        goal: String,
        /// As in [`Request::Start`].
        #[serde(default)]
        run: Option<String>,
        /// With what.
        input: Value,
    },
    /// End a run, and take back what it did.
    AbortRun {
        /// Which.
        run: String,
        /// Why.
        reason: String,
    },
    /// End a run, and leave what it did.
    CancelRun {
        /// Which.
        run: String,
        /// Why.
        reason: String,
    },
    /// End every run that a scope names.
    EndRuns {
        /// `everything`, `workflow:NAME`, `agent:NAME`, `connector:NAME` or `run:ID`.
        scope: String,
        /// Whether what they did stays; else it is taken back.
        cancel: bool,
        /// Why.
        reason: String,
    },
    /// Try a step again that failed or waits for its next attempt.
    RetryStep {
        /// Of which run.
        run: String,
        /// Which; the one that the run failed at if absent.
        #[serde(default)]
        step: Option<String>,
        /// Why.
        reason: String,
    },
    /// Say what a step comes to, in the place of its work.
    OverrideStep {
        /// Of which run.
        run: String,
        /// Which.
        step: String,
        /// What it comes to.
        output: Value,
        /// Why.
        reason: String,
    },
    /// Pause something: it takes in what comes, and does nothing.
    Pause {
        /// As in [`Request::EndRuns`].
        scope: String,
        /// Why.
        reason: String,
    },
    /// Let something go on that is paused.
    Resume {
        /// As in [`Request::EndRuns`].
        scope: String,
    },
    /// Have a share of the new runs take the newest version of something, and the others the one before.
    Canary {
        /// `workflow:NAME`, `agent:NAME` or `policy`.
        of: String,
        /// The share, from 0 to 100.
        percent: f64,
    },
    /// Have the newest version of something be played in the shadow of a share of the new runs, all of which take the one before.
    Shadow {
        /// `workflow:NAME` or `agent:NAME`.
        of: String,
        /// The share, from 0 to 100.
        percent: f64,
    },
    /// Have every new run take the newest version, whether it was a canary or in the shadow.
    Promote {
        /// As in [`Request::Canary`].
        of: String,
    },
    /// Move a run to another version of its workflow.
    Migrate {
        /// Which.
        run: String,
        /// The version; the newest if absent.
        #[serde(default)]
        to: Option<u32>,
    },
    /// Take an event.
    Emit {
        /// Its type.
        event: String,
        /// Its id: the same one from the same source is the same event.
        id: String,
        /// Where it comes from.
        source: String,
        /// What it says.
        data: Value,
    },
    /// Add a workflow, or a new version of one.
    AddWorkflow {
        /// The file, as problems name it.
        file: String,
        /// Its text.
        text: String,
    },
    /// Judge by another policy from now on.
    SetPolicy {
        /// The file, as problems name it.
        file: String,
        /// Its text.
        text: String,
    },
}

impl Request {
    /// Whether it changes something.
    #[must_use]
    pub fn acts(&self) -> bool {
        match self {
            Self::Drain { .. }
            | Self::Archive { .. }
            | Self::Decide { .. }
            | Self::Modify { .. }
            | Self::Start { .. }
            | Self::Pursue { .. }
            | Self::AbortRun { .. }
            | Self::CancelRun { .. }
            | Self::EndRuns { .. }
            | Self::RetryStep { .. }
            | Self::OverrideStep { .. }
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Canary { .. }
            | Self::Shadow { .. }
            | Self::Promote { .. }
            | Self::RaiseBudget { .. }
            | Self::Migrate { .. }
            | Self::Emit { .. }
            | Self::AddWorkflow { .. }
            | Self::SetPolicy { .. } => true,
            Self::Inbox
            | Self::InboxItem { .. }
            | Self::Runs
            | Self::Run { .. }
            | Self::Replay { .. }
            | Self::Export { .. }
            | Self::Fork { .. }
            | Self::Quarantined
            | Self::Facts { .. }
            | Self::Contacts { .. }
            | Self::Verify
            | Self::Segments
            | Self::VerifyArchive
            | Self::Workflows
            | Self::Workflow { .. }
            | Self::Policy { .. }
            | Self::Decisions { .. }
            | Self::Backtest { .. }
            | Self::Suggest { .. }
            | Self::Migration { .. }
            | Self::Pauses
            | Self::Rollouts
            | Self::Compare { .. }
            | Self::Shadows
            | Self::Shadowed { .. }
            | Self::Costs { .. }
            | Self::Budgets
            | Self::Tree
            | Self::Ready
            | Self::Connectors
            | Self::CheckConnector { .. } => false,
        }
    }

    /// Whether a journal does not answer it: it acts, or it asks what the kernel would do.
    #[must_use]
    pub fn needs_kernel(&self) -> bool {
        let asks = matches!(
            self,
            Self::Migration { .. }
                | Self::Fork { .. }
                | Self::Budgets
                | Self::Connectors
                | Self::CheckConnector { .. }
        );
        self.acts() || asks || self.needs_server()
    }

    /// Whether it only changes what the next kernel may do: where none runs, [`hold`](crate::hold) does it, and none is opened.
    #[must_use]
    pub fn holds(&self) -> bool {
        matches!(self, Self::Pause { .. } | Self::Resume { .. })
    }

    /// Whether it is about the kernel that is being served: one that is opened to answer it would tell of itself.
    #[must_use]
    pub fn needs_server(&self) -> bool {
        matches!(self, Self::Tree | Self::Ready | Self::Drain { .. })
    }
}

/// The text of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyText {
    /// The file, as problems name it.
    pub file: String,
    /// Its text.
    pub text: String,
}

/// A value that is there, even if it is `null`.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Why a request was not answered.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
#[error("{message}")]
pub struct Problem {
    /// What was wrong, and what to do.
    pub message: String,
}

impl Problem {
    /// A problem that says `message`.
    #[must_use]
    pub fn new(message: impl ToString) -> Self {
        Self { message: message.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_that_is_null_is_another_input_and_none_is_none() {
        let read = |text: &str| serde_json::from_str::<Request>(text).unwrap();
        let input = |request: Request| match request {
            Request::Fork { input, .. } => input,
            other => panic!("{other:?}"),
        };
        assert_eq!(input(read(r#"{"do":"fork","run":"one"}"#)), None);
        let null = read(r#"{"do":"fork","run":"one","input":null}"#);
        let again = read(&serde_json::to_string(&null).unwrap());
        assert_eq!(input(again), Some(Value::Null));
    }
}
