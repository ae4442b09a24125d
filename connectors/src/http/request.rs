//! What is asked: a request, how long it may take, how much may come back, and where it may go.

use std::{fmt, io, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::Instant,
};
use url::Url;

use super::{
    error::{NetError, NetErrorKind, host},
    reach::Reach,
};

/// How long a request may take when nothing else is said: longer than a slow page of a CRM takes, shorter than a
/// [`call_timeout`](crate::Manifest::call_timeout) of a minute, so that the connector says what happened and not its caller.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// How large an answer may be when nothing else is said. A page of JSON is far below; what is above is a mistake or an attack.
pub const RESPONSE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Headers that say who we are, whether they were marked as secret or not.
const CREDENTIALS: [HeaderName; 5] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
];

/// What is asked of another machine. It is sent once.
pub struct Request {
    /// What to do.
    pub method: Method,
    /// With what. Its fragment is not sent.
    pub url: Url,
    /// What is said of it. What is marked as sensitive is shown nowhere and does not follow a redirect to another origin; headers
    /// that frame a message, and `host`, are the transport's own.
    pub headers: HeaderMap,
    /// What comes with it.
    pub body: Body,
    /// How long it may take, from the first look for the host's address to the last byte of the answer.
    pub timeout: Duration,
    /// How large the body of the answer may be.
    pub response_bytes_max: u64,
    /// Where it may go, redirects included.
    pub reach: Reach,
    /// Whether it may be sent on a connection that was used before. At first, whether its method changes nothing. Set it for a
    /// `POST` that changes nothing either, such as a question to a model, to spare the handshake.
    pub shares_connection: bool,
}

impl Request {
    /// A request without headers and body, with [`TIMEOUT`], [`RESPONSE_BYTES_MAX`] and [`Reach::public`].
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            shares_connection: method.is_safe(),
            method,
            url,
            headers: HeaderMap::new(),
            body: Body::Empty,
            timeout: TIMEOUT,
            response_bytes_max: RESPONSE_BYTES_MAX,
            reach: Reach::public(),
        }
    }

    /// A `GET`.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// The same, with a header in place of any other of that name. One that is known for credentials is marked as sensitive.
    ///
    /// # Errors
    ///
    /// [`NetErrorKind::Malformed`] names the header whose value cannot be sent, and not the value.
    pub fn header(mut self, name: HeaderName, value: &str) -> Result<Self, NetError> {
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            let why = format!("the value of `{name}` holds what a header cannot");
            NetError::not_sent(&self.url, NetErrorKind::Malformed(why))
        })?;
        value.set_sensitive(is_secret(&name, &value));
        self.headers.insert(name, value);
        Ok(self)
    }

    /// The same, with a header whose value is shown nowhere.
    ///
    /// # Errors
    ///
    /// As [`header`](Self::header).
    pub fn secret(mut self, name: HeaderName, value: &str) -> Result<Self, NetError> {
        self = self.header(name.clone(), value)?;
        if let Some(value) = self.headers.get_mut(name) {
            value.set_sensitive(true);
        }
        Ok(self)
    }

    /// The same, with `value` as its body.
    #[must_use]
    pub fn json(self, value: &Value) -> Self {
        self.body("application/json", value.to_string())
    }

    /// The same, with `bytes` as its body.
    #[must_use]
    pub fn body(mut self, content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = Body::Bytes(bytes.into());
        self
    }

    /// The same, which may go to `reach`.
    #[must_use]
    pub fn within(mut self, reach: Reach) -> Self {
        self.reach = reach;
        self
    }

    /// The same, which may take `timeout`.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The limits of the answer, of which the time begins now.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            host: host(&self.url),
            timeout: self.timeout,
            // Nothing waits for a century, and an instant has no room for what is longer.
            deadline: Instant::now() + self.timeout.min(Duration::from_secs(100 * 365 * 86_400)),
            bytes_max: self.response_bytes_max,
        }
    }
}

/// How long an answer may take and how large it may be. From [`Request::limits`].
#[derive(Clone, Debug)]
pub struct Limits {
    pub(super) host: String,
    pub(super) timeout: Duration,
    pub(super) deadline: Instant,
    pub(super) bytes_max: u64,
}

/// What comes with a request.
#[derive(Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// These bytes.
    Bytes(Bytes),
    /// What is read, as it is read.
    Stream {
        /// From where. If it fails, the request fails, and may have been acted on.
        reader: Box<dyn AsyncRead + Send + Sync + Unpin>,
        /// How much there is to read, if that is known. Less than that is an error.
        length: Option<u64>,
    },
}

impl Body {
    /// All of it.
    ///
    /// # Errors
    ///
    /// The stream could not be read.
    pub async fn bytes(self) -> io::Result<Bytes> {
        match self {
            Self::Empty => Ok(Bytes::new()),
            Self::Bytes(bytes) => Ok(bytes),
            Self::Stream { mut reader, .. } => {
                let mut bytes = vec![];
                reader.read_to_end(&mut bytes).await?;
                Ok(bytes.into())
            }
        }
    }
}

/// Whether a header holds a secret.
pub(super) fn is_secret(name: &HeaderName, value: &HeaderValue) -> bool {
    value.is_sensitive() || CREDENTIALS.contains(name)
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("host", &host(&self.url))
            .field("path", &self.url.path())
            .field("headers", &Shown(&self.headers))
            .field("body", &self.body)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Headers without their secrets.
struct Shown<'a>(&'a HeaderMap);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.iter().map(|(name, value)| {
                let mut value = value.clone();
                value.set_sensitive(is_secret(name, &value));
                (name, value)
            }))
            .finish()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Stream { length, .. } => write!(f, "Stream({length:?})"),
        }
    }
}
