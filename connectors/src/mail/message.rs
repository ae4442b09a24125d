//! Composes the mail that leaves, from the intent and the sender alone.
//!
//! The rule: **the same intent gives the same bytes**. `Message-ID` comes from the effect's key and `Date` from the intent,
//! so what the operator approved is what leaves, and a second delivery can be recognised by its id. A line break in an
//! address or a subject would add a header of the attacker's choice: it is refused, never repaired.

use std::{
    collections::BTreeMap,
    str::FromStr,
    time::{Duration, SystemTime},
};

use lettre::{
    Address, Message,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
};
use serde::Deserialize;
use serde_json::json;
use soloist_kernel::{
    catalog::{Argument, Operation},
    fault::Fault,
    id::IdempotencyKey,
    time::Timestamp,
};

use crate::{
    arguments::{Arguments, invalid},
    contract::{Intent, Plan},
};

/// Longest subject. It fits one line of RFC 5322 with its header name, before encoding.
pub const SUBJECT_BYTES_MAX: usize = 900;

/// Longest text. Several times a long letter; larger things are sent as links.
pub const TEXT_BYTES_MAX: usize = 256 << 10;

/// Longest address: the path limit of RFC 5321.
pub const ADDRESS_BYTES_MAX: usize = 254;

/// Most message ids in `References`: the first and the newest are kept.
pub const REFERENCES_MAX: usize = 20;

/// Longest message id that is repeated in `References`.
pub const MESSAGE_ID_BYTES_MAX: usize = 250;

/// The last moment that a `Date` header can name: the end of the year 9999.
const DATE_MAX: Timestamp = Timestamp(253_402_300_799_999);

/// Who the mail is from: `Kestrel Studio <studio@kestrel.example>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender(Mailbox);

impl Sender {
    /// The address without the name: the envelope's sender.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.0.email
    }

    /// The id of the mail with `key`, in angle brackets.
    #[must_use]
    pub fn message_id(&self, key: &IdempotencyKey) -> String {
        format!("<{key}@{}>", self.0.email.domain())
    }
}

impl FromStr for Sender {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "write it as \"Kestrel Studio <studio@kestrel.example>\"";
        if text.chars().any(char::is_control) {
            return Err(format!("the sender {text:?} holds a control character; {example}"));
        }
        let mailbox = text.parse::<Mailbox>().map_err(|problem| {
            format!("the sender {text:?} is not a mail address ({problem}); {example}")
        })?;
        checked_address(mailbox.email.as_ref())
            .map_err(|problem| format!("the sender {text:?} {problem}; {example}"))?;
        Ok(Self(mailbox))
    }
}

/// The arguments of `send`, as [`arguments`] declares them.
#[derive(Debug, Deserialize)]
struct Letter {
    to: String,
    subject: String,
    text: String,
    #[serde(default)]
    in_reply_to: Option<String>,
    #[serde(default)]
    references: Option<Vec<String>>,
}

/// The arguments of `send`, as the manifest declares them.
#[must_use]
pub fn arguments() -> BTreeMap<String, Argument> {
    let text = || json!({ "type": "string" });
    let arguments = [
        ("to", Argument::routing(text())),
        ("subject", Argument::content(text())),
        ("text", Argument::content(text())),
        ("in_reply_to", Argument::content(json!({ "type": ["string", "null"] })).optional()),
        (
            "references",
            Argument::content(json!({ "type": ["array", "null"], "items": text() })).optional(),
        ),
    ];
    arguments.map(|(name, argument)| (name.to_owned(), argument)).into()
}

/// The mail that `intent` asks for, with the arguments of `declared`.
///
/// # Errors
///
/// [`Invalid`](soloist_kernel::fault::FaultClass::Invalid) before anything is sent, naming the argument.
pub fn compose(sender: &Sender, declared: &Operation, intent: &Intent) -> Result<Plan, Fault> {
    let given: Letter = Arguments::check(declared, &intent.arguments)?.parse()?;
    let to = checked_address(&given.to)
        .map_err(|problem| invalid(format!("argument `to` {problem}: {:?}", excerpt(&given.to))))?;
    check_subject(&given.subject)?;
    check_text(&given.text)?;
    let bytes = bytes_of(sender, &to, &given, intent)?;
    Ok(Plan {
        operation: intent.operation.clone(),
        key: intent.key.clone(),
        routing: BTreeMap::from([("to".to_owned(), to.to_string())]),
        preview: format!(
            "From: {}\nTo: {to}\nSubject: {}\n\n{}",
            sender.0, given.subject, given.text
        ),
        bytes: bytes.into(),
    })
}

