//! `soloist policy decisions`, `backtest` and `suggest`: what was decided, and what another policy would have made of it.

use serde_json::Value;
use soloist::{
    connectors::Env,
    operator::Request,
    policy::{Consequence, Risk, Verdict},
    time,
};

use super::{
    ask::{ask, asked},
    definitions::{Source, raw},
};
use crate::{
    config::Config,
    report::{self, Exit, Failure, command, entries, table, text},
};

/// Most cases that are listed of each kind to a person; `--json` has all.
const LISTED_MAX: usize = 20;

/// Longest value of an edit in a list.
const VALUE_CHARS_MAX: usize = 60;

/// The time that `--since` names, in milliseconds since 1970.
pub(super) fn since_ms(given: Option<&str>) -> Result<Option<u64>, Failure> {
    let Some(given) = given else { return Ok(None) };
    let at = time::since(given, Env::real([0; 32]).now()).ok_or_else(|| {
        let help = "write how long ago, as in 30d, or a date, as in 2026-11-21";
        Failure::new(Exit::Usage, format!("--since {given:?} is no time; {help}"))
    })?;
    Ok(Some(at.0))
}

pub(super) async fn decisions(
    config: &Config,
    since: Option<&str>,
    connector: Option<String>,
    json: bool,
) -> Result<(), Failure> {
    let request = Request::Decisions { since_ms: since_ms(since)?, connector };
    asked(config, request, json, show_decisions).await
}

fn show_decisions(answer: &Value) {
    let cases = entries(answer);
    if cases.is_empty() {
        return say!("No write was proposed.");
    }
    let row = |case: &Value| {
        let mut row = named(case);
        let first = &case["hearings"][0];
        row.push(format!("{} by {}", text(first, "/verdict"), text(first, "/rule")));
        row.push(text(first, "/policy"));
        row.push(answered(case));
        row.push(text(case, "/outcome").replace('_', " "));
        row
    };
    let rows: Vec<Vec<String>> = cases.iter().map(row).collect();
    table(
        &["WHEN", "WHAT", "WHERE TO", "RUN", "ITEM", "VERDICT", "POLICY", "ANSWER", "OUTCOME"],
        &rows,
    );
    for case in cases {
        for said in entries(&case["said"]) {
            let edits = entries(&said["edit"]).iter();
            edits.for_each(|edit| say!("{}", edited(case, said, edit)));
        }
    }
}

/// A change in a line.
fn edited(case: &Value, said: &Value, edit: &Value) -> String {
    let short = |pointer: &str| {
        let value = edit.pointer(pointer).filter(|value| !value.is_null());
        let words =
            value.map_or_else(|| "nothing".into(), |value| report::printable(&value.to_string()));
        let mut short: String = words.chars().take(VALUE_CHARS_MAX).collect();
        if short.len() < words.len() {
            short.push('…');
        }
        short
    };
    let (item, by) = (text(case, "/item"), text(said, "/by"));
    let path = text(edit, "/path");
    format!("  {item}: {by} changed {path} from {} to {}", short("/before"), short("/after"))
}

/// When, what, where to, and where to look it up.
fn named(case: &Value) -> Vec<String> {
    let places = case["routing"].as_object().into_iter().flat_map(|routing| routing.values());
    let places: Vec<String> = places.map(|place| text(place, "")).collect();
    let at = time::Timestamp(case["at"].as_u64().unwrap_or_default()).to_string();
    let at: String = at.chars().take(16).collect();
    vec![
        at.replace('T', " "),
        text(case, "/operation"),
        places.join(", "),
        text(case, "/run"),
        text(case, "/item"),
    ]
}

/// What was answered, and after how long.
fn answered(case: &Value) -> String {
    let answer = text(case, "/answer").replace('_', " ");
    match case["waited_ms"].as_u64() {
        Some(ms) => format!("{answer} after {}", span(ms)),
        None => answer,
    }
}

