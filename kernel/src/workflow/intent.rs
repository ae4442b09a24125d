//! Goals by name: what a person wants, without knowing which workflow does it.

use std::{collections::BTreeSet, time::Duration};

use super::{Workflow, definition::listed, nearest};

/// A named goal, which whoever wants it need not know the workflow for, with the policies that every run for it is under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Its canonical name: `win-customer`.
    pub name: String,
    /// Other words for it. They are compared without case, and with runs of anything but letters and digits as one space.
    pub phrases: Vec<String>,
    /// Who may read what the run holds, besides the owner. Absent: whoever its input allows.
    pub readers: Option<BTreeSet<String>>,
    /// What one run may cost, in millionths of a US dollar.
    pub cost_max_micro_usd: Option<u64>,
    /// How long a run may take before the operator is told.
    pub deadline: Option<Duration>,
}

impl Intent {
    /// Whether `words` are its name or one of its phrases.
    #[must_use]
    pub fn matches(&self, words: &str) -> bool {
        let wanted = normal(words);
        !wanted.is_empty() && self.words().any(|known| normal(known) == wanted)
    }

    /// Its name and its phrases.
    fn words(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.phrases.iter().map(String::as_str))
    }
}

/// The workflow for the goal that `words` name.
///
/// # Errors
///
/// Says which known goal is nearest, or which there are, or which workflows claim the same one.
pub fn find_intent<'a>(
    workflows: impl Iterator<Item = &'a Workflow>,
    words: &str,
) -> Result<&'a Workflow, String> {
    let known: Vec<(&Workflow, &Intent)> =
        workflows.filter_map(|workflow| Some((workflow, workflow.intent.as_ref()?))).collect();
    let matching: Vec<&Workflow> = known
        .iter()
        .filter(|(_, intent)| intent.matches(words))
        .map(|(workflow, _)| *workflow)
        .collect();
    match matching[..] {
        [workflow] => Ok(workflow),
        [] => Err(unknown(words, &known)),
        _ => {
            let names: Vec<&str> = matching.iter().map(|workflow| workflow.name.as_str()).collect();
            Err(format!(
                "the goal {words:?} is claimed by the workflows {}; start one of them by its name",
                listed(&names)
            ))
        }
    }
}

/// Most goals that an error names.
const NAMED_MAX: usize = 5;

fn unknown(words: &str, known: &[(&Workflow, &Intent)]) -> String {
    if known.is_empty() {
        return "no workflow has an [intent], so there is no goal to name".into();
    }
    let wanted = normal(words);
    let normals: Vec<(String, &str)> = known
        .iter()
        .flat_map(|(_, intent)| intent.words().map(|known| (normal(known), intent.name.as_str())))
        .collect();
    let near = nearest(&wanted, normals.iter().map(|(normal, _)| normal.as_str()));
    let near = near.and_then(|near| normals.iter().find(|(normal, _)| normal == near));
    if let Some((_, name)) = near {
        return format!("no workflow serves the goal {words:?}; did you mean `{name}`?");
    }
    let sharing = |intent: &Intent| {
        let wanted: BTreeSet<&str> = wanted.split(' ').collect();
        intent.words().any(|known| normal(known).split(' ').any(|word| wanted.contains(word)))
    };
    let mut names: Vec<(bool, &str)> =
        known.iter().map(|(_, intent)| (!sharing(intent), intent.name.as_str())).collect();
    names.sort_unstable();
    let names: Vec<&str> = names.into_iter().map(|(_, name)| name).take(NAMED_MAX).collect();
    format!("no workflow serves the goal {words:?}; the nearest are {}", listed(&names))
}

/// Words as they are compared: in lower case, and with runs of anything but letters and digits as one space.
pub(super) fn normal(words: &str) -> String {
    let lower = words.to_lowercase();
    let parts = lower.split(|char: char| !char.is_alphanumeric()).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workflow(name: &str, goal: &str, phrases: &str) -> Workflow {
        let source = format!(
            "name = '{name}'\n[intent]\nname = '{goal}'\nphrases = [{phrases}]\n[[step]]\nname = 'a'\nagent = 'a'"
        );
        Workflow::parse("x.toml", &source).unwrap()
    }

    fn company() -> Vec<Workflow> {
        vec![
            workflow("outreach", "win-customer", "'reach out to a lead', 'Write to prospects!'"),
            workflow("invoicing", "get-paid", "'send an invoice', 'bill the customer'"),
            Workflow::parse("x.toml", "name = 'x'\n[[step]]\nname = 'a'\nagent = 'a'").unwrap(),
        ]
    }

    #[track_caller]
    fn check(words: &str, expected: Result<&str, &str>) {
        let company = company();
        let found = find_intent(company.iter(), words).map(|workflow| workflow.name.as_str());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn a_goal_is_found_by_its_name_and_its_phrases() {
        check("win-customer", Ok("outreach"));
        check("  Win   CUSTOMER ", Ok("outreach"));
        check("write to prospects", Ok("outreach"));
        check("Send an invoice.", Ok("invoicing"));
    }

    #[test]
    fn an_unknown_goal_names_the_nearest() {
        check(
            "send an invoic",
            Err("no workflow serves the goal \"send an invoic\"; did you mean `get-paid`?"),
        );
        check(
            "make the customer pay",
            Err(
                "no workflow serves the goal \"make the customer pay\"; the nearest are `get-paid` and `win-customer`",
            ),
        );
        check(
            "",
            Err("no workflow serves the goal \"\"; the nearest are `get-paid` and `win-customer`"),
        );
        let none: [Workflow; 0] = [];
        assert_eq!(
            find_intent(none.iter(), "x").unwrap_err(),
            "no workflow has an [intent], so there is no goal to name"
        );
    }

    #[test]
    fn a_goal_that_two_workflows_claim_is_nobodys() {
        let mut company = company();
        company.push(workflow("reminder", "remind", "'send an invoice'"));
        assert_eq!(
            find_intent(company.iter(), "send an invoice").unwrap_err(),
            "the goal \"send an invoice\" is claimed by the workflows `invoicing` and `reminder`; start one of them by its name"
        );
    }
}
