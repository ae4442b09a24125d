//! The guide, docs/simulation.md, says what there is.

use soloist_sim::{INVARIANTS, plan::Kind};

const GUIDE: &str = include_str!("../../docs/simulation.md");

#[test]
fn every_invariant_is_in_the_guide() {
    for (name, says) in INVARIANTS {
        let row = format!("| `{name}` | {says} |");
        assert!(GUIDE.contains(&row), "docs/simulation.md lacks the row\n{row}");
    }
}

#[test]
fn every_kind_of_fault_is_in_the_guide() {
    let kinds = Kind::each();
    for kind in &kinds {
        let row = format!("| `{}` | ", kind.name());
        assert!(GUIDE.contains(&row), "docs/simulation.md lacks a row that begins with\n{row}");
    }
    let (_, table) = GUIDE.split_once("| kind | what goes wrong |").expect("there is a table");
    let (table, _) = table.split_once("| trigger |").expect("another one follows");
    let rows = table.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, kinds.len(), "the guide knows kinds that there are not");
}
