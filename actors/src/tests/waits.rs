//! Sleeping, asking, handing on, and branches side by side.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::*;
use crate::{Agent, Failure, Question, ReadOnly, Turn};

const DAY: Duration = Duration::from_secs(86_400);

/// Does what its input says.
struct Patient;

impl Agent for Patient {
    const NAME: &'static str = "patient";
    const FAILURES: &'static [&'static str] = &["no_words"];
    type Kind = ReadOnly;
    type Input = String;
    type Output = String;

    async fn run(&self, turn: Turn<ReadOnly>, what: String) -> Result<String, Failure> {
        match what.as_str() {
            "sleeps" => {
                let before = turn.now().await?;
                turn.sleep(3 * DAY).await?;
                let after = turn.now().await?;
                Ok(format!("{} h", before.until(after).as_secs() / 3_600))
            }
            "asks" => {
                let question = Question::new("Red or blue?").choices(["red", "blue"]);
                Ok(turn.ask(question).await?)
            }
            "hurries" => {
                let question = Question::new("Well?").or_after(DAY, "never mind");
                Ok(turn.ask(question).await?)
            }
            "hands on" => Ok(turn.delegate("patient", &"asks").await?),
            "joins" => {
                let [slow, quick] = turn
                    .join([
                        Box::new(|turn: Turn<ReadOnly>| {
                            Box::pin(async move { turn.ask(Question::new("Slow?")).await })
                        }),
                        Box::new(|turn: Turn<ReadOnly>| {
                            Box::pin(async move {
                                turn.step("quick", || async { Ok::<_, String>("quick".to_owned()) })
                                    .await
                            })
                        }),
                    ])
                    .await?;
                let last: String =
                    turn.step("last", || async { Ok::<_, String>("last".to_owned()) }).await?;
                Ok(format!("{slow} {quick} {last}"))
            }
            "is silent" => std::future::pending().await,
            "beats" => {
                for _ in 0..10 {
                    sleep(Duration::from_secs(40)).await;
                    turn.heartbeat();
                }
                Ok("alive".into())
            }
            _ => Err(Failure::declared("no_words", "nothing to say")),
        }
    }
}

const ONLY: &str =
    "name='only'\n[[step]]\nname='work'\nagent='patient'\nheartbeat='1m'\nretry={ attempts=1 }";

async fn open(house: &House) -> Soloist {
    house.kernel(&[ONLY]).agent(Patient).open().await.unwrap()
}

async fn begun(what: &str) -> (House, Soloist) {
    let house = House::new();
    let soloist = open(&house).await;
    soloist.start("only", "one", &what).await.unwrap();
    (house, soloist)
}

