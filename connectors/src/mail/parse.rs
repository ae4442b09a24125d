//! Reads the bytes of a mail.
//!
//! The rule: a malformed mail that can be answered is read; one without a usable sender is [`Unreadable`], with the reason
//! and the remedy. No panic leaves here, whatever the bytes are. The limits and the result are in `record.rs`.

use lettre::Address;
use mail_parser::{Addr, HeaderName, HeaderValue, Message, MessageParser, MimeHeaders};
use thiserror::Error;

use super::record::{
    ATTACHMENTS_MAX, Attachment, FIELD_BYTES_MAX, Mail, Mailbox, RECIPIENTS_MAX, REFERENCES_MAX,
    TEXT_BYTES_MAX,
};

/// A mail that cannot be used. Its file is as it was.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{reason}")]
pub struct Unreadable {
    /// Why, and what to do about it.
    pub reason: String,
}

/// Whether `text` is the address of a mailbox, by its syntax.
pub(crate) fn is_address(text: &str) -> bool {
    text.parse::<Address>().is_ok()
}

/// Reads `raw` as the mail that its source knows as `identity`.
///
/// # Errors
///
/// [`Unreadable`] if `raw` is empty, is not a mail, or names no sender that could be answered.
pub fn parse(identity: &str, raw: &[u8]) -> Result<Mail, Unreadable> {
    if raw.iter().all(u8::is_ascii_whitespace) {
        return unreadable(
            "the file is empty; if its delivery was cut short, deliver the mail again, else remove it",
        );
    }
    // The parser asserts in debug builds what broken multipart mails violate (mail-parser 0.11.9, `parsers/message.rs`). A
    // stranger's mail must not stop the connector in any build, so a panic is one more way of being unreadable.
    std::panic::catch_unwind(|| read(identity, raw)).unwrap_or_else(|_| {
        unreadable("its structure is broken in a way that the mail parser cannot follow; read the file by hand, and report it as a defect")
    })
}

/// Reads what is not empty.
fn read(identity: &str, raw: &[u8]) -> Result<Mail, Unreadable> {
    let Some(message) = MessageParser::default().parse(raw) else {
        return unreadable(
            "this is not a mail: it has no header; remove the file, or move it out of this folder",
        );
    };
    let (text, text_truncated) = text_of(&message);
    Ok(Mail {
        identity: identity.to_owned(),
        message_id: message.message_id().and_then(line),
        from: sender(&message)?,
        reply_to: message.reply_to().and_then(|list| list.iter().find_map(mailbox)),
        to: recipients(&message),
        subject: message.subject().and_then(line).unwrap_or_default(),
        date: message.date().filter(|date| date.is_valid()).map(|date| date.to_rfc3339()),
        text,
        text_truncated,
        list_id: raw_line(&message, HeaderName::ListId),
        precedence: raw_line(&message, "Precedence").map(|text| text.to_ascii_lowercase()),
        auto_submitted: raw_line(&message, "Auto-Submitted").map(|text| text.to_ascii_lowercase()),
        in_reply_to: ids(message.in_reply_to()).pop(),
        references: newest(ids(message.references())),
        attachments: message.attachments().take(ATTACHMENTS_MAX).map(attachment).collect(),
        bytes: raw.len() as u64,
    })
}

fn unreadable<T>(reason: impl Into<String>) -> Result<T, Unreadable> {
    Err(Unreadable { reason: reason.into() })
}

/// The one sender that could be answered: from `From`, or from `Sender` where `From` has none.
fn sender(message: &Message<'_>) -> Result<Mailbox, Unreadable> {
    let mut authors = message
        .header_values(HeaderName::From)
        .filter_map(HeaderValue::as_address)
        .filter_map(|list| list.iter().find_map(mailbox));
    let Some(author) = authors.next() else {
        if let Some(sender) = message.sender().and_then(|list| list.iter().find_map(mailbox)) {
            return Ok(sender);
        }
        return unreadable(no_sender(message));
    };
    // Mail programs differ in which of several From fields they show, so this is how a mail looks different to its filter
    // and to its reader. Whom to answer is for the operator to say.
    if let Some(other) = authors.find(|other| !other.address.eq_ignore_ascii_case(&author.address))
    {
        return unreadable(format!(
            "two From fields disagree, {} and {}, which is a sign of forgery; answer it by hand if it is genuine",
            author.address, other.address
        ));
    }
    Ok(author)
}

