//! Who comes next: the checks of an append and the places its records get.
//!
//! This is the part that both journals share and that runs under their lock, so it allocates little and encodes nothing.
//! It is told how to look a stream's head up where it is stored, and keeps the heads of streams in use at hand.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    id::StreamId,
    journal::{
        Append, AppendError, Entry, PROJECTION_KEY_BYTES_MAX, RECORD_BYTES_MAX, Seq, StreamSeq,
        archive::{Place, Segment},
    },
    payload::Digest,
};

/// Stream heads kept at hand. A run in progress appends every few milliseconds, and this many in progress at once would
/// be far over every other limit; with a name of usual length they take about 2 MiB.
pub(super) const HEADS_MAX: usize = 16_384;

/// The last record of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamHead {
    /// Its place in the journal.
    pub(super) seq: Seq,
    /// Its place in the stream.
    pub(super) stream_seq: StreamSeq,
    /// Where the stream begins in the archive, if it is there: then this is its tombstone.
    pub(super) place: Option<Place>,
}

/// The last segment that was begun.
#[derive(Default)]
pub(super) struct Sealing {
    /// Which it is: an older one is no longer archived.
    ticket: u64,
    /// The blobs that were appended since, as long as it may be archived.
    blobs: Option<BTreeSet<Digest>>,
}

impl Sealing {
    /// Begins another segment.
    pub(super) fn begin(&mut self) -> u64 {
        self.ticket += 1;
        self.blobs = Some(BTreeSet::new());
        self.ticket
    }

    /// Takes note of what `append` uses.
    pub(super) fn appended(&mut self, append: &Append) {
        if let Some(blobs) = &mut self.blobs {
            blobs.extend(append.blobs.iter().map(|(digest, _)| *digest));
        }
    }

    /// Whether `segment` may be archived; gives the blobs that must stay although they are in it.
    pub(super) fn take(&mut self, segment: &Segment) -> Result<BTreeSet<Digest>, AppendError> {
        let blobs = self.blobs.take_if(|_| self.ticket == segment.ticket);
        blobs.ok_or(AppendError::Resealed { segment: segment.id })
    }
}

/// A record that has its place and waits to be encoded.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) seq: Seq,
    pub(super) previous: Option<Seq>,
    pub(super) entry: Entry,
}

/// Gives records their places. Whoever holds it `&mut` holds the order.
pub(super) struct Sequencer {
    last: Seq,
    heads: BTreeMap<StreamId, StreamHead>,
    /// Up to here heads can be looked up where they are stored, so they may leave `heads`.
    committed: Seq,
    /// The size of `heads` at which it is next tidied.
    tidy_at: usize,
    /// The last record that streams were archived with. Until it is stored, their tombstones are here alone.
    archived: Seq,
}

impl Sequencer {
    /// Goes on after `last`, all of which is stored.
    pub(super) fn new(last: Seq) -> Self {
        Self { last, heads: BTreeMap::new(), committed: last, tidy_at: HEADS_MAX, archived: Seq(0) }
    }

    /// The last record that has a place.
    pub(super) fn last(&self) -> Seq {
        self.last
    }

    /// Everything up to `seq` is stored now.
    pub(super) fn committed(&mut self, seq: Seq) {
        self.committed = seq;
    }

    /// The head of `stream`, from memory or else from `load`.
    pub(super) fn head(
        &mut self,
        stream: &StreamId,
        load: impl FnOnce(&StreamId) -> Result<Option<StreamHead>, AppendError>,
    ) -> Result<Option<StreamHead>, AppendError> {
        if let Some(head) = self.heads.get(stream) {
            return Ok(Some(*head));
        }
        let head = load(stream)?;
        if let Some(head) = head {
            self.heads.insert(stream.clone(), head);
        }
        Ok(head)
    }

