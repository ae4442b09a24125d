//! A simulation as one page: what was planned, what did not hold, a picture of what happened, and every line of the trace.
//!
//! The page is one file that asks nothing of a network. The picture is drawn here (`layout` says where everything stands,
//! `svg` writes it down); `timeline/script.js` adds the log, which it reads from JSON in the page, and what is seen when
//! something is pointed at. What simulations say is escaped: it may be anything, and stays text.

mod layout;
mod svg;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use serde::Serialize;

use crate::{
    outcome::{Outcome, Violation},
    report::{
        self, name,
        words::{about, counted, sentence},
    },
    trace::{Line, What},
};
use layout::Layout;

/// Most lines that a page shows, the last ones: with more of them a browser becomes slow.
const LINES_MAX: usize = 10_000;

/// Most violations that are listed: the first is the one to look at.
const VIOLATIONS_MAX: usize = 10;

/// Most faults and violations that are linked above the picture.
const TURNS_MAX: usize = 12;

const STYLE: &str = include_str!("timeline/style.css");
const SCRIPT: &str = include_str!("timeline/script.js");

/// All kinds of lines, in the order of the filter.
const KINDS: [What; 10] = [
    What::Client,
    What::Operator,
    What::Call,
    What::Answer,
    What::Effect,
    What::Append,
    What::Sync,
    What::Process,
    What::Fault,
    What::Violation,
];

/// The page of `outcome`, whose trace should have been kept.
#[must_use]
pub fn html(outcome: &Outcome) -> String {
    let left_out = outcome.trace.len().saturating_sub(LINES_MAX);
    let trace = &outcome.trace[left_out..];
    let title = escaped(&format!("{}, seed {}", outcome.plan.scenario, outcome.plan.seed));
    let body = match trace.is_empty() {
        true => "<p class=\"hint\">The trace was not kept.</p>\n".to_owned(),
        false => format!("{}{}", picture(trace, left_out), log(trace, left_out)),
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; script-src 'unsafe-inline'\"/>\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{}{}{body}</main>\n\
         <div id=\"tip\" role=\"status\" hidden=\"\"></div>\n\
         <script type=\"application/json\" id=\"data\">{}</script>\n<script>\n{SCRIPT}</script>\n\
         </body>\n</html>\n",
        header(outcome, left_out),
        plan(outcome),
        data(trace, left_out),
    )
}

/// `text` where HTML is expected. Characters that cannot be seen are replaced: XML knows no way to write them.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A time since the beginning as clocks show it: `0:25.104`, `2:10:00.000`.
fn clock(ms: u64) -> String {
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}.{:03}", ms % 1000),
        _ => format!("{hours}:{minutes:02}:{seconds:02}.{:03}", ms % 1000),
    }
}

fn header(outcome: &Outcome, left_out: usize) -> String {
    let Outcome { plan, violations, .. } = outcome;
    let mut html = format!(
        "<header>\n<p class=\"above\">Simulation of</p>\n<h1>{} <span>seed {}</span></h1>\n",
        escaped(&plan.scenario),
        plan.seed
    );
    if violations.is_empty() {
        html.push_str("<p class=\"verdict well\">Everything held.</p>\n");
    } else {
        html.push_str("<ul class=\"verdict\">\n");
        for violation in violations.iter().take(VIOLATIONS_MAX) {
            html.push_str(&broken(outcome, violation, left_out));
        }
        if let Some(more @ 1..) = violations.len().checked_sub(VIOLATIONS_MAX) {
            let _ = writeln!(html, "<li>and {more} more</li>");
        }
        html.push_str("</ul>\n");
    }
    let facts = [
        ("Virtual time", about(outcome.virtual_ms)),
        ("Processes", outcome.epochs.to_string()),
        ("Runs", outcome.runs.to_string()),
        ("Effects", outcome.effects.to_string()),
        ("Appends", outcome.appends.to_string()),
        ("Lines", outcome.lines.to_string()),
        ("Size", plan.size.to_string()),
        ("Trace hash", format!("{:016x}", outcome.hash)),
    ];
    html.push_str("<dl>\n");
    for (what, value) in facts {
        let _ = writeln!(html, "<div><dt>{what}</dt><dd>{value}</dd></div>");
    }
    html.push_str("</dl>\n</header>\n");
    html
}

