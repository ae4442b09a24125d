//! A case as JSON, for people's tools: keys are added and not taken away.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Case, Cause, Hearing, Said, Word};
use crate::policy::{Evidence, shown};

impl Case {
    /// The case as JSON.
    #[must_use]
    pub fn view(&self) -> Value {
        let first = self.first();
        let proposal = &first.proposal;
        let labels: BTreeMap<&String, Value> =
            proposal.labels.iter().map(|(name, labels)| (name, shown(labels))).collect();
        json!({
            "run": self.run,
            "workflow": self.workflow.to_string(),
            "step": self.step,
            "effect": self.effect.to_string(),
            "operation": self.operation(),
            "at": first.at,
            "item": first.item,
            "arguments": proposal.arguments.value(),
            "routing": proposal.routing,
            "labels": labels,
            "digest": proposal.digest.to_hex(),
            "reverses": self.reverses(),
            "hearings": self.hearings.iter().map(Hearing::view).collect::<Vec<_>>(),
            "said": self.said.iter().map(Said::view).collect::<Vec<_>>(),
            "answer": self.answer.word(),
            "waited_ms": self.waited.map(|waited| u64::try_from(waited.as_millis()).unwrap_or(u64::MAX)),
            "outcome": self.fate.word(),
            "why": self.why,
            "taken_back": self.taken_back,
        })
    }
}

impl Hearing {
    fn view(&self) -> Value {
        let (cause, by) = match &self.cause {
            Cause::Proposed => ("proposed", None),
            Cause::Modified { by } => ("modified", Some(by)),
            Cause::Reproposed => ("reproposed", None),
        };
        let judgement = &self.judgement;
        json!({
            "seq": self.seq,
            "at": self.at,
            "cause": cause,
            "by": by,
            "verdict": judgement.verdict,
            "rule": judgement.rule,
            "reason": judgement.reason,
            "policy": judgement.policy,
            "redacted": self.proposal.redacted,
            "item": self.item,
            "evidence": known(&self.evidence),
        })
    }
}

/// The evidence as JSON.
fn known(evidence: &Evidence) -> Value {
    let reached = evidence.reached.iter();
    let reached: Map<String, Value> = reached
        .map(|(argument, reached)| {
            (argument.clone(), json!({ "at": reached.at, "today": reached.today }))
        })
        .collect();
    json!({
        "reached": reached,
        "reverses": evidence.reverses,
        "workflow": evidence.workflow,
        "agent": evidence.agent,
    })
}

impl Said {
    fn view(&self) -> Value {
        let mut view = json!({
            "seq": self.seq,
            "at": self.at,
            "item": self.item,
            "by": self.by,
            "what": self.what.word(),
        });
        let (key, value) = match &self.what {
            Word::Approved => return view,
            Word::Modified { edit } => ("edit", json!(edit)),
            Word::Aborted { reason } | Word::Stopped { reason } => ("reason", json!(reason)),
            Word::Resolved { happened } => ("happened", json!(happened)),
            Word::Delegated { to } => ("to", json!(to)),
            Word::Expired { approved } => ("approved", json!(approved)),
        };
        view[key] = value;
        view
    }
}

impl Word {
    /// What was said, in a word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Modified { .. } => "modified",
            Self::Aborted { .. } => "aborted",
            Self::Resolved { .. } => "resolved",
            Self::Delegated { .. } => "delegated",
            Self::Expired { .. } => "expired",
            Self::Stopped { .. } => "stopped",
        }
    }
}
