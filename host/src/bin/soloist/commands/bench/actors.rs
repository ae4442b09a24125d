//! What an actor costs: its memory while it does nothing, and a message to it.
//!
//! The limit is a bare ractor actor that is sent the same messages. Both take turns, round by round.

use serde::Serialize;
use soloist::measure::{self, Idle};

use super::steps::median;
use crate::report::{Exit, Failure, table};

/// Rounds in which our actor and the bare one take turns, so that a machine that drifts drifts under both.
const ROUNDS: usize = 5;

/// What was measured. The keys are stable.
#[derive(Serialize)]
struct Measured {
    actors: usize,
    bytes_per_idle_actor: f64,
    start_ms: f64,
    stop_ms: f64,
    /// Medians over the rounds.
    messages_per_s: f64,
    limit_messages_per_s: f64,
    /// The median of the rounds' own ratios.
    ratio: f64,
}

pub(super) async fn actors(actors: usize, messages: u64, json: bool) -> Result<(), Failure> {
    let failed = |error: String| Failure::new(Exit::Failed, error);
    // First, because what others leave behind would be taken for room that actors do not need.
    let idle = measure::idle(actors).await.map_err(failed)?;
    let measured = throughput(idle, messages).await.map_err(failed)?;
    if json {
        say!("{}", serde_json::to_string(&measured).expect("numbers are plain data"));
    } else {
        show(&measured);
    }
    Ok(())
}

async fn throughput(idle: Idle, messages: u64) -> Result<Measured, String> {
    let (mut ours, mut bare, mut ratios) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let per_second = |seconds: f64| messages as f64 / seconds;
        let our_rate = per_second(measure::ours(messages).await?.as_secs_f64());
        let bare_rate = per_second(measure::bare(messages).await?.as_secs_f64());
        ours.push(our_rate);
        bare.push(bare_rate);
        ratios.push(our_rate / bare_rate);
    }
    Ok(Measured {
        actors: idle.actors,
        bytes_per_idle_actor: idle.bytes as f64 / idle.actors as f64,
        start_ms: idle.start.as_secs_f64() * 1e3,
        stop_ms: idle.stop.as_secs_f64() * 1e3,
        messages_per_s: median(&mut ours),
        limit_messages_per_s: median(&mut bare),
        ratio: median(&mut ratios),
    })
}

fn show(measured: &Measured) {
    let row = |what: &str, value: String| vec![what.to_owned(), value];
    let rows = [
        row("actors", measured.actors.to_string()),
        row("bytes per idle actor", format!("{:.0}", measured.bytes_per_idle_actor)),
        row("start of all", format!("{:.0} ms", measured.start_ms)),
        row("stop of all", format!("{:.0} ms", measured.stop_ms)),
        row("messages per second", format!("{:.0}", measured.messages_per_s)),
        row("bare ractor, messages per second", format!("{:.0}", measured.limit_messages_per_s)),
        row("share of bare ractor", format!("{:.2}", measured.ratio)),
    ];
    table(&["", ""], &rows);
}
