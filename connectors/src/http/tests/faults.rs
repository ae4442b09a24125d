//! Faults on the way: of each, how far the request is said to have got, and how often the server acted on it.

use std::time::Duration;

use soloist_kernel::{
    effect::{AfterFault, Standing, after_fault},
    fault::{Fault, FaultClass, Phase},
    retry::RetryPolicy,
    semantics::WriteSemantics,
    time::Timestamp,
};
use tokio::{net::TcpListener, time::Instant};

use super::server::{Break, LONG, OK, Proxy, Reply, SHORT, Server, reach, url};
use crate::{
    Hints,
    http::{
        Bytes, Chunks, Client, Method, NetError, NetErrorKind, REDIRECTS_MAX, Request, Response,
        StatusCode, Transport,
    },
};

/// Sends, and reads to the end.
async fn answer(client: &Client, request: Request) -> Result<(StatusCode, String), NetError> {
    let answer: Response = client.send(request).await?;
    let status = answer.status;
    Ok((status, String::from_utf8(answer.bytes().await?.to_vec()).unwrap()))
}

fn post(port: u16) -> Request {
    Request::new(Method::POST, url(port, "/orders?token=s3cr3t"))
        .within(reach(port))
        .body("text/plain", "one chair")
        .timeout(LONG)
}

fn get(port: u16) -> Request {
    Request::get(url(port, "/orders?token=s3cr3t")).within(reach(port)).timeout(LONG)
}

/// Sends a `POST` to a server with that reply and checks what is said of it, and that the server acted on it once.
#[track_caller]
fn check(reply: &'static [Reply], phase: Phase, status: Option<u16>, kind: &str) {
    block_on(async {
        let server = Server::new(reply).await;
        let is_silent = reply.iter().any(|reply| matches!(reply, Reply::Hang | Reply::Stall(_)));
        let request = post(server.port).timeout(if is_silent { SHORT } else { LONG });
        let error = answer(&Client::new(), request).await.unwrap_err();
        check_error(&error, phase, status, kind);
        assert_eq!(server.committed(), ["POST /orders?token=s3cr3t"]);
    });
}

#[track_caller]
fn check_error(error: &NetError, phase: Phase, status: Option<u16>, kind: &str) {
    let name = format!("{:?}", error.kind);
    assert!(name.starts_with(kind), "{kind}, not {name}");
    assert_eq!(
        (error.phase, error.status.map(|status| status.as_u16())),
        (phase, status),
        "{error}"
    );
    assert!(error.host.starts_with("127.0.0.1:"), "{error}");
    assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error}");
}

fn block_on<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

#[tokio::test]
async fn an_answer_of_any_status_is_an_answer() {
    const REFUSED: &str = "HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\noops";
    const CHUNKED: &str = "HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let server = Server::new(&[OK, Reply::Say(REFUSED), Reply::Say(CHUNKED)]).await;
    let client = Client::new();
    for expected in [(200, "ok"), (500, "oops"), (201, "abcde")] {
        let (status, body) = answer(&client, post(server.port)).await.unwrap();
        assert_eq!((status.as_u16(), body.as_str()), expected);
    }
    // The 500 came after it had acted: whether that may be done again is not for the transport to say.
    assert_eq!(server.committed().len(), 3);
}

#[tokio::test]
async fn nothing_is_sent_where_nobody_listens() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = answer(&Client::new(), post(port)).await.unwrap_err();
    check_error(&error, Phase::NotSent, None, "Unreachable");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn nothing_is_sent_to_a_name_that_nobody_has() {
    let request =
        Request::new(Method::POST, "https://nobody.invalid/orders?x=s3cr3t".parse().unwrap());
    let error = Client::new().send(request).await.unwrap_err();
    assert_eq!(error.phase, Phase::NotSent, "{error}");
    assert!(matches!(error.kind, NetErrorKind::Unreachable(_)), "{error}");
    assert_eq!(error.host, "nobody.invalid");
    assert!(!error.to_string().contains("s3cr3t"), "{error}");
    assert_eq!(Fault::from(error).class, FaultClass::Transient);
}

