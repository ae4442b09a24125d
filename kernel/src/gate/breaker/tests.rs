//! What opens a breaker, what closes it, and what survives.

use super::*;
use crate::fault::Phase as FaultPhase;

const START: Timestamp = Timestamp(10_000_000);

fn at(seconds: u64) -> Timestamp {
    START.after(Duration::from_secs(seconds))
}

fn policy() -> BreakerPolicy {
    BreakerPolicy { jitter_percent: 0, ..BreakerPolicy::for_calls(Duration::from_secs(30)) }
}

/// A call that is admitted at `from` and ends at `to`.
fn call(breaker: &mut Breaker, from: Timestamp, to: Timestamp, end: CallEnd) -> Option<Turned> {
    let permit = breaker.admit(&policy(), from).unwrap();
    breaker.ended(permit, end, &policy(), to)
}

/// Open since `START`, for 5 s.
fn opened() -> Breaker {
    let mut breaker = Breaker::new("mail");
    for _ in 0..4 {
        assert_eq!(call(&mut breaker, START, START, CallEnd::Failed), None);
    }
    let reason = "5 calls in a row have failed".to_owned();
    let turned = Some(Turned::Opened { until: at(5), reason });
    assert_eq!(call(&mut breaker, START, START, CallEnd::Failed), turned);
    breaker
}

#[test]
fn five_failures_in_a_row_open_it_and_a_probe_closes_it() {
    let mut breaker = opened();
    assert_eq!(breaker.admit(&policy(), at(4)).unwrap_err().until, at(5));
    assert_eq!(breaker.phase(at(5)), Phase::HalfOpen);
    let probe = breaker.admit(&policy(), at(5)).unwrap();
    assert!(probe.is_probe());
    let refused = breaker.admit(&policy(), at(6)).unwrap_err();
    assert_eq!(refused.until, at(40));
    assert_eq!(
        refused.reason,
        "5 calls in a row have failed; another call is finding out if that is over"
    );
    assert_eq!(breaker.ended(probe, CallEnd::Succeeded, &policy(), at(6)), Some(Turned::Closed));
    assert_eq!(breaker.phase(at(6)), Phase::Closed);
}

#[test]
fn each_failed_probe_doubles_the_wait_up_to_five_minutes() {
    let (mut breaker, mut now, mut waits) = (opened(), at(5), vec![]);
    for _ in 0..8 {
        let turned = call(&mut breaker, now, now, CallEnd::Failed);
        let Some(Turned::Opened { until, .. }) = turned else { panic!("{turned:?}") };
        waits.push(now.until(until).as_secs());
        now = until;
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300, 300]);
    let reason = "5 calls in a row have failed; 8 probes have failed since".to_owned();
    assert_eq!(
        breaker.phase(START),
        Phase::Open { until: START.after(Duration::from_secs(300)), reason }
    );
}

#[test]
fn half_of_ten_calls_open_it() {
    for (end, to, what) in [
        (CallEnd::Failed, 0, "5 of 10 calls in 60 s have failed"),
        (CallEnd::Succeeded, 23, "5 of 10 calls in 60 s have taken over 22.5 s"),
    ] {
        let mut breaker = Breaker::new("mail");
        for _ in 0..5 {
            assert_eq!(call(&mut breaker, START, START, CallEnd::Succeeded), None);
        }
        for _ in 0..4 {
            assert_eq!(call(&mut breaker, START, at(to), end), None);
            breaker.state = match breaker.state {
                State::Closed(tally) => State::Closed(Tally { consecutive: 0, ..tally }),
                State::Open(_) => unreachable!("it did not turn"),
            };
        }
        let turned = call(&mut breaker, START, at(to), end);
        assert!(
            matches!(&turned, Some(Turned::Opened { reason, .. }) if reason == what),
            "{turned:?}"
        );
    }
}

#[test]
fn calls_older_than_the_window_are_no_part_of_a_share() {
    let mut breaker = Breaker::new("mail");
    for _ in 0..4 {
        call(&mut breaker, START, START, CallEnd::Failed);
    }
    call(&mut breaker, at(63), at(63), CallEnd::Succeeded);
    for _ in 0..4 {
        assert_eq!(call(&mut breaker, at(63), at(63), CallEnd::Failed), None);
    }
    assert_eq!(call(&mut breaker, at(63), at(63), CallEnd::Succeeded), None);
}

