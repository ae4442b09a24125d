//! What an error of the SMTP client means: its class from the server's code, its phase from where it happened.

use std::{io, time::Duration};

use lettre::transport::smtp::Error;
use soloist_kernel::fault::{Fault, FaultClass, Phase};

/// A failure that leaves no doubt: the server answered no, or the content had not left.
pub(super) fn not_accepted(stage: &str, error: &Error) -> Fault {
    match error.status() {
        Some(code) => {
            let code = u16::from(code);
            Fault::new(
                class_of(code),
                Phase::Answered,
                format!("the mail server refused at {stage}: {error}"),
            )
        }
        None => {
            let class =
                if error.is_timeout() { FaultClass::Deadline } else { FaultClass::Transient };
            Fault::new(
                class,
                Phase::NotSent,
                format!("the mail server was lost at {stage}: {error}"),
            )
        }
    }
}

/// There is no connection, so nothing was sent.
pub(super) fn unreachable(problem: &io::Error) -> Fault {
    let is_timeout = problem.kind() == io::ErrorKind::TimedOut;
    let class = if is_timeout { FaultClass::Deadline } else { FaultClass::Transient };
    let message = format!("the mail server was lost at connecting: {problem}");
    Fault::new(class, Phase::NotSent, message)
}

/// The content was on its way and no answer came.
pub(super) fn maybe_sent(error: &Error) -> Fault {
    let message = format!(
        "the mail server was lost while it had the content, and may have accepted it: {error}"
    );
    Fault::new(FaultClass::Transient, Phase::MaybeSent, message)
}

/// Nothing came for `limit`.
pub(super) fn late(stage: &str, limit: Duration, phase: Phase) -> Fault {
    let message = format!("the mail server did not answer at {stage} within {} s", limit.as_secs());
    Fault::new(FaultClass::Deadline, phase, message)
}

/// The codes of RFC 5321 and RFC 4954.
fn class_of(code: u16) -> FaultClass {
    match code {
        421 | 450 | 451 | 452 => FaultClass::Throttled,
        400..=499 => FaultClass::Transient,
        500..=504 | 555 => FaultClass::Invalid,
        530 | 534 | 535 | 538 => FaultClass::Auth,
        _ => FaultClass::Declined,
    }
}
