//! Records by hand, and the cases they fold into.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::*;
use crate::{
    effect::{AfterFault, WriteEvent, tests::proposal},
    fault::{Fault, FaultClass, Phase},
    id::{Actor, StreamId, WorkflowName},
    journal::{Entry, Record, StreamSeq},
    labels::{Integrity, Labeled, Labels},
    payload::{Digest, Payload},
    policy::{Policy, Reached},
    run::{self, Beginning, Event, StepError, StepErrorKind},
    workflow::{Library, Workflow},
};

/// A library of one workflow.
struct Shelf(Arc<Workflow>);

impl Library for Shelf {
    fn newest(&self, _: &WorkflowName) -> Option<(WorkflowRef, Arc<Workflow>)> {
        None
    }

    fn get(&self, _: &WorkflowRef) -> Option<Arc<Workflow>> {
        Some(self.0.clone())
    }
}

/// A journal that is written by hand, and the policy that judges in it.
pub(crate) struct Story {
    pub(crate) policy: Policy,
    records: Vec<Record>,
    blobs: BTreeMap<Digest, Vec<u8>>,
    at: Timestamp,
}

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

impl Story {
    /// Begins on the day after 1970 began, at midnight.
    pub(crate) fn new(policy: &str) -> Self {
        let policy = Policy::parse("policy.toml", policy).unwrap_or_else(|all| panic!("{all:?}"));
        let at = Timestamp(86_400_000);
        Self { policy: policy.with_version(1), records: vec![], blobs: BTreeMap::new(), at }
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.at = self.at.after(time);
    }

    pub(crate) fn record(&mut self, run: &str, events: &[Event]) -> Seq {
        let (payload, blobs) = run::encode(events);
        self.blobs.extend(blobs.into_iter().map(|(digest, bytes)| (digest, bytes.to_vec())));
        let seq = Seq(self.records.len() as u64 + 1);
        let entry = Entry {
            stream: StreamId::new(format!("run:{run}")).unwrap(),
            stream_seq: StreamSeq(0),
            at: self.at,
            actor: Actor::kernel(),
            causation: None,
            correlation: None,
            kind: run::kind(events).into(),
            version: run::EVENTS_VERSION,
            payload,
        };
        self.records.push(Record { seq, previous: None, entry, hash: Digest([0; 32]) });
        seq
    }

    pub(crate) fn start(&mut self, run: &str) {
        let input = Labeled::owner(Payload::null());
        let workflow = "answer@1"
            .split_once('@')
            .map(|(name, _)| WorkflowRef { name: name.parse().unwrap(), version: 1 });
        let (body, agents, parent) = (None, BTreeMap::new(), None);
        let beginning = Beginning { workflow: workflow.unwrap(), body, agents, parent, input };
        self.record(run, &[Event::Started(Box::new(beginning))]);
    }

    /// Something happens to the write of `run`.
    pub(crate) fn write(&mut self, run: &str, event: WriteEvent) -> Seq {
        let asked = matches!(event, WriteEvent::Proposed { .. }).then_some(Digest([0; 32]));
        let (step, effect) = ("send".parse().unwrap(), EffectRef::kernel("call", 0));
        self.record(run, &[Event::Write { step, effect, asked, event }])
    }

    /// A mail is proposed, judged on `evidence`.
    pub(crate) fn proposed(&mut self, run: &str, proposal: Proposal, evidence: &Evidence) {
        let evidence = Evidence { workflow: "answer".into(), ..evidence.clone() };
        let judgement = self.policy.judge(&proposal, &evidence, self.at);
        self.write(run, WriteEvent::Proposed { proposal: Box::new(proposal), judgement });
    }

    /// The mail of `run` leaves and lands.
    pub(crate) fn lands(&mut self, run: &str) -> Seq {
        self.write(run, WriteEvent::Attempted { attempt: 1 });
        self.write(run, WriteEvent::Landed { receipt: Payload::null() })
    }

    /// A run in which a mail to `to` is proposed, as one to whom the owner says to write.
    pub(crate) fn mail(&mut self, run: &str, to: &str, reached: &[Timestamp]) {
        self.start(run);
        let known = reached.last().map(|at| Reached {
            at: *at,
            today: reached.iter().filter(|one| one.day() == self.at.day()).count() as u32,
        });
        let reached = known.map(|known| ("to".to_owned(), known)).into_iter().collect();
        self.proposed(run, trusted(to), &Evidence { reached, ..Evidence::default() });
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.at
    }

    pub(crate) fn cases(&self) -> Vec<Case> {
        self.cases_since(Timestamp(0))
    }

