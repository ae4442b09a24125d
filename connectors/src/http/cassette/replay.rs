//! Answers from a cassette.

use std::{
    io,
    path::Path,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;

use super::{
    super::{
        Transport,
        error::{NetError, NetErrorKind},
        request::Request,
        response::Response,
    },
    exchange::{Asked, Exchange, FORMAT},
    redact::Redaction,
};

/// Answers from a cassette, and reaches nobody.
pub struct Replay {
    recordings: Mutex<Vec<Recording>>,
    redaction: Redaction,
}

/// A line, and whether it has been given.
struct Recording {
    line: usize,
    exchange: Exchange,
    is_given: bool,
}

/// A cassette that cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum CassetteError {
    /// The file cannot be read.
    #[error("the cassette cannot be read")]
    Unreadable(#[from] io::Error),
    /// A line is no exchange.
    #[error("line {line} of the cassette: {problem}; record it again")]
    Line {
        /// Which, from one on.
        line: usize,
        /// Why not.
        problem: String,
    },
}

impl Replay {
    /// The cassette at `path`, which was recorded with `redaction`.
    ///
    /// # Errors
    ///
    /// [`CassetteError`] if it cannot be read, or names the first line that is no exchange.
    pub fn open(path: impl AsRef<Path>, redaction: Redaction) -> Result<Self, CassetteError> {
        Self::parse(&std::fs::read_to_string(path)?, redaction)
    }

    /// The cassette in `text`.
    ///
    /// # Errors
    ///
    /// [`CassetteError::Line`] names the first line that is no exchange.
    pub fn parse(text: &str, redaction: Redaction) -> Result<Self, CassetteError> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let recordings = lines.map(|(index, text)| {
            let line = index + 1;
            let exchange = read(text).map_err(|problem| CassetteError::Line { line, problem })?;
            Ok(Recording { line, exchange, is_given: false })
        });
        let recordings = recordings.collect::<Result<_, CassetteError>>()?;
        Ok(Self { recordings: Mutex::new(recordings), redaction })
    }

    /// How many recordings have not been given: none, at the end of a test that did all it did when it was recorded.
    #[must_use]
    pub fn left(&self) -> usize {
        let recordings = self.recordings.lock().unwrap_or_else(PoisonError::into_inner);
        recordings.iter().filter(|recording| !recording.is_given).count()
    }
}

#[async_trait]
impl Transport for Replay {
    async fn send(&self, mut request: Request) -> Result<Response, NetError> {
        let limits = request.limits();
        let body = std::mem::take(&mut request.body).bytes().await;
        let body = body.map_err(|error| {
            NetError::not_sent(&request.url, NetErrorKind::Malformed(error.to_string()))
        })?;
        let asked = Asked::of(&request, &body, &self.redaction.with_secrets_of(&request, &body));
        let mut recordings = self.recordings.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |recording: &&mut Recording| {
            !recording.is_given && recording.exchange.request.differs(&asked).is_empty()
        };
        let given = match recordings.iter_mut().find(fits) {
            Some(recording) => {
                recording.is_given = true;
                recording.exchange.answer.response(limits)
            }
            None => Err(nearest(&recordings, &asked)),
        };
        given.map_err(|why| NetError::not_sent(&request.url, NetErrorKind::Unrecorded(why)))
    }
}

fn read(line: &str) -> Result<Exchange, String> {
    let exchange: Exchange = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if exchange.format != FORMAT {
        return Err(format!("its format is {}, and {FORMAT} is read", exchange.format));
    }
    exchange.answer.check(&exchange.request)?;
    Ok(exchange)
}

/// What comes closest to `asked`, and where it is otherwise: what is wrong is seldom more than one thing.
fn nearest(recordings: &[Recording], asked: &Asked) -> String {
    let closeness = |recording: &&Recording| {
        let recorded = &recording.exchange.request;
        let shared = recorded.path.bytes().zip(asked.path.bytes()).take_while(|(a, b)| a == b);
        let is_same_path = recorded.path == asked.path;
        let differences = recorded.differs(asked).len();
        (is_same_path, shared.count(), std::cmp::Reverse(differences), !recording.is_given)
    };
    let (method, path) = (&asked.method, &asked.path);
    // Of equals the first, which is the one that the reader finds first.
    let Some(nearest) = recordings.iter().rev().max_by_key(closeness) else {
        return format!("it is empty, and {method} {path} was asked");
    };
    let Recording { line, exchange, .. } = nearest;
    let differences = exchange.request.differs(asked);
    if differences.is_empty() {
        return format!(
            "every recording of {method} {path} has been given, the first is line {line}"
        );
    }
    let Asked { method: of_nearest, path: path_of_nearest, .. } = &exchange.request;
    format!(
        "no recording fits {method} {path}; the nearest is line {line}, {of_nearest} {path_of_nearest}, and differs in {}",
        differences.join(", ")
    )
}
