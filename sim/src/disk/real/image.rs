//! Images of a journal's directory: read once, laid out as often as it is opened.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use soloist_kernel::{
    journal::{FORMAT_VERSION, Head, examine},
    payload::Digest,
};
use tempfile::TempDir;

/// The write-ahead file. The store begins a second one after 64 MiB, which no simulation writes.
const WRITE_AHEAD: &str = "store/0.jnl";

/// The anchor, and the name under which it is written.
const HEAD: [&str; 2] = ["HEAD", "HEAD.next"];

/// Bytes read of the write-ahead file at first, to find the end of a batch. Most are shorter.
const BATCH_BYTES: u64 = 4 << 10;

/// A directory that goes away with its handle, in memory if the system has a place for it.
pub(super) fn dir() -> io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    }
}

/// The write-ahead file of a journal that is open.
pub(super) struct WriteAhead(File);

impl WriteAhead {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        File::open(dir.join(WRITE_AHEAD)).map(Self)
    }

    /// Where the batch ends that begins at `from` and is the last one.
    pub(super) fn end_of_batch(&self, from: usize) -> Result<usize, String> {
        let mut room = BATCH_BYTES;
        loop {
            let bytes = self.read(from, room).map_err(|problem| problem.to_string())?;
            let found = examine(&bytes);
            if found.batches == 1 && found.findings.is_empty() {
                return Ok(from + found.valid_end);
            }
            // The batch is cut off where the bytes end; anything else is not the one batch that there should be.
            if found.batches > 0 || found.findings.is_empty() || (bytes.len() as u64) < room {
                return Err(format!("no single batch follows offset {from}: {found:?}"));
            }
            room *= 4;
        }
    }

    fn read(&self, from: usize, room: u64) -> io::Result<Vec<u8>> {
        let mut file = &self.0;
        file.seek(SeekFrom::Start(from as u64))?;
        let mut bytes = Vec::new();
        file.take(room).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The files of a journal, held in memory.
pub(super) struct Image {
    /// All but `HEAD` and the write-ahead file.
    files: Vec<(PathBuf, Vec<u8>)>,
    dirs: Vec<PathBuf>,
    write_ahead: Vec<u8>,
}

impl Image {
    /// The journal in `dir`, whose write-ahead file is used up to `end`. What follows are zeros, which take long to copy.
    pub(super) fn of(dir: &Path, end: usize) -> io::Result<Self> {
        let write_ahead = WriteAhead::open(dir)?.read(0, end as u64)?;
        let mut image = Self { files: vec![], dirs: vec![], write_ahead };
        image.read(dir, Path::new(""))?;
        Ok(image)
    }

    fn read(&mut self, root: &Path, below: &Path) -> io::Result<()> {
        self.dirs.push(below.to_owned());
        for file in fs::read_dir(root.join(below))? {
            let file = file?;
            let path = below.join(file.file_name());
            if file.file_type()?.is_dir() {
                self.read(root, &path)?;
            } else if path != Path::new(WRITE_AHEAD)
                && HEAD.iter().all(|name| path != Path::new(name))
            {
                self.files.push((path, fs::read(file.path())?));
            }
        }
        Ok(())
    }

    pub(super) fn write_ahead(&self) -> &[u8] {
        &self.write_ahead
    }

    /// A directory with these files, this write-ahead file and an anchor that says `head`.
    pub(super) fn lay_out(&self, write_ahead: &[u8], head: Head) -> io::Result<TempDir> {
        let dir = dir()?;
        for below in &self.dirs {
            fs::create_dir_all(dir.path().join(below))?;
        }
        for (path, bytes) in &self.files {
            fs::write(dir.path().join(path), bytes)?;
        }
        fs::write(dir.path().join(WRITE_AHEAD), write_ahead)?;
        fs::write(dir.path().join(HEAD[0]), anchor(head))?;
        Ok(dir)
    }
}

/// `HEAD` as the kernel writes it; a test holds the two together.
fn anchor(head: Head) -> String {
    let Head { seq, hash } = head;
    let body = format!("soloist journal head\nformat {FORMAT_VERSION}\nseq {seq}\nhash {hash}\n");
    let check = Digest::of(body.as_bytes());
    format!("{body}check {check}\n")
}

#[cfg(test)]
mod tests {
    use soloist_kernel::{
        id::{Actor, StreamId},
        journal::{Append, Entry, Journal, StreamSeq},
        time::Timestamp,
    };

    use super::{super::open, *};

    fn append(stream_seq: u64, bytes: usize) -> Append {
        let entry = Entry {
            stream: StreamId::new("s").unwrap(),
            stream_seq: StreamSeq(stream_seq),
            at: Timestamp(1),
            actor: Actor::kernel(),
            causation: None,
            correlation: None,
            kind: "test.happened".to_owned(),
            version: 1,
            payload: vec![0; bytes],
        };
        Append { entries: vec![entry], ..Append::default() }
    }

    #[test]
    fn an_anchor_is_what_the_kernel_writes() {
        let dir = dir().unwrap();
        let (journal, _) = open(dir.path()).unwrap();
        journal.append(append(1, 1)).unwrap();
        journal.close().unwrap();
        let written = fs::read_to_string(dir.path().join(HEAD[0])).unwrap();
        assert_eq!(anchor(journal.head()), written);
    }

    #[test]
    fn the_end_of_a_batch_is_found_whatever_its_size() {
        let dir = dir().unwrap();
        let (journal, _) = open(dir.path()).unwrap();
        let write_ahead = WriteAhead::open(dir.path()).unwrap();
        let mut end = 0;
        for (index, bytes) in [1, 5_000, 3_900, 100_000].into_iter().enumerate() {
            let seq = journal.append(append(index as u64 + 1, bytes)).unwrap();
            let (told, heard) = std::sync::mpsc::channel();
            journal.sync(seq, Box::new(move |answer| drop(told.send(answer))));
            heard.recv().unwrap().unwrap();
            let next = write_ahead.end_of_batch(end).unwrap();
            assert!(next > end + bytes, "{next}");
            end = next;
        }
        assert!(write_ahead.end_of_batch(end).is_err());
    }
}
