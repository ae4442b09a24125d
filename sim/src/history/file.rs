//! A history in a file: a line of JSON for what it is, and one for each append.
//!
//! What the kernel encodes is hex, everything else is text, so that two histories can be compared line by line. The first line
//! says which version of this form it is.

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use soloist_kernel::{
    id::{Actor, RunId, StreamId},
    journal::{
        Append, Entry, ProjectionKey, Seq, StreamSeq,
        archive::{Segment, Selection},
    },
    payload::Digest,
    time::Timestamp,
};

use super::History;
use crate::plan::Plan;

/// The version of the form.
const VERSION: u32 = 1;

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head {
    soloist_history: u32,
    plan: Plan,
}

/// An append.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    entries: Vec<StoredEntry>,
    projections: Vec<(String, String, Option<Hex>)>,
    blobs: Vec<(Hex, Hex)>,
    snapshots: Vec<(StreamId, Hex)>,
    /// The streams and the blobs that were archived with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    archive: Option<(Vec<StreamId>, Vec<Hex>)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredEntry {
    stream: StreamId,
    stream_seq: StreamSeq,
    at: Timestamp,
    actor: Actor,
    causation: Option<Seq>,
    correlation: Option<RunId>,
    kind: String,
    version: u16,
    payload: Hex,
}

/// Bytes, as hex digits.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[derive(Clone)]
struct Hex(Vec<u8>);

