//! The kinds of faults: of calls, answers, models, webhooks, actors, the process, the disk, the clock and the operator.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Kind {
    // A call and its way there and back.
    /// It takes so much longer.
    Slow {
        /// Milliseconds.
        ms: u64,
    },
    /// The connection is refused.
    Refused,
    /// The name is not found.
    Unresolved,
    /// The other side's certificate is not trusted.
    Untrusted,
    /// It is lost on its way there, and nobody ever answers.
    LostBefore,
    /// The other side acts, and its answer never arrives.
    LostAfter,
    /// The connection breaks on the way there.
    ResetBefore,
    /// The other side acts, and the connection breaks before the answer is there.
    ResetAfter,
    /// The other side acts, and its answer stalls in the middle.
    Stalled,

    // The other side's answer.
    /// It asks to be called less often.
    Throttled {
        /// When it says to come back.
        retry_after: RetryAfter,
    },
    /// It has an error of its own, for now.
    Unavailable,
    /// It understands and refuses for good.
    Declined,
    /// It does not take the credential, this once.
    Unauthorised,
    /// It says that the clock is wrong.
    ClockRefused,
    /// It acts, and its answer is cut off.
    Garbled,
    /// It acts, and its answer is a page for people.
    WrongType,
    /// What it tells has another shape.
    Drifted {
        /// In which way.
        how: Drift,
    },
    /// A model answers badly.
    Model {
        /// In which way.
        how: ModelFault,
    },

    // The other side for a while.
    /// It is down.
    Outage {
        /// The connector's name.
        api: String,
        /// Milliseconds.
        ms: u64,
    },
    /// The credential is revoked, and given again later.
    Revoked {
        /// The connector's name.
        api: String,
        /// Milliseconds.
        ms: u64,
    },
    /// It answers only so many calls.
    Quota {
        /// The connector's name.
        api: String,
        /// Calls in that time.
        calls: u32,
        /// Milliseconds.
        ms: u64,
    },
    /// What was written cannot be seen yet.
    Stale {
        /// The connector's name.
        api: String,
        /// Milliseconds.
        ms: u64,
    },

    // Webhooks.
    /// It is delivered twice.
    Duplicate,
    /// It is delivered after the one that follows it.
    Reordered,
    /// It is delivered late.
    Late {
        /// Milliseconds.
        ms: u64,
    },
    /// It is not delivered, and the sender tries again much later.
    Lost,

    // Actors.
    /// A run dies of whatever it does, again and again, until it is set aside.
    Poisoned,
    /// The actor is killed, and those beneath it.
    Kill {
        /// Its path beneath the root, `connectors/mail/calls`, or `run` for the run that works.
        actor: String,
    },
    /// The actor is asked to stop.
    Stop {
        /// Its path beneath the root.
        actor: String,
    },
    /// The connector panics.
    Panic,
    /// Whoever is about to act takes so long.
    Pause {
        /// Milliseconds.
        ms: u64,
    },

    // The process and its machine.
    /// The process is killed: what was appended is there.
    Crash,
    /// The machine loses power: what was synced is there, and some of the rest.
    PowerLoss {
        /// Appends that were not synced and survive, at most.
        keep: u32,
    },

    // The disk. What is damaged shows at the next start.
    /// An fsync fails: nobody knows what is on disk.
    SyncFails,
    /// The disk is full.
    Full,
    /// Power is lost in the middle of a write.
    Torn,
    /// Power is lost, and a bit of the journal has turned.
    Flipped,
    /// Power is lost, and the end of the journal is gone though it was synced.
    Truncated,
    /// The directory is an older copy of itself.
    Older,

    // The clock on the wall.
    /// It jumps.
    ClockJump {
        /// By so many milliseconds.
        ms: i64,
    },

    // The operator.
    /// Decides twice about the same item.
    DecidesTwice,
    /// Decides about an item that is no longer there.
    DecidesStale,
    /// Approves of an item when its deadline is up.
    DecidesLate,
    /// Ends a run, which takes back what it did.
    Cancels,
    /// Ends a run, which leaves what it did.
    Leaves,
    /// Has a step tried again that failed or waits.
    Retries,
    /// Says what a step comes to.
    Overrides,
    /// Pauses something for a while.
    Holds {
        /// What, as `soloist pause` takes it; `run` for a run that is under way.
        scope: String,
        /// Milliseconds.
        ms: u64,
    },
    /// Archives what has been over for a moment.
    Archives,
    /// Puts a new version of everything into force.
    Deploys,
    /// Has half of the runs take a new version of every workflow, and be judged by a new one of the policy.
    Shares,
    /// Has a new version of every workflow be played in the shadow of all runs.
    Shadows,
}

