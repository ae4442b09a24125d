//! The secret is in what leaves, and nowhere else.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use soloist_kernel::{
    fault::{FaultClass, Phase},
    payload::Payload,
};

use super::{
    MARA, answering,
    crm::{Crm, TOKEN},
    env, example, folder, intent, listening, operation, parsed, planned, post, small,
};
use crate::{
    contract::Connector,
    http::{
        header,
        tests::server::{Break, Proxy},
    },
};

#[tokio::test]
async fn the_canary_is_heard_by_the_server_and_seen_by_nobody_else() {
    let (folder, crm) = (folder(), Crm::default());
    let server = crm.serve().await;
    let proxy = Proxy::new(&server, &[Break::Never, Break::Never, Break::AfterCommit]).await;
    let (connector, env) = (example(folder.path(), proxy.port), env());
    let deal = json!({ "contact": MARA, "amount_cents": 1, "name": "Bags" });
    let plan = connector.plan(&intent("create_deal", &deal, 1)).unwrap();
    let mut seen = vec![
        format!("{connector:?}"),
        format!("{plan:?} {}", String::from_utf8_lossy(&plan.bytes)),
        plan.preview.clone(),
        format!("{:?}", connector.manifest()),
    ];
    seen.push(format!("{:?}", connector.execute(&env, &plan, 1).await));
    // An answer that repeats it, as an error inside a success.
    let repeated = json!({ "email": "error@x.example" });
    let repeated = Payload::of(&repeated).unwrap();
    let answer = connector.read(&env, &operation("contact"), &repeated).await;
    let fault = answer.unwrap_err();
    assert_eq!((fault.class, fault.phase), (FaultClass::Invalid, Phase::Answered));
    assert!(fault.message.contains("no (hidden) here"), "{fault}");
    seen.push(fault.to_string());
    let plan = connector.plan(&intent("create_deal", &deal, 2)).unwrap();
    let fault = connector.execute(&env, &plan, 1).await.unwrap_err();
    assert_eq!(fault.phase, Phase::MaybeSent);
    seen.push(fault.to_string());
    assert_eq!(server.heard().matches(TOKEN).count(), 3);
    for text in seen {
        assert!(!text.contains(TOKEN), "{text}");
    }
}

#[tokio::test]
async fn a_secret_that_is_missing_is_named_and_nothing_is_sent() {
    let (env, heard) = listening();
    for (secret, expected) in [
        ("{ env = 'NO_SUCH_VARIABLE_HERE' }", "the environment variable `NO_SUCH_VARIABLE_HERE`"),
        ("{ file = 'no-such-file' }", "the file somewhere/no-such-file: No such file"),
    ] {
        let text = post("").replace("[[op", &format!("credential.bearer = {secret}\n[[op"));
        let connector = parsed("somewhere/x.toml", &text);
        let plan = planned(&connector, "make", &json!({})).unwrap();
        let fault = connector.execute(&env, &plan, 1).await.unwrap_err();
        assert_eq!((fault.class, fault.phase), (FaultClass::Auth, Phase::NotSent));
        assert!(fault.message.contains(expected), "{fault}");
    }
    assert!(heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_file_that_others_may_read_is_no_place_for_a_secret() {
    let (folder, (env, heard)) = (folder(), listening());
    let connector = example(folder.path(), 1);
    let mode = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(folder.path().join("token"), mode).unwrap();
    let plan = planned(&connector, "letter", &json!({ "to": MARA, "subject": "x" })).unwrap();
    let fault = connector.execute(&env, &plan, 1).await.unwrap_err();
    assert!(
        fault.message.contains("its mode is 0644") && fault.message.contains("0600"),
        "{fault}"
    );
    assert!(heard.lock().unwrap().is_empty());
}

/// What leaves with each form of a credential. Cargo sets the variable for its tests.
#[tokio::test]
async fn a_credential_has_four_forms() {
    let secret = env!("CARGO_PKG_NAME");
    for (form, name, expected) in [
        ("bearer = { env = 'CARGO_PKG_NAME' }", "authorization", format!("Bearer {secret}")),
        ("header = { name = 'X-Token', env = 'CARGO_PKG_NAME' }", "x-token", secret.to_owned()),
        (
            "basic = { user = 'me', env = 'CARGO_PKG_NAME' }",
            "authorization",
            "Basic bWU6c29sb2lzdC1jb25uZWN0b3Jz".to_owned(),
        ),
        ("query = { name = 'key', env = 'CARGO_PKG_NAME' }", "", format!("a=b&key={secret}")),
    ] {
        let (env, heard) = listening();
        let text = post("query = { a = 'b' }");
        let connector =
            parsed("x.toml", &text.replace("[[op", &format!("credential = {{ {form} }}\n[[op")));
        let plan = planned(&connector, "make", &json!({})).unwrap();
        connector.execute(&env, &plan, 1).await.unwrap();
        let heard = heard.lock().unwrap();
        let request = &heard[0];
        if name.is_empty() {
            assert_eq!(request.url.query(), Some(expected.as_str()));
            assert!(!request.headers.contains_key(header::AUTHORIZATION));
        } else {
            assert_eq!(request.headers[name], expected.as_str());
            assert!(request.headers[name].is_sensitive());
        }
        assert!(!format!("{connector:?} {request:?} {plan:?}").contains(secret), "{request:?}");
    }
}

/// Nobody listens at the port, so that it is the transport that says what happened to a URL with the secret in it.
#[tokio::test]
async fn a_secret_in_a_query_is_in_no_fault_of_the_transport() {
    let credential = "reach = ['127.0.0.1:1']\ncredential.query = { name = 'key', env = 'CARGO_PKG_NAME' }\n[[op";
    let text = post("").replace("[[op", credential);
    let connector = parsed("x.toml", &text.replace("https://x.example", "http://127.0.0.1:1"));
    let plan = planned(&connector, "make", &json!({})).unwrap();
    let fault = connector.execute(&env(), &plan, 1).await.unwrap_err();
    assert_eq!((fault.class, fault.phase), (FaultClass::Transient, Phase::NotSent));
    assert!(!fault.message.contains("soloist-connectors"), "{fault}");
}

#[tokio::test]
async fn a_secret_that_comes_back_in_a_header_is_hidden() {
    let secret = env!("CARGO_PKG_NAME");
    assert_eq!(secret, "soloist-connectors");
    let text = small(
        "credential.bearer = { env = 'CARGO_PKG_NAME' }\n[[operation]]\nname = 'look'\nsummary = 'Look'\n\
         kind = 'read'\nmethod = 'GET'\npath = '/'\nresult.value = \"headers['x-echo'] ~ ' ' ~ body\"",
    );
    let env = answering(200, &[("x-echo", "Bearer soloist-connectors")], "\"soloist-connectors\"");
    let connector = parsed("x.toml", &text);
    let answer = connector.read(&env, &operation("look"), &Payload::of(&json!({})).unwrap()).await;
    assert_eq!(answer.unwrap().value.value(), json!("Bearer (hidden) (hidden)"));
}
