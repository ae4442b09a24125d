//! `soloist archive …`.

use serde_json::Value;
use soloist::operator::Request;

use super::ask::{ask, asked};
use crate::{
    cli::ArchiveCommand,
    config::Config,
    report::{Failure, answer, entries, table, text},
};

pub(crate) async fn archive(
    config: &Config,
    what: ArchiveCommand,
    json: bool,
) -> Result<(), Failure> {
    match what {
        ArchiveCommand::Run { older_than } => {
            let age = older_than.or(config.retention.after);
            let millis = |age: std::time::Duration| u64::try_from(age.as_millis()).ok();
            let request = Request::Archive { older_than_ms: age.and_then(millis), by: None };
            asked(config, request, json, show_archived).await
        }
        ArchiveCommand::List => asked(config, Request::Segments, json, show_segments).await,
        ArchiveCommand::Verify => {
            let found = ask(config, Request::VerifyArchive).await?;
            answer(&found, json, show_verified);
            if found["ok"] == true { Ok(()) } else { Err(Failure::said()) }
        }
    }
}

fn show_archived(archived: &Value) {
    if archived["runs"] == 0 {
        say!("No run has been over for that long.");
        return;
    }
    say!("Archived {} runs of {} records:", text(archived, "/runs"), text(archived, "/records"));
    for segment in entries(&archived["segments"]) {
        say!("  {}", text(segment, ""));
    }
}

fn show_segments(segments: &Value) {
    let row = |segment: &Value| {
        let runs = entries(&segment["runs"]).len().to_string();
        let of = |pointer| text(segment, pointer);
        vec![of("/file"), of("/at"), runs, of("/records"), of("/bytes"), of("/hash")]
    };
    let rows: Vec<Vec<String>> = entries(segments).iter().map(row).collect();
    if rows.is_empty() {
        say!("Nothing is archived.");
    } else {
        table(&["FILE", "ARCHIVED", "RUNS", "RECORDS", "BYTES", "HASH"], &rows);
    }
}

fn show_verified(found: &Value) {
    for fault in entries(&found["faults"]) {
        say!("{}", text(fault, "/text"));
    }
    for left in entries(&found["leftovers"]) {
        say!(
            "{} was left by a crash and means nothing; the next archiving takes it over.",
            text(left, "")
        );
    }
    let (records, archived) = (text(found, "/records"), text(found, "/archived"));
    let segments = text(found, "/segments");
    if found["ok"] == true {
        say!(
            "{records} records, each chained to the one before it; {archived} of them in {segments} segments, each chained to the one before it."
        );
        say!("Head: {}", text(found, "/head"));
    } else {
        say!(
            "The archive is not well. Put what is named back from a backup; everything else fits."
        );
    }
}
