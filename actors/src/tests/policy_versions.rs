//! Two versions of the policy side by side: each run is judged by the one that its topmost run draws.

use std::collections::BTreeMap;

use serde_json::json;
use soloist_kernel::{
    journal::Journal,
    policy::{Policy, seen},
    rollout::Subject,
};

use super::{
    shop::{Calls, Shop},
    *,
};
use crate::{compare, views};

const ASKS: &str = "[[rule]]\nname='ask'\nverdict='approve'\nreason='a test'";
const ALLOWS: &str = "[[rule]]\nname='trust'\nverdict='allow'\nreason='a test'";

const BUY: &str = "
    name = 'buy'
    [[step]]
    name = 'order'
    call = 'shop.order'
    input = { what = \"'tea'\" }
";

const BUY_BENEATH: &str = "
    name = 'errand'
    [[step]]
    name = 'one'
    workflow = 'buy'
    input = {}
    [[step]]
    name = 'other'
    workflow = 'buy'
    input = {}
    needs = ['one']
";

fn policy(text: &str) -> Policy {
    Policy::parse("p", text).unwrap()
}

async fn open(house: &House, judges: &str) -> Soloist {
    let kernel = house.kernel(&[BUY, BUY_BENEATH]).policy(policy(judges));
    kernel.connector("shop", Shop::new(&Calls::default())).open().await.unwrap()
}

async fn bought(soloist: &Soloist, workflow: &str, prefix: &str, count: usize) {
    for number in 0..count {
        let run = soloist.start(workflow, &format!("{prefix}-{number}"), &json!({})).await.unwrap();
        run.rest().await.unwrap();
    }
}

/// The version that judged each run last; and every judgement on record is given again by the version that it names.
fn judged(journal: &dyn Journal) -> BTreeMap<String, u32> {
    let policies = views::policies(journal).unwrap();
    let cases = views::cases(journal, Timestamp(0)).unwrap();
    let hearings = cases.iter().flat_map(|case| case.hearings.iter().map(move |one| (case, one)));
    hearings
        .map(|(case, hearing)| {
            assert!(seen(hearing, &policies).is_some(), "{case:?}");
            (case.run.to_string(), hearing.judgement.policy)
        })
        .collect()
}

fn by_newest(judged: &BTreeMap<String, u32>, prefix: &str) -> usize {
    let newest = *judged.values().max().unwrap();
    judged.iter().filter(|(run, by)| run.starts_with(prefix) && **by == newest).count()
}

#[tokio::test(start_paused = true)]
async fn a_share_of_the_runs_is_judged_by_the_newest_policy_over_restarts_and_reloads() {
    let house = House::new();
    let soloist = open(&house, ASKS).await;
    let alone = soloist.canary(&Subject::Policy, 30.0).await.unwrap_err();
    assert!(alone.to_string().contains("set one with `soloist policy set`"), "{alone}");
    let house = house.after(soloist).await;
    let soloist = open(&house, ALLOWS).await;
    let rollout = soloist.canary(&Subject::Policy, 30.0).await.unwrap();
    assert_eq!((rollout.base, rollout.canary), (1, 2));
    bought(&soloist, "buy", "a", 50).await;
    let house = house.after(soloist).await;
    let soloist = open(&house, ALLOWS).await;
    // What a file says again that is in force changes nothing.
    assert_eq!(soloist.set_policy(policy(ALLOWS)).await.unwrap(), 2);
    bought(&soloist, "buy", "b", 50).await;

    let all = judged(soloist.journal());
    let newest = by_newest(&all, "");
    assert!((18..45).contains(&newest), "{newest} of {}", all.len());
    let compared = compare(soloist.journal()).unwrap();
    let [base, canary] = compared[0].arms.clone();
    assert_eq!((base.version, canary.version), (1, 2));
    assert_eq!(canary.measures.runs as usize, newest);
    assert_eq!((canary.measures.completed, canary.measures.asked), (newest as u64, 0));
    assert_eq!(
        (base.measures.open, base.measures.asked),
        (100 - newest as u64, 100 - newest as u64)
    );

    // One that is set later is for everyone, and so is one that is promoted.
    soloist.set_policy(policy(ASKS)).await.unwrap();
    bought(&soloist, "buy", "c", 20).await;
    assert_eq!(by_newest(&judged(soloist.journal()), "c"), 20);
    soloist.set_policy(policy(ALLOWS)).await.unwrap();
    soloist.canary(&Subject::Policy, 0.0).await.unwrap();
    bought(&soloist, "buy", "d", 10).await;
    assert!(judged(soloist.journal()).iter().all(|(run, by)| !run.starts_with('d') || *by == 3));
    soloist.promote(&Subject::Policy).await.unwrap();
    bought(&soloist, "buy", "e", 10).await;
    assert!(judged(soloist.journal()).iter().all(|(run, by)| !run.starts_with('e') || *by == 4));
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn runs_beneath_are_judged_by_what_their_topmost_run_draws() {
    let house = House::new();
    let house = house.after(open(&house, ASKS.replace("approve", "shadow").as_str()).await).await;
    let soloist = open(&house, ALLOWS).await;
    soloist.canary(&Subject::Policy, 50.0).await.unwrap();
    bought(&soloist, "errand", "e", 20).await;
    let all = judged(soloist.journal());
    assert_eq!(all.len(), 40);
    let mut by_both = 0;
    for number in 0..20 {
        let stem = format!("e-{number}.");
        let by: Vec<u32> =
            all.iter().filter(|(run, _)| run.starts_with(&stem)).map(|(_, by)| *by).collect();
        assert_eq!(by.len(), 2, "{all:?}");
        assert_eq!(by[0], by[1], "{all:?}");
        by_both += by[0] - 1;
    }
    assert!((3..18).contains(&by_both), "{by_both}");
    soloist.shutdown().await.unwrap();
}
