//! From what is wanted to exact bytes, and to the connector.

use std::collections::BTreeMap;

use soloist_connectors::{Intent, Plan};
use soloist_kernel::{
    effect::{Proposal, Write},
    fault::{Fault, FaultClass, Phase},
    id::{ConnectorName, IdempotencyKey, OperationName, StepName},
    journal::ReadError,
    labels::Labels,
    mutant::{Mutant, planted},
    payload::{Digest, Payload},
    policy::Evidence,
    run::{Command, EffectRef},
    workflow::Work,
};

use super::{CallLine, Purpose, active::Active};
use crate::connector::{self, Room};

impl Active {
    pub(super) fn call(
        &self,
        line: CallLine,
        purpose: Purpose,
        plan: Plan,
        attempt: u32,
        mut room: Box<Room>,
    ) {
        let write = self.run.as_ref().and_then(|run| run.write(&line.step, &line.effect));
        let actor =
            write.and_then(|write| self.context.registry.connector(&write.proposal.connector));
        let message = match purpose {
            Purpose::Attempt => {
                let guard = line.attempting(attempt);
                // From here on, not from when its connector's actor gets to it: this actor may die before.
                room.attempts(guard.write());
                connector::Message::Execute { guard, plan, attempt, room }
            }
            Purpose::Probe => connector::Message::Probe { guard: line.waiting(), plan, room },
        };
        // If the actor is gone the message is dropped, and with it the guard, which answers.
        if let Some(actor) = actor {
            let _ = actor.send(message);
        }
    }

    /// The plan of `write`, which must be byte for byte what was judged.
    pub(super) fn planned(&self, line: &CallLine, write: &Write) -> Result<Plan, Fault> {
        let proposal = &write.proposal;
        let invalid = |message: String| Fault::new(FaultClass::Invalid, Phase::NotSent, message);
        let mounted = self.context.mounted();
        let connector = mounted.connectors.get(&proposal.connector);
        let connector = connector
            .ok_or_else(|| invalid(format!("connector `{}` is not mounted", proposal.connector)))?;
        let mut intent = Intent {
            operation: proposal.operation.clone(),
            arguments: proposal.arguments.clone(),
            key: self.effect_key(&line.step, &line.effect),
            at: proposal.at,
        };
        let plan = connector.plan(&intent)?;
        if planted(Mutant::FreshKeyPerAttempt) && write.attempts > 1 {
            let occurrence = line.effect.occurrence + 1_000 * write.attempts;
            let fresh = EffectRef { occurrence, ..line.effect.clone() };
            intent.key = self.effect_key(&line.step, &fresh);
            return connector.plan(&intent);
        }
        if plan.digest() == proposal.digest || planted(Mutant::ApprovalNotBound) {
            return Ok(plan);
        }
        Err(invalid("the connector would now send other bytes than were judged; nothing was sent, start the run again".into()))
    }

    /// What the connector would send for `write` now, and what is known about where it would go: an approval is of what was
    /// shown only if this is the same.
    pub(super) fn fresh(
        &self,
        step: &StepName,
        effect: &EffectRef,
        write: &Write,
    ) -> Option<(Proposal, Evidence)> {
        let old = &write.proposal;
        let all = self.context.mounted();
        let mounted = all.connectors.get(&old.connector)?;
        let declared = mounted.manifest().operations.get(&old.operation)?;
        let plan = mounted
            .plan(&Intent {
                operation: old.operation.clone(),
                arguments: old.arguments.clone(),
                key: self.effect_key(step, effect),
                at: old.at,
            })
            .ok()?;
        let proposal = Proposal {
            digest: plan.digest(),
            routing: plan.routing,
            preview: plan.preview,
            semantics: declared.semantics,
            reversal: declared.reversal.clone(),
            manifest: declared.digest(),
            ..old.clone()
        };
        let mut evidence = self.evidence(step, &proposal).ok()?;
        evidence.reverses = write.reverses.is_some();
        Some((proposal, evidence))
    }

