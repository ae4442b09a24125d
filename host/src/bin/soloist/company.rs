//! The companies: agents, connectors, workflows and a policy, put together from the configuration.
//!
//! The mail company is the one that `soloist` is used with: `agents.rs` has its agents, `sample.rs` some mail for it. The
//! others are worked examples, which `scenario.rs` puts together: `outreach.rs`, `invoicing.rs`, `content.rs`,
//! `qualification.rs`. `simulated.rs` has each of them worked in a simulation.

mod agents;
mod content;
mod invoicing;
mod outreach;
mod qualification;
pub(crate) mod sample;
pub(crate) mod scenario;
pub(crate) mod simulated;

#[cfg(test)]
mod broken;

use std::{collections::BTreeSet, path::Path, time::Duration};

use soloist::{
    Builder, Policy, Soloist, Workflow,
    budget::Budgets,
    catalog::Catalog,
    connectors::{
        Connector,
        declared::Declared,
        mail::{Layout, MailConfig, MailConnector, MailSourceConfig, OutgoingConfig},
        sandbox::SandboxWorld,
    },
};

use crate::{
    config::Config,
    report::{Exit, Failure},
};

/// The name the mail connector is mounted under.
pub(crate) const MAIL: &str = "mail";

const WORKFLOW: &str = include_str!("../../../company/answer-mail.toml");
const POLICY: &str = include_str!("../../../company/policy.toml");
const BUDGETS: &str = include_str!("../../../company/budgets.toml");

/// The agents and operations of the company and of the worked examples: what definitions are checked against. Nothing is
/// opened for it.
pub(crate) fn catalog(config: &Config) -> Result<Catalog, Failure> {
    let staff = scenario::agents(mail_staff(config)?);
    let catalog = staff.catalog().map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let sandbox = SandboxWorld::operations().into_iter();
    let sandbox = sandbox.filter_map(|(name, operations)| Some((name.parse().ok()?, operations)));
    let Catalog { agents, mut connectors } = catalog;
    connectors.extend(sandbox);
    for connector in declared(config)? {
        let operations = connector.manifest().operations.clone();
        connectors.extend(connector.name().parse().ok().map(|name| (name, operations)));
    }
    Ok(Catalog { agents, connectors })
}

fn mail_staff(config: &Config) -> Result<Builder, Failure> {
    Ok(mail_agents(Soloist::builder()).connector(MAIL, connector(config)?))
}

fn mail_agents(builder: Builder) -> Builder {
    builder.agent(agents::Triage).agent(agents::Sender).agent(agents::Draft).agent(agents::Remember)
}

/// The kernel that `config` describes. With `interval` it looks for mail by itself.
pub(crate) fn builder(config: &Config, interval: Option<Duration>) -> Result<Builder, Failure> {
    let mut builder = match config.scenario {
        Some(scenario) => scenario::builder(config, scenario)?,
        None => mail_company(config, interval)?,
    };
    for connector in declared(config)? {
        let name = connector.name().to_owned();
        builder = builder.connector(&name, connector);
    }
    if let Some(after) = config.retention.after {
        builder = builder.retention(after);
    }
    Ok(builder.budgets(budgets(config)?))
}

fn mail_company(config: &Config, interval: Option<Duration>) -> Result<Builder, Failure> {
    let workflow = workflow(config)?;
    let name = workflow.name.to_string();
    let mut builder =
        mail_staff(config)?.data_dir(&config.data).policy(policy(config)?).workflow(workflow);
    if config.mail.source.is_some() {
        builder = builder.intake(MAIL, &name, interval);
    }
    Ok(builder)
}

/// The workflow that the configuration names, or the built-in one.
pub(crate) fn workflow(config: &Config) -> Result<Workflow, Failure> {
    let (file, text) = definition(config.workflow.as_deref(), "answer-mail.toml", WORKFLOW)?;
    parsed_workflow(&file, &text)
}

/// The policy that the configuration names, or the built-in one, with the contacts that it lists.
pub(crate) fn policy(config: &Config) -> Result<Policy, Failure> {
    if let Some(scenario) = config.scenario {
        return scenario.judges(config);
    }
    let policy = parsed_policy(config, "policy.toml", POLICY)?;
    Ok(policy.with_list("contacts", config.mail.contacts.iter().cloned()))
}

/// The budgets that the configuration names, or the built-in ones.
pub(crate) fn budgets(config: &Config) -> Result<Budgets, Failure> {
    let (file, text) = definition(config.budgets.as_deref(), "budgets.toml", BUDGETS)?;
    Budgets::parse(&file, &text).map_err(|problem| Failure::new(Exit::Usage, problem.to_string()))
}

fn parsed_workflow(file: &str, text: &str) -> Result<Workflow, Failure> {
    Workflow::parse(file, text).map_err(|problems| unfit(&problems))
}

/// The policy that is configured, or this one.
fn parsed_policy(config: &Config, name: &str, built_in: &str) -> Result<Policy, Failure> {
    let (file, text) = definition(config.policy.as_deref(), name, built_in)?;
    Policy::parse(&file, &text).map_err(|problems| unfit(&problems))
}

fn unfit(problems: &[impl std::fmt::Display]) -> Failure {
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Failure::new(Exit::Usage, problems.join("\n"))
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

/// The connectors that the configuration declares.
fn declared(config: &Config) -> Result<Vec<Declared>, Failure> {
    let built_in = config.scenario.map_or(&[][..], |_| &scenario::SYSTEMS);
    let mut taken: BTreeSet<String> = built_in.iter().map(ToString::to_string).collect();
    taken.insert(MAIL.to_owned());
    let (mut declared, mut problems) = (vec![], vec![]);
    for path in &config.connectors {
        let (file, text) = definition(Some(path), "", "")?;
        match Declared::parse(&file, &text) {
            Ok(connector) if taken.insert(connector.name().to_owned()) => declared.push(connector),
            Ok(connector) => {
                let name = connector.name();
                problems.push(format!(
                    "{file}, field `name`: there is another connector `{name}`; give it another name"
                ));
            }
            Err(found) => problems.extend(found.iter().map(ToString::to_string)),
        }
    }
    if problems.is_empty() { Ok(declared) } else { Err(unfit(&problems)) }
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

/// An amount for people: `480.00 EUR`.
fn money(cents: u64, currency: &str) -> String {
    format!("{}.{:02} {currency}", cents / 100, cents % 100)
}
