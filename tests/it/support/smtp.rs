//! A real mail server, which remembers what it accepted: `smtp_server.py` beside these tests.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A server that ends with this value.
pub(crate) struct SmtpServer {
    child: Child,
    log: PathBuf,
    /// Where it listens: `127.0.0.1:PORT`.
    pub(crate) address: String,
}

impl SmtpServer {
    /// Starts a server that keeps its log at `log` and pauses up to `pause_ms_max` between one thing and the next.
    pub(crate) fn start(log: &Path, pause_ms_max: u32) -> Self {
        // Debian's aiosmtpd belongs to Debian's python, whatever else is first on the path.
        let mut child = Command::new("/usr/bin/python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/smtp_server.py"))
            .arg(log)
            .arg(pause_ms_max.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("/usr/bin/python3 is needed: install the Debian packages python3 and python3-aiosmtpd");
        let mut line = String::new();
        let out = child.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut line).expect("its output can be read");
        let port: u16 = line.trim().parse().unwrap_or_else(|_| {
            panic!("the mail server did not start, its reason is above; it needs the Debian package python3-aiosmtpd: run `scripts/setup.sh test`")
        });
        Self { child, log: log.to_owned(), address: format!("127.0.0.1:{port}") }
    }

    /// How often it accepted each effect.
    pub(crate) fn accepted(&self) -> BTreeMap<String, usize> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let mut accepted = BTreeMap::new();
        for key in log.lines() {
            *accepted.entry(key.to_owned()).or_default() += 1;
        }
        accepted
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
