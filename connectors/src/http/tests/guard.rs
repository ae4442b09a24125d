//! The guard on the wire: whatever is asked for, nothing reaches a server that was not named. The server says so, by counting.

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use soloist_kernel::fault::{Fault, FaultClass, Phase};

use super::server::{LONG, OK, Reply, Server, reach};
use crate::http::{
    Client, Method, NetError, NetErrorKind, Reach, Request, Resolver, Transport, Url,
};

/// The server, `PORT`, in the spellings of its address and as names for it; addresses that are not public; and what is no
/// `https` to anybody.
const VECTORS: &[&str] = &[
    // This machine, spelled.
    "https://127.0.0.1:PORT/",
    "http://127.0.0.1:PORT/",
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://2130706433:PORT/",
    "https://2130706433:PORT/",
    "http://017700000001:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://0177.1:PORT/",
    "http://00177.0000.00.01:PORT/",
    "http://0x7f000001:PORT/",
    "http://0x7f.1:PORT/",
    "http://0x7F.0x0.0x0.0x1:PORT/",
    "http://0x7f.0.1:PORT/",
    "http://%31%32%37.0.0.1:PORT/",
    "http://\u{2460}\u{2461}\u{2466}.\u{24ea}.\u{24ea}.\u{2460}:PORT/",
    "http://\u{ff11}\u{ff12}\u{ff17}.\u{ff10}.\u{ff10}.\u{ff11}:PORT/",
    "http://127\u{3002}0\u{3002}0\u{3002}1:PORT/",
    "http://127.0.0.1:PORT\\@public.example/",
    "http:127.0.0.1:PORT/",
    "http:\\\\127.0.0.1:PORT\\",
    "http://\t127.0.\n0.1:PORT/",
    "http://0:PORT/",
    "http://0.0.0.0:PORT/",
    "https://0.0.0.0:PORT/",
    "http://127.127.127.127:PORT/",
    "http://127.255.255.254:PORT/",
    "http://[::1]:PORT/",
    "https://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[::]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "https://[::ffff:7f00:1]:PORT/",
    "http://[0:0:0:0:0:ffff:7f00:0001]:PORT/",
    "http://[::127.0.0.1]:PORT/",
    "http://[64:ff9b::127.0.0.1]:PORT/",
    "http://[64:ff9b::7f00:1]:PORT/",
    "http://[64:ff9b:1::7f00:1]:PORT/",
    "http://[2002:7f00:1::]:PORT/",
    "http://[2001:0:7f00:1::]:PORT/",
    "http://[2001::80ff:fffe]:PORT/",
    // This machine, by name. All of these names resolve to it here.
    "http://localhost:PORT/",
    "https://localhost:PORT/",
    "https://LOCALHOST:PORT/",
    "https://localhost.:PORT/",
    "https://a.localhost:PORT/",
    "https://a.b.localhost.:PORT/",
    "https://\u{24db}\u{24de}\u{24d2}\u{24d0}\u{24db}\u{24d7}\u{24de}\u{24e2}\u{24e3}:PORT/",
    "https://public.example:PORT/",
    "https://public.example.:PORT/",
    "https://127.0.0.1.public.example:PORT/",
    "https://localhost.public.example:PORT/",
    "https://metadata.google.internal:PORT/",
    "https://nas:PORT/",
    "https://nas.local:PORT/",
    "http://public.example:PORT/",
    "http://public.example:PORT#@public.example/",
    // With a user before it.
    "http://user@127.0.0.1:PORT/",
    "https://public.example@127.0.0.1:PORT/",
    "https://public.example:443@127.0.0.1:PORT/",
    "https://127.0.0.1:PORT@public.example/",
    "https://user:password@public.example:PORT/",
    "https://:password@public.example:PORT/",
    // Other addresses that are not public.
    "https://10.0.0.1/",
    "https://0xa.1/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.1.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://2852039166/latest/meta-data/",
    "https://0xa9fea9fe/latest/meta-data/",
    "https://[fd00:ec2::254]/latest/meta-data/",
    "https://[::ffff:169.254.169.254]/latest/meta-data/",
    "https://168.63.129.16/machine/",
    "https://100.100.100.200/latest/meta-data/",
    "https://192.0.0.192/opc/v2/",
    "https://100.64.0.1/",
    "https://192.0.2.1/",
    "https://192.88.99.1/",
    "https://198.18.0.1/",
    "https://198.51.100.1/",
    "https://203.0.113.1/",
    "https://224.0.0.1/",
    "https://239.255.255.250/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://[fc00::1]/",
    "https://[fe80::1]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[100::1]/",
    "https://[2001:2::1]/",
    "https://[2001:20::1]/",
    "https://[2001:db8::1]/",
    "https://[3fff::1]/",
    "https://[5f00::1]/",
    "https://[::ffff:8.8.8.8]/",
    "https://[64:ff9b::8.8.8.8]/",
    "https://[2002:808:808::]/",
    "https://[4000::1]/",
    // Not spoken here.
    "ftp://127.0.0.1:PORT/",
    "ws://127.0.0.1:PORT/",
    "wss://public.example:PORT/",
    "gopher://127.0.0.1:PORT/_x",
    "file:///etc/passwd",
    "unix:/var/run/docker.sock",
    "data:text/plain,x",
    "jar:http://127.0.0.1:PORT!/",
];