/// When the other side says to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// It does not say.
    Missing,
    /// In so many seconds.
    Seconds(u64),
    /// At a date, in so many seconds.
    Date(u64),
    /// In ten years.
    Absurd,
}

/// How the shape of what is told differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// A field is missing.
    Missing,
    /// A field has another name.
    Renamed,
    /// A field is null.
    Null,
    /// A field has another type.
    Retyped,
    /// A field has a value that was not there before.
    NewValue,
}

/// How a model answers badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelFault {
    /// It refuses.
    Refusal,
    /// It goes on until its limit cuts it off.
    Overlong,
    /// It calls a tool with arguments that are none.
    BadTool,
    /// It calls a tool that there is not.
    WrongTool,
    /// It says what the text it was given told it to say.
    Injected,
    /// It answers in prose where data was asked for.
    Prose,
    /// It does not say what it used.
    NoUsage,
    /// It is no longer offered.
    Retired,
}

/// What a fault is a fault of: which triggers it fits, and what must be there for it to matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A call or its answer.
    Call,
    /// An answer of a model.
    Model,
    /// The other side, for a while.
    Api,
    /// A webhook.
    Webhook,
    /// An actor.
    Actor,
    /// The process.
    Process,
    /// The disk.
    Disk,
    /// The clock.
    Clock,
    /// The operator.
    Operator,
}

impl Kind {
    /// One of each kind, with the least that it can be told.
    #[must_use]
    pub fn each() -> Vec<Self> {
        let none = String::new;
        let each = vec![
            Self::Slow { ms: 0 },
            Self::Refused,
            Self::Unresolved,
            Self::Untrusted,
            Self::LostBefore,
            Self::LostAfter,
            Self::ResetBefore,
            Self::ResetAfter,
            Self::Stalled,
            Self::Throttled { retry_after: RetryAfter::Missing },
            Self::Unavailable,
            Self::Declined,
            Self::Unauthorised,
            Self::ClockRefused,
            Self::Garbled,
            Self::WrongType,
            Self::Drifted { how: Drift::Missing },
            Self::Panic,
            Self::Outage { api: none(), ms: 0 },
            Self::Revoked { api: none(), ms: 0 },
            Self::Quota { api: none(), calls: 0, ms: 0 },
            Self::Stale { api: none(), ms: 0 },
            Self::Poisoned,
            Self::Kill { actor: none() },
            Self::Stop { actor: none() },
            Self::Pause { ms: 0 },
            Self::Crash,
            Self::PowerLoss { keep: 0 },
            Self::SyncFails,
            Self::Full,
            Self::Torn,
            Self::Flipped,
            Self::Truncated,
            Self::Older,
            Self::ClockJump { ms: 0 },
            Self::Model { how: ModelFault::Refusal },
            Self::Duplicate,
            Self::Reordered,
            Self::Late { ms: 0 },
            Self::Lost,
            Self::DecidesTwice,
            Self::DecidesStale,
            Self::DecidesLate,
            Self::Cancels,
            Self::Leaves,
            Self::Retries,
            Self::Overrides,
            Self::Holds { scope: none(), ms: 0 },
            Self::Archives,
            Self::Deploys,
            Self::Shares,
            Self::Shadows,
        ];
        // A new kind does not compile until it is named here, and so above.
        for kind in &each {
            match kind {
                Self::Slow { .. } | Self::Refused | Self::Unresolved | Self::Untrusted => {}
                Self::LostBefore | Self::LostAfter | Self::ResetBefore | Self::ResetAfter => {}
                Self::Stalled | Self::Throttled { .. } | Self::Unavailable | Self::Declined => {}
                Self::Unauthorised | Self::ClockRefused | Self::Garbled | Self::WrongType => {}
                Self::Drifted { .. } | Self::Panic | Self::Model { .. } | Self::Outage { .. } => {}
                Self::Revoked { .. }
                | Self::Quota { .. }
                | Self::Stale { .. }
                | Self::Duplicate => {}
                Self::Reordered | Self::Late { .. } | Self::Lost | Self::Kill { .. } => {}
                Self::Stop { .. } | Self::Pause { .. } | Self::Crash | Self::PowerLoss { .. } => {}
                Self::SyncFails | Self::Full | Self::Torn | Self::Flipped | Self::Truncated => {}
                Self::Older | Self::ClockJump { .. } | Self::DecidesTwice | Self::DecidesStale => {}
                Self::DecidesLate | Self::Cancels | Self::Deploys | Self::Poisoned => {}
                Self::Leaves | Self::Retries | Self::Overrides | Self::Holds { .. } => {}
                Self::Archives | Self::Shares | Self::Shadows => {}
            }
        }
        each
    }