    pub(crate) fn cases_since(&self, since: Timestamp) -> Vec<Case> {
        let text = "name = 'answer'\n[[step]]\nname = 'send'\ncall = 'mail.send'";
        let shelf = Shelf(Arc::new(Workflow::parse("answer.toml", text).unwrap()));
        let mut walk = Walk::new(&shelf, since);
        for record in &self.records {
            walk.take(record, &|digest| Ok(self.blobs.get(digest).cloned())).unwrap();
        }
        walk.cases()
    }

    pub(crate) fn versions(&self) -> BTreeMap<u32, Policy> {
        BTreeMap::from([(1, self.policy.clone())])
    }
}

/// A mail to whom the owner says to write.
pub(crate) fn trusted(to: &str) -> Proposal {
    let labels = Labels { integrity: Integrity::Owner, ..Labels::literal() };
    Proposal { labels: BTreeMap::from([("to".into(), labels)]), ..proposal(to) }
}

pub(crate) fn approved() -> WriteEvent {
    WriteEvent::Approved { by: "operator".into() }
}

pub(crate) fn aborted() -> WriteEvent {
    WriteEvent::Aborted { by: "operator".into(), reason: "no".into() }
}

fn summary(case: &Case) -> (Answer, Fate, Option<Duration>) {
    (case.answer, case.fate, case.waited)
}

#[test]
fn a_case_tells_what_was_answered_after_how_long_and_what_came_of_it() {
    let mut story = Story::new("");
    story.mail("approved", "a@b.example", &[]);
    story.mail("aborted", "a@b.example", &[]);
    story.mail("waiting", "a@b.example", &[]);
    story.wait(MINUTE);
    story.write("approved", approved());
    story.write("aborted", aborted());
    story.lands("approved");
    let cases = story.cases();
    assert_eq!(summary(&cases[0]), (Answer::Approved, Fate::Landed, Some(MINUTE)));
    assert_eq!(summary(&cases[1]), (Answer::TurnedDown, Fate::Aborted, Some(MINUTE)));
    assert_eq!(summary(&cases[2]), (Answer::Waiting, Fate::Waiting, None));
    assert_eq!(cases[1].why.as_deref(), Some("no"));
    let said = &cases[0].said[0];
    assert_eq!((&said.what, said.by.as_deref()), (&Word::Approved, Some("operator")));
    assert_eq!(said.item, cases[0].first().item, "it is what was shown that was approved");
    assert!(said.item.is_some());
}