/// Says the same of every name, one answer after the other, and the last for ever; and counts.
struct Says(Vec<Vec<IpAddr>>, Arc<AtomicUsize>);

#[async_trait]
impl Resolver for Says {
    async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        let number = self.1.fetch_add(1, Ordering::SeqCst);
        Ok(self.0[number.min(self.0.len() - 1)].clone())
    }
}

fn says(answers: &[&[&str]]) -> Says {
    let parsed = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
    Says(answers.iter().map(parsed).collect(), Arc::default())
}

fn request(url: &str, reach: Reach) -> Request {
    Request::get(url.parse().unwrap()).within(reach).timeout(LONG)
}

async fn refusal(client: &Client, request: Request) -> NetError {
    let url: Url = request.url.clone();
    let error = client.send(request).await.expect_err(url.as_str());
    assert!(matches!(error.kind, NetErrorKind::Barred(_)), "{url}: {error}");
    error
}

#[tokio::test]
async fn nothing_reaches_a_server_that_was_not_named() {
    let server = Server::new(&[OK]).await;
    // The same port of IPv6, where there is IPv6.
    let other = Server::on(&format!("[::1]:{}", server.port), &[OK]).await;
    let client = Client::with_resolver(says(&[&["127.0.0.1", "::1"]]));
    // To name another server, or another port of this one, does not help.
    let reach = Reach::public().and("127.0.0.1:1").unwrap().and("10.9.9.0/24").unwrap();
    for reach in [Reach::public(), reach] {
        for vector in VECTORS {
            let url = vector.replace("PORT", &server.port.to_string());
            for method in [Method::GET, Method::POST] {
                let mut request = request(&url, reach.clone());
                request.shares_connection = method == Method::GET;
                request.method = method;
                let error = refusal(&client, request).await;
                assert_eq!(error.phase, Phase::NotSent, "{url}");
                assert_eq!(Fault::from(error).class, FaultClass::Invalid, "{url}");
            }
        }
    }
    assert!(VECTORS.len() >= 100, "there are {}", VECTORS.len());
    assert_eq!(server.connections(), 0);
    assert_eq!(other.map_or(0, |other| other.connections()), 0);
}

/// Else the test before would say nothing.
#[tokio::test]
async fn the_same_requests_reach_a_server_that_was_named() {
    let server = Server::new(&[OK]).await;
    let client = Client::with_resolver(says(&[&["127.0.0.1"]]));
    let mut reached = 0;
    for vector in VECTORS {
        let url: Url = vector.replace("PORT", &server.port.to_string()).parse().unwrap();
        let is_here = url.port() == Some(server.port) && url.scheme() == "http";
        let is_v4 = url.host_str().is_some_and(|host| host == "127.0.0.1" || host.contains('a'));
        if !is_here || !is_v4 || !url.username().is_empty() || url.host_str().unwrap().contains(':')
        {
            continue;
        }
        let named = format!("{}:{}", url.host_str().unwrap(), server.port);
        let request = request(url.as_str(), Reach::public().and(&named).unwrap());
        client.send(request).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        reached += 1;
    }
    assert!(reached >= 18, "{reached}");
    assert_eq!(server.committed().len(), reached);
}

#[tokio::test]
async fn an_exception_is_of_one_port() {
    let (named, other) = (Server::new(&[OK]).await, Server::new(&[OK]).await);
    let client = Client::new();
    client.send(request(named.url("/").as_str(), named.reach())).await.unwrap();
    refusal(&client, request(other.url("/").as_str(), named.reach())).await;
    assert_eq!((named.connections(), other.connections()), (1, 0));
}

