//! The companies in a simulation: their own workflows, policies and agents, over systems that the simulator can look into.
//!
//! Nothing here stands in for the code that production runs: the connectors to the sandbox and the SMTP client are the real
//! ones. What is made up is who is on the other side, what is asked of the kernel, and what the operator decides. `rules.rs`
//! has the definitions of a company, `systems.rs` what they work with, `checks.rs` what must hold of several of them; each of
//! the others is one scenario.

mod checks;
mod content;
mod invoicing;
mod mail;
mod outreach;
mod qualification;
mod rules;
mod systems;

use soloist_sim::Scenario;

use crate::report::Failure;

/// The scenarios, each with what it is in a line.
pub(crate) const SCENARIOS: [(&str, &str); 8] = [
    ("mail", "mail arrives, is answered or not, and leaves by SMTP"),
    ("outreach", "leads are written to once, unless they owe money, and the CRM says so"),
    ("invoicing", "orders are invoiced, charged and thanked for, or all of it is taken back"),
    ("content", "articles are checked for their facts, approved and published; events tell of it"),
    ("qualification", "a model scores inquiries, and whoever may become a customer is invited"),
    ("orders", "a shop with every kind of wait and of write: where planted bugs are hunted"),
    ("errands", "a town whose offices are odd in every way: where the other planted bugs are"),
    ("thrift", "a household that must not spend more than it may: where bugs with money are"),
];

/// The scenarios, in the same order. Definitions are read here, once, and not in each simulation.
pub(crate) fn scenarios() -> Result<Vec<Scenario>, Failure> {
    Ok(vec![
        mail::scenario()?,
        outreach::scenario()?,
        invoicing::scenario()?,
        content::scenario()?,
        qualification::scenario()?,
        soloist_sim::orders::scenario(),
        soloist_sim::errands::scenario(),
        soloist_sim::thrift::scenario(),
    ])
}

#[cfg(test)]
mod tests {
    use soloist_sim::{
        Options, Plan, Report, run,
        sweep::{Sweep, sweep},
    };

    use super::*;

    /// Seeds that each scenario is put through here. The campaign is `soloist sim sweep`.
    const SEEDS: u64 = 20;

    fn named(name: &str) -> Scenario {
        let all = scenarios().unwrap_or_else(|failure| panic!("{failure}"));
        all.into_iter().find(|scenario| scenario.name() == name).expect("it is listed")
    }

    /// Simulates some seeds of the scenario `name`.
    #[track_caller]
    fn check(name: &str) {
        let wanted = Sweep { seeds: SEEDS, threads: Some(1), ..Sweep::default() };
        let swept = sweep(&named(name), &wanted, &|_| {}).unwrap_or_else(|outcome| {
            panic!("nothing goes wrong in it, and yet: {:?}", outcome.violations)
        });
        let failures = swept.failures.iter();
        let failures: Vec<_> =
            failures.map(|outcome| (&outcome.violations[0], outcome.plan.line())).collect();
        assert!(failures.is_empty(), "{failures:#?}");
        assert_eq!(swept.nondeterministic, 0, "{:?}", swept.differences);
    }

    #[test]
    fn the_list_names_every_scenario_in_its_order() {
        let made = scenarios().unwrap_or_else(|failure| panic!("{failure}"));
        let made: Vec<_> = made.iter().map(Scenario::name).collect();
        assert_eq!(made, SCENARIOS.map(|(name, _)| name));
    }

    #[test]
    fn everything_holds_at_every_size_when_nothing_goes_wrong() {
        for (name, _) in SCENARIOS {
            let scenario = named(name);
            for size in scenario.sizes() {
                let options = Options { keep_trace: true, ..Options::default() };
                let outcome = run(&scenario, &Plan::calm(name, 1, size), options);
                let report = Report { outcome: &outcome, faults_before: 0, simulations: 1 };
                assert!(outcome.is_well(), "{report}");
                assert!(outcome.effects > 0, "something happens in {name} of size {size}");
            }
        }
    }

    #[test]
    fn mail_is_answered_once() {
        check("mail");
    }

    #[test]
    fn leads_are_written_to_once() {
        check("outreach");
    }

    #[test]
    fn orders_are_charged_once_or_taken_back() {
        check("invoicing");
    }

    #[test]
    fn articles_are_published_when_the_operator_says_so() {
        check("content");
    }

    #[test]
    fn inquiries_are_invited_when_the_operator_says_so() {
        check("qualification");
    }
}
