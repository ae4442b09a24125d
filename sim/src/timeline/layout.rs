//! Where everything of a timeline stands, in pixels.
//!
//! Virtual time passes unevenly: milliseconds of work, then minutes of waiting. So each line of the trace has a column of its
//! own, in order, and where nothing happened for a second or longer there is an empty band which says how long it was.

use std::collections::BTreeMap;

use crate::{
    report::words::about,
    trace::{Line, What},
};

/// Lanes that are drawn; the others share one more. It is about what a screen is high.
pub(super) const LANES_MAX: usize = 40;

/// What the lane of the others is called.
const OTHERS: &str = "others";

/// Calls at once that a lane has room for; more of them are drawn over each other.
const TRACKS_MAX: usize = 6;

/// The shortest time in which nothing happened that is shown as an empty band, in milliseconds.
const GAP_MS_MIN: u64 = 1_000;

/// Rows of labels above the lanes; a label without room is left out, and its flag stays.
const LEVELS_MAX: usize = 3;

/// Longest label of a flag, in characters.
const LABEL_CHARS_MAX: usize = 36;

/// About how wide a short trace is drawn.
const WIDTH: u32 = 1_000;
const COLUMN_MIN: u32 = 9;
const COLUMN_MAX: u32 = 34;
const MARGIN: u32 = 10;
/// Room for the line at which a process ends.
const END_WIDTH: u32 = 12;
pub(super) const TRACK_HEIGHT: u32 = 14;
const LANE_PADDING: u32 = 7;
const LEVEL_HEIGHT: u32 = 18;
const PROCESS_HEIGHT: u32 = 22;
const AXIS_HEIGHT: u32 = 42;
/// How wide a character of a label is, about.
const CHARACTER_WIDTH: u32 = 7;

/// A timeline.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    pub(super) lanes: Vec<Lane<'a>>,
    /// For each line of the trace.
    pub(super) marks: Vec<Mark>,
    pub(super) bars: Vec<Bar>,
    pub(super) gaps: Vec<Gap>,
    pub(super) processes: Vec<Process>,
    pub(super) flags: Vec<Flag>,
    /// Times along the axis: where, and when in milliseconds.
    pub(super) clocks: Vec<(u32, u64)>,
    pub(super) column: u32,
    pub(super) width: u32,
    /// Where the lanes begin.
    pub(super) top: u32,
    /// Where the lanes end.
    pub(super) bottom: u32,
}

/// A row of the picture.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lane<'a> {
    pub(super) name: &'a str,
    pub(super) top: u32,
    pub(super) height: u32,
}

/// Where a line is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) x: u32,
    pub(super) lane: usize,
    /// The call that it belongs to.
    pub(super) bar: Option<usize>,
}

/// A call, from when it leaves to when it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    /// Its line.
    pub(super) call: usize,
    /// The line of its answer; without one it lasts until its process ends.
    pub(super) answer: Option<usize>,
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) track: usize,
}

/// A time in which nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) x: u32,
    pub(super) width: u32,
    pub(super) ms: u64,
}

/// From where to where a process lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) epoch: u32,
    pub(super) from: u32,
    pub(super) to: u32,
}

/// A fault or a violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flag {
    pub(super) line: usize,
    /// Which row its label has, if there is room.
    pub(super) level: Option<usize>,
    /// Whether the label stands to the left of it, because the picture ends on its right.
    pub(super) leftward: bool,
    pub(super) label: String,
}

impl<'a> Layout<'a> {
    pub(super) fn of(trace: &'a [Line]) -> Self {
        let (names, rows) = rows(trace);
        let columns = Columns::of(trace);
        let (mut bars, of_line) = bars(trace, &columns);
        let lane_of = |index: usize| rows.get(&*trace[index].lane).copied().unwrap_or(LANES_MAX);
        let tracks = stack(&mut bars, names.len(), lane_of);
        let flags = flags(trace, &columns);
        let levels = flags.iter().filter_map(|flag| flag.level).max().map_or(0, |level| level + 1);
        let top = PROCESS_HEIGHT + pixels(levels) * LEVEL_HEIGHT;
        let mut bottom = top;
        let lane = |(name, tracks): (&'a str, usize)| {
            let height = pixels(tracks.max(1)) * TRACK_HEIGHT + 2 * LANE_PADDING;
            bottom += height;
            Lane { name, top: bottom - height, height }
        };
        let lanes: Vec<Lane<'_>> = names.into_iter().zip(tracks).map(lane).collect();
        let mark = |index: usize| Mark {
            x: columns.xs[index],
            lane: lane_of(index).min(lanes.len() - 1),
            bar: of_line[index],
        };
        let marks = (0..trace.len()).map(mark).collect();
        let clocks = columns.clocks(trace);
        let rightward = flags.iter().filter(|flag| !flag.leftward);
        let label_end = |flag: &Flag| columns.xs[flag.line] + label_width(&flag.label);
        let labels_end = rightward.map(label_end).max().unwrap_or_default();
        let clocks_end = clocks.last().map_or(0, |(x, _)| x + 10 * CHARACTER_WIDTH);
        let width = columns.width.max(labels_end).max(clocks_end) + MARGIN;
        let Columns { gaps, processes, column, .. } = columns;
        Self { lanes, marks, bars, gaps, processes, flags, clocks, column, width, top, bottom }
    }

