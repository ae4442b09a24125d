//! A company of one in a temporary directory: its mail, its data, and the binary to run it with.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use super::binary;

/// A directory to run soloist in.
pub(crate) struct Company {
    dir: TempDir,
    /// What follows `demo` each time.
    pub(crate) flags: Vec<String>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Company {
    /// One with an empty mail folder.
    pub(crate) fn new() -> Self {
        // Building the binary is nothing that a test should measure.
        binary::soloist();
        let dir = TempDir::new().expect("there is room for a directory");
        std::fs::create_dir(dir.path().join("mail")).expect("there is room for a directory");
        Self { dir, flags: vec![] }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Writes a file of the company, and gives its path.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("the file can be written");
        path
    }

    /// Lets a mail arrive, whole or not at all.
    pub(crate) fn receive(&self, name: &str, content: impl AsRef<[u8]>) {
        let draft = self.write(&format!("mail/{name}.tmp"), content);
        std::fs::rename(draft, self.path(&format!("mail/{name}"))).expect("the mail arrives");
    }

    /// The binary in the company's directory. Settings of whoever runs the tests do not reach it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary::soloist());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SOLOIST_") {
                command.env_remove(name);
            }
        }
        command.args(arguments).current_dir(self.dir.path());
        command
    }

    /// `soloist ARGUMENTS --data data`.
    pub(crate) fn on_data(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command.args(["--data", "data"]);
        command
    }

    /// `soloist demo` over the company's mail and flags.
    pub(crate) fn demo(&self) -> Command {
        let mut command = self.on_data(&["demo", "--mail", "mail", "--headless", "--json"]);
        command.args(&self.flags);
        command
    }

    /// Runs a demo to its end and gives its summary.
    #[track_caller]
    pub(crate) fn demo_to_its_end(&self) -> Value {
        run(&mut self.demo()).json()
    }

    /// Runs `soloist ARGUMENTS --data data`.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        run(&mut self.on_data(arguments))
    }

    /// Runs `soloist ARGUMENTS --data data --json`, which must work, and gives its answer.
    #[track_caller]
    pub(crate) fn ask(&self, arguments: &[&str]) -> Value {
        run(self.on_data(arguments).arg("--json")).json()
    }

    /// The ids of what waits, of one kind.
    #[track_caller]
    pub(crate) fn waiting(&self, kind: &str) -> Vec<String> {
        let inbox = self.ask(&["inbox", "list"]);
        let items = inbox.as_array().expect("the inbox is a list").iter();
        items.filter(|item| item["kind"] == kind).map(|item| text(&item["id"])).collect()
    }

    /// The mails in the outbox.
    pub(crate) fn outbox(&self) -> Vec<String> {
        let mut mails: Vec<PathBuf> = files(&self.data().join("outbox/new"));
        mails.sort();
        mails.iter().map(|path| std::fs::read_to_string(path).expect("mail is text")).collect()
    }
}

/// The files in `folder`; none if it is not there.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    entries.map(|entry| entry.expect("the folder can be listed").path()).collect()
}

/// A JSON string as text.
#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// Runs `command` to its end.
pub(crate) fn run(command: &mut Command) -> Ran {
    ended(command.stdin(Stdio::null()).output().expect("the binary starts"))
}

/// Starts `command`; what it says is kept until [`finish`].
pub(crate) fn spawn(command: &mut Command) -> Child {
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    piped.spawn().expect("the binary starts")
}

/// Waits for `child`.
pub(crate) fn finish(child: Child) -> Ran {
    ended(child.wait_with_output().expect("a child can be waited for"))
}

/// The code of a command that a signal ended.
pub(crate) const KILLED: i32 = -9;

fn ended(output: Output) -> Ran {
    use std::os::unix::process::ExitStatusExt;
    let text = |bytes| String::from_utf8(bytes).expect("soloist speaks UTF-8");
    let signal = output.status.signal().map(|signal| -signal);
    let code = output.status.code().or(signal).expect("it ended by itself or by a signal");
    Ran { code, out: text(output.stdout), err: text(output.stderr) }
}

impl Ran {
    /// The answer of a command that must have worked.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, 0, "it should have worked: {self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that it was refused with `code`, and gives what it said to a person.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "{self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
        self.err.trim_end()
    }
}
