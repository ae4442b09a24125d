//! Experiments: a run draws an arm, the same in every step, attempt and process, and what came of each is counted.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{
    shop::{Calls, Shop},
    *,
};
use crate::{Agent, Failure, ReadOnly, Transactional, Turn, travel::Fork, tried};

/// Says which arm it drew.
struct Greeter;

impl Agent for Greeter {
    const NAME: &'static str = "greeter";
    type Kind = ReadOnly;
    type Input = Value;
    type Output = String;

    async fn run(&self, turn: Turn<ReadOnly>, _: Value) -> Result<String, Failure> {
        Ok(turn.arm("greeting", &["warm", "brief"]).await?)
    }
}

/// Orders as its arm says, and fails the first time it has drawn.
struct Buyer(Arc<AtomicBool>);

impl Agent for Buyer {
    const NAME: &'static str = "buyer";
    const TOOLS: &'static [&'static str] = &["shop.order"];
    type Kind = Transactional;
    type Input = Value;
    type Output = String;

    async fn run(&self, turn: Turn, _: Value) -> Result<String, Failure> {
        let arm = turn.arm("greeting", &["warm", "brief"]).await?;
        if self.0.swap(false, Ordering::SeqCst) {
            return Err(Failure::retry("the first time"));
        }
        turn.propose("shop.order", &json!({ "what": arm })).await?;
        Ok(arm)
    }
}

const GREET: &str = "
    name = 'greet'
    [[step]]
    name = 'say'
    agent = 'greeter'
    [[step]]
    name = 'again'
    agent = 'greeter'
    [[step]]
    name = 'buy'
    workflow = 'buy'
    input = {}
";
const BUY: &str = "name = 'buy'\n[[step]]\nname = 'it'\nagent = 'buyer'";
const ASKS: &str = "[[rule]]\nname='ask'\nwhen=\"arguments.what == 'warm'\"\nverdict='approve'\nreason='a test'\n[[rule]]\nname='trust'\nwhen=\"arguments.what == 'brief'\"\nverdict='allow'\nreason='a test'";

async fn open(house: &House) -> Soloist {
    let policy = soloist_kernel::policy::Policy::parse("p", ASKS).unwrap();
    let kernel = house.kernel(&[BUY, GREET]).policy(policy).agent(Greeter);
    let kernel = kernel.agent(Buyer(Arc::new(AtomicBool::new(true))));
    kernel.connector("shop", Shop::new(&Calls::default())).open().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_step_and_run_beneath_has_the_arm_of_its_topmost_run() {
    let house = House::new();
    let soloist = open(&house).await;
    for number in 0..30 {
        let run = soloist.start("greet", &format!("g-{number}"), &json!({})).await.unwrap();
        run.rest().await.unwrap();
    }
    let house = house.after(soloist).await;
    let soloist = open(&house).await;
    let (mut warm, mut brief) = (0, 0);
    for number in 0..30 {
        let run = soloist.folded(&format!("g-{number}").parse().unwrap()).unwrap().unwrap();
        let output = |step: &str| {
            let output = run.step(&step.parse().unwrap()).unwrap().1.output();
            output.map(|output| output.value.value())
        };
        assert_eq!(output("say"), output("again"));
        // A warm one waits for the operator, who is asked about the order.
        match output("buy") {
            Some(bought) => {
                assert_eq!((output("say"), &bought), (Some(json!("brief")), &json!("brief")));
                brief += 1;
            }
            None => {
                assert_eq!(output("say"), Some(json!("warm")));
                warm += 1;
            }
        }
    }
    assert!(warm > 5 && brief > 5, "{warm} and {brief}");

    let found = tried(soloist.journal(), None).unwrap();
    assert_eq!(found.len(), 1);
    let arms = &found[0].arms;
    assert_eq!((arms[0].arm.as_str(), arms[1].arm.as_str()), ("brief", "warm"));
    assert_eq!((arms[0].measures.runs, arms[0].measures.completed), (brief, brief));
    assert_eq!((arms[0].measures.landed, arms[0].measures.asked), (brief, 0));
    assert_eq!((arms[1].measures.open, arms[1].measures.asked), (warm, warm));
    assert_eq!(tried(soloist.journal(), Some(&"tone".parse().unwrap())).unwrap(), []);
    // What is kept beside the records follows from them, and a fork has the arm that was drawn.
    for replayed in soloist.replay(&"g-0".parse().unwrap()).unwrap() {
        assert_eq!(replayed.differences, []);
    }
    let forked = soloist.fork(Fork::of("g-0".parse().unwrap())).await.unwrap();
    assert!(forked.same, "{forked:?}");
    soloist.shutdown().await.unwrap();
}

/// Draws from one arm alone.
struct Alone;

impl Agent for Alone {
    const NAME: &'static str = "alone";
    type Kind = ReadOnly;
    type Input = Value;
    type Output = String;

    async fn run(&self, turn: Turn<ReadOnly>, _: Value) -> Result<String, Failure> {
        Ok(turn.arm("greeting", &["warm"]).await?)
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_experiment_fails_its_turn_and_says_why() {
    let house = House::new();
    let alone = "name='alone'\n[[step]]\nname='it'\nagent='alone'\nretry={ attempts=1 }";
    let soloist = house.kernel(&[alone]).agent(Alone).open().await.unwrap();
    let run = soloist.start("alone", "a", &json!({})).await.unwrap();
    let end = run.rest().await.unwrap();
    let RunEnd::Failed { reason, .. } = end else { panic!("{end:?}") };
    assert!(reason.contains("has 1 arms; give 2 to 16"), "{reason}");
    soloist.shutdown().await.unwrap();
}
