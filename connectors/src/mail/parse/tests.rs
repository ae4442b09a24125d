//! Tests of reading mails as they really arrive, broken ones among them.

use super::*;

/// The sample mails that ship with the product.
const SAMPLES: [&str; 12] = [
    include_str!("../../../../host/sample/mail/01-quote-request.eml"),
    include_str!("../../../../host/sample/mail/02-invoice-question.eml"),
    include_str!("../../../../host/sample/mail/03-reschedule.eml"),
    include_str!("../../../../host/sample/mail/04-newsletter.eml"),
    include_str!("../../../../host/sample/mail/05-out-of-office.eml"),
    include_str!("../../../../host/sample/mail/06-bounce.eml"),
    include_str!("../../../../host/sample/mail/07-receipt-noreply.eml"),
    include_str!("../../../../host/sample/mail/08-follow-up.eml"),
    include_str!("../../../../host/sample/mail/09-press-inquiry.eml"),
    include_str!("../../../../host/sample/mail/10-injection.eml"),
    include_str!("../../../../host/sample/mail/11-german-inquiry.eml"),
    include_str!("../../../../host/sample/mail/12-no-sender.eml"),
];

#[track_caller]
fn read(raw: impl AsRef<[u8]>) -> Mail {
    parse("id", raw.as_ref()).unwrap()
}

#[track_caller]
fn refused(raw: impl AsRef<[u8]>, expected: &str) {
    let reason = parse("id", raw.as_ref()).unwrap_err().reason;
    assert!(reason.contains(expected), "{reason}");
}

#[test]
fn the_samples_are_read_and_the_one_without_a_sender_is_not() {
    for sample in &SAMPLES[..11] {
        let mail = read(sample);
        assert!(
            !mail.subject.is_empty() && !mail.text.is_empty() && mail.date.is_some(),
            "{mail:?}"
        );
    }
    refused(SAMPLES[11], "there is no From field");
}

#[test]
fn encoded_words_and_quoted_printable_are_decoded() {
    let mail = read(SAMPLES[10]);
    assert_eq!(mail.from.name.as_deref(), Some("Jörg Müller"));
    assert_eq!(mail.subject, "Anfrage: Schaufenster für die Märzaktion");
    assert!(mail.text.contains("das Schaufenster gestaltet. Hätten Sie Zeit"), "{}", mail.text);
    assert_eq!(mail.date.as_deref(), Some("2026-08-20T17:55:01+02:00"));
}

#[test]
fn the_headers_for_triage_and_threads_are_kept() {
    let newsletter = read(SAMPLES[3]);
    assert_eq!(newsletter.precedence.as_deref(), Some("bulk"));
    assert!(newsletter.list_id.unwrap().contains("weekly.typeweekly.example"));
    assert!(newsletter.text.contains("ink traps are back") && !newsletter.text.contains("<p>"));
    let away = read(SAMPLES[4]);
    assert_eq!(away.auto_submitted.as_deref(), Some("auto-replied"));
    assert_eq!(away.in_reply_to.as_deref(), Some("reply-014@kestrel.example"));
    assert_eq!(away.references, ["inv-2026-014.1@northlight.example", "reply-014@kestrel.example"]);
    assert_eq!(read(SAMPLES[8]).reply_to.unwrap().address, "desk@linesandgrids.example");
}

#[test]
fn an_attachment_is_described() {
    let receipt = read(SAMPLES[6]);
    assert!(receipt.text.contains("12.00 €"), "{}", receipt.text);
    let expected = Attachment {
        name: Some("receipt-CS-88120.pdf".to_owned()),
        media_type: "application/pdf".to_owned(),
        bytes: 46,
    };
    assert_eq!(receipt.attachments, [expected]);
}

#[test]
fn awkward_mails_that_can_be_answered_are_read() {
    let table: [(&[u8], &str); 8] = [
        (b"From: a@b.example\n", ""),
        (b"From: a@b.example\n\n8-bit \xe4\xf6", "8-bit"),
        (b"Sender: a@b.example\n\nno From, but a Sender", "no From"),
        (b"From: a@b.example, c@d.example\n\ntwo authors", "two authors"),
        (b"From: a@b.example\nFrom: A <A@B.example>\n\ntwice the same", "twice"),
        (b"From: a@b.example\nContent-Type: text/html\n\n<p>bold</p>\n<p>&lt;more</p>", "<more"),
        (b"From: a@b.example\nContent-Transfer-Encoding: base64\n\naGVsbG8*** broken", ""),
        (
            b"From: a@b.example\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: multipart/alternative; boundary=y\n\n--y\n\ninner\n--y--\n--x--\n",
            "inner",
        ),
    ];
    for (raw, expected) in table {
        let mail = read(raw);
        assert!(mail.from.address.eq_ignore_ascii_case("a@b.example"), "{mail:?}");
        assert!(mail.text.contains(expected), "{:?} in {:?}", expected, mail.text);
    }
}

