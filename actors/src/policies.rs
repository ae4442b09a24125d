//! The policy of a kernel: versioned in the journal, so that every judgement names the version that made it.
//!
//! With the text is kept what the configuration added to its lists, so that every version can be made again, and what it judged
//! be judged again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde::{Deserialize, Serialize};
use soloist_connectors::Env;
use soloist_kernel::{
    codec,
    id::{Actor, StreamId},
    journal::{Append, Entry, Journal, ProjectionKey, ReadError, StreamSeq},
    policy::{Policy, STREAM},
};

/// Table of the newest version of the policy.
const NEWEST: &str = "policy-newest";
/// Table of every version's text.
pub(crate) const TEXTS: &str = "policies";
/// Table of what was added to the lists of each version; versions from before it was kept are not in it.
const LISTS: &str = "policy-lists";
/// The only key of [`NEWEST`].
const KEY: &str = "policy";
/// Version of the stored events of the policy's stream.
const EVENTS_VERSION: u16 = 2;
/// How many rows are read at a time.
const PAGE: usize = 100;

/// The newest policy, and the versions before it that judge some of the runs.
#[derive(Default)]
pub(crate) struct Policies {
    current: Mutex<Arc<Policy>>,
    /// Versions that were asked for besides.
    others: Mutex<BTreeMap<u32, Arc<Policy>>>,
}

#[derive(Serialize, Deserialize)]
struct Newest {
    version: u32,
    digest: String,
}

#[derive(Serialize)]
enum StoredEvent<'a> {
    Set { version: u32, source: &'a str, lists: &'a BTreeMap<String, Vec<String>> },
}

impl Policies {
    /// The newest policy. Which one judges a run, [`Context::policy_of`](crate::context::Context::policy_of) tells.
    pub(crate) fn current(&self) -> Arc<Policy> {
        self.current.lock().expect("reading a policy does not panic").clone()
    }

    /// `version` of the policy as it judged; `None` if it is not there, or can no longer be read.
    pub(crate) fn version(
        &self,
        journal: &dyn Journal,
        version: u32,
    ) -> Result<Option<Arc<Policy>>, ReadError> {
        let others = || self.others.lock().expect("looking up does not panic");
        if let Some(known) = others().get(&version) {
            return Ok(Some(known.clone()));
        }
        // Read outside of the lock, which others wait for.
        let key = text_key(version);
        let Some(bytes) = journal.projection(&key)? else { return Ok(None) };
        let policy = judging(journal, version, &key.key, &bytes)?.map(Arc::new);
        others().extend(policy.iter().map(|policy| (version, policy.clone())));
        Ok(policy)
    }

    /// What must be appended for `policy` to be the next version, if it differs from the newest; and it in its version.
    pub(crate) fn next(
        policy: Policy,
        journal: &dyn Journal,
        env: &Env,
    ) -> Result<(Policy, Option<Append>), ReadError> {
        let digest = policy.digest().to_hex();
        let newest: Option<Newest> = journal
            .projection(&ProjectionKey::new(NEWEST, KEY))?
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if let Some(known) = newest.as_ref().filter(|newest| newest.digest == digest) {
            return Ok((policy.with_version(known.version), None));
        }
        let version = newest.map_or(1, |newest| newest.version + 1);
        let policy = policy.with_version(version);
        let append = set(&policy, digest, env);
        Ok((policy, Some(append)))
    }

    /// Judges by `policy` from now on.
    pub(crate) fn put(&self, policy: Policy) {
        *self.current.lock().expect("reading a policy does not panic") = Arc::new(policy);
    }
}

/// The text of `version` of the policy, or of the newest one.
pub(crate) fn text(
    journal: &dyn Journal,
    version: Option<u32>,
) -> Result<Option<(u32, String)>, ReadError> {
    let newest = || -> Result<Option<u32>, ReadError> {
        let found = journal.projection(&ProjectionKey::new(NEWEST, KEY))?;
        let newest = found.and_then(|bytes| serde_json::from_slice::<Newest>(&bytes).ok());
        Ok(newest.map(|newest| newest.version))
    };
    let version = match version {
        Some(version) => Some(version),
        None => newest()?,
    };
    let Some(version) = version else { return Ok(None) };
    let found = journal.projection(&text_key(version))?;
    Ok(found.map(|bytes| (version, String::from_utf8_lossy(&bytes).into_owned())))
}

/// Every version there was, as it judged. One that can no longer be read, because this Soloist reads policies otherwise, is left
/// out.
pub(crate) fn all(journal: &dyn Journal) -> Result<BTreeMap<u32, Policy>, ReadError> {
    let (mut all, mut after) = (BTreeMap::new(), String::new());
    loop {
        let page = journal.projections(TEXTS, "", &after, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(all) };
        after.clone_from(last);
        for (key, bytes) in &page {
            let Ok(version) = key.parse::<u32>() else { continue };
            all.extend(judging(journal, version, key, bytes)?.map(|policy| (version, policy)));
        }
    }
}

/// `version` of the policy, whose text is `bytes`, with what the configuration had added to its lists; `None` if it can no longer
/// be read.
fn judging(
    journal: &dyn Journal,
    version: u32,
    file: &str,
    bytes: &[u8],
) -> Result<Option<Policy>, ReadError> {
    let Ok(policy) = Policy::parse(file, &String::from_utf8_lossy(bytes)) else { return Ok(None) };
    let lists = journal.projection(&lists_key(version))?;
    let lists: BTreeMap<String, Vec<String>> =
        lists.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let with =
        |policy: Policy, (name, values): (String, Vec<String>)| policy.with_list(&name, values);
    Ok(Some(lists.into_iter().fold(policy, with).with_version(version)))
}

fn lists_key(version: u32) -> ProjectionKey {
    ProjectionKey::new(LISTS, format!("{version:010}"))
}

fn text_key(version: u32) -> ProjectionKey {
    ProjectionKey::new(TEXTS, format!("{version:010}"))
}

/// The stream of the policy's versions.
fn stream() -> StreamId {
    StreamId::new(STREAM).expect("`policy` is a name")
}

fn set(policy: &Policy, digest: String, env: &Env) -> Append {
    let version = policy.version();
    let newest = serde_json::to_vec(&Newest { version, digest }).expect("plain data is JSON");
    let lists = policy.added_lists();
    let event = StoredEvent::Set { version, source: policy.source(), lists };
    let entry = Entry {
        stream: stream(),
        stream_seq: StreamSeq(u64::from(version)),
        at: env.now(),
        actor: Actor::operator(),
        causation: None,
        correlation: None,
        kind: "policy.set".into(),
        version: EVENTS_VERSION,
        payload: codec::encode(&event),
    };
    Append {
        entries: vec![entry],
        projections: vec![
            (text_key(version), Some(policy.source().as_bytes().to_vec())),
            (lists_key(version), Some(serde_json::to_vec(lists).expect("plain data is JSON"))),
            (ProjectionKey::new(NEWEST, KEY), Some(newest)),
        ],
        ..Append::default()
    }
}
