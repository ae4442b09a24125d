//! Versions side by side: of agents, of workflows, of the policy.

use serde_json::json;
use soloist_kernel::{inbox::Item, policy::Policy};

use super::*;
use crate::{Agent, DecideError, Failure, Question, ReadOnly, Turn};

/// Asks, and says which version of it was asked.
struct Teller<const VERSION: u32>;

impl<const VERSION: u32> Agent for Teller<VERSION> {
    const NAME: &'static str = "teller";
    const VERSION: u32 = VERSION;
    type Kind = ReadOnly;
    type Input = serde_json::Value;
    type Output = u32;

    async fn run(&self, turn: Turn<ReadOnly>, _: serde_json::Value) -> Result<u32, Failure> {
        turn.ask::<serde_json::Value>(Question::new("Go?")).await?;
        Ok(VERSION)
    }
}

const FIRST: &str = "name='tell'\n[[step]]\nname='say'\nagent='teller'";
const SECOND: &str = "name='tell'\n[[step]]\nname='say'\nagent='teller'\n[[step]]\nname='more'\napprove='More?'\nneeds=['say']";

#[tokio::test(start_paused = true)]
async fn a_run_stays_with_its_versions_until_it_is_moved() {
    let house = House::new();
    let soloist = house.kernel(&[FIRST]).agent(Teller::<1>).open().await.unwrap();
    for run in ["stays", "moves"] {
        soloist.start("tell", run, &()).await.unwrap();
        waits(&soloist, run).await;
    }
    let house = house.after(soloist).await;
    let both = house.kernel(&[SECOND]).agent(Teller::<1>).agent(Teller::<2>);
    let soloist = both.open().await.unwrap();
    soloist.start("tell", "new", &()).await.unwrap();
    waits(&soloist, "new").await;

    let shown = soloist.migration("moves", None).unwrap();
    assert_eq!((shown.from.to_string(), shown.to.to_string()), ("tell@1".into(), "tell@2".into()));
    assert_eq!(shown.agents, [("teller".to_owned(), 1, 2)]);
    assert_eq!((shown.kept.as_slice(), shown.refused), (&["say".to_owned()][..], None));
    assert!(!shown.changes.is_empty(), "a step is added");
    soloist.migrate("moves", None).await.unwrap();

    for item in soloist.inbox().unwrap() {
        soloist.answer(item.id.as_str(), "yes").await.unwrap();
    }
    assert_eq!(completed(&soloist, "stays").await, json!(1), "the old workflow, the old agent");
    for run in ["moves", "new"] {
        waits(&soloist, run).await;
        let of = |item: &Item| item.run.as_ref().is_some_and(|of| of.as_str() == run);
        let item = soloist.inbox().unwrap().into_iter().find(of);
        soloist.approve(item.unwrap().id.as_str()).await.unwrap();
        completed(&soloist, run).await;
    }
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_agent_is_gone_says_which() {
    let house = House::new();
    let soloist = house.kernel(&[FIRST]).agent(Teller::<1>).open().await.unwrap();
    soloist.start("tell", "one", &()).await.unwrap();
    waits(&soloist, "one").await;
    let house = house.after(soloist).await;
    let soloist = house.kernel(&[FIRST]).agent(Teller::<2>).open().await.unwrap();
    let item = soloist.inbox().unwrap().remove(0);
    soloist.answer(item.id.as_str(), "yes").await.unwrap();
    let end = soloist.run("one").unwrap().rest().await.unwrap();
    let RunEnd::Failed { reason, .. } = end else { panic!("it came to {end:?}") };
    assert!(reason.starts_with("agent `teller@1` is not there"), "{reason}");
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_workflow_is_added_while_the_kernel_runs_if_it_is_well() {
    let house = House::new();
    let soloist = house.kernel(&[FIRST]).agent(Teller::<1>).open().await.unwrap();
    let good = Workflow::parse("second.toml", SECOND).unwrap();
    assert_eq!(soloist.add_workflow(good.clone()).await.unwrap().to_string(), "tell@2");
    assert_eq!(soloist.add_workflow(good).await.unwrap().to_string(), "tell@2", "it is there");
    let text = SECOND.replace("'teller'", "'tellre'");
    let bad = Workflow::parse("third.toml", &text).unwrap();
    let refused = soloist.add_workflow(bad).await.unwrap_err().to_string();
    assert!(refused.contains("did you mean `teller`?"), "{refused}");
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_policy_keeps_its_version_over_restarts_and_a_new_text_is_the_next() {
    let allow = |name: &str| {
        let text = format!("[[rule]]\nname='{name}'\nverdict='allow'\nreason='r'");
        Policy::parse("p", &text).unwrap()
    };
    let house = House::new();
    let soloist = house.kernel(&[]).policy(allow("a")).open().await.unwrap();
    assert_eq!(soloist.set_policy(allow("a")).await.unwrap(), 1);
    assert_eq!(soloist.set_policy(allow("b")).await.unwrap(), 2);
    let house = house.after(soloist).await;
    let soloist = house.kernel(&[]).policy(allow("b")).open().await.unwrap();
    assert_eq!(soloist.set_policy(allow("b")).await.unwrap(), 2);
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_aborted_is_over_and_a_run_that_is_not_there_is_named() {
    let house = House::new();
    let soloist = house.kernel(&[FIRST]).agent(Teller::<1>).open().await.unwrap();
    soloist.start("tell", "one", &()).await.unwrap();
    waits(&soloist, "one").await;
    soloist.abort_run("one", "enough").await.unwrap();
    let end = soloist.run("one").unwrap().rest().await.unwrap();
    assert_eq!(end, RunEnd::Aborted { reason: "enough".into() });
    assert!(soloist.inbox().unwrap().is_empty(), "its question is gone, and so is it");
    let missing = soloist.abort_run("two", "enough").await.unwrap_err();
    assert!(matches!(missing, DecideError::NoRun { .. }), "{missing}");
    soloist.shutdown().await.unwrap();
}
