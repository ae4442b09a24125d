//! What starts runs: events, subscriptions, the calendar, goals.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::*;
use crate::{Agent, Failure, ReadOnly, Turn};

/// Says what it is given.
struct Echo;

impl Agent for Echo {
    const NAME: &'static str = "echo";
    type Kind = ReadOnly;
    type Input = Value;
    type Output = Value;

    async fn run(&self, _turn: Turn<ReadOnly>, input: Value) -> Result<Value, Failure> {
        Ok(input)
    }
}

const PAID: &str = "
    name = 'paid'
    [[trigger]]
    event = 'invoice.paid'
    when = 'event.data.amount > 10'
    input = { amount = 'event.data.amount' }
    [[step]]
    name = 'say'
    agent = 'echo'
";

fn outputs(soloist: &Soloist, workflow: &str) -> Vec<String> {
    let runs = soloist.runs().unwrap();
    let of = runs.iter().filter(|run| run.workflow.starts_with(workflow));
    of.map(|run| format!("{} {}", run.status, run.run)).collect()
}

#[tokio::test(start_paused = true)]
async fn an_event_starts_a_run_once_however_often_it_is_brought() {
    let house = House::new();
    let soloist = house.kernel(&[PAID]).agent(Echo).open().await.unwrap();
    assert!(soloist.emit("bank", "e1", "invoice.paid", &json!({ "amount": 50 })).await.unwrap());
    assert!(!soloist.emit("bank", "e1", "invoice.paid", &json!({ "amount": 50 })).await.unwrap());
    assert!(soloist.emit("bank", "e2", "invoice.paid", &json!({ "amount": 5 })).await.unwrap());
    assert!(soloist.emit("till", "e1", "invoice.paid", &json!({ "amount": 11 })).await.unwrap());
    soloist.idle().await.unwrap();
    assert_eq!(outputs(&soloist, "paid@1").len(), 2, "the small one does not match");
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_subscribes_takes_a_turn_for_each_event() {
    let house = House::new();
    let kernel = || house.kernel(&[]).agent(Echo).subscribe("echo", "lead.created");
    let soloist = kernel().open().await.unwrap();
    soloist.emit("crm", "7", "lead.created", &json!({ "name": "Ada" })).await.unwrap();
    soloist.idle().await.unwrap();
    let runs = soloist.runs().unwrap();
    assert_eq!((runs.len(), runs[0].workflow.as_str()), (1, "echo@0"));
    let output = completed(&soloist, runs[0].run.as_str()).await;
    assert_eq!((&output["type"], &output["data"]["name"]), (&json!("lead.created"), &json!("Ada")));
    soloist.shutdown().await.unwrap();
    let wrong = house.kernel(&[]).subscribe("ecko", "x").open().await.err().unwrap();
    assert_eq!(
        wrong.to_string(),
        "agent `ecko`, which subscribes to `x`, was not added; there is none"
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_left_memory_is_woken_by_the_event_it_waits_for() {
    let wait = "name='wait'\n[[step]]\nname='paid'\nwait={ event='paid', for='30d', when='event.data.id == input.id' }";
    let house = House::new();
    let soloist = house.kernel(&[wait]).open().await.unwrap();
    for id in [1, 2] {
        soloist.start("wait", &format!("w{id}"), &json!({ "id": id })).await.unwrap();
        waits(&soloist, &format!("w{id}")).await;
    }
    let house = house.after(soloist).await;
    let soloist = house.kernel(&[wait]).open().await.unwrap();
    soloist.emit("bank", "e1", "paid", &json!({ "id": 2 })).await.unwrap();
    soloist.idle().await.unwrap();
    assert_eq!(completed(&soloist, "w2").await["by"], "event");
    waits(&soloist, "w1").await;
    sleep(Duration::from_secs(30 * 86_400 + 1)).await;
    assert_eq!(completed(&soloist, "w1").await["by"], "time");
    soloist.shutdown().await.unwrap();
}

fn daily(missed: &str) -> String {
    format!(
        "name='daily'\n[[schedule]]\ncron='0 9 * * *'\nmissed='{missed}'\ninput={{ n = 1 }}\n[[step]]\nname='say'\nagent='echo'"
    )
}

#[tokio::test(start_paused = true)]
async fn a_schedule_starts_a_run_at_each_of_its_times() {
    for missed in ["skip", "once", "all"] {
        let text = daily(missed);
        let house = House::new();
        let soloist = house.kernel(&[&text]).agent(Echo).open().await.unwrap();
        sleep(Duration::from_secs(2 * 86_400)).await;
        soloist.idle().await.unwrap();
        let runs = outputs(&soloist, "daily@1");
        assert_eq!(runs.len(), 2, "{missed}: {runs:?}");
        assert!(runs.iter().all(|run| run.starts_with("completed daily-1700")), "{runs:?}");
        soloist.shutdown().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn times_that_passed_unnoticed_are_what_the_schedule_says() {
    for (missed, expected) in [("skip", 0), ("once", 1), ("all", 3)] {
        let text = daily(missed);
        let house = House::new();
        let soloist = house.kernel(&[&text]).agent(Echo).open().await.unwrap();
        sleep(Duration::from_secs(60)).await;
        let house = house.after(soloist).await;
        sleep(Duration::from_secs(3 * 86_400)).await;
        let soloist = house.kernel(&[&text]).agent(Echo).open().await.unwrap();
        sleep(Duration::from_secs(60)).await;
        soloist.idle().await.unwrap();
        assert_eq!(outputs(&soloist, "daily@1").len(), expected, "{missed}");
        soloist.shutdown().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_goal_is_reached_by_the_workflow_that_serves_it() {
    let goal = "name='w'\n[intent]\nname='win-customer'\nphrases=['reach out to a lead']\n[[step]]\nname='say'\nagent='echo'";
    let house = House::new();
    let soloist = house.kernel(&[goal]).agent(Echo).open().await.unwrap();
    soloist.pursue("Reach out, to a LEAD!", "one", &json!({ "lead": 1 })).await.unwrap();
    assert_eq!(completed(&soloist, "one").await, json!({ "lead": 1 }));
    let unknown = soloist.pursue("reach out to a leaf", "two", &json!({})).await.err().unwrap();
    assert!(unknown.to_string().contains("did you mean `win-customer`?"), "{unknown}");
    soloist.shutdown().await.unwrap();
}