/// A violation, with a link to its line if it is in the log.
fn broken(outcome: &Outcome, violation: &Violation, left_out: usize) -> String {
    let Violation { invariant, what, at_ms, epoch } = violation;
    let is_it = |line: &Line| {
        line.what == What::Violation && line.at_ms == *at_ms && line.text.contains(&**invariant)
    };
    let place = format!("at {} in process {epoch}", clock(*at_ms));
    let place = match outcome.trace.iter().position(is_it).filter(|index| *index >= left_out) {
        Some(index) => format!("<a href=\"#l{}\">{place}</a>", index + 1),
        None => place,
    };
    let (invariant, what) = (escaped(invariant), escaped(what));
    format!("<li><strong>{invariant}</strong> does not hold: {what} <small>{place}</small></li>\n")
}

fn plan(outcome: &Outcome) -> String {
    let Outcome { plan, fired, .. } = outcome;
    let mut html = "<section class=\"plan\">\n<h2>Plan</h2>\n".to_owned();
    if plan.faults.is_empty() {
        html.push_str("<p>Nothing goes wrong.</p>\n");
    } else {
        html.push_str("<ol>\n");
        for fault in &plan.faults {
            let _ = writeln!(html, "<li>{}</li>", escaped(&sentence(fault)));
        }
        html.push_str("</ol>\n");
    }
    if *fired < plan.faults.len() {
        let _ = writeln!(html, "<p class=\"hint\">Only {fired} of them happened.</p>");
    }
    let _ = writeln!(html, "<pre tabindex=\"0\">{}</pre>", escaped(&report::replay(outcome)));
    html.push_str("</section>\n");
    html
}

fn picture(trace: &[Line], left_out: usize) -> String {
    let layout = Layout::of(trace);
    let mut html = "<section class=\"timeline\">\n<h2>Timeline</h2>\n".to_owned();
    html.push_str(
        "<p class=\"hint\">In the order in which things happened, not to scale: a hatched band is a second or longer in \
         which nothing did. Arrow keys go from one to the next.</p>\n",
    );
    html.push_str(&turns(trace, left_out));
    let _ = write!(html, "{LEGEND}<div class=\"picture\">\n<ul class=\"lanes\">\n");
    let _ = writeln!(html, "<li class=\"above\" style=\"height:{}px\"></li>", layout.top);
    for lane in &layout.lanes {
        let (name, height) = (escaped(lane.name), lane.height);
        let _ = writeln!(html, "<li style=\"height:{height}px\" title=\"{name}\">{name}</li>");
    }
    html.push_str("</ul>\n<div class=\"scroll\" id=\"scroll\">\n");
    html.push_str(&svg::draw(&layout, trace));
    html.push_str("</div>\n</div>\n</section>\n");
    html
}

/// Links to where things went wrong, which may be far to the right.
fn turns(trace: &[Line], left_out: usize) -> String {
    let wrong = |(_, line): &(usize, &Line)| matches!(line.what, What::Fault | What::Violation);
    let all: Vec<(usize, &Line)> = trace.iter().enumerate().filter(wrong).collect();
    let mut html = String::new();
    // The last ones are next to what did not hold.
    for (index, line) in all.iter().skip(all.len().saturating_sub(TURNS_MAX)) {
        let (number, clock, text) = (left_out + index + 1, clock(line.at_ms), escaped(&line.text));
        let _ = writeln!(html, "<li><a href=\"#l{number}\">{clock}</a> {text}</li>");
    }
    match html.is_empty() {
        true => html,
        false => format!("<ul class=\"turns\">\n{html}</ul>\n"),
    }
}

