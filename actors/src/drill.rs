//! Killing actors on purpose: for drills, and for the simulator. What follows a death is what always follows one.

use soloist_kernel::id::RunId;

use crate::{Soloist, runs};

/// Where the actors of runs are in the tree.
const RUNS: &str = "soloist/runs/";

impl Soloist {
    /// The paths of the actors that live now: those of the tree, each supervisor before those beneath it, then those of the
    /// runs that are active.
    #[must_use]
    pub fn living(&self) -> Vec<String> {
        let mut paths = self.context().tree.living();
        let tree = self.tree();
        let runs = tree.children.iter().find(|child| child.name == "runs");
        let active = runs.into_iter().flat_map(|runs| &runs.children);
        paths.extend(active.map(|run| format!("{RUNS}{}", run.name)));
        paths
    }

    /// Whether an actor lives at `path`, as [`living`](Self::living) lists them.
    #[must_use]
    pub fn lives(&self, path: &str) -> bool {
        let tree = &self.context().tree;
        match path.strip_prefix(RUNS) {
            Some(run) => tree.members("soloist/runs").iter().any(|member| member.name == run),
            None => tree.lives(path),
        }
    }

    /// Kills the actor at `path`, as OTP's `exit(Pid, kill)` does, and those beneath it: `soloist/connectors/mail/calls`,
    /// `soloist/runs/RUN`. Returns whether it was there.
    pub fn kill(&self, path: &str) -> bool {
        if let Some(run) = path.strip_prefix(RUNS) {
            let (Ok(run), Some(runs)) = (RunId::new(run), self.context().registry.runs()) else {
                return false;
            };
            return runs.send(runs::Message::Kill { run }).is_ok();
        }
        self.context().tree.kill(path)
    }

    /// Asks the actor at `path` to stop, as it does when it has nothing more to do. Returns whether it was there.
    pub fn stop(&self, path: &str) -> bool {
        self.context().tree.stop(path)
    }
}
