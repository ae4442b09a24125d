//! What an answer means: one map from its status to a fault, for every connector that speaks HTTP.
//!
//! The rule: **an answer settles a write only if it says what became of it**. A refusal (4xx) does. A server that failed (5xx)
//! may have failed after it acted, a conflict (409) may be with our own earlier attempt, and an answer that cannot be read says
//! nothing; for a write these are [`MaybeSent`](Phase::MaybeSent), and the declared semantics decide. A connector that knows its
//! system better overrides the map, and says so.
//!
//! | status | class | of a read | of a write |
//! |---|---|---|---|
//! | 401, 403 | `Auth` | answered | answered |
//! | 402 | `Declined` | answered | answered |
//! | 408, 425, 429, and 403 that says when to come back | `Throttled` | answered | answered |
//! | 409 | `Transient` | answered | may have been sent |
//! | 3xx that is not followed | `Invalid` | answered | may have been sent |
//! | any other 4xx | `Invalid` | answered | answered |
//! | 5xx | `Transient` | answered | may have been sent |

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use soloist_kernel::{
    fault::{Fault, FaultClass, Phase},
    time::Timestamp,
};

use super::{error::NetError, response::Response};
use crate::hints::Hints;

/// Longest part of a refusal's body that a fault repeats, in characters: a message, and not a page.
const EXCERPT_CHARS_MAX: usize = 300;

/// What was asked for: whether the other side may have done something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To say something.
    Read,
    /// To do something.
    Write,
}

impl Asked {
    /// The phase of an answer that does not say what became of what was asked.
    #[must_use]
    pub fn unclear(self) -> Phase {
        match self {
            Self::Read => Phase::Answered,
            Self::Write => Phase::MaybeSent,
        }
    }
}

/// An answer that is here as a whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What became of the request.
    pub status: StatusCode,
    /// What is said of it.
    pub headers: HeaderMap,
    /// What came with it.
    pub body: Bytes,
}

impl Answer {
    /// Reads `response` to its end.
    ///
    /// # Errors
    ///
    /// As [`Response::bytes`].
    pub async fn of(response: Response) -> Result<Self, NetError> {
        let (status, headers) = (response.status, response.headers.clone());
        Ok(Self { status, headers, body: response.bytes().await? })
    }

    /// The headers that are text.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
    }

    /// What it says of the limits that the call has met, or will meet.
    #[must_use]
    pub fn hints(&self, now: Timestamp) -> Hints {
        match self.status.as_u16() {
            408 | 425 | 429 => Hints::of_refusal(self.texts(), now),
            _ => Hints::of_answer(self.texts(), now),
        }
    }

    /// What it means, by its status alone; `None` if it is a success.
    #[must_use]
    pub fn fault(&self, asked: Asked, now: Timestamp) -> Option<Fault> {
        let retry_at = self.hints(now).retry_at;
        let (class, phase) = match self.status.as_u16() {
            200..=299 => return None,
            403 if retry_at.is_some() => (FaultClass::Throttled, Phase::Answered),
            // Not `Declined`: that a credential may no longer do it says nothing of an attempt before.
            401 | 403 => (FaultClass::Auth, Phase::Answered),
            402 => (FaultClass::Declined, Phase::Answered),
            408 | 425 | 429 => (FaultClass::Throttled, Phase::Answered),
            409 => (FaultClass::Transient, asked.unclear()),
            400..=499 => (FaultClass::Invalid, Phase::Answered),
            500.. => (FaultClass::Transient, asked.unclear()),
            _ => (FaultClass::Invalid, asked.unclear()),
        };
        let mut message = format!("it answered {}", self.status);
        let excerpt = excerpt(&self.body);
        if !excerpt.is_empty() {
            message.push_str(&format!(": {excerpt}"));
        }
        let retry_at = retry_at.filter(|_| class.passes());
        Some(Fault { retry_at, ..Fault::new(class, phase, message) })
    }

    /// Its body as JSON; `null` if there is none.
    ///
    /// # Errors
    ///
    /// A [`Transient`](FaultClass::Transient) fault: it is no JSON, and what was to be done may have been.
    pub fn json(&self, asked: Asked) -> Result<Value, Fault> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|problem| {
            let message = format!("it answered {} with what is no JSON: {problem}", self.status);
            Fault::new(FaultClass::Transient, asked.unclear(), message)
        })
    }
}

/// The beginning of `body` on one line, without what could act on a terminal.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * EXCERPT_CHARS_MAX)]);
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    line.chars().take(EXCERPT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_219_506_789);

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Answer {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let body = Bytes::copy_from_slice(body.as_bytes());
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: headers.collect(), body }
    }

    #[track_caller]
    fn check(status: u16, class: FaultClass, of_a_write: Phase) {
        let answer = answer(status, &[], "");
        for (asked, phase) in [(Asked::Read, Phase::Answered), (Asked::Write, of_a_write)] {
            let fault = answer.fault(asked, NOW).unwrap();
            assert_eq!((fault.class, fault.phase), (class, phase), "{status} of a {asked:?}");
        }
    }

    #[test]
    fn a_success_is_no_fault() {
        for status in [200, 201, 202, 204, 207] {
            assert_eq!(answer(status, &[], "no").fault(Asked::Write, NOW), None);
        }
    }

    #[test]
    fn every_other_status_has_a_class_and_a_phase() {
        use FaultClass::{Auth, Declined, Invalid, Throttled, Transient};
        for status in 300..400 {
            check(status, Invalid, Phase::MaybeSent);
        }
        for status in 400..500 {
            match status {
                401 | 403 => check(status, Auth, Phase::Answered),
                402 => check(status, Declined, Phase::Answered),
                408 | 425 | 429 => check(status, Throttled, Phase::Answered),
                409 => check(status, Transient, Phase::MaybeSent),
                _ => check(status, Invalid, Phase::Answered),
            }
        }
        for status in 500..600 {
            check(status, Transient, Phase::MaybeSent);
        }
    }

    #[test]
    fn a_refusal_says_when_to_come_back_where_that_makes_sense() {
        let later = Some(NOW.after(Duration::from_secs(30)));
        for (status, class, retry_at) in [
            (429, FaultClass::Throttled, later),
            (403, FaultClass::Throttled, later),
            (503, FaultClass::Transient, later),
            (422, FaultClass::Invalid, None),
        ] {
            let answer = answer(status, &[("retry-after", "30")], "");
            let fault = answer.fault(Asked::Write, NOW).unwrap();
            assert_eq!((fault.class, fault.retry_at), (class, retry_at), "{status}");
        }
    }

    #[test]
    fn the_other_sides_own_words_are_told_on_one_line_and_not_at_length() {
        let body = format!("{{\"error\":\n \"no \u{1b}[31msuch\u{7} stage\"}} {}", "x".repeat(900));
        let fault = answer(422, &[], &body).fault(Asked::Write, NOW).unwrap();
        let told = "it answered 422 Unprocessable Entity: {\"error\": \"no [31msuch stage\"} xxx";
        assert!(fault.message.starts_with(told), "{}", fault.message);
        assert!(fault.message.len() < 400, "{}", fault.message);
    }

    #[test]
    fn a_success_that_cannot_be_read_leaves_a_write_in_doubt() {
        let broken = answer(200, &[], "<html>");
        assert_eq!(broken.json(Asked::Write).unwrap_err().phase, Phase::MaybeSent);
        assert_eq!(broken.json(Asked::Read).unwrap_err().phase, Phase::Answered);
        assert_eq!(answer(204, &[], "").json(Asked::Write), Ok(Value::Null));
    }
}
