//! A `soloist serve` that runs as long as a test holds it.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command},
    sync::{Arc, Mutex},
};

use super::{
    Company,
    company::{Ran, finish, spawn},
    wait_until,
};

const SETTINGS: &str =
    "[mail]\nsource = 'mail'\npoll_seconds = 1\ncontacts = ['ada@client.example']\n";

/// A company whose `serve` runs, and ends with this value.
pub(crate) struct Serving {
    pub(crate) company: Company,
    child: Option<Child>,
    said: Arc<Mutex<String>>,
}

impl Serving {
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// One with `settings` before those of mail.
    pub(crate) fn with(settings: &str) -> Self {
        Self::of(Company::new(), settings)
    }

    /// One of a company that has its files already.
    pub(crate) fn of(company: Company, settings: &str) -> Self {
        company.write("soloist.toml", format!("{settings}{SETTINGS}"));
        let mut child = spawn(&mut company.on_data(&["serve"]));
        let errors = child.stderr.take().expect("it is piped");
        let said = Arc::new(Mutex::new(String::new()));
        let saying = said.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                let mut said = saying.lock().expect("nobody panics over a line");
                said.push_str(&line);
                said.push('\n');
            }
        });
        wait_until("serve opens its socket", || company.data().join("control.sock").exists());
        Self { company, child: Some(child), said }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().expect("nobody panics over a line").clone()
    }

    /// Sends it a signal: `TERM`, `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let script = format!("kill -{name} \"$0\"");
        let kill = Command::new("sh").args(["-c", &script, &self.pid().to_string()]).status();
        assert!(kill.expect("there is a shell").success());
    }

    /// Tells it to stop, as a service manager would.
    pub(crate) fn terminate(&mut self) -> Ran {
        self.signal("TERM");
        let mut ran = finish(self.child.take().expect("it runs"));
        wait_until("its last words arrive", || Arc::strong_count(&self.said) == 1);
        ran.err = self.said();
        ran
    }

    /// Kills it as `kill -9` does, and gives the company that it leaves.
    pub(crate) fn killed(mut self) -> Company {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it has ended");
        // Nobody is behind it any more, and the next one is told from it by making its own.
        std::fs::remove_file(self.company.data().join("control.sock")).expect("it was served");
        std::mem::replace(&mut self.company, Company::new())
    }

    /// The company when nothing runs any more.
    pub(crate) fn stopped(mut self) -> Self {
        let ran = self.terminate();
        assert_eq!(ran.code, 0, "{ran:?}");
        self
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
