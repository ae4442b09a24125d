//! What must hold of several of the companies, read from what happened in the world and from what the kernel says of it.

use std::collections::BTreeMap;

use soloist::{
    Soloist,
    effect::Write,
    id::StepName,
    run::{EffectRef, Run},
};
use soloist_sim::{Effect, Scenario, World};

/// Nobody gets more mails than `max` says of their address; whoever is not in it gets none.
pub(super) fn mails_at_most(world: &World, max: impl Fn(&str) -> usize) -> Result<(), String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for mail in world.effects_of("mail.send") {
        *counts.entry(text(&mail, "to")).or_default() += 1;
    }
    match counts.into_iter().find(|(to, count)| *count > max(to)) {
        Some((to, count)) => Err(format!("{count} mails went to {to}, who is to get {}", max(&to))),
        None => Ok(()),
    }
}

/// The field `name` of what the other side says of `effect`.
pub(super) fn text(effect: &Effect, name: &str) -> String {
    effect.detail[name].as_str().unwrap_or_default().to_owned()
}

/// Every run of `workflow`, as its history has it.
pub(super) fn runs(soloist: &Soloist, workflow: &str) -> Result<Vec<Run>, String> {
    let mut found = vec![];
    for summary in soloist.runs().map_err(|error| error.to_string())? {
        let run = soloist.folded(&summary.run).map_err(|error| error.to_string())?;
        found.extend(run.filter(|run| run.definition.name.as_str() == workflow));
    }
    Ok(found)
}

/// What `run` did to the world and has not taken back, as the other sides count it.
pub(super) fn stands(world: &World, run: &Run) -> Vec<String> {
    // A place is one of its step: two steps have a first call each.
    let undone = |step, effect| {
        let mut undos = run
            .writes()
            .filter(|(of, _, write)| *of == step && write.reverses.as_ref() == Some(effect));
        undos.any(|(step, undo, _)| happened(world, run, step, undo))
    };
    let writes = run.writes().filter(|(step, effect, write)| {
        write.reverses.is_none() && happened(world, run, step, effect) && !undone(*step, *effect)
    });
    writes.map(|(_, _, write)| name(write)).collect()
}

fn happened(world: &World, run: &Run, step: &StepName, effect: &EffectRef) -> bool {
    let key = run.key(step, effect);
    world.effects().iter().any(|effect| effect.key == key.as_str())
}

fn name(write: &Write) -> String {
    format!("{}.{}", write.proposal.connector, write.proposal.operation)
}

/// What a sweep of any company must have seen.
pub(super) fn seen_in_all(scenario: &mut Scenario) {
    let seen = |what: &'static str| move |world: &World| world.seen(what) > 0;
    scenario
        .sometimes("a write was in doubt", seen("an attempt was left in doubt"))
        .sometimes("somebody was written to", |world| !world.effects_of("mail.send").is_empty())
        .sometimes("the operator said yes", seen("the operator said approve"))
        .sometimes("the operator said no", seen("the operator said abort"));
}
