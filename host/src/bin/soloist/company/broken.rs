//! The worked examples, broken at every write, by loop.
//!
//! Each workflow runs once to count its writes. Then it runs once for each of them and each way to break it: the call fails
//! before it leaves, is answered with no, is lost on its way there or back, or the process dies before or after it. What
//! must hold is always the same: no write happens twice, the run ends or waits with an inbox item, and what stands in the
//! world afterwards is all of it, or none of it but what the inbox names.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use serde_json::{Value, json};
use soloist::{
    Soloist,
    connectors::{
        Compensation, Connector, Done, Env, Intent, Manifest, Plan, Probe,
        sandbox::{How, SandboxWorld},
    },
    fault::{Fault, FaultClass, Phase},
    id::OperationName,
    inbox::Kind,
    journal::memory::{Crash, MemoryJournal, Syncing},
    labels::Labeled,
    payload::Payload,
    time::Timestamp,
};

use super::{
    MAIL, connector, content,
    scenario::{Scenario, systems},
};
use crate::config::Config;

/// What happens to a write.
#[derive(Clone, Copy, Debug)]
enum Break {
    Fails(How),
    DiesBefore(Crash),
    DiesAfter(Crash),
}

/// Every way to break a write.
const BREAKS: [Break; 9] = [
    Break::Fails(How::Before),
    Break::Fails(How::BeforeAnswered(FaultClass::Throttled)),
    Break::Fails(How::BeforeAnswered(FaultClass::Declined)),
    Break::Fails(How::AfterLanding),
    Break::Fails(How::MaybeNotLanded),
    Break::DiesBefore(Crash::Process),
    Break::DiesBefore(Crash::PowerLoss { keep_unsynced: 0 }),
    Break::DiesAfter(Crash::Process),
    Break::DiesAfter(Crash::PowerLoss { keep_unsynced: 0 }),
];

/// Counts the calls that write, breaks one of them, and has the journal of a process that dies.
struct Wire {
    broken: Option<(usize, Break)>,
    calls: Mutex<usize>,
    journal: Arc<MemoryJournal>,
    survivor: Mutex<Option<Arc<MemoryJournal>>>,
}

impl Wire {
    fn new(journal: Arc<MemoryJournal>, broken: Option<(usize, Break)>) -> Arc<Self> {
        let (calls, survivor) = (Mutex::default(), Mutex::default());
        Arc::new(Self { broken, calls, journal, survivor })
    }

    /// What is to become of the call that is made now.
    fn next(&self) -> Option<Break> {
        let mut calls = self.calls.lock().unwrap();
        *calls += 1;
        self.broken.filter(|(number, _)| *number == *calls).map(|(_, how)| how)
    }

    /// Nothing that this process says is heard any more.
    async fn die(&self, crash: Crash) -> ! {
        *self.survivor.lock().unwrap() = Some(Arc::new(self.journal.crash(crash)));
        std::future::pending().await
    }
}

/// A connector whose writes pass by a [`Wire`].
struct Wired<C> {
    inner: C,
    wire: Arc<Wire>,
}

#[async_trait]
impl<C: Connector> Connector for Wired<C> {
    fn manifest(&self) -> &Manifest {
        self.inner.manifest()
    }

    async fn read(
        &self,
        env: &Env,
        operation: &OperationName,
        arguments: &Payload,
    ) -> Result<Labeled<Payload>, Fault> {
        self.inner.read(env, operation, arguments).await
    }

    fn plan(&self, intent: &Intent) -> Result<Plan, Fault> {
        self.inner.plan(intent)
    }

    async fn execute(&self, env: &Env, plan: &Plan, attempt: u32) -> Result<Payload, Fault> {
        let fault = |class, phase| Err(Fault::new(class, phase, "the test wants it so"));
        match self.wire.next() {
            None => self.inner.execute(env, plan, attempt).await,
            Some(Break::Fails(How::Before)) => fault(FaultClass::Transient, Phase::NotSent),
            Some(Break::Fails(How::BeforeAnswered(class))) => fault(class, Phase::Answered),
            Some(Break::Fails(How::MaybeNotLanded)) => {
                fault(FaultClass::Transient, Phase::MaybeSent)
            }
            Some(Break::Fails(How::AfterLanding)) => {
                self.inner.execute(env, plan, attempt).await?;
                fault(FaultClass::Transient, Phase::MaybeSent)
            }
            Some(Break::DiesBefore(crash)) => self.wire.die(crash).await,
            Some(Break::DiesAfter(crash)) => {
                self.inner.execute(env, plan, attempt).await?;
                self.wire.die(crash).await
            }
        }
    }

