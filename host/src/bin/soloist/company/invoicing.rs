//! The agent of invoicing, and the orders of the demo.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use soloist::{Agent, Builder, Failure, ReadOnly, Turn};

/// Adds it to a kernel.
pub(super) fn agents(builder: Builder) -> Builder {
    builder.agent(CheckPayment)
}

/// What the demo starts with: an order that goes well, one whose account declines, one whose receipt cannot be sent, and one
/// that is large enough to be asked about.
pub(super) fn input() -> Value {
    let order = |customer: &str, account: &str, amount_cents: u64, what: &str, receipt_to: &str| {
        json!({
            "customer": customer,
            "account": account,
            "amount_cents": amount_cents,
            "description": what,
            "receipt_to": receipt_to,
        })
    };
    let (mara, tom, jonas) =
        ("mara@harbourbakery.example", "tom@northcycles.example", "jonas@alderbooks.example");
    json!({ "orders": [
        order(mara, "acct-harbour", 36_000, "autumn menu", mara),
        order(tom, "declined-north", 12_000, "door sign", tom),
        order(jonas, "acct-alder", 24_000, "reading bookmarks", "jonas at alderbooks.example"),
        order(mara, "acct-harbour", 90_000, "shop front", mara),
    ] })
}

/// Looks whether the money of a charge is there.
struct CheckPayment;

/// The charge was not made, or not of this amount.
const UNPAID: &str = "unpaid";

#[derive(Deserialize, JsonSchema)]
struct Charged {
    payment: Option<String>,
    amount_cents: u64,
    reason: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Payment {
    amount_cents: u64,
    currency: String,
    status: String,
}

#[derive(Serialize, JsonSchema)]
struct Checked {
    paid: String,
}

impl Agent for CheckPayment {
    const NAME: &'static str = "check-payment";
    type Kind = ReadOnly;
    const TOOLS: &'static [&'static str] = &["payments.payment"];
    const FAILURES: &'static [&'static str] = &[UNPAID];
    type Input = Charged;
    type Output = Checked;

    async fn run(&self, turn: Turn<ReadOnly>, charged: Charged) -> Result<Checked, Failure> {
        let Some(payment) = charged.payment else {
            let reason = charged.reason.as_deref().unwrap_or("its receipt names no payment");
            return Err(Failure::declared(UNPAID, format!("nothing was charged: {reason}")));
        };
        let found: Option<Payment> =
            turn.call("payments.payment", &json!({ "payment": payment })).await?;
        let settled = found.filter(|found| found.status == "settled");
        match settled {
            Some(found) if found.amount_cents == charged.amount_cents => {
                Ok(Checked { paid: super::money(found.amount_cents, &found.currency) })
            }
            Some(found) => {
                let paid = super::money(found.amount_cents, &found.currency);
                Err(Failure::declared(UNPAID, format!("payment {payment} is of {paid}")))
            }
            None => {
                Err(Failure::declared(UNPAID, format!("there is no settled payment {payment}")))
            }
        }
    }
}
