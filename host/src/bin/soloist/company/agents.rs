//! The agents of the mail company. They follow rules and templates; no model is needed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use soloist::{Agent, Failure, ReadOnly, Turn, connectors::mail::Mail, memory::entity};

/// Decides whether a person waits for an answer, and what about.
pub(super) struct Triage;

/// What triage found.
#[derive(Serialize, JsonSchema)]
pub(super) struct Triaged {
    answer: bool,
    reason: &'static str,
    topic: &'static str,
    to: String,
    name: String,
    thread: Vec<String>,
}

impl Agent for Triage {
    const NAME: &'static str = "triage";
    type Kind = ReadOnly;
    type Input = Mail;
    type Output = Triaged;

    async fn run(&self, _turn: Turn<ReadOnly>, mail: Mail) -> Result<Triaged, Failure> {
        let to = mail.reply_to.as_ref().unwrap_or(&mail.from);
        let no_answer = no_answer_because(&mail, &to.address);
        let name = mail.from.name.clone().filter(|name| !name.trim().is_empty());
        let mut thread = mail.references.clone();
        thread.extend(mail.message_id.clone());
        Ok(Triaged {
            answer: no_answer.is_none(),
            reason: no_answer.unwrap_or("a person waits for an answer"),
            topic: topic(&mail),
            to: to.address.clone(),
            name: name.unwrap_or_else(|| to.address.clone()),
            thread,
        })
    }
}

/// RFC 3834 says what must not be answered automatically: what is automatic itself, what came over a list, and what no
/// person reads.
fn no_answer_because(mail: &Mail, to: &str) -> Option<&'static str> {
    let local = to.split('@').next().unwrap_or_default().to_lowercase();
    let unread = [
        "mailer-daemon",
        "postmaster",
        "noreply",
        "no-reply",
        "donotreply",
        "do-not-reply",
        "bounce",
    ];
    if mail.auto_submitted.as_deref().is_some_and(|value| value != "no") {
        return Some("it was sent automatically");
    }
    if mail.list_id.is_some()
        || matches!(mail.precedence.as_deref(), Some("bulk" | "list" | "junk"))
    {
        return Some("it came over a list");
    }
    unread
        .iter()
        .any(|name| local.starts_with(name))
        .then_some("nobody reads answers to its address")
}

fn topic(mail: &Mail) -> &'static str {
    let text = format!("{} {}", mail.subject, mail.text).to_lowercase();
    let topics: [(&str, &[&str]); 3] = [
        ("invoice", &["invoice", "payment", "rechnung", "receipt"]),
        ("quote", &["quote", "offer", "price", "budget", "angebot", "anfrage"]),
        (
            "schedule",
            &["meeting", "reschedule", "appointment", "call on", "termin", "tuesday", "thursday"],
        ),
    ];
    let found = topics.iter().find(|(_, words)| words.iter().any(|word| text.contains(word)));
    found.map_or("other", |(topic, _)| topic)
}

/// Looks up who the sender is and what was last said to them.
pub(super) struct Sender;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Contact {
    address: String,
    name: String,
}

/// What is known of the sender.
#[derive(Serialize, JsonSchema)]
pub(super) struct Known {
    contact: String,
    last_said: Option<Value>,
}

impl Agent for Sender {
    const NAME: &'static str = "sender";
    type Kind = ReadOnly;
    type Input = Contact;
    type Output = Known;

    async fn run(
        &self,
        turn: Turn<ReadOnly>,
        Contact { address, name }: Contact,
    ) -> Result<Known, Failure> {
        let contact = entity("mail", &address);
        if turn.fact(&contact, "name").await?.is_none() {
            turn.remember(&contact, "name", &name).await?;
        }
        let last_said = turn.fact(&contact, "last_said").await?;
        Ok(Known { contact, last_said })
    }
}

/// Writes an answer from a template.
pub(super) struct Draft;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Brief {
    topic: String,
    name: String,
    subject: String,
    last_said: Option<Value>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Drafted {
    topic: String,
    subject: String,
    text: String,
}

/// Longest subject of an answer, in characters.
const SUBJECT_CHARS_MAX: usize = 150;

impl Agent for Draft {
    const NAME: &'static str = "draft";
    type Kind = ReadOnly;
    type Input = Brief;
    type Output = Drafted;

    async fn run(&self, _turn: Turn<ReadOnly>, brief: Brief) -> Result<Drafted, Failure> {
        let subject: String = brief.subject.split_whitespace().collect::<Vec<_>>().join(" ");
        let answered = subject.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("re:"));
        let subject = match (subject.is_empty(), answered) {
            (true, _) => "Your message".to_owned(),
            (_, true) => subject,
            (_, false) => format!("Re: {subject}"),
        };
        let body = match brief.topic.as_str() {
            "invoice" => {
                "thank you for your message about the invoice. I am checking it and will come back to you with a corrected copy or the confirmation you asked for."
            }
            "quote" => {
                "thank you for your request. I will read it through and send you a quote with a timetable."
            }
            "schedule" => {
                "thank you for letting me know about the date. I am looking at the calendar and will confirm a time."
            }
            _ => "thank you for your message. I have read it and will answer in detail.",
        };
        let before = brief
            .last_said
            .as_ref()
            .and_then(|fact| fact.pointer("/value/subject"))
            .and_then(Value::as_str);
        let before = before
            .map(|subject| format!("\n\n(I last wrote to you about \"{subject}\".)"))
            .unwrap_or_default();
        Ok(Drafted {
            topic: brief.topic,
            subject: subject.chars().take(SUBJECT_CHARS_MAX).collect(),
            text: format!("Hello {},\n\n{body}{before}\n\nKind regards\n", brief.name.trim()),
        })
    }
}

/// Remembers what was said.
pub(super) struct Remember;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Said {
    contact: String,
    subject: String,
    topic: String,
}

#[derive(Serialize, JsonSchema)]
struct LastSaid {
    subject: String,
    topic: String,
    at_ms: u64,
}

impl Agent for Remember {
    const NAME: &'static str = "remember";
    type Kind = ReadOnly;
    type Input = Said;
    type Output = u32;

    async fn run(&self, turn: Turn<ReadOnly>, said: Said) -> Result<u32, Failure> {
        let at_ms = turn.now().await?.0;
        let last_said = LastSaid { subject: said.subject, topic: said.topic, at_ms };
        Ok(turn.remember(&said.contact, "last_said", &last_said).await?)
    }
}
