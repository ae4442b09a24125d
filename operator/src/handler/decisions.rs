//! What was decided, and what another policy would have said of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use soloist_actors::views;
use soloist_kernel::{
    decisions::Case,
    journal::Journal,
    policy::{Policy, Risk, Wanted},
    time::Timestamp,
    workflow::nearest,
};

use super::problems;
use crate::request::Problem;

/// The cases since `since_ms`, oldest first, of one connector or of all.
pub(super) fn decisions(
    journal: &dyn Journal,
    since_ms: Option<u64>,
    connector: Option<&str>,
) -> Result<Value, Problem> {
    let mut cases = cases(journal, since_ms)?;
    if let Some(wanted) = connector {
        cases.retain(|case| case.first().proposal.connector.as_str() == wanted);
    }
    Ok(cases.iter().map(Case::view).collect())
}

/// Tries a policy against the cases. What the configuration added to the lists of the policy in force is in its lists as well.
pub(super) fn backtest(
    journal: &dyn Journal,
    file: &str,
    text: &str,
    since_ms: Option<u64>,
) -> Result<Value, Problem> {
    let policy = Policy::parse(file, text).map_err(|found| problems(&found))?;
    let versions = views::policies(journal).map_err(Problem::new)?;
    let policy = match versions.values().next_back() {
        Some(newest) => policy.with_lists_of(newest),
        None => policy,
    };
    let cases = cases(journal, since_ms)?;
    let mut answer = policy.backtest(&cases, &versions).view();
    answer["policy"] = json!(file);
    Ok(answer)
}

/// The rules that the cases support, for the policy in force.
pub(super) fn suggest(
    journal: &dyn Journal,
    since_ms: Option<u64>,
    min: usize,
    also: &[String],
) -> Result<Value, Problem> {
    let also = also.iter().map(|word| risk(word)).collect::<Result<BTreeSet<_>, _>>()?;
    if min == 0 {
        return Err(Problem::new("a rule rests on one case at least; give a `min` of 1 or more"));
    }
    let versions: BTreeMap<u32, Policy> = views::policies(journal).map_err(Problem::new)?;
    let Some(policy) = versions.values().next_back() else {
        return Err(Problem::new("no policy was ever in force here, so nothing was judged"));
    };
    let cases = cases(journal, since_ms)?;
    let mut answer = policy.suggest(&cases, &versions, &Wanted { min, also }).view();
    answer["policy"] = json!(policy.version());
    answer["min"] = json!(min);
    Ok(answer)
}

fn risk(word: &str) -> Result<Risk, Problem> {
    let found = Risk::ALL.into_iter().find(|risk| risk.word() == word);
    found.ok_or_else(|| {
        let words = Risk::ALL.map(Risk::word);
        let help = match nearest(word, words.into_iter()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", words.join(", ")),
        };
        Problem::new(format!("there is no risk `{word}`; {help}"))
    })
}

fn cases(journal: &dyn Journal, since_ms: Option<u64>) -> Result<Vec<Case>, Problem> {
    views::cases(journal, Timestamp(since_ms.unwrap_or_default())).map_err(Problem::new)
}
