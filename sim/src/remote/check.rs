//! What must hold when something is about to leave, or is handed over.

use soloist_connectors::{Plan, Seen};
use soloist_kernel::semantics::WriteSemantics;

use super::Remote;

impl Remote {
    /// What must hold before an attempt leaves.
    pub(super) fn check_attempt(&self, plan: &Plan, attempt: u32) {
        let key = plan.key.as_str();
        let digest = plan.digest();
        self.access.with(|state| {
            let synced = state.watch.synced;
            let problem = match state.watch.write(key).map(|known| known.attempts.get(&attempt)) {
                None | Some(None) => {
                    Some(format!("{} {key} leaves without an intent", plan.operation))
                }
                Some(Some((seq, _))) if *seq > synced => Some(format!(
                    "{} {key} leaves before its intent {seq} is fsynced",
                    plan.operation
                )),
                Some(Some(_)) => None,
            };
            if let Some(problem) = problem {
                state.violated("intent-durable", problem);
            }
            if state.watch.write(key).is_some_and(|known| known.digest != digest) {
                let what =
                    format!("{} {key} leaves with other bytes than were judged", plan.operation);
                state.violated("as-judged", what);
            }
            let happened = state.has_happened(key);
            if let Some(problem) = state.writes_under_way.leaves(key, digest, happened) {
                state.violated(problem.0, problem.1);
            }
        });
    }

    /// What must hold before changes are handed over: what was taken is not taken again.
    pub(super) fn check_pull(&self, seen: Seen<'_>) {
        let change =
            self.access.with(|state| state.told.not_seen(&self.name, seen).map(str::to_owned));
        if let Some(change) = change.flatten() {
            let what = format!("{change} of {} was taken, and is not known", self.name);
            self.access.with(|state| state.violated("taken-once", what));
        }
    }

    /// What must hold before somebody looks for a write.
    pub(super) fn check_probe(&self, plan: &Plan) {
        let key = plan.key.as_str();
        self.access.with(|state| {
            if state.writes_under_way.is_under_way(key) {
                state.violated(
                    "one-attempt",
                    format_args!("{key} is looked for while it is attempted"),
                );
            }
            let now = state.wall();
            // A clock that has jumped does not tell how long it was.
            let jumped = state.has_jumped();
            let known = state.watch.write(key).filter(|_| !jumped);
            let early = known.is_some_and(|known| match known.semantics {
                WriteSemantics::Searchable { visibility_lag } => {
                    let last = known.attempts.values().map(|(_, at)| *at).max();
                    last.is_some_and(|last| last.until(now) < visibility_lag)
                }
                _ => false,
            });
            if early {
                state.violated(
                    "probe-in-time",
                    format_args!("{key} is looked for before it can be seen"),
                );
            }
        });
    }
}
