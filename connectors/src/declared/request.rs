//! A request as a declaration says it, and as it is written down: exactly what will leave, but for the credential.
//!
//! The rule: **an argument stays where it was put**. What fills a part of a path is encoded so that it can neither end its
//! segment nor be `..`, what fills a query is one value of it, and a header holds no line of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use soloist_kernel::{
    expression::{Expression, Scope},
    fault::{Fault, FaultClass, Phase},
};
use url::form_urlencoded::byte_serialize;

use super::{
    fields::Fields,
    text::{Part, Shape, Text, scalar},
};
use crate::{
    arguments::invalid,
    http::{Body, Bytes, HeaderName, HeaderValue, Method, Request, Url, header},
};

/// Methods that a declaration may name.
const METHODS: [(&str, &Method); 6] = [
    ("GET", &Method::GET),
    ("HEAD", &Method::HEAD),
    ("POST", &Method::POST),
    ("PUT", &Method::PUT),
    ("PATCH", &Method::PATCH),
    ("DELETE", &Method::DELETE),
];

/// Headers that are not a declaration's to say, and who says them.
const NOT_OURS: [(HeaderName, &str); 9] = [
    (header::AUTHORIZATION, "say it in `credential`"),
    (header::PROXY_AUTHORIZATION, "there are no proxies"),
    (header::COOKIE, "a credential belongs into `credential`"),
    (header::HOST, "it is the `base`'s"),
    (header::CONTENT_LENGTH, "it is the body's"),
    (header::TRANSFER_ENCODING, "it is the body's"),
    (header::CONNECTION, "it is the transport's"),
    (header::TE, "it is the transport's"),
    (header::UPGRADE, "it is the transport's"),
];

/// What is to be asked, with holes for what a call is given.
#[derive(Debug)]
pub(super) struct RequestShape {
    pub(super) method: Method,
    path: Vec<Segment>,
    query: BTreeMap<String, Shape>,
    pub(super) headers: BTreeMap<String, Text>,
    body: Option<BodyShape>,
}

/// What is between two slashes of a path.
type Segment = Vec<Part>;

#[derive(Debug)]
enum BodyShape {
    Json(Shape),
    Form(Shape),
}

impl RequestShape {
    /// Reads `method`, `path`, `query`, `headers`, and `json` or `form`.
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let method = fields.required("method", "write GET, POST, PUT, PATCH or DELETE");
        let method = method.and_then(|word| {
            let known = METHODS.iter().find(|(name, _)| *name == word);
            if known.is_none() {
                fields.unknown("method", &word, METHODS.iter().map(|(name, _)| *name));
            }
            known.map(|(_, method)| (*method).clone())
        });
        let path = fields.required("path", "write what follows the `base`, as in `/contacts`");
        let help = "write it as in `/contacts/{{ arguments.id }}`";
        let path = path.and_then(|path| fields.accept("path", segments(&path), help));
        let query = fields.table("query").map(query);
        let headers = fields.table("headers").map(headers);
        let body = body(fields);
        Some(Self {
            method: method?,
            path: path?,
            query: query.unwrap_or_default(),
            headers: headers.unwrap_or_default(),
            body,
        })
    }

    /// The same, in which no value of the query is left out: it would find more than what is looked for.
    pub(super) fn never_wider(mut self) -> Self {
        let strict = |shape| match shape {
            Shape::Text(text) => Shape::Text(text.never_left_out()),
            other => other,
        };
        self.query = self.query.into_iter().map(|(name, shape)| (name, strict(shape))).collect();
        self
    }

    /// The expressions that say where it goes.
    pub(super) fn in_path(&self) -> impl Iterator<Item = &Expression> {
        self.path.iter().flatten().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Value(expression) => Some(expression),
        })
    }

    /// The expressions of each field.
    pub(super) fn fields(&self) -> [(&'static str, Vec<&Expression>); 4] {
        let query = self.query.values().flat_map(Shape::expressions).collect();
        let headers = self.headers.values().flat_map(Text::expressions).collect();
        let body = match &self.body {
            None => ("json", vec![]),
            Some(BodyShape::Json(shape)) => ("json", shape.expressions()),
            Some(BodyShape::Form(shape)) => ("form", shape.expressions()),
        };
        [("path", self.in_path().collect()), ("query", query), ("headers", headers), body]
    }

    pub(super) fn expressions(&self) -> Vec<&Expression> {
        self.fields().into_iter().flat_map(|(_, expressions)| expressions).collect()
    }

    /// The request, filled from `scope` and with `always` among its headers, if it does not say them otherwise.
    pub(super) fn write(
        &self,
        base: &Url,
        always: &BTreeMap<String, String>,
        scope: &Scope,
    ) -> Result<Written, Fault> {
        let mut url = base.as_str().trim_end_matches('/').to_owned();
        for segment in &self.path {
            url.push('/');
            url.push_str(&filled_segment(segment, scope).map_err(invalid)?);
        }
        let query = self.filled_query(scope).map_err(invalid)?;
        if !query.is_empty() {
            url.push('?');
            url.push_str(&encoded(&query));
        }
        // The parser has the last word on what a URL means, and it must be what was written.
        if Url::parse(&url).ok().as_ref().map(Url::as_str) != Some(url.as_str()) {
            return Err(invalid("the arguments make no path and query that are sent as they are"));
        }
        let mut headers = always.clone();
        let body = self.body.as_ref().map(|body| body.fill(scope)).transpose().map_err(invalid)?;
        if let Some((kind, _)) = body {
            headers.insert(header::CONTENT_TYPE.to_string(), kind.to_owned());
        }
        for (name, text) in &self.headers {
            let value = text.fill(scope).map_err(invalid)?;
            if !value.is_null() {
                headers.insert(name.clone(), header_value(name, &value)?);
            }
        }
        let body = body.map(|(_, body)| body);
        Ok(Written { method: self.method.to_string(), url, headers, body })
    }

    fn filled_query(&self, scope: &Scope) -> Result<Vec<(String, String)>, String> {
        let mut query = vec![];
        for (name, shape) in &self.query {
            let values = match shape.fill(scope)? {
                Value::Array(values) => values,
                Value::Null => vec![],
                value => vec![value],
            };
            for value in values {
                let text = scalar(&value);
                let text = text.ok_or_else(|| format!("query `{name}` is {value}, and no text"));
                query.push((name.clone(), text?));
            }
        }
        Ok(query)
    }
}

