//! What was answered: a status, headers, and a body that comes as it is asked for.

use std::fmt;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use soloist_kernel::fault::Phase;
use tokio::time::timeout_at;

use super::{
    error::{NetError, NetErrorKind},
    request::Limits,
};

/// An answer, of any status. Its body is read within the limits of the request.
pub struct Response {
    /// What became of the request.
    pub status: StatusCode,
    /// What is said of it.
    pub headers: HeaderMap,
    limits: Limits,
    chunks: Box<dyn Chunks>,
    bytes_taken: u64,
    /// Why there is no more of it. It stays so, or a part would be taken for the whole by who asks again.
    broken: Option<NetError>,
}

/// Where the body of an answer comes from.
#[async_trait]
pub trait Chunks: Send {
    /// The next part; `None` when the body is whole.
    ///
    /// # Errors
    ///
    /// The body broke off: why.
    async fn next(&mut self) -> Result<Option<Bytes>, String>;
}

impl Response {
    /// An answer whose body is there.
    #[must_use]
    pub fn new(
        limits: Limits,
        status: StatusCode,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Self {
        Self::streaming(limits, status, headers, Whole(Some(body.into())))
    }

    /// An answer whose body is to come.
    #[must_use]
    pub fn streaming(
        limits: Limits,
        status: StatusCode,
        headers: HeaderMap,
        chunks: impl Chunks + 'static,
    ) -> Self {
        Self { status, headers, limits, chunks: Box::new(chunks), bytes_taken: 0, broken: None }
    }

    /// The headers that are text, as [`Hints`](crate::Hints) are read from them.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
    }

    /// The next part of the body; `None` when it is whole. One that says nothing of its length ends with its connection: over TLS it
    /// is known whether that was meant, in plain `http` it is not.
    ///
    /// # Errors
    ///
    /// [`NetError`] with the phase [`Answered`](Phase::Answered) if the body breaks off, is too large or takes too long.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, NetError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let chunk = match timeout_at(self.limits.deadline, self.chunks.next()).await {
            Ok(Ok(chunk)) => chunk,
            Ok(Err(why)) => return Err(self.failed(NetErrorKind::Cut(why))),
            Err(_) => return Err(self.failed(NetErrorKind::Late(self.limits.timeout))),
        };
        let taken = chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        self.bytes_taken = self.bytes_taken.saturating_add(taken);
        if self.bytes_taken > self.limits.bytes_max {
            return Err(self.failed(NetErrorKind::Oversized(self.limits.bytes_max)));
        }
        Ok(chunk)
    }

    /// The whole body.
    ///
    /// # Errors
    ///
    /// As [`chunk`](Self::chunk).
    pub async fn bytes(mut self) -> Result<Bytes, NetError> {
        let mut bytes = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }

    fn failed(&mut self, kind: NetErrorKind) -> NetError {
        let (host, status) = (self.limits.host.clone(), Some(self.status));
        let error = NetError { host, phase: Phase::Answered, status, kind };
        self.broken.insert(error).clone()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("status", &self.status).finish_non_exhaustive()
    }
}

/// A body that is there.
struct Whole(Option<Bytes>);

#[async_trait]
impl Chunks for Whole {
    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        Ok(self.0.take().filter(|bytes| !bytes.is_empty()))
    }
}
