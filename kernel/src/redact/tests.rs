//! What is found and what is left alone, class by class, and what holds for every text.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// What is found in `text`, as words of the policy and the text itself.
fn seen(text: &str) -> Vec<(&'static str, &str)> {
    let word = |class| CLASSES.iter().find(|(_, known)| *known == class).unwrap().0;
    find(text).into_iter().map(|found| (word(found.class), &text[found.range])).collect()
}

/// Each of `texts` is one thing of this class, whole, also within a sentence.
#[track_caller]
fn are(class: &str, texts: &[&str]) {
    for text in texts {
        assert_eq!(seen(text), [(class, *text)]);
        let sentence = format!("Please note {text}, as agreed.");
        assert_eq!(seen(&sentence), [(class, *text)], "{sentence}");
        let brackets = format!("联系({text})");
        assert_eq!(seen(&brackets), [(class, *text)], "{brackets}");
    }
}

#[track_caller]
fn are_nothing(texts: &[&str]) {
    for text in texts {
        assert_eq!(seen(text), [], "{text}");
    }
}

#[test]
fn mail_addresses_are_found() {
    are(
        "email",
        &[
            "ada@client.example",
            "Ada.Lovelace+bills@mail.client.co.uk",
            "o'neill@x.example",
            "_ops@x.example",
            "bücher@straße.de",
            "a@b-c.de",
            "user@xn--bcher-kva.xn--p1ai",
        ],
    );
    assert_eq!(seen("联系ada@client.example。"), [("email", "ada@client.example")]);
    assert_eq!(seen("'ada@x.example'"), [("email", "ada@x.example")]);
    assert_eq!(seen("a@b.de@c.de"), [("email", "a@b.de"), ("email", "b.de@c.de")]);
    are_nothing(&["a@b", "@handle", "a @ b.de", "npm i left-pad@1.3.0", "a@.de", "a@-b.de"]);
}

#[test]
fn account_numbers_are_found_by_length_and_checksum() {
    are(
        "iban",
        &[
            "DE89370400440532013000",
            "DE89 3704 0044 0532 0130 00",
            "de89 3704 0044 0532 0130 00",
            "GB29 NWBK 6016 1331 9268 19",
            "FR14 2004 1010 0505 0001 3M02 606",
            "NO93 8601 1117 947",
            "MT84 MALT 0110 0001 2345 MTLC AST0 01S",
            "NL91-ABNA-0417-1643-00",
        ],
    );
    are_nothing(&[
        "DE88 3704 0044 0532 0130 00",
        "DE89 3704 0044 0532 0130",
        "DE893704004405320130001",
        "XX89370400440532013000",
        "CODE89370400440532013000",
    ]);
}

#[test]
fn cards_are_found_by_issuer_and_checksum() {
    are(
        "card",
        &[
            "4111 1111 1111 1111",
            "4111111111111111",
            "4111-1111-1111-1111",
            "5500 0055 5555 5559",
            "2223 0031 2200 3222",
            "3782 822463 10005",
            "6011000990139424",
            "30569309025904",
            "3530111333300000",
        ],
    );
    assert_eq!(seen("4111 1111 1111 1111 12/27"), [("card", "4111 1111 1111 1111")]);
    assert_eq!(seen("7 4111 1111 1111 1111"), [("card", "4111 1111 1111 1111")]);
    are_nothing(&[
        "4111 1111 1111 1112",
        "1111 1111 1111 1117",
        "order 9999 4111 1111 1111",
        "a4111111111111111",
        "41111111111111110000000",
        "1795303800000",
    ]);
}

#[test]
fn tax_numbers_are_found() {
    are(
        "tax_id",
        &[
            "536-90-4399",
            "536 90 4399",
            "912-70-1234",
            "86095742719",
            "86 095 742 719",
            "DE136695976",
            "DE 136695976",
            "ATU13585627",
            "NL004495445B01",
            "FR40303265045",
            "ESX2482300W",
            "IE6433435F",
        ],
    );
    are_nothing(&[
        "000-12-3456",
        "666-12-3456",
        "123-00-4567",
        "912-10-1234",
        "86095742718",
        "12345678901",
        "11111111111",
        "2026-11-21-536-90-4399",
        "DE1234",
        "MODE136695976",
    ]);
}

