//! A small world around runs: everything that a state asks for is done, with outcomes drawn by chance, and what must always
//! hold is checked after each decision.
//!
//! The world knows the truth: which writes have landed. Operators and probes tell the truth, because what a liar causes is
//! the liar's. After a while nothing goes wrong any more, and then everything must come to an end.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::bench::{NOW, Shelf};
use crate::{
    catalog::{AgentKind, AgentSpec, Catalog},
    effect::{Decision, Proposal, WriteState},
    fault::{Fault, FaultClass, Phase},
    id::{InboxId, RunId, StepName, WorkflowRef},
    inbox::{self, Waiting},
    journal::{ProjectionKey, StreamSeq},
    labels::{Labeled, Labels},
    payload::{Digest, Payload},
    policy::{Evidence, Policy},
    run::*,
    semantics::{Reversal, WriteSemantics},
    time::Timestamp,
    workflow::Library,
};

/// Moves before nothing goes wrong any more.
const TROUBLE: usize = 150;
/// Moves after which a world that still moves never ends.
const MOVES_MAX: usize = 6_000;

const POLICY: &str = r#"
    [[rule]]
    name = "free"
    when = "routing.to.value is endingwith('@free.example')"
    verdict = "allow"
    reason = "free"
    [[rule]]
    name = "never"
    when = "routing.to.value is endingwith('@never.example')"
    verdict = "deny"
    reason = "never"
    [[rule]]
    name = "hurried"
    when = "routing.to.value is endingwith('@hurried.example')"
    verdict = "approve"
    reason = "soon"
    deadline = "1m"
"#;

pub(super) struct World {
    pub(super) runs: BTreeMap<RunId, Run>,
    pub(super) journal: Vec<(RunId, Vec<u8>)>,
    projections: BTreeMap<ProjectionKey, Vec<u8>>,
    /// How often each write has landed, by key; compensations are writes of their own.
    landed: BTreeMap<String, u32>,
    /// The order in which each run has taken things back, by the order in which it did them.
    taken_back: BTreeMap<RunId, Vec<u64>>,
    shelf: Shelf,
    catalog: Catalog,
    policy: Policy,
    now: Timestamp,
    chance: u64,
    moves: usize,
    pub(super) seen: BTreeSet<&'static str>,
}

enum Move {
    Do(RunId, Action),
    Decide(RunId, InboxId),
    Tick(RunId, Timestamp),
    Event(RunId),
    Unpark(RunId),
    Meddle(RunId),
}

impl World {
    /// A world in which a run of the first of `sources` begins.
    pub(super) fn of(sources: &[&str], seed: u64) -> Self {
        let mut shelf = Shelf::default();
        let refs: Vec<WorkflowRef> = sources.iter().map(|source| shelf.add(source, 1)).collect();
        let spec = AgentSpec {
            version: 1,
            kind: AgentKind::Transactional,
            input: json!(true),
            output: json!(true),
            failures: vec![],
            tools: vec!["mail.send".into()],
            effects_max: 100,
        };
        let mut catalog = Catalog::default();
        for name in ["worker", "deputy"] {
            let versions = BTreeMap::from([(1, spec.clone())]);
            catalog.agents.insert(name.parse().unwrap(), versions);
        }
        let mut world = Self {
            runs: BTreeMap::new(),
            journal: vec![],
            projections: BTreeMap::new(),
            landed: BTreeMap::new(),
            taken_back: BTreeMap::new(),
            shelf,
            catalog,
            policy: Policy::parse("policy.toml", POLICY).unwrap(),
            now: NOW,
            chance: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            moves: 0,
            seen: BTreeSet::new(),
        };
        let input = Payload::of(&json!({ "items": [1, 2, 3], "n": 0 })).unwrap();
        let input = Labeled::new(input, Labels::untrusted("outside"));
        world.begin("r".parse().unwrap(), refs[0].clone(), None, None, input);
        world
    }

    /// Moves until nothing is left to do.
    pub(super) fn run(mut self) -> Self {
        while let Some(next) = self.choose() {
            self.moves += 1;
            assert!(self.moves < MOVES_MAX, "it never ends: {:?}", self.standing());
            self.make(next);
        }
        self.check_end();
        self
    }

