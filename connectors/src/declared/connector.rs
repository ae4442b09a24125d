//! The connector that comes of a declaration: it plans by writing the request down, and sends what it has written.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use soloist_kernel::{
    catalog::Operation,
    expression::{Expression, Scope},
    fault::{Fault, FaultClass, Phase},
    id::{IdempotencyKey, OperationName},
    labels::{Labeled, Labels},
    payload::Payload,
    time::Timestamp,
};

use super::{
    answer::{Heard, Rule, judge},
    operation::Spec,
    pages::{Pages, joined},
    problem::Problem,
    read,
    request::Written,
    secret::Credential,
    text::picked,
};
use crate::{
    arguments::{Arguments, invalid, text_of},
    contract::{Compensation, Connector, Done, Intent, Manifest, Plan, Probe},
    env::Env,
    http::{
        HeaderValue, Reach, Url,
        answer::{Answer, Asked},
    },
};

/// A connector that is declared in TOML.
#[derive(Debug)]
pub struct Declared {
    pub(super) name: String,
    pub(super) manifest: Manifest,
    pub(super) base: Url,
    pub(super) reach: Reach,
    pub(super) timeout: Duration,
    /// Sent with every request.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) credential: Option<Credential>,
    /// What answers mean, whatever was asked; those of an operation come first.
    pub(super) answers: Vec<Rule>,
    /// Of what is read.
    pub(super) labels: Labels,
    pub(super) operations: BTreeMap<OperationName, Spec>,
}

/// A write as it is written down: what leaves, and what it takes to find it again.
#[derive(Serialize, Deserialize)]
struct Planned {
    request: Written,
    arguments: Map<String, Value>,
    at: Timestamp,
}

impl Declared {
    /// Reads and checks `text`, which is what `file` holds. Files of secrets are looked for beside it when they are needed.
    ///
    /// # Errors
    ///
    /// Every [`Problem`] there is.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        read::read(file, text)
    }

    /// What it is to be mounted as.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is declared of `operation`, which must be a read or must not.
    fn spec(&self, operation: &OperationName, is_read: bool) -> Result<&Spec, Fault> {
        self.manifest.operation(operation)?;
        let spec = self.operations.get(operation).expect("the manifest is made of these");
        if spec.is_read() == is_read {
            return Ok(spec);
        }
        let (is, so) = if is_read { ("writes", "propose it") } else { ("reads", "read it") };
        Err(invalid(format!("`{operation}` {is}; {so} instead")))
    }

    /// The write of `plan`, as it was written down.
    fn planned(&self, plan: &Plan) -> Result<(&Spec, Planned), Fault> {
        let spec = self.spec(&plan.operation, false)?;
        let planned = serde_json::from_slice(&plan.bytes);
        let planned = planned.map_err(|problem| {
            invalid(format!("the bytes of the plan are not of this connector: {problem}"))
        })?;
        Ok((spec, planned))
    }

    /// Makes one attempt, and returns what was answered, whatever it means.
    async fn send(&self, env: &Env, written: &Written, asked: Asked) -> Result<Heard, Fault> {
        env.perturb().await;
        let request = written.request()?.within(self.reach.clone()).timeout(self.timeout);
        if request.url.origin() != self.base.origin() {
            let message = "what was planned leads to another server than the credential is for";
            return Err(Fault::new(FaultClass::Bug, Phase::NotSent, message));
        }
        let request = match &self.credential {
            Some(credential) => credential.sign(request)?,
            None => request,
        };
        let response = env.http().send(request).await.map_err(|error| self.told(error.into()))?;
        let answer = Answer::of(response).await.map_err(|error| self.told(error.into()))?;
        env.limits(answer.hints(env.now()));
        Ok(Heard::new(self.hidden(answer), asked))
    }

    /// `answer` without the secret, should it repeat it.
    fn hidden(&self, mut answer: Answer) -> Answer {
        let Some(credential) = &self.credential else { return answer };
        let hidden = credential.hide(&String::from_utf8_lossy(&answer.body));
        if hidden.as_bytes() != &*answer.body {
            answer.body = hidden.into();
        }
        for value in answer.headers.values_mut() {
            let hidden = value.to_str().map(|text| (text, credential.hide(text)));
            if let Ok((text, hidden)) = hidden
                && text != hidden
            {
                *value = HeaderValue::try_from(hidden).unwrap_or(HeaderValue::from_static(""));
            }
        }
        answer
    }

    /// `fault` as it is told: without the secret.
    fn told(&self, mut fault: Fault) -> Fault {
        if let Some(credential) = &self.credential {
            fault.message = credential.hide(&fault.message);
        }
        fault
    }

    /// Whether `heard` is a success. The fault names who answered.
    fn judged(
        &self,
        heard: &Heard,
        rules: &[Rule],
        asked: Asked,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let judged = judge(heard, rules.iter().chain(&self.answers), asked, now);
        judged.map_err(|fault| {
            let host = self.base.host_str().unwrap_or_default();
            Fault { message: format!("{host}: {}", fault.message), ..fault }
        })
    }

    /// The pages of a list, joined.
    async fn paged(
        &self,
        env: &Env,
        spec: &Spec,
        pages: &Pages,
        first: Written,
    ) -> Result<Heard, Fault> {
        let (mut items, mut asked) = (vec![], first);
        for page in 1.. {
            let mut heard = self.send(env, &asked, Asked::Read).await?;
            self.judged(&heard, &spec.answers, Asked::Read, env.now())?;
            items.extend(pages.items(&heard)?);
            let next = pages.next(&asked, &heard)?;
            match next {
                Some(next) if page < pages.pages_max => asked = next,
                rest => {
                    heard.body = joined(items, rest.is_some());
                    return Ok(heard);
                }
            }
        }
        unreachable!("a read ends with its last page")
    }
}