/// A name is looked up when it is dialled, and held against the reach then: what it led to before does not count.
#[tokio::test]
async fn a_name_that_leads_elsewhere_the_second_time_is_not_followed_inside() {
    let inside = Server::new(&[OK]).await;
    let outside = Server::on(&format!("127.0.0.2:{}", inside.port), &[OK]).await.unwrap();
    let reach = Reach::public().and("127.0.0.2/32").unwrap();
    let url = format!("https://public.example:{}/", inside.port);
    for shares_connection in [false, true] {
        let (before, resolver) = (outside.connections(), says(&[&["127.0.0.2"], &["127.0.0.1"]]));
        let asked = resolver.1.clone();
        let client = Client::with_resolver(resolver);
        let ask = || {
            let mut request = request(&url, reach.clone());
            request.shares_connection = shares_connection;
            request
        };
        // It is admitted, and does not speak TLS.
        let error = client.send(ask()).await.unwrap_err();
        assert!(matches!(error.kind, NetErrorKind::Unreachable(_)), "{error}");
        assert_eq!(outside.connections(), before + 1);
        refusal(&client, ask()).await;
        assert_eq!(asked.load(Ordering::SeqCst), 2, "it is asked for anew");
        // Of several addresses those are left that may be dialled.
        let client = Client::with_resolver(says(&[&["127.0.0.1", "127.0.0.2", "::1"]]));
        client.send(ask()).await.unwrap_err();
        assert_eq!(outside.connections(), before + 2);
    }
    assert_eq!(inside.connections(), 0);
}

/// A connection that one may open is not found open by another who may not.
#[tokio::test]
async fn a_connection_is_shared_only_by_those_who_may_open_it() {
    let server = Server::new(&[OK]).await;
    let client = Client::with_resolver(says(&[&["127.0.0.1"]]));
    let url = format!("http://crm.example:{}/", server.port);
    let reach = Reach::public().and(&format!("crm.example:{}", server.port)).unwrap();
    client.send(request(&url, reach.clone())).await.unwrap().bytes().await.unwrap();
    refusal(&client, request(&url, Reach::public())).await;
    refusal(&client, request(&url.replace("http", "https"), Reach::public())).await;
    client.send(request(&url, reach)).await.unwrap().bytes().await.unwrap();
    assert_eq!((server.connections(), server.committed().len()), (1, 2));
}

#[tokio::test]
async fn no_redirect_leads_inside() {
    let inside = Server::new(&[OK]).await;
    for location in [
        "http://127.0.0.1:PORT/",
        "https://127.0.0.1:PORT/",
        "//127.0.0.1:PORT/",
        "http://2130706433:PORT/",
        "http://0x7f.1:PORT/",
        "http://[::ffff:127.0.0.1]:PORT/",
        "http://localhost:PORT/",
        "https://localhost.:PORT/",
        "https://public.example:PORT/",
        "http://public.example:PORT/",
        "https://user@127.0.0.1:PORT/",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/",
        "ftp://127.0.0.1:PORT/",
        "file:///etc/passwd",
    ] {
        let location = location.replace("PORT", &inside.port.to_string());
        let head =
            format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let replies: &'static [Reply] = vec![Reply::Say(head.leak())].leak();
        let outside = Server::new(replies).await;
        let client = Client::with_resolver(says(&[&["127.0.0.1"]]));
        let error = refusal(&client, request(outside.url("/").as_str(), reach(outside.port))).await;
        assert_eq!(error.phase, Phase::MaybeSent, "the first host was asked");
        assert_eq!(outside.committed().len(), 1, "{location}");
    }
    assert_eq!(inside.connections(), 0);
}

/// What the environment says of proxies is not heard: a proxy would dial for us, past the guard. The test runs itself again
/// with such an environment, since one's own cannot be changed safely.
#[tokio::test]
async fn proxies_of_the_environment_are_not_used() {
    const INNER: &str = "SOLOIST_TEST_ANSWERS_ON";
    const NAME: &str = "http::tests::guard::proxies_of_the_environment_are_not_used";
    #[expect(clippy::disallowed_methods, reason = "the test hands itself a port")]
    if let Ok(port) = std::env::var(INNER) {
        let port = port.parse().unwrap();
        let url = format!("http://127.0.0.1:{port}/");
        Client::new().send(request(&url, reach(port))).await.unwrap();
        let client = Client::with_resolver(says(&[&["127.0.0.1"]]));
        refusal(&client, request(&format!("https://public.example:{port}/"), Reach::public()))
            .await;
        return;
    }
    let (server, proxy) = (Server::new(&[OK]).await, Server::new(&[OK]).await);
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", NAME, "--test-threads=1"]).env(INNER, server.port.to_string());
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        let value = proxy.url("").to_string();
        again.env(name.to_uppercase(), &value).env(name, value);
    }
    again.env_remove("NO_PROXY").env_remove("no_proxy");
    let done = tokio::task::spawn_blocking(move || again.output()).await.unwrap().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    assert_eq!((server.committed().len(), proxy.connections()), (1, 0));
}
