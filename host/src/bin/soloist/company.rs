//! The mail company: its agents, its connector, its workflow and its policy, put together from the configuration.

mod agents;
pub(crate) mod sample;

use std::{path::Path, time::Duration};

use soloist::{
    Builder, Policy, Soloist, Workflow,
    connectors::mail::{Layout, MailConfig, MailConnector, MailSourceConfig, OutgoingConfig},
};

use crate::{
    config::Config,
    report::{Exit, Failure},
};

/// The name the mail connector is mounted under.
pub(crate) const MAIL: &str = "mail";

const WORKFLOW: &str = include_str!("../../../company/answer-mail.toml");
const POLICY: &str = include_str!("../../../company/policy.toml");

/// The kernel that `config` describes. With `interval` it looks for mail by itself.
pub(crate) fn builder(config: &Config, interval: Option<Duration>) -> Result<Builder, Failure> {
    let workflow = workflow(config)?;
    let name = workflow.name.to_string();
    let mut builder = Soloist::builder()
        .data_dir(&config.data)
        .agent(agents::Triage)
        .agent(agents::Sender)
        .agent(agents::Draft)
        .agent(agents::Remember)
        .connector(MAIL, connector(config)?)
        .policy(policy(config)?)
        .workflow(workflow);
    if config.mail.source.is_some() {
        builder = builder.intake(MAIL, &name, interval);
    }
    Ok(builder)
}

fn workflow(config: &Config) -> Result<Workflow, Failure> {
    let (file, text) = definition(config.workflow.as_deref(), "answer-mail.toml", WORKFLOW)?;
    Workflow::parse(&file, &text).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::new(Exit::Usage, problems.join("\n"))
    })
}

fn policy(config: &Config) -> Result<Policy, Failure> {
    let (file, text) = definition(config.policy.as_deref(), "policy.toml", POLICY)?;
    let policy = Policy::parse(&file, &text)
        .map_err(|problem| Failure::new(Exit::Usage, problem.to_string()))?;
    Ok(policy.with_list("contacts", config.mail.contacts.iter().cloned()))
}

fn definition(
    path: Option<&Path>,
    name: &str,
    built_in: &str,
) -> Result<(String, String), Failure> {
    let Some(path) = path else { return Ok((name.into(), built_in.into())) };
    let shown = path.display().to_string();
    let read = std::fs::read_to_string(path);
    let text = read
        .map_err(|error| Failure::new(Exit::Usage, format!("failed to read {shown}: {error}")))?;
    Ok((shown, text))
}

fn connector(config: &Config) -> Result<MailConnector, Failure> {
    let mail = &config.mail;
    let source = mail.source.as_ref().map(|path| MailSourceConfig {
        path: path.clone(),
        layout: Layout::default(),
        bytes_max: mail.bytes_max,
    });
    let outgoing = match &mail.smtp {
        Some(smtp) => OutgoingConfig::Smtp(smtp.clone()),
        None => {
            let path = mail.outbox.clone().unwrap_or_else(|| config.data.join("outbox"));
            OutgoingConfig::Maildir { path }
        }
    };
    MailConnector::new(MailConfig { from: mail.from.clone(), source, outgoing })
        .map_err(|error| Failure::new(Exit::Usage, error.to_string()))
}
