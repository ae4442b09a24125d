//! The behaviour that OTP documents, as tables.

use super::*;

const PERMANENT: Child = Child { restart: Restart::Permanent, significant: false, living: true };
const TRANSIENT: Child = Child { restart: Restart::Transient, significant: false, living: true };
const TEMPORARY: Child = Child { restart: Restart::Temporary, significant: false, living: true };

fn flags(strategy: Strategy) -> Flags {
    Flags::new(strategy)
}

fn significant(child: Child) -> Child {
    Child { significant: true, ..child }
}

fn dead(child: Child) -> Child {
    Child { living: false, ..child }
}

fn decide(flags: &Flags, children: &[Child], index: usize, exit: Exit) -> Verdict {
    after_exit(flags, children, index, exit, &mut History::new(), Instant::now())
}

fn restart(stop: &[usize], forget: &[usize], start: &[usize]) -> Verdict {
    Verdict::Restart {
        stop: stop.to_vec(),
        forget: forget.to_vec(),
        start: start.to_vec(),
        after: Duration::ZERO,
    }
}

/// Design Principles, "Restart Strategy".
#[test]
fn the_strategy_says_who_goes_down_and_comes_back() {
    let four = [PERMANENT; 4];
    for (strategy, expected) in [
        (Strategy::OneForOne, restart(&[], &[], &[1])),
        (Strategy::OneForAll, restart(&[3, 2, 0], &[], &[0, 1, 2, 3])),
        (Strategy::RestForOne, restart(&[3, 2], &[], &[1, 2, 3])),
    ] {
        assert_eq!(decide(&flags(strategy), &four, 1, Exit::Abnormal), expected, "{strategy:?}");
    }
}

/// `restart()` of the child specification: permanent always, transient only if it terminates abnormally, temporary never.
#[test]
fn the_restart_type_says_whether_a_child_comes_back() {
    let again = restart(&[], &[], &[0]);
    for (child, exit, expected) in [
        (PERMANENT, Exit::Normal, again.clone()),
        (PERMANENT, Exit::Abnormal, again.clone()),
        (TRANSIENT, Exit::Normal, Verdict::Leave { forget: false }),
        (TRANSIENT, Exit::Abnormal, again),
        (TEMPORARY, Exit::Normal, Verdict::Leave { forget: true }),
        (TEMPORARY, Exit::Abnormal, Verdict::Leave { forget: true }),
    ] {
        let verdict = decide(&flags(Strategy::OneForOne), &[child], 0, exit);
        assert_eq!(verdict, expected, "{child:?} {exit:?}");
    }
}

/// "Temporary: never restarted, even when the strategy is rest_for_one or one_for_all and a sibling's death causes the
/// temporary process to be terminated."
#[test]
fn a_temporary_child_that_goes_down_with_another_does_not_come_back() {
    let children = [TEMPORARY, PERMANENT, TEMPORARY, TRANSIENT];
    let verdict = decide(&flags(Strategy::OneForAll), &children, 1, Exit::Abnormal);
    assert_eq!(verdict, restart(&[3, 2, 0], &[0, 2], &[1, 3]));
    let verdict = decide(&flags(Strategy::RestForOne), &children, 1, Exit::Abnormal);
    assert_eq!(verdict, restart(&[3, 2], &[2], &[1, 3]));
}

/// A transient child that had ended normally comes back when the others do; it is not there to be stopped.
#[test]
fn what_is_not_alive_is_not_stopped_but_starts_with_the_others() {
    let children = [dead(TRANSIENT), PERMANENT, dead(PERMANENT)];
    let verdict = decide(&flags(Strategy::OneForAll), &children, 1, Exit::Abnormal);
    assert_eq!(verdict, restart(&[], &[], &[0, 1, 2]));
}

/// "If more than MaxR restarts occur in the last MaxT seconds, the supervisor terminates."
#[test]
fn one_restart_more_than_the_intensity_within_the_period_is_given_up() {
    let flags = Flags {
        intensity: 2,
        period: Duration::from_secs(1),
        backoff_base: Duration::ZERO,
        ..flags(Strategy::OneForOne)
    };
    let (mut history, start) = (History::new(), Instant::now());
    let mut dies_after = |millis| {
        let now = start + Duration::from_millis(millis);
        after_exit(&flags, &[PERMANENT], 0, Exit::Abnormal, &mut history, now)
    };
    let again = restart(&[], &[], &[0]);
    assert_eq!(dies_after(0), again);
    assert_eq!(dies_after(400), again);
    assert_eq!(dies_after(1_100), again, "the first restart is forgotten");
    assert_eq!(dies_after(1_200), Verdict::GiveUp);
}

/// "intensity 0": the first exit that would be restarted is one too many.
#[test]
fn without_intensity_nothing_is_restarted() {
    let flags = Flags { intensity: 0, ..flags(Strategy::OneForOne) };
    assert_eq!(decide(&flags, &[PERMANENT], 0, Exit::Abnormal), Verdict::GiveUp);
    assert_eq!(
        decide(&flags, &[TEMPORARY], 0, Exit::Abnormal),
        Verdict::Leave { forget: true },
        "what is not restarted does not count"
    );
}

/// What is left alone does not count against the intensity.
#[test]
fn only_restarts_count() {
    let mut history = History::new();
    let flags = flags(Strategy::OneForOne);
    for _ in 0..20 {
        after_exit(&flags, &[TRANSIENT], 0, Exit::Normal, &mut history, Instant::now());
    }
    assert!(history.is_empty());
}

/// "Automatic Shutdown": the table of `auto_shutdown` and `significant`.
#[test]
fn significant_children_end_their_supervisor() {
    use AutoShutdown::{AllSignificant, AnySignificant, Never};
    let significant_one = significant(TRANSIENT);
    let leave = Verdict::Leave { forget: false };
    for (auto_shutdown, other, expected) in [
        (Never, significant(TRANSIENT), leave.clone()),
        (AnySignificant, significant(TRANSIENT), Verdict::ShutDown),
        (AllSignificant, significant(TRANSIENT), leave.clone()),
        (AllSignificant, dead(significant(TRANSIENT)), Verdict::ShutDown),
        (AllSignificant, TRANSIENT, Verdict::ShutDown),
    ] {
        let flags = Flags { auto_shutdown, ..flags(Strategy::OneForOne) };
        let verdict = decide(&flags, &[significant_one, other], 0, Exit::Normal);
        assert_eq!(verdict, expected, "{auto_shutdown:?} {other:?}");
    }
    let any = Flags { auto_shutdown: AnySignificant, ..flags(Strategy::OneForOne) };
    assert_eq!(decide(&any, &[TRANSIENT, significant_one], 0, Exit::Normal), leave);
    assert_eq!(
        decide(&any, &[significant_one], 0, Exit::Abnormal),
        restart(&[], &[], &[0]),
        "one that comes back does not count"
    );
    let temporary = [significant(TEMPORARY), PERMANENT];
    assert_eq!(decide(&any, &temporary, 0, Exit::Abnormal), Verdict::ShutDown);
}

#[test]
fn restarts_wait_longer_each_time() {
    let flags = Flags { intensity: 9, ..flags(Strategy::OneForOne) };
    let (mut history, now) = (History::new(), Instant::now());
    let mut waits = vec![];
    for _ in 0..8 {
        let verdict = after_exit(&flags, &[PERMANENT], 0, Exit::Abnormal, &mut history, now);
        let Verdict::Restart { after, .. } = verdict else { panic!("{verdict:?}") };
        waits.push(after.as_millis());
    }
    assert_eq!(waits, [0, 50, 100, 200, 400, 800, 1_000, 1_000]);
}