/// A bare ASCII address with its domain in lower case, so that policy compares what is the same.
fn checked_address(text: &str) -> Result<Address, String> {
    if text.len() > ADDRESS_BYTES_MAX {
        return Err(format!("is longer than {ADDRESS_BYTES_MAX} bytes"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be one bare ASCII address, without spaces or line breaks; write a domain beyond ASCII in its xn-- form".to_owned());
    }
    let bare = text
        .parse::<Address>()
        .map_err(|problem| format!("must be one bare address like name@example.com ({problem})"))?;
    Address::new(bare.user(), bare.domain().to_ascii_lowercase())
        .map_err(|problem| format!("is not a mail address ({problem})"))
}

fn check_subject(subject: &str) -> Result<(), Fault> {
    if subject.chars().any(char::is_control) {
        return Err(invalid(
            "argument `subject` holds a line break or another control character; give one line of text",
        ));
    }
    if subject.len() > SUBJECT_BYTES_MAX {
        let bytes = subject.len();
        return Err(invalid(format!(
            "argument `subject` has {bytes} bytes and the limit is {SUBJECT_BYTES_MAX}; move the rest into `text`"
        )));
    }
    Ok(())
}

fn check_text(text: &str) -> Result<(), Fault> {
    if text.len() > TEXT_BYTES_MAX {
        let bytes = text.len();
        return Err(invalid(format!(
            "argument `text` has {bytes} bytes and the limit is {TEXT_BYTES_MAX}; send a link instead"
        )));
    }
    if text.trim().is_empty() {
        return Err(invalid("argument `text` is empty; a mail needs something to say"));
    }
    // The preview is shown in a terminal and must show all that leaves, so nothing in the text may act on one.
    if let Some(c) = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(invalid(format!(
            "argument `text` holds the control character {c:?}; remove it"
        )));
    }
    Ok(())
}

fn bytes_of(
    sender: &Sender,
    to: &Address,
    given: &Letter,
    intent: &Intent,
) -> Result<Vec<u8>, Fault> {
    if intent.at > DATE_MAX {
        return Err(invalid(format!(
            "the time of the intent, {} ms, is past the year 9999",
            intent.at.0
        )));
    }
    let answered = given.in_reply_to.as_deref().and_then(bracketed);
    let mut builder = Message::builder()
        .from(sender.0.clone())
        .to(Mailbox::new(None, to.clone()))
        .subject(&given.subject)
        .date(SystemTime::UNIX_EPOCH + Duration::from_millis(intent.at.0))
        .message_id(Some(sender.message_id(&intent.key)))
        .header(ContentType::TEXT_PLAIN);
    // RFC 3834: other machines must see that a machine wrote this, or two of them answer each other forever.
    let submitted = if answered.is_some() { "auto-replied" } else { "auto-generated" };
    builder = builder
        .raw_header(raw("Auto-Submitted", submitted.to_owned()))
        .raw_header(raw("X-Soloist-Effect", intent.key.to_string()));
    let thread = thread(given.references.as_deref().unwrap_or_default(), answered.as_deref());
    if let Some(id) = answered {
        builder = builder.in_reply_to(id);
    }
    if !thread.is_empty() {
        builder = builder.references(thread.join(" "));
    }
    let message = builder
        .body(with_network_line_ends(&given.text))
        .map_err(|problem| invalid(format!("the mail cannot be composed: {problem}")))?;
    Ok(message.formatted())
}

fn raw(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}

/// A lone CR or LF means different things to different servers, which is how mails are smuggled into one another.
fn with_network_line_ends(text: &str) -> String {
    let mut lines = text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
    if !lines.ends_with("\r\n") {
        lines.push_str("\r\n");
    }
    lines
}

/// The thread, oldest first. An id that is not one is left out: a thread is a courtesy, and no reason to hold a mail.
fn thread(references: &[String], answered: Option<&str>) -> Vec<String> {
    let mut ids: Vec<String> = references.iter().filter_map(|id| bracketed(id)).collect();
    if let Some(id) = answered {
        ids.retain(|other| other != id);
        ids.push(id.to_owned());
    }
    if ids.len() > REFERENCES_MAX {
        ids.drain(1..=ids.len() - REFERENCES_MAX);
    }
    ids
}

/// `id` in angle brackets, if it is a message id.
fn bracketed(id: &str) -> Option<String> {
    let bare = id.trim();
    let bare = bare.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(bare);
    let fits = !bare.is_empty() && bare.len() <= MESSAGE_ID_BYTES_MAX;
    let clean = bare.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>".contains(&byte));
    (fits && clean).then(|| format!("<{bare}>"))
}

fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests;
