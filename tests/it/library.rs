//! The library as an embedder uses it: runs, turns that are taken again, and what becomes of those that go wrong.
//!
//! `library/replay.rs` is turns over two lives of a kernel; `library/press.rs` is the connector that both propose to.

mod press;
mod replay;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use soloist::{
    Agent, Builder, Failure, Policy, ReadOnly, RunEnd, Soloist, StartError, Transactional, Turn,
    Workflow,
    effect::Outcome,
    inbox::Kind,
    journal::StreamSeq,
    payload::{PAYLOAD_BYTES_MAX, Payload, PayloadError},
};

use press::Press;

/// Gives back what it is given, twice.
struct Echo;

impl Agent for Echo {
    const NAME: &'static str = "echo";
    type Kind = ReadOnly;
    type Input = String;
    type Output = String;

    async fn run(&self, _turn: Turn<ReadOnly>, input: String) -> Result<String, Failure> {
        Ok(input.repeat(2))
    }
}

/// Panics, and counts how often.
struct Panics(Arc<AtomicU32>);

impl Agent for Panics {
    const NAME: &'static str = "panics";
    type Kind = ReadOnly;
    type Input = String;
    type Output = ();

    async fn run(&self, _turn: Turn<ReadOnly>, _input: String) -> Result<(), Failure> {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("as it is meant to")
    }
}

/// Never ends.
struct Sleeps;

impl Agent for Sleeps {
    const NAME: &'static str = "sleeps";
    type Kind = ReadOnly;
    type Input = String;
    type Output = ();

    async fn run(&self, _turn: Turn<ReadOnly>, _input: String) -> Result<(), Failure> {
        std::future::pending().await
    }
}

/// Proposes to print its input, and says what became of it.
struct Printer;

impl Agent for Printer {
    const NAME: &'static str = "printer";
    type Kind = Transactional;
    const TOOLS: &'static [&'static str] = &["press.print"];
    type Input = String;
    type Output = String;

    async fn run(&self, turn: Turn, input: String) -> Result<String, Failure> {
        Ok(match turn.propose("press.print", &press::arguments(&input)).await? {
            Outcome::Denied { rule, .. } => format!("denied by {rule}"),
            outcome => outcome.word().to_owned(),
        })
    }
}

/// A workflow `only` with one step of `agent` and what else `more` says of it.
fn only(agent: &str, more: &str) -> Workflow {
    let text = format!("name = 'only'\n[[step]]\nname = 'work'\nagent = '{agent}'\n{more}");
    Workflow::parse("only.toml", &text).expect("the workflow is well")
}

fn builder(data: &Path) -> Builder {
    Soloist::builder().data_dir(data)
}

/// The reason of a run that failed.
#[track_caller]
fn failed(end: RunEnd) -> String {
    let RunEnd::Failed { reason, .. } = end else { panic!("it should have failed: {end:?}") };
    reason
}

