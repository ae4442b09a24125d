//! Every interleaving of three callers with a breaker, walked to the end.
//!
//! A state is the breaker and what each caller holds, with times relative to now and what cannot matter left out, so that
//! there are finitely many. From each, every caller asks, ends its call in every way or vanishes, and time passes by a
//! second. What must hold is told by an oracle that sees what the callers see, and knows nothing of epochs and leases.

use std::collections::BTreeSet;

use super::*;

const CALLERS: usize = 3;
const SECOND: Duration = Duration::from_secs(1);

/// Longer ago than this is as good as never: no wait, lease or window is longer.
const HORIZON: u64 = 5;

/// Calls that may be admitted within a second, so that what is counted stays finite.
const LEFT: u8 = 3;

const NEVER: u32 = u32::MAX;

/// A breaker that opens for failures in a row only.
const IN_A_ROW: BreakerPolicy = BreakerPolicy {
    consecutive_max: 3,
    window: SECOND,
    calls_min: NEVER,
    failed_percent: 50,
    slow_after: SECOND,
    slow_percent: 50,
    open_base: Duration::from_secs(2),
    open_max: Duration::from_secs(4),
    jitter_percent: 0,
    lease: Duration::from_secs(3),
};

/// A breaker that opens for shares of two or more calls only.
const SHARES: BreakerPolicy = BreakerPolicy { consecutive_max: NEVER, calls_min: 2, ..IN_A_ROW };

/// How a caller lets go of its permit. A panic is a cancellation by the guard that holds the permit.
const ENDS: [Option<CallEnd>; 5] = [
    Some(CallEnd::Succeeded),
    Some(CallEnd::Failed),
    Some(CallEnd::Neutral),
    Some(CallEnd::Cancelled),
    None,
];

#[derive(Clone)]
struct World {
    policy: BreakerPolicy,
    breaker: Breaker,
    now: Timestamp,
    callers: [Option<Call>; CALLERS],
    /// Calls that may still be admitted within this second.
    left: u8,
}

/// A call as the oracle sees it.
#[derive(Clone)]
struct Call {
    permit: Permit,
    at: Timestamp,
    /// The breaker was half-open when it was admitted.
    is_probe: bool,
    /// The breaker has turned since.
    is_stale: bool,
    /// Its caller vanished without a word.
    is_gone: bool,
}

impl Call {
    fn is_live_probe(&self, policy: &BreakerPolicy, now: Timestamp) -> bool {
        self.is_probe && !self.is_stale && now < self.at.after(policy.lease)
    }
}

#[test]
fn no_interleaving_of_three_callers_gets_a_second_probe_through_or_stuck() {
    let (states, turns) = walk(IN_A_ROW);
    assert!(states > 1_000 && turns.iter().all(|turns| *turns > 100), "{states}, {turns:?}");
}

#[test]
fn nor_does_one_where_shares_of_calls_open_it() {
    let (states, turns) = walk(SHARES);
    assert!(states > 5_000 && turns.iter().all(|turns| *turns > 100), "{states}, {turns:?}");
}

/// Walks every state; gives their number, and on how many steps the breaker opened and closed.
fn walk(policy: BreakerPolicy) -> (usize, [u64; 2]) {
    let (breaker, now) = (Breaker::new("mail"), Timestamp(1_000_000));
    let first = World { policy, breaker, now, callers: [None, None, None], left: LEFT };
    let (mut seen, mut open) = (BTreeSet::from([key(&first)]), vec![first]);
    let (mut steps, mut turns) = (0u64, [0; 2]);
    while let Some(world) = open.pop() {
        stays_alive(&world);
        for next in successors(&world, &mut turns) {
            steps += 1;
            if seen.insert(key(&next)) {
                open.push(next);
            }
        }
    }
    println!("{} states, {steps} steps, {turns:?} turns", seen.len());
    (seen.len(), turns)
}

fn successors(world: &World, turns: &mut [u64; 2]) -> Vec<World> {
    let mut found = vec![passed(world)];
    for (index, caller) in world.callers.iter().enumerate() {
        match caller {
            // Callers are alike: the first of those that are free asks for all of them.
            None if world.callers[..index].iter().all(Option::is_some) => {
                found.extend(asked(world, index));
            }
            Some(call) if !call.is_gone => {
                found.extend(ENDS.map(|end| ended(world, index, end, turns)));
            }
            None | Some(_) => {}
        }
    }
    found
}

fn passed(world: &World) -> World {
    let now = world.now.after(SECOND);
    let callers = world.callers.clone().map(|caller| {
        caller.filter(|call| !call.is_gone || call.is_live_probe(&world.policy, now))
    });
    World { now, callers, left: LEFT, ..world.clone() }
}