#[test]
fn the_waits_of_two_breakers_stray_within_a_fifth() {
    let policy = BreakerPolicy::for_calls(Duration::from_secs(30));
    let wait = |name: &str| policy.wait(name, 0).as_millis();
    let waits: Vec<u128> = (0..50).map(|number| wait(&number.to_string())).collect();
    assert!(waits.iter().all(|wait| (4_000..=6_000).contains(wait)), "{waits:?}");
    assert!(waits.iter().max().unwrap() - waits.iter().min().unwrap() > 1_000, "{waits:?}");
    assert_eq!(wait("mail"), wait("mail"));
    assert!(policy.wait("mail", u32::MAX) <= policy.wait_max());
}

#[test]
fn a_clock_that_was_set_back_freezes_nothing() {
    let mut breaker = opened();
    let back = Timestamp(START.0 - 9_000_000);
    let after = |seconds| back.after(Duration::from_secs(seconds));
    assert_eq!(breaker.admit(&policy(), back).unwrap_err().until, after(5));
    let _vanished = breaker.admit(&policy(), at(5)).unwrap();
    assert_eq!(breaker.admit(&policy(), after(5)).unwrap_err().until, after(40));
    assert!(breaker.admit(&policy(), after(40)).unwrap().is_probe());
}

#[test]
fn what_survives_a_restart_is_that_it_is_open_until_when_and_why() {
    let mut breaker = opened();
    let stored = Breaker::from_bytes("mail", &breaker.to_bytes());
    assert_eq!(stored.phase(at(3)), breaker.phase(at(3)));

    let _vanished = breaker.admit(&policy(), at(5)).unwrap();
    let mut stored = Breaker::from_bytes("mail", &breaker.to_bytes());
    assert!(stored.admit(&policy(), at(5)).unwrap().is_probe(), "its lease died with its process");

    let closed = Breaker::new("mail");
    assert_eq!(Breaker::from_bytes("mail", &closed.to_bytes()), closed);
}

#[test]
fn a_wait_that_was_stored_under_another_policy_is_cut_to_this_one() {
    let mut breaker = opened();
    let State::Open(opening) = &mut breaker.state else { unreachable!("it is open") };
    opening.wait = Duration::MAX;
    let mut stored = Breaker::from_bytes("mail", &breaker.to_bytes());
    assert_eq!(stored.admit(&policy(), START).unwrap_err().until, at(300));
}

#[test]
fn what_cannot_be_read_is_a_closed_breaker() {
    let newer = codec::encode(&(BREAKER_VERSION + 1, None::<Opening>));
    for bytes in [&newer[..], b"", b"nonsense"] {
        assert_eq!(Breaker::from_bytes("mail", bytes), Breaker::new("mail"));
    }
}

#[test]
fn the_stored_bytes_are_these() {
    assert_eq!(Breaker::new("mail").to_bytes(), [1, 0]);
    let opening = Opening {
        at: Timestamp(7),
        wait: Duration::from_millis(5_250),
        reason: "why".into(),
        probes_failed: 2,
        probe: Some(Timestamp(9)),
    };
    let breaker = Breaker { state: State::Open(opening), ..Breaker::new("mail") };
    let nanos = [252, 0x80, 0xb2, 0xe6, 0x0e];
    let bytes = [&[1, 1, 7, 5][..], &nanos, &[3], b"why", &[2]].concat();
    assert_eq!(breaker.to_bytes(), bytes);
}

#[test]
fn what_a_fault_says_about_the_other_side() {
    let end = |class, phase| CallEnd::of::<()>(Err(&Fault::new(class, phase, "")));
    assert_eq!(CallEnd::of(Ok(())), CallEnd::Succeeded);
    for class in [FaultClass::Transient, FaultClass::Deadline, FaultClass::Crash, FaultClass::Bug] {
        assert_eq!(end(class, FaultPhase::MaybeSent), CallEnd::Failed);
    }
    for class in [FaultClass::Throttled, FaultClass::Auth] {
        assert_eq!(end(class, FaultPhase::Answered), CallEnd::Neutral);
    }
    for class in [FaultClass::Declined, FaultClass::Invalid] {
        assert_eq!(end(class, FaultPhase::Answered), CallEnd::Succeeded);
        assert_eq!(end(class, FaultPhase::NotSent), CallEnd::Neutral, "nobody has answered");
    }
}
