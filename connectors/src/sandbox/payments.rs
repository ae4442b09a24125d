//! The payment provider. It remembers a key for a day: the same request again is answered as before, and has no second
//! effect. After that day the key means nothing to it, as with real providers.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use soloist_kernel::{
    catalog::{Argument, Operation},
    fault::{Fault, FaultClass},
    labels::{Labeled, Pii},
    payload::Payload,
    semantics::WriteSemantics,
    time::Timestamp,
};

use super::{
    store::{Change, Records},
    system::{
        Made, Request, System, Written, answered, cents, compensation, countered_by, currency, id,
        labels_of, read, text, write,
    },
};
use crate::{
    arguments::{Arguments, invalid},
    contract::{Change as Arrival, Observed, Page, Seen},
};

pub(super) const ACCOUNTS: &str = "payments/accounts";
const PAYMENTS: &str = "payments/payments";
const KEYS: &str = "payments/keys";

/// How long a key is remembered.
const KEY_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// Accounts with ids that begin like this decline every charge.
const DECLINED_PREFIX: &str = "declined";

pub(super) struct Payments;

/// Someone's means to pay.
#[derive(Serialize, Deserialize)]
struct Account {
    account: String,
    holder: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Payment {
    payment: String,
    account: String,
    holder: String,
    amount_cents: u64,
    currency: String,
    description: String,
    status: Status,
    settled_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Settled,
    Refunded,
}

#[derive(Deserialize)]
struct Charge {
    account: String,
    amount_cents: u64,
    currency: String,
    description: String,
}

/// What a key was used for.
#[derive(Serialize, Deserialize)]
struct Used {
    operation: String,
}

impl System for Payments {
    fn name(&self) -> &'static str {
        "payments"
    }

    fn collections(&self) -> &'static [&'static str] {
        &[ACCOUNTS, PAYMENTS, KEYS]
    }

    fn operations(&self) -> Vec<(&'static str, Operation)> {
        let charge = write(
            "Take money from an account",
            WriteSemantics::Keyed { ttl: KEY_TTL },
            [
                ("account", Argument::routing(id())),
                ("amount_cents", Argument::routing(cents())),
                ("currency", Argument::routing(currency())),
                ("description", Argument::content(text())),
            ],
            &["payment", "account", "amount_cents", "currency"],
        );
        let refund = write(
            "Give a payment back, whole",
            WriteSemantics::Keyed { ttl: KEY_TTL },
            [("payment", Argument::routing(id()))],
            &["payment", "refunded_cents"],
        );
        vec![
            (
                "payment",
                read(
                    "Look a payment up; null if there is none",
                    [("payment", Argument::routing(id()))],
                    json!({ "type": ["object", "null"], "required": ["payment", "status"] }),
                ),
            ),
            ("charge", countered_by("refund", charge)),
            ("refund", compensation(refund)),
        ]
    }

    fn read(
        &self,
        _operation: &str,
        arguments: &Arguments,
        records: &Records<'_>,
        _now: Timestamp,
    ) -> Result<Labeled<Value>, Fault> {
        let payment: Option<Payment> = records.get(PAYMENTS, &payment_id(arguments)?)?;
        payment.map_or_else(
            || Ok(Labeled::new(Value::Null, labels_of("payments", None))),
            |payment| payment.labeled(),
        )
    }

    fn write(&self, request: &Request, records: &Records<'_>) -> Result<Written, Fault> {
        let key = request.key.as_str();
        if let Some(used) = records.get::<Made<Used>>(KEYS, key)?
            && used.at.until(request.now) < KEY_TTL
        {
            request.same(&used.request)?;
            return Ok(Written::Before { receipt: used.receipt });
        }
        let (receipt, payment) = if request.operation.as_str() == "charge" {
            Payment::charged(request, records)?
        } else {
            Payment::refunded(request, records)?
        };
        let used = request.makes(Used { operation: request.operation.to_string() }, &receipt);
        let changes =
            vec![Change::put(PAYMENTS, &payment.payment, &payment), Change::put(KEYS, key, &used)];
        Ok(Written::Now { receipt, changes })
    }

    fn find(&self, request: &Request, records: &Records<'_>) -> Result<Option<Value>, Fault> {
        Ok(records.get::<Made<Used>>(KEYS, request.key.as_str())?.map(|used| used.receipt))
    }

    fn pull(&self, records: &Records<'_>, seen: Seen<'_>, limit: usize) -> Result<Page, Fault> {
        let mut page = Page::default();
        for payment in records.list::<Payment>(PAYMENTS)? {
            if seen(&payment.payment) {
                continue;
            }
            if page.changes.len() == limit {
                page.more = true;
                break;
            }
            let identity = payment.payment.clone();
            let record = payment.labeled()?;
            let payload =
                Payload::of(&record.value).map_err(|problem| invalid(problem.to_string()))?;
            let observed = Observed::Record(Labeled::new(payload, record.labels));
            page.changes.push(Arrival { identity, observed });
        }
        Ok(page)
    }
}

impl Payment {
    fn charged(request: &Request, records: &Records<'_>) -> Result<(Value, Self), Fault> {
        let Charge { account, amount_cents, currency, description } = request.arguments.parse()?;
        if account.starts_with(DECLINED_PREFIX) {
            let message = format!("account {account} declined {amount_cents} cents");
            return Err(answered(FaultClass::Declined, message));
        }
        let Some(Account { holder, .. }) = records.get(ACCOUNTS, &account)? else {
            let message = format!("there is no account {account}; argument `account`");
            return Err(answered(FaultClass::Invalid, message));
        };
        // Padded, so that files are in the order of the payments.
        let payment = format!("pay-{:010}", records.next_number()?);
        let receipt = json!({
            "payment": payment,
            "account": account,
            "amount_cents": amount_cents,
            "currency": currency,
        });
        let (status, settled_at) = (Status::Settled, request.now);
        let payment = Self {
            payment,
            account,
            holder,
            amount_cents,
            currency,
            description,
            status,
            settled_at,
        };
        Ok((receipt, payment))
    }

    fn refunded(request: &Request, records: &Records<'_>) -> Result<(Value, Self), Fault> {
        let id = payment_id(&request.arguments)?;
        let Some(payment) = records.get::<Self>(PAYMENTS, &id)? else {
            let message = format!("there is no payment {id}; argument `payment`");
            return Err(answered(FaultClass::Invalid, message));
        };
        if payment.status == Status::Refunded {
            let message = format!("payment {id} is refunded already");
            return Err(answered(FaultClass::Declined, message));
        }
        let receipt = json!({
            "payment": id,
            "refunded_cents": payment.amount_cents,
            "currency": payment.currency,
        });
        Ok((receipt, Self { status: Status::Refunded, ..payment }))
    }

    fn labeled(self) -> Result<Labeled<Value>, Fault> {
        let labels =
            labels_of("payments", None).readable_by([self.holder.clone()]).with_pii([Pii::Email]);
        let value = serde_json::to_value(self).map_err(|problem| invalid(problem.to_string()))?;
        Ok(Labeled::new(value, labels))
    }
}

fn payment_id(arguments: &Arguments) -> Result<String, Fault> {
    #[derive(Deserialize)]
    struct Wanted {
        payment: String,
    }
    Ok(arguments.parse::<Wanted>()?.payment)
}
