//! What was, and what would have been: a run at a record, rebuilt from its records, in a bundle, forked.

use std::sync::Arc;

use serde_json::{Value, json};
use soloist_actors::{
    Builder, Soloist,
    travel::{self, Bundle, Fork, Forked, Moment, Replayed},
};
use soloist_kernel::{
    id::{AgentName, RunId},
    journal::{Journal, Record, Seq},
    labels::Labeled,
    payload::Payload,
    policy::Policy,
    run::{self, Event},
};

use super::{
    problems,
    runs::{ids, parked, record_view, steps, writes},
    to_json,
};
use crate::request::{PolicyText, Problem, Request};

pub(super) fn show_at(journal: &dyn Journal, run: &str, seq: u64) -> Result<Value, Problem> {
    let moment = travel::at(journal, &id(run)?, Some(Seq(seq))).map_err(Problem::new)?;
    let fetch = |digest: &_| journal.blob(digest);
    moment_view(&moment, Some(seq), &|record| {
        run::decode(record.entry.version, &record.entry.payload, &fetch)
            .map_err(|error| error.to_string())
    })
}

pub(super) fn replay(journal: &dyn Journal, run: &str) -> Result<Value, Problem> {
    let replayed = travel::replay(journal, &id(run)?).map_err(Problem::new)?;
    replayed_view(&replayed)
}

pub(super) fn export(journal: &dyn Journal, run: &str) -> Result<Value, Problem> {
    let bytes = travel::export(journal, &id(run)?).map_err(Problem::new)?;
    let bundle = Bundle::read(&bytes).map_err(Problem::new)?;
    let mut shown = bundle_view(&bundle)?;
    shown["bytes"] = json!(bytes.len());
    shown["bundle"] = Value::String(to_hex(&bytes));
    Ok(shown)
}

pub(super) async fn fork(soloist: &Soloist, request: &Request) -> Result<Value, Problem> {
    forked_view(&soloist.fork(fork_of(request)?).await.map_err(Problem::new)?)
}

/// Answers [`Request::Fork`] over a journal, with the agents, connectors and policy of `builder`: no kernel is opened, so that
/// nothing in the journal goes on.
///
/// # Errors
///
/// [`Problem`], also for any other request.
pub async fn fork_over(
    builder: Builder,
    journal: Arc<dyn Journal>,
    request: &Request,
) -> Result<Value, Problem> {
    let fork = fork_of(request)?;
    forked_view(&builder.fork(journal, fork).await.map_err(Problem::new)?)
}

fn fork_of(request: &Request) -> Result<Fork, Problem> {
    let Request::Fork { run, from, policy, input, agents } = request else {
        return Err(Problem::new("this is no fork; it is a defect that it was asked for as one"));
    };
    let mut fork = Fork::of(id(run)?);
    if let Some(seq) = from {
        fork = fork.from(Seq(*seq));
    }
    if let Some(PolicyText { file, text }) = policy {
        fork = fork.policy(Policy::parse(file, text).map_err(|found| problems(&found))?);
    }
    if let Some(input) = input {
        fork = fork.input(Labeled::owner(Payload::of(input).map_err(Problem::new)?));
    }
    for named in agents {
        let version = |(name, version): (&str, &str)| {
            Some((name.parse::<AgentName>().ok()?, version.parse::<u32>().ok()?))
        };
        let wrong =
            || Problem::new(format!("{named:?} is no version of an agent; say `NAME@VERSION`"));
        let (agent, version) = named.rsplit_once('@').and_then(version).ok_or_else(wrong)?;
        fork = fork.agent(agent, version);
    }
    Ok(fork)
}

fn forked_view(forked: &Forked) -> Result<Value, Problem> {
    to_json(forked)
}

/// Replays what is in a bundle; it needs no journal.
///
/// # Errors
///
/// [`Problem`], if the bundle is not as it was written. Differences are in the answer.
pub fn replay_bundle(bytes: &[u8]) -> Result<Value, Problem> {
    bundle_view(&Bundle::read(bytes).map_err(Problem::new)?)
}

/// Shows a run of a bundle, its own one if none is named, as it was after record `at` or at the end; it needs no journal.
///
/// # Errors
///
/// [`Problem`].
pub fn show_bundle(bytes: &[u8], run: Option<&str>, at: Option<u64>) -> Result<Value, Problem> {
    let bundle = Bundle::read(bytes).map_err(Problem::new)?;
    let run = run.map_or_else(|| Ok(bundle.run().clone()), id)?;
    let moment = bundle.at(&run, at.map(Seq)).map_err(Problem::new)?;
    let events = |record: &Record| bundle.events(record).map_err(|error| error.to_string());
    moment_view(&moment, at, &events)
}

/// The bytes of the bundle that [`export`](crate::Request::Export) answered.
///
/// # Errors
///
/// [`Problem`], if there is none in the answer.
pub fn exported(answer: &Value) -> Result<Vec<u8>, Problem> {
    let broken = || Problem::new("the answer holds no bundle; it is a defect");
    let text = answer["bundle"].as_str().ok_or_else(broken)?;
    let digits = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.map(byte).collect::<Option<_>>().ok_or_else(broken)
}

fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |four: u8| char::from(DIGITS[usize::from(four)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn bundle_view(bundle: &Bundle) -> Result<Value, Problem> {
    let (seq, hash) = bundle.head();
    let mut shown = replayed_view(&bundle.replay())?;
    shown["head"] = json!({ "seq": seq, "hash": hash });
    Ok(shown)
}

fn replayed_view(replayed: &[Replayed]) -> Result<Value, Problem> {
    let equal = replayed.iter().all(|replayed| replayed.differences.is_empty());
    let run = replayed.first().map(|replayed| &replayed.run);
    Ok(json!({ "run": run, "equal": equal, "runs": to_json(&replayed)? }))
}

fn moment_view(
    moment: &Moment,
    at: Option<u64>,
    events: &dyn Fn(&Record) -> Result<Vec<Event>, String>,
) -> Result<Value, Problem> {
    let Moment { run, summary, waits, records } = moment;
    let mut shown = to_json(summary)?;
    let waited =
        waits.iter().map(|item| json!({ "item": item.id, "kind": item.kind, "title": item.title }));
    let last = records.last().map(|record| record.seq);
    shown["at"] = json!(at.map(Seq).or(last));
    shown["steps"] = steps(run);
    shown["writes"] = writes(run);
    shown["parked"] = parked(run);
    shown["waits"] = ids(waits);
    shown["waited"] = waited.collect();
    shown["records"] = records.iter().map(|record| record_view(record, events(record))).collect();
    Ok(shown)
}

fn id(run: &str) -> Result<RunId, Problem> {
    RunId::new(run).map_err(Problem::new)
}
