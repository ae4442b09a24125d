//! The guide, docs/simulation.md, says what there is.

use soloist_sim::{INVARIANTS, plan::Kind};

const GUIDE: &str = include_str!("../../docs/simulation.md");

#[test]
fn every_invariant_is_in_the_guide() {
    for (name, says) in INVARIANTS {
        let row = format!("| `{name}` | {says} |");
        assert!(GUIDE.contains(&row), "docs/simulation.md lacks the row\n{row}");
    }
}

#[test]
fn every_kind_of_fault_is_in_the_guide() {
    let kinds = kinds();
    for kind in &kinds {
        let row = format!("| `{}` | ", kind.name());
        assert!(GUIDE.contains(&row), "docs/simulation.md lacks a row that begins with\n{row}");
    }
    let (_, table) = GUIDE.split_once("| kind | what goes wrong |").expect("there is a table");
    let (table, _) = table.split_once("| trigger |").expect("another one follows");
    let rows = table.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, kinds.len(), "the guide knows kinds that there are not");
}

/// One of each kind. A new one does not compile until it is here.
fn kinds() -> Vec<Kind> {
    use soloist_sim::plan::{Drift, ModelFault, RetryAfter};
    let (api, actor) = (String::new, String::new);
    let all = vec![
        Kind::Slow { ms: 0 },
        Kind::Refused,
        Kind::Unresolved,
        Kind::Untrusted,
        Kind::LostBefore,
        Kind::LostAfter,
        Kind::ResetBefore,
        Kind::ResetAfter,
        Kind::Stalled,
        Kind::Throttled { retry_after: RetryAfter::Missing },
        Kind::Unavailable,
        Kind::Declined,
        Kind::Unauthorised,
        Kind::ClockRefused,
        Kind::Garbled,
        Kind::WrongType,
        Kind::Drifted { how: Drift::Missing },
        Kind::Panic,
        Kind::Model { how: ModelFault::Refusal },
        Kind::Outage { api: api(), ms: 0 },
        Kind::Revoked { api: api(), ms: 0 },
        Kind::Quota { api: api(), calls: 0, ms: 0 },
        Kind::Stale { api: api(), ms: 0 },
        Kind::Duplicate,
        Kind::Reordered,
        Kind::Late { ms: 0 },
        Kind::Lost,
        Kind::Kill { actor: actor() },
        Kind::Stop { actor: actor() },
        Kind::Pause { ms: 0 },
        Kind::Crash,
        Kind::PowerLoss { keep: 0 },
        Kind::SyncFails,
        Kind::Full,
        Kind::Torn,
        Kind::Flipped,
        Kind::Truncated,
        Kind::Older,
        Kind::ClockJump { ms: 0 },
        Kind::DecidesTwice,
        Kind::DecidesStale,
        Kind::Cancels,
        Kind::Deploys,
    ];
    for kind in &all {
        match kind {
            Kind::Slow { .. } | Kind::Refused | Kind::Unresolved | Kind::Untrusted => {}
            Kind::LostBefore | Kind::LostAfter | Kind::ResetBefore | Kind::ResetAfter => {}
            Kind::Stalled | Kind::Throttled { .. } | Kind::Unavailable | Kind::Declined => {}
            Kind::Unauthorised | Kind::ClockRefused | Kind::Garbled | Kind::WrongType => {}
            Kind::Drifted { .. } | Kind::Panic | Kind::Model { .. } | Kind::Outage { .. } => {}
            Kind::Revoked { .. } | Kind::Quota { .. } | Kind::Stale { .. } | Kind::Duplicate => {}
            Kind::Reordered | Kind::Late { .. } | Kind::Lost | Kind::Kill { .. } => {}
            Kind::Stop { .. } | Kind::Pause { .. } | Kind::Crash | Kind::PowerLoss { .. } => {}
            Kind::SyncFails | Kind::Full | Kind::Torn | Kind::Flipped | Kind::Truncated => {}
            Kind::Older | Kind::ClockJump { .. } | Kind::DecidesTwice | Kind::DecidesStale => {}
            Kind::Cancels | Kind::Deploys => {}
        }
    }
    all
}