#[tokio::test]
async fn nothing_is_sent_to_who_does_not_speak_tls() {
    for reply in ["HTTP/1.1 400 Bad Request\r\n\r\n", ""] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let request =
            Request::new(Method::POST, format!("https://127.0.0.1:{port}/").parse().unwrap())
                .within(reach(port))
                .timeout(LONG);
        let client = Client::new();
        let (error, ()) = tokio::join!(client.send(request), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = [0; 5];
            tokio::io::AsyncReadExt::read_exact(&mut stream, &mut hello).await.unwrap();
            assert_eq!(hello[0], 0x16, "a handshake, and no request");
            tokio::io::AsyncWriteExt::write_all(&mut stream, reply.as_bytes()).await.unwrap();
        });
        check_error(&error.unwrap_err(), Phase::NotSent, None, "Unreachable");
    }
}

#[tokio::test]
async fn a_connection_that_is_not_made_in_time_is_told_from_an_answer_that_does_not_come() {
    // It accepts and says nothing to a handshake.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let request = Request::new(Method::POST, format!("https://127.0.0.1:{port}/").parse().unwrap())
        .within(reach(port))
        .timeout(SHORT);
    let error = Client::new().send(request).await.unwrap_err();
    check_error(&error, Phase::NotSent, None, "Unreachable");
}

#[test]
fn a_write_is_in_doubt_from_the_connection_to_the_head() {
    check(&[Reply::Close], Phase::MaybeSent, None, "Lost");
    check(&[Reply::SayAndClose("HTTP/1.1 200")], Phase::MaybeSent, None, "Lost");
    check(&[Reply::SayAndClose("HTTP/1.1 200 OK\r\ncontent-le")], Phase::MaybeSent, None, "Lost");
    check(&[Reply::Say("SSH-2.0-OpenSSH_9.6\r\n")], Phase::MaybeSent, None, "Lost");
    check(&[Reply::Say("HTTP/1.1 200 OK\r\nno colon\r\n\r\n")], Phase::MaybeSent, None, "Lost");
    const TWO_LENGTHS: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok";
    check(&[Reply::Say(TWO_LENGTHS)], Phase::MaybeSent, None, "Lost");
    // A head without an end is not read for ever.
    check(&[Reply::Flood("HTTP/1.1 200 OK\r\n", "x: y\r\n")], Phase::MaybeSent, None, "Lost");
    check(&[Reply::Hang], Phase::MaybeSent, None, "Late");
    check(&[Reply::Stall("HTTP/1.1 200 OK\r\n")], Phase::MaybeSent, None, "Late");
}

#[test]
fn an_answer_that_breaks_off_has_been_given() {
    const LONG: &str = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this";
    const CHUNK: &str = "HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\nff\r\nonly this";
    const NONSENSE: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\nabc\r\n";
    const REFUSED: &str = "HTTP/1.1 422 No\r\ncontent-length: 100\r\n\r\nonly this";
    check(&[Reply::SayAndClose(LONG)], Phase::Answered, Some(200), "Cut");
    check(&[Reply::SayAndClose(CHUNK)], Phase::Answered, Some(201), "Cut");
    check(&[Reply::Say(NONSENSE)], Phase::Answered, Some(200), "Cut");
    check(&[Reply::SayAndClose(REFUSED)], Phase::Answered, Some(422), "Cut");
    check(&[Reply::Stall(LONG)], Phase::Answered, Some(200), "Late");
}

#[tokio::test]
async fn an_answer_is_read_no_further_than_it_may_be_long() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let server = Server::new(&[Reply::Flood(HEAD, "a\r\n0123456789\r\n")]).await;
    let mut request = post(server.port);
    request.response_bytes_max = 100_000;
    let error = answer(&Client::new(), request).await.unwrap_err();
    check_error(&error, Phase::Answered, Some(200), "Oversized(100000)");
    assert_eq!(server.committed().len(), 1);
    // As long as it may be is not too long.
    let server = Server::new(&[OK]).await;
    let mut request = post(server.port);
    request.response_bytes_max = 2;
    assert_eq!(answer(&Client::new(), request).await.unwrap().1, "ok");
}

#[tokio::test]
async fn a_part_of_an_answer_is_not_taken_for_the_whole_by_asking_again() {
    const PART: &str = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this";
    let server = Server::new(&[Reply::SayAndClose(PART)]).await;
    let mut answer = Client::new().send(post(server.port)).await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "only this");
    let error = answer.chunk().await.unwrap_err();
    for _ in 0..2 {
        assert_eq!(answer.chunk().await, Err(error.clone()));
    }
}

