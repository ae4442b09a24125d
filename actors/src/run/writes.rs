//! Calls: room for them, attempts and probes, and what takes a write back.

use soloist_connectors::{Compensation, Done};
use soloist_kernel::{
    effect::WriteState,
    id::{Actor, StepName},
    mutant::{Mutant, planted},
    payload::Payload,
    run::{self, Action, Command, EffectRef},
    time::Timestamp,
};

use super::{
    CallLine, Message, Purpose,
    active::{Active, CarryOutError},
};
use crate::connector::Room;

impl Active {
    /// There is room for a call: journal the intent and make the attempt, or probe.
    pub(super) async fn room(
        &mut self,
        line: CallLine,
        purpose: Purpose,
        room: Box<Room>,
    ) -> Result<(), CarryOutError> {
        self.forget_call(&line);
        let CallLine { step, effect, .. } = line.clone();
        let context = self.context.clone();
        let _fence = context.held.attempts().await;
        let at = Timestamp(0);
        let action = match purpose {
            Purpose::Attempt => Action::Attempt { step: step.clone(), effect: effect.clone(), at },
            Purpose::Probe => Action::Probe { step: step.clone(), effect: effect.clone(), at },
        };
        // It has stood in line while it was paused. What it stood for is asked for again when that is over.
        if self.is_held(action) && !planted(Mutant::PauseNotFenced) {
            return Ok(());
        }
        if purpose == Purpose::Attempt {
            let write = self.run.as_ref().and_then(|run| run.write(&step, &effect)).cloned();
            let Some(write) = write else { return Ok(()) };
            if !self.attempt(&step, &effect, &write).await? {
                return Ok(());
            }
        }
        let Some(write) = self.run.as_ref().and_then(|run| run.write(&step, &effect)).cloned()
        else {
            return Ok(());
        };
        let attempt = write.attempts;
        self.under_way.insert(match (purpose, &write.state) {
            (Purpose::Probe, WriteState::Probing { at, .. }) => {
                Action::Probe { step, effect, at: *at }
            }
            (Purpose::Attempt, WriteState::Attempting) => Action::Execute { step, effect, attempt },
            // Another record was faster, or the kernel has decided not to.
            _ => return Ok(()),
        });
        match self.planned(&line, &write) {
            Ok(plan) => self.call(line, purpose, plan, attempt, room),
            Err(fault) => {
                let message = match purpose {
                    Purpose::Attempt => Message::Answered { line, attempt, end: Err(fault) },
                    Purpose::Probe => {
                        Message::Probed { line, found: run::Probed::Unknown { fault } }
                    }
                };
                let _ = self.me.send(message);
            }
        }
        Ok(())
    }

    /// Plans the write that takes `effect` back, and proposes it.
    pub(super) async fn compensate(
        &mut self,
        step: StepName,
        effect: EffectRef,
    ) -> Result<(), CarryOutError> {
        let planned = self.plan_compensation(&step, &effect);
        let command = Command::Compensate { step, effect, planned };
        self.carry_out(command, Actor::kernel()).await.map(drop)
    }

    fn plan_compensation(
        &self,
        step: &StepName,
        effect: &EffectRef,
    ) -> Result<(Box<soloist_kernel::effect::Proposal>, soloist_kernel::policy::Evidence), String>
    {
        let missing = || "the write is not there".to_owned();
        let run = self.run.as_ref().ok_or_else(missing)?;
        let (definition, state) = run.step(step).ok_or_else(missing)?;
        let write = state.write(effect).ok_or_else(missing)?;
        let receipt = write.receipt().ok_or("it has not landed")?;
        let undo = state.undo(effect).ok_or_else(missing)?;
        let (connector, operation, arguments) = match &definition.compensate {
            Some(compensate) => {
                let arguments = run
                    .compensation_input(definition, compensate, receipt)
                    .map_err(|error| error.message)?;
                (compensate.connector.clone(), compensate.operation.clone(), arguments)
            }
            None => {
                let proposal = &write.proposal;
                let all = self.context.mounted();
                let mounted = all.connectors.get(&proposal.connector);
                let mounted = mounted
                    .ok_or_else(|| format!("connector `{}` is not mounted", proposal.connector))?;
                let done = Done {
                    operation: &proposal.operation,
                    arguments: &proposal.arguments,
                    receipt,
                };
                match mounted.compensate(&done).map_err(|fault| fault.to_string())? {
                    Compensation::With { operation, arguments } => {
                        (proposal.connector.clone(), operation, arguments)
                    }
                    Compensation::Irreversible => {
                        return Err("the connector says that it is irreversible".into());
                    }
                }
            }
        };
        let labels = labels_of(&arguments, write);
        let mut proposal = self.plan(step, &undo, &connector, &operation, arguments, labels)?;
        let mut evidence = self.evidence(step, &proposal).map_err(|error| error.to_string())?;
        evidence.reverses = true;
        self.redact(step, &undo, &mut proposal, &evidence)?;
        Ok((Box::new(proposal), evidence))
    }

    /// A call's action is no longer under way.
    pub(super) fn forget_call(&mut self, line: &CallLine) {
        self.under_way.retain(|action| match action {
            Action::Attempt { step, effect, .. }
            | Action::Execute { step, effect, .. }
            | Action::Probe { step, effect, .. } => *step != line.step || *effect != line.effect,
            _ => true,
        });
    }
}

/// What takes a write back is made of its receipt and of what it said: it has the labels of all of that.
fn labels_of(
    arguments: &Payload,
    write: &soloist_kernel::effect::Write,
) -> std::collections::BTreeMap<String, soloist_kernel::labels::Labels> {
    let all = write.proposal.labels.values();
    let joined = soloist_kernel::labels::Labels::join_all(all);
    match arguments.value() {
        serde_json::Value::Object(fields) => {
            fields.into_iter().map(|(field, _)| (field, joined.clone())).collect()
        }
        _ => std::collections::BTreeMap::new(),
    }
}