#[test]
fn telephone_numbers_are_found_by_their_form() {
    are(
        "phone",
        &[
            "+49 30 1234567",
            "+49 (0)30 123456",
            "+14155552671",
            "+1 (415) 555-2671",
            "0049 30 1234567",
            "00 49 30 1234567",
            "(415) 555-2671",
            "1-415-555-2671",
            "415.555.2671",
            "030 1234567",
            "0171/1234567",
            "020 7946 0958",
            "01 23 45 67 89",
            "06.12.34.56.78",
        ],
    );
    assert_eq!(seen("(030) 1234567"), [("phone", "(030) 1234567")]);
    assert_eq!(seen("Tel.: 5551234"), [("phone", "5551234")]);
    assert_eq!(seen("Mobile 07911123456"), [("phone", "07911123456")]);
    are_nothing(&[
        "2026-11-21 23:30",
        "01.02.2024 12:30:00",
        "192.168.100.200",
        "EUR 1.234.567,89",
        "order 12345678",
        "version 10.20.3040",
        "+100 points",
        "200 300 4000",
        "550e8400-e29b-41d4-a716-446655440000",
        "hotel 5551234",
        "00:12:34.567890",
    ]);
}

#[test]
fn a_number_is_one_thing_only() {
    assert_eq!(
        seen("+49 30 1234567, 4111 1111 1111 1111, DE89 3704 0044 0532 0130 00"),
        [
            ("phone", "+49 30 1234567"),
            ("card", "4111 1111 1111 1111"),
            ("iban", "DE89 3704 0044 0532 0130 00")
        ]
    );
}

/// Written apart, so that no scanner of repositories takes these for leaked ones.
#[test]
fn tokens_and_keys_are_found() {
    are(
        "secret",
        &[
            concat!("sk_", "live_4eC39HqLyjWDarjtT1zdp7dc"),
            concat!("gh", "p_16C7e42F292c6912E7710c838347Ae178B4a"),
            concat!("AK", "IAIOSFODNN7EXAMPLE"),
            concat!("xo", "xb-123456789012-abcdefABCDEF"),
            concat!("ey", "JhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9"),
        ],
    );
    let key =
        concat!("-----BEGIN RSA PRI", "VATE KEY-----\nMIIE\n-----END RSA PRI", "VATE KEY-----");
    assert_eq!(seen(&format!("key:\n{key}\nbye")), [("secret", key)]);
    let open = concat!("-----BEGIN PRI", "VATE KEY-----\nMIIE");
    assert_eq!(seen(open), [("secret", open)]);
    assert_eq!(
        seen("Authorization: Bearer abcdefghijklmnop1234=="),
        [("secret", "abcdefghijklmnop1234==")]
    );
    are_nothing(&[
        "sk_live_",
        "the sk- prefix",
        "task_live_4eC39HqLyjWDarjtT1",
        "-----BEGIN CERTIFICATE-----",
    ]);
}

#[test]
fn what_is_called_a_password_is_one() {
    for text in [
        "password: hunter2",
        "DB_PASSWORD=hunter2",
        "{\"password\": \"hunter2\"}",
        "Passwort : hunter2, bitte",
        "https://ada:hunter2@db.example/x",
    ] {
        let secrets = seen(text).into_iter().filter(|(class, _)| *class == "secret");
        assert_eq!(secrets.collect::<Vec<_>>(), [("secret", "hunter2")], "{text}");
    }
    assert_eq!(seen("api_key = 'abc-123-def'"), [("secret", "abc-123-def")]);
    assert_eq!(seen("password='two words'"), [("secret", "two words")]);
    are_nothing(&[
        "token: a unit of text",
        "The secret: patience",
        "password?",
        "password: ",
        "the password",
    ]);
}

#[test]
fn what_was_removed_is_named_in_its_place() {
    let all = CLASSES.iter().map(|(_, class)| *class).collect();
    let text = "ada@x.example, 4111 1111 1111 1111, password: hunter2";
    let (clean, removed) = redact(text, &all);
    assert_eq!(clean, "[email removed], [card removed], password: [secret removed]");
    assert_eq!(removed, [Pii::Email, Pii::Card, Pii::Secret].into());
    assert_eq!(redact(text, &[Pii::Iban].into()), (text.to_owned(), BTreeSet::new()));
    let both = "password: ada@x.example";
    assert_eq!(redact(both, &[Pii::Email].into()).0, "password: [email removed]");
    assert_eq!(redact(both, &[Pii::Secret].into()).0, "password: [secret removed]");
    assert_eq!(redact(both, &all).0, "password: [email removed]");
}

