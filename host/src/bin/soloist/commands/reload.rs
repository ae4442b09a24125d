//! What `serve` does on SIGHUP: it reads its policy and its workflow again. What is wrong is said and not taken, and what was
//! there stays.

use soloist::Soloist;

use crate::{company, config::Config, report::Failure};

/// Reads both again, each by itself: a mistake in one does not keep the other from being taken.
pub(super) async fn reload(config: &Config, soloist: &Soloist) {
    match policy(config, soloist).await {
        Ok(version) => eprintln!("soloist: version {version} of the policy is in force"),
        Err(problem) => eprintln!("soloist: the policy stays as it was: {problem}"),
    }
    match workflow(config, soloist).await {
        Ok(workflow) => eprintln!("soloist: {workflow} is the newest version of the workflow"),
        Err(problem) => eprintln!("soloist: the workflow stays as it was: {problem}"),
    }
}

async fn policy(config: &Config, soloist: &Soloist) -> Result<u32, String> {
    let policy = company::policy(config).map_err(|failure: Failure| failure.to_string())?;
    soloist.set_policy(policy).await.map_err(|error| error.to_string())
}

/// What mail starts is fixed when `serve` starts, so a workflow of another name would never run.
async fn workflow(config: &Config, soloist: &Soloist) -> Result<String, String> {
    let workflow = company::workflow(config).map_err(|failure: Failure| failure.to_string())?;
    let known = soloist.workflows();
    if !known.iter().any(|(pinned, _)| pinned.name == workflow.name) {
        let name = &workflow.name;
        return Err(format!("it is called `{name}` now; start serve again for another workflow"));
    }
    let pinned = soloist.add_workflow(workflow).await.map_err(|error| error.to_string())?;
    Ok(pinned.to_string())
}
