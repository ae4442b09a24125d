//! The other proving ground: errands in a town whose offices keep odd hours.
//!
//! Where [`orders`](crate::orders) has every kind of write and of wait, this one has everything that can be odd about the other
//! side and about the operator although nothing goes wrong: answers that never come, searches that cannot tell, errors before
//! an answer, templates that change between an approval and its attempt, changes to be pulled; letters that are changed by hand
//! or left to expire, a policy that looks at where writes have landed and another one after a deployment; a failure while a
//! write is in doubt and something beneath is to be taken back.

mod town;

use std::time::Duration;

use serde_json::{Value, json};
use soloist_actors::{Agent, Failure, ReadOnly, Turn};
use soloist_kernel::{
    effect::Decision,
    inbox::{Item, Kind},
    policy::Policy,
    workflow::Workflow,
};

use crate::{
    chance::Chance,
    operator::{APPROVED_LATER, Operator},
    scenario::{Scenario, Systems},
    world::World,
};

const ERRAND: &str = include_str!("errands/errand.toml");
const FETCH: &str = include_str!("errands/fetch.toml");
const WISH: &str = include_str!("errands/wish.toml");
const POLICY: &str = include_str!("errands/policy.toml");

/// How long after the first a client pulls again what was wished.
const PULLED_AGAIN: Duration = Duration::from_secs(90);

/// The scenario.
///
/// # Panics
///
/// If its own definitions are not well, which its tests would show.
#[must_use]
pub fn scenario() -> Scenario {
    let mut scenario = Scenario::new("errands");
    scenario.systems(|world| town::town(world).mounted(Systems::new(), "town"));
    let workflows = [("fetch", FETCH), ("wish", WISH), ("errand", ERRAND)].map(|(name, text)| {
        Workflow::parse(name, text).unwrap_or_else(|problems| panic!("{}", problems[0]))
    });
    let policy = |text: &str| {
        Policy::parse("policy", text).unwrap_or_else(|problems| panic!("{}", problems[0]))
    };
    // Under the new policy no more letters are written.
    let later = POLICY.replacen("verdict = \"approve\"", "verdict = \"shadow\"", 1);
    let later = later.replace("deadline = \"20m\"\nat_deadline = \"abort\"\n", "");
    let (policy, later) = (policy(POLICY), policy(&later));
    let make = move |policy: Policy| {
        let workflows = workflows.clone();
        move |builder: soloist_actors::Builder, process: &crate::process::Process| {
            let builder = builder.agent(Walk { world: process.world().clone() });
            let builder = workflows.iter().cloned().fold(builder, |all, one| all.workflow(one));
            builder.policy(policy.clone()).intake("town", "wish", None)
        }
    };
    scenario.kernel(make.clone()(policy));
    scenario.deploys(make(later));
    scenario.operator(Operator::deciding(decides).changing(changes));
    scenario.size_max(3);
    scenario.workload(|client| async move {
        client.pull("town").await;
        for number in 0..client.size() {
            let errand = json!({ "id": format!("e{number}") });
            client.start("errand", &format!("r{number}"), &errand).await;
        }
        client.sleep(PULLED_AGAIN).await;
        client.pull("town").await;
    });
    scenario.always("everybody gets one voucher, and no letter", town::one_each);
    scenario.always("under the new policy no letter is approved", |world| {
        match world.seen(APPROVED_LATER) {
            0 => Ok(()),
            letters => Err(format!("{letters} were")),
        }
    });
    scenario.finally("what was wished is begun", |world, soloist| {
        let runs = soloist.runs().map_err(|error| error.to_string())?;
        let begun = runs.iter().filter(|run| run.workflow.starts_with("wish@")).count();
        let wished = world.size() as usize;
        if begun == wished { Ok(()) } else { Err(format!("{wished} wishes, and {begun} runs")) }
    });
    for seen in [
        "the operator said modify",
        "the operator said resolve",
        "a run was set aside",
        "a probe could not tell",
    ] {
        scenario.sometimes(seen, move |world| world.seen(seen) > 0);
    }
    scenario
}

/// He says what he thinks of letters, and forgets notices.
fn decides(item: &Item, chance: &mut Chance) -> Option<Decision> {
    match item.kind {
        Kind::Approval if is_notice(item) => None,
        Kind::Approval if chance.percent(85) => Some(Decision::Approve),
        Kind::Approval => Some(Decision::Abort { reason: "not like this".into() }),
        Kind::Incident => Some(Decision::Abort { reason: "seen".into() }),
        Kind::Question | Kind::Escalation | Kind::Ambiguous => None,
    }
}

/// Some letters he would rather have go to everybody.
fn changes(item: &Item, chance: &mut Chance) -> Option<Value> {
    (!is_notice(item) && chance.percent(30)).then(|| json!({ "reader": "everybody" }))
}

fn is_notice(item: &Item) -> bool {
    item.routing.get("reader").is_some_and(|reader| reader.starts_with("late "))
}

/// Takes a walk, and looks at the clock: each time it is told the same.
struct Walk {
    world: World,
}

impl Agent for Walk {
    const NAME: &'static str = "walk";
    type Kind = ReadOnly;
    type Input = Value;
    type Output = u64;

    async fn run(&self, turn: Turn<ReadOnly>, _: Value) -> Result<u64, Failure> {
        let begun = turn.now().await?.0;
        let place = format!("the time told to {}", turn.run());
        if let Some(before) = self.world.said_otherwise(&place, &begun.to_string()) {
            self.world.violated("replayed", format_args!("{place} was {before}, and is {begun}"));
        }
        turn.sleep(Duration::from_secs(20)).await?;
        turn.sleep(Duration::from_secs(20)).await?;
        Ok(begun)
    }
}