/// A time in words that are short enough for a table.
fn span(ms: u64) -> String {
    match ms / 1000 {
        0 => format!("{ms} ms"),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

pub(super) async fn backtest(
    config: &Config,
    policy: Source,
    since: Option<&str>,
    json: bool,
) -> Result<(), Failure> {
    let Source { name: file, text } = policy;
    let request = Request::Backtest { file, text, since_ms: since_ms(since)? };
    asked(config, request, json, show_backtest).await
}

fn show_backtest(answer: &Value) {
    let count = |pointer: &str| answer.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    say!(
        "{} on record, judged again by {} on where writes had really landed.\n",
        counted(count("/cases"), "write"),
        text(answer, "/policy")
    );
    let verdict = |word: &str, pointer: String| {
        vec![
            word.to_owned(),
            text(answer, &format!("{pointer}/was")),
            text(answer, &format!("{pointer}/would")),
        ]
    };
    let shown = Verdict::ALL.into_iter().filter(|verdict| *verdict != Verdict::Redact);
    let mut rows: Vec<_> =
        shown.map(|one| verdict(one.word(), format!("/verdicts/{}", one.word()))).collect();
    rows.push(verdict("redacted", "/redacted".into()));
    table(&["VERDICT", "WAS", "WOULD BE"], &rows);
    for consequence in Consequence::ALL {
        show_consequence(answer, consequence);
    }
    if entries(&answer["differences"]).is_empty() {
        say!("\nIt would have said the same of every one.");
    }
    if count("/consequences/spares") > 0 {
        say!(
            "\nApprovals that you would not have had to give: {}. They had waited {} in the median.",
            count("/consequences/spares"),
            span(count("/spared_median_ms"))
        );
    }
    let unexplained = entries(&answer["unexplained"]).len() as u64;
    if unexplained > 0 {
        say!(
            "\nOf {}, the policy of the time does not say again what it said, so what was known then is a guess.",
            counted(unexplained, "write")
        );
    }
}

fn show_consequence(answer: &Value, consequence: Consequence) {
    let differences = entries(&answer["differences"]);
    let found = differences.iter().filter(|one| one["consequence"] == consequence.word());
    let found: Vec<&Value> = found.collect();
    if found.is_empty() {
        return;
    }
    let warning = if consequence.is_dangerous() { "DANGEROUS: " } else { "" };
    say!("\n{warning}{} {}:", found.len(), consequence.says());
    let row = |one: &&Value| {
        let (case, would) = (&one["case"], &one["would"]);
        let was = &case["hearings"][0];
        let by = |of: &Value| format!("{} by {}", text(of, "/verdict"), text(of, "/rule"));
        let mut row = named(case);
        row.extend([by(was), by(would), answered(case), text(case, "/outcome").replace('_', " ")]);
        row
    };
    let rows: Vec<Vec<String>> = found.iter().take(LISTED_MAX).map(row).collect();
    table(
        &["WHEN", "WHAT", "WHERE TO", "RUN", "ITEM", "WAS", "WOULD BE", "ANSWER", "OUTCOME"],
        &rows,
    );
    if found.len() > LISTED_MAX {
        say!("… and {} more; --json has all of them.", found.len() - LISTED_MAX);
    }
}

/// `1 write`, `2 writes`
fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

pub(super) async fn suggest(
    config: &Config,
    since: Option<&str>,
    min: usize,
    also: Vec<String>,
    json: bool,
) -> Result<(), Failure> {
    let request = Request::Suggest { since_ms: since_ms(since)?, min, also };
    let answer = ask(config, request).await?;
    report::answer(&answer, json, |answer| show_suggestions(config, answer));
    Ok(())
}

/// In TOML throughout: what is not a rule is a comment, so that all of it can be put at the end of a policy.
fn show_suggestions(config: &Config, answer: &Value) {
    let rules = entries(&answer["rules"]);
    let answered = answer["answered"].as_u64().unwrap_or_default();
    let (policy, min) = (text(answer, "/policy"), text(answer, "/min"));
    say!(
        "# {} of yours on what policy {policy} still asks about; {} supported by {min} or more.",
        counted(answered, "answer"),
        if rules.len() == 1 { "1 rule is".into() } else { format!("{} rules are", rules.len()) }
    );
    for rule in rules {
        say!();
        show_support(rule);
        say_part!("{}", raw(rule, "/text"));
    }
    let held_back = entries(&answer["held_back"]);
    if !held_back.is_empty() {
        say!();
    }
    for held in held_back {
        let words: Vec<String> =
            entries(&held["risks"]).iter().map(|word| text(word, "")).collect();
        let named = |word: &String| Risk::ALL.into_iter().find(|risk| risk.word() == *word);
        let risks: Vec<&str> = words.iter().filter_map(named).map(Risk::says).collect();
        say!(
            "# Held back: {} of {} in {} approved as they were, since {}. To have that left to a rule: --also {}",
            text(held, "/cases"),
            text(held, "/operation"),
            text(held, "/workflow"),
            risks.join(", and "),
            words.join(" --also ")
        );
    }
    if !rules.is_empty() {
        say!("\n# Nothing is set. To see what a policy with it would have said:");
        say!("#   {}", command(config, "policy backtest POLICY.toml"));
    }
}

fn show_support(rule: &Value) {
    let bound = rule["bound"].as_f64().unwrap_or_default() * 100.0;
    let cases = rule["cases"].as_u64().unwrap_or_default();
    let said = if rule["verdict"] == "allow" { "approved as they were" } else { "turned down" };
    let waited = match rule["waited_median_ms"].as_u64() {
        Some(ms) => format!(" They had waited {} in the median.", span(ms)),
        None => String::new(),
    };
    say!(
        "# {cases} of {cases} were {said}; that holds for at least {bound:.1} % (Wilson, 95 %).{waited}"
    );
    let items: Vec<String> =
        entries(&rule["items"]).iter().map(|item| text(item, "/item")).collect();
    let shown = items.iter().take(LISTED_MAX).cloned().collect::<Vec<_>>().join(" ");
    let more = if items.len() > LISTED_MAX { " …" } else { "" };
    say!("# Items: {shown}{more}");
    let exceptions = entries(&rule["exceptions"]);
    if !exceptions.is_empty() {
        let named = exceptions.iter().take(LISTED_MAX).map(|case| {
            let answer = text(case, "/answer").replace('_', " ");
            format!("{} ({answer})", text(case, "/item"))
        });
        let named: Vec<String> = named.collect();
        let of = counted(exceptions.len() as u64, "other");
        say!("# It keeps out of {of}: {}", named.join(", "));
    }
    if let Some(unanswered) = rule["unanswered"].as_u64().filter(|count| *count > 0) {
        say!(
            "# It would also have decided {} that nobody has answered.",
            counted(unanswered, "write")
        );
    }
}