#[tokio::test]
async fn the_same_id_with_the_same_input_is_one_run_and_with_another_input_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let soloist = builder(dir.path()).agent(Echo).workflow(only("echo", "")).open().await.unwrap();
    let first = soloist.start("only", "one", &"la").await.unwrap();
    assert_eq!(first.rest().await.unwrap(), RunEnd::Completed(Payload::of(&"lala").unwrap()));
    let second = soloist.start("only", "one", &"la").await.unwrap();
    assert_eq!((first.is_new(), second.is_new()), (true, false));
    assert_eq!(second.rest().await.unwrap(), RunEnd::Completed(Payload::of(&"lala").unwrap()));
    let other = soloist.start("only", "one", &"do").await.err().expect("it is another run");
    assert!(matches!(other, StartError::IdInUse { .. }), "{other}");
    assert_eq!(soloist.runs().unwrap().len(), 1);
    soloist.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_unknown_run_is_missing_and_an_unknown_workflow_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let soloist = builder(dir.path()).agent(Echo).workflow(only("echo", "")).open().await.unwrap();
    let nothing = soloist.run("never-started").unwrap();
    assert_eq!(nothing.rest().await.unwrap(), RunEnd::Missing);
    let unknown = soloist.start("onyl", "one", &"la").await.err().expect("there is none");
    assert_eq!(unknown.to_string(), "there is no workflow `onyl`; there is `only`");
    soloist.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_input_over_the_limit_is_refused_by_name_and_nothing_is_started() {
    let dir = tempfile::tempdir().unwrap();
    let soloist = builder(dir.path()).agent(Echo).workflow(only("echo", "")).open().await.unwrap();
    let large = "x".repeat(PAYLOAD_BYTES_MAX);
    let error = soloist.start("only", "one", &large).await.err().expect("it is too large");
    let bytes = PAYLOAD_BYTES_MAX + 2;
    assert!(
        matches!(&error, StartError::Input(PayloadError::TooLarge { bytes: b }) if *b == bytes)
    );
    let expected = format!(
        "the input of the run: the value has {bytes} bytes of JSON and the limit is {PAYLOAD_BYTES_MAX}; keep large content in a file or blob and pass its hash"
    );
    assert_eq!(error.to_string(), expected);
    assert!(soloist.runs().unwrap().is_empty());
    soloist.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_output_over_the_limit_fails_its_step_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let soloist = builder(dir.path()).agent(Echo).workflow(only("echo", "")).open().await.unwrap();
    let large = "x".repeat(PAYLOAD_BYTES_MAX / 2 + 1);
    let run = soloist.start("only", "one", &large).await.unwrap();
    let reason = failed(run.rest().await.unwrap());
    assert!(reason.contains("agent `echo`, output") && reason.contains("the limit is"), "{reason}");
    soloist.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_agent_that_panics_is_tried_again_and_then_is_an_incident() {
    let dir = tempfile::tempdir().unwrap();
    let turns = Arc::new(AtomicU32::new(0));
    let workflow = only("panics", "retry = { attempts = 3, base = '1ms', cap = '1ms' }");
    let soloist =
        builder(dir.path()).agent(Panics(turns.clone())).workflow(workflow).open().await.unwrap();
    let run = soloist.start("only", "one", &"la").await.unwrap();
    let reason = failed(run.rest().await.unwrap());
    assert_eq!(reason, "the agent panicked: as it is meant to");
    assert_eq!(turns.load(Ordering::SeqCst), 3);
    let [incident] = &soloist.inbox().unwrap()[..] else { panic!("one incident") };
    assert_eq!(
        (incident.kind, incident.run.as_ref().map(|run| run.as_str())),
        (Kind::Incident, Some("one"))
    );
    soloist.abort(incident.id.as_str(), "seen").await.unwrap();
    assert!(soloist.inbox().unwrap().is_empty(), "what was seen no longer waits");
    soloist.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_turn_that_takes_too_long_fails_with_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let workflow = only("sleeps", "timeout = '40ms'\nretry = { attempts = 2, base = '1ms' }");
    let soloist = builder(dir.path()).agent(Sleeps).workflow(workflow).open().await.unwrap();
    let run = soloist.start("only", "one", &"la").await.unwrap();
    let reason = failed(run.rest().await.unwrap());
    assert_eq!(reason, "the turn did not end within 0.04 s, its step's timeout");
    soloist.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_write_that_policy_denies_never_leaves_and_its_agent_learns_the_rule() {
    let dir = tempfile::tempdir().unwrap();
    let press = Press::default();
    let rules = "[[rule]]\nname = 'no-print'\noperation = 'press.print'\nverdict = 'deny'\nreason = 'paper is dear'";
    let soloist = builder(dir.path())
        .agent(Printer)
        .connector("press", press.clone())
        .policy(Policy::parse("policy.toml", rules).unwrap())
        .workflow(only("printer", ""))
        .open()
        .await
        .unwrap();
    let run = soloist.start("only", "one", &"poster").await.unwrap();
    let end = run.rest().await.unwrap();
    assert_eq!(end, RunEnd::Completed(Payload::of(&"denied by no-print").unwrap()));
    assert!(press.printed().is_empty() && soloist.inbox().unwrap().is_empty());
    soloist.shutdown().await.unwrap();
}

/// Fails for good once the press has printed.
struct Spoiler(Press);

impl Agent for Spoiler {
    const NAME: &'static str = "spoiler";
    type Kind = ReadOnly;
    type Input = String;
    type Output = ();

    async fn run(&self, _turn: Turn<ReadOnly>, _input: String) -> Result<(), Failure> {
        while self.0.printed().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(Failure::fatal("spoilt"))
    }
}

#[tokio::test]
async fn a_write_that_lands_while_its_run_fails_is_in_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let press = Press::slow(Duration::from_millis(200));
    let rules = "[[rule]]\nname = 'print'\nverdict = 'allow'\nreason = 'paper is cheap'";
    let workflow = "name = 'both'\n[[step]]\nname = 'print'\ncall = 'press.print'\ninput = { text = 'input' }\n[[step]]\nname = 'spoil'\nagent = 'spoiler'";
    let soloist = builder(dir.path())
        .agent(Spoiler(press.clone()))
        .connector("press", press.clone())
        .policy(Policy::parse("policy.toml", rules).unwrap())
        .workflow(Workflow::parse("both.toml", workflow).unwrap())
        .open()
        .await
        .unwrap();
    let run = soloist.start("both", "one", &"poster").await.unwrap();
    assert_eq!(failed(run.rest().await.unwrap()), "spoilt");
    // The shutdown lets the call under way come to an end.
    let journal = soloist.shared_journal();
    soloist.shutdown().await.unwrap();
    assert_eq!(press.printed(), ["poster"]);
    let records = journal.stream(&run.id().stream(), StreamSeq(0)).unwrap();
    let kinds: Vec<&str> = records.iter().map(|record| &*record.entry.kind).collect();
    assert!(kinds.contains(&"write.landed"), "{kinds:?}");
}

#[tokio::test]
async fn two_kernels_in_one_process_do_not_meet() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (press, other_press) = (Press::default(), Press::default());
    let open = |dir: &Path, press: &Press| {
        let workflow = only("printer", "");
        builder(dir).agent(Printer).connector("press", press.clone()).workflow(workflow).open()
    };
    let (one, other) =
        (open(here.path(), &press).await.unwrap(), open(there.path(), &other_press).await.unwrap());
    let run = one.start("only", "same-id", &"poster").await.unwrap();
    let other_run = other.start("only", "same-id", &"poster").await.unwrap();
    assert!(run.is_new() && other_run.is_new());
    assert_eq!(run.rest().await.unwrap(), RunEnd::Waiting { on: vec![] });
    assert_eq!(other_run.rest().await.unwrap(), RunEnd::Waiting { on: vec![] });
    // The same effect, shown with the same content, has the same item in both, and is decided in one.
    let item = one.inbox().unwrap().remove(0).id;
    assert_eq!(other.inbox().unwrap().remove(0).id, item);
    one.approve(item.as_str()).await.unwrap();
    assert_eq!(run.rest().await.unwrap(), RunEnd::Completed(Payload::of(&"landed").unwrap()));
    assert_eq!(other_run.rest().await.unwrap(), RunEnd::Waiting { on: vec![] });
    one.shutdown().await.unwrap();
    other.abort(item.as_str(), "no").await.unwrap();
    assert_eq!(
        other_run.rest().await.unwrap(),
        RunEnd::Completed(Payload::of(&"aborted").unwrap())
    );
    other.shutdown().await.unwrap();
    assert_eq!((press.printed(), other_press.printed()), (vec!["poster".into()], vec![]));
}
