//! The seam to other machines: byte streams to a host and a port.
//!
//! A connector opens its connections with [`Env::connect`](crate::env::Env::connect) and speaks its protocol over what it
//! gets, so that the same client code runs against a real server and against one that a simulation or a test answers with.
//! Nothing here knows of encryption or of time limits: both are the client's own.

use std::{fmt, future::Future, io, pin::Pin};

use async_trait::async_trait;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// A byte stream to another machine. Everything that can be one is one: a [`TcpStream`], or an end of `tokio::io::duplex`.
pub trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin + fmt::Debug> Stream for T {}

/// A stream on its way: what a function that is a [`Network`] returns.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// How connectors reach other machines. In production it is [`Tcp`]; a simulator answers from its own servers.
#[async_trait]
pub trait Network: Send + Sync + 'static {
    /// Opens a stream to `port` of `host`, which is a name or an address.
    ///
    /// # Errors
    ///
    /// The host is not known, or there is no way to it, or nothing answers there. Nothing was said to it then, so the caller
    /// can try again.
    async fn connect(&self, host: &str, port: u16) -> io::Result<Box<dyn Stream>>;
}

#[async_trait]
impl<F: Fn(&str, u16) -> Connecting + Send + Sync + 'static> Network for F {
    async fn connect(&self, host: &str, port: u16) -> io::Result<Box<dyn Stream>> {
        self(host, port).await
    }
}

/// TCP by tokio, with names resolved by the system. Each address of a name is tried in turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

#[async_trait]
impl Network for Tcp {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the seam: the one place that opens a socket of ours"
    )]
    async fn connect(&self, host: &str, port: u16) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(TcpStream::connect((host, port)).await?))
    }
}
