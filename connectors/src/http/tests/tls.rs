//! TLS, with a server whose certificate says `crm.example` and is signed by nobody but itself. It was made with
//! `openssl ca -selfsign`, for the years 2020 to 2099, and is trusted by the clients of these tests that say so.

use std::{io, net::IpAddr, sync::Arc};

use async_trait::async_trait;
use soloist_kernel::fault::Phase;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use super::server::{LONG, OK, Reply, Server, script};
use crate::http::{
    Client, Method, NetError, NetErrorKind, Reach, Request, Resolver, Transport, header,
};

const CERTIFICATE: &[u8] = include_bytes!("tls/certificate.der");
const KEY: &[u8] = include_bytes!("tls/key.der");

/// Every name is this machine.
struct Here;

#[async_trait]
impl Resolver for Here {
    async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec!["127.0.0.1".parse().unwrap()])
    }
}

async fn server(replies: &'static [Reply]) -> Server {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CERTIFICATE.into()], PrivateKeyDer::Pkcs8(KEY.into()))
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let open = move |stream: TcpStream| {
        let accepting = acceptor.accept(stream);
        async { accepting.await.ok() }
    };
    Server::over("127.0.0.1:0", script(replies), open).await.unwrap()
}

fn trusting() -> Client {
    Client::trusting(Here, CERTIFICATE.to_vec())
}

/// A `POST` to `host` at the port of `server`, which may go there.
fn post(server: &Server, host: &str) -> Request {
    let reach = Reach::public().and(&format!("{host}:{}", server.port)).unwrap();
    let url = format!("https://{host}:{}/orders", server.port).parse().unwrap();
    Request::new(Method::POST, url).within(reach).body("text/plain", "one chair").timeout(LONG)
}

#[track_caller]
fn check_untrusted(error: &NetError, server: &Server, why: &str) {
    assert_eq!(error.phase, Phase::NotSent, "{error}");
    assert!(
        matches!(&error.kind, NetErrorKind::Unreachable(said) if said.contains(why)),
        "{error}"
    );
    assert!(server.committed().is_empty(), "nothing may be said to who is not who they say");
}

#[tokio::test]
async fn a_server_that_is_who_it_says_is_spoken_to() {
    let (server, client) = (server(&[OK]).await, trusting());
    for _ in 0..3 {
        let answer = client.send(post(&server, "crm.example")).await.unwrap();
        assert_eq!(answer.bytes().await.unwrap(), "ok");
    }
    assert_eq!((server.connections(), server.committed().len()), (3, 3));
    for _ in 0..3 {
        let mut request = post(&server, "crm.example");
        request.shares_connection = true;
        client.send(request).await.unwrap().bytes().await.unwrap();
    }
    assert_eq!((server.connections(), server.committed().len()), (4, 6));
}

#[tokio::test]
async fn nothing_is_sent_to_who_is_not_trusted() {
    let server = server(&[OK]).await;
    let client = Client::with_resolver(Here);
    let error = client.send(post(&server, "crm.example")).await.unwrap_err();
    check_untrusted(&error, &server, "UnknownIssuer");
}

#[tokio::test]
async fn nothing_is_sent_to_who_has_another_name() {
    let server = server(&[OK]).await;
    for host in ["other.example", "x.crm.example", "127.0.0.1"] {
        let error = trusting().send(post(&server, host)).await.unwrap_err();
        check_untrusted(&error, &server, "certificate not valid for name");
    }
}

/// A body that says nothing of its length ends with the connection. TLS says whether that was meant.
#[tokio::test]
async fn a_body_without_a_length_is_not_cut_unseen() {
    const OPEN_ENDED: &[Reply] = &[Reply::SayAndClose("HTTP/1.1 200 OK\r\n\r\nsome of i")];
    let server = server(OPEN_ENDED).await;
    let answer = trusting().send(post(&server, "crm.example")).await.unwrap();
    let error = answer.bytes().await.unwrap_err();
    assert!(matches!(error.kind, NetErrorKind::Cut(_)), "{error}");
    assert_eq!((error.phase, error.status.unwrap().as_u16()), (Phase::Answered, 200));
}

#[tokio::test]
async fn a_redirect_does_not_lead_out_of_encryption() {
    let plain = Server::new(&[OK]).await;
    let location = plain.url("/").to_string();
    let head = format!("HTTP/1.1 302 On\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
    let server = server(vec![Reply::Say(head.leak())].leak()).await;
    let mut request = post(&server, "crm.example").secret(header::AUTHORIZATION, "s3cr3t").unwrap();
    request.reach = request.reach.and(&format!("127.0.0.1:{}", plain.port)).unwrap();
    (request.method, request.body) = (Method::GET, crate::http::Body::Empty);
    let error = trusting().send(request).await.unwrap_err();
    assert!(matches!(error.kind, NetErrorKind::Redirected(_)), "{error}");
    assert_eq!(
        (error.phase, server.committed().len(), plain.connections()),
        (Phase::Answered, 1, 0)
    );
}
