//! A mail server as the way out, spoken to command by command so that the phase of a fault is known.
//!
//! The line is the content: until its first byte leaves, nothing can have been accepted; from then until the server's
//! answer, the mail may have been; the answer decides. What goes wrong after the answer, such as the farewell, changes
//! nothing. Nothing can be asked of a server later, so the operation is `Opaque`. `config.rs` is how it is set up,
//! `fault.rs` what an error means; the sibling is `outbox.rs`.

use std::{fmt, future::Future, io, net::SocketAddr, time::Duration};

use lettre::{
    Address,
    transport::smtp::{
        Error,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, AsyncTokioStream, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::ClientId,
        response::{Response, Severity},
    },
};
use soloist_kernel::fault::{Fault, FaultClass, Phase};
use tokio::time::timeout;

use self::fault::{late, maybe_sent, not_accepted, unreachable};
use super::connector::MailConfigError;
use crate::{
    contract::{Plan, Rate},
    env::Env,
    net::Stream,
};

mod config;
mod fault;

pub use config::{Password, SmtpConfig, Tls};

/// How long a connection may take, with TLS and the greeting.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the answer to one command may take. RFC 5321 allows minutes, but nothing is lost by trying later.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// How long content and its answer may take. Longer than for a command: a fault here asks the operator.
pub const CONTENT_TIMEOUT: Duration = Duration::from_secs(40);

/// How long the farewell may take. It is a courtesy: the mail has landed or the attempt has failed.
pub const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// The answer to `DATA` that asks for the content.
const START_MAIL_INPUT: u16 = 354;

/// A mail server that mails are handed to. One connection per mail.
pub struct Smtp {
    config: SmtpConfig,
    tls: Option<TlsParameters>,
}

impl Smtp {
    /// The server that `config` describes. It is not connected to yet.
    ///
    /// # Errors
    ///
    /// [`MailConfigError`] names the key that is wrong.
    pub fn new(config: SmtpConfig) -> Result<Self, MailConfigError> {
        config.check()?;
        let tls = match config.tls {
            Tls::None => None,
            Tls::Starttls | Tls::Tls => {
                Some(TlsParameters::new(config.host.clone()).map_err(|problem| {
                    MailConfigError { key: "outgoing.smtp.host", problem: problem.to_string() }
                })?)
            }
        };
        Ok(Self { config, tls })
    }

    /// How fast it may be called.
    #[must_use]
    pub fn rate(&self) -> Rate {
        let SmtpConfig { per_second, burst, .. } = self.config;
        // So many in the long run, after a burst: both can fall into one second.
        Rate::per_second(per_second.saturating_add(burst).saturating_sub(1), burst)
    }

    /// Who it is to the server.
    pub(super) fn credential(&self) -> String {
        let SmtpConfig { host, port, user, .. } = &self.config;
        format!("smtp:{host}:{port}/{}", user.as_deref().unwrap_or_default())
    }

    /// Hands the mail of `plan` over in the name of `from`, and returns the server's answer.
    ///
    /// # Errors
    ///
    /// A [`Fault`] with an honest phase; see the [module](self).
    pub async fn send(&self, env: &Env, from: &Address, plan: &Plan) -> Result<String, Fault> {
        let to = recipient(plan)?;
        let mut connection = self.connect(env).await?;
        let sent = match prepare(&mut connection, from, to).await {
            Ok(()) => hand_over(&mut connection, &plan.bytes).await,
            Err(fault) => Err(fault),
        };
        // Whatever comes of the farewell, what was answered before stands.
        let _ = timeout(QUIT_TIMEOUT, connection.abort()).await;
        sent
    }

    /// Connects as for a mail, is greeted, encrypted and authenticated as configured, and says farewell.
    ///
    /// # Errors
    ///
    /// A [`Fault`]: nothing was sent.
    pub async fn check(&self, env: &Env) -> Result<(), Fault> {
        let mut connection = self.connect(env).await?;
        let _ = timeout(QUIT_TIMEOUT, connection.abort()).await;
        Ok(())
    }

    /// A connection that is ready for a mail: greeted, encrypted and authenticated as configured.
    async fn connect(&self, env: &Env) -> Result<AsyncSmtpConnection, Fault> {
        let hello = ClientId::Domain(self.config.hello.clone());
        let mut connection = match timeout(CONNECT_TIMEOUT, self.greeted(env, &hello)).await {
            Ok(connected) => connected?,
            Err(_) => return Err(late("connecting", CONNECT_TIMEOUT, Phase::NotSent)),
        };
        if self.config.tls == Tls::Starttls {
            self.encrypt(&mut connection, &hello).await?;
        }
        self.authenticate(&mut connection).await?;
        Ok(connection)
    }

    /// A connection on which both have said who they are.
    async fn greeted(&self, env: &Env, hello: &ClientId) -> Result<AsyncSmtpConnection, Fault> {
        let connected = match self.config.tls {
            Tls::None | Tls::Starttls => {
                let SmtpConfig { host, port, .. } = &self.config;
                let stream = env.connect(host, *port).await;
                let stream = stream.map_err(|problem| unreachable(&problem))?;
                AsyncSmtpConnection::connect_with_transport(Box::new(stream), hello).await
            }
            Tls::Tls => self.encrypted_from_the_start(hello).await,
        };
        connected.map_err(|error| not_accepted("connecting", &error))
    }

