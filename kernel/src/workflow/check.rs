//! The checks that turn a definition's text into a [`Workflow`] that can be run: here what concerns it as a whole, in the
//! folder its parts.

mod names;
mod start;
mod step;
mod work;

use toml::Table;

use super::{
    STEPS_MAX, Step, Workflow,
    definition::Fields,
    problem::{Problem, Problems, Said, said},
};
use crate::id::{BadName, WorkflowName};

/// Checks the definition in `table` whole.
pub(super) fn check(file: &str, source: &str, table: Table) -> Result<Workflow, Vec<Problem>> {
    let mut problems = Problems::new(file);
    let mut fields = Fields::new(&mut problems, None, "", table);
    let name = fields.required("name");
    let name = name.and_then(|name| {
        fields.accept("name", WorkflowName::new(name).map_err(|error| bad_name(&error)))
    });
    let description = fields.text("description").unwrap_or_default();
    let over_budget = fields.choice("over_budget", &start::OVER_BUDGET).unwrap_or_default();
    let intent =
        fields.table("intent").and_then(|table| start::intent(fields.nested("intent", table)));
    let triggers = start::each(&mut fields, "trigger", start::trigger);
    let schedules = start::each(&mut fields, "schedule", start::schedule);
    let steps = fields.tables("step");
    if steps.is_empty() {
        let help = "add a [[step]] with a name and what it does";
        fields.wrong("step", said("there is no step", help));
    }
    fields.finish();
    let steps = checked_steps(&mut problems, steps);
    match (name, steps, problems.is_empty()) {
        (Some(name), Some(steps), true) => Ok(Workflow {
            name,
            description,
            intent,
            over_budget,
            triggers,
            schedules,
            steps,
            file: file.into(),
            source: source.into(),
        }),
        _ => Err(problems.all()),
    }
}

pub(super) fn bad_name(error: &BadName) -> Said {
    (error.to_string(), None)
}

/// The steps, if each of them is well.
fn checked_steps(problems: &mut Problems, tables: Vec<Table>) -> Option<Vec<Step>> {
    if tables.len() > STEPS_MAX {
        let message = format!("there are {} steps and the limit is {STEPS_MAX}", tables.len());
        problems.add(None, Some("step"), said(message, "split it into several workflows"));
        return None;
    }
    let names: Vec<String> = tables.iter().map(|table| text_of(table, "name")).collect();
    let mut steps = vec![];
    let mut needs = vec![];
    for (index, table) in tables.into_iter().enumerate() {
        let name = names[index].as_str();
        let (step, prefix) = match name {
            "" => (None, format!("step[{index}].")),
            name => (Some(name), String::new()),
        };
        let fields = Fields::new(problems, step, prefix, table);
        let (step, needed) = step::step(fields, &names);
        steps.push(step);
        needs.push(needed);
    }
    duplicates(problems, &names);
    circle(problems, &needs, &names);
    steps.into_iter().collect()
}

/// The text `key` of `table`, or an empty one.
fn text_of(table: &Table, key: &str) -> String {
    table.get(key).and_then(|value| value.as_str()).unwrap_or_default().into()
}

fn duplicates(problems: &mut Problems, names: &[String]) {
    for (index, name) in names.iter().enumerate() {
        if !name.is_empty() && names[..index].contains(name) {
            let said = said("another step has this name", "step names are unique");
            problems.add(Some(name), Some("name"), said);
        }
    }
}

/// Finds one circle of `needs`, by walking each step's needs depth first.
fn circle(problems: &mut Problems, needs: &[Vec<usize>], names: &[String]) {
    let mut done = vec![false; needs.len()];
    for start in 0..needs.len() {
        if let Some(circle) = walk(start, needs, &mut vec![], &mut done) {
            let names: Vec<&str> = circle.iter().map(|index| names[*index].as_str()).collect();
            let message = format!("the steps need each other in a circle: {}", names.join(" → "));
            let said = said(message, "remove one of these `needs`");
            problems.add(Some(names[0]), Some("needs"), said);
            return;
        }
    }
}

/// Walks from `step` along `needs`; returns a circle if the walk meets its own path. Its depth is at most
/// [`STEPS_MAX`], because a path has no step twice.
fn walk(
    step: usize,
    needs: &[Vec<usize>],
    path: &mut Vec<usize>,
    done: &mut [bool],
) -> Option<Vec<usize>> {
    if let Some(start) = path.iter().position(|on_path| *on_path == step) {
        return Some(path[start..].iter().copied().chain([step]).collect());
    }
    if done[step] {
        return None;
    }
    path.push(step);
    let circle = needs[step].iter().find_map(|need| walk(*need, needs, path, done));
    path.pop();
    done[step] = true;
    circle
}