impl BodyShape {
    /// Its content type and its bytes, which are text.
    fn fill(&self, scope: &Scope) -> Result<(&'static str, String), String> {
        match self {
            Self::Json(shape) => Ok(("application/json", shape.fill(scope)?.to_string())),
            Self::Form(shape) => {
                let mut fields = vec![];
                flatten("", &shape.fill(scope)?, &mut fields);
                Ok(("application/x-www-form-urlencoded", encoded(&fields)))
            }
        }
    }
}

/// `{"a": {"b": [1]}}` as forms have it: `a[b][0]=1`.
fn flatten(name: &str, value: &Value, fields: &mut Vec<(String, String)>) {
    let beneath = |key: &str| match name {
        "" => key.to_owned(),
        name => format!("{name}[{key}]"),
    };
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| flatten(&beneath(key), value, fields));
        }
        Value::Array(entries) => {
            let numbered = entries.iter().enumerate();
            numbered.for_each(|(at, entry)| flatten(&beneath(&at.to_string()), entry, fields));
        }
        value => fields.push((name.to_owned(), scalar(value).unwrap_or_default())),
    }
}

fn encoded(pairs: &[(String, String)]) -> String {
    let pair = |(name, value): &(String, String)| {
        let (name, value) = (byte_serialize(name.as_bytes()), byte_serialize(value.as_bytes()));
        format!("{}={}", name.collect::<String>(), value.collect::<String>())
    };
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// A segment as it is sent. What is in it from an argument is encoded, and it is never empty, `.` or `..`, which would lead to
/// another place.
fn filled_segment(segment: &Segment, scope: &Scope) -> Result<String, String> {
    let mut filled = String::new();
    for part in segment {
        match part {
            Part::Literal(text) => filled.push_str(text),
            Part::Value(_) => {
                let text = part.fill(scope)?;
                let encoded: String = byte_serialize(text.as_bytes()).collect();
                filled.push_str(&encoded.replace('+', "%20"));
            }
        }
    }
    let is_filled = segment.iter().any(|part| matches!(part, Part::Value(_)));
    if is_filled && ["", ".", ".."].contains(&filled.as_str()) {
        return Err(format!("a part of the path would be {filled:?}, which leads elsewhere"));
    }
    Ok(filled)
}

fn header_value(name: &str, value: &Value) -> Result<String, Fault> {
    let text = scalar(value);
    let text = text.ok_or_else(|| invalid(format!("header `{name}` is {value}, and no text")))?;
    let is_plain = text.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    if !is_plain || text.trim() != text {
        return Err(invalid(format!("header `{name}` would hold what a header cannot: {text:?}")));
    }
    Ok(text)
}

/// The parts of a path. They are split where the declaration has slashes, before anything is filled in.
fn segments(path: &str) -> Result<Vec<Segment>, String> {
    let Some(path) = path.strip_prefix('/') else {
        return Err("a path begins with `/`".to_owned());
    };
    let mut segments = vec![Segment::new()];
    for part in Text::compile(path)?.0 {
        let Part::Literal(text) = part else {
            segments.last_mut().expect("there is a first").push(part);
            continue;
        };
        for (at, piece) in text.split('/').enumerate() {
            if at > 0 {
                segments.push(vec![]);
            }
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~%!$&'()*+,;=:@".contains(c);
            if let Some(wrong) = piece.chars().find(|c| !is_plain(*c)) {
                return Err(match wrong {
                    '?' => "a query belongs into `query`".to_owned(),
                    _ => format!("{wrong:?} has to be percent-encoded in a path"),
                });
            }
            if [".", ".."].contains(&piece) {
                return Err("`.` and `..` lead elsewhere".to_owned());
            }
            if !piece.is_empty() {
                let piece = Part::Literal(piece.to_owned());
                segments.last_mut().expect("there is a first").push(piece);
            }
        }
    }
    Ok(segments)
}

fn query(mut fields: Fields<'_>) -> BTreeMap<String, Shape> {
    let table = fields.rest();
    let shape = |(name, value): (String, toml::Value)| {
        let shape = fields.accept(&name, Shape::compile(&value), "write a text or a list of texts");
        Some((name, shape?))
    };
    table.into_iter().filter_map(shape).collect()
}

/// Reads a table of headers, by their names in lower case.
pub(super) fn headers(mut fields: Fields<'_>) -> BTreeMap<String, Text> {
    let table = fields.rest();
    let read =
        |(given, value): (String, toml::Value)| {
            let name = given.parse::<HeaderName>();
            let name = fields.accept(&given, name, "write a header's name")?;
            if let Some((_, whose)) = NOT_OURS.iter().find(|(ours, _)| *ours == name) {
                fields.wrong(&given, "it is not said here", *whose);
                return None;
            }
            let toml::Value::String(text) = value else {
                return fields.misfit(&given, &value, "a text");
            };
            let text =
                fields.accept(&given, Text::compile(&text), "write a text with `{{ … }}` in it")?;
            if text.0.iter().any(
                |part| matches!(part, Part::Literal(text) if HeaderValue::from_str(text).is_err()),
            ) {
                fields.wrong(&given, "it holds what a header cannot", "write it on one line");
                return None;
            }
            Some((name.to_string(), text))
        };
    table.into_iter().filter_map(read).collect()
}

fn body(fields: &mut Fields<'_>) -> Option<BodyShape> {
    if fields.has("json") && fields.has("form") {
        fields.wrong("form", "there is `json` as well", "write one of them");
    }
    let mut shape = |key| {
        let shape = Shape::compile(&fields.value(key)?);
        fields.accept(key, shape, "write a table of texts with `{{ … }}` in them")
    };
    let (json, form) = (shape("json"), shape("form"));
    if let Some(Shape::Literal(_) | Shape::List(_)) = form {
        fields.wrong("form", "it has no names", "write a table");
    }
    json.map(BodyShape::Json).or(form.map(BodyShape::Form))
}

/// A request as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<String>,
}

impl Written {
    /// The same, to be sent.
    pub(super) fn request(&self) -> Result<Request, Fault> {
        let broken = |problem: String| {
            Fault::new(FaultClass::Bug, Phase::NotSent, format!("what was planned: {problem}"))
        };
        let method: Method = self.method.parse().map_err(|_| broken(self.method.clone()))?;
        let url: Url = self.url.parse().map_err(|_| broken("it has no URL".to_owned()))?;
        let mut request = Request::new(method, url);
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().map_err(|_| broken(name.clone()))?;
            request = request.header(name, value)?;
        }
        if let Some(body) = &self.body {
            request.body = Body::Bytes(Bytes::from(body.clone()));
        }
        Ok(request)
    }
}
