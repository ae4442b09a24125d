//! The worked example of the guide, docs/simulation.md: an agent that refunds orders, written as one writes it first, and
//! written right.
//!
//! Both live in the same world (`refunds/world.rs`): the same payments API, the same orders, the same faults. The first calls
//! the vendor's client library. When its process dies after the vendor has refunded and before that is recorded, the turn is
//! carried out again, and so is the refund. The second proposes the refund and leaves the rest to the kernel.

mod refunds {
    pub(crate) mod naive;
    pub(crate) mod right;
    pub(crate) mod world;
}

use soloist_sim::Scenario;

use refunds::{naive, right, world};

#[soloist_sim::test(seeds = 100)]
#[should_panic(expected = "one refund per order")]
fn a_refund_through_a_client_library_is_made_twice(scenario: &mut Scenario) {
    world::payments(scenario);
    scenario.kernel(|builder, process| {
        let agent = naive::Refund { payments: process.sdk("payments") };
        world::company(builder.agent(agent))
    });
}

#[soloist_sim::test(seeds = 100)]
fn a_proposed_refund_is_made_once(scenario: &mut Scenario) {
    world::payments(scenario);
    scenario.kernel(|builder, _| world::company(builder.agent(right::Refund)));
    scenario.sometimes("a refund was in doubt and found", |world| {
        world.seen("a repeat found the write") > 0
    });
}
