//! What a mail is to the rest of the system: the wire type of a mail's payload.
//!
//! Every field is bounded, because a stranger chose it. The limits stand here, beside what they limit; `parse.rs` applies
//! them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest text kept of a mail. An agent's context fits it several times, and a person writes less; the rest of a longer
/// one stays in its file.
pub const TEXT_BYTES_MAX: usize = 64 << 10;

/// Longest single-line field: subject, name, id. RFC 5322 allows no longer line.
pub const FIELD_BYTES_MAX: usize = 998;

/// Most recipients kept. More is a mass mail, and nobody answers all of them.
pub const RECIPIENTS_MAX: usize = 100;

/// Most references kept, the newest. Threads this long have long since lost their subject.
pub const REFERENCES_MAX: usize = 50;

/// Most attachments described.
pub const ATTACHMENTS_MAX: usize = 50;

/// A mail as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mail {
    /// What makes it this mail and no other in its source; the identity of its change.
    pub identity: String,
    /// Its `Message-ID`, without the angle brackets. The sender chose it: it is not an identity.
    pub message_id: Option<String>,
    /// Who says to have sent it. The address is syntactically valid, and unproven.
    pub from: Mailbox,
    /// Where the sender wants answers, if elsewhere.
    pub reply_to: Option<Mailbox>,
    /// Recipients, at most [`RECIPIENTS_MAX`].
    pub to: Vec<Mailbox>,
    /// The decoded subject; empty if there was none.
    pub subject: String,
    /// The `Date` header in RFC 3339, if there was a valid one.
    pub date: Option<String>,
    /// The body as plain text, converted from HTML if there is nothing else, at most [`TEXT_BYTES_MAX`].
    pub text: String,
    /// Whether the text was cut.
    pub text_truncated: bool,
    /// `List-Id`: it came over a mailing list.
    pub list_id: Option<String>,
    /// `Precedence`, lower case: `bulk`, `list` or `junk` mean that no person waits for an answer.
    pub precedence: Option<String>,
    /// `Auto-Submitted`, lower case: anything but `no` must not be answered automatically (RFC 3834).
    pub auto_submitted: Option<String>,
    /// The id of the mail it answers.
    pub in_reply_to: Option<String>,
    /// The thread before it, oldest first, at most [`REFERENCES_MAX`].
    pub references: Vec<String>,
    /// What is attached, at most [`ATTACHMENTS_MAX`]. The content stays in the file.
    pub attachments: Vec<Attachment>,
    /// Size of the mail as it arrived.
    pub bytes: u64,
}

/// A person or system with a mail address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mailbox {
    /// The display name, if there is one.
    pub name: Option<String>,
    /// The address: `user@domain`.
    pub address: String,
}

/// What is attached to a mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attachment {
    /// The file name that the sender gave. Never a path to write to.
    pub name: Option<String>,
    /// The media type that the sender gave: `application/pdf`.
    pub media_type: String,
    /// Its decoded size.
    pub bytes: u64,
}
