//! The anchor: how far the journal had got, kept outside the store.
//!
//! A hash chain shows that a record was changed, but not that the last ones are gone: a shorter chain is a valid one. So
//! the last synced record is also named in a small file, `HEAD`, which follows the fsyncs of the journal by a few
//! milliseconds. A journal that ends before its `HEAD` has lost what it promised to keep, and is not opened.
//!
//! The file is text. Its first two lines and its last mean the same in every version to come, so that an old program can
//! say which version it met.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use thiserror::Error;

use crate::{
    journal::{
        Seq,
        format::{self, FORMAT_VERSION, GENESIS, Unreadable},
    },
    payload::Digest,
};

/// The end of the chain at some time: its last record and that record's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The record. `Seq(0)` before the first.
    pub seq: Seq,
    /// Its hash.
    pub hash: Digest,
}

impl Head {
    /// The head of a journal without records.
    pub const EMPTY: Self = Self { seq: Seq(0), hash: GENESIS };
}

impl Default for Head {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.seq, &self.hash.to_hex()[..16])
    }
}

/// Why a `HEAD` file says nothing.
#[derive(Debug, Error)]
pub(super) enum BadHead {
    /// It could not be read.
    #[error("failed to read it: {0}")]
    Io(#[from] io::Error),
    /// Not what was once written.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// Written by another version.
    #[error(transparent)]
    Version(Unreadable),
}

const FILE: &str = "HEAD";
const TITLE: &str = "soloist journal head";

/// Reads the anchor of the journal in `dir`; `None` if there is none.
pub(super) fn read(dir: &Path) -> Result<Option<Head>, BadHead> {
    match fs::read(dir.join(FILE)) {
        Ok(bytes) => {
            let text = String::from_utf8(bytes).map_err(|_| BadHead::Damaged("it is not text"))?;
            parse(&text).map(Some)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Replaces the anchor of the journal in `dir`. After a power loss at any moment it is the old one or the new one.
pub(super) fn write(dir: &Path, head: &Head) -> io::Result<()> {
    let next = dir.join("HEAD.next");
    let mut file = File::create(&next)?;
    file.write_all(render(head).as_bytes())?;
    file.sync_all()?;
    fs::rename(&next, dir.join(FILE))?;
    sync_dir(dir)
}

/// Makes the names in `dir` durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn render(head: &Head) -> String {
    let body = format!("{TITLE}\nformat {FORMAT_VERSION}\nseq {}\nhash {}\n", head.seq, head.hash);
    let check = Digest::of(body.as_bytes());
    format!("{body}check {check}\n")
}

fn parse(text: &str) -> Result<Head, BadHead> {
    let damaged = BadHead::Damaged;
    let (body, check) = text
        .strip_suffix('\n')
        .and_then(|text| text.rsplit_once("\ncheck "))
        .ok_or(damaged("its checksum is missing"))?;
    let body = format!("{body}\n");
    if Digest::of(body.as_bytes()).to_hex() != check {
        return Err(damaged("its checksum does not fit"));
    }
    let mut lines = body.lines();
    if lines.next() != Some(TITLE) {
        return Err(damaged("it is another file"));
    }
    let mut field = |name: &str| {
        lines
            .next()
            .and_then(|line| line.strip_prefix(name))
            .and_then(|line| line.strip_prefix(' '))
    };
    let version = field("format").and_then(|version| version.parse().ok());
    format::readable(version.ok_or(damaged("its format is missing"))?).map_err(BadHead::Version)?;
    let seq = field("seq").and_then(|seq| seq.parse().ok());
    let hash = field("hash").and_then(Digest::from_hex);
    Ok(Head {
        seq: Seq(seq.ok_or(damaged("its sequence number is missing"))?),
        hash: hash.ok_or(damaged("its hash is missing"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Head = Head { seq: Seq(42), hash: Digest([0xab; 32]) };

    #[test]
    fn a_head_reads_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path()).unwrap().is_none());
        for head in [Head::EMPTY, HEAD] {
            write(dir.path(), &head).unwrap();
            assert_eq!(read(dir.path()).unwrap(), Some(head));
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_in_a_head_is_noticed() {
        let text = render(&HEAD);
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(text) = String::from_utf8(bytes) {
                assert!(matches!(parse(&text), Err(BadHead::Damaged(_))), "{text}");
            }
        }
    }

    #[test]
    fn a_head_cut_at_any_byte_is_noticed() {
        let text = render(&HEAD);
        for end in 0..text.len() {
            assert!(matches!(parse(&text[..end]), Err(BadHead::Damaged(_))));
        }
    }

    #[test]
    fn a_head_of_a_newer_version_names_it() {
        let body = format!("{TITLE}\nformat 9\nsomething else\n");
        let text = format!("{body}check {}\n", Digest::of(body.as_bytes()));
        assert!(matches!(parse(&text), Err(BadHead::Version(Unreadable::Newer { found: 9 }))));
    }
}
