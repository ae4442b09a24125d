//! More runs than fit.

use std::sync::Arc;

use tokio::sync::Notify;

use super::*;
use crate::StartError;

/// Works until it is told to stop.
struct Worker(Arc<Notify>);

impl Agent for Worker {
    const NAME: &'static str = "worker";
    type Kind = ReadOnly;
    type Input = String;
    type Output = ();

    async fn run(&self, _turn: Turn<ReadOnly>, _what: String) -> Result<(), Failure> {
        self.0.notified().await;
        Ok(())
    }
}

/// A workflow of this priority that stays active.
fn work(priority: &str) -> String {
    format!("name='{priority}'\n[[step]]\nname='it'\nagent='worker'\npriority='{priority}'")
}

#[track_caller]
fn check(refused: Result<crate::RunHandle, StartError>, active: usize, percent: u32, word: &str) {
    let Err(StartError::Refused(reason)) = refused else { panic!("it is refused") };
    let expected = format!(
        "{active} runs are active, and at {percent} % of 10 runs of priority `{word}` are no longer begun; start it when some \
         have ended"
    );
    assert_eq!(reason, expected);
}

#[tokio::test(start_paused = true)]
async fn overload_refuses_the_least_important_first() {
    let (house, stop) = (House::new(), Arc::new(Notify::new()));
    let workflows = [work("low"), work("normal"), work("high")];
    let builder = house.kernel(&workflows.each_ref().map(String::as_str));
    let soloist = builder.agent(Worker(stop.clone())).active_runs_max(10).open().await.unwrap();
    let start = async |workflow: &str, number: usize| {
        let started = soloist.start(workflow, &format!("{workflow}-{number}"), &"work").await;
        sleep(Duration::from_millis(1)).await;
        started
    };
    for number in 0..8 {
        start("low", number).await.unwrap();
    }
    check(start("low", 8).await, 8, 80, "low");
    start("normal", 0).await.unwrap();
    check(start("normal", 1).await, 9, 90, "normal");
    check(start("low", 8).await, 9, 80, "low");
    start("high", 0).await.unwrap();
    check(start("high", 1).await, 10, 100, "high");
    assert_eq!(soloist.stats().runs_shed, 4);
    assert_eq!(soloist.runs().unwrap().len(), 10, "what is refused leaves nothing behind");
    assert!(!start("low", 0).await.unwrap().is_new(), "what has begun is there all the same");

    stop.notify_waiters();
    soloist.idle().await.unwrap();
    start("low", 8).await.unwrap();
    stop.notify_waiters();
    completed(&soloist, "low-8").await;
    soloist.shutdown().await.unwrap();
}
