//! Connectors that the configuration declares: mounted for every command that opens the kernel, and refused with every problem.

use std::{
    fs::Permissions,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
};

use expect_test::{Expect, expect};
use soloist::connectors::{Connector, declared::Declared};

use crate::support::{Company, company::text, root};

/// The worked example.
fn example() -> String {
    std::fs::read_to_string(root().join("examples/crm.toml")).expect("the example is there")
}

/// A workflow that proposes a deal by `operation`.
fn deal(operation: &str) -> String {
    format!(
        "name = 'deal'\n[[step]]\nname = 'open'\ncall = '{operation}'\n[step.input]\ncontact = \"'a@x.example'\"\n\
         amount_cents = '9000'\nname = \"'Bags'\"\n"
    )
}

#[track_caller]
fn check(company: &Company, code: i32, arguments: &[&str], expected: Expect) {
    let ran = company.run(arguments);
    assert_eq!(ran.code, code, "{ran:?}");
    expected.assert_eq(&format!("{}{}", ran.out, ran.err));
}

#[test]
fn workflows_are_checked_against_declared_operations() {
    let company = Company::new();
    company.write("crm.toml", example());
    company.write("soloist.toml", "connectors = ['crm.toml']");
    company.write("deal.toml", deal("crm.create_deal"));
    check(
        &company,
        0,
        &["workflow", "check", "deal.toml"],
        expect![[r#"
        deal.toml: deal is well, with 1 step
    "#]],
    );
    company.write("deal.toml", deal("crm.create_dael"));
    check(
        &company,
        1,
        &["workflow", "check", "deal.toml"],
        expect![[r#"
        deal.toml, step `open`, field `call`: connector `crm` has no operation `create_dael`; did you mean `crm.create_deal`?
    "#]],
    );
}

#[test]
fn every_problem_of_every_declaration_is_said() {
    let company = Company::new();
    company.write("crm.toml", example().replace("kind = \"read\"", "kind = \"raed\""));
    company.write("mail.toml", example().replace("name = \"crm\"", "name = \"mail\""));
    company.write("soloist.toml", "connectors = ['crm.toml', 'mail.toml']");
    check(
        &company,
        2,
        &["demo", "--headless"],
        expect![[r#"
        soloist: crm.toml, operation `contact`, field `kind`: "raed" is not known; did you mean `read`?
        crm.toml, operation `contacts`, field `kind`: "raed" is not known; did you mean `read`?
        mail.toml, field `name`: there is another connector `mail`; give it another name
    "#]],
    );
    company.write("soloist.toml", "connectors = ['none.toml']");
    check(
        &company,
        2,
        &["demo", "--headless"],
        expect![[r#"
        soloist: failed to read none.toml: No such file or directory (os error 2)
    "#]],
    );
    company.write("soloist.toml", "connectors = 'crm.toml'");
    check(
        &company,
        2,
        &["demo", "--headless"],
        expect![[r#"
        soloist: soloist.toml, line 1, `connectors = 'crm.toml'`: invalid type: string "crm.toml", expected a sequence
    "#]],
    );
    company.write("soloist.toml", "connectors = ['crm.toml']");
    company.write("crm.toml", example());
    check(
        &company,
        2,
        &["demo", "--headless", "--scenario", "invoicing"],
        expect![[r#"
        soloist: crm.toml, field `name`: there is another connector `crm`; give it another name
    "#]],
    );
}

#[test]
fn a_declared_write_leaves_when_it_is_approved_and_once() {
    let server = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let port = server.local_addr().expect("it is bound").port();
    let heard = std::thread::spawn(move || hear_one(&server));
    let company = Company::new();
    let base = format!("http://127.0.0.1:{port}/v3\"\nreach = [\"127.0.0.1:{port}\"]");
    let declaration = example().replace("https://api.crm.example/v3\"", &base);
    company.write("crm.toml", declaration.replace("env = \"CRM_TOKEN\"", "file = \"token\""));
    let token = company.write("token", "s3cr3t-t0k3n\n");
    std::fs::set_permissions(token, Permissions::from_mode(0o600)).expect("it is ours");
    company.write("soloist.toml", "connectors = ['crm.toml']");
    company.write("deal.toml", deal("crm.create_deal"));
    company.ask(&["workflow", "add", "deal.toml"]);
    let run = company.ask(&["run", "start", "deal", "--id", "mine", "--input", "{}"]);
    let item = text(&run["waits"][0]);
    let shown = company.run(&["inbox", "show", &item]);
    let request = format!("POST http://127.0.0.1:{port}/v3/deals");
    assert!(shown.out.contains(&request), "{shown:?}");
    let done = company.ask(&["inbox", "approve", &item]);
    assert_eq!((&done["status"], &done["run"]), (&"completed".into(), &"mine".into()));
    let heard = heard.join().expect("it was asked");
    assert!(heard.starts_with("POST /v3/deals HTTP/1.1\r\n"), "{heard}");
    assert!(heard.contains("authorization: Bearer s3cr3t-t0k3n\r\n"), "{heard}");
    let body = r#"{"amount_cents":9000,"contact":"a@x.example","name":"Bags"}"#;
    assert!(heard.ends_with(body), "{heard}");
    let shown = company.run(&["run", "show", "mine"]);
    assert!(!format!("{shown:?}").contains("s3cr3t"), "{shown:?}");
}

#[test]
fn the_declarations_in_the_documents_are_well() {
    let document = std::fs::read_to_string(root().join("docs/connectors.md")).expect("it is there");
    let blocks: Vec<&str> = document.split("```toml\n").skip(1).collect();
    let whole = blocks.iter().filter(|block| block.starts_with("name = "));
    let mut operations = 0;
    for block in whole {
        let text = block.split("```").next().expect("it ends");
        let connector = Declared::parse("docs/connectors.md", text).expect("it is well");
        operations += connector.manifest().operations.len();
    }
    assert_eq!(operations, 2);
    let connector = Declared::parse("examples/crm.toml", &example()).expect("it is well");
    assert_eq!(connector.manifest().operations.len(), 10);
}

/// What the first request says, which is answered; whoever comes after it is not.
fn hear_one(server: &TcpListener) -> String {
    let (stream, _) = server.accept().expect("somebody comes");
    let (mut stream, mut heard) = (BufReader::new(stream), String::new());
    let mut length = 0;
    while !heard.ends_with("\r\n\r\n") {
        let start = heard.len();
        stream.read_line(&mut heard).expect("it is text");
        if let Some(value) = heard[start..].strip_prefix("content-length: ") {
            length = value.trim().parse().expect("it is a number");
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("it is whole");
    let answer = "HTTP/1.1 201 Created\r\ncontent-length: 15\r\n\r\n{\"id\":\"deal-7\"}";
    stream.get_mut().write_all(answer.as_bytes()).expect("it is listened to");
    heard + &String::from_utf8(body).expect("it is text")
}
