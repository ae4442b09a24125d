//! Versions side by side: a share of the runs takes the newest, always the same ones, and what comes of each is counted.

use super::*;
use crate::{Agent, Failure, ReadOnly, Turn, compare};

/// Says which version it is.
struct Sayer<const VERSION: u32>;

impl<const VERSION: u32> Agent for Sayer<VERSION> {
    const NAME: &'static str = "sayer";
    const VERSION: u32 = VERSION;
    type Kind = ReadOnly;
    type Input = serde_json::Value;
    type Output = u32;

    async fn run(&self, _: Turn<ReadOnly>, _: serde_json::Value) -> Result<u32, Failure> {
        Ok(VERSION)
    }
}

const FIRST: &str = "name='say'\n[[step]]\nname='it'\nagent='sayer'";
const SECOND: &str = "name='say'\ndescription='in other words'\n[[step]]\nname='it'\nagent='sayer'";

async fn open(house: &House, workflow: &str) -> Soloist {
    house.kernel(&[workflow]).agent(Sayer::<1>).agent(Sayer::<2>).open().await.unwrap()
}

/// Starts runs of these names, and tells for each which version of the agent it took, and of the workflow.
async fn taken(soloist: &Soloist, prefix: &str, count: usize) -> Vec<(u32, u32)> {
    let mut found = vec![];
    for number in 0..count {
        let name = format!("{prefix}-{number}");
        soloist.start("say", &name, &()).await.unwrap();
        let agent = completed(soloist, &name).await.as_u64().unwrap();
        let run = soloist.folded(&name.parse().unwrap()).unwrap().unwrap();
        found.push((u32::try_from(agent).unwrap(), run.workflow.version));
    }
    found
}

#[tokio::test(start_paused = true)]
async fn a_share_of_the_runs_takes_the_canary_over_restarts_until_it_is_promoted() {
    let house = House::new();
    let soloist = open(&house, FIRST).await;
    let alone = soloist.canary(&"workflow:say".parse().unwrap(), 10.0).await.unwrap_err();
    assert!(alone.to_string().contains("no version before its newest"), "{alone}");
    let house = house.after(soloist).await;
    let soloist = open(&house, SECOND).await;
    let (workflow, agent) = ("workflow:say".parse().unwrap(), "agent:sayer".parse().unwrap());
    soloist.canary(&workflow, 30.0).await.unwrap();
    soloist.canary(&agent, 50.0).await.unwrap();
    let before = taken(&soloist, "a", 100).await;
    let house = house.after(soloist).await;
    let soloist = open(&house, SECOND).await;
    let mut all = before;
    all.extend(taken(&soloist, "b", 100).await);
    let canaries =
        |which: fn(&(u32, u32)) -> u32| all.iter().filter(|taken| which(taken) == 2).count();
    assert!((70..130).contains(&canaries(|taken| taken.0)), "of the agent");
    assert!((40..80).contains(&canaries(|taken| taken.1)), "of the workflow");

    let compared = compare(soloist.journal()).unwrap();
    let of = |text: &str| compared.iter().find(|c| c.rollout.of.to_string() == text).unwrap();
    let arms = &of("workflow:say").arms;
    assert_eq!([arms[0].version, arms[1].version], [1, 2]);
    assert_eq!(arms[0].measures.runs + arms[1].measures.runs, 200);
    assert_eq!(arms[1].measures.completed as usize, canaries(|taken| taken.1));
    assert_eq!(of("agent:sayer").arms[1].measures.runs as usize, canaries(|taken| taken.0));

    // Taken back, and then for everyone.
    soloist.canary(&agent, 0.0).await.unwrap();
    assert!(taken(&soloist, "c", 20).await.iter().all(|taken| taken.0 == 1));
    soloist.promote(&agent).await.unwrap();
    assert!(taken(&soloist, "d", 20).await.iter().all(|taken| taken.0 == 2));
    let none = soloist.promote(&agent).await.unwrap_err();
    assert!(none.to_string().contains("`agent:sayer` has no canary"), "{none}");
    soloist.shutdown().await.unwrap();
}