fn no_sender(message: &Message<'_>) -> String {
    match raw_line(message, HeaderName::From) {
        Some(given) => {
            format!(
                "the From field holds no valid address: {:?}; read the file by hand",
                clip(&given, 120).0
            )
        }
        None => "it names no sender: there is no From field; read the file by hand, or remove it"
            .to_owned(),
    }
}

/// A mailbox whose address is syntactically valid.
fn mailbox(given: &Addr<'_>) -> Option<Mailbox> {
    let address = given.address()?.trim();
    let strict = address.len() <= FIELD_BYTES_MAX
        && !address.chars().any(|c| c.is_control() || c.is_whitespace() || "<>".contains(c));
    if !strict || address.parse::<Address>().is_err() {
        return None;
    }
    Some(Mailbox { name: given.name().and_then(line), address: address.to_owned() })
}

fn recipients(message: &Message<'_>) -> Vec<Mailbox> {
    message.all_to().flat_map(|list| list.iter()).filter_map(mailbox).take(RECIPIENTS_MAX).collect()
}

/// The text parts one after another, cut to the limit.
fn text_of(message: &Message<'_>) -> (String, bool) {
    let mut text = String::new();
    for part in 0..message.text_body_count() {
        let Some(body) = message.body_text(part) else { continue };
        if !text.is_empty() {
            text.push('\n');
        }
        push_clean(&mut text, &body);
        if text.len() > TEXT_BYTES_MAX {
            break;
        }
    }
    let (kept, cut) = clip(text.trim_end(), TEXT_BYTES_MAX);
    (kept.to_owned(), cut)
}

/// Appends `body` with plain line ends and without control characters, which could act on the operator's terminal. Stops
/// soon after the limit, so that a huge body is not copied.
fn push_clean(text: &mut String, body: &str) {
    for c in body.chars() {
        if c == '\n' || c == '\t' || !c.is_control() {
            text.push(c);
        }
        if text.len() > TEXT_BYTES_MAX {
            break;
        }
    }
}

fn attachment(part: &mail_parser::MessagePart<'_>) -> Attachment {
    let media_type = part.content_type().map_or_else(
        || "application/octet-stream".to_owned(),
        |kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("*")).to_ascii_lowercase(),
    );
    Attachment {
        name: part.attachment_name().and_then(line),
        media_type: line(&media_type).unwrap_or_default(),
        bytes: part.len() as u64,
    }
}

/// The message ids in a header.
fn ids(value: &HeaderValue<'_>) -> Vec<String> {
    let list = value.as_text_list().unwrap_or_default();
    list.iter().filter_map(|id| line(id)).collect()
}

fn newest(mut references: Vec<String>) -> Vec<String> {
    references.split_off(references.len().saturating_sub(REFERENCES_MAX))
}

fn raw_line<'x>(message: &Message<'x>, header: impl Into<HeaderName<'x>>) -> Option<String> {
    message.header_raw(header).and_then(line)
}

/// One bounded line without control characters; nothing if nothing is left.
fn line(given: &str) -> Option<String> {
    let clean: String = clip(given, 4 * FIELD_BYTES_MAX)
        .0
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let words = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    let kept = clip(&words, FIELD_BYTES_MAX).0;
    (!kept.is_empty()).then(|| kept.to_owned())
}

/// At most `bytes_max` bytes of `text`, cut between characters, and whether it was cut.
fn clip(text: &str, bytes_max: usize) -> (&str, bool) {
    if text.len() <= bytes_max {
        return (text, false);
    }
    (&text[..text.floor_char_boundary(bytes_max)], true)
}

#[cfg(test)]
mod tests;
