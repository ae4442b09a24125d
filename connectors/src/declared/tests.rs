//! Tests of declared connectors: the worked example against a CRM that keeps count, and declarations that are wrong.

mod answers;
mod crm;
mod example;
mod problems;
mod secrets;
mod segments;

use std::{os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use serde_json::{Value, json};
use soloist_kernel::{
    fault::Fault,
    id::{EffectId, EffectName, OperationName, RunId, StepName},
    payload::Payload,
    time::Timestamp,
};
use tempfile::TempDir;

use super::Declared;
use crate::{
    contract::{Connector, Intent, Plan},
    env::Env,
    http::{Bytes, HeaderMap, Request, Response, StatusCode},
};

/// The worked example.
const EXAMPLE: &str = include_str!("../../../examples/crm.toml");

const NOW: Timestamp = Timestamp(1_795_219_506_789);

const MARA: &str = "mara@harbourbakery.example";

#[track_caller]
fn parsed(file: &str, text: &str) -> Declared {
    Declared::parse(file, text).unwrap_or_else(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{}", problems.join("\n"))
    })
}

/// The worked example at `port` of this machine, with its secret in a file of `folder`.
fn example(folder: &Path, port: u16) -> Declared {
    let secret = folder.join("token");
    std::fs::write(&secret, format!("{}\n", crm::TOKEN)).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let base = format!("http://127.0.0.1:{port}/v3\"\nreach = [\"127.0.0.1:{port}\"]");
    let text = EXAMPLE
        .replace("https://api.crm.example/v3\"", &base)
        .replace("{ env = \"CRM_TOKEN\" }", "{ file = \"token\" }");
    parsed(&folder.join("crm.toml").display().to_string(), &text)
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn env() -> Env {
    Env::with_clock(|| NOW, [0; 32])
}

fn operation(name: &str) -> OperationName {
    OperationName::new(name).unwrap()
}

/// What `number` makes another write of.
fn intent(name: &str, arguments: &Value, number: usize) -> Intent {
    let effect = EffectId {
        run: RunId::new(format!("run-{number}")).unwrap(),
        step: StepName::new("step").unwrap(),
        name: EffectName::new("write").unwrap(),
        occurrence: 0,
    };
    let arguments = Payload::of(arguments).unwrap();
    Intent { operation: operation(name), arguments, key: effect.key(), at: NOW }
}

fn planned(connector: &Declared, name: &str, arguments: &Value) -> Result<Plan, Fault> {
    connector.plan(&intent(name, arguments, 1))
}

/// A small declaration: what every one needs, and `rest`.
fn small(rest: &str) -> String {
    format!("name = 'x'\nsystem = 'X'\nbase = 'https://x.example/api'\n{rest}")
}

/// A write by `POST` to `/things` that says `rest`, and takes `value`.
fn post(rest: &str) -> String {
    small(&format!(
        "[[operation]]\nname = 'make'\nsummary = 'Make a thing'\nkind = 'write'\nmethod = 'POST'\n\
         path = '/things'\nsemantics = 'opaque'\narguments.value = {{ role = 'content', optional = true }}\n{rest}"
    ))
}

/// A world that gives this answer to everything.
fn answering(
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
) -> Env {
    env().with_http(move |request: Request| {
        let headers = headers.iter();
        let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let headers: HeaderMap = headers.collect();
        let status = StatusCode::from_u16(status).unwrap();
        Ok(Response::new(request.limits(), status, headers, Bytes::from_static(body.as_bytes())))
    })
}

/// A world that tells what reached it.
fn listening() -> (Env, Arc<std::sync::Mutex<Vec<Request>>>) {
    let heard = Arc::<std::sync::Mutex<Vec<Request>>>::default();
    let ear = heard.clone();
    let env = env().with_http(move |request: Request| {
        let limits = request.limits();
        ear.lock().unwrap().push(request);
        Ok(Response::new(limits, StatusCode::OK, HeaderMap::new(), json!({ "id": 7 }).to_string()))
    });
    (env, heard)
}