#[tokio::test]
async fn an_answer_that_trickles_is_late_as_a_whole() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
    let server = Server::new(&[Reply::Trickle(HEAD, ".")]).await;
    let (client, began) = (Client::new(), Instant::now());
    let error = answer(&client, get(server.port).timeout(SHORT)).await.unwrap_err();
    check_error(&error, Phase::Answered, Some(200), "Late");
    assert!(began.elapsed() >= SHORT, "the limit is of the whole, and not of the head");
}

/// The loss that matters: the other side has acted, and its answer is lost.
#[tokio::test]
async fn a_write_whose_answer_is_lost_on_the_way_is_in_doubt_and_sent_once() {
    use Break::{AfterCommit, BeforeUpstream, Reset, Within};
    let server = Server::new(&[OK]).await;
    let lost = Proxy::new(&server, &[AfterCommit, Reset, Within(7)]).await;
    for committed in 1..=3 {
        let error = answer(&Client::new(), post(lost.port)).await.unwrap_err();
        check_error(&error, Phase::MaybeSent, None, "Lost");
        assert_eq!(server.committed().len(), committed);
    }
    let cut = Proxy::new(&server, &[Within(39)]).await;
    let error = answer(&Client::new(), post(cut.port)).await.unwrap_err();
    check_error(&error, Phase::Answered, Some(200), "Cut");
    assert_eq!(server.committed().len(), 4);
    // What was lost before it came there looks the same from here, and is in doubt as well.
    let before = Proxy::new(&server, &[BeforeUpstream]).await;
    let error = answer(&Client::new(), post(before.port)).await.unwrap_err();
    check_error(&error, Phase::MaybeSent, None, "Lost");
    assert_eq!(server.committed().len(), 4);
}

