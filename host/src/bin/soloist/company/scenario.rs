//! The worked examples: four small companies over a [`SandboxWorld`], each with its workflows, its policy and its agents.
//!
//! The systems are in the directory `world` of the data directory, and mail leaves into the outbox, so that everything that
//! happens can be looked at.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use soloist::{
    Builder, Policy, Soloist, Workflow,
    connectors::sandbox::{SandboxConnector, SandboxWorld},
    labels::Labels,
};

use super::{
    MAIL, connector, content, invoicing, outreach, parsed_policy, parsed_workflow, qualification,
};
use crate::{
    config::Config,
    report::{Exit, Failure},
};

/// A worked example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scenario {
    /// Leads are written to, if they owe nothing and the operator knows them.
    Outreach,
    /// Orders are invoiced and charged, and taken back if something fails.
    Invoicing,
    /// An article is checked for its facts, approved and published.
    Content,
    /// Inquiries are scored by a model, and those who may become customers are invited.
    Qualification,
}

macro_rules! company {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../../company/", $name)))
    };
}

/// A definition: its file's name and its text.
pub(super) type Definition = (&'static str, &'static str);

impl Scenario {
    /// Its name: of the flag, of its first workflow, and of that one's run.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Outreach => "outreach",
            Self::Invoicing => "invoicing",
            Self::Content => "content",
            Self::Qualification => "qualification",
        }
    }

    /// What the demo hands to its first workflow.
    pub(crate) fn input(self) -> Value {
        match self {
            Self::Outreach => outreach::input(),
            Self::Invoicing => invoicing::input(),
            Self::Content => content::input(),
            Self::Qualification => qualification::input(),
        }
    }

    /// Whose word that is: the owner's, or that of whoever filled in a form.
    pub(crate) fn labels(self) -> Labels {
        match self {
            Self::Outreach | Self::Invoicing | Self::Content => Labels::owner(),
            Self::Qualification => Labels::untrusted("form"),
        }
    }

    pub(super) fn workflows(self) -> &'static [Definition] {
        match self {
            Self::Outreach => &[company!("outreach-lead.toml"), company!("outreach.toml")],
            Self::Invoicing => &[company!("invoice.toml"), company!("invoicing.toml")],
            Self::Content => &[
                company!("content-review.toml"),
                company!("content-metrics.toml"),
                company!("content.toml"),
            ],
            Self::Qualification => &[company!("qualify-lead.toml"), company!("qualification.toml")],
        }
    }

    fn policy(self) -> Definition {
        match self {
            Self::Outreach => company!("policy-outreach.toml"),
            Self::Invoicing => company!("policy-invoicing.toml"),
            Self::Content => company!("policy-content.toml"),
            Self::Qualification => company!("policy-qualification.toml"),
        }
    }

    /// Its policy, or the one that is configured.
    pub(super) fn judges(self, config: &Config) -> Result<Policy, Failure> {
        let (file, text) = self.policy();
        parsed_policy(config, file, text)
    }

    /// Its workflows, policy and agents, without connectors. A policy that is configured takes the place of its own.
    pub(super) fn rules(self, config: &Config) -> Result<Builder, Failure> {
        let mut builder = self.staffed(Soloist::builder()).policy(self.judges(config)?);
        for (file, text) in self.workflows() {
            builder = builder.workflow(parsed_workflow(file, text)?);
        }
        Ok(builder)
    }

    /// Adds its agents to a kernel.
    pub(super) fn staffed(self, builder: Builder) -> Builder {
        match self {
            Self::Outreach => outreach::agents(builder),
            Self::Invoicing => invoicing::agents(builder),
            Self::Content => content::agents(builder),
            Self::Qualification => qualification::agents(builder),
        }
    }
}

/// What the systems of a worked example are mounted under.
pub(super) const SYSTEMS: [&str; 5] = ["crm", "billing", "payments", "cms", "model"];

/// The systems of `world`, each with the name that it is mounted under.
pub(super) fn systems(world: &SandboxWorld) -> [(&'static str, SandboxConnector); 5] {
    let [crm, billing, payments, cms, model] = SYSTEMS;
    [
        (crm, world.crm()),
        (billing, world.billing()),
        (payments, world.payments()),
        (cms, world.cms()),
        (model, world.model()),
    ]
}

/// The workflows of every worked example.
pub(crate) fn workflows() -> Result<Vec<Workflow>, Failure> {
    let all = Scenario::value_variants().iter().flat_map(|scenario| scenario.workflows());
    all.map(|(file, text)| parsed_workflow(file, text)).collect()
}

/// The agents of every worked example.
pub(super) fn agents(builder: Builder) -> Builder {
    qualification::agents(content::agents(invoicing::agents(outreach::agents(builder))))
}

fn world(config: &Config) -> Result<SandboxWorld, Failure> {
    SandboxWorld::open(config.data.join("world")).map_err(failed)
}

fn failed(fault: soloist::fault::Fault) -> Failure {
    Failure::new(Exit::Failed, format!("failed to open the sandbox: {fault}"))
}

/// The kernel of `scenario`, over a world with the sample company in it.
pub(super) fn builder(config: &Config, scenario: Scenario) -> Result<Builder, Failure> {
    let world = world(config)?;
    world.seed_sample().map_err(failed)?;
    let mut builder = scenario.rules(config)?.data_dir(&config.data);
    for (name, system) in systems(&world) {
        builder = builder.connector(name, system);
    }
    Ok(builder.connector(MAIL, connector(config)?))
}
