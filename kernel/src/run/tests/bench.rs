//! A run on the bench: commands in, events and actions out, with every invariant that a single decision must keep checked at
//! each step.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    catalog::{AgentKind, AgentSpec, Catalog},
    effect::{Decision, Proposal},
    fault::{Fault, FaultClass, Phase},
    id::{AgentName, EffectName, InboxId, StepName, WorkflowName, WorkflowRef},
    inbox,
    labels::Labeled,
    payload::{Digest, Payload},
    policy::{Evidence, Policy},
    run::*,
    semantics::WriteSemantics,
    time::Timestamp,
    workflow::{Library, Workflow},
};

pub(super) const NOW: Timestamp = Timestamp(1_000_000);

pub(super) const MAIL: &str = r#"
    name = "mail"
    [[step]]
    name = "triage"
    agent = "triage"
    retry = { attempts = 2, base = "1s", cap = "1s" }
    [[step]]
    name = "send"
    call = "mail.send"
    needs = ["triage"]
    when = "triage.answer"
    input = { to = "input.from" }
    [[step]]
    name = "remember"
    agent = "remember"
    needs = ["send"]
    when = "send.outcome == 'landed'"
"#;

/// A few definitions, each in its first version.
#[derive(Clone, Default)]
pub(super) struct Shelf(pub(super) BTreeMap<WorkflowRef, Arc<Workflow>>);

impl Shelf {
    pub(super) fn add(&mut self, source: &str, version: u32) -> WorkflowRef {
        let definition = Arc::new(Workflow::parse("test.toml", source).unwrap());
        let workflow = WorkflowRef { name: definition.name.clone(), version };
        self.0.insert(workflow.clone(), definition);
        workflow
    }
}

impl Library for Shelf {
    fn newest(&self, name: &WorkflowName) -> Option<(WorkflowRef, Arc<Workflow>)> {
        let found = self.0.iter().rev().find(|(workflow, _)| workflow.name == *name);
        found.map(|(workflow, definition)| (workflow.clone(), definition.clone()))
    }

    fn get(&self, workflow: &WorkflowRef) -> Option<Arc<Workflow>> {
        self.0.get(workflow).cloned()
    }
}