    /// What there is still to do, for the message of a world that never ends.
    fn standing(&self) -> Vec<String> {
        let of = |run: &Run| {
            let (word, due) = (run.status.word(), run.next_due());
            let (actions, items) = (outstanding(run), inbox::items(run));
            let moves = !actions.is_empty() || !items.is_empty() || due.is_some();
            moves.then(|| format!("{} {word} {due:?} {actions:?} {items:?}", run.id))
        };
        self.runs.values().filter_map(of).collect()
    }

    /// Xorshift: a few lines, and the same on every machine.
    fn draw(&mut self, below: usize) -> usize {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        usize::try_from(self.chance % below as u64).unwrap()
    }

    fn trouble(&self) -> bool {
        self.moves < TROUBLE
    }

    fn choose(&mut self) -> Option<Move> {
        let mut moves = vec![];
        for run in self.runs.values() {
            let id = || run.id.clone();
            moves.extend(outstanding(run).into_iter().map(|action| Move::Do(id(), action)));
            moves.extend(inbox::waiting(run).into_iter().map(|(item, _)| Move::Decide(id(), item)));
            moves.extend(run.next_due().map(|due| Move::Tick(id(), due)));
            let waits = |awaited: &Awaited| {
                awaited.is_open() && matches!(awaited.what, Awaits::Event { .. })
            };
            let running = matches!(run.status, Status::Running);
            if running && run.awaited().any(|(_, _, awaited)| waits(awaited)) {
                moves.push(Move::Event(id()));
            }
            if run.writes().any(|(_, _, write)| write.is_parked()) {
                moves.push(Move::Unpark(id()));
            }
        }
        if moves.is_empty() {
            return None;
        }
        if self.trouble() && self.draw(20) == 0 {
            let ids: Vec<RunId> = self.runs.keys().cloned().collect();
            let chosen = self.draw(ids.len());
            return Some(Move::Meddle(ids[chosen].clone()));
        }
        let chosen = self.draw(moves.len());
        Some(moves.swap_remove(chosen))
    }

    fn make(&mut self, next: Move) {
        match next {
            Move::Do(run, action) => self.act(&run, action),
            Move::Decide(run, item) => self.say(&run, item),
            Move::Tick(run, due) => {
                self.now = self.now.max(due);
                self.told(&run, Command::Tick);
            }
            Move::Event(run) => {
                let data =
                    Labeled::new(Payload::of(&json!({ "n": 1 })).unwrap(), Labels::default());
                let occurrence = Occurrence {
                    id: format!("e{}", self.moves).parse().unwrap(),
                    event: "go".parse().unwrap(),
                    source: "outside".into(),
                    data,
                    at: self.now,
                };
                self.told(&run, Command::Occur(Box::new(occurrence)));
            }
            Move::Unpark(run) => {
                let connector = "mail".parse().unwrap();
                self.told(&run, Command::Unpark { connector });
            }
            Move::Meddle(run) => self.meddle(&run),
        }
    }

    /// The operator does something to a run, whether or not that makes sense.
    fn meddle(&mut self, run: &RunId) {
        let (by, reason) = ("operator".into(), "enough".into());
        let steps = &self.runs[run].definition.steps;
        let names: Vec<StepName> = steps.iter().map(|step| step.name.clone()).collect();
        let step = names[self.draw(names.len())].clone();
        let command = match self.draw(6) {
            0 => Command::Abort { by, reason },
            1 => Command::Cancel { by, reason },
            2 => Command::Override { step, output: Payload::null(), by, reason },
            3 => Command::Retry { step: Some(step), by, reason },
            _ => Command::Retry { step: None, by, reason },
        };
        self.told(run, command);
    }

