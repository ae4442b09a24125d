//! Faults, times and counts in words.

use crate::plan::{Drift, Fault, Kind, ModelFault, Moment, RetryAfter, Trigger};

/// `fault` as a sentence, and its name as it stands in a plan.
pub(crate) fn sentence(fault: &Fault) -> String {
    format!("{}: {} ({})", when(&fault.when), what(&fault.what), fault.what.name())
}

/// `1 fault`, `2 faults`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A time since the beginning, as the trace writes it: `25.104 s`.
pub(crate) fn seconds(ms: u64) -> String {
    format!("{}.{:03} s", ms / 1000, ms % 1000)
}

/// About how long: `250 ms`, `4.9 s`, `30 min`, `2 h 10 min`, `3 d 4 h`.
pub(crate) fn about(ms: u64) -> String {
    let (seconds, minutes, hours) = (ms / 1000, ms / 60_000, ms / 3_600_000);
    let with = |first: u64, unit: &str, second: u64, smaller: &str| match second {
        0 => format!("{first} {unit}"),
        _ => format!("{first} {unit} {second} {smaller}"),
    };
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..10_000 if !ms.is_multiple_of(1000) => format!("{seconds}.{} s", ms % 1000 / 100),
        1000..60_000 => format!("{seconds} s"),
        60_000..600_000 => with(minutes, "min", seconds % 60, "s"),
        600_000..3_600_000 => format!("{minutes} min"),
        3_600_000..86_400_000 => with(hours, "h", minutes % 60, "min"),
        _ => with(hours / 24, "d", hours % 24, "h"),
    }
}

fn when(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Journal { number, moment: Moment::Before } => format!("Before append {number}"),
        Trigger::Journal { number, moment: Moment::After } => format!("After append {number}"),
        Trigger::Journal { moment: Moment::Sync, .. }
        | Trigger::Call { .. }
        | Trigger::Attempt { .. }
        | Trigger::Effect { .. }
        | Trigger::At { .. }
        | Trigger::Point { .. }
        | Trigger::Decision { .. }
        | Trigger::Webhook { .. } => format!("At {trigger}"),
    }
}

fn what(kind: &Kind) -> String {
    match kind {
        Kind::Slow { ms } => format!("it takes {} longer", about(*ms)),
        Kind::Refused => "the connection is refused".into(),
        Kind::Unresolved => "the name is not found".into(),
        Kind::Untrusted => "the certificate is not trusted".into(),
        Kind::LostBefore => "the call is lost on its way, and nobody answers".into(),
        Kind::LostAfter => "the other side acts, and its answer never arrives".into(),
        Kind::ResetBefore => "the connection breaks before the other side has heard".into(),
        Kind::ResetAfter => "the other side acts, and the connection breaks".into(),
        Kind::Stalled => "the other side acts, and its answer stalls in the middle".into(),
        Kind::Throttled { retry_after } => throttled(*retry_after),
        Kind::Unavailable => "the other side has an error of its own".into(),
        Kind::Declined => "the other side refuses for good".into(),
        Kind::Unauthorised => "the credential is not taken, this once".into(),
        Kind::ClockRefused => "the other side says that the clock is wrong".into(),
        Kind::Garbled => "the other side acts, and its answer is cut off".into(),
        Kind::WrongType => "the other side acts, and answers with a page for people".into(),
        Kind::Drifted { how } => format!("in the answer {}", drifted(*how)),
        Kind::Model { how } => format!("the model {}", model(*how)),
        Kind::Outage { api, ms } => format!("{api} is down for {}", about(*ms)),
        Kind::Revoked { api, ms } => format!("{api} revokes the credential for {}", about(*ms)),
        Kind::Quota { api, calls, ms } => {
            format!("{api} answers so many calls and no more: {calls} in {}", about(*ms))
        }
        Kind::Stale { api, ms } => {
            format!("{api} does not show what was written for {}", about(*ms))
        }
        Kind::Duplicate => "the webhook is delivered twice".into(),
        Kind::Reordered => "the webhook is delivered after the next one".into(),
        Kind::Late { ms } => format!("the webhook is delivered {} late", about(*ms)),
        Kind::Lost => "the webhook is lost, and sent again much later".into(),
        Kind::Kill { actor } => format!("the actor {actor} is killed"),
        Kind::Stop { actor } => format!("the actor {actor} is asked to stop"),
        Kind::Panic => "the connector panics".into(),
        Kind::Pause { ms } => format!("whoever acts next waits for {}", about(*ms)),
        Kind::Crash => "the process is killed".into(),
        Kind::PowerLoss { keep: 0 } => "power is lost, and with it what was not synced".into(),
        Kind::PowerLoss { keep } => {
            format!("power is lost, and with it what was not synced, but for {keep} at most")
        }
        Kind::SyncFails => "the fsync fails".into(),
        Kind::Full => "the disk is full".into(),
        Kind::Torn => "power is lost in the middle of a write".into(),
        Kind::Flipped => "power is lost, and a bit of the journal has turned".into(),
        Kind::Truncated => "power is lost, and with it the end of the synced journal".into(),
        Kind::Older => "the directory is an older copy of itself".into(),
        Kind::ClockJump { ms } => {
            let way = if *ms < 0 { "back" } else { "ahead" };
            format!("the clock on the wall jumps {way} by {}", about(ms.unsigned_abs()))
        }
        Kind::DecidesTwice => "the operator decides twice about one item".into(),
        Kind::Poisoned => "a run dies of whatever it does, until it is set aside".into(),
        Kind::DecidesLate => "the operator approves of an item when its deadline is up".into(),
        Kind::DecidesStale => "the operator decides about an item that is gone".into(),
        Kind::Cancels => "the operator ends a run".into(),
        Kind::Leaves => "the operator ends a run, and leaves what it did".into(),
        Kind::Retries => "the operator has a step tried again".into(),
        Kind::Overrides => "the operator says what a step comes to".into(),
        Kind::Holds { scope, ms } => format!("the operator pauses {scope} for {}", about(*ms)),
        Kind::Archives => "the operator archives what is over".into(),
        Kind::Deploys => "the operator deploys a new version of everything".into(),
        Kind::Shares => "the operator has half of the runs take a new version of everything".into(),
        Kind::Shadows => {
            "the operator has a new version be played in the shadow of all runs".into()
        }
    }
}

