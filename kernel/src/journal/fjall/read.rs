//! Reading: what the keyspaces hold, as the domain's types.
//!
//! Nothing here takes the writer's lock. A batch becomes visible as a whole and after its fsync, so a reader sees a prefix
//! of the journal that a power loss cannot take back.

use ::fjall::Guard;

use super::store::{
    Store, blob_place_key, decode_head, decode_place, decode_seq, decode_snapshot, projection_key,
};
use crate::{
    id::StreamId,
    journal::{
        ProjectionKey, ReadError, Record, Seq, Snapshot, StreamSeq,
        archive::{Files, Slot, Source, read_blob, read_record, read_stream, unpack},
        format,
        sequencer::StreamHead,
    },
    payload::Digest,
};

fn store(error: ::fjall::Error) -> ReadError {
    ReadError::Store(error.to_string())
}

fn damaged(what: impl Into<String>) -> ReadError {
    ReadError::Store(format!("{} is damaged; run `soloist doctor`", what.into()))
}

impl Store {
    pub(super) fn slot(&self, seq: Seq) -> Result<Option<Slot>, ReadError> {
        let bytes = self.events.get(format::key(seq)).map_err(store)?;
        bytes.map(|bytes| decode(seq, &bytes)).transpose()
    }

    pub(super) fn record(&self, files: &dyn Files, seq: Seq) -> Result<Option<Record>, ReadError> {
        match self.slot(seq)? {
            None => Ok(None),
            Some(Slot::Live(record)) => Ok(Some(record)),
            Some(Slot::Archived(stub)) => read_record(files, &stub).map(Some),
        }
    }

    pub(super) fn slots(&self, from: Seq, limit: usize) -> Result<Vec<Slot>, ReadError> {
        let range = self.events.range(format::key(from)..);
        range.take(limit).map(read).collect()
    }

    pub(super) fn records(
        &self,
        files: &dyn Files,
        from: Seq,
        limit: usize,
    ) -> Result<Vec<Record>, ReadError> {
        unpack(files, self.slots(from, limit)?)
    }

    pub(super) fn stream(
        &self,
        files: &dyn Files,
        stream: &StreamId,
        after: StreamSeq,
    ) -> Result<Vec<Record>, ReadError> {
        let mut records = Vec::new();
        let head = self.head(stream)?.filter(|head| head.stream_seq > after);
        if let Some((head, place)) = head.and_then(|head| Some((head, head.place?))) {
            return read_stream(files, stream, &head, place, after);
        }
        let mut next = head.map(|head| head.seq);
        // Backwards along the links, since there is no index of streams.
        while let Some(seq) = next {
            let missing = || ReadError::Damaged {
                seq,
                problem: format!("stream {stream} links to it and it is missing"),
            };
            let Some(Slot::Live(record)) = self.slot(seq)? else { return Err(missing()) };
            if record.entry.stream != *stream || record.previous >= Some(seq) {
                let problem = format!("stream {stream} links to it and it is another stream's");
                return Err(ReadError::Damaged { seq, problem });
            }
            next = record.previous.filter(|_| record.entry.stream_seq.0 > after.0 + 1);
            records.push(record);
        }
        records.reverse();
        Ok(records)
    }

    pub(super) fn head(&self, stream: &StreamId) -> Result<Option<StreamHead>, ReadError> {
        let bytes = self.streams.get(stream.as_str()).map_err(store)?;
        let decode = |bytes: &[u8]| {
            decode_head(bytes).ok_or_else(|| damaged(format!("the head of stream {stream}")))
        };
        bytes.map(|bytes| decode(&bytes)).transpose()
    }

    pub(super) fn snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>, ReadError> {
        let Some(bytes) = self.snapshots.get(stream.as_str()).map_err(store)? else {
            return Ok(None);
        };
        let what = || format!("the snapshot of stream {stream}");
        let (version, stream_seq, state) =
            decode_snapshot(&bytes).ok_or_else(|| damaged(what()))?;
        format::readable(u32::from(version))
            .map_err(|error| ReadError::Store(format!("{} cannot be read: {error}", what())))?;
        Ok(Some(Snapshot { stream_seq, state: state.to_vec() }))
    }

    pub(super) fn projection(&self, key: &ProjectionKey) -> Result<Option<Vec<u8>>, ReadError> {
        let value = self.projections.get(projection_key(key.table, &key.key)).map_err(store)?;
        Ok(value.map(|value| value.to_vec()))
    }

    pub(super) fn projections(
        &self,
        table: &str,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        let wanted = projection_key(table, prefix);
        let after = projection_key(table, after);
        let key_at = table.len() + 1;
        let mut page = Vec::new();
        for guard in self.projections.range(wanted.clone().max(after.clone())..) {
            if page.len() == limit {
                break;
            }
            let (key, value) = guard.into_inner().map_err(store)?;
            // The empty key is the first of all, and a first page must not pass over it.
            if *key == *after && after.len() > key_at {
                continue;
            }
            if !key.starts_with(&wanted) {
                break;
            }
            let key = std::str::from_utf8(&key[key_at..])
                .map_err(|_| damaged(format!("a key of table {table}")))?;
            page.push((key.to_owned(), value.to_vec()));
        }
        Ok(page)
    }

    pub(super) fn blob(
        &self,
        files: &dyn Files,
        digest: &Digest,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        if let Some(blob) = self.live_blob(digest)? {
            return Ok(Some(blob));
        }
        let place = self.blobs.get(blob_place_key(digest)).map_err(store)?;
        let Some(place) = place else { return Ok(None) };
        let place = decode_place(&place)
            .ok_or_else(|| damaged(format!("where blob {digest} is archived")))?;
        read_blob(files, digest, place).map(Some)
    }
}

impl Source for Store {
    fn head(&self, stream: &StreamId) -> Result<Option<StreamHead>, ReadError> {
        Self::head(self, stream)
    }

    fn stored(&self, seq: Seq) -> Result<Option<Vec<u8>>, ReadError> {
        let bytes = self.events.get(format::key(seq)).map_err(store)?;
        Ok(bytes.map(|bytes| bytes.to_vec()))
    }

    fn live_blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(blob) = self.blobs.get(digest.0).map_err(store)? else { return Ok(None) };
        match Digest::of(&blob) == *digest {
            true => Ok(Some(blob.to_vec())),
            false => Err(damaged(format!("blob {digest}"))),
        }
    }

    fn each_stored(&self, see: &mut dyn FnMut(Seq, &[u8])) -> Result<(), ReadError> {
        for guard in self.events.iter() {
            let (key, value) = guard.into_inner().map_err(store)?;
            see(decode_seq(&key).ok_or_else(|| damaged("the key of a record"))?, &value);
        }
        Ok(())
    }
}

fn read(guard: Guard) -> Result<Slot, ReadError> {
    let (key, value) = guard.into_inner().map_err(store)?;
    let seq = decode_seq(&key).ok_or_else(|| damaged("the key of a record"))?;
    decode(seq, &value)
}

fn decode(seq: Seq, bytes: &[u8]) -> Result<Slot, ReadError> {
    format::decode_slot(seq, bytes)
        .map_err(|error| ReadError::Damaged { seq, problem: error.to_string() })
}