    fn act(&mut self, run: &RunId, action: Action) {
        match action {
            Action::TakeTurn { step, attempt } => self.turn(run, step, attempt),
            Action::Propose { step } => {
                let effect = EffectRef::kernel("call", 0);
                let proposal = self.proposal(run, &step, &effect);
                let asked = Digest::of(b"");
                let evidence = Evidence::default();
                self.told(run, Command::Propose { step, effect, asked, proposal, evidence });
            }
            Action::Emit { step } => {
                let effect = EffectRef::kernel("emit", 0);
                let (asked, answer) = (Digest::of(b""), Labeled::owner(Payload::null()));
                self.told(run, Command::Record { step, effect, asked, answer });
            }
            Action::Wake { step, at } => {
                self.now = self.now.max(at);
                self.told(run, Command::Wake { step });
            }
            Action::Attempt { step, effect, at } => {
                if self.parks(run, &step, &effect) {
                    return;
                }
                self.now = self.now.max(at);
                self.told(run, Command::Attempt { step, effect });
            }
            Action::Execute { step, effect, attempt } => self.execute(run, step, effect, attempt),
            Action::Probe { step, effect, at } => {
                if self.parks(run, &step, &effect) {
                    return;
                }
                self.now = self.now.max(at);
                let found = self.probed(run, &step, &effect);
                self.told(run, Command::Probed { step, effect, found });
            }
            Action::Compensate { step, effect } => {
                let order = self.runs[run].write(&step, &effect).unwrap().order;
                self.note_taking_back(run, order);
                let undo = self.runs[run].step(&step).unwrap().1.undo(&effect).unwrap();
                let planned = if self.trouble() && self.draw(8) == 0 {
                    Err("the operation is gone".to_owned())
                } else {
                    let evidence = Evidence { reverses: true, ..Evidence::default() };
                    Ok((self.proposal(run, &step, &undo), evidence))
                };
                self.told(run, Command::Compensate { step, effect, planned });
            }
            Action::AbortChild { step, effect, run: child }
            | Action::UnwindChild { step, effect, run: child } => {
                let awaited = self.runs[run].step(&step).unwrap().1.awaited(&effect).unwrap();
                if !awaited.is_open() {
                    let order = awaited.order;
                    self.note_taking_back(run, order);
                }
                let (by, reason) = (format!("run:{run}"), "no longer needed".into());
                let cancelled = self.runs[run].is_cancelled();
                self.told(
                    &child,
                    match cancelled {
                        true => Command::Cancel { by, reason },
                        false => Command::Abort { by, reason },
                    },
                );
            }
        }
    }

    /// Whether a write is put aside instead of being attempted or probed.
    fn parks(&mut self, run: &RunId, step: &StepName, effect: &EffectRef) -> bool {
        if !self.trouble() || self.draw(4) != 0 {
            return false;
        }
        let (step, effect) = (step.clone(), effect.clone());
        let until = self.now.after(std::time::Duration::from_secs(40));
        let reason = "there is no room".into();
        self.told(run, Command::Park { step, effect, until, reason });
        true
    }

    fn turn(&mut self, run: &RunId, step: StepName, attempt: u32) {
        let used = self.runs[run].step(&step).unwrap().1.effects.len();
        let (effect, asked) = (
            EffectRef { name: "e".parse().unwrap(), occurrence: u32::try_from(used).unwrap() },
            Digest::of(b""),
        );
        let calm = !self.trouble();
        match if calm || used > 6 { 0 } else { self.draw(9) } {
            1 => {
                let answer = Labeled::new(Payload::null(), Labels::untrusted("web"));
                self.told(run, Command::Record { step, effect, asked, answer });
            }
            2 | 3 => {
                let proposal = self.proposal(run, &step, &effect);
                let evidence = Evidence::default();
                self.told(run, Command::Propose { step, effect, asked, proposal, evidence });
            }
            4 => {
                let soon = std::time::Duration::from_secs(5);
                let what = match self.draw(3) {
                    0 => Request::Sleep(soon),
                    1 => Request::Ask {
                        prompt: "Well?".into(),
                        choices: vec!["yes".into(), "no".into()],
                        deadline: Some((soon, Payload::null())),
                    },
                    _ => Request::Delegate {
                        agent: "deputy".parse().unwrap(),
                        input: Payload::null(),
                    },
                };
                self.told(run, Command::Await { step, effect, asked, what });
            }
            5 => {
                let kind = [StepErrorKind::Failed, StepErrorKind::Final][self.draw(2)];
                let error = StepError::new(kind, "it did not work");
                self.told(run, Command::FailStep { step, attempt, error });
            }
            _ => {
                let done = self.draw(2) == 0 || calm;
                let output = Payload::of(&json!({ "ok": done, "decision": "approve" })).unwrap();
                self.told(run, Command::CompleteStep { step, attempt, output });
            }
        }
    }