    /// Checks the whole of `append` and then gives its records their places: all or none.
    ///
    /// # Panics
    ///
    /// If it holds no records.
    pub(super) fn place(
        &mut self,
        append: &mut Append,
        load: impl Fn(&StreamId) -> Result<Option<StreamHead>, AppendError>,
    ) -> Result<Vec<Placed>, AppendError> {
        check_sizes(append)?;
        self.check_order(append, &load)?;
        if let Some(segment) = &append.archive {
            self.end_streams(segment, load)?;
        }
        let places = std::mem::take(&mut append.entries).into_iter().map(|entry| {
            self.last.0 += 1;
            let head = StreamHead { seq: self.last, stream_seq: entry.stream_seq, place: None };
            let previous = match self.heads.get_mut(&entry.stream) {
                Some(known) => Some(std::mem::replace(known, head).seq),
                None => {
                    self.heads.insert(entry.stream.clone(), head);
                    None
                }
            };
            Placed { seq: self.last, previous, entry }
        });
        let placed = places.collect();
        if append.archive.is_some() {
            self.archived = self.last;
        }
        self.tidy();
        Ok(placed)
    }

    fn check_order(
        &mut self,
        append: &Append,
        load: impl Fn(&StreamId) -> Result<Option<StreamHead>, AppendError>,
    ) -> Result<(), AppendError> {
        // Where the entries already checked would leave their streams.
        let mut moved: BTreeMap<&StreamId, StreamSeq> = BTreeMap::new();
        for entry in &append.entries {
            let at = match moved.get(&entry.stream) {
                Some(at) => *at,
                None => match self.head(&entry.stream, &load)? {
                    Some(StreamHead { place: Some(place), .. })
                        if entry.stream_seq > StreamSeq(1) =>
                    {
                        let (stream, segment) = (entry.stream.clone(), place.segment);
                        return Err(AppendError::Archived { stream, segment });
                    }
                    head => head.map_or(StreamSeq(0), |head| head.stream_seq),
                },
            };
            if entry.stream_seq.0 != at.0 + 1 {
                return Err(AppendError::Conflict {
                    stream: entry.stream.clone(),
                    expected: StreamSeq(entry.stream_seq.0.saturating_sub(1)),
                    actual: at,
                });
            }
            if append.entries.len() > 1 {
                moved.insert(&entry.stream, entry.stream_seq);
            }
        }
        Ok(())
    }

    /// The streams of `segment` end with the records that are in it, unless one has gone on since or is in `append` itself.
    fn end_streams(
        &mut self,
        segment: &Segment,
        load: impl Fn(&StreamId) -> Result<Option<StreamHead>, AppendError>,
    ) -> Result<(), AppendError> {
        for (stream, expected) in &segment.heads {
            let head = self.head(stream, &load)?;
            if let Some(StreamHead { place: Some(place), .. }) = head {
                let segment = place.segment;
                return Err(AppendError::Archived { stream: stream.clone(), segment });
            }
            let actual = head.map_or(StreamSeq(0), |head| head.stream_seq);
            if actual != expected.stream_seq {
                let (stream, expected) = (stream.clone(), expected.stream_seq);
                return Err(AppendError::Conflict { stream, expected, actual });
            }
        }
        self.heads.extend(segment.heads.iter().cloned());
        Ok(())
    }

    /// Forgets the heads that are stored, once there are many. What is not yet stored must stay, and is bounded by the
    /// bytes that may wait.
    fn tidy(&mut self) {
        if self.heads.len() > self.tidy_at {
            let (committed, archived) = (self.committed, self.archived);
            self.heads.retain(|_, head| {
                head.seq > committed || (head.place.is_some() && archived > committed)
            });
            self.tidy_at = HEADS_MAX.max(self.heads.len() * 2);
        }
    }
}

