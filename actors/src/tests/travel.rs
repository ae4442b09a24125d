//! Looking back: a run at a record, rebuilt from its records, and in a bundle.

use std::time::Duration;

use serde_json::json;
use soloist_kernel::{
    id::{Actor, RunId, StreamId},
    inbox,
    journal::{
        Append, AppendError, Entry, Head, Journal, ProjectionKey, ReadError, Record, Seq, Snapshot,
        Stats, Stopped, StreamSeq, Synced,
        archive::{Files, Sealed, Selection, Slot},
    },
    payload::{Digest, Payload},
    run::project::{ACTIVE, TIMERS},
};

use super::*;
use crate::{
    Agent, Failure, Question, ReadOnly, Turn,
    travel::{self, Bundle, Difference, TravelError},
};

/// Sleeps, hands a part of it on, remembers a long text, and asks.
struct Clerk;

impl Agent for Clerk {
    const NAME: &'static str = "clerk";
    type Kind = ReadOnly;
    type Input = String;
    type Output = String;

    async fn run(&self, turn: Turn<ReadOnly>, what: String) -> Result<String, Failure> {
        if what == "long" {
            let text = "a long text ".repeat(1_000);
            return Ok(turn.step("write", || async { Ok::<_, String>(text) }).await?);
        }
        turn.sleep(Duration::from_secs(60)).await?;
        let long: String = turn.delegate("clerk", &"long").await?;
        let color: String = turn.ask(Question::new("Red or blue?")).await?;
        Ok(format!("{color}, {} letters", long.len()))
    }
}

const FLOW: &str = "name='flow'\n[[step]]\nname='work'\nagent='clerk'\nretry={ attempts=1 }\n[[step]]\nname='ok'\napprove='Well?'\nneeds=['work']";

/// A run that has slept and waits for an answer.
async fn asking(house: &House) -> Soloist {
    let soloist = house.kernel(&[FLOW]).agent(Clerk).snapshot_every(2).open().await.unwrap();
    soloist.start("flow", "one", &"all").await.unwrap();
    // It sleeps first.
    tokio::time::sleep(Duration::from_secs(61)).await;
    soloist.idle().await.unwrap();
    assert_eq!(soloist.inbox().unwrap().len(), 1, "it asks");
    soloist
}

fn one() -> RunId {
    RunId::new("one").unwrap()
}

/// Writes `rows` as nobody should: beside a record that is of no run.
fn tamper(house: &House, rows: Vec<(ProjectionKey, Option<Vec<u8>>)>) {
    let stream = StreamId::new("elsewhere").unwrap();
    let stream_seq = StreamSeq(house.journal.stream_head(&stream).unwrap().0 + 1);
    let entry = Entry {
        stream,
        stream_seq,
        at: Timestamp(BEGIN),
        actor: Actor::kernel(),
        causation: None,
        correlation: None,
        kind: "tampered".into(),
        version: 1,
        payload: vec![],
    };
    let append = Append { entries: vec![entry], projections: rows, ..Append::default() };
    house.journal.append(append).unwrap();
}

/// What a replay of the run finds, after `rows` were written.
#[track_caller]
fn check(house: &House, rows: Vec<(ProjectionKey, Option<Vec<u8>>)>, what: &str, says: &str) {
    let before: Vec<_> =
        rows.iter().map(|(key, _)| (key.clone(), house.journal.projection(key).unwrap())).collect();
    tamper(house, rows);
    let found = travel::replay_run(&*house.journal, &one()).unwrap().differences;
    tamper(house, before);
    let told: Vec<_> = found.iter().map(|found| (found.what, found.says.clone())).collect();
    assert!(
        told.iter().any(|(of, said)| *of == what && said.contains(says)),
        "{what}: {says}; found {told:?}"
    );
    let healed = travel::replay_run(&*house.journal, &one()).unwrap();
    assert_eq!(healed.differences, [], "what is put back is well again");
}