    fn proposal(&mut self, run: &RunId, step: &StepName, effect: &EffectRef) -> Box<Proposal> {
        let lag = std::time::Duration::from_secs(3);
        let semantics = [
            WriteSemantics::Opaque,
            WriteSemantics::Keyed { ttl: std::time::Duration::from_secs(600) },
            WriteSemantics::NaturalKey,
            WriteSemantics::Conditional,
            WriteSemantics::Searchable { visibility_lag: lag },
        ][self.draw(5)];
        let domain = ["free", "free", "never", "hurried", "other"][self.draw(5)];
        let undoes = effect.branch() == "undo";
        let reversal = if undoes || self.draw(4) == 0 {
            Reversal::Irreversible
        } else {
            Reversal::Undo("unsend".parse().unwrap())
        };
        let key = self.runs[run].key(step, effect);
        let proposal = crate::effect::tests::proposal(&format!("{key}@{domain}.example"));
        Box::new(Proposal { semantics, reversal, at: self.now, ..proposal })
    }

    fn execute(&mut self, run: &RunId, step: StepName, effect: EffectRef, attempt: u32) {
        let key = self.runs[run].key(&step, &effect).to_string();
        let semantics = self.runs[run].write(&step, &effect).unwrap().proposal.semantics;
        let fault = |class, phase| Fault::new(class, phase, "drawn by chance");
        let command = match if self.trouble() { self.draw(8) } else { 0 } {
            1 => Err(Some(fault(FaultClass::Transient, Phase::NotSent))),
            2 => Err(Some(fault(FaultClass::Declined, Phase::Answered))),
            3 => Err(Some(fault(FaultClass::Transient, Phase::MaybeSent))),
            4 => {
                self.land(&key, semantics);
                Err(Some(fault(FaultClass::Deadline, Phase::MaybeSent)))
            }
            5 => Err(None),
            6 => {
                self.land(&key, semantics);
                Err(None)
            }
            _ => Ok(()),
        };
        let command = match command {
            Ok(()) => {
                self.land(&key, semantics);
                let receipt = Payload::of(&json!({ "key": key })).unwrap();
                Command::Land { step, effect, attempt, receipt }
            }
            // A declined key that has landed is declined the second time only by a world that forgets: this one does not.
            Err(Some(fault))
                if fault.phase == Phase::Answered && self.landed.contains_key(&key) =>
            {
                let receipt = Payload::of(&json!({ "key": key })).unwrap();
                Command::Land { step, effect, attempt, receipt }
            }
            Err(Some(fault)) => Command::Fault { step, effect, attempt, fault },
            Err(None) => Command::Recover,
        };
        self.told(run, command);
    }

    /// The other side remembers the key of a keyed write, and takes every other one as often as it comes.
    fn land(&mut self, key: &str, semantics: WriteSemantics) {
        let count = self.landed.entry(key.to_owned()).or_default();
        if !matches!(semantics, WriteSemantics::Keyed { .. }) || *count == 0 {
            *count += 1;
        }
    }

    fn has_landed(&self, run: &RunId, step: &StepName, effect: &EffectRef) -> bool {
        let key = self.runs[run].key(step, effect).to_string();
        self.landed.contains_key(&key)
    }

    fn probed(&mut self, run: &RunId, step: &StepName, effect: &EffectRef) -> Probed {
        if self.trouble() && self.draw(4) == 0 {
            let fault = Fault::new(FaultClass::Transient, Phase::NotSent, "down");
            return Probed::Unknown { fault };
        }
        match self.has_landed(run, step, effect) {
            true => Probed::Landed { receipt: Payload::null() },
            false => Probed::Absent,
        }
    }