pub(super) struct Bench {
    pub(super) run: Run,
    pub(super) policy: Policy,
    pub(super) catalog: Catalog,
    pub(super) shelf: Shelf,
    pub(super) now: Timestamp,
    pub(super) history: Vec<(Timestamp, Event)>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::of(MAIL)
    }

    pub(super) fn of(source: &str) -> Self {
        Self::on(&[source], r#"{"from":"ada@x.example"}"#)
    }

    /// A run of the first definition; the others are there.
    pub(super) fn on(sources: &[&str], input: &str) -> Self {
        let mut shelf = Shelf::default();
        let refs: Vec<WorkflowRef> = sources.iter().map(|source| shelf.add(source, 1)).collect();
        let input = Labeled::owner(Payload::from_json(input).unwrap());
        let beginning = Beginning {
            workflow: refs[0].clone(),
            body: None,
            agents: BTreeMap::new(),
            parent: None,
            input,
        };
        Self::begin("r1", beginning, shelf, Catalog::default())
    }

    pub(super) fn begin(id: &str, beginning: Beginning, shelf: Shelf, catalog: Catalog) -> Self {
        let policy = Policy::default();
        let definition = shelf.resolve(&beginning.workflow, beginning.body.as_ref()).unwrap();
        let env = Env { now: NOW, policy: &policy, catalog: &catalog, library: &shelf };
        let (events, run) = start(id.parse().unwrap(), beginning, definition, &env);
        let history = events.into_iter().map(|event| (NOW, event)).collect();
        Self { run, policy, catalog, shelf, now: NOW, history }
    }

    pub(super) fn allowing(mut self) -> Self {
        let rules = "[[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'test'";
        self.policy = Policy::parse("p", rules).unwrap();
        self
    }

    /// An agent of the catalogue in its first version, to which the run is pinned.
    pub(super) fn with_agent(mut self, name: &str, kind: AgentKind, tools: &[&str]) -> Self {
        let name: AgentName = name.parse().unwrap();
        let any = || serde_json::json!(true);
        let spec = AgentSpec {
            version: 1,
            kind,
            input: any(),
            output: any(),
            failures: vec![],
            tools: tools.iter().map(|tool| (*tool).to_owned()).collect(),
            effects_max: 100,
        };
        self.catalog.agents.entry(name.clone()).or_default().insert(1, spec);
        self.run.agents.insert(name, 1);
        self
    }

    pub(super) fn env(&self) -> Env<'_> {
        let Self { policy, catalog, shelf, now, .. } = self;
        Env { now: *now, policy, catalog, library: shelf }
    }

    #[track_caller]
    pub(super) fn did(&mut self, command: Command) -> Vec<&'static str> {
        let (events, next) =
            transition(&self.run, command, &self.env()).expect("the command is allowed");
        let folded =
            Run::fold(Some(self.run.clone()), &self.run.id, events.clone(), self.now, &self.shelf);
        assert_eq!(
            folded,
            Ok(Some(next.clone())),
            "the state handed out is the fold of the events"
        );
        assert_eq!(is_at_rest(&next), outstanding(&next).is_empty());
        let (bytes, blobs) = encode(&events);
        let fetch = |digest: &Digest| {
            Ok(blobs.iter().find(|(known, _)| known == digest).map(|(_, bytes)| bytes.to_vec()))
        };
        assert_eq!(
            decode(EVENTS_VERSION, &bytes, &fetch).unwrap(),
            events,
            "what is stored is read back"
        );
        self.run = next;
        let kinds = events.iter().map(Event::kind).collect();
        self.history.extend(events.into_iter().map(|event| (self.now, event)));
        kinds
    }

    #[track_caller]
    pub(super) fn refuses(&self, command: Command) -> Refusal {
        decide(&self.run, command, &self.env()).expect_err("the command is refused")
    }

    #[track_caller]
    pub(super) fn completes(
        &mut self,
        name: &str,
        output: &serde_json::Value,
    ) -> Vec<&'static str> {
        let output = Payload::of(output).unwrap();
        let attempt = self.run.step(&step(name)).unwrap().1.attempt;
        self.did(Command::CompleteStep { step: step(name), attempt, output })
    }

    #[track_caller]
    pub(super) fn triaged(&mut self, answer: bool) -> Vec<&'static str> {
        self.completes("triage", &serde_json::json!({ "answer": answer }))
    }

    #[track_caller]
    pub(super) fn proposed(&mut self, semantics: WriteSemantics) -> Vec<&'static str> {
        let proposal = Proposal { semantics, ..crate::effect::tests::proposal("ada@x.example") };
        self.proposes("send", call(), proposal)
    }

    #[track_caller]
    pub(super) fn proposes(
        &mut self,
        name: &str,
        effect: EffectRef,
        proposal: Proposal,
    ) -> Vec<&'static str> {
        let (asked, evidence) = (Digest::of(b""), Evidence::default());
        let proposal = Box::new(proposal);
        self.did(Command::Propose { step: step(name), effect, asked, proposal, evidence })
    }

    pub(super) fn attempt(&mut self) -> Vec<&'static str> {
        self.did(Command::Attempt { step: step("send"), effect: call() })
    }

    pub(super) fn land(&mut self, attempt: u32) -> Vec<&'static str> {
        let receipt = Payload::null();
        self.did(Command::Land { step: step("send"), effect: call(), attempt, receipt })
    }

    pub(super) fn fault(&mut self, attempt: u32, phase: Phase) -> Vec<&'static str> {
        let fault = Fault::new(FaultClass::Transient, phase, "reset");
        self.did(Command::Fault { step: step("send"), effect: call(), attempt, fault })
    }

    pub(super) fn decision(item: InboxId, decision: Decision) -> Command {
        Command::Decide { item, decision, by: "operator".into(), fresh: None }
    }

    #[track_caller]
    pub(super) fn decide(&mut self, decision: Decision) -> Vec<&'static str> {
        let item = self.item();
        self.did(Self::decision(item, decision))
    }

    #[track_caller]
    pub(super) fn item(&self) -> InboxId {
        let items = inbox::items(&self.run);
        assert_eq!(items.len(), 1, "one item waits: {items:?}");
        items[0].id.clone()
    }

    pub(super) fn state(&self) -> &'static str {
        self.run.write(&step("send"), &call()).unwrap().state.word()
    }

    /// The run, folded from its history.
    pub(super) fn folded(&self) -> Run {
        let fold = |run, (at, event): &(Timestamp, Event)| {
            Run::fold(run, &self.run.id, vec![event.clone()], *at, &self.shelf).unwrap()
        };
        self.history.iter().fold(None, fold).unwrap()
    }
}

pub(super) fn step(name: &str) -> StepName {
    name.parse().unwrap()
}

pub(super) fn call() -> EffectRef {
    EffectRef { name: EffectName::new("call").unwrap(), occurrence: 0 }
}
