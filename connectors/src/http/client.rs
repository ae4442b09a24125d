//! The transport of production: reqwest, with everything off that it would decide by itself.
//!
//! It is the only file that names reqwest and rustls. A request is held against its reach, sent once, and, if it changes nothing
//! and the answer says so, sent on, with the reach asked anew. What may be dialled is part of a connection's identity: there is
//! a client for each [`Dial`], whose resolver lets through what it admits, so that no request finds a connection open that it
//! could not have opened.

use std::{
    collections::BTreeMap,
    error::Error as StdError,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, header};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use soloist_kernel::fault::Phase;
use tokio::time::timeout_at;
use url::Url;

use self::outgoing::Outgoing;
use super::{
    Transport,
    error::{NetError, NetErrorKind, host},
    reach::{Barred, Dial, Reach},
    redirect::{self, REDIRECTS_MAX},
    request::{Body, Limits, Request},
    resolver::{Resolver, System},
    response::{Chunks, Response},
};

mod outgoing;

/// How long a connection may take, with its name and TLS. One that is made for a single request may not take more than half of the
/// request's time, so that a write that was not sent is told from one that was not answered.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections that are kept open to one host when nothing is asked of it. There is no time limit to them, because a clock that
/// ends them would wake an idle kernel; the other side has one, and TCP asks after those that say nothing.
const IDLE_MAX: usize = 4;

/// How long TCP waits before it asks whether the other side is still there, and between two such questions.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How many clients are kept, one for each set of exceptions. There are as many as there are connectors; what is above that
/// begins anew.
const CLIENTS_MAX: usize = 64;

/// How we introduce ourselves, where a request does not say it: some systems refuse who does not.
const USER_AGENT: &str = concat!("soloist/", env!("CARGO_PKG_VERSION"));

/// What the transport writes itself. A request that says it otherwise could be two to somebody on the way.
const OURS: [HeaderName; 6] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
];

/// Sends requests over the network. Nothing is opened, read or set up before the first of them.
pub struct Client {
    resolver: Arc<dyn Resolver>,
    tls: OnceLock<ClientConfig>,
    /// Clients whose connections are shared, by what they may dial.
    shared: Mutex<BTreeMap<Dial, reqwest::Client>>,
}

impl Client {
    /// A client that asks the operating system for names.
    #[must_use]
    pub fn new() -> Self {
        Self::with_resolver(System)
    }

    /// A client that asks `resolver` for names. What it finds is held against the reach as well.
    #[must_use]
    pub fn with_resolver(resolver: impl Resolver) -> Self {
        let (tls, shared) = (OnceLock::new(), Mutex::default());
        Self { resolver: Arc::new(resolver), tls, shared }
    }

    /// A client that trusts `certificate` and no other.
    #[cfg(test)]
    pub(super) fn trusting(resolver: impl Resolver, certificate: Vec<u8>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.into()).expect("it is a certificate");
        Self { tls: OnceLock::from(trust(roots)), ..Self::with_resolver(resolver) }
    }

    /// Sends `body` where `leg` leads, if it may go there.
    async fn attempt(&self, leg: &Leg, body: Body) -> Result<reqwest::Response, NetError> {
        let Leg { method, url, headers, reach, limits, .. } = leg;
        let dial = reach.check(url).map_err(|Barred(why)| NetError::barred(url, why))?;
        let client = self.client(dial, leg).map_err(|error| failed(url, error))?;
        let mut request = reqwest::Request::new(method.clone(), url.clone());
        *request.headers_mut() = headers.clone();
        *request.body_mut() = match body {
            Body::Empty => None,
            Body::Bytes(bytes) => Some(bytes.into()),
            Body::Stream { reader, length } => {
                Some(reqwest::Body::wrap(Outgoing { reader, length }))
            }
        };
        match timeout_at(limits.deadline, client.execute(request)).await {
            Ok(answered) => answered.map_err(|error| failed(url, error)),
            Err(_) => {
                let late = NetErrorKind::Late(limits.timeout);
                Err(NetError::new(url, Phase::MaybeSent, late))
            }
        }
    }

    /// The client for what may be dialled: one that others use too, or one for this request alone.
    fn client(&self, dial: Dial, leg: &Leg) -> reqwest::Result<reqwest::Client> {
        if !leg.shares_connection {
            let connect_timeout = CONNECT_TIMEOUT.min(leg.limits.timeout / 2);
            return self.build(dial, connect_timeout, 0);
        }
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = shared.get(&dial) {
            return Ok(client.clone());
        }
        if shared.len() >= CLIENTS_MAX {
            shared.clear();
        }
        let client = self.build(dial.clone(), CONNECT_TIMEOUT, IDLE_MAX)?;
        shared.insert(dial, client.clone());
        Ok(client)
    }

    fn build(
        &self,
        dial: Dial,
        connect_timeout: Duration,
        idle_max: usize,
    ) -> reqwest::Result<reqwest::Client> {
        reqwest::Client::builder()
            .use_preconfigured_tls(self.tls.get_or_init(tls).clone())
            .dns_resolver(Arc::new(Guarded { dial, resolver: self.resolver.clone() }))
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(USER_AGENT)
            .connect_timeout(connect_timeout)
            .tcp_keepalive(KEEPALIVE)
            .tcp_keepalive_interval(KEEPALIVE)
            .pool_idle_timeout(None)
            .pool_max_idle_per_host(idle_max)
            .build()
    }
}

