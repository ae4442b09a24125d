//! The agents of outreach. They read the CRM and billing through their turns, and write from a template.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use soloist::{Agent, Builder, Failure, ReadOnly, Turn};

/// Adds them to a kernel.
pub(super) fn agents(builder: Builder) -> Builder {
    builder.agent(Leads).agent(Contact).agent(Account).agent(Pitch)
}

/// What the demo starts with: an offer, and the one customer that the owner names.
pub(super) fn input() -> Value {
    json!({
        "offer": "hand-lettered menus and signs for the autumn",
        "minimum_score": 30,
        "customers": ["mara@harbourbakery.example"],
    })
}

/// Finds those who are no customers yet, best first.
struct Leads;

#[derive(Deserialize, JsonSchema)]
struct Wanted {
    minimum_score: i64,
}

#[derive(Serialize, JsonSchema)]
struct Found {
    emails: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Contacts {
    contacts: Vec<Known>,
}

/// Someone in the CRM.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(super) struct Known {
    email: String,
    name: String,
    company: String,
    stage: String,
    version: u64,
}

impl Agent for Leads {
    const NAME: &'static str = "leads";
    type Kind = ReadOnly;
    const TOOLS: &'static [&'static str] = &["crm.contacts"];
    type Input = Wanted;
    type Output = Found;

    async fn run(&self, turn: Turn<ReadOnly>, wanted: Wanted) -> Result<Found, Failure> {
        let asked = json!({ "minimum_score": wanted.minimum_score });
        let found: Contacts = turn.call("crm.contacts", &asked).await?;
        let is_lead = |known: &Known| !matches!(known.stage.as_str(), "customer" | "lost");
        let leads = found.contacts.into_iter().filter(is_lead);
        Ok(Found { emails: leads.map(|known| known.email).collect() })
    }
}

/// An address to look up.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(super) struct Address {
    email: String,
}

/// Looks a contact up.
pub(super) struct Contact;

const UNKNOWN_CONTACT: &str = "unknown-contact";

impl Agent for Contact {
    const NAME: &'static str = "contact";
    type Kind = ReadOnly;
    const TOOLS: &'static [&'static str] = &["crm.contact"];
    const FAILURES: &'static [&'static str] = &[UNKNOWN_CONTACT];
    type Input = Address;
    type Output = Known;

    async fn run(&self, turn: Turn<ReadOnly>, address: Address) -> Result<Known, Failure> {
        let known: Option<Known> = turn.call("crm.contact", &address).await?;
        known.ok_or_else(|| {
            let message = format!("{} is not in the CRM", address.email);
            Failure::declared(UNKNOWN_CONTACT, message)
        })
    }
}

/// Looks whether somebody owes the company money, and says so.
struct Account;

#[derive(Serialize, Deserialize)]
struct Owed {
    overdue: bool,
    overdue_cents: std::collections::BTreeMap<String, u64>,
}

#[derive(Serialize, JsonSchema)]
struct Standing {
    overdue: bool,
    reason: String,
}

impl Agent for Account {
    const NAME: &'static str = "account";
    type Kind = ReadOnly;
    const TOOLS: &'static [&'static str] = &["billing.account_status"];
    type Input = Address;
    type Output = Standing;

    async fn run(&self, turn: Turn<ReadOnly>, address: Address) -> Result<Standing, Failure> {
        let Owed { overdue, overdue_cents } = turn.call("billing.account_status", &address).await?;
        let sums = overdue_cents.iter().map(|(currency, cents)| super::money(*cents, currency));
        let sums: Vec<String> = sums.collect();
        let reason = match overdue {
            true => format!("{} overdue", sums.join(" and ")),
            false => "nothing is overdue".to_owned(),
        };
        Ok(Standing { overdue, reason })
    }
}

/// Writes the mail from a template.
struct Pitch;

#[derive(Deserialize, JsonSchema)]
struct Brief {
    name: String,
    company: String,
    stage: String,
    offer: String,
}

#[derive(Serialize, JsonSchema)]
struct Pitched {
    subject: String,
    text: String,
}

impl Agent for Pitch {
    const NAME: &'static str = "pitch";
    type Kind = ReadOnly;
    type Input = Brief;
    type Output = Pitched;

    async fn run(&self, _turn: Turn<ReadOnly>, brief: Brief) -> Result<Pitched, Failure> {
        let Brief { name, company, stage, offer } = brief;
        let opening = match stage.as_str() {
            "customer" => "it was a pleasure to work with you.",
            "proposal" => "I hope you had time to look at our proposal.",
            "contacted" => "we spoke some time ago.",
            _ => "thank you for your interest in our studio.",
        };
        let first = name.split_whitespace().next().unwrap_or("there");
        let text = format!(
            "Hello {first},\n\n{opening} We have room for {offer}, and thought of {company}.\n\nMay I send you a sketch?\n\nKind \
             regards\n"
        );
        Ok(Pitched { subject: format!("An idea for {company}"), text })
    }
}