#[tokio::test(start_paused = true)]
async fn a_run_is_what_its_records_say_and_whatever_is_not_is_named() {
    let house = House::new();
    let soloist = asking(&house).await;
    let replayed = soloist.replay(&one()).unwrap();
    assert_eq!(replayed.len(), 2, "the run, and the one beneath it");
    assert!(replayed.iter().all(|run| run.differences.is_empty()), "{replayed:?}");
    assert_eq!(
        (replayed[0].status.as_str(), replayed[1].status.as_str()),
        ("waiting", "completed")
    );

    let summary = ProjectionKey::new(ACTIVE, "one");
    check(&house, vec![(summary.clone(), None)], "summary", "one should be in `runs-active`");
    let mut wrong: serde_json::Value =
        serde_json::from_slice(&house.journal.projection(&summary).unwrap().unwrap()).unwrap();
    wrong["status"] = json!("running");
    let rows = vec![(summary, Some(wrong.to_string().into_bytes()))];
    check(&house, rows, "summary", "`status` is \"running\" and should be \"waiting\"");
    let item = soloist.inbox().unwrap().remove(0);
    let item = ProjectionKey::new(inbox::TABLE, item.id.as_str());
    check(&house, vec![(item, None)], "inbox", "should be in `inbox`, and is not");
    let stray = ProjectionKey::new(TIMERS, "00000000000000000007/one");
    check(&house, vec![(stray, Some(vec![]))], "timers", "is in `timers`, and should not be");
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_leads_elsewhere_is_named() {
    let house = House::new();
    let soloist = asking(&house).await;
    let mut run = soloist.folded(&one()).unwrap().unwrap();
    let stream = one().stream();
    assert!(house.journal.snapshot(&stream).unwrap().is_some(), "one was taken");
    run.input.value = Payload::of(&"nothing").unwrap();
    run.stream_seq = StreamSeq(1);
    let snapshots = vec![(stream, soloist_kernel::run::state(&run))];
    // A snapshot is as of the last record of its stream, so the state that is put there is behind it.
    let entry = Entry {
        stream: StreamId::new("elsewhere").unwrap(),
        stream_seq: StreamSeq(1),
        at: Timestamp(BEGIN),
        actor: Actor::kernel(),
        causation: None,
        correlation: None,
        kind: "tampered".into(),
        version: 1,
        payload: vec![],
    };
    let append = Append { entries: vec![entry], snapshots, ..Append::default() };
    house.journal.append(append).unwrap();
    let found = soloist.replay(&one()).unwrap().remove(0).differences;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].what, "snapshot");
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_run_is_shown_as_it_was_at_each_of_its_records() {
    let house = House::new();
    let soloist = asking(&house).await;
    let item = soloist.inbox().unwrap().remove(0);
    soloist.answer(item.id.as_str(), "red").await.unwrap();
    waits(&soloist, "one").await;
    let records = house.journal.stream(&one().stream(), StreamSeq(0)).unwrap();
    for (count, record) in (1..).zip(&records) {
        let moment = soloist.at(&one(), Some(record.seq)).unwrap();
        assert_eq!(moment.records.len(), count);
        assert_eq!(moment.run.stream_seq, record.entry.stream_seq);
    }
    let asked = records.iter().find(|record| record.entry.kind == "question.asked").unwrap();
    let then = soloist.at(&one(), Some(asked.seq)).unwrap();
    assert_eq!((then.waits.len(), then.waits[0].id.clone()), (1, item.id));
    assert_eq!(then.summary.status, "waiting");
    let now = soloist.at(&one(), None).unwrap();
    let live = soloist.folded(&one()).unwrap().unwrap();
    assert!(
        soloist_kernel::run::state(&now.run) == soloist_kernel::run::state(&live),
        "to the bit"
    );
    assert_eq!(now.waits[0].title, "Well?");

    let early = soloist.at(&one(), Some(Seq(1))).unwrap_err();
    assert!(matches!(early, TravelError::NotBegun { first, .. } if first == records[0].seq));
    let late = soloist.at(&one(), Some(Seq(9_999))).unwrap_err();
    assert!(matches!(late, TravelError::Beyond { .. }), "{late}");
    let nobody = soloist.at(&RunId::new("two").unwrap(), None).unwrap_err();
    assert!(matches!(nobody, TravelError::NoRun { .. }), "{nobody}");
    soloist.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_bundle_leads_to_the_same_state_to_the_bit_without_its_journal() {
    let house = House::new();
    let soloist = asking(&house).await;
    let here = soloist.replay(&one()).unwrap();
    let bytes = soloist.export(&one()).unwrap();
    assert_eq!(bytes, soloist.export(&one()).unwrap(), "the same run is the same bundle");
    soloist.shutdown().await.unwrap();
    drop(house);

    let bundle = Bundle::read(&bytes).unwrap();
    assert_eq!(bundle.replay(), here);
    assert_eq!(bundle.run(), &one());
    assert_eq!(bundle.at(&one(), None).unwrap().summary.status, "waiting");
    // The long answer of the run beneath left its record, and is in the bundle.
    let beneath = bundle.at(&here[1].run, None).unwrap();
    let output = beneath.run.steps[0].output().unwrap().value.value();
    assert_eq!(output.as_str().map(str::len), Some(12_000));
}

#[tokio::test(start_paused = true)]
async fn any_byte_of_a_bundle_that_changes_is_found_and_its_part_named() {
    let house = House::new();
    let soloist = asking(&house).await;
    let bytes = soloist.export(&one()).unwrap();
    soloist.shutdown().await.unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        let Err(error) = Bundle::read(&flipped) else { panic!("byte {at} may change") };
        let said = error.to_string();
        let named = said.starts_with("part ") || at < 10;
        assert!(named, "byte {at}: {said}");
    }
}

