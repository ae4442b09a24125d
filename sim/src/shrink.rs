//! Making a failing plan small: fewer faults, less work, simpler kinds, no perturbation.
//!
//! The faults are minimised by delta debugging (Zeller, Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE
//! TSE 2002). A step is kept only if the same invariant breaks.

use crate::{
    outcome::Outcome,
    plan::{Fault, Kind, Plan},
    run::{Options, run},
    scenario::Scenario,
};

/// A plan made small.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What the small plan comes to, with its trace.
    pub outcome: Outcome,
    /// Faults that the plan had before.
    pub faults_before: usize,
    /// Simulations that it took.
    pub simulations: usize,
}

/// Makes `plan` as small as it gets while it breaks the invariant that it breaks now. A plan that breaks none is returned as
/// it is.
#[must_use]
pub fn shrink(scenario: &Scenario, plan: &Plan, options: Options) -> Shrunk {
    let first = run(scenario, plan, Options { keep_trace: false, ..options });
    let invariant = first.broken().map(str::to_owned);
    let mut work = Work { scenario, options, invariant, simulations: 1 };
    let mut small = plan.clone();
    if work.invariant.is_some() {
        loop {
            let before = small.clone();
            work.faults(&mut small);
            work.size(&mut small);
            work.kinds(&mut small);
            work.calm(&mut small);
            if small == before {
                break;
            }
        }
    }
    let outcome = run(scenario, &small, Options { keep_trace: true, ..options });
    let faults_before = plan.faults.len();
    Shrunk { outcome, faults_before, simulations: work.simulations + 1 }
}

struct Work<'a> {
    scenario: &'a Scenario,
    options: Options,
    invariant: Option<String>,
    simulations: usize,
}

impl Work<'_> {
    /// Puts `candidate` in the place of `plan` if it breaks the same invariant.
    fn keeps(&mut self, plan: &mut Plan, candidate: Plan) -> bool {
        self.simulations += 1;
        let outcome = run(self.scenario, &candidate, Options { keep_trace: false, ..self.options });
        let same = outcome
            .violations
            .iter()
            .any(|found| Some(&found.invariant) == self.invariant.as_ref());
        if same {
            *plan = candidate;
        }
        same
    }

    /// Leaves out chunks of faults, smaller and smaller ones.
    fn faults(&mut self, plan: &mut Plan) {
        let mut chunk = plan.faults.len();
        while chunk > 0 {
            let mut at = 0;
            while at < plan.faults.len() {
                let mut faults = plan.faults.clone();
                faults.drain(at..(at + chunk).min(faults.len()));
                if !self.keeps(plan, plan.clone().with(faults)) {
                    at += chunk;
                }
            }
            chunk /= 2;
        }
    }

    fn size(&mut self, plan: &mut Plan) {
        for size in 1..plan.size {
            if self.keeps(plan, Plan { size, ..plan.clone() }) {
                return;
            }
        }
    }

    fn kinds(&mut self, plan: &mut Plan) {
        for index in 0..plan.faults.len() {
            for simpler in simpler(&plan.faults[index]) {
                let mut faults = plan.faults.clone();
                faults[index].what = simpler;
                if self.keeps(plan, plan.clone().with(faults)) {
                    break;
                }
            }
        }
    }

    fn calm(&mut self, plan: &mut Plan) {
        if plan.perturbed {
            self.keeps(plan, Plan { perturbed: false, ..plan.clone() });
        }
    }
}

/// Simpler kinds of the same sort, the simplest first.
fn simpler(fault: &Fault) -> Vec<Kind> {
    let shorter = |ms: u64| [1_000, 10_000, 60_000].into_iter().filter(move |short| *short < ms);
    match &fault.what {
        Kind::PowerLoss { keep: 0 } => vec![Kind::Crash],
        Kind::PowerLoss { .. } => vec![Kind::Crash, Kind::PowerLoss { keep: 0 }],
        Kind::Torn | Kind::Flipped | Kind::Truncated | Kind::Older => {
            vec![Kind::Crash, Kind::PowerLoss { keep: 0 }]
        }
        Kind::Outage { api, ms } => {
            shorter(*ms).map(|ms| Kind::Outage { api: api.clone(), ms }).collect()
        }
        Kind::Revoked { api, ms } => {
            shorter(*ms).map(|ms| Kind::Revoked { api: api.clone(), ms }).collect()
        }
        Kind::Slow { ms } => shorter(*ms).map(|ms| Kind::Slow { ms }).collect(),
        Kind::Pause { ms } => shorter(*ms).map(|ms| Kind::Pause { ms }).collect(),
        Kind::Throttled { .. } => vec![Kind::Unavailable],
        Kind::Stalled | Kind::Garbled | Kind::WrongType => vec![Kind::LostAfter],
        Kind::Stop { actor } => vec![Kind::Kill { actor: actor.clone() }],
        _ => vec![],
    }
}
