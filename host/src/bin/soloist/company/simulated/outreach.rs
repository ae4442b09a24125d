//! Outreach: a lead that a form brought, somebody who owes money, and a customer whom the owner typed in.

use serde_json::json;
use soloist_sim::{Operator, Scenario, World};

use super::{
    checks,
    rules::Rules,
    systems::{mail, mail_server, sandbox},
};
use crate::{company::scenario, report::Failure};

/// Who is looked at, and how many mails each may get.
const LEADS: [(&str, usize); 3] = [
    ("ines@tidepotters.example", 1),
    ("tom@northcycles.example", 0),
    ("mara@harbourbakery.example", 1),
];

/// The scenario.
pub(super) fn scenario() -> Result<Scenario, Failure> {
    let rules = Rules::of(scenario::Scenario::Outreach)?;
    let deployed = rules.deployed()?;
    let mail = mail(None)?;
    let mut scenario = Scenario::new("outreach");
    scenario
        .size_max(LEADS.len() as u32)
        .systems(|_| sandbox(&["crm", "billing"]))
        .systems(move |_| mail_server(&mail))
        .kernel(move |builder, _| rules.add(builder))
        .deploys(move |builder, _| deployed.add(builder))
        .workload(|client| async move {
            let size = client.size() as usize;
            for (index, (email, _)) in LEADS.iter().take(size).enumerate() {
                let lead = json!({ "email": email, "offer": "signs" });
                client.start("outreach-lead", &format!("lead-{index}"), &lead).await;
            }
        })
        .operator(Operator::default())
        .always("who-owes-is-left-alone", |world| {
            let may = |to: &str| LEADS.iter().find(|(email, _)| *email == to);
            checks::mails_at_most(world, |to| may(to).map_or(0, |(_, count)| *count))
        })
        .always("the-crm-says-what-happened", moved_after_the_mail)
        .sometimes("a lead was moved on", |world| !world.effects_of("crm.update_stage").is_empty());
    checks::seen_in_all(&mut scenario);
    Ok(scenario)
}

/// Nobody is moved on in the CRM before a mail to them has gone out.
pub(super) fn moved_after_the_mail(world: &World) -> Result<(), String> {
    let mut written_to = vec![];
    for effect in world.effects() {
        match effect.operation.as_str() {
            "mail.send" => written_to.push(checks::text(&effect, "to")),
            "crm.update_stage" => {
                let contact = checks::text(&effect, "contact");
                if !written_to.contains(&contact) {
                    return Err(format!("{contact} was moved on, and no mail has gone out"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}