#[test]
fn an_edit_is_told_place_by_place() {
    let mut story = Story::new("");
    story.mail("edited", "a@b.example", &[]);
    let mut changed = trusted("c@d.example");
    changed.arguments = Payload::from_json(r#"{"to":"c@d.example"}"#).unwrap();
    let judgement = story.policy.judge(&changed, &Evidence::default(), story.now());
    let by = "ben".to_owned();
    story.write("edited", WriteEvent::Modified { by, proposal: Box::new(changed), judgement });
    story.lands("edited");
    story.mail("known", "c@d.example", &[story.now()]);
    let cases = story.cases();
    assert_eq!(cases[0].answer, Answer::Edited);
    assert_eq!(cases[0].hearings.len(), 2);
    assert_eq!(cases[0].hearings[1].cause, Cause::Modified { by: "ben".into() });
    let edit = Edit {
        path: "/to".into(),
        before: Some("a@b.example".into()),
        after: Some("c@d.example".into()),
    };
    assert_eq!(cases[0].said[0].what, Word::Modified { edit: vec![edit] });
    assert!(
        cases[1].first().evidence.reached.contains_key("to"),
        "it landed where it was changed to"
    );
}

#[test]
fn what_was_known_is_folded_from_what_had_landed() {
    let mut story = Story::new("");
    let mut landed = vec![];
    for run in ["one", "two", "three"] {
        story.mail(run, "a@b.example", &landed);
        story.write(run, approved());
        story.lands(run);
        landed.push(story.now());
        story.wait(MINUTE * 60 * 9);
    }
    let known = |case: &Case| case.first().evidence.reached.get("to").map(|it| it.today);
    let cases = story.cases();
    assert_eq!(cases.iter().map(known).collect::<Vec<_>>(), [None, Some(1), Some(2)]);
    story.mail("four", "a@b.example", &landed);
    assert_eq!(known(&story.cases()[3]), Some(0), "it is another day");
}

#[test]
fn a_landing_of_the_moment_may_have_been_missed() {
    let known =
        "[[rule]]\nname = 'known'\nwhen = 'routing.to.reached'\nverdict = 'allow'\nreason = 'r'";
    let mut story = Story::new(known);
    story.mail("first", "a@b.example", &[]);
    story.write("first", approved());
    story.start("second");
    // It lands, and the second run, which has begun, is judged without having seen that.
    story.lands("first");
    story.proposed("second", trusted("a@b.example"), &Evidence::default());
    let cases = story.cases();
    let second = cases[1].first();
    assert!(second.evidence.reached.contains_key("to"));
    assert_eq!(second.earlier.len(), 1);
    assert!(second.earlier[0].reached.is_empty());
    let seen = crate::policy::seen(second, &story.versions());
    assert_eq!(seen, Some(&second.earlier[0]), "it is what the policy of the time said it on");
    // Whoever begins after it is on disk has seen it.
    story.mail("third", "a@b.example", &[story.now()]);
    assert!(story.cases()[2].first().earlier.is_empty());
}

#[test]
fn what_was_proposed_before_is_left_out_and_its_landing_counts() {
    let mut story = Story::new("");
    story.mail("old", "a@b.example", &[]);
    story.write("old", approved());
    story.wait(MINUTE);
    let since = story.now();
    story.lands("old");
    story.mail("new", "a@b.example", &[story.now()]);
    let cases = story.cases_since(since);
    assert_eq!(cases.len(), 1);
    assert!(cases[0].first().evidence.reached.contains_key("to"));
}

#[test]
fn what_failed_and_is_proposed_anew_is_another_case() {
    let mut story = Story::new("[[rule]]\nname = 'all'\nverdict = 'allow'\nreason = 'r'");
    story.mail("twice", "a@b.example", &[]);
    story.write("twice", WriteEvent::Attempted { attempt: 1 });
    let fault = Fault::new(FaultClass::Invalid, Phase::Answered, "refused");
    story.write("twice", WriteEvent::Faulted { fault, next: AfterFault::Fail });
    let error = StepError::new(StepErrorKind::WriteFailed, "refused");
    let next = run::AfterFailure::At(story.now());
    story.record("twice", &[Event::StepFailed { step: "send".parse().unwrap(), error, next }]);
    story.proposed("twice", trusted("a@b.example"), &Evidence::default());
    story.lands("twice");
    let fates: Vec<Fate> = story.cases().iter().map(|case| case.fate).collect();
    assert_eq!(fates, [Fate::Failed, Fate::Landed]);
}

#[test]
fn what_takes_a_write_back_names_it() {
    let mut story = Story::new("");
    story.mail("back", "a@b.example", &[]);
    story.write("back", approved());
    story.lands("back");
    let (step, effect) = ("send".parse().unwrap(), EffectRef::kernel("undo:0", 0));
    let evidence = Evidence { reverses: true, workflow: "answer".into(), ..Evidence::default() };
    let undo = trusted("other@b.example");
    let judgement = story.policy.judge(&undo, &evidence, story.now());
    let event = WriteEvent::Proposed { proposal: Box::new(undo), judgement };
    let asked = Some(Digest([0; 32]));
    story.record("back", &[Event::Write { step, effect, asked, event }]);
    let cases = story.cases();
    assert!(cases[0].taken_back && !cases[0].reverses());
    assert!(cases[1].reverses());
    assert!(cases.iter().all(|case| story.policy.says_again(case.first(), &case.first().evidence)));
}

#[test]
fn a_decision_that_an_agent_took_is_told_apart() {
    let mut story = Story::new("");
    story.start("checker-turn");
    story.mail("asks", "a@b.example", &[]);
    let by = "operator".to_owned();
    story.write("asks", WriteEvent::Delegated { by, to: "agent:checker".into() });
    story.write("asks", WriteEvent::Approved { by: "checker-turn".into() });
    let case = &story.cases()[0];
    assert!(case.is_answered_by_agent());
    assert_eq!(case.said[1].by.as_deref(), Some("agent:checker"));
    assert_ne!(case.said[0].item, case.said[1].item, "who is given it has an item of his own");
}

#[test]
fn a_run_whose_beginning_is_gone_is_passed_over() {
    let mut story = Story::new("");
    story.proposed("gone", trusted("a@b.example"), &Evidence::default());
    story.write("gone", approved());
    assert_eq!(story.cases(), []);
}

#[test]
fn what_other_events_keep_elsewhere_is_not_fetched() {
    let mut story = Story::new("");
    story.start("long");
    let answer = Payload::of(&"x".repeat(crate::payload::INLINE_BYTES_MAX + 1)).unwrap();
    let (step, effect) = ("send".parse().unwrap(), EffectRef::kernel("said", 0));
    let answer = Labeled::owner(answer);
    let asked = Digest([0; 32]);
    story.record("long", &[Event::Recorded { step, effect, asked, answer }]);
    story.blobs.clear();
    story.proposed("long", trusted("a@b.example"), &Evidence::default());
    assert_eq!(story.cases().len(), 1);
}
