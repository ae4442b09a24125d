//! The picture of a [`Layout`], as SVG. Everything that stands for a line of the trace says which one: `data-line`.

use std::fmt::Write;

use super::{
    escaped,
    layout::{Bar, Flag, Gap, Lane, Layout, Mark, Process, TRACK_HEIGHT},
};
use crate::{
    report::words::about,
    trace::{Line, What},
};

/// Height of the bar of a call.
const BAR_HEIGHT: u32 = 10;

/// How far an effect reaches from its middle.
const DIAMOND: u32 = 6;

/// The picture of `trace`, whose layout this is.
pub(super) fn draw(layout: &Layout<'_>, trace: &[Line]) -> String {
    let mut svg = String::new();
    let (width, height) = (layout.width, layout.height());
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         role=\"group\" aria-label=\"Timeline\">\n{PATTERN}"
    );
    ground(&mut svg, layout);
    for flag in &layout.flags {
        pole(&mut svg, layout, flag, trace[flag.line].what);
    }
    for bar in &layout.bars {
        call(&mut svg, layout, bar);
    }
    for (index, line) in trace.iter().enumerate() {
        mark(&mut svg, layout, index, line.what);
    }
    for process in &layout.processes {
        end(&mut svg, layout, process);
    }
    for flag in &layout.flags {
        label(&mut svg, layout, flag, trace[flag.line].what);
    }
    let bottom = layout.bottom;
    let _ = writeln!(svg, "<line id=\"cursor\" y1=\"0\" y2=\"{bottom}\" hidden=\"\"/>\n</svg>");
    svg
}

/// The hatching of times in which nothing happened.
const PATTERN: &str = "<defs><pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
    patternTransform=\"rotate(45)\"><line class=\"hatch\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"6\"/></pattern></defs>\n";

/// What lies beneath: processes, empty times, the rows of the lanes, the axis.
fn ground(svg: &mut String, layout: &Layout<'_>) {
    let Layout { top, bottom, .. } = layout;
    let height = bottom - top;
    for Gap { x, width, ms } in &layout.gaps {
        let (middle, below, text) = (x + width / 2, bottom + 32, about(*ms));
        let _ = writeln!(
            svg,
            "<rect class=\"gap\" x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"/>\
             <text class=\"wait\" x=\"{middle}\" y=\"{below}\">+{text}</text>"
        );
    }
    for Lane { top, .. } in &layout.lanes {
        let _ =
            writeln!(svg, "<line class=\"row\" x1=\"0\" y1=\"{top}\" x2=\"100%\" y2=\"{top}\"/>");
    }
    let _ =
        writeln!(svg, "<line class=\"row\" x1=\"0\" y1=\"{bottom}\" x2=\"100%\" y2=\"{bottom}\"/>");
    for (x, ms) in &layout.clocks {
        let (tick, text) = (bottom + 5, bottom + 17);
        let clock = super::clock(*ms);
        let _ = writeln!(
            svg,
            "<line class=\"tick\" x1=\"{x}\" y1=\"{bottom}\" x2=\"{x}\" y2=\"{tick}\"/>\
             <text class=\"clock\" x=\"{x}\" y=\"{text}\">{clock}</text>"
        );
    }
}

/// A flag on its pole, or the band of a violation, over all lanes.
fn pole(svg: &mut String, layout: &Layout<'_>, flag: &Flag, what: What) {
    let Layout { bottom, column, .. } = layout;
    let Flag { line, level, .. } = flag;
    let x = layout.marks[*line].x;
    let top = level.map_or(layout.top, Layout::level) - 8;
    let _ = match what {
        What::Violation => {
            let (left, width, height) = (x - column / 2, column, bottom - top);
            writeln!(
                svg,
                "<rect class=\"band\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" \
                 data-line=\"{line}\"/>"
            )
        }
        _ => writeln!(
            svg,
            "<line class=\"pole\" x1=\"{x}\" y1=\"{top}\" x2=\"{x}\" y2=\"{bottom}\"/>\
             <path class=\"flag\" d=\"M{x} {top}l9 4.5l-9 4.5z\" data-line=\"{line}\"/>"
        ),
    };
}

