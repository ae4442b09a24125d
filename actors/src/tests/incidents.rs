//! Incidents of the kernel itself: on record, in the inbox, decided once.

use soloist_kernel::{
    effect::Decision,
    incident::{self, Death, What},
    journal::StreamSeq,
};

use super::*;
use crate::{incidents::raise, views};

const ASKS: &str = "name='asks'\n[[step]]\nname='ok'\napprove='Sure?'";

fn deaths() -> Vec<Death> {
    let death = |at| Death {
        at: Timestamp(BEGIN + at),
        reason: "it panicked".into(),
        work: Some("the turn of step `ok`".into()),
    };
    (0..4).map(death).collect()
}

fn quarantined(run: &str) -> What {
    What::Quarantined { run: run.parse().unwrap() }
}

async fn open(house: &House) -> Soloist {
    house.kernel(&[ASKS]).open().await.unwrap()
}

fn abort() -> Decision {
    Decision::Abort { reason: "seen".into() }
}

/// The kinds of the records of the stream.
fn records(soloist: &Soloist) -> Vec<String> {
    let records = soloist.journal().stream(&incident::stream(), StreamSeq(0)).unwrap();
    records.into_iter().map(|record| record.entry.kind).collect()
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_set_aside_waits_over_a_restart_and_is_released_once() {
    let house = House::new();
    let soloist = open(&house).await;
    let raised = raise(soloist.context(), quarantined("one"), deaths()).await.unwrap();
    let again = raise(soloist.context(), quarantined("one"), vec![]).await.unwrap();
    assert_eq!(again, raised, "it is set aside already");
    let house = house.after(soloist).await;
    let soloist = open(&house).await;

    let run = "one".parse().unwrap();
    assert_eq!(views::incidents(soloist.journal()).unwrap(), std::slice::from_ref(&raised));
    assert_eq!(views::set_aside(soloist.journal(), &run).unwrap(), Some(raised.id.clone()));
    let item = soloist.inbox().unwrap().remove(0);
    assert_eq!(item, raised.item());
    assert!(item.reason.contains("it died 4 times") && item.reason.contains("it panicked"));

    let id = item.id.as_str();
    let unfit = soloist.approve(id).await.unwrap_err().to_string();
    assert!(unfit.contains("it takes `retry`, `abort`"), "{unfit}");
    let unfit = soloist.modify(id, &()).await.unwrap_err().to_string();
    assert!(unfit.contains("proposes nothing"), "{unfit}");
    soloist.decide_as(id, Decision::Retry, "bea").await.unwrap();
    assert_eq!(views::set_aside(soloist.journal(), &run).unwrap(), None);
    assert!(soloist.inbox().unwrap().is_empty());
    let late = soloist.decide(id, Decision::Retry).await.unwrap_err().to_string();
    assert!(late.contains("does not wait for a decision"), "{late}");
    assert_eq!(records(&soloist), ["incident.raised", "incident.released"]);
    let stream = soloist.journal().stream(&incident::stream(), StreamSeq(1)).unwrap();
    assert_eq!(stream[0].entry.actor.as_str(), "operator:bea");
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_dismissed_stays_set_aside_and_can_still_be_released() {
    let house = House::new();
    let soloist = open(&house).await;
    soloist.start("asks", "one", &()).await.unwrap();
    waits(&soloist, "one").await;
    let raised = raise(soloist.context(), quarantined("one"), deaths()).await.unwrap();
    let id = raised.id.as_str();
    soloist.decide(id, abort()).await.unwrap();
    let titles: Vec<String> = soloist.inbox().unwrap().into_iter().map(|item| item.title).collect();
    assert_eq!(titles, ["Sure?"], "what the run asks itself still waits");
    let run = "one".parse().unwrap();
    assert!(views::set_aside(soloist.journal(), &run).unwrap().is_some());
    let late = soloist.decide(id, abort()).await.unwrap_err().to_string();
    assert!(late.contains("does not wait for a decision"), "{late}");
    soloist.decide(id, Decision::Retry).await.unwrap();
    assert!(views::set_aside(soloist.journal(), &run).unwrap().is_none());
    assert!(views::incidents(soloist.journal()).unwrap().is_empty());
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_gave_up_is_told_and_dismissed() {
    let house = House::new();
    let soloist = open(&house).await;
    let what = What::GaveUp { supervisor: "soloist/connectors".into() };
    raise(soloist.context(), what, deaths()).await.unwrap();
    let item = soloist.inbox().unwrap().remove(0);
    assert_eq!((&item.run, &item.step, item.workflow.as_str()), (&None, &None, ""));
    let unfit = soloist.decide(item.id.as_str(), Decision::Retry).await.unwrap_err().to_string();
    assert!(unfit.contains("it takes `abort`"), "{unfit}");
    soloist.decide(item.id.as_str(), abort()).await.unwrap();
    assert!(soloist.inbox().unwrap().is_empty());
    assert!(views::incidents(soloist.journal()).unwrap().is_empty());
    soloist.shutdown().await.unwrap();
}

/// Many writers, one stream: each is on record, and of two decisions about one item the first counts.
#[tokio::test(start_paused = true)]
async fn writers_at_once_come_one_after_the_other() {
    let house = House::new();
    let soloist = open(&house).await;
    let names: Vec<String> = (0..8).map(|number| format!("run-{}", number / 2)).collect();
    let tasks: Vec<_> = names
        .into_iter()
        .map(|run| {
            let context = soloist.context().clone();
            tokio::spawn(async move { raise(&context, quarantined(&run), deaths()).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let incidents = views::incidents(soloist.journal()).unwrap();
    assert_eq!((incidents.len(), records(&soloist).len()), (4, 4), "two say the same of each run");
    let id = incidents[0].id.as_str();
    let (first, second) = tokio::join!(soloist.decide(id, abort()), soloist.decide(id, abort()));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    soloist.shutdown().await.unwrap();
}
