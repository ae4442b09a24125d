//! The sample company: Kestrel Studio, which writes and draws for small firms. All of them are made up.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{billing::INVOICES, cms::ARTICLES, crm::CONTACTS, payments::ACCOUNTS, store::Change};

/// The end of January 2020, in milliseconds: what was due then is overdue.
const LONG_AGO: u64 = 1_580_428_800_000;

/// The key that the sample's records were made with.
const KEY: &str = "5a3b1e00000000000000000000000001";

/// Nine contacts, an overdue invoice of one of them, three accounts, and an article.
pub(super) fn records() -> Vec<Change> {
    // Worlds are made by the thousand where each lives for one test, so the records are made once and shared.
    static RECORDS: LazyLock<Vec<Change>> = LazyLock::new(made);
    RECORDS.clone()
}

fn made() -> Vec<Change> {
    let article = "article-0000000000";
    let invoice = format!("INV-{KEY}");
    vec![
        contact(
            "mara@harbourbakery.example",
            "Mara Lindqvist",
            "Harbour Bakery",
            "food",
            82,
            "customer",
        ),
        contact("jonas@alderbooks.example", "Jonas Alder", "Alder Books", "retail", 67, "proposal"),
        contact("ines@tidepotters.example", "Inês Duarte", "Tide Potters", "craft", 91, "lead"),
        contact("tom@northcycles.example", "Tom Okafor", "North Cycles", "retail", 38, "contacted"),
        contact("greta@fernandmoss.example", "Greta Vance", "Fern and Moss", "craft", 54, "lead"),
        asks("rosa@saltandrye.example", "Rosa Lindgren", "Salt and Rye"),
        asks("emil@brightgarage.example", "Emil Brandt", "Bright Garage"),
        asks("kit@ranklift.example", "Kit Marlow", "Rank Lift"),
        asks("vic@quicktrade.example", "Vic Stone", "Quick Trade"),
        Change::put(INVOICES, &invoice, &overdue_invoice(&invoice)),
        account("acct-harbour", "mara@harbourbakery.example"),
        account("acct-alder", "jonas@alderbooks.example"),
        account("declined-north", "tom@northcycles.example"),
        Change::put(ARTICLES, article, &first_article(article)),
    ]
}

/// Mara was typed in by the owner; the others filled in a form, so what is known of them is their own word.
fn contact(
    email: &str,
    name: &str,
    company: &str,
    segment: &str,
    score: i64,
    stage: &str,
) -> Change {
    let source = if stage == "customer" { "owner" } else { "form" };
    let record = json!({
        "email": email,
        "name": name,
        "company": company,
        "segment": segment,
        "score": score,
        "stage": stage,
        "version": 1,
        "source": source,
    });
    Change::put(CONTACTS, email, &record)
}

/// Someone who has just filled in the form. Nobody has looked at it yet, so the score is nothing.
fn asks(email: &str, name: &str, company: &str) -> Change {
    contact(email, name, company, "unknown", 0, "lead")
}

fn account(id: &str, holder: &str) -> Change {
    Change::put(ACCOUNTS, id, &json!({ "account": id, "holder": holder }))
}

fn overdue_invoice(number: &str) -> Value {
    json!({
        "customer": "tom@northcycles.example",
        "amount_cents": 48_000,
        "currency": "EUR",
        "description": "Shop window lettering",
        "status": "open",
        "due_at": LONG_AGO,
        "source": "owner",
        "at": LONG_AGO,
        "key": KEY,
        "request": "",
        "receipt": { "invoice": number },
    })
}

fn first_article(id: &str) -> Value {
    json!({
        "slug": "how-we-price",
        "title": "How we price",
        "text": "A day of drawing costs the same for everyone. We say the number before we start.",
        "source": "owner",
        "at": LONG_AGO,
        "key": KEY,
        "request": "",
        "receipt": { "article": id },
    })
}
