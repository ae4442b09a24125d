//! What a fresh process measures of a data directory that this one has filled: the same binary again.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use serde::{Serialize, de::DeserializeOwned};
use soloist::{Builder, StartError};
use tokio::task::JoinSet;

use crate::report::{Exit, Failure};

/// Runs begun at once.
const STARTS: usize = 256;

/// What was measured. The keys are stable.
#[derive(Serialize)]
pub(super) struct Measured<T> {
    /// Runs that this process has begun in the data directory.
    pub(super) runs: usize,
    /// How long that took.
    pub(super) fill_s: f64,
    /// What the fresh one measured.
    #[serde(flatten)]
    pub(super) fresh: T,
}

/// Has `fill` fill a data directory and `soloist bench WHAT --at DIR` measure it in a process of its own. That process is told
/// where, as `at`, and does `measure`; its answer is what the first one gives to `show`.
pub(super) async fn bench<T: Serialize + DeserializeOwned>(
    what: &str,
    at: Option<PathBuf>,
    json: bool,
    fill: impl AsyncFnOnce(&Path) -> Result<usize, Failure>,
    measure: impl AsyncFnOnce(&Path) -> Result<T, Failure>,
    show: impl FnOnce(&Measured<T>),
) -> Result<(), Failure> {
    let told = |json: serde_json::Result<String>| say!("{}", json.expect("numbers are plain data"));
    if let Some(at) = at {
        told(serde_json::to_string(&measure(&at).await?));
        return Ok(());
    }
    let scratch = Scratch::new();
    let started = Instant::now();
    let runs = fill(scratch.path()).await?;
    let fill_s = started.elapsed().as_secs_f64();
    let measured = Measured { runs, fill_s, fresh: measured(what, scratch.path())? };
    if json {
        told(serde_json::to_string(&measured));
    } else {
        show(&measured);
    }
    Ok(())
}

/// Begins runs until `next` gives no more, which is told how many there are and how many records: each of the workflow that it
/// names, and waited for until it rests. Tells how many there were.
pub(super) async fn begin(
    kernel: Builder,
    next: impl Fn(usize, u64) -> Option<&'static str> + Send + Sync + 'static,
) -> Result<usize, Failure> {
    let soloist = kernel.open().await?;
    let (number, next) = (Arc::new(AtomicUsize::new(0)), Arc::new(next));
    let mut starts = JoinSet::new();
    for _ in 0..STARTS {
        let (soloist, number, next) = (soloist.clone(), number.clone(), next.clone());
        starts.spawn(async move {
            loop {
                let number = number.fetch_add(1, Ordering::Relaxed);
                let Some(workflow) = next(number, soloist.stats().journal.records) else {
                    return Ok::<_, StartError>(());
                };
                let run = soloist.start(workflow, &format!("r{number}"), &number).await?;
                let _ = run.rest().await;
            }
        });
    }
    while let Some(ended) = starts.join_next().await {
        ended.map_err(failed)?.map_err(failed)?;
    }
    soloist.idle().await?;
    let begun = soloist.stats().runs_started;
    soloist.shutdown().await?;
    Ok(usize::try_from(begun).unwrap_or(usize::MAX))
}

/// What could not be measured.
pub(super) fn failed(problem: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, problem.to_string())
}

/// Has a fresh process do `soloist bench WHAT --at DIR`, and reads what it measured.
fn measured<T: DeserializeOwned>(what: &str, dir: &Path) -> Result<T, Failure> {
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
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new() -> Self {
        let name = format!("soloist-bench-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