    fn say(&mut self, run: &RunId, item: InboxId) {
        let waiting = inbox::find(&self.runs[run], &item).unwrap();
        let (no, calm) = (|| "no".to_owned(), !self.trouble());
        let decision = match waiting {
            Waiting::Write(step, effect, write) => match write.state {
                WriteState::Ambiguous { .. } => {
                    let (step, effect) = (step.clone(), effect.clone());
                    Decision::Resolve { happened: self.has_landed(run, &step, &effect) }
                }
                _ => match self.draw(4) {
                    0 => Decision::Abort { reason: no() },
                    1 if !calm => Decision::Delegate { to: "agent:deputy".into() },
                    _ => Decision::Approve,
                },
            },
            Waiting::Question(_, _, question) if question.approval => match self.draw(4) {
                0 => Decision::Abort { reason: no() },
                1 if !calm => Decision::Delegate { to: "agent:deputy".into() },
                _ => Decision::Approve,
            },
            Waiting::Question(..) => Decision::Answer { value: json!("yes") },
            Waiting::Escalation(..) => match self.draw(4) {
                0 if !calm => Decision::Retry,
                1 => Decision::GoOn { output: json!({ "ok": true }) },
                2 => Decision::Fail,
                _ => Decision::Compensate,
            },
            Waiting::Incident => {
                let unwound = matches!(self.runs[run].status, Status::Failed { unwound: true, .. });
                match self.draw(2) {
                    0 if !unwound => Decision::Compensate,
                    _ => Decision::Abort { reason: no() },
                }
            }
            Waiting::Late => Decision::Abort { reason: no() },
        };
        let by = "operator".into();
        self.told(run, Command::Decide { item, decision, by, fresh: None });
    }

