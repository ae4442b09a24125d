//! `soloist tree`, `ready` and `drain`: how the kernel that serves is, and how it is brought to rest.

use serde_json::Value;
use soloist::{operator::Request, time::Timestamp};

use super::ask::{ask, asked};
use crate::{
    config::Config,
    report::{self, Failure, entries, table, text},
};

/// Events that people are shown, the last ones; machines get all that are kept.
const EVENTS_SHOWN: usize = 50;

/// `soloist tree`.
pub(crate) async fn tree(config: &Config, events: bool, json: bool) -> Result<(), Failure> {
    asked(config, Request::Tree, json, |answer| {
        show_tree(&answer["tree"]);
        if events {
            say!();
            show_events(entries(&answer["events"]));
        }
        for reason in entries(&answer["reasons"]) {
            say!("\n{}", text(reason, ""));
        }
    })
    .await
}

/// `soloist ready`.
pub(crate) async fn ready(config: &Config, json: bool) -> Result<(), Failure> {
    let answer = ask(config, Request::Ready).await?;
    let ready = answer["ready"] == true;
    report::answer(&answer, json, |answer| {
        say!("{}", if ready { "Ready." } else { "Not ready." });
        for reason in entries(&answer["reasons"]) {
            say!("  {}", text(reason, ""));
        }
    });
    if ready { Ok(()) } else { Err(Failure::said()) }
}

/// `soloist drain`.
pub(crate) async fn drain(config: &Config, seconds: u32, json: bool) -> Result<(), Failure> {
    let answer = ask(config, Request::Drain { seconds }).await?;
    let rested = answer["rested"] == true;
    report::answer(&answer, json, |answer| {
        say!("Nothing more is taken in until `soloist serve` starts again.");
        if rested {
            say!("No run is active.");
        } else {
            let active = runs(answer["active"].as_u64().unwrap_or_default());
            say!("After {seconds} s, {active} still active; see `soloist tree`.");
        }
    });
    if rested { Ok(()) } else { Err(Failure::said()) }
}

/// `1 run is`, `3 runs are`.
pub(super) fn runs(count: u64) -> String {
    if count == 1 { "1 run is".into() } else { format!("{count} runs are") }
}

fn show_tree(tree: &Value) {
    let mut rows = vec![];
    gather(tree, "", "", &mut rows);
    table(&["", "", ""], &rows);
}

/// A row for `node`, whose name stands behind `lead`, and for those beneath it, before whose lines `indent` stands.
fn gather(node: &Value, lead: &str, indent: &str, rows: &mut Vec<Vec<String>>) {
    let strategy = node["strategy"].as_str().map(|strategy| format!(" ({strategy})"));
    let name = format!("{lead}{}{}", text(node, "/name"), strategy.unwrap_or_default());
    rows.push(vec![name, text(node, "/state").replace('_', " "), about(node)]);
    let children = entries(&node["children"]);
    let members = node["members"].as_u64().and_then(|members| usize::try_from(members).ok());
    let more = members.unwrap_or_default().saturating_sub(children.len());
    for (index, child) in children.iter().enumerate() {
        let last = more == 0 && index + 1 == children.len();
        let (branch, under) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        gather(child, &format!("{indent}{branch}"), &format!("{indent}{under}"), rows);
    }
    if more > 0 {
        rows.push(vec![format!("{indent}└─ … and {more} more")]);
    }
}

/// What there is to say of an actor beside its name and its state.
fn about(node: &Value) -> String {
    let counted = |key: &str, one: &str, many: &str| match node[key].as_u64() {
        None | Some(0) => None,
        Some(1) => Some(format!("1 {one}")),
        Some(count) => Some(format!("{count} {many}")),
    };
    let status = node["status"].as_object().into_iter().flatten();
    let said = [
        counted("restarts", "restart", "restarts"),
        counted("mailbox", "message waits", "messages wait"),
        node["work"].as_str().map(|_| format!("at work: {}", text(node, "/work"))),
    ];
    let status = status.map(|(key, value)| format!("{key}: {}", text(value, "")));
    let problem = node["problem"].as_str().map(|_| format!("problem: {}", text(node, "/problem")));
    said.into_iter().flatten().chain(status).chain(problem).collect::<Vec<_>>().join("; ")
}

fn show_events(events: &[Value]) {
    let row = |event: &Value| {
        let at = Timestamp(event["at"].as_u64().unwrap_or_default());
        vec![at.to_string(), text(event, "/path"), text(event, "/what")]
    };
    let earlier = events.len().saturating_sub(EVENTS_SHOWN);
    if earlier > 0 {
        say!("… {earlier} earlier ones; --json has them");
    }
    table(&["WHEN", "WHO", "WHAT"], &events[earlier..].iter().map(row).collect::<Vec<_>>());
}