/// A journal whose disk has changed one record of a stream, behind everybody's back.
struct Changed(Arc<MemoryJournal>);

impl Journal for Changed {
    fn append(&self, append: Append) -> Result<Seq, AppendError> {
        self.0.append(append)
    }

    fn sync(&self, seq: Seq, done: Synced) {
        self.0.sync(seq, done);
    }

    fn record(&self, seq: Seq) -> Result<Option<Record>, ReadError> {
        self.0.record(seq)
    }

    fn records(&self, from: Seq, limit: usize) -> Result<Vec<Record>, ReadError> {
        self.0.records(from, limit)
    }

    fn slots(&self, from: Seq, limit: usize) -> Result<Vec<Slot>, ReadError> {
        self.0.slots(from, limit)
    }

    fn seal(&self, of: Selection, done: Sealed) {
        self.0.seal(of, done);
    }

    fn archive(&self) -> &dyn Files {
        self.0.archive()
    }

    fn stream(&self, stream: &StreamId, after: StreamSeq) -> Result<Vec<Record>, ReadError> {
        let mut records = self.0.stream(stream, after)?;
        if let Some(record) = records.iter_mut().find(|record| record.entry.stream_seq.0 == 2) {
            record.entry.actor = Actor::operator();
        }
        Ok(records)
    }

    fn stream_head(&self, stream: &StreamId) -> Result<StreamSeq, ReadError> {
        self.0.stream_head(stream)
    }

    fn snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>, ReadError> {
        self.0.snapshot(stream)
    }

    fn projection(&self, key: &ProjectionKey) -> Result<Option<Vec<u8>>, ReadError> {
        self.0.projection(key)
    }

    fn projections(
        &self,
        table: &'static str,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        self.0.projections(table, prefix, after, limit)
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ReadError> {
        self.0.blob(digest)
    }

    fn head(&self) -> Head {
        self.0.head()
    }

    fn stats(&self) -> Stats {
        self.0.stats()
    }

    fn close(&self) -> Result<(), Stopped> {
        self.0.close()
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_not_what_was_appended_is_named_though_the_state_is_the_same() {
    let house = House::new();
    let soloist = asking(&house).await;
    let second = house.journal.stream(&one().stream(), StreamSeq(0)).unwrap()[1].seq;
    let found = travel::replay_run(&Changed(house.journal.clone()), &one()).unwrap().differences;
    let says = format!("record {second} is not what was appended behind record {}", second.0 - 1);
    assert_eq!(found, [Difference { what: "hash", says }]);
    soloist.shutdown().await.unwrap();
}
