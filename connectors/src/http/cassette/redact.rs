//! What of an exchange is nobody else's business.

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderName, header};
use serde_json::Value;
use url::form_urlencoded;

use super::super::request::{Request, is_secret};

/// How a body is framed is not kept: without its secrets it has another length.
const FRAMING: [HeaderName; 2] = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];

/// What stands in the place of a secret.
const BLANK: &str = "redacted";

/// A shorter value may stand anywhere by chance, and would take other text with it.
const SECRET_BYTES_MIN: usize = 8;

/// Which fields of queries, forms and JSON hold secrets. Headers that are sensitive, and `set-cookie`, are known without.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    fields: BTreeSet<String>,
}

impl Redaction {
    /// Headers alone.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with the fields that are called `name`, at any depth, of requests and answers.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>) -> Self {
        self.fields.insert(name.into());
        self
    }

    /// With the secrets of a request, which are blanked wherever they occur: the values of its sensitive headers, and those of
    /// its fields that are named here.
    pub(super) fn with_secrets_of(&self, request: &Request, body: &[u8]) -> Secrets<'_> {
        let mut secrets = Secrets { redaction: self, values: vec![] };
        for (name, value) in &request.headers {
            let Ok(text) = value.to_str() else { continue };
            if is_secret(name, value) {
                // `Bearer TOKEN`: the token is the secret, and may be elsewhere by itself.
                secrets.values.extend(text.split_once(' ').map(|(_, token)| token.to_owned()));
                secrets.values.push(text.to_owned());
            }
        }
        let query = request.url.query().unwrap_or_default().as_bytes();
        for encoded in [query, body] {
            let fields = form_urlencoded::parse(encoded).filter(|(name, _)| secrets.is_field(name));
            let values: Vec<String> = fields.map(|(_, value)| value.into_owned()).collect();
            secrets.values.extend(values);
        }
        if let Ok(json) = serde_json::from_slice(body) {
            secrets.learn(&json);
        }
        secrets.values.retain(|value| value.len() >= SECRET_BYTES_MIN);
        secrets
    }
}

/// What is secret in one exchange.
pub(super) struct Secrets<'a> {
    redaction: &'a Redaction,
    values: Vec<String>,
}

impl Secrets<'_> {
    pub(super) fn headers(&self, headers: &HeaderMap) -> Vec<(String, String)> {
        let kept = headers.iter().filter(|(name, _)| !FRAMING.contains(name));
        let shown = kept.map(|(name, value)| {
            let text = String::from_utf8_lossy(value.as_bytes());
            let is_blank = is_secret(name, value) || *name == header::SET_COOKIE;
            let text = if is_blank { BLANK.to_owned() } else { self.text(&text) };
            (name.to_string(), text)
        });
        shown.collect()
    }

    pub(super) fn fields(&self, encoded: &[u8]) -> Vec<(String, String)> {
        let shown = form_urlencoded::parse(encoded).map(|(name, value)| {
            let value = if self.is_field(&name) { BLANK.to_owned() } else { self.text(&value) };
            (name.into_owned(), value)
        });
        shown.collect()
    }

    /// A body: JSON with its keys in order, a form, any other text, or bytes as they are.
    pub(super) fn body(&self, headers: &HeaderMap, bytes: &[u8]) -> Result<String, Vec<u8>> {
        if let Ok(mut json) = serde_json::from_slice::<Value>(bytes) {
            self.json(&mut json);
            return Ok(json.to_string());
        }
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
            let fields = self.fields(bytes);
            return Ok(form_urlencoded::Serializer::new(String::new())
                .extend_pairs(fields)
                .finish());
        }
        std::str::from_utf8(bytes).map(|text| self.text(text)).map_err(|_| bytes.to_vec())
    }

    /// `text` without the values that are secret.
    pub(super) fn text(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, secret| text.replace(secret, BLANK))
    }

    fn json(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    if self.is_field(name) { *value = BLANK.into() } else { self.json(value) }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.json(value)),
            Value::String(text) => *text = self.text(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Takes the texts in the fields that are secret.
    fn learn(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(text) if self.is_field(name) => {
                            self.values.push(text.clone())
                        }
                        _ => self.learn(value),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.learn(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn is_field(&self, name: &str) -> bool {
        self.redaction.fields.contains(name)
    }
}