/// What the flag says, over everything else.
fn label(svg: &mut String, layout: &Layout<'_>, flag: &Flag, what: What) {
    let Flag { line, level: Some(level), leftward, label } = flag else { return };
    let (x, y) = (layout.marks[*line].x, Layout::level(*level));
    let (class, aside) = match what {
        What::Violation => ("label violated", layout.column / 2 + 5),
        _ => ("label", 13),
    };
    let (x, anchor) = match leftward {
        true => (x - layout.column / 2 - 5, "end"),
        false => (x + aside, "start"),
    };
    let label = escaped(label);
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{label}</text>"
    );
}

/// A call. One that was never answered has no end on the right.
fn call(svg: &mut String, layout: &Layout<'_>, bar: &Bar) {
    let Bar { call, answer, from, to, .. } = bar;
    let index = layout.marks[*call];
    let y = layout.y(index.lane, index.bar) - BAR_HEIGHT / 2;
    let width = to.saturating_sub(*from).max(3);
    let _ = match answer {
        Some(answer) => writeln!(
            svg,
            "<rect class=\"bar\" x=\"{from}\" y=\"{y}\" width=\"{width}\" height=\"{BAR_HEIGHT}\" rx=\"2\" \
             data-line=\"{call}\" data-to=\"{answer}\"/>"
        ),
        None => writeln!(
            svg,
            "<path class=\"bar open\" d=\"M{to} {y}H{from}v{BAR_HEIGHT}H{to}\" data-line=\"{call}\"/>"
        ),
    };
}

/// A line that is no bar, flag or band.
fn mark(svg: &mut String, layout: &Layout<'_>, index: usize, what: What) {
    let Mark { x, lane, bar } = layout.marks[index];
    let y = layout.y(lane, bar);
    let of = format!("data-line=\"{index}\"");
    let half = TRACK_HEIGHT / 2;
    let tick = |class: &str, half: u32| {
        let (left, top, height) = (x - 1, y - half, 2 * half);
        format!(
            "<rect class=\"{class}\" x=\"{left}\" y=\"{top}\" width=\"2\" height=\"{height}\" {of}/>\n"
        )
    };
    let circle =
        |class: &str| format!("<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"3.5\" {of}/>\n");
    svg.push_str(&match what {
        What::Call if bar.is_some() => String::new(),
        What::Call => circle("circle call"),
        What::Answer if bar.is_some() => tick("cap", BAR_HEIGHT / 2),
        What::Answer => circle("circle answer"),
        What::Effect => {
            let top = y - DIAMOND;
            let d = DIAMOND;
            format!("<path class=\"effect\" d=\"M{x} {top}l{d} {d}l-{d} {d}l-{d} -{d}z\" {of}/>\n")
        }
        What::Append => tick("append", half - 1),
        What::Sync => format!("<circle class=\"sync\" cx=\"{x}\" cy=\"{y}\" r=\"2\" {of}/>\n"),
        What::Process => {
            let (left, top) = (x - 4, y - 4);
            format!(
                "<rect class=\"process\" x=\"{left}\" y=\"{top}\" width=\"8\" height=\"8\" {of}/>\n"
            )
        }
        What::Operator => circle("circle operator"),
        What::Client => circle("circle client"),
        What::Fault => {
            let (left, top) = (x - 1, y - half);
            format!("<path class=\"flag\" d=\"M{left} {top}h2l8 4.5l-8 4.5v5h-2z\" {of}/>\n")
        }
        What::Violation => {
            let top = y - 5;
            let left = x - 5;
            format!("<path class=\"cross\" d=\"M{left} {top}l10 10m0 -10l-10 10\" {of}/>\n")
        }
    });
}

/// The name of a process, and the line over all lanes at which it ends if another follows.
fn end(svg: &mut String, layout: &Layout<'_>, process: &Process) {
    let Process { epoch, from, to } = process;
    let _ = writeln!(svg, "<text class=\"epoch\" x=\"{from}\" y=\"14\">process {epoch}</text>");
    if layout.processes.last() != Some(process) {
        let (x, bottom) = (to + 5, layout.bottom);
        let _ =
            writeln!(svg, "<line class=\"end\" x1=\"{x}\" y1=\"4\" x2=\"{x}\" y2=\"{bottom}\"/>");
    }
}
