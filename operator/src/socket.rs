//! The control socket: a Unix socket in the data directory that only its owner can open.
//!
//! One line of JSON in, one line out. There is no TCP port, no token and nothing to guard but the directory.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream as BlockingStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use soloist_actors::Soloist;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader as AsyncBufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinHandle,
};

use crate::{
    handler::act,
    request::{Problem, Request},
};

/// The socket's name within the data directory.
const NAME: &str = "control.sock";

/// Longest request, in bytes: a modified proposal with its whole text fits.
const REQUEST_BYTES_MAX: u64 = 8 << 20;

/// Connections served at once; more of them wait.
const CONNECTIONS_MAX: usize = 16;

/// How long a client waits for an answer: as long as a decision's run may take over its calls. What says itself how long it
/// takes has this beyond that.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// The serving end. Dropping it stops serving.
pub struct Server {
    path: PathBuf,
    serving: JoinHandle<()>,
}

impl Server {
    /// Serves `soloist` in `data_dir`, whose lock the caller holds: a socket that is there already is a dead one.
    ///
    /// # Errors
    ///
    /// Fails if the socket cannot be made: mostly because its path is longer than the 107 bytes that Unix allows.
    pub fn start(data_dir: &Path, soloist: Soloist) -> io::Result<Self> {
        let path = data_dir.join(NAME);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let serving = tokio::spawn(serve(listener, soloist));
        Ok(Self { path, serving })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve(listener: UnixListener, soloist: Soloist) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(permit) = room.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let soloist = soloist.clone();
                tokio::spawn(async move {
                    if let Err(error) = answer(stream, &soloist).await {
                        tracing::debug!(%error, "a control connection broke off");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket failed to accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(stream: UnixStream, soloist: &Soloist) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut line = String::new();
    AsyncBufReader::new(reading.take(REQUEST_BYTES_MAX)).read_line(&mut line).await?;
    let result = match serde_json::from_str::<Request>(&line) {
        Ok(request) => act(soloist, request).await,
        Err(error) => Err(Problem::new(format!("the request is not one: {error}"))),
    };
    let mut reply = serde_json::to_vec(&result)?;
    reply.push(b'\n');
    writing.write_all(&reply).await
}

/// The asking end.
pub struct Client {
    stream: BlockingStream,
}

impl Client {
    /// Connects to whoever serves `data_dir`; `None` if nobody does.
    #[must_use]
    pub fn connect(data_dir: &Path) -> Option<Self> {
        let stream = BlockingStream::connect(data_dir.join(NAME)).ok()?;
        Some(Self { stream })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    ///
    /// The server's [`Problem`], or that the connection broke off: then whether a decision was taken must be looked up.
    pub fn ask(mut self, request: &Request) -> Result<Value, Problem> {
        let broke = |error: io::Error| {
            let advice = "see `soloist inbox list` for whether it was taken";
            Problem::new(format!(
                "the connection to the running soloist broke off: {error}; {advice}"
            ))
        };
        let mut line = serde_json::to_vec(request).map_err(Problem::new)?;
        line.push(b'\n');
        self.stream.set_read_timeout(Some(ANSWER_TIMEOUT + lasts(request))).map_err(broke)?;
        self.stream.write_all(&line).map_err(broke)?;
        let mut reply = String::new();
        BufReader::new(&self.stream).read_line(&mut reply).map_err(broke)?;
        let nothing = || {
            Problem::new("the running soloist ended before it answered; see `soloist inbox list`")
        };
        serde_json::from_str::<Result<Value, Problem>>(&reply).map_err(|_| nothing())?
    }
}

fn lasts(request: &Request) -> Duration {
    match request {
        Request::Drain { seconds } => Duration::from_secs((*seconds).into()),
        _ => Duration::ZERO,
    }
}
