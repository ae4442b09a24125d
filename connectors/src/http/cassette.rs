//! Cassettes: real exchanges in a file, without their secrets, and answers from there.
//!
//! A [`Recorder`] sends requests on and writes down what was said, a line of JSON for each answer. A [`Replay`] answers from such
//! a file and reaches nobody: each recording is given once, in order, to a request with its method, path, query (in any order)
//! and body. The host is not compared, so that a cassette of one installation serves another.
//!
//! What was marked as sensitive is not in the file. Other secrets are named: a [`Redaction`] blanks fields of queries, forms and
//! JSON, in requests and answers. What a request holds of either is blanked wherever else it occurs as well. A replay needs the
//! same redaction, since it compares what is left. Look at a cassette before you keep it; nobody else knows what is secret in it.
//!
//! ```
//! use soloist_connectors::{Env, http::{Client, NetErrorKind, Request, cassette::{Redaction, Replay}}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let redaction = Redaction::new().field("client_secret");
//! // To record: `Env::real(seed).with_http(Recorder::new(Client::new(), "crm.jsonl", redaction))`. What it writes:
//! let cassette = r#"{"format":1,"request":{"method":"GET","path":"/contacts","query":[["page","1"]],"headers":[],"body":"","body_hash":""},"answer":{"status":200,"headers":[["content-type","application/json"]],"body":"[]"}}"#;
//! let env = Env::real([0; 32]).with_http(Replay::parse(cassette, redaction)?);
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let request = || Request::get("https://crm.example.com/contacts?page=1".parse().expect("a URL"));
//! assert_eq!(env.http().send(request()).await.expect("recorded").bytes().await.expect("whole"), "[]");
//!
//! let error = env.http().send(request()).await.expect_err("it is recorded once");
//! assert!(matches!(error.kind, NetErrorKind::Unrecorded(_)));
//! # });
//! # Ok(()) }
//! ```

use std::{fs::File, io::Write, path::PathBuf, sync::Mutex};

use async_trait::async_trait;

use self::exchange::{Answered, Asked, Exchange};
use super::{
    Transport,
    error::{NetError, NetErrorKind},
    request::{Body, Request},
    response::Response,
};

mod exchange;
mod redact;
mod replay;

pub use redact::Redaction;
pub use replay::{CassetteError, Replay};

/// Sends requests by another transport, and writes down what was answered. What was not answered to the end is not written
/// down. It holds each exchange in memory, so it is for tests and not for production.
pub struct Recorder {
    inner: Box<dyn Transport>,
    path: PathBuf,
    redaction: Redaction,
    /// Held while a line is written, so that lines do not mingle.
    writing: Mutex<()>,
}

impl Recorder {
    /// Sends by `inner`, and appends to the file at `path`.
    #[must_use]
    pub fn new(inner: impl Transport, path: impl Into<PathBuf>, redaction: Redaction) -> Self {
        Self { inner: Box::new(inner), path: path.into(), redaction, writing: Mutex::new(()) }
    }

    fn write(&self, exchange: &Exchange) -> std::io::Result<()> {
        let mut line = serde_json::to_string(exchange)?;
        line.push('\n');
        let _alone = self.writing.lock();
        File::options().create(true).append(true).open(&self.path)?.write_all(line.as_bytes())
    }
}

#[async_trait]
impl Transport for Recorder {
    async fn send(&self, mut request: Request) -> Result<Response, NetError> {
        let limits = request.limits();
        let body = std::mem::take(&mut request.body).bytes().await.map_err(|error| {
            NetError::not_sent(&request.url, NetErrorKind::Malformed(error.to_string()))
        })?;
        let secrets = self.redaction.with_secrets_of(&request, &body);
        let asked = Asked::of(&request, &body, &secrets);
        if !body.is_empty() {
            request.body = Body::Bytes(body);
        }
        let answer = self.inner.send(request).await?;
        let (status, headers) = (answer.status, answer.headers.clone());
        let body = answer.bytes().await?;
        let answered = Answered::of(status, &headers, &body, &secrets);
        if let Err(error) = self.write(&Exchange::new(asked, answered)) {
            // The exchange has happened all the same, and who asked is told how it went.
            tracing::error!(path = %self.path.display(), %error, "an exchange is not on the cassette");
        }
        Ok(Response::new(limits, status, headers, body))
    }
}