#[async_trait]
impl Connector for Declared {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn read(
        &self,
        env: &Env,
        operation: &OperationName,
        arguments: &Payload,
    ) -> Result<Labeled<Payload>, Fault> {
        let spec = self.spec(operation, true)?;
        let arguments = checked(&spec.declared, arguments)?;
        let given = || [("arguments", filled(&spec.declared, arguments.clone()))];
        let written = spec.request.write(&self.base, &self.headers, &Scope::new(given()))?;
        let heard = match &spec.pages {
            Some(pages) => self.paged(env, spec, pages, written).await?,
            None => {
                let heard = self.send(env, &written, Asked::Read).await?;
                self.judged(&heard, &spec.answers, Asked::Read, env.now())?;
                heard
            }
        };
        let result = picked(spec.result.as_ref(), &heard.body, &heard.scope(given()));
        let result = result.and_then(|value| Payload::of(&value).map_err(|it| it.to_string()));
        let result = result.map_err(|problem| {
            Fault::new(FaultClass::Bug, Phase::Answered, format!("the answer: {problem}"))
        });
        Ok(Labeled::new(result?, self.labels.clone()))
    }

    fn plan(&self, intent: &Intent) -> Result<Plan, Fault> {
        let spec = self.spec(&intent.operation, false)?;
        let arguments = Arguments::check(&spec.declared, &intent.arguments)?;
        let routing = arguments.routing(&spec.declared);
        if let Some((name, _)) = routing.iter().find(|(_, text)| text.contains(char::is_control)) {
            return Err(invalid(format!("argument `{name}` holds a control character; remove it")));
        }
        let arguments: Map<String, Value> = arguments.parse()?;
        let given = given(&spec.declared, &arguments, &intent.key, intent.at);
        let request = spec.request.write(&self.base, &self.headers, &Scope::new(given))?;
        let preview = preview(&spec.declared, &request, &arguments);
        let planned = Planned { request, arguments, at: intent.at };
        let bytes = serde_json::to_vec(&planned).expect("a request is plain data");
        Ok(Plan {
            operation: intent.operation.clone(),
            key: intent.key.clone(),
            routing,
            preview,
            bytes: bytes.into(),
        })
    }

    async fn execute(&self, env: &Env, plan: &Plan, _attempt: u32) -> Result<Payload, Fault> {
        let (spec, planned) = self.planned(plan)?;
        let heard = self.send(env, &planned.request, Asked::Write).await?;
        self.judged(&heard, &spec.answers, Asked::Write, env.now())?;
        let scope = heard.scope(given(&spec.declared, &planned.arguments, &plan.key, planned.at));
        let receipt = picked(spec.result.as_ref(), &heard.body, &scope);
        let receipt = receipt.and_then(|value| Payload::of(&value).map_err(|it| it.to_string()));
        // A receipt that cannot be made must not make it look as if the write had not landed.
        receipt.map_err(|problem| {
            Fault::new(FaultClass::Bug, Phase::MaybeSent, format!("the receipt: {problem}"))
        })
    }

