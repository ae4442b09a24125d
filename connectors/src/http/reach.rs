//! Where a request may go: the guard against being sent inside.
//!
//! A URL can come from a mail, a page or a model, and this machine stands where its writer does not: beside a database, a
//! router, the metadata of a cloud. So **what is not said is refused**: there is `https` to public addresses, and the
//! exceptions that the operator configured.
//!
//! It is held twice. [`Reach::check`] looks at the URL before anything is done, and so at addresses however they are spelled;
//! what it returns is a [`Dial`], which is asked of each address that a name resolves to when it is dialled, so that a name
//! that led outside a moment ago does not lead inside now. `address.rs` knows which addresses are not public.

use std::{collections::BTreeSet, net::IpAddr};

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use self::address::{Net, not_public};

mod address;

/// What is done about a refusal.
const HELP: &str = "if it is meant, name it in `reach`";

/// Where requests may go besides to public addresses by `https`: servers as `host:port`, and networks.
///
/// A server that is named may be spoken to in plain `http`, and is reached wherever its name leads. A network admits the
/// addresses in it at every port: addresses in a URL also in plain `http`, names that resolve to them by `https` alone.
///
/// In configuration it is a list.
///
/// ```
/// use soloist_connectors::http::Reach;
///
/// #[derive(serde::Deserialize)]
/// struct Config {
///     #[serde(default)]
///     reach: Reach,
/// }
/// let config: Config =
///     serde_json::from_str(r#"{ "reach": ["127.0.0.1:8088", "crm.internal:443", "10.0.0.0/8"] }"#)?;
/// assert_eq!(config.reach, Reach::public().and("10.0.0.0/8")?.and("127.0.0.1:8088")?.and("crm.internal:443")?);
/// assert!(serde_json::from_str::<Config>(r#"{ "reach": ["127.0.0.1"] }"#).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Reach {
    /// Hosts as a URL spells them, and their ports.
    servers: BTreeSet<(String, u16)>,
    networks: BTreeSet<Net>,
}

/// An exception that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{exception}` is no place to reach: write a server as `host:port`, a network as `10.0.0.0/8`"
)]
pub struct ReachError {
    /// What was written.
    pub exception: String,
}

impl Reach {
    /// Public addresses, by `https`, and nothing else. What [`Default`] gives as well.
    #[must_use]
    pub fn public() -> Self {
        Self::default()
    }

    /// There, and to `exception` as well: `host:port`, or a network like `10.0.0.0/8`.
    ///
    /// # Errors
    ///
    /// [`ReachError`] if it is neither.
    pub fn and(mut self, exception: &str) -> Result<Self, ReachError> {
        if let Ok(network) = exception.parse() {
            self.networks.insert(network);
            return Ok(self);
        }
        match server(exception) {
            Some(server) => {
                self.servers.insert(server);
                Ok(self)
            }
            None => Err(ReachError { exception: exception.to_owned() }),
        }
    }

    /// Whether a request may go to `url`, as far as the URL says; if not, why and what to do about it.
    pub(crate) fn admits(&self, url: &Url) -> Result<(), String> {
        self.check(url).map(drop).map_err(|Barred(why)| why)
    }

    /// Whether a request may go to `url`, as far as the URL says; what it does not say, the returned [`Dial`] does.
    pub(super) fn check(&self, url: &Url) -> Result<Dial, Barred> {
        let is_plain = match url.scheme() {
            "https" => false,
            "http" => true,
            other => return Err(Barred(format!("`{other}` is not spoken here; use https"))),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Barred("a URL must not hold a user or a password; send a header".into()));
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(Barred("the URL names no host".into()));
        };
        if self.servers.contains(&(spelled(&host), port)) {
            return Ok(Dial::Named);
        }
        let dial = Dial::Public(self.networks.clone());
        let is_named = match host {
            Host::Domain(name) => refuse_this_machine(name).map(|()| false)?,
            Host::Ipv4(address) => dial.admits(address.into())?,
            Host::Ipv6(address) => dial.admits(address.into())?,
        };
        if is_plain && !is_named {
            return Err(Barred(format!(
                "plain http would show it to everyone; {HELP} as `host:port`"
            )));
        }
        Ok(dial)
    }
}

/// What may be dialled for a URL that was admitted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dial {
    /// The operator named this server, so it is reached wherever its name leads.
    Named,
    /// Public addresses, and those in these networks.
    Public(BTreeSet<Net>),
}

impl Dial {
    /// Whether `address` is one that the operator named; [`Barred`] if it may not be dialled.
    pub(super) fn admits(&self, address: IpAddr) -> Result<bool, Barred> {
        let is_named = match self {
            Self::Named => true,
            Self::Public(networks) => networks.iter().any(|network| network.contains(address)),
        };
        match not_public(address) {
            Some(what) if !is_named => Err(Barred(format!("{address} is {what}; {HELP}"))),
            Some(_) | None => Ok(is_named),
        }
    }
}

/// Why a request may not go where it was to go, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Barred(pub(super) String);

/// Names of this machine need not be asked for: resolvers disagree on whether they exist.
fn refuse_this_machine(name: &str) -> Result<(), Barred> {
    let name = name.trim_end_matches('.');
    if name == "localhost" || name.ends_with(".localhost") {
        return Err(Barred(format!("`{name}` is this machine; {HELP}")));
    }
    Ok(())
}

/// A host as exceptions and URLs are compared: in the URL's own spelling, without the dot of the root.
fn spelled<S: AsRef<str>>(host: &Host<S>) -> String {
    match host {
        Host::Domain(name) => name.as_ref().trim_end_matches('.').to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    }
}

fn server(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let host = Host::parse(host).ok()?;
    // A pattern would be a name that nobody has, and look like an exception.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_pattern = matches!(&host, Host::Domain(name) if !name.bytes().all(is_plain));
    (!is_pattern).then(|| (spelled(&host), port))
}

impl TryFrom<Vec<String>> for Reach {
    type Error = ReachError;

    fn try_from(exceptions: Vec<String>) -> Result<Self, ReachError> {
        exceptions.iter().try_fold(Self::public(), |reach, exception| reach.and(exception))
    }
}

impl From<Reach> for Vec<String> {
    fn from(reach: Reach) -> Self {
        let servers = reach.servers.into_iter().map(|(host, port)| match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        });
        servers.chain(reach.networks.iter().map(Net::to_string)).collect()
    }
}

#[cfg(test)]
mod tests;