    async fn probe(&self, env: &Env, plan: &Plan) -> Result<Probe, Fault> {
        self.inner.probe(env, plan).await
    }

    fn compensate(&self, done: &Done<'_>) -> Result<Compensation, Fault> {
        self.inner.compensate(done)
    }
}

/// A workflow of the examples, with an input.
struct Case {
    scenario: Scenario,
    workflow: &'static str,
    input: Value,
}

/// What came of it.
struct Ended {
    writes: usize,
    stands: BTreeSet<String>,
    status: String,
}

/// When all of this happens. Time passes as tokio's does, which the tests let jump.
const NOW: Timestamp = Timestamp(1_800_000_000_000);

async fn open(case: &Case, folder: &Path, world: &SandboxWorld, wire: &Arc<Wire>) -> Soloist {
    let config = Config { data: folder.to_owned(), ..Config::default() };
    let begun = tokio::time::Instant::now();
    let clock = move || NOW.after(begun.elapsed());
    let journal = wire.journal.clone();
    let mut builder = case.scenario.rules(&config).expect("its definitions are well");
    builder = builder.journal(journal).env(Env::with_clock(clock, [7; 32]));
    for (name, inner) in systems(world) {
        builder = builder.connector(name, Wired { inner, wire: wire.clone() });
    }
    let inner = connector(&config).expect("an outbox needs nothing");
    builder.connector(MAIL, Wired { inner, wire: wire.clone() }).open().await.unwrap()
}

/// Runs the workflow as far as it goes, with an operator who approves of everything.
async fn work(case: &Case, soloist: &Soloist) {
    if soloist.start(case.workflow, "it", &case.input).await.is_err() {
        return;
    }
    while soloist.idle().await.is_ok() {
        let items = soloist.inbox().unwrap().into_iter();
        let approvals: Vec<_> = items.filter(|item| item.kind == Kind::Approval).collect();
        if approvals.is_empty() {
            return;
        }
        for item in approvals {
            let _ = soloist.approve(item.id.as_str()).await;
        }
    }
}

/// What stands in the world: not what was cancelled or refunded, and nothing that is only the systems' own.
fn stands(world: &SandboxWorld, folder: &Path) -> BTreeSet<String> {
    let records = world.records().unwrap().into_iter();
    let mut stands: BTreeSet<String> = records
        .filter(|(name, _)| !name.starts_with("payments/keys/"))
        .map(|(name, record)| (name, record["status"].clone(), record["stage"].clone()))
        .filter(|(_, status, _)| *status != "cancelled" && *status != "refunded")
        .map(|(name, status, stage)| format!("{name} {status} {stage}"))
        .collect();
    let mails = std::fs::read_dir(folder.join("outbox/new")).into_iter().flatten();
    stands.extend(mails.map(|mail| format!("mail {:?}", mail.unwrap().file_name())));
    stands
}

/// Runs the workflow with a write broken, and checks what must hold of any end.
async fn check(case: &Case, broken: Option<(usize, Break)>) -> Ended {
    let what = format!("{}, {broken:?}", case.workflow);
    let folder = tempfile::tempdir().unwrap();
    let world = SandboxWorld::open(folder.path().join("world")).unwrap();
    world.seed_sample().unwrap();
    let before = stands(&world, folder.path());

    let wire = Wire::new(Arc::new(MemoryJournal::new(Syncing::Auto)), broken);
    let mut soloist = open(case, folder.path(), &world, &wire).await;
    work(case, &soloist).await;
    let survivor = wire.survivor.lock().unwrap().take();
    let dies = matches!(broken, Some((_, Break::DiesBefore(_) | Break::DiesAfter(_))));
    assert_eq!(survivor.is_some(), dies, "{what}: it is broken where the test wants it to be");
    if let Some(journal) = survivor {
        let _ = soloist.shutdown().await;
        soloist = open(case, folder.path(), &world, &Wire::new(journal, None)).await;
        work(case, &soloist).await;
    }

    let writes = world.writes().unwrap();
    let keys: BTreeSet<_> = writes.iter().map(|write| &write.key).collect();
    assert_eq!(keys.len(), writes.len(), "{what}: a write happened twice: {writes:?}");
    let items = soloist.inbox().unwrap();
    let doubts = items.iter().filter(|item| item.kind == Kind::Ambiguous).count();
    assert_eq!(doubts, 0, "{what}: these systems can be asked");
    let runs = soloist.runs().unwrap();
    let it = runs.iter().find(|run| run.run.as_str() == "it").expect("it was acknowledged");
    let after = stands(&world, folder.path());
    if it.status == "completed" {
        assert!(items.is_empty(), "{what}: {items:?}");
    } else {
        assert!(["failed", "waiting"].contains(&it.status.as_str()), "{what}: {it:?}");
        let [item] = &items[..] else { panic!("{what}: it is asked about once: {items:?}") };
        let added: Vec<_> = after.difference(&before).collect();
        assert_eq!(added.len(), item.left.len(), "{what}: {added:?} and {:?}", item.left);
    }
    let ended = Ended {
        writes: *wire.calls.lock().unwrap(),
        stands: after.difference(&before).cloned().collect(),
        status: it.status.clone(),
    };
    soloist.shutdown().await.unwrap();
    ended
}

