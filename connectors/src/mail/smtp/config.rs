//! How a mail server is reached.

use std::{fmt, net::IpAddr};

use serde::Deserialize;

use super::super::connector::MailConfigError;

/// A mail server and how to speak to it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpConfig {
    /// Its name, which its certificate must bear.
    pub host: String,
    /// Its port: usually 465 for [`Tls::Tls`], 587 for [`Tls::Starttls`].
    pub port: u16,
    /// The name to greet it with: the name of this machine.
    #[serde(default = "hello")]
    pub hello: String,
    /// How the connection is encrypted.
    #[serde(default)]
    pub tls: Tls,
    /// The user to authenticate as, with `password`.
    #[serde(default)]
    pub user: Option<String>,
    /// The password of `user`.
    #[serde(default)]
    pub password: Option<Password>,
    /// Mails per second in the long run.
    #[serde(default = "per_second")]
    pub per_second: u32,
    /// Mails at once after a pause.
    #[serde(default = "burst")]
    pub burst: u32,
}

fn hello() -> String {
    "localhost".to_owned()
}

fn per_second() -> u32 {
    20
}

fn burst() -> u32 {
    10
}

/// How a connection is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// From the first byte.
    #[default]
    Tls,
    /// From the first command on; a server that does not offer it is not used.
    Starttls,
    /// Not at all: for a server on this machine, or on a network that is trusted.
    None,
}

/// A password, which is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    /// Takes a password.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

impl SmtpConfig {
    /// The server at `host` and `port`, with TLS and the other defaults.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            hello: hello(),
            tls: Tls::default(),
            user: None,
            password: None,
            per_second: per_second(),
            burst: burst(),
        }
    }

    /// Whether this can work at all.
    pub(super) fn check(&self) -> Result<(), MailConfigError> {
        let bad = |key, problem: &str| Err(MailConfigError { key, problem: problem.to_owned() });
        if self.host.is_empty() || !self.host.bytes().all(|byte| byte.is_ascii_graphic()) {
            return bad("mail.smtp.host", "must be a host name like mail.example.com");
        }
        // The name goes into a command as it is: a line break in it would be a command of its own.
        if self.hello.is_empty() || !self.hello.bytes().all(|byte| byte.is_ascii_graphic()) {
            return bad("mail.smtp.hello", "must be a host name like studio.example.com");
        }
        if self.user.is_some() != self.password.is_some() {
            return bad("mail.smtp.user", "needs `password` beside it, and the other way round");
        }
        if self.user.is_some() && self.tls == Tls::None && !self.is_local() {
            return bad(
                "mail.smtp.tls",
                "is \"none\", which would show the password to the network; use \"tls\" or \"starttls\"",
            );
        }
        if self.per_second == 0 || self.burst == 0 {
            return bad(
                "mail.smtp.per_second",
                "and `burst` must be at least 1; pause the connector to send nothing",
            );
        }
        Ok(())
    }

    fn is_local(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}