    pub(super) fn height(&self) -> u32 {
        self.bottom + AXIS_HEIGHT
    }

    /// Where the row of labels `level` stands, from its baseline.
    pub(super) fn level(level: usize) -> u32 {
        PROCESS_HEIGHT + pixels(level) * LEVEL_HEIGHT + 10
    }

    /// The middle of what belongs to `bar`, or else of the lane.
    pub(super) fn y(&self, lane: usize, bar: Option<usize>) -> u32 {
        let Lane { top, height, .. } = &self.lanes[lane];
        match bar {
            Some(bar) => {
                top + LANE_PADDING + pixels(self.bars[bar].track) * TRACK_HEIGHT + TRACK_HEIGHT / 2
            }
            None => top + height / 2,
        }
    }
}

/// Names in the order of the picture, and in which row a lane is; a lane that has none is with the others, in the last row.
/// Where something went wrong is always shown.
fn rows(trace: &[Line]) -> (Vec<&str>, BTreeMap<&str, usize>) {
    let mut first: BTreeMap<&str, (bool, usize)> = BTreeMap::new();
    for (index, line) in trace.iter().enumerate() {
        let (calm, _) = first.entry(&line.lane).or_insert((true, index));
        *calm &= !matches!(line.what, What::Fault | What::Violation);
    }
    let mut kept: Vec<(&str, (bool, usize))> = first.into_iter().collect();
    kept.sort_by_key(|(_, place)| *place);
    let others = kept.len() > LANES_MAX;
    kept.truncate(LANES_MAX);
    kept.sort_by_key(|(_, (_, index))| *index);
    let mut names: Vec<&str> = kept.into_iter().map(|(name, _)| name).collect();
    let rows = names.iter().enumerate().map(|(row, name)| (*name, row)).collect();
    names.extend(others.then_some(OTHERS));
    (names, rows)
}

/// Where each line stands from left to right, and what is between them.
struct Columns {
    xs: Vec<u32>,
    gaps: Vec<Gap>,
    processes: Vec<Process>,
    column: u32,
    width: u32,
}

impl Columns {
    fn of(trace: &[Line]) -> Self {
        let column = (WIDTH / pixels(trace.len()).max(1)).clamp(COLUMN_MIN, COLUMN_MAX);
        let (mut xs, mut gaps, mut processes): (_, _, Vec<Process>) = (vec![], vec![], vec![]);
        let (mut x, mut at_ms) = (MARGIN, 0);
        for line in trace {
            let is_next = processes.last().is_none_or(|process| process.epoch < line.epoch);
            if is_next && !processes.is_empty() {
                x += END_WIDTH;
            }
            let ms = line.at_ms.saturating_sub(at_ms);
            at_ms = line.at_ms.max(at_ms);
            if ms >= GAP_MS_MIN {
                let width = label_width(&about(ms)) + 4;
                gaps.push(Gap { x, width, ms });
                x += width;
            }
            if is_next {
                processes.push(Process { epoch: line.epoch, from: x, to: x });
            }
            xs.push(x + column / 2);
            x += column;
            if let Some(process) = processes.last_mut() {
                process.to = x;
            }
        }
        Self { xs, gaps, processes, column, width: x }
    }

    /// Where the process of `epoch` ends.
    fn end(&self, epoch: u32) -> u32 {
        let process = self.processes.iter().rev().find(|process| process.epoch <= epoch);
        process.map_or(self.width, |process| process.to)
    }

    /// Times after each gap and at intervals, as far as there is room.
    fn clocks(&self, trace: &[Line]) -> Vec<(u32, u64)> {
        let (mut clocks, mut free) = (vec![], 0);
        for (index, x) in self.xs.iter().copied().enumerate() {
            let after_gap = self.gaps.iter().any(|gap| gap.x + gap.width + self.column / 2 == x);
            let room = if after_gap || index == 0 { 0 } else { 8 * CHARACTER_WIDTH };
            if x >= free + room {
                clocks.push((x, trace[index].at_ms));
                free = x + 11 * CHARACTER_WIDTH;
            }
        }
        clocks
    }
}