fn check_sizes(append: &Append) -> Result<(), AppendError> {
    assert!(!append.entries.is_empty(), "an append holds at least one record");
    for entry in &append.entries {
        let bytes = entry.payload.len() + entry.kind.len();
        if bytes > RECORD_BYTES_MAX {
            return Err(AppendError::TooLarge { stream: entry.stream.clone(), bytes });
        }
    }
    for (key, _) in &append.projections {
        let bytes = key.key.len();
        if bytes > PROJECTION_KEY_BYTES_MAX {
            return Err(AppendError::KeyTooLong { table: key.table, bytes });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::Actor, time::Timestamp};

    fn entry(stream: &str, stream_seq: u64) -> Entry {
        Entry {
            stream: StreamId::new(stream).unwrap(),
            stream_seq: StreamSeq(stream_seq),
            at: Timestamp(0),
            actor: Actor::kernel(),
            causation: None,
            correlation: None,
            kind: "k".to_owned(),
            version: 1,
            payload: vec![],
        }
    }

    fn append(entries: &[(&str, u64)]) -> Append {
        let entries = entries.iter().map(|(stream, seq)| entry(stream, *seq)).collect();
        Append { entries, ..Append::default() }
    }

    #[track_caller]
    fn check(sequencer: &mut Sequencer, entries: &[(&str, u64)], expected: &[(u64, Option<u64>)]) {
        let placed = sequencer.place(&mut append(entries), |_| Ok(None)).unwrap();
        let got: Vec<_> = placed.iter().map(|p| (p.seq.0, p.previous.map(|seq| seq.0))).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn records_get_the_next_places_and_a_link_to_their_streams_last() {
        let mut sequencer = Sequencer::new(Seq(0));
        check(&mut sequencer, &[("a", 1)], &[(1, None)]);
        check(
            &mut sequencer,
            &[("b", 1), ("a", 2), ("a", 3)],
            &[(2, None), (3, Some(1)), (4, Some(3))],
        );
    }

    #[test]
    fn a_conflict_anywhere_in_an_append_leaves_nothing_of_it() {
        let mut sequencer = Sequencer::new(Seq(0));
        check(&mut sequencer, &[("a", 1)], &[(1, None)]);
        for wrong in [&[("b", 1), ("a", 1)][..], &[("a", 2), ("a", 2)], &[("a", 3)], &[("a", 0)]] {
            let refused = sequencer.place(&mut append(wrong), |_| Ok(None));
            assert!(matches!(refused, Err(AppendError::Conflict { .. })), "{wrong:?}");
        }
        check(&mut sequencer, &[("b", 1), ("a", 2)], &[(2, None), (3, Some(1))]);
    }

    #[test]
    fn a_stream_not_in_memory_is_looked_up() {
        let mut sequencer = Sequencer::new(Seq(9));
        let stored = StreamHead { seq: Seq(5), stream_seq: StreamSeq(2), place: None };
        let placed = sequencer.place(&mut append(&[("a", 3)]), |_| Ok(Some(stored))).unwrap();
        assert_eq!((placed[0].seq, placed[0].previous), (Seq(10), Some(Seq(5))));
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let mut sequencer = Sequencer::new(Seq(0));
        let mut large = append(&[("a", 1)]);
        large.entries[0].payload = vec![0; RECORD_BYTES_MAX];
        let refused = sequencer.place(&mut large, |_| Ok(None)).unwrap_err();
        assert!(matches!(refused, AppendError::TooLarge { bytes, .. } if bytes > RECORD_BYTES_MAX));
        let mut long = append(&[("a", 1)]);
        let key = crate::journal::ProjectionKey::new("t", "k".repeat(PROJECTION_KEY_BYTES_MAX + 1));
        long.projections.push((key, None));
        let refused = sequencer.place(&mut long, |_| Ok(None)).unwrap_err();
        assert!(matches!(refused, AppendError::KeyTooLong { table: "t", .. }));
    }

    #[test]
    fn heads_that_are_stored_leave_memory_and_others_stay() {
        let mut sequencer = Sequencer::new(Seq(0));
        let streams = HEADS_MAX as u64 + 1;
        sequencer.committed(Seq(HEADS_MAX as u64 - 10));
        for seq in 1..=streams {
            check(&mut sequencer, &[(&format!("s{seq}"), 1)], &[(seq, None)]);
        }
        assert_eq!(sequencer.heads.len(), 11);
        // The last one is still known; the first would be looked up.
        check(&mut sequencer, &[(&format!("s{streams}"), 2)], &[(streams + 1, Some(streams))]);
    }
}
