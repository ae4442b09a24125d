//! A connector whose author made a mistake.

use async_trait::async_trait;
use soloist_connectors::{Compensation, Connector, Done, Env, Intent, Page, Plan, Probe, Seen};
use soloist_kernel::{
    catalog::OperationKind,
    effect::WriteEvent,
    fault::{Fault, FaultClass, Phase},
    id::OperationName,
    inbox::Kind,
    labels::Labeled,
    payload::{Digest, Payload},
    run::{self, Event},
    semantics::Reversal,
};

use super::*;
use crate::RunEnd;

/// The connector to a provider, which panics where it is told to: before it waits for something, and after.
struct Clumsy {
    adapter: Adapter,
    manifest: Manifest,
    panics_in: &'static str,
}

impl Clumsy {
    fn trips(&self, place: &str) {
        assert!(self.panics_in != place, "it tripped");
    }

    async fn trips_later(&self, place: &str) {
        tokio::task::yield_now().await;
        self.trips(place);
    }
}

#[async_trait]
impl Connector for Clumsy {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn pull(&self, env: &Env, seen: Seen<'_>, limit: usize) -> Result<Page, Fault> {
        self.trips_later("pull").await;
        self.adapter.pull(env, seen, limit).await
    }

    async fn read(
        &self,
        env: &Env,
        operation: &OperationName,
        arguments: &Payload,
    ) -> Result<Labeled<Payload>, Fault> {
        self.trips("read");
        self.adapter.read(env, operation, arguments).await
    }

    fn plan(&self, intent: &Intent) -> Result<Plan, Fault> {
        self.trips("plan");
        self.adapter.plan(intent)
    }

    async fn execute(&self, env: &Env, plan: &Plan, attempt: u32) -> Result<Payload, Fault> {
        self.trips("execute");
        if self.panics_in == "probe" {
            // So that there is something to find out.
            return Err(Fault::new(FaultClass::Transient, Phase::MaybeSent, "it hung up"));
        }
        self.trips_later("execute later").await;
        self.adapter.execute(env, plan, attempt).await
    }

    async fn probe(&self, env: &Env, plan: &Plan) -> Result<Probe, Fault> {
        self.trips_later("probe").await;
        self.adapter.probe(env, plan).await
    }

    fn compensate(&self, _done: &Done<'_>) -> Result<Compensation, Fault> {
        self.trips("compensate");
        Ok(Compensation::Irreversible)
    }
}

const FAILS: &str = "
    name = 'fails'
    [[step]]
    name = 'it'
    call = 'provider.write'
    input = { text = 'input' }
    [[step]]
    name = 'then'
    agent = 'looker'
    needs = ['it']
    on_failure = 'compensate'
";

/// Runs `workflow` at a connector that panics in `place`: gives what it came to and what the inbox says. Everyone lives.
async fn at(place: &'static str, workflow: &str, input: serde_json::Value) -> (RunEnd, Soloist) {
    let mut town = Town::new(Rate::per_second(100, 100));
    for operation in town.manifest.operations.values_mut() {
        if operation.kind == OperationKind::Write && place == "compensate" {
            operation.reversal = Reversal::Undo("rare".parse().unwrap());
        }
    }
    let clumsy =
        Clumsy { adapter: town.adapter(), manifest: town.manifest.clone(), panics_in: place };
    let builder = town.house.kernel(&[WRITE, LOOK, FAILS]).agent(Looker);
    let builder = builder.connector("provider", clumsy).intake("provider", "look", None);
    let soloist = builder.policy(Policy::parse("p", ALLOW).unwrap()).open().await.unwrap();
    let run = soloist.start(workflow, "one", &input).await.unwrap();
    sleep(Duration::from_secs(600)).await;
    let end = run.rest().await.unwrap();
    assert_eq!(soloist.stats().actors_restarted, 0);
    assert_eq!(calls(&soloist).restarts, 0);
    assert!(soloist.readiness().ready);
    (end, soloist)
}

/// The faults that the journal has of the run.
fn faults(soloist: &Soloist) -> Vec<Fault> {
    let records = soloist.run("one").unwrap().view().unwrap().unwrap().records;
    let events = records.iter().flat_map(|record| {
        let blob = |digest: &Digest| {
            soloist.journal().blob(digest).map(|blob| blob.map(|blob| blob.to_vec()))
        };
        run::decode(record.entry.version, &record.entry.payload, &blob).unwrap()
    });
    let faults = events.filter_map(|event| match event {
        Event::Write { event: WriteEvent::Faulted { fault, .. }, .. } => Some(fault),
        _ => None,
    });
    faults.collect()
}

fn says_so(said: &str, place: &str) {
    let expected = format!("the connector panicked in `{place}`: it tripped");
    assert!(said.contains(&expected), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_plan_fails_the_step() {
    let (end, _soloist) = at("plan", "write", json!("x")).await;
    let RunEnd::Failed { reason, .. } = end else { panic!("it came to {end:?}") };
    says_so(&reason, "plan");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_read_fails_the_turn() {
    let (end, _soloist) = at("read", "look", json!(1)).await;
    let RunEnd::Failed { reason, .. } = end else { panic!("it came to {end:?}") };
    says_so(&reason, "read");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_an_attempt_is_a_defect_that_may_have_happened() {
    for place in ["execute", "execute later"] {
        let (end, soloist) = at(place, "write", json!("x")).await;
        // The other side is asked each time, and knows that nothing has arrived.
        let RunEnd::Failed { reason, .. } = end else { panic!("it came to {end:?}") };
        assert!(reason.ends_with("a probe proved that the attempt had no effect"), "{reason}");
        let faults = faults(&soloist);
        assert_eq!(faults.len(), 6);
        for fault in faults {
            assert_eq!((fault.class, fault.phase), (FaultClass::Bug, Phase::MaybeSent));
            says_so(&fault.message, "execute");
        }
        soloist.shutdown().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_every_probe_ends_at_the_operator() {
    let (end, soloist) = at("probe", "write", json!("x")).await;
    assert!(matches!(end, RunEnd::Waiting { .. }), "{end:?}");
    let item = soloist.inbox().unwrap().remove(0);
    assert_eq!(item.kind, Kind::Ambiguous);
    says_so(&format!("{item:?}"), "probe");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_pull_is_a_pull_that_failed() {
    let (_end, soloist) = at("pull", "write", json!("x")).await;
    let error = soloist.pull("provider").await.unwrap_err().to_string();
    says_so(&error, "pull");
    let again = soloist.pull("provider").await.unwrap_err().to_string();
    assert_eq!(again, error, "the intake lives");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_compensation_is_put_to_the_operator() {
    let (_end, soloist) = at("compensate", "fails", json!("no number")).await;
    let inbox = soloist.inbox().unwrap();
    says_so(&format!("{inbox:?}"), "compensate");
}
