//! Who waits for a call at a connector, and what they are told if they cannot have it now.

use soloist_kernel::{
    fault::{Fault, FaultClass, Phase},
    gate::{Refused, RetryCost},
    id::{OperationName, RunId},
    labels::Labeled,
    payload::Payload,
};
use tokio::sync::oneshot;

use super::room::Room;
use crate::{
    gate::Class,
    run::{CallGuard, Purpose, WriteId},
};

/// Told what was read.
pub(super) type Reply = oneshot::Sender<Result<Labeled<Payload>, Fault>>;

/// A call that is wanted.
pub(super) struct Call {
    pub(super) class: Class,
    pub(super) operation: Option<OperationName>,
    /// For another attempt: what it costs.
    pub(super) retry: Option<RetryCost>,
    pub(super) what: What,
}

/// What it is wanted for, and who is told.
pub(super) enum What {
    /// An attempt or a probe of a write.
    Write { guard: CallGuard, purpose: Purpose },
    /// A read.
    Read { arguments: Payload, reply: Reply },
    /// Whatever the one who asks does with the room.
    Room { reply: oneshot::Sender<Result<Room, Fault>> },
}

impl Call {
    pub(super) fn write(
        guard: CallGuard,
        purpose: Purpose,
        operation: OperationName,
        retry: Option<RetryCost>,
    ) -> Self {
        let (class, retry) = match purpose {
            Purpose::Attempt => (Class::Write, retry),
            // To find out is no retry.
            Purpose::Probe => (Class::Read, None),
        };
        Self { class, operation: Some(operation), retry, what: What::Write { guard, purpose } }
    }

    pub(super) fn read(operation: OperationName, arguments: Payload, reply: Reply) -> Self {
        let what = What::Read { arguments, reply };
        Self { class: Class::Read, operation: Some(operation), retry: None, what }
    }

    pub(super) fn pull(reply: oneshot::Sender<Result<Room, Fault>>) -> Self {
        Self { class: Class::Read, operation: None, retry: None, what: What::Room { reply } }
    }

    /// The write that it is for, whichever actor its run has.
    pub(super) fn write_id(&self) -> Option<WriteId> {
        match &self.what {
            What::Write { guard, .. } => guard.write(),
            What::Read { .. } | What::Room { .. } => None,
        }
    }

    /// Tells that it cannot be made now: a write is put aside until then, a read has failed.
    pub(super) fn refuse(self, refused: Refused) {
        let Refused { until, reason } = refused;
        let fault = || Fault {
            retry_at: Some(until),
            ..Fault::new(
                FaultClass::Transient,
                Phase::NotSent,
                format!("{reason}; not before {until}"),
            )
        };
        match self.what {
            What::Write { guard, .. } => guard.not_now(until, reason),
            What::Read { reply, .. } => drop(reply.send(Err(fault()))),
            What::Room { reply } => drop(reply.send(Err(fault()))),
        }
    }
}

/// Whose place in line a call of `run` takes. A run and everything beneath it stand in line as one: the rounds of a `map`
/// are runs of their own, and a thousand of them are not to pass for a thousand who wait.
pub(super) fn lane(run: &RunId) -> String {
    let mut lane = run.as_str();
    while let Some(above) = above(lane) {
        lane = above;
    }
    lane.to_owned()
}

/// The run above, from an id as the kernel gives it to a run beneath: `above.step.7-0123456789abcdef`. A long id is cut there,
/// and what is cut stands in line for itself.
fn above(run: &str) -> Option<&str> {
    let (rest, last) = run.rsplit_once('.')?;
    let (number, key) = last.split_once('-')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let is_key = key.len() == 16 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (above, _step) = rest.rsplit_once('.')?;
    (is_number && is_key).then_some(above)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(run: &str, expected: &str) {
        assert_eq!(lane(&run.parse().unwrap()), expected);
    }

    #[test]
    fn a_run_and_all_beneath_it_stand_in_line_as_one() {
        check("many", "many");
        check("acme.order-7", "acme.order-7");
        check("acme.order-7.each.12-0123456789abcdef", "acme.order-7");
        check("many.each.4-d570f85277defaf8.send.0-0ecab3019f35364b", "many");
        check("mail-0123456789abcdef", "mail-0123456789abcdef");
    }
}