#[test]
fn nested_values_are_redacted_and_others_stay() {
    let mut value = json!({
        "text": ["to ada@x.example", { "card": 4_111_111_111_111_111_u64, "n": 3, "ok": true }],
        "ada@x.example": 1,
        "bob@x.example": 2,
    });
    let mut removed = BTreeSet::new();
    redact_value(&mut value, &[Pii::Email, Pii::Card].into(), &mut removed);
    assert_eq!(
        value,
        json!({
            "text": ["to [email removed]", { "card": "[card removed]", "n": 3, "ok": true }],
            "[email removed]": 1,
            "[email removed] 2": 2,
        })
    );
    assert_eq!(removed, [Pii::Email, Pii::Card].into());
}

/// Texts in which what is looked for touches other things and itself.
fn tricky() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "ada@x.example",
        "@",
        ".de",
        "a",
        "-",
        " ",
        "\u{a0}",
        "4111 1111 1111 1111",
        "4111",
        "1111",
        "+49 30",
        "(030)",
        "0049",
        " 1234567",
        "DE89 3704 0044 0532 0130 00",
        "DE89",
        "536-90-4399",
        "86095742719",
        "DE136695976",
        "password",
        "token",
        ":",
        "=",
        "\"",
        "'",
        "://",
        "/",
        "ghp_",
        "16C7e42F292c6912E7710c83",
        "Bearer ",
        "-----BEGIN ",
        "PRIVATE KEY-----",
        "-----END ",
        "[email removed]",
        "[secret removed]",
        "Tel.",
        "ü",
        "联",
        "\n",
        "12",
        "007",
    ]);
    let piece = prop_oneof![4 => pieces.prop_map(str::to_owned), 1 => "\\PC{0,4}"];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn any_classes() -> impl Strategy<Value = BTreeSet<Pii>> {
    let all: Vec<Pii> = CLASSES.iter().map(|(_, class)| *class).collect();
    prop::sample::subsequence(all, 0..=CLASSES.len())
        .prop_map(|classes| classes.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_that_was_removed_is_found_again(text in tricky(), classes in any_classes()) {
        let (clean, removed) = redact(&text, &classes);
        let again = find(&clean).into_iter().filter(|found| classes.contains(&found.class));
        prop_assert_eq!(again.collect::<Vec<_>>(), vec![], "{}", clean);
        prop_assert!(removed.is_subset(&classes));
        prop_assert_eq!(redact(&clean, &classes), (clean, BTreeSet::new()));
    }

    /// Of every first digits there is one check digit with which they are a card, and nine with which they are not.
    #[test]
    fn a_card_is_one_of_ten_numbers(first in "4[0-9]{14}") {
        let cards = (0..10).filter(|check| !seen(&format!("no. {first}{check};")).is_empty());
        prop_assert_eq!(cards.count(), 1);
    }

    /// Of every bank and account there is one pair of check digits with which they are an account number, or two where the
    /// pairs repeat after 97.
    #[test]
    fn an_account_number_is_one_of_a_hundred(account in "[1-9][0-9]{17}") {
        let is_iban = |check: &u32| seen(&format!("DE{check:02}{account}")) == [("iban", &*format!("DE{check:02}{account}"))];
        prop_assert!((1..=2).contains(&(0..100).filter(is_iban).count()));
    }

    #[test]
    fn any_text_can_be_looked_through(text in any::<String>(), classes in any_classes()) {
        for found in find(&text) {
            prop_assert!(text.get(found.range).is_some_and(|found| !found.is_empty()));
        }
        let (clean, removed) = redact(&text, &classes);
        prop_assert_eq!(clean == text, removed.is_empty());
    }
}

/// Texts that would make a scanner that looks back or ahead without bounds read them again and again.
#[test]
fn work_grows_with_the_text_and_not_with_its_malice() {
    for piece in [
        "token=",
        "password",
        "a@",
        "-----BEGIN ",
        "://a:",
        "1 ",
        "00 ",
        "4111-",
        "DE89 ",
        "eyJ.",
        "+",
        "Tel. ",
    ] {
        let text = piece.repeat(200_000 / piece.len());
        let all = CLASSES.iter().map(|(_, class)| *class).collect();
        assert!(redact(&text, &all).0.len() < 4 * text.len(), "{piece}");
    }
}