fn asked(world: &World, index: usize) -> Option<World> {
    let (policy, before) = (&world.policy, world.breaker.phase(world.now));
    let is_live = |call: &&Call| call.is_live_probe(policy, world.now);
    let probes = world.callers.iter().flatten().filter(is_live).count();
    let mut next = world.clone();
    match next.breaker.admit(policy, world.now) {
        Ok(permit) => {
            assert!(!matches!(before, Phase::Open { .. }), "an open breaker admits nobody");
            let is_probe = before == Phase::HalfOpen;
            assert_eq!(permit.is_probe(), is_probe);
            assert!(!is_probe || probes == 0, "a second probe was admitted");
            let call = Call { permit, at: world.now, is_probe, is_stale: false, is_gone: false };
            next.callers[index] = Some(call);
            if policy.calls_min != NEVER {
                next.left = world.left.checked_sub(1)?;
            }
            Some(next)
        }
        Err(refused) => {
            assert!(refused.until > world.now, "a refusal ends in the future");
            match before {
                Phase::Closed => panic!("a closed breaker refuses nobody"),
                Phase::Open { until, .. } => assert_eq!(refused.until, until),
                Phase::HalfOpen => assert_eq!(probes, 1, "refused, and nobody probes"),
            }
            None
        }
    }
}

fn ended(world: &World, index: usize, end: Option<CallEnd>, turns: &mut [u64; 2]) -> World {
    let mut next = world.clone();
    let call = next.callers[index].take().expect("the caller holds a call");
    let Some(end) = end else {
        let is_remembered = call.is_live_probe(&world.policy, world.now);
        next.callers[index] = is_remembered.then_some(Call { is_gone: true, ..call });
        return next;
    };
    let turned = next.breaker.ended(call.permit.clone(), end, &world.policy, world.now);
    let (before, after) = (world.breaker.phase(world.now), next.breaker.phase(world.now));
    assert_eq!(turned.is_some(), std::mem::discriminant(&before) != std::mem::discriminant(&after));

    let is_stale = call.is_stale || call.is_probe && !call.is_live_probe(&world.policy, world.now);
    if is_stale {
        assert_eq!(next.breaker, world.breaker, "a late end changes nothing");
    } else if call.is_probe {
        match (end, &turned) {
            (CallEnd::Succeeded, Some(Turned::Closed))
            | (CallEnd::Failed, Some(Turned::Opened { .. }))
            | (CallEnd::Neutral | CallEnd::Cancelled, None) => {}
            other => panic!("the end of a probe: {other:?}"),
        }
    } else {
        assert!(!matches!(turned, Some(Turned::Closed)), "only a probe closes it");
        let has_verdict = matches!(end, CallEnd::Succeeded | CallEnd::Failed);
        assert!(has_verdict || turned.is_none(), "{end:?} is no verdict");
    }
    if let Some(turned) = turned {
        turns[usize::from(turned == Turned::Closed)] += 1;
        next.callers.iter_mut().flatten().for_each(|call| call.is_stale = true);
        // Who vanished with a probe that no longer counts is free.
        for caller in &mut next.callers {
            caller.take_if(|call| call.is_gone);
        }
    }
    next
}

/// Whatever the callers hold and never give back, and even if the clock is set back, someone is admitted in the end.
fn stays_alive(world: &World) {
    let policy = &world.policy;
    for mut now in [world.now, Timestamp(world.now.0 - 500_000)] {
        let (mut breaker, start) = (world.breaker.clone(), now);
        for _ in 0..3 {
            match breaker.admit(policy, now) {
                Ok(_) => break,
                Err(refused) => now = refused.until,
            }
        }
        assert!(breaker.admit(policy, now.after(policy.lease)).is_ok(), "nobody is admitted");
        assert!(start.until(now) <= policy.wait_max() + policy.lease, "for {:?}", start.until(now));
    }
}

/// The state without what cannot matter: absolute times, the numbers of epochs, which caller is which.
fn key(world: &World) -> Vec<u64> {
    let age = |at: Timestamp| at.until(world.now).as_secs().min(HORIZON);
    let mut key = vec![world.left.into()];
    match &world.breaker.state {
        State::Closed(tally) if world.policy.calls_min == NEVER => {
            key.extend([0, tally.consecutive.into()]);
        }
        State::Closed(tally) => {
            key.push(1);
            let recent = tally.recent.clone().unwrap_or_else(|| Recent::new(world.policy.window));
            for (start, sums) in recent.slices() {
                let (age, [calls, failed, slow]) = (age(Timestamp(*start)), *sums);
                if age < 2 {
                    key.push(((age * 100 + calls) * 100 + failed) * 100 + slow);
                }
            }
        }
        State::Open(Opening { at, wait, reason: _, probes_failed, probe }) => {
            // From the first failed probe on it is open for the longest time.
            let again = u64::from(*probes_failed).min(1);
            key.extend([2, age(*at), wait.as_secs(), again, probe.map_or(HORIZON, age)]);
        }
    }
    key.push(u64::MAX);
    let calls = world.callers.iter().flatten();
    let mut callers: Vec<u64> = calls.map(|call| caller(world, call, age(call.at))).collect();
    callers.sort_unstable();
    key.extend(callers);
    key
}

fn caller(world: &World, call: &Call, age: u64) -> u64 {
    let is_current = call.permit.epoch == world.breaker.epoch;
    let flags = [is_current, call.is_probe, call.is_stale, call.is_gone];
    flags.iter().fold(age, |key, flag| key * 2 + u64::from(*flag))
}
