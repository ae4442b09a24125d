//! Every judgement on record is given again: by the policy that gave it, on what had landed by then.
//!
//! What policy saw is not on record. It is folded from it, for people who ask what another policy would have said. That this is
//! what policy really saw is proved here: verdict, rule and reason are the same, in every process that judged.

use soloist_actors::views;
use soloist_kernel::{
    decisions::{Case, Hearing},
    journal::{Journal, ReadError},
    policy::seen,
    time::Timestamp,
};

/// What does not come out as it is on record.
pub(super) fn check(journal: &dyn Journal) -> Result<Vec<String>, ReadError> {
    let policies = views::policies(journal)?;
    let cases = views::cases(journal, Timestamp(0))?;
    let heard = cases.iter().flat_map(|case| case.hearings.iter().map(move |one| (case, one)));
    let otherwise = heard.filter(|(_, hearing)| seen(hearing, &policies).is_none());
    Ok(otherwise.map(|(case, hearing)| said(case, hearing)).collect())
}

fn said(case: &Case, hearing: &Hearing) -> String {
    let (judgement, evidence) = (&hearing.judgement, &hearing.evidence);
    format!(
        "{} of {}/{} was judged {} by `{}` of policy {}, which does not say so on {:?}",
        case.operation(),
        case.run,
        case.step,
        judgement.verdict,
        judgement.rule,
        judgement.policy,
        evidence.reached
    )
}
