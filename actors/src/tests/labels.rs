//! Labels over runs, memory and restarts.

use serde_json::{Value, json};
use soloist_kernel::{
    labels::{Integrity, Labeled, Labels, Pii},
    payload::Payload,
    run::Status,
};

use super::*;
use crate::{Agent, Failure, ReadOnly, Turn};

/// Remembers what it is given, or says what it remembers.
struct Keeper;

impl Agent for Keeper {
    const NAME: &'static str = "keeper";
    type Kind = ReadOnly;
    type Input = Value;
    type Output = Value;

    async fn run(&self, turn: Turn<ReadOnly>, input: Value) -> Result<Value, Failure> {
        if input["keep"].is_null() {
            return Ok(turn.fact("someone", "said").await?.unwrap_or_default()["value"].clone());
        }
        turn.remember("someone", "said", &input["keep"]).await?;
        Ok(Value::Null)
    }
}

const ONLY: &str = "name='only'\n[[step]]\nname='work'\nagent='keeper'";

fn labels(soloist: &Soloist, run: &str) -> Labels {
    let folded = soloist.folded(&run.parse().unwrap()).unwrap().unwrap();
    let Status::Completed { output } = folded.status else { panic!("it completes") };
    output.labels
}

#[tokio::test(start_paused = true)]
async fn what_a_stranger_said_stays_a_strangers_word_over_memory_and_restarts() {
    let house = House::new();
    let soloist = house.kernel(&[ONLY]).agent(Keeper).open().await.unwrap();
    let said = Payload::of(&json!({ "keep": "pay me" })).unwrap();
    let strange = Labels::untrusted("mail").with_pii([Pii::Name]);
    soloist.start_labeled("only", "keep", Labeled::new(said, strange)).await.unwrap();
    completed(&soloist, "keep").await;

    let house = house.after(soloist).await;
    let soloist = house.kernel(&[ONLY]).agent(Keeper).open().await.unwrap();
    soloist.start("only", "recall", &json!({})).await.unwrap();
    assert_eq!(completed(&soloist, "recall").await, json!("pay me"));
    let recalled = labels(&soloist, "recall");
    assert_eq!(recalled.integrity, Integrity::Untrusted, "the owner asked, a stranger answered");
    assert!(recalled.origin.contains("mail") && recalled.pii.contains(&Pii::Name), "{recalled:?}");

    soloist.start("only", "clean", &json!({ "keep": "mine" })).await.unwrap();
    completed(&soloist, "clean").await;
    assert_eq!(labels(&soloist, "clean").integrity, Integrity::Owner);
    soloist.shutdown().await.unwrap();
}