    fn env(&self) -> Env<'_> {
        let Self { policy, catalog, shelf, now, .. } = self;
        Env { now: *now, policy, catalog, library: shelf }
    }

    fn begin(
        &mut self,
        id: RunId,
        workflow: WorkflowRef,
        body: Option<StepName>,
        parent: Option<Parent>,
        input: Labeled<Payload>,
    ) {
        let definition = self.shelf.resolve(&workflow, body.as_ref()).unwrap();
        let agents =
            BTreeMap::from([("worker".parse().unwrap(), 1), ("deputy".parse().unwrap(), 1)]);
        let beginning = Beginning { workflow, body, agents, parent, input };
        let (events, run) = start(id, beginning, definition, &self.env());
        self.taken(None, run, events);
    }

    fn told(&mut self, id: &RunId, command: Command) {
        let before = self.runs[id].clone();
        // What comes late is refused, and that is that.
        let Ok((events, next)) = transition(&before, command, &self.env()) else { return };
        if !events.is_empty() {
            self.taken(Some(before), next, events);
        }
    }

    /// Checks one decision, and does what follows from it in other runs.
    fn taken(&mut self, before: Option<Run>, mut next: Run, events: Vec<Event>) {
        let id = next.id.clone();
        next.stream_seq = StreamSeq(next.stream_seq.0 + 1);
        let mut folded =
            Run::fold(before.clone(), &id, events.clone(), self.now, &self.shelf).unwrap().unwrap();
        folded.stream_seq = next.stream_seq;
        assert_eq!(folded, next, "the live state is the fold of the journal");
        let (bytes, _) = encode(&events);
        assert_eq!(decode(EVENTS_VERSION, &bytes, &|_| Ok(None)).unwrap(), events);
        assert_eq!(is_at_rest(&next), outstanding(&next).is_empty());
        let mut old = next.clone();
        old.stream_seq = StreamSeq(SNAPSHOT_EVERY);
        let stored = snapshot(&old, StreamSeq(0), SNAPSHOT_EVERY).unwrap();
        assert_eq!(restore(id.clone(), &stored, &self.shelf), Some(old), "a snapshot is the state");
        self.project(before.as_ref(), &next, &events);
        self.seen.extend(events.iter().map(Event::kind));
        self.journal.push((id.clone(), bytes));
        let ended =
            next.end().filter(|end| before.as_ref().and_then(Run::end).as_ref() != Some(end));
        let parent = next.parent.clone();
        let (pinned, body_of) = (next.workflow.clone(), id.clone());
        self.runs.insert(id, next);
        for event in events {
            let Event::Awaited { step, effect, what, .. } = event else { continue };
            let Awaits::Child(Child { run, of, input }) = *what else { continue };
            let parent = Parent { run: body_of.clone(), step: step.clone(), effect };
            let (workflow, body) = match of {
                ChildOf::Body => (pinned.clone(), Some(step)),
                ChildOf::Workflow(workflow) => (workflow, None),
                ChildOf::Agent(agent) => (WorkflowRef::of_agent(&agent), None),
            };
            assert!(!self.runs.contains_key(&run), "{run} begins once");
            self.begin(run, workflow, body, Some(parent), input);
        }
        if let (Some(parent), Some(end)) = (parent, ended) {
            let Parent { run, step, effect } = parent;
            self.told(&run, Command::ChildEnded { step, effect, end: Box::new(end) });
        }
    }

    /// Writes what `events` change in the projections, and checks what these must say of a write that is put aside: its run
    /// is awake or will be woken, it is found among those that are not over, and its connector finds it.
    fn project(&mut self, before: Option<&Run>, after: &Run, events: &[Event]) {
        for (key, value) in project::project(before, after, events) {
            match value {
                Some(value) => drop(self.projections.insert(key, value)),
                None => drop(self.projections.remove(&key)),
            }
        }
        let mut first: Option<Timestamp> = None;
        for (step, _, write) in after.writes().filter(|(_, _, write)| write.is_parked()) {
            let until = write.parked_until().unwrap();
            assert!(after.next_due().is_some_and(|due| due <= until), "it is woken in time");
            assert!(write.is_in_doubt() || after.may_attempt(step, write), "else it is stopped");
            let since = write.queued_at.expect("what is put aside is in line");
            first = Some(first.map_or(since, |first| first.min(since)));
        }
        let key = project::parked_key(&"mail".parse().unwrap(), &after.id);
        let found = self.projections.get(&key).cloned();
        assert_eq!(found, first.map(|first| first.0.to_be_bytes().to_vec()), "who waits for mail");
        let has =
            |table| self.projections.contains_key(&ProjectionKey::new(table, after.id.as_str()));
        let is_over = after.status.is_over() && is_at_rest(after) && first.is_none();
        assert_eq!((has(project::ACTIVE), has(project::FINISHED)), (!is_over, is_over));
        let mut timers = self.projections.keys().filter(|key| key.table == project::TIMERS);
        let set = timers.find(|key| key.key.split_once('/').unwrap().1 == after.id.as_str());
        assert_eq!(set, after.next_due().map(|due| project::due_key(due, &after.id)).as_ref());
    }

    /// What a run takes back, it takes back in reverse.
    fn note_taking_back(&mut self, run: &RunId, order: u64) {
        let taken_back = self.taken_back.entry(run.clone()).or_default();
        let in_order = taken_back.last().is_none_or(|last| *last >= order);
        assert!(in_order, "{run}: {order} after {taken_back:?}");
        taken_back.push(order);
    }

    fn check_end(&self) {
        for (key, count) in &self.landed {
            assert_eq!(*count, 1, "write {key} landed {count} times");
        }
        let waits = |key: &&ProjectionKey| [project::PARKED, project::TIMERS].contains(&key.table);
        assert_eq!(self.projections.keys().find(waits), None, "nothing waits any more");
        for run in self.runs.values() {
            assert!(run.status.is_over(), "{} is {}", run.id, run.status.word());
            assert!(inbox::items(run).is_empty(), "{}: {:?}", run.id, inbox::items(run));
            for (step, effect, write) in run.writes() {
                let happened = write.receipt().is_some();
                assert!(
                    write.is_settled(),
                    "{}: {step}/{effect} is {}",
                    run.id,
                    write.state.word()
                );
                assert_eq!(
                    happened,
                    self.has_landed(&run.id, step, effect),
                    "{step}/{effect}: {write:?}"
                );
            }
            let Status::Failed { unwound: true, .. } = run.status else { continue };
            // What a run took back is taken back, or it is named.
            let left: Vec<Left> = run.left().collect();
            for (step, effect, write) in run.writes() {
                let undone = run.writes().any(|(_, _, undo)| {
                    undo.reverses.as_ref() == Some(effect) && undo.receipt().is_some()
                });
                let stays = write.receipt().is_some() && write.reverses.is_none() && !undone;
                let named = left.iter().any(|left| left.step == *step);
                assert!(!stays || named, "{}: {step}/{effect} stays unnamed", run.id);
            }
        }
    }
}
