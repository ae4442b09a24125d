//! `soloist connector`: what there is, what each declares, and whether the other side is well.

use expect_test::expect;
use serde_json::json;

use crate::support::{Company, smtp::SmtpServer};

#[test]
fn connectors_are_listed_with_what_they_declare() {
    let company = company("scenario = 'invoicing'\n");
    let ran = company.run(&["connector", "list"]);
    expect![[r#"
        NAME      SYSTEM                      OPERATIONS                                                    STARTS  STATUS
        billing   sandbox billing             account_status cancel_invoice create_invoice
        cms       sandbox cms                 article create_draft delete_draft publish unpublish
        crm       sandbox crm                 contact contacts delete_note note restore_stage update_stage
        mail      Maildir outbox data/outbox  send
        model     sandbox model               complete
        payments  sandbox payments            charge payment refund
    "#]].assert_eq(&ran.out);
    let ran = company.run(&["connector", "show", "payments"]);
    expect![[r#"
        payments: sandbox payments
        Credential: sandbox:payments
        OPERATION  KIND        SEMANTICS  REVERSAL        ARGUMENTS                                     DOES
        charge     write       keyed      counter refund  account* amount_cents* currency* description  Take money from an account
        payment    read                                   payment*                                      Look a payment up; null if there is none
        refund     compensate  keyed      irreversible    payment*                                      Give a payment back, whole
        Arguments with a * say where a write goes.
    "#]].assert_eq(&ran.out);
    let shown = company.ask(&["connector", "show", "payments"]);
    assert_eq!(
        shown["operations"]["charge"]["semantics"]["keyed"]["ttl"]["secs"], 86_400,
        "{shown}"
    );
    expect![
        "soloist: no connector `fax` is mounted; there is billing, cms, crm, mail, model, payments"
    ]
    .assert_eq(company.run(&["connector", "show", "fax"]).refused(1));
}

#[test]
fn a_check_asks_the_other_side_and_says_what_is_wrong() {
    let company = company("");
    let checked = company.ask(&["connector", "check"]);
    assert_eq!(
        checked,
        json!([{ "name": "mail", "ok": true, "health": "usable", "problem": null }])
    );
    // A file is where the outbox would be made.
    company.write("taken", "");
    company.write("soloist.toml", "mail.outbox = 'taken/outbox'\n");
    let ran = company.run(&["connector", "check", "mail"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("taken"), "{ran:?}");

    let server = SmtpServer::start(&company.path("log"), 0);
    company.write("soloist.toml", smtp(&server.address));
    assert_eq!(company.run(&["connector", "check"]).out, "mail: usable\n");
    drop(server);
    let ran = company.run(&["connector", "check"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("before anything was sent: "), "{ran:?}");

    company.ask(&["pause", "connector:mail", "--reason", "a new server"]);
    expect!["soloist: connector `mail` is paused (a new server); say `soloist resume connector:mail` first"].assert_eq(company.run(&["connector", "check", "mail"]).refused(1));
    expect!["soloist: no connector `fax` is mounted; there is mail"]
        .assert_eq(company.run(&["connector", "check", "fax"]).refused(1));
}

/// A company with these settings, and a journal.
fn company(settings: &str) -> Company {
    let company = Company::new();
    company.write("soloist.toml", settings);
    company.write("go.toml", "name = 'go'\n[[step]]\nname = 'on'\nwait = { for = '1s' }\n");
    company.ask(&["workflow", "add", "go.toml"]);
    company
}

/// The settings of a server that is reached in the clear.
fn smtp(address: &str) -> String {
    let (host, port) = address.rsplit_once(':').expect("it has a port");
    format!("[mail.smtp]\nhost = '{host}'\nport = {port}\ntls = 'none'\n")
}
