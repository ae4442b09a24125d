//! A picture of a workflow, as a Mermaid flowchart.
//!
//! Each kind of step has a shape of its own: a box for an agent, a slanted one for a write, a double one for a workflow, a
//! diamond for a question to the operator, a hexagon for what is repeated, a rounded box for a wait, a flag for an event.

use super::{Body, Schedule, Step, Trigger, Work, Workflow, duration};

/// Longest label, in characters: what does not fit is in the definition.
const LABEL_CHARS_MAX: usize = 60;

pub(super) fn draw(workflow: &Workflow) -> String {
    let mut lines = vec!["flowchart TD".to_owned()];
    let triggers = workflow.triggers.iter().map(|Trigger { event, .. }| event.to_string());
    let schedules = workflow
        .schedules
        .iter()
        .map(|Schedule { cron, timezone, .. }| format!("{cron} {timezone}"));
    let starts: Vec<String> = triggers.chain(schedules).collect();
    for (index, start) in starts.iter().enumerate() {
        lines.push(format!("    e{index}([\"{}\"])", escaped(start)));
    }
    // Nodes are numbered, because a step may be called as a word of Mermaid is: `end`.
    for (index, step) in workflow.steps.iter().enumerate() {
        lines.push(format!("    s{index}{}", node(step)));
    }
    for (index, step) in workflow.steps.iter().enumerate() {
        let starts = (0..starts.len()).filter(|_| step.needs.is_empty());
        let from = starts.map(|start| format!("e{start}"));
        for from in from.chain(step.needs.iter().map(|need| format!("s{need}"))) {
            lines.push(format!("    {from} -->{} s{index}", condition(step)));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// What stands on the edges that lead to `step`.
fn condition(step: &Step) -> String {
    let when = step.when.as_ref();
    when.map(|when| format!("|\"{}\"|", escaped(when.source()))).unwrap_or_default()
}

fn node(step: &Step) -> String {
    let (open, what, close) = match &step.work {
        Work::Agent(agent) => ("[", agent.to_string(), "]"),
        Work::Call { connector, operation } => ("[/", format!("{connector}.{operation}"), "/]"),
        Work::Workflow(name) => ("[[", name.to_string(), "]]"),
        Work::Approve { message, .. } => ("{", message.source().to_owned(), "}"),
        Work::Map { over, body, .. } => {
            ("{{", format!("{} for each of {}", named(body), over.source()), "}}")
        }
        Work::Loop { body, until, .. } => {
            ("{{", format!("{} until {}", named(body), until.source()), "}}")
        }
        Work::Wait { duration, until, event } => {
            let duration = duration.map(|duration| format!("for {}", duration::text(duration)));
            let until = until.as_ref().map(|until| format!("until {}", until.source()));
            let event = event.as_ref().map(|event| format!("for {}", event.event));
            let parts: Vec<String> = duration.into_iter().chain(until).chain(event).collect();
            ("(", format!("wait {}", parts.join(" or ")), ")")
        }
        Work::Emit(event) => (">", event.to_string(), "]"),
    };
    let name = step.name.as_str();
    let label = match what == name {
        true => escaped(name),
        false => format!("{}<br/>{}", escaped(name), escaped(&what)),
    };
    format!("{open}\"{label}\"{close}")
}

fn named(body: &Body) -> String {
    match body {
        Body::Agent(agent) => agent.to_string(),
        Body::Call { connector, operation } => format!("{connector}.{operation}"),
        Body::Workflow(name) => name.to_string(),
    }
}

/// `text` as a label: short, on one line, and with everything that Mermaid or HTML would take for its own as a code.
fn escaped(text: &str) -> String {
    let mut label = String::new();
    for (index, char) in text.chars().enumerate() {
        if index == LABEL_CHARS_MAX {
            label.push('…');
            break;
        }
        match char {
            char if char.is_whitespace() => label.push(' '),
            char if char.is_control() => {}
            '"' | '#' | '&' | ';' | '<' | '>' | '`' | '|' | '\\' | '{' | '}' | '[' | ']' => {
                label.push_str(&format!("#{};", u32::from(char)));
            }
            char => label.push(char),
        }
    }
    label
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_picture_shows_kinds_needs_and_conditions() {
        let source = r#"
            name = "outreach"
            [[trigger]]
            event = "lead.created"
            [[step]]
            name = "draft"
            agent = "draft"
            [[step]]
            name = "verify"
            map = "draft.claims"
            agent = "check"
            needs = ["draft"]
            [[step]]
            name = "ok"
            approve = "Send \"{{ draft.title }}\"?"
            needs = ["draft", "verify"]
            [[step]]
            name = "send"
            call = "mail.send"
            needs = ["ok", "draft"]
            when = "ok.approved and draft.score > 3"
            [[step]]
            name = "end"
            wait = { for = "2w", event = "reply" }
            needs = ["send"]
            [[step]]
            name = "done"
            emit = "outreach.done"
            needs = ["end"]
        "#;
        let picture = Workflow::parse("outreach.toml", source).unwrap().mermaid();
        expect![[r#"
            flowchart TD
                e0(["lead.created"])
                s0["draft"]
                s1{{"verify<br/>check for each of draft.claims"}}
                s2{"ok<br/>Send #34;#123;#123; draft.title #125;#125;#34;?"}
                s3[/"send<br/>mail.send"/]
                s4("end<br/>wait for 2w or for reply")
                s5>"done<br/>outreach.done"]
                e0 --> s0
                s0 --> s1
                s0 --> s2
                s1 --> s2
                s0 -->|"ok.approved and draft.score #62; 3"| s3
                s2 -->|"ok.approved and draft.score #62; 3"| s3
                s3 --> s4
                s4 --> s5
        "#]]
        .assert_eq(&picture);
    }
}
