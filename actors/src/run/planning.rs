//! From what is wanted to exact bytes, and to the connector.

use soloist_connectors::{Intent, Plan};
use soloist_kernel::{
    effect::{Proposal, Write},
    fault::{Fault, FaultClass, Phase},
    id::{ConnectorName, IdempotencyKey, OperationName, StepName},
    payload::{Digest, Payload},
    run::{Command, EffectRef},
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
        room: Room,
    ) {
        let write = self.run.as_ref().and_then(|run| run.write(&line.step, &line.effect));
        let actor =
            write.and_then(|write| self.context.registry.connector(&write.proposal.connector));
        let message = match purpose {
            Purpose::Attempt => {
                connector::Message::Execute { guard: line.attempting(attempt), plan, attempt, room }
            }
            Purpose::Probe => connector::Message::Probe { guard: line.waiting(), plan, room },
        };
        // If the actor is gone the message is dropped, and with it the guard, which answers.
        if let Some(actor) = actor {
            let _ = actor.send_message(message);
        }
    }

    /// The plan of `write`, which must be byte for byte what was judged.
    pub(super) fn planned(&self, line: &CallLine, write: &Write) -> Result<Plan, Fault> {
        let proposal = &write.proposal;
        let invalid = |message: String| Fault::new(FaultClass::Invalid, Phase::NotSent, message);
        let connector = self.context.connectors.get(&proposal.connector);
        let connector = connector
            .ok_or_else(|| invalid(format!("connector `{}` is not mounted", proposal.connector)))?;
        let plan = connector.plan(&Intent {
            operation: proposal.operation.clone(),
            arguments: proposal.arguments.clone(),
            key: self.effect_key(&line.step, &line.effect),
            at: proposal.at,
        })?;
        if plan.digest() == proposal.digest {
            return Ok(plan);
        }
        Err(invalid("the connector would now send other bytes than were judged; nothing was sent, start the run again".into()))
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
        let proposal = self.plan(&step, &effect, &connector, &operation, arguments)?;
        let evidence = self
            .context
            .evidence(&connector, &proposal.routing)
            .map_err(|error| error.to_string())?;
        Ok(Command::Propose { step, effect, asked, proposal: Box::new(proposal), evidence })
    }

    pub(super) fn plan(
        &self,
        step: &StepName,
        effect: &EffectRef,
        connector: &ConnectorName,
        operation: &OperationName,
        arguments: Payload,
    ) -> Result<Proposal, String> {
        let mounted = self.context.connectors.get(connector);
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
            reversal: declared.reversal,
        })
    }

    fn effect_key(&self, step: &StepName, effect: &EffectRef) -> IdempotencyKey {
        let run = self.run.as_ref().expect("a write belongs to a run that has begun");
        run.effect_id(step, effect).key()
    }
}
