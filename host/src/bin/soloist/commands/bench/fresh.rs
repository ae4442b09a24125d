//! What a fresh process measures of a data directory that another has filled: this binary again.

use std::{path::Path, process::Command};

use serde::de::DeserializeOwned;

use crate::report::{Exit, Failure};

/// Has a fresh process do `soloist bench WHAT --at DIR`, and reads what it measured.
pub(super) fn measured<T: DeserializeOwned>(what: &str, dir: &Path) -> Result<T, Failure> {
    let failed = |problem: String| {
        Failure::new(Exit::Failed, format!("failed to measure in a process of its own: {problem}"))
    };
    let binary = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let output = Command::new(binary).args(["bench", what, "--json", "--at"]).arg(dir).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.trim()).map_err(|error| {
        failed(format!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)))
    })
}

/// How much of this process is in memory, in MiB.
pub(super) fn rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

/// A folder of this process's own, which goes away in the end.
pub(super) struct Scratch(std::path::PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        let name = format!("soloist-bench-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