fn throttled(retry_after: RetryAfter) -> String {
    let asks = "the other side asks to be called less often";
    match retry_after {
        RetryAfter::Missing => asks.into(),
        RetryAfter::Seconds(seconds) => format!("{asks}, and again in {seconds} s"),
        RetryAfter::Date(seconds) => format!("{asks}, and again at a date in {seconds} s"),
        RetryAfter::Absurd => format!("{asks}, and again in ten years"),
    }
}

fn drifted(how: Drift) -> &'static str {
    match how {
        Drift::Missing => "a field is missing",
        Drift::Renamed => "a field has another name",
        Drift::Null => "a field is null",
        Drift::Retyped => "a field has another type",
        Drift::NewValue => "a field has a value that is new",
    }
}

fn model(how: ModelFault) -> &'static str {
    match how {
        ModelFault::Refusal => "refuses",
        ModelFault::Overlong => "goes on until it is cut off",
        ModelFault::BadTool => "calls a tool with arguments that are none",
        ModelFault::WrongTool => "calls a tool that there is not",
        ModelFault::Injected => "says what the text before it told it to say",
        ModelFault::Prose => "answers in prose where data was asked for",
        ModelFault::NoUsage => "does not say what it used",
        ModelFault::Retired => "is no longer offered",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ms: u64, expected: &str) {
        assert_eq!(about(ms), expected);
    }

    #[test]
    fn a_time_is_told_as_exactly_as_it_matters() {
        check(0, "0 ms");
        check(999, "999 ms");
        check(1000, "1 s");
        check(4930, "4.9 s");
        check(59_999, "59 s");
        check(90_000, "1 min 30 s");
        check(1_830_000, "30 min");
        check(7_200_000, "2 h");
        check(7_800_000, "2 h 10 min");
        check(273_600_000, "3 d 4 h");
    }

    #[test]
    fn a_fault_is_a_sentence() {
        let when = Trigger::Journal { number: 7, moment: Moment::Sync };
        let fault = Fault { when, what: Kind::ClockJump { ms: -90_000 } };
        let expected =
            "At the fsync of append 7: the clock on the wall jumps back by 1 min 30 s (clock_jump)";
        assert_eq!(sentence(&fault), expected);
    }
}