#[async_trait]
impl Transport for Client {
    async fn send(&self, request: Request) -> Result<Response, NetError> {
        let limits = request.limits();
        let Request { method, url, headers, body, reach, shares_connection, .. } = request;
        sendable(&method, &headers)
            .map_err(|why| NetError::not_sent(&url, NetErrorKind::Malformed(why)))?;
        let redirects_left = REDIRECTS_MAX;
        let mut leg =
            Leg { method, url, headers, reach, limits, shares_connection, redirects_left };
        // What has a body is no mere question, whatever its method says, and is not sent on.
        let may_go_on = matches!(body, Body::Empty);
        let mut answer = self.attempt(&leg, body).await?;
        while may_go_on && leg.goes_on(&answer)? {
            let again = self.attempt(&leg, Body::Empty).await;
            answer = again.map_err(NetError::after_redirect)?;
        }
        let (status, headers) = (answer.status(), answer.headers().clone());
        Ok(Response::streaming(leg.limits, status, headers, Incoming(answer)))
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// A request on its way from one host to the next.
struct Leg {
    method: Method,
    url: Url,
    headers: HeaderMap,
    reach: Reach,
    limits: Limits,
    shares_connection: bool,
    redirects_left: usize,
}

impl Leg {
    /// Turns to where `answer` sends it on to; false if that is nowhere.
    fn goes_on(&mut self, answer: &reqwest::Response) -> Result<bool, NetError> {
        let status = answer.status();
        let target = redirect::target(&self.method, &self.url, status, answer.headers());
        let target = match target {
            Ok(None) => return Ok(false),
            Ok(Some(_)) if self.redirects_left == 0 => {
                Err(format!("it is one of more than {REDIRECTS_MAX} in a row"))
            }
            Ok(Some(target)) => Ok(target),
            Err(why) => Err(why),
        };
        let target = target.map_err(|why| NetError {
            host: self.limits.host.clone(),
            phase: Phase::Answered,
            status: Some(status),
            kind: NetErrorKind::Redirected(why),
        })?;
        let headers = std::mem::take(&mut self.headers);
        self.headers = redirect::carried(headers, &self.url, &target);
        self.limits.host = host(&target);
        self.url = target;
        self.redirects_left -= 1;
        Ok(true)
    }
}

/// Names, and what of their addresses may be dialled.
struct Guarded {
    dial: Dial,
    resolver: Arc<dyn Resolver>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (dial, resolver) = (self.dial.clone(), self.resolver.clone());
        Box::pin(async move {
            let found = resolver.resolve(name.as_str()).await?;
            let (mut admitted, mut refused) = (vec![], None);
            for address in found {
                match dial.admits(address) {
                    // The port is the URL's.
                    Ok(_) => admitted.push(SocketAddr::new(address, 0)),
                    Err(barred) => refused = Some(barred),
                }
            }
            match refused {
                Some(barred) if admitted.is_empty() => Err(barred.into()),
                Some(_) | None => Ok(Box::new(admitted.into_iter()) as Addrs),
            }
        })
    }
}

/// The body of an answer on its way.
struct Incoming(reqwest::Response);

#[async_trait]
impl Chunks for Incoming {
    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        self.0.chunk().await.map_err(|error| said(&error.without_url()))
    }
}

/// rustls with ring and the Mozilla roots compiled in, as mail has it.
fn tls() -> ClientConfig {
    trust(RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()))
}

fn trust(roots: RootCertStore) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has what TLS 1.2 and 1.3 ask for")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// Whether a request says nothing that is the transport's to say.
fn sendable(method: &Method, headers: &HeaderMap) -> Result<(), String> {
    if *method == Method::CONNECT {
        return Err("`CONNECT` would make a tunnel of the connection".to_owned());
    }
    match OURS.iter().find(|name| headers.contains_key(*name)) {
        Some(name) => Err(format!("`{name}` is the transport's to say; leave it out")),
        None => Ok(()),
    }
}

/// What reqwest's error means. Until there is a connection nothing has left; from then on something may have.
fn failed(url: &Url, error: reqwest::Error) -> NetError {
    let error = error.without_url();
    if let Some(Barred(why)) = causes(&error).find_map(|cause| cause.downcast_ref()) {
        return NetError::barred(url, why.as_str());
    }
    let why = said(&error);
    if error.is_builder() {
        NetError::not_sent(url, NetErrorKind::Malformed(why))
    } else if error.is_connect() {
        NetError::not_sent(url, NetErrorKind::Unreachable(why))
    } else {
        NetError::new(url, Phase::MaybeSent, NetErrorKind::Lost(why))
    }
}

/// An error and its causes, the last of which is the one to know.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// What happened, without the layers through which it was handed up.
fn said(error: &(dyn StdError + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}