    /// A connection that lettre opens itself. On a stream that it is handed, lettre waits for the greeting at once; to encrypt
    /// it before would take a TLS client of our own. So this is the one connection that no
    /// [`Network`](crate::net::Network) answers.
    #[expect(
        clippy::disallowed_methods,
        reason = "lettre encrypts from the start only what it opens"
    )]
    async fn encrypted_from_the_start(
        &self,
        hello: &ClientId,
    ) -> Result<AsyncSmtpConnection, Error> {
        let server = (self.config.host.as_str(), self.config.port);
        let (limit, tls) = (Some(CONNECT_TIMEOUT), self.tls.clone());
        AsyncSmtpConnection::connect_tokio1(server, limit, hello, tls, None).await
    }

    async fn encrypt(
        &self,
        connection: &mut AsyncSmtpConnection,
        hello: &ClientId,
    ) -> Result<(), Fault> {
        let parameters =
            self.tls.clone().expect("`new` makes the parameters when TLS is configured");
        if !connection.can_starttls() {
            let message = "the server does not offer STARTTLS, and mail is not sent in the clear; set `tls` to \"tls\" if it expects TLS from the start";
            return Err(Fault::new(FaultClass::Declined, Phase::NotSent, message));
        }
        command("STARTTLS", connection.starttls(parameters, hello)).await
    }

    async fn authenticate(&self, connection: &mut AsyncSmtpConnection) -> Result<(), Fault> {
        let (Some(user), Some(password)) = (&self.config.user, &self.config.password) else {
            return Ok(());
        };
        if connection.server_info().get_auth_mechanism(DEFAULT_MECHANISMS).is_none() {
            let message = "the server accepts neither PLAIN nor LOGIN; remove `user` and `password`, or use a port that does";
            return Err(Fault::new(FaultClass::Auth, Phase::NotSent, message));
        }
        let credentials = Credentials::new(user.clone(), password.reveal().to_owned());
        command("AUTH", connection.auth(DEFAULT_MECHANISMS, &credentials)).await.map(drop)
    }
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp").field("config", &self.config).finish_non_exhaustive()
    }
}

impl fmt::Display for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SMTP server {}:{}", self.config.host, self.config.port)
    }
}

impl AsyncTokioStream for Box<dyn Stream> {
    /// The client does not ask for it, and a stream need not have one.
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn recipient(plan: &Plan) -> Result<Address, Fault> {
    plan.routing.get("to").and_then(|to| to.parse().ok()).ok_or_else(|| {
        let message = "the plan has no valid `to` in its routing; plan the mail again";
        Fault::new(FaultClass::Invalid, Phase::NotSent, message)
    })
}

/// Everything before the content. No failure here can have sent the mail.
async fn prepare(
    connection: &mut AsyncSmtpConnection,
    from: &Address,
    to: Address,
) -> Result<(), Fault> {
    command("MAIL", connection.command(Mail::new(Some(from.clone()), Vec::new()))).await?;
    command("RCPT", connection.command(Rcpt::new(to, Vec::new()))).await?;
    let answer = command("DATA", connection.command(Data)).await?;
    if answer.has_code(START_MAIL_INPUT) {
        return Ok(());
    }
    let message =
        format!("the server answered DATA with \"{}\", which asks for nothing", text_of(&answer));
    Err(Fault::new(FaultClass::Bug, Phase::NotSent, message))
}

/// The content and the answer to it. Any failure in between leaves open whether the mail was accepted.
async fn hand_over(connection: &mut AsyncSmtpConnection, bytes: &[u8]) -> Result<String, Fault> {
    let answer = match timeout(CONTENT_TIMEOUT, connection.message(bytes)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) if error.status().is_some() => return Err(not_accepted("content", &error)),
        Ok(Err(error)) => return Err(maybe_sent(&error)),
        Err(_) => return Err(late("content", CONTENT_TIMEOUT, Phase::MaybeSent)),
    };
    if answer.code().severity == Severity::PositiveCompletion {
        return Ok(text_of(&answer));
    }
    let message = format!(
        "the server answered the content with \"{}\", which neither accepts nor refuses it",
        text_of(&answer)
    );
    Err(Fault::new(FaultClass::Bug, Phase::MaybeSent, message))
}

async fn command<T>(
    name: &'static str,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Fault> {
    match timeout(COMMAND_TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(|error| not_accepted(name, &error)),
        Err(_) => Err(late(name, COMMAND_TIMEOUT, Phase::NotSent)),
    }
}

/// The answer in one line, as a person quotes it: `250 2.0.0 queued`.
fn text_of(answer: &Response) -> String {
    let lines: Vec<&str> = answer.message().collect();
    format!("{} {}", answer.code(), lines.join(" ")).trim_end().to_owned()
}

#[cfg(test)]
mod tests;