    pub(super) fn propose_command(
        &self,
        step: StepName,
        effect: EffectRef,
        asked: Digest,
        connector: ConnectorName,
        operation: OperationName,
        arguments: Payload,
    ) -> Result<Command, String> {
        let labels = self.labels_of(&step, &arguments);
        let mut proposal = self.plan(&step, &effect, &connector, &operation, arguments, labels)?;
        let evidence = self.evidence(&step, &proposal).map_err(|error| error.to_string())?;
        self.redact(&step, &effect, &mut proposal, &evidence)?;
        Ok(Command::Propose { step, effect, asked, proposal: Box::new(proposal), evidence })
    }

    /// The labels of each argument: of a `call` step's fields, what their expressions read; of what an agent proposes,
    /// everything that its turn has seen.
    fn labels_of(&self, step: &StepName, arguments: &Payload) -> BTreeMap<String, Labels> {
        let Some(run) = &self.run else { return BTreeMap::new() };
        let is_call = run
            .step(step)
            .is_some_and(|(definition, _)| matches!(definition.work, Work::Call { .. }));
        let (all, of_fields) = match run.step_input(step) {
            Ok(input) if is_call => (input.value.labels, input.fields),
            _ => (run.turn_labels(step), BTreeMap::new()),
        };
        let of = |field: &String| of_fields.get(field).unwrap_or(&all).clone();
        match arguments.value() {
            serde_json::Value::Object(fields) => {
                fields.keys().map(|field| (field.clone(), of(field))).collect()
            }
            _ => BTreeMap::new(),
        }
    }

    /// Plans again without the personal data that policy takes out.
    pub(super) fn redact(
        &self,
        step: &StepName,
        effect: &EffectRef,
        proposal: &mut Proposal,
        evidence: &Evidence,
    ) -> Result<(), String> {
        let mounted = self.context.mounted();
        let declared = mounted.catalog.operation(&proposal.connector, &proposal.operation);
        let Some(declared) = declared else { return Ok(()) };
        let Some(policy) = self.run.as_ref().map(|run| self.context.policy_of(run)) else {
            return Ok(());
        };
        let redaction = policy.redact(proposal, declared, evidence, self.context.env.now());
        let Some(redaction) = redaction else { return Ok(()) };
        let (connector, operation) = (proposal.connector.clone(), proposal.operation.clone());
        let labels = proposal.labels.clone();
        let planned =
            self.plan(step, effect, &connector, &operation, redaction.arguments, labels)?;
        *proposal = Proposal { redacted: redaction.rules, ..planned };
        Ok(())
    }

    pub(super) fn evidence(
        &self,
        step: &StepName,
        proposal: &Proposal,
    ) -> Result<Evidence, ReadError> {
        let mut evidence = self.context.evidence(&proposal.connector, &proposal.routing)?;
        if let Some(run) = &self.run {
            evidence.workflow = run.workflow.name.to_string();
            evidence.agent = run.definition.agent_of(step).map(ToString::to_string);
        }
        Ok(evidence)
    }

    pub(super) fn plan(
        &self,
        step: &StepName,
        effect: &EffectRef,
        connector: &ConnectorName,
        operation: &OperationName,
        arguments: Payload,
        labels: BTreeMap<String, Labels>,
    ) -> Result<Proposal, String> {
        let all = self.context.mounted();
        let mounted = all.connectors.get(connector);
        let mounted = mounted.ok_or_else(|| format!("connector `{connector}` is not mounted"))?;
        let declared = mounted.manifest().operations.get(operation);
        let declared = declared
            .ok_or_else(|| format!("connector `{connector}` has no operation `{operation}`"))?;
        let (key, at) = (self.effect_key(step, effect), self.context.env.now());
        let intent = Intent { operation: operation.clone(), arguments: arguments.clone(), key, at };
        let plan = mounted.plan(&intent).map_err(|fault| fault.to_string())?;
        let digest = plan.digest();
        Ok(Proposal {
            connector: connector.clone(),
            operation: operation.clone(),
            arguments,
            routing: plan.routing,
            preview: plan.preview,
            digest,
            at,
            semantics: declared.semantics,
            reversal: declared.reversal.clone(),
            labels,
            manifest: declared.digest(),
            redacted: vec![],
        })
    }

    fn effect_key(&self, step: &StepName, effect: &EffectRef) -> IdempotencyKey {
        let run = self.run.as_ref().expect("a write belongs to a run that has begun");
        run.key(step, effect)
    }
}
