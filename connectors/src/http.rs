//! HTTP: the one way to systems that are spoken to in requests and answers.
//!
//! Its rule is the connectors': **one attempt, and an honest word on how far it got**. A [`Transport`] never retries. An answer
//! of any status is a [`Response`]; a [`NetError`] is what came instead of one, and says by its
//! [`Phase`](soloist_kernel::fault::Phase) whether the request can have been acted on.
//!
//! [`Request`] says what is asked, how long it may take, how much may come back and, by its [`Reach`], where it may go: to
//! public addresses by `https`, and to what the operator named. [`Client`] is the transport of production; [`cassette`] has one
//! that records and one that replays, and every function from a request to an answer is one, for tests and simulations.
//!
//! [`answer`] says what an answer means to the kernel, by its status.
//!
//! What a client promises besides, held by tests with real servers that count:
//!
//! - **HTTP/1.1, over TLS by rustls with the Mozilla roots.** Proxies of the environment are not used, cookies not kept,
//!   answers not decompressed.
//! - **A write has a connection of its own.** A connection that is kept open may be closed by the other side just when something
//!   is sent on it, and a write would be in doubt for nothing. What changes nothing shares connections.
//! - **Only `GET` and `HEAD` follow redirects**, five at most, each target held against the reach; credentials stay with the
//!   origin they were meant for.
//!
//! ```
//! use soloist_connectors::{Env, http::{Method, NetError, Request, Response, StatusCode, header}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let request = Request::new(Method::POST, "https://crm.example.com/contacts".parse()?)
//!     .secret(header::AUTHORIZATION, "Bearer 5up3r-s3cr3t")?
//!     .json(&serde_json::json!({ "name": "Mara Lind" }));
//!
//! // A world in which the CRM is a function.
//! let env = Env::real([0; 32]).with_http(|request: Request| {
//!     Ok(Response::new(request.limits(), StatusCode::CREATED, Default::default(), r#"{"id":7}"#))
//! });
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let answer = env.http().send(request).await?;
//! assert_eq!(answer.status, StatusCode::CREATED);
//! assert_eq!(answer.bytes().await?, r#"{"id":7}"#);
//! # Ok::<(), NetError>(()) })?;
//! # Ok(()) }
//! ```

use async_trait::async_trait;
pub use bytes::Bytes;
pub use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
pub use url::Url;

pub mod answer;
pub mod cassette;
mod client;
mod error;
mod reach;
mod redirect;
mod request;
mod resolver;
mod response;

pub use client::{CONNECT_TIMEOUT, Client};
pub use error::{NetError, NetErrorKind};
pub use reach::{Reach, ReachError};
pub use redirect::REDIRECTS_MAX;
pub use request::{Body, Limits, RESPONSE_BYTES_MAX, Request, TIMEOUT};
pub use resolver::{Resolver, System};
pub use response::{Chunks, Response};

/// Sends requests. In production it is [`Client`]; a simulator or a test answers by itself.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Makes one attempt, and never another. The answer is here when its head is; its body comes as it is asked for. If it is dropped
    /// before that, the request may have been acted on.
    ///
    /// # Errors
    ///
    /// [`NetError`], whose phase is [`NotSent`](soloist_kernel::fault::Phase::NotSent) only if no byte of the request can have
    /// been acted on. An answer that refuses is no error.
    async fn send(&self, request: Request) -> Result<Response, NetError>;
}

#[async_trait]
impl<F> Transport for F
where
    F: Fn(Request) -> Result<Response, NetError> + Send + Sync + 'static,
{
    async fn send(&self, request: Request) -> Result<Response, NetError> {
        self(request)
    }
}

/// A transport that sends nothing, for a world that is to reach nobody. `why` is said to who tries.
#[must_use]
pub fn nobody(why: &'static str) -> impl Transport {
    move |request: Request| -> Result<Response, NetError> {
        Err(NetError::barred(&request.url, why))
    }
}

#[cfg(test)]
pub(crate) mod tests;
