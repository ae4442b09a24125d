//! Lists that come in pages: what is on one, and how the next is asked for.

use serde_json::{Value, json};
use soloist_kernel::{
    expression::Expression,
    fault::{Fault, FaultClass, Phase},
};
use url::Url;

use super::{
    answer::Heard,
    fields::Fields,
    request::Written,
    text::{Pick, scalar},
};
use crate::http::answer::excerpt;

/// Most pages of one read, if the declaration does not say less: more is no answer to a question, but a copy of the system.
pub(super) const PAGES_MAX: u32 = 100;

/// Pages of one read when nothing is said.
const PAGES_DEFAULT: u32 = 10;

/// How a list comes in pages.
#[derive(Debug)]
pub(super) struct Pages {
    items: Pick,
    next: Next,
    pub(super) pages_max: u32,
}

#[derive(Debug)]
enum Next {
    /// By the `Link` header, with `rel="next"`.
    Link,
    /// By a parameter of the query, whose value is in the answer.
    Query { name: String, value: Pick },
}

impl Pages {
    pub(super) fn read(mut fields: Fields<'_>) -> Option<Self> {
        let items = fields.required("items", "write where the list is, as in `/results`");
        let items = items.and_then(|text| fields.accept("items", Pick::compile(&text), HELP));
        let next = match fields.value("next") {
            Some(toml::Value::String(word)) if word == "link" => Some(Next::Link),
            Some(toml::Value::Table(table)) => query(fields.nested("next", table)),
            _ => {
                let help =
                    "write \"link\" or { query = \"after\", value = \"/paging/next/after\" }";
                fields.wrong("next", "it does not say how the next page is asked for", help);
                None
            }
        };
        let pages_max = fields.number("pages_max", 1, PAGES_MAX).unwrap_or(PAGES_DEFAULT);
        fields.finish();
        Some(Self { items: items?, next: next?, pages_max })
    }

    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let value = match &self.next {
            Next::Link => None,
            Next::Query { value, .. } => value.expression(),
        };
        self.items.expression().into_iter().chain(value)
    }

    /// What is on the page that was `heard`.
    pub(super) fn items(&self, heard: &Heard) -> Result<Vec<Value>, Fault> {
        match self.items.of(&heard.body, &heard.scope([])).map_err(unfit)? {
            Value::Array(items) => Ok(items),
            other => {
                let other = excerpt(other.to_string().as_bytes());
                Err(unfit(format!("what `pages.items` picks is no list: {other}")))
            }
        }
    }

    /// The request for the page after the one that `asked` brought; `None` if that was the last.
    pub(super) fn next(&self, asked: &Written, heard: &Heard) -> Result<Option<Written>, Fault> {
        let mut url: Url = asked.url.parse().map_err(|_| unfit("the page has no URL"))?;
        match &self.next {
            Next::Link => {
                let Some(target) = heard.answer.texts().find_map(link) else { return Ok(None) };
                let next = url.join(target).map_err(|problem| unfit(problem.to_string()))?;
                // It comes from outside, and the credential goes where it leads.
                if next.origin() != url.origin() {
                    return Err(unfit("the link to the next page leads to another server"));
                }
                url = next;
            }
            Next::Query { name, value } => {
                let value = value.of(&heard.body, &heard.scope([])).map_err(unfit)?;
                let Some(value) = scalar(&value).filter(|text| !text.is_empty()) else {
                    return Ok(None);
                };
                let kept: Vec<(String, String)> =
                    url.query_pairs().into_owned().filter(|(known, _)| known != name).collect();
                url.query_pairs_mut().clear().extend_pairs(kept).append_pair(name, &value);
            }
        }
        Ok(Some(Written { url: url.into(), ..asked.clone() }))
    }
}

/// What the pages come to. Whether there was more is said, so that a part is not taken for the whole.
pub(super) fn joined(items: Vec<Value>, more: bool) -> Value {
    json!({ "items": items, "more": more })
}

const HELP: &str = "write a pointer like `/results` or an expression like `body.results`";

fn query(mut fields: Fields<'_>) -> Option<Next> {
    let name = fields.required("query", "write the parameter's name");
    let value = fields.required("value", "write where its next value is");
    let value = value.and_then(|text| fields.accept("value", Pick::compile(&text), HELP));
    fields.finish();
    Some(Next::Query { name: name?, value: value? })
}

/// The target in `link: <…>; rel="next"`.
fn link<'h>((name, value): (&'h str, &'h str)) -> Option<&'h str> {
    let links = value.split(',').filter(|_| name.eq_ignore_ascii_case("link"));
    links.into_iter().find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let mut parameters = parameters.split(';').map(str::trim);
        let is_next = parameters.any(|it| matches!(it, "rel=next" | "rel=\"next\""));
        is_next.then_some(target)
    })
}

fn unfit(problem: impl Into<String>) -> Fault {
    Fault::new(FaultClass::Bug, Phase::Answered, problem)
}
