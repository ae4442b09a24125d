//! The definitions of a company, read once: kernels are made of them by the thousand.

use soloist::{Builder, Policy, Workflow};

use crate::{
    company::{self, mail_agents, parsed_workflow, scenario},
    config::Config,
    report::Failure,
};

/// Who works in a company.
#[derive(Clone, Copy)]
enum Staff {
    Mail,
    Of(scenario::Scenario),
}

/// Agents, workflows and a policy.
#[derive(Clone)]
pub(super) struct Rules {
    staff: Staff,
    policy: Policy,
    workflows: Vec<Workflow>,
}

/// What the description of a workflow begins with once its next version is deployed.
const DEPLOYED: &str = "As of today: ";

impl Rules {
    /// Those of a worked example.
    pub(super) fn of(example: scenario::Scenario) -> Result<Self, Failure> {
        let read = |(file, text): &scenario::Definition| parsed_workflow(file, text);
        let workflows = example.workflows().iter().map(read).collect::<Result<_, _>>()?;
        let policy = example.judges(&Config::default())?;
        Ok(Self { staff: Staff::Of(example), policy, workflows })
    }

    /// Those of the mail company, whose operator knows `contacts`.
    pub(super) fn of_mail(contacts: &[&str]) -> Result<Self, Failure> {
        let mut config = Config::default();
        config.mail.contacts = contacts.iter().map(|&contact| contact.to_owned()).collect();
        let workflows = vec![company::workflow(&config)?];
        Ok(Self { staff: Staff::Mail, policy: company::policy(&config)?, workflows })
    }

    /// The same with the next version of each workflow: it says of itself that it is another, and does what the last one did.
    pub(super) fn deployed(&self) -> Result<Self, Failure> {
        let next = |workflow: &Workflow| {
            let text = workflow.to_toml();
            let next = text.replacen("description = \"", &format!("description = \"{DEPLOYED}"), 1);
            parsed_workflow(workflow.name.as_str(), &next)
        };
        let workflows = self.workflows.iter().map(next).collect::<Result<_, _>>()?;
        Ok(Self { workflows, ..self.clone() })
    }

    /// Adds all of it to a kernel.
    pub(super) fn add(&self, builder: Builder) -> Builder {
        let builder = match self.staff {
            Staff::Mail => mail_agents(builder),
            Staff::Of(example) => example.staffed(builder),
        };
        let builder = builder.policy(self.policy.clone());
        self.workflows.iter().cloned().fold(builder, Builder::workflow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deployed_differs_in_its_description_and_in_nothing_else() {
        let rules = Rules::of(scenario::Scenario::Content).unwrap();
        let deployed = rules.deployed().unwrap();
        for (old, new) in rules.workflows.iter().zip(&deployed.workflows) {
            assert!(new.description.starts_with(DEPLOYED), "{}", new.description);
            assert_eq!(old.diff(new).len(), 1, "{:?}", old.diff(new));
        }
    }
}
