//! Forks of runs that the operator did something to: it is done again where the fork stands as the run did then.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use soloist_kernel::{
    id::RunId,
    journal::{Journal, StreamSeq},
};

use super::*;
use crate::{
    Agent, Failure, ReadOnly, Turn,
    travel::{Fork, Forked},
};

/// Fails as often as it is told to.
#[derive(Clone, Default)]
struct Shaky(Arc<AtomicU32>);

impl Shaky {
    fn fails(&self, times: u32) {
        self.0.store(times, Ordering::SeqCst);
    }
}

impl Agent for Shaky {
    const NAME: &'static str = "shaky";
    type Kind = ReadOnly;
    type Input = Value;
    type Output = Value;

    async fn run(&self, _turn: Turn<ReadOnly>, input: Value) -> Result<Value, Failure> {
        let left = |left: u32| left.checked_sub(1);
        match self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left) {
            Ok(_) => Err(Failure::fatal("it shakes")),
            Err(_) => Ok(input),
        }
    }
}

const WORK: &str = "
    name = 'work'
    [[step]]
    name = 'try'
    agent = 'shaky'
    retry = { attempts = 1 }
    [[step]]
    name = 'go'
    wait = { event = 'go' }
    needs = ['try']
";

/// The same with one more step.
fn longer() -> String {
    format!("{WORK}\n[[step]]\nname = 'tell'\nemit = 'told'\nneeds = ['go']\n")
}

fn work() -> RunId {
    "work-1".parse().unwrap()
}

/// A run that waits for an event, after its step has failed so often and the operator has seen to that.
async fn begun(shaky: &Shaky, failures: u32) -> (House, Soloist) {
    let house = House::new();
    let soloist = house.kernel(&[WORK]).agent(shaky.clone()).open().await.unwrap();
    shaky.fails(failures);
    soloist.start("work", "work-1", &json!("tea")).await.unwrap();
    soloist.run("work-1").unwrap().rest().await.unwrap();
    (house, soloist)
}

async fn goes(soloist: &Soloist) {
    soloist.emit("test", "e1", "go", &json!({})).await.unwrap();
    completed(soloist, "work-1").await;
}

/// A fork from the beginning, in which the step fails so often.
async fn forked(soloist: &Soloist, shaky: &Shaky, failures: u32) -> Forked {
    shaky.fails(failures);
    soloist.fork(Fork::of(work())).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_was_ended_is_ended_again_from_whatever_record() {
    for status in ["aborted", "cancelled"] {
        let shaky = Shaky::default();
        let (house, soloist) = begun(&shaky, 0).await;
        let ended = match status {
            "aborted" => soloist.abort_run("work-1", "changed my mind").await,
            _ => soloist.cancel_run("work-1", "changed my mind").await,
        };
        ended.unwrap();
        let records = house.journal.stream(&work().stream(), StreamSeq(0)).unwrap();
        let froms = records.iter().map(|record| Fork::of(work()).from(record.seq));
        for fork in froms.chain([Fork::of(work())]) {
            let forked = soloist.fork(fork.clone()).await.unwrap();
            assert!(forked.same, "{fork:?}: {forked:#?}");
            assert_eq!(forked.fork.status, status, "{fork:?}");
        }
        soloist.shutdown().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_is_tried_again_and_said_again() {
    for says in [false, true] {
        let shaky = Shaky::default();
        let (_house, soloist) = begun(&shaky, 1).await;
        let seen_to = match says {
            true => soloist.override_step("work-1", "try", &"coffee", "I know it").await,
            false => soloist.retry_step("work-1", None, "try once more").await,
        };
        seen_to.unwrap();
        waits(&soloist, "work-1").await;
        goes(&soloist).await;
        let forked = forked(&soloist, &shaky, 1).await;
        assert!(forked.same, "{forked:#?}");
        assert_eq!(forked.fork.status, "completed");
        soloist.shutdown().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_is_moved_again() {
    let shaky = Shaky::default();
    let (house, soloist) = begun(&shaky, 0).await;
    let house = house.after(soloist).await;
    let soloist = house.kernel(&[&longer()]).agent(shaky.clone()).open().await.unwrap();
    soloist.migrate("work-1", None).await.unwrap();
    waits(&soloist, "work-1").await;
    goes(&soloist).await;
    let forked = forked(&soloist, &shaky, 0).await;
    assert!(forked.same, "{forked:#?}");
    let told = forked.steps.iter().find(|step| step.step.as_str() == "tell").unwrap();
    assert_eq!(told.fork.as_ref().unwrap().status, "completed");
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_done_to_a_run_that_stood_otherwise_is_not_done_again() {
    let shaky = Shaky::default();
    let (_house, soloist) = begun(&shaky, 0).await;
    soloist.cancel_run("work-1", "changed my mind").await.unwrap();
    let forked = forked(&soloist, &shaky, 1).await;
    assert_eq!(forked.fork.status, "failed", "{forked:#?}");
    soloist.shutdown().await.unwrap();
}
