//! `soloist pause`, `resume`, `abort` and `cancel`: what holds and ends more than one run.

use serde_json::Value;
use soloist::operator::Request;

use super::{ask::asked, run::show_rest};
use crate::{
    config::Config,
    report::{Failure, command, entries, table, text},
};

/// Pauses `scope`; without one, lists what is paused.
pub(crate) async fn pause(
    config: &Config,
    scope: Option<String>,
    reason: String,
    json: bool,
) -> Result<(), Failure> {
    let Some(scope) = scope else {
        return asked(config, Request::Pauses, json, show_pauses).await;
    };
    asked(config, Request::Pause { scope, reason }, json, |answer| {
        let (scope, new) = (text(answer, "/scope"), answer["new"] == true);
        let already = if new { "" } else { " already" };
        say!("`{scope}` is paused{already}: what comes is taken in, and nothing of it is done.");
        say!("Next: {}", command(config, &format!("resume {scope}")));
    })
    .await
}

pub(crate) async fn resume(config: &Config, scope: String, json: bool) -> Result<(), Failure> {
    asked(config, Request::Resume { scope }, json, |answer| {
        say!("`{}` goes on.", text(answer, "/scope"));
    })
    .await
}

pub(crate) async fn end(
    config: &Config,
    scope: String,
    cancel: bool,
    reason: String,
    json: bool,
) -> Result<(), Failure> {
    asked(config, Request::EndRuns { scope, cancel, reason }, json, |answer| {
        let runs = entries(&answer["runs"]);
        if runs.is_empty() {
            say!("No run of `{}` was under way.", text(answer, "/scope"));
        }
        runs.iter().for_each(|run| show_rest(config, run));
    })
    .await
}

fn show_pauses(answer: &Value) {
    let row = |pause: &Value| {
        ["/scope", "/since", "/by", "/reason"].map(|pointer| text(pause, pointer)).to_vec()
    };
    let rows: Vec<Vec<String>> = entries(answer).iter().map(row).collect();
    if rows.is_empty() {
        say!("Nothing is paused.");
    } else {
        table(&["WHAT", "SINCE", "BY", "WHY"], &rows);
    }
}