/// What the shapes mean.
const LEGEND: &str = "<ul class=\"legend\" aria-hidden=\"true\">\n\
    <li><svg width=\"26\" height=\"14\"><rect class=\"bar\" x=\"1\" y=\"2\" width=\"24\" height=\"10\" rx=\"2\"/>\
    <rect class=\"cap\" x=\"23\" y=\"2\" width=\"2\" height=\"10\"/></svg>call and answer</li>\n\
    <li><svg width=\"26\" height=\"14\"><path class=\"bar open\" d=\"M25 2H1v10H25\"/></svg>never answered</li>\n\
    <li><svg width=\"14\" height=\"14\"><path class=\"effect\" d=\"M7 1l6 6l-6 6l-6 -6z\"/></svg>effect</li>\n\
    <li><svg width=\"8\" height=\"14\"><rect class=\"append\" x=\"3\" y=\"1\" width=\"2\" height=\"12\"/></svg>append</li>\n\
    <li><svg width=\"8\" height=\"14\"><circle class=\"sync\" cx=\"4\" cy=\"7\" r=\"2\"/></svg>sync</li>\n\
    <li><svg width=\"10\" height=\"14\"><circle class=\"circle client\" cx=\"5\" cy=\"7\" r=\"3.5\"/></svg>client</li>\n\
    <li><svg width=\"10\" height=\"14\"><circle class=\"circle operator\" cx=\"5\" cy=\"7\" r=\"3.5\"/></svg>operator</li>\n\
    <li><svg width=\"10\" height=\"14\"><rect class=\"process\" x=\"1\" y=\"3\" width=\"8\" height=\"8\"/></svg>process</li>\n\
    <li><svg width=\"12\" height=\"14\"><path class=\"flag\" d=\"M1 0h2l8 4.5l-8 4.5v5h-2z\"/></svg>fault</li>\n\
    <li><svg width=\"12\" height=\"14\"><path class=\"cross\" d=\"M1 2l10 10m0 -10l-10 10\"/></svg>violation</li>\n</ul>\n";

/// The frame of the log, which the script fills.
fn log(trace: &[Line], left_out: usize) -> String {
    let mut html = "<section class=\"log\">\n<h2>Log</h2>\n".to_owned();
    if left_out > 0 {
        let left_out = counted(left_out, "line");
        let _ =
            writeln!(html, "<p class=\"hint\">The first {left_out} are left out of this page.</p>");
    }
    html.push_str("<noscript><p class=\"hint\">The log needs JavaScript.</p></noscript>\n");
    html.push_str(
        "<form id=\"filter\">\n<label>Lane <select id=\"lane\"><option value=\"\">all</option>",
    );
    for (index, lane) in lanes(trace).into_iter().enumerate() {
        let _ = write!(html, "<option value=\"{index}\">{}</option>", escaped(lane));
    }
    html.push_str("</select></label>\n<fieldset><legend>Kinds</legend>\n");
    for (index, kind) in KINDS.into_iter().enumerate() {
        let count = trace.iter().filter(|line| line.what == kind).count();
        if count > 0 {
            let _ = writeln!(
                html,
                "<label><input type=\"checkbox\" value=\"{index}\" checked=\"\"/>{} <small>{count}</small></label>",
                name(kind)
            );
        }
    }
    html.push_str(
        "</fieldset>\n<label>Text <input type=\"search\" id=\"find\"/></label>\n<output id=\"count\"></output>\n\
         </form>\n<div class=\"rows\" id=\"rows\" tabindex=\"0\" role=\"region\" aria-label=\"Log\">\n<table>\n\
         <thead><tr><th>Line</th><th>Time</th><th>Process</th><th>Lane</th><th>Kind</th><th>Text</th></tr></thead>\n\
         <tbody id=\"lines\"></tbody>\n</table>\n</div>\n</section>\n",
    );
    html
}

/// Names of lanes in order of first appearance.
fn lanes(trace: &[Line]) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    trace.iter().map(|line| &*line.lane).filter(|lane| seen.insert(*lane)).collect()
}

/// What the script reads.
#[derive(Serialize)]
struct Data<'a> {
    /// The number of the first line.
    first: usize,
    kinds: [&'static str; KINDS.len()],
    lanes: Vec<&'a str>,
    /// Time, process, lane, kind and text of each line.
    lines: Vec<(String, u32, usize, usize, &'a str)>,
}

/// The trace as JSON. No `<` is in it, so that nothing in it ends the element that it stands in.
fn data<'a>(trace: &'a [Line], left_out: usize) -> String {
    let lanes = lanes(trace);
    let rows: BTreeMap<&str, usize> =
        lanes.iter().enumerate().map(|(index, lane)| (*lane, index)).collect();
    let line = |Line { at_ms, epoch, lane, what, text }: &'a Line| {
        let kind = KINDS.iter().position(|kind| kind == what).expect("all kinds are listed");
        (clock(*at_ms), *epoch, rows[&**lane], kind, &**text)
    };
    let lines = trace.iter().map(line).collect();
    let data = Data { first: left_out + 1, kinds: KINDS.map(name), lanes, lines };
    let json = serde_json::to_string(&data).expect("a trace is plain data");
    json.replace('<', "\\u003c")
}

#[cfg(test)]
mod tests;
