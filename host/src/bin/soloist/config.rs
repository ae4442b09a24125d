//! The layered configuration: defaults, then `soloist.toml`, then the one in the data directory, then `SOLOIST_…` in the
//! environment, then flags.
//!
//! The data directory remembers what it was first used with, so that a later `soloist inbox approve --data DIR` sends the
//! way the `soloist demo` that made it would have. Every error names the file or the variable, the key, and what was
//! expected there.

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize, de::Error};
use soloist::{
    connectors::mail::{SmtpConfig, source::MAIL_BYTES_MAX},
    workflow::parse_duration,
};

use crate::{
    cli::{Cli, Command, DemoArguments},
    company::scenario::Scenario,
    report::{Exit, Failure},
};

/// Where the journal is kept if nothing says so.
pub(crate) const DATA: &str = "soloist-data";

/// The file's name, beside the process and in the data directory.
const FILE: &str = "soloist.toml";

/// Every setting.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where the journal is kept.
    pub(crate) data: PathBuf,
    /// What is logged to standard error: `warn`, `info`, `soloist_actors=debug`.
    pub(crate) log: String,
    /// The definition of the workflow that answers mail; the built-in one if absent.
    pub(crate) workflow: Option<PathBuf>,
    /// The policy; the built-in one if absent.
    pub(crate) policy: Option<PathBuf>,
    /// What calls cost and may cost; the built-in prices if absent.
    pub(crate) budgets: Option<PathBuf>,
    /// Declarations of connectors, which are mounted beside those that are built in.
    pub(crate) connectors: Vec<PathBuf>,
    /// The worked example that this is; the mail company if absent.
    pub(crate) scenario: Option<Scenario>,
    /// How long `serve` waits for its runs to rest when it is told to stop, in seconds.
    pub(crate) drain_seconds: u32,
    /// What is kept, and for how long.
    pub(crate) retention: Retention,
    /// Mail.
    pub(crate) mail: MailSettings,
}

/// The settings of what is kept.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Retention {
    /// How long after its end a run is archived: `90d`; never if absent.
    #[serde(deserialize_with = "duration")]
    pub(crate) after: Option<Duration>,
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    parse_duration(&text).map(Some).map_err(|problem| {
        D::Error::custom(format!("{problem}; write a number and a unit, as in 90d or 12h"))
    })
}

/// The settings of mail.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MailSettings {
    /// Who mails are from.
    pub(crate) from: String,
    /// A Maildir or a folder of .eml files to read.
    pub(crate) source: Option<PathBuf>,
    /// Largest mail that is read, in bytes.
    pub(crate) bytes_max: u64,
    /// How often `serve` looks for new mail, in seconds.
    pub(crate) poll_seconds: u64,
    /// Addresses that may be written to without asking.
    pub(crate) contacts: Vec<String>,
    /// The Maildir that mail leaves into; `outbox` in the data directory if absent.
    pub(crate) outbox: Option<PathBuf>,
    /// The server that mail leaves by, instead of the outbox.
    pub(crate) smtp: Option<SmtpConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: DATA.into(),
            log: "warn".into(),
            workflow: None,
            policy: None,
            budgets: None,
            connectors: vec![],
            scenario: None,
            drain_seconds: 10,
            retention: Retention::default(),
            mail: MailSettings::default(),
        }
    }
}

impl Default for MailSettings {
    fn default() -> Self {
        Self {
            from: "Kestrel Studio <studio@kestrel.example>".into(),
            source: None,
            bytes_max: MAIL_BYTES_MAX,
            poll_seconds: 10,
            contacts: vec![],
            outbox: None,
            smtp: None,
        }
    }
}

/// What a data directory remembers of the command that first used it.
#[derive(Serialize)]
pub(crate) struct Remembered {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scenario: Option<Scenario>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mail: Option<RememberedMail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workflow: Option<PathBuf>,
}

#[derive(Serialize)]
pub(crate) struct RememberedMail {
    pub(crate) source: PathBuf,
    pub(crate) contacts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) smtp: Option<RememberedSmtp>,
}

#[derive(Serialize)]
pub(crate) struct RememberedSmtp {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: &'static str,
}

impl Config {
    /// Reads every layer.
    pub(crate) fn load(cli: &Cli) -> Result<Self, Failure> {
        let own = match &cli.config {
            Some(path) => Some(path.clone()),
            None => Some(PathBuf::from(FILE)).filter(|path| path.exists()),
        };
        let first = merged(own.as_deref(), None)?;
        let data = cli.data.clone().unwrap_or(first.data);
        let remembered = Some(data.join(FILE)).filter(|path| path.exists());
        let mut config = merged(own.as_deref(), remembered.as_deref())?;
        config.data = data;
        if let Command::Demo(arguments) = &cli.command {
            config.take(arguments, remembered.is_some())?;
        }
        Ok(config)
    }

