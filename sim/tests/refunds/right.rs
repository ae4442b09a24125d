//! The agent as it should be: it proposes the refund, and the kernel makes it.

use serde_json::json;
use soloist_actors::{Agent, Failure, Transactional, Turn};
use soloist_kernel::effect::Outcome;

use super::world::{Order, Refunded};

/// Refunds an order once.
pub(crate) struct Refund;

impl Agent for Refund {
    const NAME: &'static str = "refund";
    const TOOLS: &'static [&'static str] = &["payments.refund"];
    type Kind = Transactional;
    type Input = Order;
    type Output = Refunded;

    async fn run(&self, turn: Turn, order: Order) -> Result<Refunded, Failure> {
        let asked = json!({ "order": order.order });
        // The intent is on disk before the refund leaves, with a key that stays the same whoever tries again.
        match turn.propose("payments.refund", &asked).await? {
            Outcome::Landed { receipt, .. } => {
                let number = receipt.value()["number"].as_u64();
                Ok(Refunded { receipt: number.unwrap_or_default() })
            }
            other => Err(Failure::fatal(format!("the refund was {}", other.word()))),
        }
    }
}
