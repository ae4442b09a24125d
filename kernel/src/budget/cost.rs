//! What calls cost: money in millionths of a US dollar, tokens, and calls.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What something costs, or may cost at most. Sums saturate: what is too much to count is too much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Money, in millionths of a US dollar.
    #[serde(default)]
    pub micro_usd: u64,
    /// Tokens, read and written.
    #[serde(default)]
    pub tokens: u64,
    /// Calls.
    #[serde(default)]
    pub calls: u64,
}

/// What a call uses of what is priced by amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens that are read.
    pub input_tokens: u64,
    /// Tokens that are written.
    pub output_tokens: u64,
}

/// What a call of an operation costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// For the call itself.
    pub call_micro_usd: u64,
    /// For a million tokens that are read.
    pub input_micro_usd: u64,
    /// For a million tokens that are written.
    pub output_micro_usd: u64,
}

/// Tokens that a price is for.
const MILLION: u128 = 1_000_000;

impl Cost {
    /// Nothing.
    pub const NOTHING: Self = Self { micro_usd: 0, tokens: 0, calls: 0 };

    /// One call that costs nothing else.
    pub const CALL: Self = Self { calls: 1, ..Self::NOTHING };

    /// Whether it is nothing.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::NOTHING
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            micro_usd: self.micro_usd.saturating_add(other.micro_usd),
            tokens: self.tokens.saturating_add(other.tokens),
            calls: self.calls.saturating_add(other.calls),
        }
    }

    /// What is left of it without `other`.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self {
            micro_usd: self.micro_usd.saturating_sub(other.micro_usd),
            tokens: self.tokens.saturating_sub(other.tokens),
            calls: self.calls.saturating_sub(other.calls),
        }
    }
}

impl Price {
    /// What a call that uses `usage` costs. A part of a millionth counts as a whole one.
    #[must_use]
    pub fn cost(&self, usage: Usage) -> Cost {
        let of = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let by_token = of(usage.input_tokens, self.input_micro_usd)
            + of(usage.output_tokens, self.output_micro_usd);
        let by_token = u64::try_from(by_token.div_ceil(MILLION)).unwrap_or(u64::MAX);
        Cost {
            micro_usd: self.call_micro_usd.saturating_add(by_token),
            tokens: usage.input_tokens.saturating_add(usage.output_tokens),
            calls: 1,
        }
    }

    /// Whether it costs nothing, whatever is used.
    #[must_use]
    pub fn is_free(&self) -> bool {
        *self == Self::default()
    }
}

/// `$1.25, 3400 tokens, 2 calls`; what is zero is left out.
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: u64, what: &str| {
            let s = if count == 1 { "" } else { "s" };
            (count > 0).then(|| format!("{count} {what}{s}"))
        };
        let money = (self.micro_usd > 0).then(|| usd(self.micro_usd));
        let parts = [money, counted(self.tokens, "token"), counted(self.calls, "call")];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        match parts.is_empty() {
            true => f.write_str("nothing"),
            false => f.write_str(&parts.join(", ")),
        }
    }
}

/// Millionths of a US dollar as a person reads them: `$0.25`, `$0.000015`.
#[must_use]
pub fn usd(micro: u64) -> String {
    let (whole, part) = (micro / 1_000_000, micro % 1_000_000);
    let part = format!("{part:06}");
    let kept = part.trim_end_matches('0').len().max(2);
    format!("${whole}.{}", &part[..kept])
}

/// Dollars that nothing may cost, as a bound for exact arithmetic: a thousand million.
const USD_DIGITS_MAX: usize = 9;

/// An amount of dollars as written, in millionths, exactly. The shortest decimal that means the same float is what its author
/// wrote, as long as it has no more than fifteen digits, and more are refused.
///
/// # Errors
///
/// What is wrong with it: `negative`, `not an amount`, `too much` or `too precise`.
pub fn micro_usd(text: &str) -> Result<u64, &'static str> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if text.starts_with('-') {
        return Err("negative");
    }
    let is_amount =
        !whole.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !is_amount || decimals.contains('.') {
        return Err("not an amount");
    }
    if whole.len() > USD_DIGITS_MAX {
        return Err("too much");
    }
    if decimals.len() > 6 {
        return Err("too precise");
    }
    Ok(format!("{whole}{decimals:0<6}").parse().expect("it is at most fifteen digits"))
}
