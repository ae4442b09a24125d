//! `soloist doctor`: what is wrong with a data directory, and what can be done.

use serde_json::{Value, json};
use soloist::journal::{
    Journal,
    fjall::{self, FjallJournal, Options},
    inspect, verify,
};

use crate::{
    config::Config,
    report::{Exit, Failure},
};

/// Examines the data directory. Opening it repairs the one thing that a power loss leaves behind, an incomplete last batch
/// that was never synced; everything worse is refused and named.
pub(crate) fn doctor(config: &Config, accept_loss: bool, json: bool) -> Result<(), Failure> {
    if !config.data.join("HEAD").exists() && !config.data.join("store").exists() {
        let message = format!(
            "there is no journal in {}; `soloist demo --data DIR` makes one",
            config.data.display()
        );
        return Err(Failure::new(Exit::Failed, message));
    }
    let files =
        inspect(&config.data).map_err(|error| Failure::new(Exit::Refused, error.to_string()))?;
    let findings: Vec<Value> = files
        .iter()
        .flat_map(|(path, found)| found.findings.iter().map(move |finding| (path, finding)))
        .map(|(path, finding)| json!({ "file": path.display().to_string(), "finding": finding.to_string() }))
        .collect();
    if !json {
        for finding in &findings {
            say!(
                "{}: {}",
                finding["file"].as_str().unwrap_or_default(),
                finding["finding"].as_str().unwrap_or_default()
            );
        }
    }
    let lost = if accept_loss { Some(fjall::accept_loss(&config.data)?) } else { None };
    let (journal, opened) = FjallJournal::open(&config.data, Options::default())?;
    let verified = verify::verify(&journal, None);
    journal.close().map_err(|stopped| Failure::new(Exit::Halted, stopped.to_string()))?;
    let verified = verified.map_err(|error| Failure::new(Exit::Refused, error.to_string()))?;
    let cut = opened.cut_bytes + lost.map_or(0, |lost| lost.cut_bytes);
    if json {
        let answer = json!({
            "ok": true,
            "records": verified.records,
            "archived": verified.archived,
            "head": verified.head.hash.to_hex(),
            "cut_bytes": cut,
            "loss_accepted": accept_loss,
            "findings": findings,
        });
        say!("{answer}");
        return Ok(());
    }
    if cut > 0 {
        say!(
            "{cut} bytes of an incomplete end were cut; a copy is in {}.",
            config.data.join("TORN").display()
        );
    }
    say!("{} records, each chained to the one before it. The journal is well.", verified.records);
    if verified.archived > 0 {
        say!(
            "{} of them are archived; `soloist archive verify` checks these as well.",
            verified.archived
        );
    }
    Ok(())
}
