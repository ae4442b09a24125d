//! The mail connector: an optional source of what arrives, and one of two ways out.
//!
//! It only declares and delegates. What a fault means is decided where it happens, in `outbox.rs` and `smtp.rs`.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use soloist_kernel::{
    fault::{Fault, FaultClass, Phase},
    id::OperationName,
    payload::Payload,
    semantics::{Reversal, WriteSemantics},
};
use thiserror::Error;

use super::{
    message::{self, Sender},
    outbox::MaildirOutbox,
    smtp::{Smtp, SmtpConfig},
    source::{MailSource, MailSourceConfig},
};
use crate::{
    contract::{
        Connector, Health, Intent, Manifest, Operation, OperationKind, Page, Plan, Probe, Rate,
        Seen,
    },
    env::Env,
};

/// The one operation.
pub const SEND: &str = "send";

/// How fast mails go into an outbox: each costs two syncs of the disk.
const OUTBOX_RATE: Rate = Rate::per_second(249, 50);

/// Deliveries at once into an outbox.
const OUTBOX_CONCURRENCY_MAX: usize = 8;

/// SMTP connections at once. Providers close the fifth or so from one client.
const SMTP_CONCURRENCY_MAX: usize = 4;

/// How long one delivery may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// How mail is connected.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// Who mails are from: `Kestrel Studio <studio@kestrel.example>`.
    pub from: String,
    /// Where mail arrives, if it is to be read.
    #[serde(default)]
    pub source: Option<MailSourceConfig>,
    /// How mail leaves.
    pub outgoing: OutgoingConfig,
}

/// How mail leaves.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutgoingConfig {
    /// Into a Maildir.
    Maildir {
        /// Where it is; it is made if it does not exist.
        path: PathBuf,
    },
    /// To a mail server.
    Smtp(SmtpConfig),
}

/// A configuration that cannot work.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{key}` in the mail configuration: {problem}")]
pub struct MailConfigError {
    /// The key at fault.
    pub key: &'static str,
    /// What is wrong with it, and what to write instead.
    pub problem: String,
}

/// Reads mail and sends it. See the [module](self).
#[derive(Debug)]
pub struct MailConnector {
    manifest: Manifest,
    sender: Sender,
    source: Option<MailSource>,
    outgoing: Outgoing,
}

#[derive(Debug)]
enum Outgoing {
    Maildir(MaildirOutbox),
    Smtp(Box<Smtp>),
}

impl MailConnector {
    /// The connector that `config` describes. No file and no server is touched yet.
    ///
    /// # Errors
    ///
    /// [`MailConfigError`] names the key that is wrong.
    pub fn new(config: MailConfig) -> Result<Self, MailConfigError> {
        let sender =
            config.from.parse().map_err(|problem| MailConfigError { key: "from", problem })?;
        let outgoing = match config.outgoing {
            OutgoingConfig::Maildir { path } => Outgoing::Maildir(MaildirOutbox::new(path)),
            OutgoingConfig::Smtp(smtp) => Outgoing::Smtp(Box::new(Smtp::new(smtp)?)),
        };
        let source = config.source.map(MailSource::new);
        Ok(Self { manifest: outgoing.manifest(), sender, source, outgoing })
    }

    /// What `execute` returns of the mail of `plan`.
    fn receipt(&self, plan: &Plan, name: &'static str, value: &str) -> Result<Payload, Fault> {
        let receipt = json!({ "message_id": self.sender.message_id(&plan.key), name: value });
        Payload::of(&receipt).map_err(|problem| {
            // The mail has landed; a receipt that cannot be written must not make it look as if it had not.
            Fault::new(FaultClass::Bug, Phase::MaybeSent, format!("the receipt: {problem}"))
        })
    }
}

impl Outgoing {
    fn manifest(&self) -> Manifest {
        let (system, credential, semantics, rate, concurrency_max) = match self {
            Self::Maildir(outbox) => (
                format!("Maildir outbox {}", outbox.path().display()),
                format!("maildir:{}", outbox.path().display()),
                WriteSemantics::NaturalKey,
                OUTBOX_RATE,
                OUTBOX_CONCURRENCY_MAX,
            ),
            Self::Smtp(smtp) => {
                let (rate, credential) = (smtp.rate(), smtp.credential());
                (smtp.to_string(), credential, WriteSemantics::Opaque, rate, SMTP_CONCURRENCY_MAX)
            }
        };
        let name = OperationName::new(SEND).expect("`send` is a valid name");
        let operations = [(name, send_operation(semantics))].into();
        Manifest {
            system,
            credential,
            operations,
            rate,
            operation_rates: BTreeMap::new(),
            pulls_call: false,
            concurrency_max,
            call_timeout: CALL_TIMEOUT,
        }
    }
}

/// What is declared of `send` by a way out with these semantics.
pub(super) fn send_operation(semantics: WriteSemantics) -> Operation {
    Operation {
        summary: "Send a plain-text mail to one address".to_owned(),
        kind: OperationKind::Write,
        semantics,
        reversal: Reversal::Irreversible,
        arguments: message::arguments(),
        result: json!({
            "type": "object",
            "properties": {
                "message_id": { "type": "string" },
                "file": { "type": "string" },
                "server_answer": { "type": "string" },
            },
            "required": ["message_id"],
        }),
    }
}

#[async_trait]
impl Connector for MailConnector {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn check(&self, env: &Env) -> Result<Health, Fault> {
        if let Some(source) = &self.source {
            source.pull(env.now(), &|_| true, 1)?;
        }
        match &self.outgoing {
            Outgoing::Maildir(outbox) => outbox.check()?,
            Outgoing::Smtp(smtp) => smtp.check(env).await?,
        }
        Ok(Health::Usable)
    }

    async fn pull(&self, env: &Env, seen: Seen<'_>, limit: usize) -> Result<Page, Fault> {
        match &self.source {
            Some(source) => source.pull(env.now(), seen, limit),
            None => Ok(Page::default()),
        }
    }

    fn plan(&self, intent: &Intent) -> Result<Plan, Fault> {
        message::compose(&self.sender, self.manifest.operation(&intent.operation)?, intent)
    }

    async fn execute(&self, env: &Env, plan: &Plan, _attempt: u32) -> Result<Payload, Fault> {
        env.perturb().await;
        match &self.outgoing {
            Outgoing::Maildir(outbox) => {
                let file = outbox.deliver(&plan.key, &plan.bytes)?;
                self.receipt(plan, "file", &file)
            }
            Outgoing::Smtp(smtp) => {
                let answer = smtp.send(env, self.sender.address(), plan).await?;
                self.receipt(plan, "server_answer", &answer)
            }
        }
    }

    async fn probe(&self, env: &Env, plan: &Plan) -> Result<Probe, Fault> {
        env.perturb().await;
        match &self.outgoing {
            Outgoing::Maildir(outbox) => match outbox.find(&plan.key)? {
                Some(file) => Ok(Probe::Landed { receipt: self.receipt(plan, "file", &file)? }),
                None => Ok(Probe::Absent),
            },
            Outgoing::Smtp(_) => {
                let reason = "a mail server cannot be asked what it has sent; look for the Message-ID in its log";
                Ok(Probe::Unknown { reason: reason.to_owned() })
            }
        }
    }
}

#[cfg(test)]
mod tests;