/// Calls with their answers, and to which of them each line belongs. Both begin with `#` and the same number.
fn bars(trace: &[Line], columns: &Columns) -> (Vec<Bar>, Vec<Option<usize>>) {
    let mut bars: Vec<Bar> = vec![];
    let mut open: BTreeMap<(u32, &str), BTreeMap<&str, usize>> = BTreeMap::new();
    let mut of_line = vec![None; trace.len()];
    for (index, Line { epoch, lane, what, text, .. }) in trace.iter().enumerate() {
        let calls = open.entry((*epoch, lane)).or_default();
        let number = number(text);
        let x = columns.xs[index];
        of_line[index] = match (what, number) {
            (What::Call, Some(number)) => {
                let to = columns.end(*epoch);
                bars.push(Bar { call: index, answer: None, from: x, to, track: 0 });
                calls.insert(number, bars.len() - 1);
                Some(bars.len() - 1)
            }
            (What::Answer, Some(number)) => calls.remove(number).inspect(|bar| {
                bars[*bar] = Bar { answer: Some(index), to: x, ..bars[*bar] };
            }),
            (What::Append | What::Sync | What::Process, _) => None,
            (_, Some(number)) => calls.get(number).copied(),
            // What happens in the lane while there is one call is taken to come of it.
            (_, None) => calls.values().next().copied().filter(|_| calls.len() == 1),
        };
    }
    (bars, of_line)
}

/// `12` of `#12 execute`.
fn number(text: &str) -> Option<&str> {
    let (number, _) = text.strip_prefix('#')?.split_once(' ')?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}

/// Puts calls that are under way together above each other, and says how many tracks each lane needs.
fn stack(bars: &mut [Bar], lanes: usize, lane_of: impl Fn(usize) -> usize) -> Vec<usize> {
    let mut ends: Vec<Vec<u32>> = vec![vec![]; lanes];
    for bar in bars {
        let ends = &mut ends[lane_of(bar.call)];
        let free = ends.iter().position(|end| *end < bar.from);
        bar.track = match free {
            Some(track) => track,
            None if ends.len() < TRACKS_MAX => {
                ends.push(0);
                ends.len() - 1
            }
            None => (0..TRACKS_MAX).min_by_key(|track| ends[*track]).unwrap_or_default(),
        };
        ends[bar.track] = bar.to;
    }
    ends.iter().map(Vec::len).collect()
}

/// The faults and violations, with labels where there is room.
fn flags(trace: &[Line], columns: &Columns) -> Vec<Flag> {
    let mut ends = [0; LEVELS_MAX];
    let wrong = |(_, line): &(usize, &Line)| matches!(line.what, What::Fault | What::Violation);
    let flag = |(index, line): (usize, &Line)| {
        let mut label: String = line.text.chars().take(LABEL_CHARS_MAX).collect();
        if label.len() < line.text.len() {
            label.push('…');
        }
        let (x, width) = (columns.xs[index], label_width(&label));
        let leftward = x + width > columns.width && x > width;
        let (start, end) = if leftward { (x - width, x + columns.column) } else { (x, x + width) };
        let level = ends.iter().position(|end| *end <= start);
        if let Some(level) = level {
            ends[level] = end;
        }
        Flag { line: index, level, leftward, label }
    };
    trace.iter().enumerate().filter(wrong).map(flag).collect()
}

fn label_width(label: &str) -> u32 {
    pixels(label.chars().count() + 3) * CHARACTER_WIDTH
}

/// Counts are small: there are at most as many as lines, and those are limited.
fn pixels(count: usize) -> u32 {
    u32::try_from(count).expect("the page limits its lines")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn calls_reach_to_their_answers_or_to_the_end_of_their_process() {
        let trace = sample::twice().trace;
        let layout = Layout::of(&trace);
        let texts = |bar: &Bar| {
            let text = |line: usize| trace[line].text.split(' ').next().unwrap_or_default();
            (text(bar.call), bar.answer.map(text))
        };
        let found: Vec<_> = layout.bars.iter().map(texts).collect();
        let expected = [
            ("#1", Some("#1")),
            ("#2", Some("#2")),
            ("#3", Some("#3")),
            ("#4", None),
            ("#1", Some("#1")),
        ];
        assert_eq!(found, expected);
        assert_eq!(layout.bars[3].to, layout.processes[0].to);
        assert_ne!(layout.bars[0].track, layout.bars[1].track, "they are under way together");
    }

    #[test]
    fn lines_stand_in_order_and_gaps_between_them() {
        let trace = sample::long(500).trace;
        let layout = Layout::of(&trace);
        assert!(layout.marks.is_sorted_by(|left, right| left.x < right.x));
        for gap in &layout.gaps {
            let within = gap.x..gap.x + gap.width;
            assert!(!layout.marks.iter().any(|mark| within.contains(&mark.x)));
        }
        assert_eq!(layout.processes.len(), 3);
    }

    #[test]
    fn more_lanes_than_there_is_room_for_are_joined() {
        let mut trace = sample::hostile().trace;
        trace[55].what = What::Fault;
        let names: Vec<&str> = Layout::of(&trace).lanes.iter().map(|lane| lane.name).collect();
        assert_eq!(names.len(), LANES_MAX + 1);
        assert_eq!(names[LANES_MAX - 2..], ["<lane-38>", "<lane-55>", OTHERS]);
    }

    #[test]
    fn only_digits_number_a_call() {
        assert_eq!(number("#12 execute"), Some("12"));
        assert!(["# a", "#a b", "12 a", "#12"].iter().all(|text| number(text).is_none()));
    }
}
