//! The customer records: who there is, in which stage, and notes about them.
//!
//! A stage changes only from the version that the writer has seen, and a contact keeps the history of its stages, so that
//! one can tell whether a change landed even after others came on top.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use soloist_kernel::{
    catalog::{Argument, Operation},
    fault::{Fault, FaultClass},
    id::IdempotencyKey,
    labels::{Labeled, Labels, Pii},
    semantics::WriteSemantics,
    time::Timestamp,
};

use super::{
    store::{Change, Records},
    system::{
        Request, System, Written, answered, compensation, countered_by, email, id, joined,
        labels_of, read, receipt_of, text, undone_by, write,
    },
};
use crate::arguments::Arguments;

pub(super) const CONTACTS: &str = "crm/contacts";
const NOTES: &str = "crm/notes";

/// Most contacts in one answer.
const CONTACTS_MAX: usize = 100;

/// The stages of a sale.
const STAGES: [&str; 6] = ["lead", "contacted", "qualified", "proposal", "customer", "lost"];

pub(super) struct Crm;

/// Someone to do business with.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Contact {
    email: String,
    segment: String,
    score: i64,
    stage: String,
    /// Counts the changes of the stage.
    version: u64,
    #[serde(default)]
    history: Vec<StageChange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// Name, company, and what else a person wrote into the file.
    #[serde(flatten)]
    other: Map<String, Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct StageChange {
    stage: String,
    at: Timestamp,
    key: IdempotencyKey,
    receipt: Value,
}

#[derive(Serialize, Deserialize)]
struct Note {
    contact: String,
    text: String,
}

#[derive(Deserialize)]
struct Filter {
    segment: Option<String>,
    minimum_score: Option<i64>,
}

/// The arguments of `update_stage` and of `restore_stage`.
#[derive(Deserialize)]
struct NewStage {
    contact: String,
    #[serde(alias = "previous_stage")]
    stage: String,
    version: u64,
}

impl System for Crm {
    fn name(&self) -> &'static str {
        "crm"
    }

    fn collections(&self) -> &'static [&'static str] {
        &[CONTACTS, NOTES]
    }

    fn operations(&self) -> Vec<(&'static str, Operation)> {
        let stage = || json!({ "type": "string", "enum": STAGES });
        let version = || json!({ "type": "integer", "minimum": 1 });
        let contact =
            json!({ "type": ["object", "null"], "required": ["email", "stage", "version"] });
        let note = write(
            "Add a note to a contact",
            WriteSemantics::NaturalKey,
            [("contact", Argument::routing(email())), ("text", Argument::content(text()))],
            &["note", "contact"],
        );
        let update_stage = write(
            "Move a contact to another stage",
            WriteSemantics::Conditional,
            [
                ("contact", Argument::routing(email())),
                ("stage", Argument::content(stage())),
                ("version", Argument::content(version())),
            ],
            &["contact", "stage", "previous_stage", "version"],
        );
        let restore_stage = write(
            "Move a contact back to the stage it was in",
            WriteSemantics::Conditional,
            [
                ("contact", Argument::routing(email())),
                ("previous_stage", Argument::content(stage())),
                ("version", Argument::content(version())),
            ],
            &["contact", "stage", "previous_stage", "version"],
        );
        let delete_note = write(
            "Delete a note",
            WriteSemantics::NaturalKey,
            [("note", Argument::routing(id()))],
            &["note"],
        );
        vec![
            (
                "contact",
                read(
                    "Look a contact up by address; null if there is none",
                    [("email", Argument::routing(email()))],
                    contact,
                ),
            ),
            (
                "contacts",
                read(
                    "List the contacts of a segment, or from a score, best first",
                    [
                        ("segment", Argument::content(id()).optional()),
                        (
                            "minimum_score",
                            Argument::content(json!({ "type": "integer" })).optional(),
                        ),
                    ],
                    json!({ "type": "object", "required": ["contacts"] }),
                ),
            ),
            ("note", undone_by("delete_note", note)),
            ("delete_note", compensation(delete_note)),
            ("update_stage", countered_by("restore_stage", update_stage)),
            ("restore_stage", compensation(restore_stage)),
        ]
    }

    fn read(
        &self,
        operation: &str,
        arguments: &Arguments,
        records: &Records<'_>,
        _now: Timestamp,
    ) -> Result<Labeled<Value>, Fault> {
        if operation == "contact" {
            #[derive(Deserialize)]
            struct Wanted {
                email: String,
            }
            let wanted: Wanted = arguments.parse()?;
            let contact: Option<Contact> = records.get(CONTACTS, &wanted.email)?;
            let labels = contact.as_ref().map_or_else(|| labels_of("crm", None), Contact::labels);
            return Ok(Labeled::new(contact.map_or(Value::Null, Contact::view), labels));
        }
        let filter: Filter = arguments.parse()?;
        let mut contacts: Vec<Contact> = records.list(CONTACTS)?;
        contacts.retain(|contact| filter.takes(contact));
        contacts.sort_by(|a, b| b.score.cmp(&a.score).then_with(|| a.email.cmp(&b.email)));
        contacts.truncate(CONTACTS_MAX);
        let labels: Vec<Labels> = contacts.iter().map(Contact::labels).collect();
        let labels = joined(&labels, labels_of("crm", None));
        let contacts: Vec<Value> = contacts.into_iter().map(Contact::view).collect();
        Ok(Labeled::new(json!({ "contacts": contacts }), labels))
    }

    fn write(&self, request: &Request, records: &Records<'_>) -> Result<Written, Fault> {
        match request.operation.as_str() {
            "note" => {
                let note: Note = request.arguments.parse()?;
                contact(records, &note.contact)?;
                let id = note_id(&request.key);
                let receipt = json!({ "note": id, "contact": note.contact });
                request.write_once(records, NOTES, &id, note, receipt)
            }
            "delete_note" => {
                let id = deleted(request)?;
                Request::delete(records, NOTES, &id, json!({ "note": id }))
            }
            _ => {
                let new: NewStage = request.arguments.parse()?;
                contact(records, &new.contact)?.moved(new, request)
            }
        }
    }

    fn find(&self, request: &Request, records: &Records<'_>) -> Result<Option<Value>, Fault> {
        match request.operation.as_str() {
            "note" => receipt_of(records, NOTES, &note_id(&request.key)),
            "delete_note" => {
                let id = deleted(request)?;
                let note: Option<Value> = records.get(NOTES, &id)?;
                Ok(note.is_none().then(|| json!({ "note": id })))
            }
            _ => {
                let new: NewStage = request.arguments.parse()?;
                let mut history = contact(records, &new.contact)?.history.into_iter();
                Ok(history.find(|change| change.key == request.key).map(|change| change.receipt))
            }
        }
    }
}

