//! The trace: a line for everything that is decided, sent, heard, written and broken, and a hash over all of them.
//!
//! Two runs of one plan must have the same hash. The lines themselves are kept only when somebody wants to read them:
//! most runs only hash, which costs no allocation.

use std::fmt::{self, Write};

use serde::Serialize;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Virtual time since the beginning, in milliseconds.
    pub at_ms: u64,
    /// Which process it is, counted from one.
    pub epoch: u32,
    /// Whose it is: a connector, a run, `journal`, `operator`, `client`, `process`.
    pub lane: String,
    /// What kind of thing it is.
    pub what: What,
    /// What happened.
    pub text: String,
}

/// Kinds of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A call leaves for the other side.
    Call,
    /// It is answered.
    Answer,
    /// Something happens in the world.
    Effect,
    /// A record is appended.
    Append,
    /// Records become durable.
    Sync,
    /// A fault of the plan happens.
    Fault,
    /// A process begins or ends.
    Process,
    /// The operator acts.
    Operator,
    /// The client, or a webhook, asks for something.
    Client,
    /// An invariant does not hold.
    Violation,
}

/// The lines of one simulation, or only their hash.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: Rolling,
    count: u64,
    kept: Option<Vec<Line>>,
}

/// FNV-1a: it is fed some bytes at a time, and nobody attacks it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rolling(u64);

impl Default for Rolling {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Rolling {
    /// The hash of `bytes`.
    pub(crate) fn of(bytes: &[u8]) -> u64 {
        let mut hash = Self::default();
        hash.feed(bytes);
        hash.0
    }

    /// The hash of everything that it was fed.
    pub(crate) fn get(self) -> u64 {
        self.0
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl Write for Rolling {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.feed(text.as_bytes());
        Ok(())
    }
}

impl Trace {
    pub(crate) fn new(keep: bool) -> Self {
        Self { hash: Rolling::default(), count: 0, kept: keep.then(Vec::new) }
    }

    pub(crate) fn line(
        &mut self,
        at_ms: u64,
        epoch: u32,
        lane: &str,
        what: What,
        text: fmt::Arguments<'_>,
    ) {
        self.count += 1;
        self.hash.feed(&at_ms.to_le_bytes());
        self.hash.feed(&[epoch.to_le_bytes()[0], what as u8]);
        self.hash.feed(lane.as_bytes());
        let _ = self.hash.write_fmt(text);
        if let Some(kept) = &mut self.kept {
            kept.push(Line { at_ms, epoch, lane: lane.to_owned(), what, text: text.to_string() });
        }
    }

    /// The hash of everything so far.
    pub(crate) fn hash(&self) -> u64 {
        self.hash.get()
    }

    /// Lines so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn into_lines(self) -> Vec<Line> {
        self.kept.unwrap_or_default()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at_ms, epoch, lane, text, .. } = self;
        write!(f, "{:>8}.{:03} s  #{epoch}  {lane:<16} {text}", at_ms / 1000, at_ms % 1000)
    }
}
