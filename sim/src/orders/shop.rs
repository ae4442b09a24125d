//! The shop: a write of each kind of semantics, and limits that are reached.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use soloist_actors::Soloist;
use soloist_connectors::Rate;
use soloist_kernel::{id::RunId, semantics::WriteSemantics};

use crate::{
    fake::{Fake, Request},
    world::World,
};

/// How long the shop knows a key.
const KEY_TTL: Duration = Duration::from_secs(3600);

/// How long after a parcel was shipped a search may miss it.
const LAG: Duration = Duration::from_secs(45);

/// How many things it has done.
type Count = u64;

pub(super) fn shop() -> Fake<Count> {
    use WriteSemantics::{Conditional, Keyed, NaturalKey, Opaque, Searchable};
    let keyed = Keyed { ttl: KEY_TTL };
    let order = &["order"];
    Fake::of(0)
        .rate(Rate { calls: 12, per: Duration::from_secs(10), burst: 8 })
        .operation_rate("mail", Rate { calls: 2, per: Duration::from_secs(5), burst: 2 })
        .read("stock", &[], |count, _| Ok(json!({ "left": *count, "name": "boxes" })))
        .write("invoice", NaturalKey, order, done)
        .write("uninvoice", NaturalKey, order, done)
        .countered("invoice", "uninvoice")
        .write("charge", keyed, order, |count, request| match request.text("order") {
            // The third customer has no money.
            "o2" => Err("declined by the bank".into()),
            _ => done(count, request),
        })
        .write("refund", keyed, order, done)
        .countered("charge", "refund")
        .write("ship", Searchable { visibility_lag: LAG }, order, done)
        .write("note", Conditional, order, done)
        .write("mail", Opaque, order, done)
        .write("tip", Opaque, order, done)
        .write("thanks", keyed, order, done)
}

#[expect(clippy::unnecessary_wraps, reason = "it is a handler, and others refuse")]
fn done(count: &mut Count, request: &Request) -> Result<Value, String> {
    *count += 1;
    Ok(json!({ "number": *count, "order": request.text("order") }))
}

fn orders(world: &World, operation: &str) -> BTreeSet<String> {
    let of = |effect: crate::world::Effect| {
        effect.detail["arguments"]["order"].as_str().unwrap_or_default().to_owned()
    };
    world.effects_of(operation).into_iter().map(of).collect()
}

/// Whether what is invoiced is charged, or taken back.
pub(super) fn charged_or_taken_back(world: &World, soloist: &Soloist) -> Result<(), String> {
    let charged = &orders(world, "shop.charge") - &orders(world, "shop.refund");
    let standing = &orders(world, "shop.invoice") - &orders(world, "shop.uninvoice");
    // What could not be taken back is named. The run of order `o1` is `r1`.
    let named = |order: &String| {
        let run = RunId::new(order.replace('o', "r")).ok();
        let run = run.and_then(|run| soloist.folded(&run).ok()?);
        run.is_some_and(|run| run.left().next().is_some())
    };
    match standing.difference(&charged).find(|order| !named(order)) {
        Some(order) => Err(format!("{order} is invoiced and not charged")),
        None => Ok(()),
    }
}

/// Whether each transfer that was acknowledged has started its run.
pub(super) fn heard(world: &World, soloist: &Soloist) -> Result<(), String> {
    let runs = soloist.runs().map_err(|error| error.to_string())?;
    let heard = runs.iter().filter(|run| run.workflow.starts_with("paid@")).count();
    let sent = world.size() as usize;
    if heard == sent { Ok(()) } else { Err(format!("{sent} transfers, and {heard} runs of them")) }
}
