//! Mails for the tests, the same every time: most want an answer, some want none, some cannot be read.

use super::Company;

/// What becomes of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is from an address that may be written to without asking.
    AnsweredUnasked,
    /// It is from an address that the operator is asked about.
    Asked,
    /// Nobody waits for an answer to it.
    NoAnswer,
    /// It cannot be read.
    Quarantined,
}

/// Addresses that may be written to without asking.
pub(crate) const KNOWN: [&str; 6] = [
    "ada@client.example",
    "ben@client.example",
    "cleo@printshop.example",
    "dan@printshop.example",
    "eve@museum.example",
    "fay@museum.example",
];

/// Mails of each sender that the operator is asked about.
const MAILS_PER_STRANGER: usize = 4;

/// The fate of mail number `index`: a fifth want no answer, 8 % cannot be read, and half of the rest is asked about.
pub(crate) fn fate(index: usize) -> Fate {
    match (index % 25, index % 2) {
        (7 | 13, _) => Fate::Quarantined,
        (position, _) if position % 5 == 0 => Fate::NoAnswer,
        (_, 0) => Fate::AnsweredUnasked,
        (_, _) => Fate::Asked,
    }
}

/// How many of the first `count` mails have `wanted` as their fate.
pub(crate) fn count(count: usize, wanted: Fate) -> usize {
    (0..count).filter(|index| fate(*index) == wanted).count()
}

/// Lets mail number `index` arrive.
pub(crate) fn receive(company: &Company, index: usize) {
    company.receive(&format!("{index:04}.eml"), mail(index));
}

/// A mail that wants an answer.
pub(crate) fn letter(from: &str, subject: &str) -> String {
    format!(
        "From: {from}\r\nTo: studio@kestrel.example\r\nSubject: {subject}\r\n\r\nHello,\r\n\r\nabout the {subject}.\r\n"
    )
}

fn mail(index: usize) -> String {
    let subject = ["quote", "invoice", "meeting", "poster"][index % 4];
    let subject = format!("{subject} number {index}");
    match fate(index) {
        Fate::AnsweredUnasked => letter(KNOWN[index % KNOWN.len()], &subject),
        Fate::Asked => {
            let stranger = index / (2 * MAILS_PER_STRANGER);
            letter(&format!("Stranger {stranger} <stranger{stranger}@new.example>"), &subject)
        }
        Fate::NoAnswer => unanswered(index, &subject),
        Fate::Quarantined => unreadable(index, &subject),
    }
}

fn unanswered(index: usize, subject: &str) -> String {
    let from = "news@shop.example";
    match index / 5 % 4 {
        0 => format!("List-Id: <news.shop.example>\r\n{}", letter(from, subject)),
        1 => format!("Precedence: bulk\r\n{}", letter(from, subject)),
        2 => format!("Auto-Submitted: auto-replied\r\n{}", letter(KNOWN[0], subject)),
        _ => letter("noreply@shop.example", subject),
    }
}

fn unreadable(index: usize, subject: &str) -> String {
    let good = letter("ada@client.example", subject);
    match index / 10 % 4 {
        0 => String::new(),
        1 => good.replace("From: ada@client.example\r\n", ""),
        2 => good.replace("ada@client.example", "somebody, somewhere"),
        _ => format!("From: mallory@elsewhere.example\r\n{good}"),
    }
}
