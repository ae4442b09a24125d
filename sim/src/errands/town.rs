//! The town: offices that answer late, badly or never, and keep what they promise all the same.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use soloist_connectors::Rate;
use soloist_kernel::semantics::WriteSemantics;

use crate::{
    fake::{Fake, Request},
    world::World,
};

/// How long the town knows a key.
const KEY_TTL: Duration = Duration::from_secs(6 * 3600);

/// How long after something was carried a search may miss it.
const LAG: Duration = Duration::from_secs(45);

/// How long it takes to reserve something: a run that dies meanwhile starts again before that.
const RESERVING: Duration = Duration::from_secs(8);

/// How many things have been done after which letters get another letterhead.
const EDITION: u64 = 4;

/// How many things it has done.
type Count = u64;

pub(super) fn town(world: &World) -> Fake<Count> {
    use WriteSemantics::{Conditional, Keyed, NaturalKey, Opaque, Searchable};
    let keyed = Keyed { ttl: KEY_TTL };
    let order = &["order"];
    let size = world.size();
    Fake::of(0)
        .rate(Rate { calls: 12, per: Duration::from_secs(10), burst: 6 })
        .at_once(4)
        .write("reserve", NaturalKey, order, done)
        .write("release", NaturalKey, order, done)
        .countered("reserve", "release")
        .slow("reserve", RESERVING)
        .write("pay", keyed, order, done)
        .write("repay", keyed, order, done)
        .countered("pay", "repay")
        .write("stamp", keyed, order, done)
        .flaky("stamp", 2)
        .write("carry", Searchable { visibility_lag: LAG }, order, done)
        .mute("carry")
        .vague("carry")
        .write("bill", keyed, order, done)
        .mute("bill")
        .write("close", Conditional, order, |count, request| match request.text("order") {
            // The first errand was for nothing.
            "e0" => Err("there is no such errand".into()),
            _ => done(count, request),
        })
        .write("voucher", keyed, &["to"], done)
        .write("letter", Opaque, &["reader"], done)
        .sends_along("letter", |count, _| json!({ "edition": *count / EDITION }))
        .write("gift", Conditional, order, done)
        .changes(move |_| {
            let wish =
                |number: u32| (format!("wish-{number}"), json!({ "id": format!("w{number}") }));
            (0..size).map(wish).collect()
        })
}

#[expect(clippy::unnecessary_wraps, reason = "it is a handler, and others refuse")]
fn done(count: &mut Count, request: &Request) -> Result<Value, String> {
    *count += 1;
    Ok(json!({ "number": *count, "order": request.text("order") }))
}

/// Whether nobody has two vouchers, and no letter went to everybody.
pub(super) fn one_each(world: &World) -> Result<(), String> {
    let mut given = BTreeSet::new();
    for voucher in world.effects_of("town.voucher") {
        let to = voucher.detail["arguments"]["to"].to_string();
        if !given.insert(to.clone()) {
            return Err(format!("{to} has two vouchers"));
        }
    }
    let circular =
        |letter: &crate::world::Effect| letter.detail["arguments"]["reader"] == "everybody";
    match world.effects_of("town.letter").iter().any(circular) {
        true => Err("a letter went to everybody".into()),
        false => Ok(()),
    }
}
