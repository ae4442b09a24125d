//! The invoices. A number is made of the idempotency key; an invoice that was sent is cancelled, and never deleted.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use soloist_kernel::{
    catalog::{Argument, Operation},
    fault::{Fault, FaultClass},
    id::IdempotencyKey,
    labels::{Labeled, Labels, Pii},
    semantics::WriteSemantics,
    time::Timestamp,
};

use super::{
    store::{Change, Records},
    system::{
        Made, Request, System, Written, answered, cents, compensation, countered_by, currency,
        email, id, joined, labels_of, read, receipt_of, text, write,
    },
};
use crate::arguments::Arguments;

pub(super) const INVOICES: &str = "billing/invoices";

/// Days until an invoice is due, unless it says otherwise.
const DUE_DAYS: u64 = 14;

pub(super) struct Billing;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Invoice {
    customer: String,
    amount_cents: u64,
    currency: String,
    description: String,
    status: Status,
    due_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Open,
    Paid,
    Cancelled,
}

#[derive(Deserialize)]
struct Order {
    customer: String,
    amount_cents: u64,
    currency: String,
    description: String,
    due_days: Option<u64>,
}

impl System for Billing {
    fn name(&self) -> &'static str {
        "billing"
    }

    fn collections(&self) -> &'static [&'static str] {
        &[INVOICES]
    }

    fn operations(&self) -> Vec<(&'static str, Operation)> {
        let days = json!({ "type": "integer", "minimum": 0, "maximum": 365 });
        let create_invoice = write(
            "Send a customer an invoice",
            WriteSemantics::NaturalKey,
            [
                ("customer", Argument::routing(email())),
                ("amount_cents", Argument::routing(cents())),
                ("currency", Argument::routing(currency())),
                ("description", Argument::content(text())),
                ("due_days", Argument::content(days).optional()),
            ],
            &["invoice", "customer", "amount_cents", "currency"],
        );
        let cancel_invoice = write(
            "Cancel an open invoice",
            WriteSemantics::NaturalKey,
            [("invoice", Argument::routing(id()))],
            &["invoice"],
        );
        vec![
            (
                "account_status",
                read(
                    "What a customer owes, and what of it is overdue",
                    [("email", Argument::routing(email()))],
                    json!({
                        "type": "object",
                        "required": ["customer", "open_invoices", "open_cents", "overdue", "overdue_cents"],
                    }),
                ),
            ),
            ("create_invoice", countered_by("cancel_invoice", create_invoice)),
            ("cancel_invoice", compensation(cancel_invoice)),
        ]
    }

    fn read(
        &self,
        _operation: &str,
        arguments: &Arguments,
        records: &Records<'_>,
        now: Timestamp,
    ) -> Result<Labeled<Value>, Fault> {
        #[derive(Deserialize)]
        struct Wanted {
            email: String,
        }
        let customer = arguments.parse::<Wanted>()?.email;
        let mut invoices = BTreeMap::new();
        for made in records.list::<Made<Invoice>>(INVOICES)? {
            if made.what.customer == customer && made.what.status == Status::Open {
                invoices.insert(number(&made.key), made.what);
            }
        }
        Ok(account_status(customer, &invoices, now))
    }

    fn write(&self, request: &Request, records: &Records<'_>) -> Result<Written, Fault> {
        if request.operation.as_str() == "create_invoice" {
            let invoice = Invoice::ordered(request.arguments.parse()?, request.now);
            let number = number(&request.key);
            let receipt = json!({
                "invoice": number,
                "customer": invoice.customer,
                "amount_cents": invoice.amount_cents,
                "currency": invoice.currency,
            });
            return request.write_once(records, INVOICES, &number, invoice, receipt);
        }
        let (number, mut made) = cancelled(request, records)?;
        let receipt = json!({ "invoice": number });
        match made.what.status {
            Status::Open => {
                made.what.status = Status::Cancelled;
                Ok(Written::Now { receipt, changes: vec![Change::put(INVOICES, &number, &made)] })
            }
            Status::Cancelled => Ok(Written::Before { receipt }),
            Status::Paid => Err(answered(
                FaultClass::Declined,
                format!("invoice {number} is paid; refund the payment instead"),
            )),
        }
    }

    fn find(&self, request: &Request, records: &Records<'_>) -> Result<Option<Value>, Fault> {
        if request.operation.as_str() == "create_invoice" {
            return receipt_of(records, INVOICES, &number(&request.key));
        }
        let (number, made) = cancelled(request, records)?;
        Ok((made.what.status == Status::Cancelled).then(|| json!({ "invoice": number })))
    }
}

impl Invoice {
    fn ordered(order: Order, now: Timestamp) -> Self {
        let Order { customer, amount_cents, currency, description, due_days } = order;
        let due_at = now.after(days(due_days.unwrap_or(DUE_DAYS)));
        let status = Status::Open;
        Self { customer, amount_cents, currency, description, status, due_at, source: None }
    }

    fn labels(&self) -> Labels {
        labels_of("billing", self.source.as_deref())
            .readable_by([self.customer.clone()])
            .with_pii([Pii::Email])
    }
}

/// What `customer` owes with these open invoices. Sums are by currency: they do not add up otherwise.
fn account_status(
    customer: String,
    invoices: &BTreeMap<String, Invoice>,
    now: Timestamp,
) -> Labeled<Value> {
    let mut open_cents = BTreeMap::<&str, u64>::new();
    let mut overdue_cents = BTreeMap::<&str, u64>::new();
    let mut open_invoices = Vec::new();
    for (number, invoice) in invoices {
        let overdue = invoice.due_at < now;
        *open_cents.entry(&invoice.currency).or_default() += invoice.amount_cents;
        if overdue {
            *overdue_cents.entry(&invoice.currency).or_default() += invoice.amount_cents;
        }
        open_invoices.push(json!({
            "invoice": number,
            "amount_cents": invoice.amount_cents,
            "currency": invoice.currency,
            "due_at": invoice.due_at,
            "overdue": overdue,
        }));
    }
    let labels: Vec<Labels> = invoices.values().map(Invoice::labels).collect();
    let of_none = labels_of("billing", None).readable_by([customer.clone()]).with_pii([Pii::Email]);
    let labels = joined(&labels, of_none);
    let status = json!({
        "customer": customer,
        "open_invoices": open_invoices,
        "open_cents": open_cents,
        "overdue": !overdue_cents.is_empty(),
        "overdue_cents": overdue_cents,
    });
    Labeled::new(status, labels)
}

pub(super) fn number(key: &IdempotencyKey) -> String {
    format!("INV-{key}")
}

fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 60 * 60)
}

/// The invoice that is to be cancelled.
fn cancelled(request: &Request, records: &Records<'_>) -> Result<(String, Made<Invoice>), Fault> {
    #[derive(Deserialize)]
    struct Cancelled {
        invoice: String,
    }
    let number = request.arguments.parse::<Cancelled>()?.invoice;
    let invoice = records.get(INVOICES, &number)?.ok_or_else(|| {
        answered(FaultClass::Invalid, format!("there is no invoice {number}; argument `invoice`"))
    })?;
    Ok((number, invoice))
}
