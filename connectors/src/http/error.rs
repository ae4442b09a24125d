//! What came instead of an answer, how far the request had got, and what it means to the kernel.

use std::{fmt, time::Duration};

use http::StatusCode;
use soloist_kernel::fault::{Fault, FaultClass, Phase};
use url::Url;

/// A request that was not answered, or not to the end.
///
/// It names the other side by its host alone: a path, a query or a header may hold what is nobody else's business.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host}: {kind}{}", Stage(self))]
pub struct NetError {
    /// Who was spoken to: `api.example.com`, with the port if the URL names one.
    pub host: String,
    /// How far it got. [`NotSent`](Phase::NotSent) only if no byte of it can have been acted on, [`Answered`](Phase::Answered)
    /// from the head of the answer on.
    pub phase: Phase,
    /// What the head of the answer said, if there was one.
    pub status: Option<StatusCode>,
    /// What happened.
    pub kind: NetErrorKind,
}

/// What can happen to a request. Its text says what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetErrorKind {
    /// It may not go there; see [`Reach`](super::Reach).
    #[error("not sent there: {0}")]
    Barred(String),
    /// It is no request: a header, a method or a body that cannot be sent.
    #[error("the request cannot be sent: {0}")]
    Malformed(String),
    /// There was no connection: the name is not known, nobody listens, or its certificate is not to be trusted.
    #[error("not reached: {0}; it can be tried again")]
    Unreachable(String),
    /// It took longer than it may.
    #[error("not done within {} ms; ask for less, or allow more time", .0.as_millis())]
    Late(Duration),
    /// The connection broke, or what came was no HTTP, before there was an answer.
    #[error("lost before it answered: {0}; find out what became of it before it is sent again")]
    Lost(String),
    /// The answer broke off.
    #[error("its answer broke off: {0}; find out what became of it before it is sent again")]
    Cut(String),
    /// The answer is larger than it may be, in bytes.
    #[error("its answer is larger than {0} bytes; ask for less at once, or allow more")]
    Oversized(u64),
    /// It was sent elsewhere, and that is not followed.
    #[error("its redirect is not followed: {0}; ask for what it leads to")]
    Redirected(String),
    /// A [`Replay`](super::cassette::Replay) has no answer to it.
    #[error("not on the cassette: {0}; ask what was recorded, or record it again")]
    Unrecorded(String),
}

impl NetError {
    /// An error without an answer. For a [`Transport`](super::Transport) of one's own.
    #[must_use]
    pub fn new(url: &Url, phase: Phase, kind: NetErrorKind) -> Self {
        Self { host: host(url), phase, status: None, kind }
    }

    pub(super) fn not_sent(url: &Url, kind: NetErrorKind) -> Self {
        Self::new(url, Phase::NotSent, kind)
    }

    pub(super) fn barred(url: &Url, why: impl Into<String>) -> Self {
        Self::not_sent(url, NetErrorKind::Barred(why.into()))
    }

    /// The same, of a request that another side had been sent before.
    pub(super) fn after_redirect(mut self) -> Self {
        self.phase = self.phase.max(Phase::MaybeSent);
        self
    }

    fn class(&self) -> FaultClass {
        match self.kind {
            NetErrorKind::Unreachable(_) | NetErrorKind::Lost(_) | NetErrorKind::Cut(_) => {
                FaultClass::Transient
            }
            NetErrorKind::Late(_) => FaultClass::Deadline,
            NetErrorKind::Barred(_)
            | NetErrorKind::Malformed(_)
            | NetErrorKind::Oversized(_)
            | NetErrorKind::Redirected(_)
            | NetErrorKind::Unrecorded(_) => FaultClass::Invalid,
        }
    }

    /// The phase of a fault: there, `Answered` means that the answer says what happened. A head does if it refuses; of any other
    /// the rest would have said it, and it is in doubt.
    fn certainty(&self) -> Phase {
        let refuses = self.status.is_some_and(|status| {
            // Somebody else may be at it under the same key.
            status.is_client_error() && status != StatusCode::CONFLICT
        });
        match self.phase {
            Phase::Answered if !refuses => Phase::MaybeSent,
            phase => phase,
        }
    }
}

/// What the kernel is told. Its phase is more cautious than the error's: an answer of which only the head came is taken for one
/// if it refuses, and else the call may have happened.
impl From<NetError> for Fault {
    fn from(error: NetError) -> Self {
        Self::new(error.class(), error.certainty(), error.to_string())
    }
}

/// How far it got, at the end of the message.
struct Stage<'a>(&'a NetError);

impl fmt::Display for Stage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.phase, self.0.status) {
            (Phase::NotSent, _) => f.write_str(" (nothing was sent)"),
            (Phase::MaybeSent, _) => f.write_str(" (it may have been acted on)"),
            (Phase::Answered, Some(status)) => write!(f, " (it had answered {status})"),
            (Phase::Answered, None) => f.write_str(" (it had answered)"),
        }
    }
}

/// Who a URL speaks to, and nothing else of it.
pub(super) fn host(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => "nobody".to_owned(),
    }
}
