//! What is shown of a request, and who is shown it.

use soloist_kernel::fault::Phase;

use super::server::{OK, Reply, Server};
use crate::{
    Env,
    http::{Client, HeaderName, NetErrorKind, Request, Transport, header, nobody},
};

const SECRET: &str = "s3cr3t-t0k3n";

fn request(url: &str) -> Request {
    Request::get(url.parse().unwrap())
        .header(header::AUTHORIZATION, &format!("Bearer {SECRET}"))
        .unwrap()
        .header(HeaderName::from_static("x-api-key"), SECRET)
        .unwrap()
        .secret(HeaderName::from_static("x-mine"), SECRET)
        .unwrap()
        .header(header::ACCEPT, "text/plain")
        .unwrap()
}

#[test]
fn a_request_shows_none_of_its_secrets() {
    let mut request = request(&format!("https://api.example.com/a?token={SECRET}"))
        .body("text/plain", format!("password={SECRET}"));
    // One that was put there without a word of what it is.
    request.headers.insert(header::COOKIE, SECRET.parse().unwrap());
    let shown = format!("{request:?}");
    assert!(!shown.contains(SECRET), "{shown}");
    for expected in ["GET", "api.example.com", "/a", "text/plain", "authorization", "Bytes(21)"] {
        assert!(shown.contains(expected), "{shown}");
    }
}

#[tokio::test]
async fn credentials_are_not_shown_to_another_origin() {
    let other = Server::new(&[OK]).await;
    let head = format!(
        "HTTP/1.1 307 On\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
        other.url("/elsewhere")
    );
    let here = "HTTP/1.1 301 On\r\nlocation: /here\r\ncontent-length: 0\r\n\r\n";
    let replies: &'static [Reply] = vec![Reply::Say(here), Reply::Say(head.leak())].leak();
    let server = Server::new(replies).await;
    let reach = server.reach().and(&format!("127.0.0.1:{}", other.port)).unwrap();
    let request = request(server.url("/").as_str()).within(reach);
    let answer = Client::new().send(request).await.unwrap();
    assert_eq!(answer.bytes().await.unwrap(), "ok");
    assert_eq!(server.committed(), ["GET /", "GET /here"]);
    assert_eq!(
        server.heard().matches(SECRET).count(),
        6,
        "three headers, to the same origin twice"
    );
    assert_eq!(other.committed(), ["GET /elsewhere"]);
    let heard = other.heard();
    assert!(!heard.contains(SECRET), "{heard}");
    assert!(heard.contains("accept: text/plain"), "{heard}");
    assert!(!heard.contains("referer"), "{heard}");
}

#[tokio::test]
async fn what_is_sent_says_who_we_are_and_no_more() {
    let server = Server::new(&[OK]).await;
    let request = Request::get(server.url("/a?b=c#d")).within(server.reach());
    Client::new().send(request).await.unwrap();
    let heard = server.heard();
    let mut lines: Vec<&str> = heard.lines().filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    let host = format!("host: 127.0.0.1:{}", server.port);
    let agent = concat!("user-agent: soloist/", env!("CARGO_PKG_VERSION"));
    assert_eq!(lines, ["GET /a?b=c HTTP/1.1", "accept: */*", host.as_str(), agent]);
}

#[tokio::test]
async fn answers_are_taken_as_they_come_and_cookies_are_not_kept() {
    const ODD: Reply = Reply::Say(
        "HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nok",
    );
    let (server, client) = (Server::new(&[ODD]).await, Client::new());
    for _ in 0..2 {
        let request = Request::get(server.url("/")).within(server.reach());
        assert_eq!(client.send(request).await.unwrap().bytes().await.unwrap(), "ok");
    }
    assert!(!server.heard().contains("cookie"), "{}", server.heard());
}

#[tokio::test]
async fn a_world_without_anybody_in_it_sends_nothing() {
    let server = Server::new(&[OK]).await;
    let env = Env::real([0; 32]).with_http(nobody("a fork reaches nobody"));
    let request = Request::get(server.url("/")).within(server.reach());
    let error = env.http().send(request).await.unwrap_err();
    assert_eq!(error.phase, Phase::NotSent);
    assert_eq!(error.kind, NetErrorKind::Barred("a fork reaches nobody".to_owned()));
    assert_eq!(server.connections(), 0);
    // And one that has no transport of its own has the real one.
    let request = Request::get(server.url("/")).within(server.reach());
    assert_eq!(Env::real([0; 32]).http().send(request).await.unwrap().status, 200);
}