impl From<Hex> for String {
    fn from(hex: Hex) -> Self {
        let mut text = Self::with_capacity(hex.0.len() * 2);
        for byte in hex.0 {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

impl TryFrom<String> for Hex {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let byte = |pair: &[u8]| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
        bytes.map(Self).ok_or_else(|| "these are no hex digits, two for each byte".into())
    }
}

impl History {
    /// Writes it to `file`, and makes the directories above it.
    ///
    /// # Errors
    ///
    /// Why it could not be written.
    pub fn save(&self, file: impl AsRef<Path>) -> Result<(), String> {
        let file = file.as_ref();
        let failed = |error: std::io::Error| format!("failed to write {}: {error}", file.display());
        if let Some(directory) = file.parent() {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        fs::write(file, self.text()).map_err(failed)
    }

    /// Reads what [`save`](Self::save) has written.
    ///
    /// # Errors
    ///
    /// Why it could not be read: the line that is wrong, or a form that is newer than this code.
    pub fn load(file: impl AsRef<Path>) -> Result<Self, String> {
        let file = file.as_ref();
        let text = fs::read_to_string(file).map_err(|error| error.to_string());
        text.and_then(|text| Self::parse(&text))
            .map_err(|problem| format!("failed to read {}: {problem}", file.display()))
    }

    fn text(&self) -> String {
        let json = |line: Result<String, serde_json::Error>| line.expect("a history is plain data");
        let head = Head { soloist_history: VERSION, plan: self.plan.clone() };
        let mut text = json(serde_json::to_string(&head)) + "\n";
        for append in &self.appends {
            text += &json(serde_json::to_string(&Line::of(append)));
            text.push('\n');
        }
        text
    }

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |number: usize, problem: &dyn std::fmt::Display| {
            format!("line {} is not one of a history: {problem}", number + 1)
        };
        let mut lines = text.lines().enumerate();
        let (_, first) = lines.next().ok_or("it is empty")?;
        let head: Head = serde_json::from_str(first).map_err(|error| wrong(0, &error))?;
        if head.soloist_history != VERSION {
            let version = head.soloist_history;
            return Err(format!("it has form {version}, and this code reads form {VERSION}"));
        }
        let append = |(number, line): (usize, &str)| {
            let line: Line = serde_json::from_str(line).map_err(|error| wrong(number, &error))?;
            line.append().map_err(|problem| wrong(number, &problem))
        };
        let appends = lines.map(append).collect::<Result<_, String>>()?;
        Ok(Self { plan: head.plan, appends })
    }
}

impl Line {
    fn of(append: &Append) -> Self {
        let Append { entries, projections, blobs, snapshots, archive } = append;
        let projection = |(key, value): &(ProjectionKey, Option<Vec<u8>>)| {
            (key.table.to_owned(), key.key.clone(), value.clone().map(Hex))
        };
        Self {
            entries: entries.iter().cloned().map(StoredEntry::of).collect(),
            projections: projections.iter().map(projection).collect(),
            blobs: blobs
                .iter()
                .map(|(digest, bytes)| (Hex(digest.0.to_vec()), Hex(bytes.to_vec())))
                .collect(),
            snapshots: snapshots
                .iter()
                .map(|(stream, state)| (stream.clone(), Hex(state.clone())))
                .collect(),
            archive: archive.as_ref().map(|segment| {
                let blobs = segment.of.blobs.iter().map(|digest| Hex(digest.0.to_vec()));
                (segment.of.streams.clone(), blobs.collect())
            }),
        }
    }

    fn append(self) -> Result<Append, String> {
        let projection = |(name, key, value): (String, String, Option<Hex>)| {
            (ProjectionKey { table: table(name), key }, value.map(|Hex(bytes)| bytes))
        };
        let digest = |digest: Hex| {
            digest.0.try_into().map(Digest).map_err(|_| "a digest has 32 bytes".to_owned())
        };
        let blob = |(of, Hex(bytes)): (Hex, Hex)| Ok::<_, String>((digest(of)?, Arc::from(bytes)));
        let archive = |(streams, blobs): (Vec<StreamId>, Vec<Hex>)| {
            let blobs = blobs.into_iter().map(digest).collect::<Result<_, _>>()?;
            Ok::<_, String>(Arc::new(Segment::unsealed(Selection { streams, blobs })))
        };
        if self.entries.is_empty() {
            return Err("an append holds a record at least".into());
        }
        Ok(Append {
            entries: self.entries.into_iter().map(StoredEntry::entry).collect(),
            projections: self.projections.into_iter().map(projection).collect(),
            blobs: self.blobs.into_iter().map(blob).collect::<Result<_, _>>()?,
            snapshots: self
                .snapshots
                .into_iter()
                .map(|(stream, Hex(state))| (stream, state))
                .collect(),
            archive: self.archive.map(archive).transpose()?,
        })
    }
}

impl StoredEntry {
    fn of(entry: Entry) -> Self {
        let Entry { stream, stream_seq, at, actor, causation, correlation, kind, version, payload } =
            entry;
        let payload = Hex(payload);
        Self { stream, stream_seq, at, actor, causation, correlation, kind, version, payload }
    }

    fn entry(self) -> Entry {
        let Self { stream, stream_seq, at, actor, causation, correlation, kind, version, payload } =
            self;
        let Hex(payload) = payload;
        Entry { stream, stream_seq, at, actor, causation, correlation, kind, version, payload }
    }
}

/// The name of a table for as long as the process lives, which is how the kernel has them: there are a dozen.
fn table(name: String) -> &'static str {
    static TABLES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = tables.get(&*name) {
        return known;
    }
    let known: &'static str = name.leak();
    tables.insert(known);
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        let stream = StreamId::new("run:r1").unwrap();
        let entry = Entry {
            stream: stream.clone(),
            stream_seq: StreamSeq(1),
            at: Timestamp(7),
            actor: Actor::kernel(),
            causation: Some(Seq(3)),
            correlation: Some(RunId::new("r1").unwrap()),
            kind: "run.started".into(),
            version: 2,
            payload: vec![0, 127, 255],
        };
        let append = Append {
            entries: vec![entry],
            projections: vec![
                (ProjectionKey::new("runs-active", "r1"), Some(vec![1])),
                (ProjectionKey::new("timers", "t"), None),
            ],
            blobs: vec![(Digest::of(b"x"), Arc::from(&b"x"[..]))],
            snapshots: vec![(stream, vec![])],
            archive: Some(Arc::new(Segment::unsealed(Selection {
                streams: vec![StreamId::new("run:x").unwrap()],
                blobs: vec![Digest::of(b"x")],
            }))),
        };
        History { plan: Plan::calm("refunds", 1, 1), appends: vec![append] }
    }

    #[test]
    fn a_history_survives_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("histories/refunds.jsonl");
        history().save(&file).unwrap();
        assert_eq!(History::load(&file), Ok(history()));
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("{\"soloist_history\":1,\"plan\":"), "{text}");
        assert!(text.contains("\"kind\":\"run.started\"") && text.contains("\"007fff\""), "{text}");
    }

    #[test]
    fn what_is_no_history_is_refused_with_its_line() {
        let problem = |text: &str| History::parse(text).unwrap_err();
        let text = history().text();
        assert!(problem("").contains("empty"));
        assert!(problem("{}").contains("line 1"));
        assert!(problem(&text.replace("007fff", "007ff")).contains("line 2"));
        assert!(problem(&text.replace("007fff", "007ffg")).contains("hex"));
        let newer = text.replace("\"soloist_history\":1", "\"soloist_history\":2");
        assert!(problem(&newer).contains("form 2"));
    }
}
