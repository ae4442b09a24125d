//! The CRM that `examples/crm.toml` is declared for, as a server that keeps count.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use crate::http::{Url, tests::server::Server};

/// What is accepted for a credential, and must be seen nowhere else.
pub(super) const TOKEN: &str = "canary-5ecret/token+77";

/// All there is, and how often something was made or changed.
#[derive(Debug, Default)]
pub(super) struct Records {
    contacts: BTreeMap<String, Value>,
    deals: BTreeMap<String, Value>,
    notes: Vec<Value>,
    letters: Vec<String>,
    /// Answers that were given to keys.
    keys: BTreeMap<String, (u16, Value)>,
    pub(super) commits: BTreeMap<String, usize>,
}

#[derive(Clone, Default)]
pub(super) struct Crm(pub(super) Arc<Mutex<Records>>);

impl Crm {
    pub(super) async fn serve(&self) -> Server {
        let crm = self.clone();
        Server::acting(move |heard| crm.0.lock().unwrap().answer(heard)).await
    }

    pub(super) fn snapshot(&self) -> String {
        let records = self.0.lock().unwrap();
        format!(
            "{:?} {:?} {:?} {:?}",
            records.contacts, records.deals, records.notes, records.letters
        )
    }

    pub(super) fn commits(&self, what: &str) -> usize {
        self.0.lock().unwrap().commits.get(what).copied().unwrap_or_default()
    }
}

/// A request as it is understood.
struct Heard<'h> {
    method: &'h str,
    path: Vec<String>,
    query: BTreeMap<String, String>,
    head: &'h str,
    body: &'h str,
}

impl<'h> Heard<'h> {
    fn new(heard: &'h str) -> Self {
        let (head, body) = heard.split_once("\r\n\r\n").unwrap();
        let mut line = head.lines().next().unwrap().split(' ');
        let (method, target) = (line.next().unwrap(), line.next().unwrap());
        let url: Url = format!("http://crm{target}").parse().unwrap();
        let path = url.path_segments().unwrap().skip(1).map(decoded).collect();
        Self { method, path, query: url.query_pairs().into_owned().collect(), head, body }
    }

    fn header(&self, name: &str) -> Option<&'h str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(self.body).unwrap()
    }
}

/// A segment of a path without its percents.
fn decoded(segment: &str) -> String {
    let form = format!("x={}", segment.replace('+', "%2B"));
    url::form_urlencoded::parse(form.as_bytes()).next().unwrap().1.into_owned()
}

impl Records {
    fn answer(&mut self, heard: &str) -> String {
        let heard = Heard::new(heard);
        let (status, body) = self.act(&heard);
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let length = text.len();
        format!(
            "HTTP/1.1 {status} Word\r\nx-ratelimit-remaining: 7\r\nx-ratelimit-reset: 3\r\ncontent-length: {length}\r\n\r\n{text}"
        )
    }

    fn act(&mut self, heard: &Heard<'_>) -> (u16, Value) {
        let authorization = heard.header("authorization");
        if authorization != Some(&format!("Bearer {TOKEN}")) {
            return (401, json!({ "message": format!("not a token: {authorization:?}") }));
        }
        assert_eq!(heard.header("crm-version"), Some("2026-09-01"));
        let known = heard.header("idempotency-key").and_then(|key| self.keys.get(key));
        if let Some(known) = known {
            return known.clone();
        }
        let path: Vec<&str> = heard.path.iter().map(String::as_str).collect();
        let answer = match (heard.method, &path[..]) {
            ("GET", ["contacts"]) => self.list(heard),
            ("GET", ["contacts", "error@x.example"]) => {
                (200, json!({ "error": { "message": format!("no {TOKEN} here") } }))
            }
            ("GET", ["contacts", email]) => match self.contacts.get(*email) {
                Some(contact) => (200, contact.clone()),
                None => (404, json!({ "message": "no such contact" })),
            },
            ("PUT", ["contacts", email]) => self.put(email, heard.json()),
            ("DELETE", ["contacts", email]) => match self.contacts.remove(*email) {
                Some(_) => (204, Value::Null),
                None => (404, json!({ "message": "no such contact" })),
            },
            ("PATCH", ["contacts", email]) => self.patch(email, heard),
            ("POST", ["deals"]) => {
                self.committed("deal");
                let id = format!("deal/{}", self.deals.len());
                self.deals.insert(id.clone(), heard.json());
                (201, json!({ "id": id }))
            }
            ("POST", ["deals", id, "close"]) => {
                self.committed("close");
                self.deals.get_mut(*id).unwrap()["outcome"] = heard.json()["outcome"].clone();
                (200, json!({ "id": id }))
            }
            ("POST", ["notes"]) => {
                self.committed("note");
                let mut note = heard.json();
                note["id"] = self.notes.len().into();
                self.notes.push(note.clone());
                (201, note)
            }
            ("GET", ["notes"]) => {
                let wanted = &heard.query["reference"];
                let found = self.notes.iter().filter(|note| note["reference"] == wanted.as_str());
                (200, json!({ "results": found.collect::<Vec<_>>() }))
            }
            ("POST", ["letters"]) => {
                self.committed("letter");
                self.letters.push(heard.body.to_owned());
                (202, json!({ "id": self.letters.len() }))
            }
            other => (404, json!({ "message": format!("nothing at {other:?}") })),
        };
        if let Some(key) = heard.header("idempotency-key") {
            self.keys.insert(key.to_owned(), answer.clone());
        }
        answer
    }

    fn committed(&mut self, what: &str) {
        *self.commits.entry(what.to_owned()).or_default() += 1;
    }

    /// Two on a page.
    fn list(&self, heard: &Heard<'_>) -> (u16, Value) {
        let from: usize = heard.query.get("after").map_or(0, |after| after.parse().unwrap());
        let stage = heard.query.get("stage");
        let fits = |contact: &&Value| stage.is_none_or(|stage| contact["stage"] == stage.as_str());
        let all: Vec<&Value> = self.contacts.values().filter(fits).collect();
        let page: Vec<&&Value> = all.iter().skip(from).take(2).collect();
        let mut answer = json!({ "results": page });
        if from + 2 < all.len() {
            answer["paging"] = json!({ "next": { "after": (from + 2).to_string() } });
        }
        (200, answer)
    }

    fn put(&mut self, email: &str, given: Value) -> (u16, Value) {
        if let Some(contact) = self.contacts.get(email) {
            return (200, contact.clone());
        }
        self.committed("contact");
        let contact =
            json!({ "email": email, "name": given["name"], "stage": "lead", "version": 1 });
        self.contacts.insert(email.to_owned(), contact.clone());
        (201, contact)
    }

    fn patch(&mut self, email: &str, heard: &Heard<'_>) -> (u16, Value) {
        let Some(contact) = self.contacts.get_mut(email) else {
            return (404, json!({ "message": "no such contact" }));
        };
        let version = contact["version"].as_u64().unwrap();
        if heard.header("if-match") != Some(&format!("\"{version}\"")) {
            return (412, json!({ "message": "it has changed" }));
        }
        contact["previous"] = contact["stage"].clone();
        contact["stage"] = heard.json()["stage"].clone();
        contact["version"] = (version + 1).into();
        let contact = contact.clone();
        self.committed("move");
        (200, contact)
    }
}