    /// What it is a fault of.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Slow { .. }
            | Self::Refused
            | Self::Unresolved
            | Self::Untrusted
            | Self::LostBefore
            | Self::LostAfter
            | Self::ResetBefore
            | Self::ResetAfter
            | Self::Stalled
            | Self::Throttled { .. }
            | Self::Unavailable
            | Self::Declined
            | Self::Unauthorised
            | Self::ClockRefused
            | Self::Garbled
            | Self::WrongType
            | Self::Drifted { .. }
            | Self::Panic => Class::Call,
            Self::Model { .. } => Class::Model,
            Self::Outage { .. }
            | Self::Revoked { .. }
            | Self::Quota { .. }
            | Self::Stale { .. } => Class::Api,
            Self::Duplicate | Self::Reordered | Self::Late { .. } | Self::Lost => Class::Webhook,
            Self::Poisoned | Self::Kill { .. } | Self::Stop { .. } | Self::Pause { .. } => {
                Class::Actor
            }
            Self::Crash | Self::PowerLoss { .. } => Class::Process,
            Self::SyncFails
            | Self::Full
            | Self::Torn
            | Self::Flipped
            | Self::Truncated
            | Self::Older => Class::Disk,
            Self::ClockJump { .. } => Class::Clock,
            Self::DecidesTwice
            | Self::DecidesStale
            | Self::DecidesLate
            | Self::Cancels
            | Self::Leaves
            | Self::Retries
            | Self::Overrides
            | Self::Holds { .. }
            | Self::Archives
            | Self::Deploys
            | Self::Shares
            | Self::Shadows => Class::Operator,
        }
    }

    /// Its name, without what it is told: `lost_after`.
    #[must_use]
    pub fn name(&self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            Ok(serde_json::Value::Object(map)) => map.keys().next().cloned().unwrap_or_default(),
            _ => String::new(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        match self {
            Self::Slow { ms } | Self::Late { ms } | Self::Pause { ms } => write!(f, " by {ms} ms"),
            Self::ClockJump { ms } => write!(f, " by {ms} ms"),
            Self::Outage { api, ms } | Self::Revoked { api, ms } | Self::Stale { api, ms } => {
                write!(f, " of {api} for {ms} ms")
            }
            Self::Quota { api, calls, ms } => write!(f, " of {calls} calls to {api} for {ms} ms"),
            Self::Kill { actor } | Self::Stop { actor } => write!(f, " {actor}"),
            Self::PowerLoss { keep } => write!(f, " keeping {keep}"),
            Self::Drifted { how } => write!(f, " {how:?}"),
            Self::Model { how } => write!(f, " {how:?}"),
            Self::Throttled { retry_after } => write!(f, " {retry_after:?}"),
            Self::Holds { scope, ms } => write!(f, " {scope} for {ms} ms"),
            _ => Ok(()),
        }
    }
}
