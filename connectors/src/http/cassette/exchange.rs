//! A line of a cassette: what was asked and answered, without secrets, in a form that can be compared.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    super::{
        request::{Limits, Request},
        response::Response,
    },
    redact::Secrets,
};

/// The format of the lines that are written, and the only one that is read.
pub(super) const FORMAT: u32 = 1;

/// One exchange.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exchange {
    pub(super) format: u32,
    pub(super) request: Asked,
    pub(super) answer: Answered,
}

impl Exchange {
    pub(super) fn new(request: Asked, answer: Answered) -> Self {
        Self { format: FORMAT, request, answer }
    }
}

/// What was asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    /// Sorted, so that the order in which they were written does not matter.
    pub(super) query: Vec<(String, String)>,
    /// For people. They are not compared: dates, agents and traces change from one call to the next.
    pub(super) headers: Vec<(String, String)>,
    /// For people.
    pub(super) body: Text,
    /// Of the body without its secrets; empty if there is none.
    pub(super) body_hash: String,
}

impl Asked {
    pub(super) fn of(request: &Request, body: &[u8], secrets: &Secrets<'_>) -> Self {
        let Request { method, url, headers, .. } = request;
        let body = Text::from(secrets.body(headers, body));
        Self {
            method: method.to_string(),
            path: secrets.text(url.path()),
            query: query(url, secrets),
            headers: secrets.headers(headers),
            body_hash: body.hash(),
            body,
        }
    }

    /// What of `other` is not the same.
    pub(super) fn differs(&self, other: &Self) -> Vec<String> {
        let mut differences = vec![];
        if self.method != other.method {
            differences.push("method".to_owned());
        }
        if self.path != other.path {
            differences.push("path".to_owned());
        }
        let fields = |one: &Self, other: &Self| -> Vec<String> {
            let only = one.query.iter().filter(|field| !other.query.contains(field));
            only.map(|(name, _)| format!("query field `{name}`")).collect()
        };
        differences.extend(fields(self, other));
        differences.extend(fields(other, self));
        differences.dedup();
        if differences.is_empty() && self.query != other.query {
            differences.push("number of equal query fields".to_owned());
        }
        if self.body_hash != other.body_hash {
            differences.push("body".to_owned());
        }
        differences
    }
}

fn query(url: &Url, secrets: &Secrets<'_>) -> Vec<(String, String)> {
    let mut query = secrets.fields(url.query().unwrap_or_default().as_bytes());
    query.sort();
    query
}

/// What was answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Text,
}

impl Answered {
    pub(super) fn of(
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        secrets: &Secrets<'_>,
    ) -> Self {
        let body = secrets.body(headers, body).into();
        Self { status: status.as_u16(), headers: secrets.headers(headers), body }
    }

    pub(super) fn response(&self, limits: Limits) -> Result<Response, String> {
        let status = StatusCode::from_u16(self.status).map_err(|error| error.to_string())?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
            let value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
            headers.append(name, value);
        }
        Ok(Response::new(limits, status, headers, self.body.bytes().to_vec()))
    }

    /// Whether it can be read, and so given.
    pub(super) fn check(&self, asked: &Asked) -> Result<(), String> {
        let method = Method::try_from(asked.method.as_str()).map_err(|error| error.to_string())?;
        let url = Url::parse("http://a.example").expect("a scheme and a host");
        self.response(Request::new(method, url).limits()).map(drop)
    }
}

/// Text where it is text, so that people can read it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Text {
    Text(String),
    Bytes(Vec<u8>),
}

impl Text {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    fn hash(&self) -> String {
        match self.bytes() {
            [] => String::new(),
            bytes => blake3::hash(bytes).to_hex().to_string(),
        }
    }
}

impl From<Result<String, Vec<u8>>> for Text {
    fn from(body: Result<String, Vec<u8>>) -> Self {
        body.map_or_else(Self::Bytes, Self::Text)
    }
}