    async fn probe(&self, env: &Env, plan: &Plan) -> Result<Probe, Fault> {
        let (spec, planned) = self.planned(plan)?;
        let Some(probe) = &spec.probe else {
            let reason = format!("`{}` declares no probe", plan.operation);
            return Ok(Probe::Unknown { reason });
        };
        let given = || given(&spec.declared, &planned.arguments, &plan.key, planned.at);
        let written = probe.request.write(&self.base, &self.headers, &Scope::new(given()))?;
        let heard = self.send(env, &written, Asked::Read).await?;
        // That it is not there may be what is looked for.
        if ![404, 410].contains(&heard.status().as_u16()) {
            self.judged(&heard, &[], Asked::Read, env.now())?;
        }
        let scope = heard.scope(given());
        let found = || -> Result<Probe, String> {
            let holds = |it: &Expression| it.holds(&scope).map_err(|problem| problem.to_string());
            if holds(&probe.landed)? {
                let pick = probe.receipt.as_ref().or(spec.result.as_ref());
                let receipt = picked(pick, &heard.body, &scope)?;
                let receipt = Payload::of(&receipt).map_err(|problem| problem.to_string())?;
                return Ok(Probe::Landed { receipt });
            }
            if holds(&probe.absent)? {
                return Ok(Probe::Absent);
            }
            let reason = "the answer says neither that it landed nor that it is absent".to_owned();
            Ok(Probe::Unknown { reason })
        };
        Ok(found().unwrap_or_else(|reason| Probe::Unknown { reason }))
    }

    fn compensate(&self, done: &Done<'_>) -> Result<Compensation, Fault> {
        let spec = self.spec(done.operation, false)?;
        let Some(reversing) = &spec.reversing else { return Ok(Compensation::Irreversible) };
        let given: Map<String, Value> =
            done.arguments.parse().map_err(|it| invalid(it.to_string()))?;
        let scope = Scope::new([
            ("arguments", filled(&spec.declared, given)),
            ("receipt", done.receipt.value()),
        ]);
        let by = self.spec(&reversing.operation, false)?;
        let arguments = reversing.arguments.fill(&scope).and_then(|value| {
            let arguments = Payload::of(&value).map_err(|problem| problem.to_string())?;
            let checked = Arguments::check(&by.declared, &arguments);
            checked.map(|_| arguments).map_err(|fault| fault.message)
        });
        let arguments = arguments.map_err(|problem| {
            let from = format!("the receipt of `{}` is not enough", done.operation);
            invalid(format!("{from} for `{}`: {problem}", reversing.operation))
        })?;
        Ok(Compensation::With { operation: reversing.operation.clone(), arguments })
    }
}

fn checked(declared: &Operation, arguments: &Payload) -> Result<Map<String, Value>, Fault> {
    Arguments::check(declared, arguments)?.parse()
}

/// The arguments as expressions see them: those that are absent are there, as nothing.
fn filled(declared: &Operation, mut arguments: Map<String, Value>) -> Value {
    let names = declared.arguments.keys();
    names.map(|name| (name.clone(), arguments.remove(name).unwrap_or_default())).collect()
}

/// What a write is made of.
fn given(
    declared: &Operation,
    arguments: &Map<String, Value>,
    key: &IdempotencyKey,
    at: Timestamp,
) -> [(&'static str, Value); 3] {
    let arguments = filled(declared, arguments.clone());
    [("arguments", arguments), ("key", key.to_string().into()), ("at", at.to_string().into())]
}

/// What it does, where it goes, and each argument. Nothing in it acts on a terminal, and further lines of a text are indented, so
/// that none looks like another argument.
fn preview(declared: &Operation, request: &Written, arguments: &Map<String, Value>) -> String {
    let mut preview = format!("{}\n{} {}", declared.summary, request.method, request.url);
    for (name, value) in arguments {
        let text = text_of(value).replace('\n', "\n    ");
        preview.push_str(&format!("\n{name}: "));
        for letter in text.chars() {
            match letter {
                '\n' | '\t' => preview.push(letter),
                control if control.is_control() => preview.extend(control.escape_default()),
                other => preview.push(other),
            }
        }
    }
    preview
}
