//! `soloist sim mutants`: whether the invariants would notice. Only in a build with the feature `mutants`.

#[cfg(feature = "mutants")]
pub(super) use self::planted::mutants;

#[cfg(not(feature = "mutants"))]
pub(super) fn mutants(
    _arguments: &crate::cli::MutantsArguments,
    _json: bool,
) -> Result<(), crate::report::Failure> {
    let message = "this soloist has no bugs to plant; build one with `--features mutants`, for simulations alone";
    Err(crate::report::Failure::new(crate::report::Exit::Usage, message))
}

#[cfg(feature = "mutants")]
mod planted {
    use soloist::workflow::nearest;
    use soloist_kernel::mutant::Mutant;
    use soloist_sim::mutants::{Hunted, hunt};

    use crate::{
        cli::MutantsArguments,
        commands::sim::{chosen, never_holds, progress, say_json},
        report::{Exit, Failure, table},
    };

    /// Hunts them.
    pub(in crate::commands::sim) fn mutants(
        arguments: &MutantsArguments,
        json: bool,
    ) -> Result<(), Failure> {
        let scenarios = chosen(&arguments.scenario)?;
        let wanted = match &arguments.mutant {
            Some(name) => vec![named(name)?],
            None => Mutant::ALL.to_vec(),
        };
        let bar = progress("mutants", wanted.len() as u64, json || arguments.headless);
        let hunted = hunt(&scenarios, &wanted, arguments.seeds, &|name| {
            bar.set_message(name.to_owned());
            bar.inc(1);
        });
        bar.finish_and_clear();
        let hunted = hunted.map_err(|outcome| {
            let of = scenarios.iter().find(|scenario| scenario.name() == outcome.plan.scenario);
            never_holds(of.expect("it was one of these"), &outcome)
        })?;
        if json {
            say_json(&hunted);
        } else {
            show(&hunted);
        }
        if hunted.survivors.is_empty() { Ok(()) } else { Err(Failure::said()) }
    }

    fn named(name: &str) -> Result<Mutant, Failure> {
        let all = Mutant::ALL.iter();
        let found = all.clone().find(|mutant| mutant.name() == name);
        found.copied().ok_or_else(|| {
            let near = nearest(name, all.map(|mutant| mutant.name()));
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            Failure::new(Exit::Usage, format!("there is no mutant {name:?}{near}"))
        })
    }

    fn show(hunted: &Hunted) {
        let row = |kill: &soloist_sim::mutants::Kill| {
            vec![
                kill.mutant.clone(),
                kill.invariant.clone(),
                kill.scenario.clone(),
                kill.simulations.to_string(),
                kill.plan.faults.len().to_string(),
            ]
        };
        let header = ["MUTANT", "KILLED BY", "IN", "SIMULATIONS", "FAULTS"];
        table(&header, &hunted.kills.iter().map(row).collect::<Vec<_>>());
        say!("\n{} of {} were killed.", hunted.killed, hunted.planted);
        for name in &hunted.survivors {
            let says = named(name).map_or("", Mutant::says);
            say!("{name} survived: {says}");
        }
    }
}