    /// Takes over what the demo's flags say. A data directory that remembers one company is not another's.
    fn take(&mut self, arguments: &DemoArguments, remembers: bool) -> Result<(), Failure> {
        let of_mail = arguments.mail.is_some()
            || arguments.smtp.is_some()
            || arguments.workflow.is_some()
            || !arguments.known.is_empty();
        let wanted = arguments.scenario.or(self.scenario.filter(|_| !of_mail));
        if remembers && wanted != self.scenario {
            let is = self.scenario.map_or("the mail company", Scenario::name);
            let message = format!(
                "{} belongs to {is}; give another directory with --data",
                self.data.display()
            );
            return Err(Failure::new(Exit::Usage, message));
        }
        self.scenario = wanted;
        if let Some(workflow) = &arguments.workflow {
            self.workflow = Some(workflow.clone());
        }
        if let Some(source) = &arguments.mail {
            self.mail.source = Some(source.clone());
        }
        if let Some(server) = &arguments.smtp {
            self.mail.smtp = Some(smtp_flag(server)?);
        }
        self.mail.contacts.extend(arguments.known.iter().cloned());
        Ok(())
    }

    /// Writes `remembered` into the data directory, unless it remembers something already.
    pub(crate) fn remember(&self, remembered: &Remembered) -> Result<(), Failure> {
        let path = self.data.join(FILE);
        if path.exists() {
            return Ok(());
        }
        let failed = |problem: String| {
            Failure::new(Exit::Failed, format!("failed to write {}: {problem}", path.display()))
        };
        let text = toml::to_string(remembered).map_err(|error| failed(error.to_string()))?;
        std::fs::create_dir_all(&self.data).map_err(|error| failed(error.to_string()))?;
        let text = format!(
            "# What this data directory was first used with. Edit it to change how it goes on.\n{text}"
        );
        write_whole(&path, &text).map_err(|error| failed(error.to_string()))
    }
}

/// Writes `text` to `path`, whole or not at all. Half a file would be read as one that says nothing of the mail server, and
/// the next decision would send another way than the demo that it belongs to.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let draft = path.with_extension("toml.draft");
    let mut file = std::fs::File::create(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    // The name must survive a power loss as well.
    path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
}

fn merged(own: Option<&Path>, remembered: Option<&Path>) -> Result<Config, Failure> {
    let mut builder = config::Config::builder();
    for path in [own, remembered].into_iter().flatten() {
        builder = builder
            .add_source(config::File::from_str(&checked_file(path)?, config::FileFormat::Toml));
    }
    check_environment()?;
    builder = builder.add_source(environment(None));
    let merged = builder.build().and_then(config::Config::try_deserialize);
    merged.map_err(|error| {
        Failure::new(Exit::Usage, format!("the configuration does not fit together: {error}"))
    })
}

/// Reads a file and checks it by itself, so that an error can name its line.
fn checked_file(path: &Path) -> Result<String, Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, format!("{}{message}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| usage(format!(": {error}")))?;
    toml::from_str::<Config>(&text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let number = text[..start].matches('\n').count() + 1;
        let line = text.lines().nth(number - 1).unwrap_or_default().trim();
        usage(format!(", line {number}, `{line}`: {}", error.message()))
    })?;
    Ok(text)
}

fn environment(only: Option<BTreeMap<String, String>>) -> config::Environment {
    let source = only.map(|only| only.into_iter().collect());
    config::Environment::with_prefix("SOLOIST")
        .prefix_separator("_")
        .separator("__")
        .try_parsing(true)
        .list_separator(",")
        .with_list_parse_key("connectors")
        .with_list_parse_key("mail.contacts")
        .source(source)
}

/// Checks each variable by itself, so that an error can name it.
fn check_environment() -> Result<(), Failure> {
    for (name, value) in std::env::vars().filter(|(name, _)| name.starts_with("SOLOIST_")) {
        // A server's settings need each other, so they are checked together when all layers are.
        if name.starts_with("SOLOIST_MAIL__SMTP__") {
            continue;
        }
        let alone = environment(Some(BTreeMap::from([(name.clone(), value)])));
        let read = config::Config::builder().add_source(alone).build();
        read.and_then(config::Config::try_deserialize::<Config>).map_err(|error| {
            Failure::new(Exit::Usage, format!("environment variable {name}: {error}"))
        })?;
    }
    Ok(())
}

fn smtp_flag(server: &str) -> Result<SmtpConfig, Failure> {
    let wrong = || {
        Failure::new(
            Exit::Usage,
            format!("--smtp {server:?} is not HOST:PORT, as in localhost:1025"),
        )
    };
    let (host, port) = server.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let text = format!("host = {host:?}\nport = {port}\ntls = \"none\"");
    toml::from_str(&text).map_err(|_| wrong())
}