/// Breaks each write of the workflow in each way.
async fn every_write(case: Case, writes: usize, status: &str) {
    let calm = check(&case, None).await;
    assert_eq!((calm.writes, calm.status.as_str()), (writes, status));
    for number in 1..=writes {
        for how in BREAKS {
            let ended = check(&case, Some((number, how))).await;
            let refused = matches!(how, Break::Fails(How::BeforeAnswered(FaultClass::Declined)));
            if !refused {
                let what = format!("{} {number} {how:?}", case.workflow);
                assert_eq!(ended.status, status, "{what}: what passes changes nothing");
                assert_eq!(ended.stands, calm.stands, "{what}: what passes changes nothing");
            }
        }
    }
}

fn order(receipt_to: &str) -> Case {
    let input = json!({
        "customer": "mara@harbourbakery.example",
        "account": "acct-harbour",
        "amount_cents": 36_000,
        "description": "autumn menu",
        "receipt_to": receipt_to,
    });
    Case { scenario: Scenario::Invoicing, workflow: "invoice", input }
}

#[tokio::test(start_paused = true)]
async fn an_order_is_invoiced_charged_and_thanked_for_or_nothing_of_it_stands() {
    every_write(order("mara@harbourbakery.example"), 3, "completed").await;
}

#[tokio::test(start_paused = true)]
async fn an_order_whose_receipt_cannot_be_sent_is_taken_back_or_the_inbox_says_what_is_left() {
    every_write(order("nobody"), 4, "failed").await;
}

#[tokio::test(start_paused = true)]
async fn a_lead_is_written_to_once_and_the_crm_says_so_or_the_operator_is_asked() {
    let input = json!({ "email": "ines@tidepotters.example", "offer": "signs" });
    let case = Case { scenario: Scenario::Outreach, workflow: "outreach-lead", input };
    every_write(case, 3, "completed").await;
}

#[tokio::test(start_paused = true)]
async fn an_article_is_published_once_or_not_even_its_draft_stays() {
    let case = Case { scenario: Scenario::Content, workflow: "content", input: content::input() };
    every_write(case, 2, "completed").await;
}

/// One of the demo's inquiries.
fn inquiry(index: usize) -> Case {
    let input = Scenario::Qualification.input()["inquiries"][index].clone();
    Case { scenario: Scenario::Qualification, workflow: "qualify-lead", input }
}

#[tokio::test(start_paused = true)]
async fn a_clear_yes_is_noted_invited_and_qualified_once_or_the_operator_is_asked() {
    every_write(inquiry(0), 3, "completed").await;
}

#[tokio::test(start_paused = true)]
async fn a_borderline_inquiry_is_invited_once_when_the_operator_says_so() {
    every_write(inquiry(1), 3, "completed").await;
}

#[tokio::test(start_paused = true)]
async fn a_clear_no_is_noted_once_and_nothing_else() {
    every_write(inquiry(2), 1, "completed").await;
}

#[tokio::test(start_paused = true)]
async fn a_model_that_cannot_be_reached_is_asked_again_and_then_a_rule_of_thumb_stands_in() {
    for (faults, by) in [(2, "by the model"), (3, "by a rule of thumb")] {
        let folder = tempfile::tempdir().unwrap();
        let world = SandboxWorld::open(folder.path().join("world")).unwrap();
        world.seed_sample().unwrap();
        (0..faults).for_each(|_| world.fail_next("model.complete", How::MaybeNotLanded));
        let (case, journal) = (inquiry(0), Arc::new(MemoryJournal::new(Syncing::Auto)));
        let soloist = open(&case, folder.path(), &world, &Wire::new(journal, None)).await;
        work(&case, &soloist).await;
        let records = world.records().unwrap().into_iter();
        let notes: Vec<_> = records.filter(|(name, _)| name.starts_with("crm/notes/")).collect();
        let [(_, note)] = &notes[..] else { panic!("it is noted once: {notes:?}") };
        assert!(note["text"].as_str().unwrap().contains(by), "{faults} faults: {note}");
        soloist.shutdown().await.unwrap();
    }
}