impl Contact {
    /// As it is shown: without the history, which is the system's own.
    fn view(self) -> Value {
        let Self { email, segment, score, stage, version, other, .. } = self;
        let mut view = other;
        view.insert("email".to_owned(), email.into());
        view.insert("segment".to_owned(), segment.into());
        view.insert("score".to_owned(), score.into());
        view.insert("stage".to_owned(), stage.into());
        view.insert("version".to_owned(), version.into());
        Value::Object(view)
    }

    /// What is known of a person may be told to that person.
    fn labels(&self) -> Labels {
        labels_of("crm", self.source.as_deref())
            .readable_by([self.email.clone()])
            .with_pii([Pii::Name, Pii::Email])
    }

    fn moved(mut self, new: NewStage, request: &Request) -> Result<Written, Fault> {
        if self.version != new.version {
            let message = format!(
                "the contact {} is at version {} and not {}; read it again",
                self.email, self.version, new.version
            );
            return Err(answered(FaultClass::Declined, message));
        }
        self.version += 1;
        let receipt = json!({
            "contact": self.email,
            "stage": new.stage,
            "previous_stage": self.stage,
            "version": self.version,
        });
        self.stage = new.stage;
        self.history.push(StageChange {
            stage: self.stage.clone(),
            at: request.now,
            key: request.key.clone(),
            receipt: receipt.clone(),
        });
        Ok(Written::Now { receipt, changes: vec![Change::put(CONTACTS, &self.email, &self)] })
    }
}

impl Filter {
    fn takes(&self, contact: &Contact) -> bool {
        self.segment.as_ref().is_none_or(|segment| *segment == contact.segment)
            && self.minimum_score.is_none_or(|least| contact.score >= least)
    }
}

fn note_id(key: &IdempotencyKey) -> String {
    format!("note-{key}")
}

fn deleted(request: &Request) -> Result<String, Fault> {
    #[derive(Deserialize)]
    struct Deleted {
        note: String,
    }
    Ok(request.arguments.parse::<Deleted>()?.note)
}

fn contact(records: &Records<'_>, email: &str) -> Result<Contact, Fault> {
    records.get(CONTACTS, email)?.ok_or_else(|| {
        answered(FaultClass::Invalid, format!("there is no contact {email}; argument `contact`"))
    })
}
