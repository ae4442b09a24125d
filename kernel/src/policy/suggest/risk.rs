//! What is about money, and which domains are everybody's. Both guess on the careful side: what is taken for risky by mistake is
//! asked about, as it was before.

use serde_json::Value;

use crate::decisions::Case;

/// Words in the name of an argument or an operation by which it is about money.
const MONEY: [&str; 33] = [
    "account", "amount", "balance", "bank", "bonus", "budget", "card", "cents", "charge", "chf",
    "cost", "credit", "currency", "debit", "discount", "eur", "fee", "gbp", "iban", "invoice",
    "money", "order", "pay", "payment", "payout", "price", "purchase", "refund", "salary", "sum",
    "total", "transfer", "usd",
];

/// Where everybody can have an address: that one at it is known says nothing of the next.
const EVERYBODYS: [&str; 27] = [
    "163.com",
    "aol.com",
    "fastmail.com",
    "freenet.de",
    "gmail.com",
    "gmx.at",
    "gmx.ch",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "hey.com",
    "hotmail.com",
    "icloud.com",
    "live.com",
    "mail.com",
    "mail.ru",
    "me.com",
    "msn.com",
    "outlook.com",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "t-online.de",
    "web.de",
    "yahoo.com",
    "yandex.ru",
];

/// Whether `domain` is one where everybody can have an address.
pub(super) fn is_everybodys(domain: &str) -> bool {
    let domain = domain.to_ascii_lowercase();
    domain.is_empty() || domain.starts_with("yahoo.") || EVERYBODYS.contains(&domain.as_str())
}

/// Whether `case` is about money: by its operation, or by an argument however deep.
pub(super) fn is_money(case: &Case) -> bool {
    let proposal = &case.first().proposal;
    let named = [proposal.connector.as_str(), proposal.operation.as_str()];
    named.into_iter().any(is_money_name)
        || proposal.routing.keys().any(|name| is_money_name(name))
        || holds_money(&proposal.arguments.value())
}

fn holds_money(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| is_money_name(name) || holds_money(value))
        }
        Value::Array(values) => values.iter().any(holds_money),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Whether a word of `name` is about money: `amount_cents`, `totalPrice`, `payments`.
pub(super) fn is_money_name(name: &str) -> bool {
    let mut words = String::new();
    for letter in name.chars() {
        match letter {
            _ if letter.is_ascii_uppercase() => {
                words.push(' ');
                words.push(letter.to_ascii_lowercase());
            }
            _ if letter.is_alphanumeric() => words.push(letter),
            _ => words.push(' '),
        }
    }
    let all_upper = name.to_ascii_lowercase();
    words.split(' ').chain([all_upper.as_str()]).any(|word| {
        MONEY.contains(&word) || word.strip_suffix('s').is_some_and(|one| MONEY.contains(&one))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_word_for_money_is_about_money() {
        for name in ["amount", "amount_cents", "totalPrice", "IBAN", "payments", "refund-all"] {
            assert!(is_money_name(name), "{name}");
        }
        for name in ["to", "subject", "text", "recount", "summary", "paying_attention", ""] {
            assert!(!is_money_name(name), "{name}");
        }
    }

    #[test]
    fn a_domain_of_everybody_is_known_however_it_is_written() {
        for domain in ["gmail.com", "GMail.com", "yahoo.co.uk", ""] {
            assert!(is_everybodys(domain), "{domain}");
        }
        assert!(!is_everybodys("client.example"));
    }
}
