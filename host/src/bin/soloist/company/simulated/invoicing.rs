//! Invoicing: an order that goes well, one whose account declines, and one that is large enough to be asked about.

use serde_json::Value;
use soloist::{
    Soloist,
    run::{Run, Status},
};
use soloist_sim::{Effect, Operator, Scenario, World};

use super::{
    checks,
    rules::Rules,
    systems::{mail, mail_server, sandbox},
};
use crate::{company::scenario, report::Failure};

/// The orders of the demo that are taken, by their place in it. Its third cannot be thanked for, and is the third here again.
const ORDERS: [usize; 4] = [0, 1, 3, 2];

/// What stands of an order that is completed; and what takes it back, with the field of both that says which.
const WHOLE: [(&str, Option<(&str, &str)>); 3] = [
    ("billing.create_invoice", Some(("billing.cancel_invoice", "invoice"))),
    ("payments.charge", Some(("payments.refund", "payment"))),
    ("mail.send", None),
];

/// The scenario.
pub(super) fn scenario() -> Result<Scenario, Failure> {
    let rules = Rules::of(scenario::Scenario::Invoicing)?;
    let deployed = rules.deployed()?;
    let mail = mail(None)?;
    let input = scenario::Scenario::Invoicing.input();
    let orders = ORDERS.map(|place| input["orders"][place].clone());
    let mut scenario = Scenario::new("invoicing");
    scenario
        .size_max(ORDERS.len() as u32)
        .systems(|_| sandbox(&["billing", "payments"]))
        .systems(move |_| mail_server(&mail))
        .kernel(move |builder, _| rules.add(builder))
        .deploys(move |builder, _| deployed.add(builder))
        .workload(move |client| {
            let orders: Vec<Value> = orders.iter().take(client.size() as usize).cloned().collect();
            async move {
                for (index, order) in orders.iter().enumerate() {
                    client.start("invoice", &format!("order-{index}"), order).await;
                }
            }
        })
        .operator(Operator::default())
        .always("charged-once", charged_once)
        .always("one-receipt", |world| {
            checks::mails_at_most(
                world,
                |to| if to == "mara@harbourbakery.example" { 2 } else { 0 },
            )
        })
        .finally("whole-or-named", whole_or_named)
        .sometimes("a charge was refunded", |world| !world.effects_of("payments.refund").is_empty())
        .sometimes("an invoice was cancelled", |world| {
            !world.effects_of("billing.cancel_invoice").is_empty()
        });
    checks::seen_in_all(&mut scenario);
    Ok(scenario)
}

/// Each order is charged once at most, and given back once at most. No two of them are over the same amount.
fn charged_once(world: &World) -> Result<(), String> {
    let twice = |operation: &str, of: &dyn Fn(&Effect) -> String| {
        let mut seen: Vec<String> = world.effects_of(operation).iter().map(of).collect();
        seen.sort();
        let twice = seen.windows(2).find(|pair| pair[0] == pair[1]);
        twice.map(|pair| format!("{operation} happened twice for {}", pair[0]))
    };
    let amount = |effect: &Effect| effect.detail["amount_cents"].to_string();
    let payment = |effect: &Effect| checks::text(effect, "payment");
    let found = twice("payments.charge", &amount).or_else(|| twice("payments.refund", &payment));
    found.map_or(Ok(()), Err)
}

/// All of an order stands, or nothing of it but what its run names. It is counted where it happened: a run may have forgotten.
fn whole_or_named(world: &World, soloist: &Soloist) -> Result<(), String> {
    let runs = checks::runs(soloist, "invoice")?;
    if runs.iter().any(|run| !run.status.is_over()) {
        return Ok(());
    }
    for (operation, undone_by) in WHOLE {
        let undone = undone_by.map(|(undo, which)| (world.effects_of(undo), which));
        let is_undone = |effect: &Effect| {
            undone.as_ref().is_some_and(|(undone, which)| {
                undone.iter().any(|undo| undo.detail[*which] == effect.detail[*which])
            })
        };
        let stand = world.effects_of(operation).iter().filter(|effect| !is_undone(effect)).count();
        let say = |run: &Run| match &run.status {
            Status::Completed { .. } => 1,
            _ => run.left().filter(|left| left.what == operation).count(),
        };
        let said: usize = runs.iter().map(say).sum();
        if stand != said {
            return Err(format!("{operation} stands {stand} times, and the runs say {said}"));
        }
    }
    Ok(())
}