#[tokio::test(start_paused = true)]
async fn a_turn_sleeps_over_a_restart_and_costs_no_memory_meanwhile() {
    let (house, soloist) = begun("sleeps").await;
    waits(&soloist, "one").await;
    soloist.idle().await.unwrap();
    sleep(DAY).await;
    let house = house.after(soloist).await;
    let soloist = open(&house).await;
    sleep(DAY).await;
    waits(&soloist, "one").await;
    sleep(DAY + Duration::from_secs(1)).await;
    assert_eq!(completed(&soloist, "one").await, json!("72 h"));
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_question_waits_in_the_inbox_and_its_answer_reaches_the_turn() {
    let (house, soloist) = begun("asks").await;
    waits(&soloist, "one").await;
    let house = house.after(soloist).await;
    let soloist = open(&house).await;
    let item = soloist.inbox().unwrap().remove(0);
    assert_eq!(item.title, "Red or blue?");
    let wrong = soloist.answer(item.id.as_str(), "green").await.unwrap_err();
    assert_eq!(wrong.to_string(), format!("item {} takes one of: red, blue", item.id));
    soloist.answer(item.id.as_str(), "blue").await.unwrap();
    assert_eq!(completed(&soloist, "one").await, json!("blue"));
    let late = soloist.answer(item.id.as_str(), "red").await.unwrap_err();
    assert!(late.to_string().contains("does not wait for a decision"), "{late}");
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_question_with_a_deadline_answers_itself() {
    let (_house, soloist) = begun("hurries").await;
    waits(&soloist, "one").await;
    sleep(DAY + Duration::from_secs(1)).await;
    assert_eq!(completed(&soloist, "one").await, json!("never mind"));
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_handed_on_is_a_run_of_its_own() {
    let (_house, soloist) = begun("hands on").await;
    waits(&soloist, "one").await;
    let runs = soloist.runs().unwrap();
    let child = runs.iter().find(|run| run.parent.is_some()).unwrap();
    assert_eq!((child.workflow.as_str(), child.status.as_str()), ("patient@0", "waiting"));
    let item = soloist.inbox().unwrap().remove(0);
    assert_eq!(item.run.as_ref(), Some(&child.run), "the question is its own");
    soloist.answer(item.id.as_str(), "red").await.unwrap();
    assert_eq!(completed(&soloist, "one").await, json!("red"));
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn branches_go_on_side_by_side_and_replay_in_their_own_order() {
    let (house, soloist) = begun("joins").await;
    waits(&soloist, "one").await;
    let view = soloist.run("one").unwrap().view().unwrap().unwrap();
    let recorded = view.records.iter().filter(|record| record.entry.kind == "effect.recorded");
    assert_eq!(recorded.count(), 1, "the quick branch did not wait for the slow one");
    let house = house.after(soloist).await;
    let soloist = open(&house).await;
    let item = soloist.inbox().unwrap().remove(0);
    soloist.answer(item.id.as_str(), "slow").await.unwrap();
    assert_eq!(completed(&soloist, "one").await, json!("slow quick last"));
    soloist.shutdown().await.unwrap();
}

async fn reason(soloist: &Soloist) -> String {
    match soloist.run("one").unwrap().rest().await.unwrap() {
        RunEnd::Failed { reason, .. } => reason,
        end => panic!("it came to {end:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_gives_no_sign_of_life_has_failed() {
    let (_house, soloist) = begun("is silent").await;
    let expected = "the turn gave no sign of life for 60 s, its step's heartbeat";
    assert_eq!(reason(&soloist).await, expected);
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_shows_it_is_alive_may_take_its_time() {
    let (_house, soloist) = begun("beats").await;
    assert_eq!(completed(&soloist, "one").await, json!("alive"));
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_the_agent_declares_says_which() {
    let (_house, soloist) = begun("fails").await;
    assert_eq!(reason(&soloist).await, "no_words: nothing to say");
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_is_given_to_an_agent_is_taken_by_it() {
    struct Deputy;
    #[derive(serde::Serialize, schemars::JsonSchema)]
    struct Said {
        decision: &'static str,
        reason: &'static str,
    }
    impl Agent for Deputy {
        const NAME: &'static str = "deputy";
        type Kind = ReadOnly;
        type Input = serde_json::Value;
        type Output = Said;
        async fn run(
            &self,
            _turn: Turn<ReadOnly>,
            _input: serde_json::Value,
        ) -> Result<Said, Failure> {
            Ok(Said { decision: "approve", reason: "it is small" })
        }
    }
    let house = House::new();
    let asks = "name='asks'\n[[step]]\nname='ok'\napprove='Sure?'";
    let soloist = house.kernel(&[asks]).agent(Deputy).open().await.unwrap();
    soloist.start("asks", "one", &()).await.unwrap();
    waits(&soloist, "one").await;
    let item = soloist.inbox().unwrap().remove(0);
    let to = soloist_kernel::effect::Decision::Delegate { to: "agent:deputy".into() };
    soloist.decide(item.id.as_str(), to).await.unwrap();
    let output = completed(&soloist, "one").await;
    assert_eq!(output["approved"], true);
    assert!(output["by"].as_str().unwrap().starts_with("one.ok."), "{output}");
    soloist.shutdown().await.unwrap();
}
