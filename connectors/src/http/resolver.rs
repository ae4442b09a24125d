//! What names lead to: the seam to DNS.

use std::{io, net::IpAddr};

use async_trait::async_trait;

/// Finds the addresses of a name. In production it is [`System`]; a test has one that changes its mind.
#[async_trait]
pub trait Resolver: Send + Sync + 'static {
    /// The addresses of `host`, in the order in which they are to be tried. Those that may not be reached are left out by the
    /// caller.
    ///
    /// # Errors
    ///
    /// The name is not known, or could not be asked for.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

#[async_trait]
impl Resolver for System {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the seam: the one place that asks for names"
    )]
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}
