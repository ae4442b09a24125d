//! The file that a bundle is: parts, one behind the other, each sealed by a hash over everything before it.
//!
//! ```text
//! magic      8 bytes   "soloistb"
//! version    2 bytes   little-endian; 1
//! part, again and again:
//!   kind     1 byte    see [`Kind`]
//!   length   8 bytes   little-endian; of the body
//!   hash    32 bytes   BLAKE3 of: the hash of the part before, the kind, the length, the body.
//!                      Before the first part stands the BLAKE3 of the magic and the version.
//!   body
//! ```
//!
//! The last part is of the kind *end* and has no body. So a byte that changes, a part that moves and a file that ends too soon are
//! noticed, and the part in which it is is named. There is no compression: a run is small, and who sends a bundle by way of
//! something that compresses loses nothing.

use soloist_kernel::payload::Digest;

use super::BundleError;

const MAGIC: &[u8; 8] = b"soloistb";

/// The version that this code writes, and the newest it reads.
pub(super) const VERSION: u16 = 1;

/// Bytes before the first part.
const PARTS_AT: usize = 8 + 2;

/// Bytes of a part before its body.
const BODY_AT: usize = 1 + 8 + 32;

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What the bundle is of, and which states it leads to, as JSON. The first part, and only one.
    Manifest = 1,
    /// A version of a workflow: its name and version, a line break, its text.
    Workflow = 2,
    /// A version of the policy: its number, a line break, its text.
    Policy = 3,
    /// A payload that left its record. Records name it by its BLAKE3.
    Blob = 4,
    /// A record: see [`carried`](soloist_kernel::journal::carried).
    Record = 5,
    /// Nothing follows.
    End = 6,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        let all =
            [Self::Manifest, Self::Workflow, Self::Policy, Self::Blob, Self::Record, Self::End];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Workflow => "workflow",
            Self::Policy => "policy",
            Self::Blob => "blob",
            Self::Record => "record",
            Self::End => "end",
        }
    }
}

/// A part as it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    /// Counted from one.
    pub(super) place: usize,
    pub(super) kind: Kind,
    pub(super) body: &'a [u8],
}

/// Writes a bundle.
pub(super) struct Writer {
    bytes: Vec<u8>,
    last: Digest,
}

impl Writer {
    pub(super) fn new() -> Self {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        let last = Digest::of(&bytes);
        Self { bytes, last }
    }

    pub(super) fn part(&mut self, kind: Kind, body: &[u8]) {
        let length = (body.len() as u64).to_le_bytes();
        self.last = sealed(&self.last, kind as u8, length, body);
        self.bytes.push(kind as u8);
        self.bytes.extend_from_slice(&length);
        self.bytes.extend_from_slice(&self.last.0);
        self.bytes.extend_from_slice(body);
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.part(Kind::End, &[]);
        self.bytes
    }
}

/// The parts of a bundle, each of which is as it was written.
///
/// # Errors
///
/// [`BundleError`] names the first part that is not.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Part<'_>>, BundleError> {
    let Some((header, mut rest)) = bytes.split_at_checked(PARTS_AT) else {
        return Err(BundleError::NotOne);
    };
    let (magic, version) = header.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(BundleError::NotOne);
    }
    let version = u16::from_le_bytes([version[0], version[1]]);
    if version != VERSION {
        return Err(BundleError::Version { found: version });
    }
    let (mut parts, mut last) = (vec![], Digest::of(header));
    loop {
        let place = parts.len() + 1;
        let at = bytes.len() - rest.len();
        let changed = |what: &str| BundleError::Changed { place, at, what: what.to_owned() };
        let Some((head, behind)) = rest.split_at_checked(BODY_AT) else {
            return Err(changed("the file ends where it should begin"));
        };
        let length: [u8; 8] = head[1..9].try_into().expect("eight bytes are eight bytes");
        let hash = Digest(head[9..BODY_AT].try_into().expect("32 bytes are 32 bytes"));
        let kind = Kind::of(head[0]).ok_or_else(|| changed("it is of no kind that there is"))?;
        let split = usize::try_from(u64::from_le_bytes(length)).ok();
        let Some((body, behind)) = split.and_then(|length| behind.split_at_checked(length)) else {
            return Err(changed(&format!("the file ends before this {} does", kind.word())));
        };
        last = sealed(&last, head[0], length, body);
        if last != hash {
            return Err(changed(&format!("this {} has another hash", kind.word())));
        }
        rest = behind;
        if kind == Kind::End {
            break;
        }
        parts.push(Part { place, kind, body });
    }
    match rest.len() {
        0 => Ok(parts),
        bytes => Err(BundleError::Behind { bytes }),
    }
}

fn sealed(before: &Digest, kind: u8, length: [u8; 8], body: &[u8]) -> Digest {
    let mut bytes = Vec::with_capacity(32 + 9 + body.len());
    bytes.extend_from_slice(&before.0);
    bytes.push(kind);
    bytes.extend_from_slice(&length);
    bytes.extend_from_slice(body);
    Digest::of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Vec<u8> {
        let mut writer = Writer::new();
        writer.part(Kind::Manifest, b"{}");
        writer.part(Kind::Blob, b"some text");
        writer.end()
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = bundle();
        let parts = read(&bytes).unwrap();
        let told: Vec<_> = parts.iter().map(|part| (part.place, part.kind, part.body)).collect();
        assert_eq!(told, [(1, Kind::Manifest, &b"{}"[..]), (2, Kind::Blob, b"some text")]);
    }

    #[test]
    fn the_bytes_of_version_1_never_change() {
        let hex: String = bundle().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            Digest::of(hex.as_bytes()).to_hex(),
            "7a453d9dfbc1d7a12da7942060c65c220ddc80f178c9299e5e2baf2667cf72c2"
        );
    }

    #[test]
    fn every_bit_that_changes_and_every_byte_that_is_missing_is_noticed() {
        let bytes = bundle();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(read(&flipped).is_err(), "bit {bit} of byte {at}");
            }
            assert!(read(&bytes[..at]).is_err(), "{at} bytes");
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(matches!(read(&longer), Err(BundleError::Behind { bytes: 1 })));
    }

    #[test]
    fn a_part_that_changes_is_named() {
        let mut bytes = bundle();
        let at = bytes.windows(4).position(|window| window == b"text").unwrap();
        bytes[at] = b'T';
        let said = read(&bytes).unwrap_err().to_string();
        assert!(said.contains("part 2, at byte 53: this blob has another hash"), "{said}");
    }
}
