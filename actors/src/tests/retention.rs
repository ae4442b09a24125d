//! Runs that are archived: they are there as before, and their ids are theirs for ever.

use std::time::Duration;

use serde_json::json;
use soloist_kernel::{
    journal::{
        StreamSeq,
        archive::{audit, segments, stream},
    },
    run::RunSummary,
};

use super::*;
use crate::{Agent, Archived, Failure, ReadOnly, StartError, Turn, views};

struct Echo;

impl Agent for Echo {
    const NAME: &'static str = "echo";
    const VERSION: u32 = 1;
    type Kind = ReadOnly;
    type Input = serde_json::Value;
    type Output = serde_json::Value;

    async fn run(
        &self,
        _: Turn<ReadOnly>,
        input: serde_json::Value,
    ) -> Result<serde_json::Value, Failure> {
        Ok(input)
    }
}

const SAY: &str = "name='say'\n[[step]]\nname='one'\nagent='echo'";
const MANY: &str = "name='many'\n[[step]]\nname='each'\nmap='input'\nagent='echo'";
const ASK: &str = "name='ask'\n[[step]]\nname='go'\napprove='Go?'";
const DAY: Duration = Duration::from_secs(86_400);

fn kernel(house: &House) -> Builder {
    house.kernel(&[SAY, MANY, ASK]).agent(Echo)
}

fn row(soloist: &Soloist, id: &str) -> RunSummary {
    let found = views::run(soloist.journal(), &id.parse().unwrap()).unwrap();
    found.unwrap_or_else(|| panic!("there is no run {id}")).summary
}

#[track_caller]
fn check_whole(soloist: &Soloist) {
    let found = audit(soloist.journal()).unwrap();
    assert!(found.faults.is_empty(), "{:?}", found.faults);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_archived_and_its_id_stays_its_own() {
    let house = House::new();
    let soloist = kernel(&house).open().await.unwrap();
    let large = "x".repeat(9_000);
    soloist.start("say", "old", &json!([1, large])).await.unwrap().rest().await.unwrap();
    soloist.start("many", "family", &json!([1, 2, 3])).await.unwrap().rest().await.unwrap();
    soloist.start("ask", "waits", &()).await.unwrap().rest().await.unwrap();
    assert_eq!(soloist.archive(Some(DAY)).await.unwrap(), Archived::default(), "nothing is old");
    assert!(soloist.archive(None).await.unwrap_err().to_string().contains("--older-than"));
    tokio::time::sleep(2 * DAY).await;
    soloist.start("say", "young", &json!([2])).await.unwrap().rest().await.unwrap();

    let before = views::run(soloist.journal(), &"old".parse().unwrap()).unwrap().unwrap();
    let archived = soloist.archive(Some(DAY)).await.unwrap();
    assert_eq!((archived.runs, &archived.segments[..]), (5, &["00000001.segment".to_owned()][..]));
    let summaries = soloist.runs().unwrap();
    let of = |id: &str| summaries.iter().find(|run| run.run.as_str() == id).unwrap();
    assert_eq!(of("old").archived.as_deref(), Some("00000001.segment"));
    assert_eq!((&of("waits").archived, &of("young").archived), (&None, &None));
    let shown = views::run(soloist.journal(), &"old".parse().unwrap()).unwrap().unwrap();
    assert_eq!(shown.records, before.records);
    let replayed = crate::travel::replay_run(soloist.journal(), &"old".parse().unwrap()).unwrap();
    assert_eq!(replayed.differences, [], "it is what its records say, wherever they are");
    check_whole(&soloist);

    let house = house.after(soloist).await;
    let soloist = kernel(&house).open().await.unwrap();
    let again = soloist.start("say", "old", &json!([1, large])).await.unwrap();
    assert!(!again.is_new());
    assert_eq!(completed(&soloist, "old").await, json!([1, large]));
    for (workflow, input) in [("say", json!([2])), ("many", json!([1, large]))] {
        let other = soloist.start(workflow, "old", &input).await.err().unwrap();
        assert!(matches!(other, StartError::IdInUse { .. }), "{other}");
    }
    let ended = soloist.abort_run("old", "no").await.unwrap_err().to_string();
    assert!(ended.contains("archived in segment file 00000001.segment"), "{ended}");
    assert_eq!(row(&soloist, "family").status, "completed");
    let head = soloist.journal().stream_head(&row(&soloist, "old").run.stream()).unwrap();
    assert_eq!(head.0, shown.records.len() as u64, "nothing was added");
    assert_eq!(soloist.archive(Some(DAY)).await.unwrap(), Archived::default());
    let sealed = segments(soloist.journal()).unwrap();
    assert_eq!(sealed.len(), 1);
    assert_eq!(soloist.journal().stream_head(&stream()).unwrap(), StreamSeq(1));
    check_whole(&soloist);
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_kernel_with_a_retention_archives_by_itself() {
    let house = House::new();
    let soloist = kernel(&house).retention(3 * DAY).open().await.unwrap();
    soloist.start("say", "one", &json!([1])).await.unwrap().rest().await.unwrap();
    tokio::time::sleep(2 * DAY).await;
    assert_eq!(row(&soloist, "one").archived, None);
    tokio::time::sleep(2 * DAY).await;
    assert!(row(&soloist, "one").archived.is_some());
    check_whole(&soloist);
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_run_that_somebody_is_asked_about_stays() {
    let house = House::new();
    let soloist = kernel(&house).open().await.unwrap();
    soloist.start("many", "odd", &json!("no list")).await.unwrap().rest().await.unwrap();
    let items = soloist.inbox().unwrap();
    assert_eq!(items.len(), 1, "it failed, and that is an incident");
    tokio::time::sleep(9 * DAY).await;
    assert_eq!(soloist.archive(Some(DAY)).await.unwrap().runs, 0);
    soloist.abort(items[0].id.as_str(), "seen").await.unwrap();
    tokio::time::sleep(2 * DAY).await;
    assert_eq!(soloist.archive(Some(DAY)).await.unwrap().runs, 1);
    check_whole(&soloist);
    soloist.shutdown().await.unwrap();
}