#[test]
fn what_names_no_sender_is_refused_with_the_reason() {
    refused("", "empty");
    refused("\r\n \n", "empty");
    refused("\n\njust a body", "");
    refused([0xff, 0x00, 0x80, 0x01], "");
    refused("From: not an address\n\nhi", "no valid address");
    refused("From: Undisclosed:;\n\nhi", "no valid address");
    refused("From: <>\n\nhi", "From");
    refused("From: a@b.example\nFrom: c@d.example\n\nhi", "two From fields disagree");
}

#[test]
fn a_line_break_in_an_encoded_word_stays_one_line() {
    let mail = read(
        "From: =?utf-8?q?A=0D=0ABcc:_x@y.example?= <a@b.example>\nSubject: =?utf-8?q?one=0D=0Atwo=1B[2J?=\n\nhi\x1b[2J\0",
    );
    assert_eq!(mail.subject, "one two [2J");
    assert_eq!(mail.from.name.as_deref(), Some("A Bcc: x@y.example"));
    assert_eq!(mail.text, "hi[2J");
}

#[test]
fn everything_is_bounded() {
    let many: String = (0..500).map(|n| format!("p{n}@x.example, ")).collect();
    let ids: String = (0..500).map(|n| format!("<{n}@x.example> ")).collect();
    let subject = "ä".repeat(5000);
    let text = "ü".repeat(TEXT_BYTES_MAX);
    let mail = read(format!(
        "From: a@b.example\nTo: {many}z@x.example\nReferences: {ids}\nSubject: {subject}\n\n{text}"
    ));
    assert_eq!(mail.to.len(), RECIPIENTS_MAX);
    assert_eq!(mail.references.len(), REFERENCES_MAX);
    assert_eq!(mail.references.last().unwrap(), "499@x.example");
    assert!(mail.subject.len() <= FIELD_BYTES_MAX);
    assert!(mail.text.len() <= TEXT_BYTES_MAX && mail.text_truncated);
}

#[test]
fn deep_nesting_is_survived() {
    let mut raw = String::from("From: a@b.example\n");
    for depth in 0..5000 {
        raw.push_str(&format!("Content-Type: multipart/mixed; boundary=b{depth}\n\n--b{depth}\n"));
    }
    read(&raw);
    let nested = "Content-Type: message/rfc822\n\nFrom: a@b.example\n".repeat(5000);
    read(format!("From: a@b.example\n{nested}"));
}

#[test]
fn a_forwarded_mail_whose_structure_breaks_off_does_not_stop_the_reader() {
    // The shortest mail on which the parser's own assertion fails in a debug build; in release it is read.
    let raw = "From: a@b.example\nContent-Type: multipart/mixed; boundary=x\n\n--x--\nContent-Type: message/rfc822\n\nContent-Type: message/rfc822\n\n\n--x--";
    match parse("id", raw.as_bytes()) {
        Ok(mail) => assert_eq!(mail.from.address, "a@b.example"),
        Err(unreadable) => assert!(unreadable.reason.contains("structure is broken")),
    }
}

#[test]
fn no_mutation_of_a_mail_makes_reading_panic() {
    for (number, sample) in SAMPLES.iter().enumerate() {
        let mut chance = 0x9e37_79b9_7f4a_7c15 ^ number as u64;
        for _ in 0..500 {
            let _ = parse("id", &mutated(sample.as_bytes(), &mut chance));
        }
    }
}

/// `raw` with a few bytes changed, cut, doubled or inserted.
fn mutated(raw: &[u8], chance: &mut u64) -> Vec<u8> {
    let mut bytes = raw.to_vec();
    for _ in 0..=xorshift(chance) % 8 {
        let at = (xorshift(chance) as usize) % bytes.len().max(1);
        let length = (xorshift(chance) as usize) % 40;
        let end = (at + length).min(bytes.len());
        match xorshift(chance) % 5 {
            0 if at < bytes.len() => bytes[at] = xorshift(chance) as u8,
            1 => bytes.truncate(at.max(1)),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.extend_from_within(at..end),
            _ => bytes.insert(at, b"\r\n:;=?<>@\"\0\xff-"[(xorshift(chance) % 13) as usize]),
        }
    }
    bytes
}

fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
