//! Whether two journals hold the same.

use std::{collections::BTreeSet, fmt};

use soloist_kernel::{
    id::StreamId,
    journal::{Journal, ProjectionKey, ReadError, Seq, StreamSeq},
    payload::Digest,
};

use super::history::History;

/// Most that is shown of a value that differs: enough to see which it is. All records of a journal are one value.
const SHOWN_CHARS_MAX: usize = 300;

/// Every place that was ever written to. What is gone must be gone from there too.
#[derive(Default)]
pub(super) struct Places {
    streams: BTreeSet<StreamId>,
    keys: BTreeSet<ProjectionKey>,
    blobs: BTreeSet<Digest>,
}

impl Places {
    pub(super) fn of(history: &History) -> Self {
        let mut places = Self::default();
        for append in history.appends() {
            places.streams.extend(append.entries.iter().map(|entry| entry.stream.clone()));
            places.streams.extend(append.snapshots.iter().map(|(stream, _)| stream.clone()));
            places.keys.extend(append.projections.iter().map(|(key, _)| key.clone()));
            places.blobs.extend(append.blobs.iter().map(|(digest, _)| *digest));
        }
        places
    }
}

/// Compares all that can be read of `found` with `expected`, and says where they differ first.
pub(super) fn compare(
    expected: &dyn Journal,
    found: &dyn Journal,
    places: &Places,
) -> Result<(), String> {
    let both = Both { expected, found };
    both.agree("its head", |journal| Ok(journal.head()))?;
    both.agree("its records", |journal| journal.records(Seq(1), usize::MAX))?;
    for stream in &places.streams {
        both.agree(stream, |journal| journal.stream(stream, StreamSeq(0)))?;
        both.agree(stream, |journal| journal.stream_head(stream))?;
        both.agree(stream, |journal| journal.snapshot(stream))?;
    }
    for key in &places.keys {
        both.agree(format_args!("{} of {}", key.key, key.table), |journal| {
            journal.projection(key)
        })?;
    }
    let tables: BTreeSet<_> = places.keys.iter().map(|key| key.table).collect();
    for table in tables {
        both.agree(table, |journal| journal.projections(table, "", "", usize::MAX))?;
    }
    for blob in &places.blobs {
        both.agree(format_args!("blob {blob}"), |journal| journal.blob(blob))?;
    }
    Ok(())
}

struct Both<'a> {
    expected: &'a dyn Journal,
    found: &'a dyn Journal,
}

impl Both<'_> {
    fn agree<T: PartialEq + fmt::Debug>(
        &self,
        what: impl fmt::Display,
        read: impl Fn(&dyn Journal) -> Result<T, ReadError>,
    ) -> Result<(), String> {
        let expected =
            read(self.expected).map_err(|problem| format!("{what} in the model: {problem}"))?;
        let found = read(self.found).map_err(|problem| format!("{what}: {problem}"))?;
        match expected == found {
            true => Ok(()),
            false => {
                let (expected, found) = (shortened(&expected), shortened(&found));
                Err(format!("{what} should be {expected} and is {found}"))
            }
        }
    }
}

/// The beginning of what `value` is.
fn shortened(value: &impl fmt::Debug) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
