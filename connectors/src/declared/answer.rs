//! What an answer of the declared system means: the declaration's own rules first, then what its status says everywhere.

use http::StatusCode;
use serde_json::Value;
use soloist_kernel::{
    expression::{Expression, Scope},
    fault::{Fault, FaultClass, Phase},
    time::Timestamp,
};

use super::{fields::Fields, text::Text};
use crate::{
    arguments::text_of,
    http::answer::{Answer, Asked, excerpt},
};

/// What a rule may say that an answer is.
const CLASSES: [(&str, Option<FaultClass>); 6] = [
    ("ok", None),
    ("transient", Some(FaultClass::Transient)),
    ("throttled", Some(FaultClass::Throttled)),
    ("auth", Some(FaultClass::Auth)),
    ("declined", Some(FaultClass::Declined)),
    ("invalid", Some(FaultClass::Invalid)),
];

const PHASES: [(&str, Phase); 2] =
    [("answered", Phase::Answered), ("maybe_sent", Phase::MaybeSent)];

/// What rules and expressions see of an answer.
pub(super) const SEEN: [&str; 3] = ["status", "headers", "body"];

/// An answer, and what it holds.
pub(super) struct Heard {
    pub(super) answer: Answer,
    /// Its body; if it is no JSON, its text.
    pub(super) body: Value,
    /// That it is no JSON.
    unreadable: Option<Fault>,
}

impl Heard {
    pub(super) fn new(answer: Answer, asked: Asked) -> Self {
        match answer.json(asked) {
            Ok(body) => Self { answer, body, unreadable: None },
            Err(fault) => {
                let body = String::from_utf8_lossy(&answer.body).into_owned().into();
                Self { answer, body, unreadable: Some(fault) }
            }
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.answer.status
    }

    /// What an expression sees of it, besides `more`.
    pub(super) fn scope<'a>(&self, more: impl IntoIterator<Item = (&'a str, Value)>) -> Scope {
        let headers = self.answer.texts().map(|(name, value)| (name.to_owned(), value.into()));
        let headers = Value::Object(headers.collect());
        let status = self.answer.status.as_u16().into();
        let own = [("status", status), ("headers", headers), ("body", self.body.clone())];
        Scope::new(own.into_iter().chain(more))
    }
}

/// What an answer means that fits it.
#[derive(Debug)]
pub(super) struct Rule {
    statuses: Vec<StatusCode>,
    when: Option<Expression>,
    /// The fault that it is; `None` for a success.
    class: Option<FaultClass>,
    phase: Option<Phase>,
    message: Option<Text>,
}

impl Rule {
    pub(super) fn read(mut fields: Fields<'_>) -> Option<Self> {
        let statuses = statuses(&mut fields);
        let when = fields.text("when").and_then(|text| {
            fields.accept("when", Expression::compile(&text), "write it as in `body.error`")
        });
        if statuses.is_empty() && when.is_none() {
            fields.wrong_here("it fits every answer", "say by `status` or `when` which it is for");
        }
        if !fields.has("class") {
            fields.wrong("class", "it is missing", "write what the answer means, as in `declined`");
        }
        let class = fields.choice("class", &CLASSES);
        let phase = fields.choice("phase", &PHASES);
        let message = fields.text("message").and_then(|text| {
            fields.accept("message", Text::compile(&text), "write a text with `{{ … }}` in it")
        });
        fields.finish();
        Some(Self { statuses, when, class: class?, phase, message })
    }

    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let message = self.message.iter().flat_map(Text::expressions);
        self.when.iter().chain(message)
    }

    fn fits(&self, heard: &Heard, scope: &Scope) -> Result<bool, String> {
        let fits = self.statuses.is_empty() || self.statuses.contains(&heard.status());
        let holds = |when: &Expression| when.holds(scope).map_err(|problem| problem.to_string());
        Ok(fits && self.when.as_ref().map_or(Ok(true), holds)?)
    }

    /// The fault of an answer that it fits, of which the shared map says `usual`.
    fn fault(&self, class: FaultClass, asked: Asked, usual: Option<Fault>, scope: &Scope) -> Fault {
        // A failure that passes may have come after the deed, unless the declaration knows better.
        let phase = self.phase.unwrap_or(match class {
            FaultClass::Transient => asked.unclear(),
            _ => Phase::Answered,
        });
        let said = self.message.as_ref().and_then(|text| text.fill(scope).ok());
        let message = match (said, &usual) {
            (Some(said), _) => excerpt(text_of(&said).as_bytes()),
            (None, Some(usual)) => usual.message.clone(),
            (None, None) => "its answer says that it was not done".to_owned(),
        };
        let retry_at = usual.and_then(|usual| usual.retry_at).filter(|_| class.passes());
        Fault { retry_at, ..Fault::new(class, phase, message) }
    }
}

/// Whether `heard` is a success, by the first of `rules` that fits, and else by its status and its body.
pub(super) fn judge<'r>(
    heard: &Heard,
    rules: impl Iterator<Item = &'r Rule>,
    asked: Asked,
    now: Timestamp,
) -> Result<(), Fault> {
    let usual = heard.answer.fault(asked, now);
    let scope = heard.scope([]);
    for rule in rules {
        let fits = rule.fits(heard, &scope);
        // Whether it succeeded cannot be told.
        if fits.map_err(|problem| Fault::new(FaultClass::Bug, asked.unclear(), problem))? {
            return match rule.class {
                None => Ok(()),
                Some(class) => Err(rule.fault(class, asked, usual, &scope)),
            };
        }
    }
    usual.or(heard.unreadable.clone()).map_or(Ok(()), Err)
}

/// The numbers in `status`: one, or a list.
fn statuses(fields: &mut Fields<'_>) -> Vec<StatusCode> {
    let help = "write a status or a list of them, as in [404, 410]";
    let given = match fields.value("status") {
        None => return vec![],
        Some(toml::Value::Array(list)) => list,
        Some(one) => vec![one],
    };
    let read = |value: toml::Value| {
        let number = value.as_integer().and_then(|number| u16::try_from(number).ok());
        let status = number.and_then(|number| StatusCode::from_u16(number).ok());
        if status.is_none() {
            fields.wrong("status", format!("{value} is no status"), help);
        }
        status
    };
    given.into_iter().filter_map(read).collect()
}
