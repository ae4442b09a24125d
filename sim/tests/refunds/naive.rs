//! The agent as one writes it first: it calls the vendor's client library.

use serde_json::{Value, json};
use soloist_actors::{Agent, Failure, Transactional, Turn};
use soloist_sim::Sdk;

use super::world::{Order, Refunded};

/// Refunds an order, and now and then does so twice.
pub(crate) struct Refund {
    /// The vendor's client library.
    pub(crate) payments: Sdk,
}

impl Agent for Refund {
    const NAME: &'static str = "refund";
    type Kind = Transactional;
    type Input = Order;
    type Output = Refunded;

    async fn run(&self, turn: Turn, order: Order) -> Result<Refunded, Failure> {
        let asked = json!({ "order": order.order });
        // A step is recorded when it is done. Until then nobody knows that it was begun.
        let receipt: Value = turn.step("refund", || self.payments.call("refund", &asked)).await?;
        Ok(Refunded { receipt: receipt["number"].as_u64().unwrap_or_default() })
    }
}
