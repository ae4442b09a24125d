//! A mail server on a simulated wire: the real SMTP client speaks to it, over a stream in memory.
//!
//! It accepts what it is given, keeps it, and counts each mail under the identity in its `Message-ID`. It is asked for nothing
//! later: what was accepted is known to it and to the operator who looks into its log.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use serde_json::json;
use soloist_connectors::{Network, net::Stream};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};

use crate::{trace::What, world::Access};

/// Bytes that may be on the wire in one direction.
const WIRE_BYTES: usize = 64 << 10;

/// The mails that a server accepted. Clones are the same box.
#[derive(Clone, Debug, Default)]
pub struct Mailbox(Arc<Mutex<Vec<Accepted>>>);

/// A mail that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// To whom.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// The identity in its `Message-ID`, before the `@`.
    pub key: String,
}

impl Mailbox {
    /// What was accepted so far.
    #[must_use]
    pub fn mails(&self) -> Vec<Accepted> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Accepted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The network of a process: mail servers by their host, and nothing else.
pub(crate) struct Wire {
    access: Access,
    servers: BTreeMap<String, Mailbox>,
}

impl Wire {
    pub(crate) fn new(access: Access, servers: BTreeMap<String, Mailbox>) -> Self {
        Self { access, servers }
    }
}

#[async_trait]
impl Network for Wire {
    async fn connect(&self, host: &str, port: u16) -> io::Result<Box<dyn Stream>> {
        let Some(mailbox) = self.servers.get(host) else {
            let why = format!("nothing listens at {host}:{port} in this simulation");
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, why));
        };
        let (ours, theirs) = duplex(WIRE_BYTES);
        let session = Session {
            wire: BufReader::new(theirs),
            access: self.access.clone(),
            mailbox: mailbox.clone(),
            to: String::new(),
        };
        tokio::spawn(session.run());
        Ok(Box::new(ours))
    }
}

/// One conversation.
struct Session {
    wire: BufReader<DuplexStream>,
    access: Access,
    mailbox: Mailbox,
    to: String,
}

impl Session {
    /// Talks until the client hangs up. A client that is gone is no error of the server's.
    async fn run(mut self) {
        let _ = self.talk().await;
    }

    async fn talk(&mut self) -> io::Result<()> {
        self.say("220 simulated mail server").await?;
        let mut line = String::new();
        loop {
            line.clear();
            if self.wire.read_line(&mut line).await? == 0 || !self.access.is_alive() {
                return Ok(());
            }
            let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => self.say("250-simulated\r\n250 8BITMIME").await?,
                "MAIL" => self.say("250 go on").await?,
                "RCPT" => {
                    let to = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
                    self.to = to.map_or_else(String::new, |(to, _)| to.to_owned());
                    self.say("250 go on").await?;
                }
                "DATA" => {
                    self.say("354 end with a dot").await?;
                    let mail = self.content().await?;
                    self.accept(&mail);
                    self.say("250 accepted").await?;
                }
                "QUIT" => return self.say("221 goodbye").await,
                "RSET" | "NOOP" => self.say("250 go on").await?,
                _ => self.say("502 not here").await?,
            }
        }
    }

    async fn content(&mut self) -> io::Result<String> {
        let (mut mail, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            if self.wire.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line == ".\r\n" {
                return Ok(mail);
            }
            mail.push_str(&line);
        }
    }

    /// The mail is accepted: from here on it has happened.
    fn accept(&self, mail: &str) {
        let header = |name: &str| {
            let mut lines = mail.lines().take_while(|line| !line.is_empty());
            lines.find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
        };
        let id = header("Message-ID:");
        let key = id.trim_start_matches('<').split('@').next().unwrap_or_default().to_owned();
        let accepted = Accepted { to: self.to.clone(), subject: header("Subject:"), key };
        self.access.with(|state| {
            let detail = json!({ "to": accepted.to, "subject": accepted.subject });
            state.line("mail", What::Effect, format_args!("accepted for {}", accepted.to));
            state.happened("mail.send".into(), accepted.key.clone(), detail);
        });
        self.mailbox.lock().push(accepted);
    }

    async fn say(&mut self, line: &str) -> io::Result<()> {
        let wire = self.wire.get_mut();
        wire.write_all(line.as_bytes()).await?;
        wire.write_all(b"\r\n").await?;
        wire.flush().await
    }
}