/// Writes to a system that knows no keys, through everything that can go wrong, with the kernel's own rule for what is done again:
/// whatever is in doubt is put to the operator, and nothing else is lost or done twice.
#[tokio::test]
async fn in_a_storm_no_write_is_doubled_and_none_is_lost_unseen() {
    use Break::{AfterCommit, BeforeUpstream, Never, Reset, Within};
    const WRITES: usize = 300;
    const STORM: &[Break] =
        &[Never, AfterCommit, Never, Within(7), Reset, Never, Within(39), BeforeUpstream, Never];
    let server = Server::new(&[OK]).await;
    let (proxy, client) = (Proxy::new(&server, STORM).await, Client::new());
    let retry = RetryPolicy::WRITE;
    let (mut done, mut asked) = (vec![], vec![]);
    for number in 0..WRITES {
        let path = format!("/{number}");
        for attempts in 1.. {
            // Every fourth attempt finds nobody.
            let port = if (number + attempts as usize).is_multiple_of(4) { 1 } else { proxy.port };
            let mut request = post(port);
            request.url = url(port, &path);
            let Err(error) = answer(&client, request).await else {
                done.push(format!("POST {path}"));
                break;
            };
            let standing = Standing {
                semantics: WriteSemantics::Opaque,
                attempts,
                age: Duration::ZERO,
                now: Timestamp(0),
                chance: 0,
                doubt: false,
            };
            match after_fault(&error.into(), &standing, &retry) {
                AfterFault::Retry { .. } => {}
                AfterFault::Ask => {
                    asked.push(format!("POST {path}"));
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let mut committed = server.committed();
    committed.sort();
    let before = committed.len();
    committed.dedup();
    assert_eq!(committed.len(), before, "some were done twice");
    assert_eq!(done.len() + asked.len(), WRITES);
    assert!(done.len() >= 100 && asked.len() >= 100, "{} done, {} asked", done.len(), asked.len());
    assert!(done.iter().all(|write| committed.contains(write)), "some were not done");
    assert!(committed.iter().all(|write| done.contains(write) || asked.contains(write)));
}

/// The worst moment for a connection that was used before: the other side takes the request in, and closes.
#[tokio::test]
async fn what_a_used_connection_took_in_is_not_sent_again() {
    for method in [Method::POST, Method::GET] {
        let (server, client) = (Server::new(&[OK, Reply::Close, OK]).await, Client::new());
        let request = || {
            let mut request = Request::new(method.clone(), server.url("/")).within(server.reach());
            request.shares_connection = true;
            request
        };
        answer(&client, request()).await.unwrap();
        let error = answer(&client, request()).await.unwrap_err();
        check_error(&error, Phase::MaybeSent, None, "Lost");
        assert_eq!((server.connections(), server.committed().len()), (1, 2));
        answer(&client, request()).await.unwrap();
        assert_eq!(server.committed().len(), 3);
    }
}

#[tokio::test]
async fn what_an_answer_says_of_limits_can_be_read() {
    const BUSY: &str =
        "HTTP/1.1 429 Busy\r\nRetry-After: 30\r\nx-odd: \u{e9}\r\ncontent-length: 0\r\n\r\n";
    let server = Server::new(&[Reply::Say(BUSY)]).await;
    let answer = Client::new().send(post(server.port)).await.unwrap();
    assert_eq!(answer.texts().count(), 2, "what is no text is left out");
    let hints = Hints::of_refusal(answer.texts(), Timestamp(0));
    assert_eq!(hints.retry_at, Some(Timestamp(30_000)));
}

/// Limits are the runtime's time: one that is paused is not waited for.
#[tokio::test(start_paused = true)]
async fn limits_of_time_can_be_simulated() {
    struct Never;
    #[async_trait::async_trait]
    impl Chunks for Never {
        async fn next(&mut self) -> Result<Option<Bytes>, String> {
            std::future::pending().await
        }
    }
    let (began, hour) = (Instant::now(), Duration::from_secs(3_600));
    let request = post(7).timeout(hour);
    let answer = Response::streaming(request.limits(), StatusCode::OK, Default::default(), Never);
    let error = answer.bytes().await.unwrap_err();
    check_error(&error, Phase::Answered, Some(200), "Late");
    assert_eq!(began.elapsed().as_secs(), hour.as_secs());
    assert!(error.to_string().contains("3600000 ms"), "{error}");
}

/// The server closes each connection after its answer without having said so: what is kept open is stale.
#[tokio::test]
async fn no_write_meets_a_connection_that_was_closed_meanwhile() {
    const OK_AND_CLOSE: Reply =
        Reply::SayAndClose("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let (server, client) = (Server::new(&[OK_AND_CLOSE]).await, Client::new());
    for round in 1..=50 {
        answer(&client, get(server.port)).await.ok();
        let before = server.committed().len();
        let (status, _) = answer(&client, post(server.port)).await.unwrap();
        assert_eq!(status, StatusCode::OK, "round {round}");
        assert_eq!(server.committed().len(), before + 1, "round {round}");
    }
}

/// The same, of a `POST` that asked for a shared connection: it may fail then, but is never sent twice.
#[tokio::test]
async fn a_shared_connection_that_was_closed_meanwhile_doubles_nothing() {
    const OK_AND_CLOSE: Reply =
        Reply::SayAndClose("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let (server, client) = (Server::new(&[OK_AND_CLOSE]).await, Client::new());
    for round in 1..=200 {
        let before = server.committed().len();
        let mut request = post(server.port);
        request.shares_connection = true;
        let came = answer(&client, request).await;
        let acted = server.committed().len() - before;
        match came {
            Ok(_) => assert_eq!(acted, 1, "round {round}"),
            Err(error) => {
                assert_eq!(error.phase, Phase::MaybeSent, "round {round}: {error}");
                assert!(acted <= 1, "round {round}: it acted {acted} times");
            }
        }
    }
}

#[tokio::test]
async fn what_changes_nothing_shares_a_connection_and_a_write_has_its_own() {
    let (server, client) = (Server::new(&[OK]).await, Client::new());
    for _ in 0..5 {
        answer(&client, get(server.port)).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
    for _ in 0..5 {
        answer(&client, post(server.port)).await.unwrap();
    }
    assert_eq!(server.connections(), 6);
}

#[tokio::test]
async fn redirects_are_followed_so_far_and_writes_not_at_all() {
    const LOOP: Reply = Reply::Say(
        "HTTP/1.1 302 Found\r\nlocation: /orders?token=s3cr3t\r\ncontent-length: 0\r\n\r\n",
    );
    let (server, client) = (Server::new(&[LOOP]).await, Client::new());
    let error = answer(&client, get(server.port)).await.unwrap_err();
    check_error(&error, Phase::Answered, Some(302), "Redirected");
    assert_eq!(server.committed().len(), REDIRECTS_MAX + 1);
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let before = server.committed().len();
        let mut request = post(server.port);
        request.method = method;
        let (status, _) = answer(&client, request).await.unwrap();
        assert_eq!(status, StatusCode::FOUND);
        assert_eq!(server.committed().len(), before + 1);
    }
    let server = Server::new(&[LOOP, LOOP, OK]).await;
    assert_eq!(answer(&client, get(server.port)).await.unwrap().1, "ok");
    assert_eq!(server.committed().len(), 3);
}

#[tokio::test]
async fn a_request_whose_second_host_is_not_there_was_sent_to_the_first() {
    const ELSEWHERE: Reply = Reply::Say(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    );
    let server = Server::new(&[ELSEWHERE]).await;
    let reach = server.reach().and("127.0.0.1:1").unwrap();
    let error = answer(&Client::new(), get(server.port).within(reach)).await.unwrap_err();
    check_error(&error, Phase::MaybeSent, None, "Unreachable");
    assert_eq!(error.host, "127.0.0.1:1");
}

#[tokio::test]
async fn a_body_is_sent_as_it_is_read() {
    let server = Server::new(&[OK]).await;
    for (text, length) in [("twelve bytes", Some(12)), ("no length", None)] {
        let mut request = post(server.port);
        request.body = crate::http::Body::Stream { reader: Box::new(text.as_bytes()), length };
        answer(&Client::new(), request).await.unwrap();
        assert!(server.heard().contains(text));
    }
    // One that ends early has been sent in part.
    let mut request = post(server.port);
    request.body = crate::http::Body::Stream { reader: Box::new(&b"short"[..]), length: Some(100) };
    let error = answer(&Client::new(), request).await.unwrap_err();
    check_error(&error, Phase::MaybeSent, None, "Lost");
    assert_eq!(server.committed().len(), 2);
}

#[tokio::test]
async fn what_is_the_transports_to_say_is_refused() {
    let (server, client) = (Server::new(&[OK]).await, Client::new());
    for name in ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te"] {
        let request = post(server.port).header(name.parse().unwrap(), "1").unwrap();
        let error = answer(&client, request).await.unwrap_err();
        check_error(&error, Phase::NotSent, None, "Malformed");
    }
    let mut request = post(server.port);
    request.method = Method::CONNECT;
    check_error(&answer(&client, request).await.unwrap_err(), Phase::NotSent, None, "Malformed");
    let error = get(server.port).header(crate::http::header::ACCEPT, "a\r\nx: s3cr3t").unwrap_err();
    check_error(&error, Phase::NotSent, None, "Malformed");
    assert_eq!(server.connections(), 0);
}

/// The kernel repeats what is `Answered`, under any semantics. So a fault is that only if the answer refuses.
#[test]
fn a_fault_is_answered_only_if_the_answer_says_what_happened() {
    let error = |status: u16, kind| NetError {
        host: "a.example".into(),
        phase: Phase::Answered,
        status: Some(StatusCode::from_u16(status).unwrap()),
        kind,
    };
    for kind in [
        NetErrorKind::Cut("it ended".into()),
        NetErrorKind::Oversized(10),
        NetErrorKind::Late(SHORT),
    ] {
        for (status, phase) in [
            (200, Phase::MaybeSent),
            (201, Phase::MaybeSent),
            (303, Phase::MaybeSent),
            (409, Phase::MaybeSent),
            (500, Phase::MaybeSent),
            (503, Phase::MaybeSent),
            (400, Phase::Answered),
            (404, Phase::Answered),
            (422, Phase::Answered),
            (429, Phase::Answered),
        ] {
            let fault = Fault::from(error(status, kind.clone()));
            assert_eq!(fault.phase, phase, "{status} {kind}");
        }
    }
    let url = url(7, "/?token=s3cr3t");
    for phase in [Phase::NotSent, Phase::MaybeSent] {
        let lost = NetError::new(&url, phase, NetErrorKind::Lost("reset".into()));
        assert_eq!(Fault::from(lost).phase, phase);
    }
}
