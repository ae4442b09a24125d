//! Cassettes: recorded from a real server, replayed without one.

use soloist_kernel::fault::{Fault, FaultClass, Phase};

use super::server::{Reply, Server};
use crate::http::{
    Client, Method, NetErrorKind, Request, Transport, Url,
    cassette::{CassetteError, Recorder, Redaction, Replay},
    header,
};

const SECRET: &str = "s3cr3t-t0k3n";

const TOKEN: Reply = Reply::Say(
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nset-cookie: id=s3cr3t-t0k3n\r\ncontent-length: 58\r\n\r\n\
     {\"of\":{\"access_token\":\"other\"},\"echo\":\"is s3cr3t-t0k3n !\"}\n",
);
const BYTES: Reply = Reply::Say("HTTP/1.1 404 No\r\ncontent-length: 3\r\n\r\n\u{0}\u{1}\u{2}");

fn redaction() -> Redaction {
    Redaction::new().field("access_token").field("client_secret").field("key")
}

fn url(base: &Url, rest: &str) -> Url {
    base.join(rest).unwrap()
}

fn post(base: &Url, secret: &str) -> Request {
    Request::new(Method::POST, url(base, &format!("/token?b=2&a=1&key={secret}")))
        .header(header::AUTHORIZATION, &format!("Bearer {secret}"))
        .unwrap()
        .json(
            &serde_json::json!({ "z": 1, "client_secret": secret, "note": format!("<{secret}>") }),
        )
}

fn form(base: &Url, secret: &str) -> Request {
    let body = format!("grant=refresh&client_secret={secret}");
    Request::new(Method::POST, url(base, "/form")).body("application/x-www-form-urlencoded", body)
}

/// The cassette of three exchanges with a real server.
async fn recorded() -> String {
    let server = Server::new(&[TOKEN, BYTES, TOKEN]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cassette.jsonl");
    let recorder = Recorder::new(Client::new(), &path, redaction());
    let base = server.url("/");
    for request in [post(&base, SECRET), Request::get(url(&base, "/bytes")), form(&base, SECRET)] {
        let answer = recorder.send(request.within(server.reach())).await.unwrap();
        // Who records is answered as ever.
        let is_json = answer.headers.contains_key(header::CONTENT_TYPE);
        assert_eq!(answer.bytes().await.unwrap().len(), if is_json { 58 } else { 3 });
    }
    assert_eq!(server.committed().len(), 3);
    assert!(server.heard().contains(SECRET), "it is sent as it is");
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn a_cassette_holds_no_secret_and_everything_else() {
    let text = recorded().await;
    assert_eq!(text.lines().count(), 3);
    assert!(!text.contains(SECRET), "{text}");
    assert!(!text.contains("other"), "{text}");
    for expected in ["\"format\":1", "\"path\":\"/token\"", "grant", "refresh", "is redacted !"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[tokio::test]
async fn a_replay_answers_with_other_secrets_in_another_order_from_another_host() {
    let replay = Replay::parse(&recorded().await, redaction()).unwrap();
    let base: Url = "https://other.example/".parse().unwrap();
    let mut request = post(&base, "quite-another-one");
    request.url.set_query(Some("key=x&a=1&b=2"));
    let answer = replay.send(request).await.unwrap();
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(answer.headers[header::SET_COOKIE], "redacted");
    let json: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(json["echo"], "is redacted !");
    let answer = replay.send(form(&base, "x")).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(replay.left(), 1);
    let answer = replay.send(Request::get(url(&base, "/bytes"))).await.unwrap();
    assert_eq!(answer.status, 404);
    assert_eq!(answer.bytes().await.unwrap(), "\u{0}\u{1}\u{2}");
    assert_eq!(replay.left(), 0);
}

#[tokio::test]
async fn what_is_not_on_it_is_told_what_is_nearest() {
    let text = recorded().await;
    let replay = Replay::parse(&text, redaction()).unwrap();
    let base: Url = "https://other.example/".parse().unwrap();
    let mut query = post(&base, SECRET);
    query.url.set_query(Some("a=1&b=3&key=x"));
    let mut method = post(&base, SECRET);
    method.method = Method::PUT;
    for (request, expected) in [
        (query, "the nearest is line 1, POST /token, and differs in query field `b`"),
        (method, "the nearest is line 1, POST /token, and differs in method"),
        (
            form(&base, SECRET).body("text/plain", "other"),
            "the nearest is line 3, POST /form, and differs in body",
        ),
        (
            Request::get(url(&base, "/bytes/7")),
            "no recording fits GET /bytes/7; the nearest is line 2, GET /bytes, and differs in path",
        ),
    ] {
        let error = replay.send(request).await.unwrap_err();
        assert!(
            matches!(&error.kind, NetErrorKind::Unrecorded(why) if why.ends_with(expected)),
            "{error}"
        );
        assert_eq!(error.phase, Phase::NotSent);
        assert_eq!(Fault::from(error).class, FaultClass::Invalid);
    }
    replay.send(Request::get(url(&base, "/bytes"))).await.unwrap();
    let error = replay.send(Request::get(url(&base, "/bytes"))).await.unwrap_err();
    assert!(error.to_string().contains("every recording of GET /bytes has been given"), "{error}");
    let error = Replay::parse("", redaction()).unwrap().send(form(&base, "x")).await.unwrap_err();
    assert!(error.to_string().contains("it is empty, and POST /form was asked"), "{error}");
}

#[tokio::test]
async fn a_cassette_that_cannot_be_played_names_the_line() {
    let text = recorded().await;
    for (from, to, expected) in [
        ("\"format\":1", "\"format\":2", "line 1 of the cassette: its format is 2, and 1 is read"),
        ("\"status\":200", "\"status\":20", "line 1 of the cassette: invalid status code"),
        ("\"path\"", "\"way\"", "line 1 of the cassette: unknown field `way`"),
    ] {
        let Err(error) = Replay::parse(&text.replacen(from, to, 1), redaction()) else {
            panic!("{to} was read");
        };
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    let missing = Replay::open("/nowhere/cassette.jsonl", redaction());
    assert!(matches!(missing, Err(CassetteError::Unreadable(_))));
}

#[tokio::test]
async fn the_limits_of_a_request_hold_in_a_replay() {
    let replay = Replay::parse(&recorded().await, redaction()).unwrap();
    let mut request = Request::get("https://other.example/bytes".parse().unwrap());
    request.response_bytes_max = 2;
    let error = replay.send(request).await.unwrap().bytes().await.unwrap_err();
    assert_eq!(error.kind, NetErrorKind::Oversized(2));
    assert_eq!(error.status.unwrap(), 404);
}
