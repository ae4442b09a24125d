//! A server that follows a script, or acts by itself, and counts; and a proxy before it that breaks what passes.
//!
//! Both are plain TCP, so that they can do what no server would: cut in the middle, lie about lengths, fall silent.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    http::{Reach, Url},
    net::Stream,
};

/// What a server does with one request, after it has acted on it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// Says this, byte by byte, and keeps the connection open.
    Say(&'static str),
    /// Says this and closes the connection.
    SayAndClose(&'static str),
    /// Closes the connection without a word.
    Close,
    /// Leaves the connection open without a word.
    Hang,
    /// Says this, then nothing, and leaves the connection open.
    Stall(&'static str),
    /// Says this over and over until nobody listens.
    Flood(&'static str, &'static str),
    /// The same, a hundred times a second.
    Trickle(&'static str, &'static str),
}

/// An answer that is whole.
pub(crate) const OK: Reply = Reply::Say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");

/// What a server does with the request of that number, of which this was heard.
pub(crate) type Act = Arc<dyn Fn(usize, &str) -> Reply + Send + Sync>;

/// The first reply to the first request, and so on, and the last to all that follow.
pub(crate) fn script(replies: &'static [Reply]) -> Act {
    Arc::new(|number, _| replies[number.min(replies.len() - 1)])
}

/// What reached a server.
#[derive(Default)]
pub(crate) struct Counts {
    /// Connections that were made.
    pub(crate) connections: AtomicUsize,
    /// Requests it has acted on, by their first line; each was whole.
    pub(crate) committed: Mutex<Vec<String>>,
    /// Their heads and bodies.
    pub(crate) heard: Mutex<Vec<String>>,
}

/// A server on this machine. It ends with this value.
pub(crate) struct Server {
    pub(crate) port: u16,
    counts: Arc<Counts>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// A server that answers its first request with the first reply, and so on, and all that follow with the last.
    pub(crate) async fn new(replies: &'static [Reply]) -> Self {
        Self::on("127.0.0.1:0", replies).await.unwrap()
    }

    /// The same, at `address`; `None` if this machine has no such address, or its port is taken.
    pub(crate) async fn on(address: &str, replies: &'static [Reply]) -> Option<Self> {
        Self::over(address, script(replies), |stream| async { Some(stream) }).await
    }

    /// A server that does what `act` does with each request, and says what that returns.
    pub(crate) async fn acting(act: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let act: Act = Arc::new(move |_, heard| Reply::Say(act(heard).leak()));
        Self::over("127.0.0.1:0", act, |stream| async { Some(stream) }).await.unwrap()
    }

    /// A server that does what `act` says, over what `open` makes of each connection.
    pub(crate) async fn over<S, F>(
        address: &str,
        act: Act,
        open: impl Fn(TcpStream) -> F + Clone + Send + 'static,
    ) -> Option<Self>
    where
        S: Stream + 'static,
        F: Future<Output = Option<S>> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.ok()?;
        let port = listener.local_addr().unwrap().port();
        let (counts, next) = (Arc::<Counts>::default(), Arc::<AtomicUsize>::default());
        let (counted, mut tasks) = (counts.clone(), JoinSet::new());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.connections.fetch_add(1, Ordering::SeqCst);
                let (counted, next, open) = (counted.clone(), next.clone(), open.clone());
                let act = act.clone();
                connections.spawn(async move {
                    let Some(stream) = open(stream).await else { return };
                    serve(BufReader::new(stream), &counted, &act, &next).await;
                });
            }
        });
        Some(Self { port, counts, _tasks: tasks })
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        url(self.port, path)
    }

    pub(crate) fn reach(&self) -> Reach {
        reach(self.port)
    }

    pub(crate) fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }

    /// The first lines of what it has acted on.
    pub(crate) fn committed(&self) -> Vec<String> {
        self.counts.committed.lock().unwrap().clone()
    }

    pub(crate) fn heard(&self) -> String {
        self.counts.heard.lock().unwrap().join("\n")
    }
}

pub(crate) fn url(port: u16, path: &str) -> Url {
    format!("http://127.0.0.1:{port}{path}").parse().unwrap()
}

pub(crate) fn reach(port: u16) -> Reach {
    Reach::public().and(&format!("127.0.0.1:{port}")).unwrap()
}

async fn serve(
    mut stream: BufReader<impl Stream>,
    counts: &Counts,
    act: &Act,
    next: &AtomicUsize,
) -> Option<()> {
    loop {
        let heard = hear(&mut stream).await?;
        let line = heard.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1");
        counts.committed.lock().unwrap().push(line.to_owned());
        let reply = act(next.fetch_add(1, Ordering::SeqCst), &heard);
        counts.heard.lock().unwrap().push(heard);
        reply.give(&mut stream).await?;
    }
}

/// A whole request: its head, and as much as it says there is of a body.
async fn hear(stream: &mut BufReader<impl Stream>) -> Option<String> {
    let (mut head, mut length, mut is_chunked) = (String::new(), 0, false);
    loop {
        let start = head.len();
        let read = stream.read_line(&mut head).await.ok()?;
        let line = head[start..].trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        is_chunked |= line == "transfer-encoding: chunked";
        match (read, line.is_empty()) {
            (0, _) => return None,
            (_, true) => break,
            (_, false) => {}
        }
    }
    if is_chunked {
        let mut line = String::new();
        while !line.ends_with("0\r\n\r\n") {
            (stream.read_line(&mut line).await.ok()? > 0).then_some(())?;
        }
        return Some(head + &line);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8_lossy(&body))
}

impl Reply {
    async fn give(self, stream: &mut BufReader<impl Stream>) -> Option<()> {
        let text = match self {
            Self::Say(text) => text,
            Self::SayAndClose(text) | Self::Stall(text) => text,
            Self::Flood(text, _) | Self::Trickle(text, _) => text,
            Self::Close | Self::Hang => "",
        };
        stream.write_all(text.as_bytes()).await.ok()?;
        match self {
            Self::Say(_) => Some(()),
            Self::SayAndClose(_) | Self::Close => None,
            Self::Hang | Self::Stall(_) => {
                stream.read_to_end(&mut vec![]).await.ok();
                None
            }
            Self::Flood(_, more) => loop {
                stream.write_all(more.as_bytes()).await.ok()?;
            },
            Self::Trickle(_, more) => loop {
                stream.write_all(more.as_bytes()).await.ok()?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            },
        }
    }
}

/// Where a proxy breaks what passes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Break {
    /// Nowhere.
    Never,
    /// After it has read the request, and before it passes any of it on.
    BeforeUpstream,
    /// After the server has acted and answered, before any of the answer is passed on: the loss that matters.
    AfterCommit,
    /// After so many bytes of the answer.
    Within(usize),
    /// As `AfterCommit`, with a reset in place of an orderly end.
    Reset,
}

/// A proxy before a server. It ends with this value.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// A proxy that breaks its first connection in the first of these ways, and so on, and then begins anew.
    pub(crate) async fn new(server: &Server, breaks: &'static [Break]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (upstream, mut tasks) = (server.port, JoinSet::new());
        tasks.spawn(async move {
            for how in breaks.iter().cycle() {
                let Ok((stream, _)) = listener.accept().await else { return };
                pass(stream, upstream, *how).await;
            }
        });
        Self { port, _tasks: tasks }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the other side, which is no connector")]
async fn pass(stream: TcpStream, upstream: u16, how: Break) -> Option<()> {
    let mut near = BufReader::new(stream);
    let request = hear(&mut near).await?;
    if let Break::BeforeUpstream = how {
        return None;
    }
    let mut far = TcpStream::connect(("127.0.0.1", upstream)).await.ok()?;
    far.write_all(request.as_bytes()).await.ok()?;
    let mut answer = vec![0; 64 * 1024];
    let length = far.read(&mut answer).await.ok()?;
    assert!(length > 0, "the server has acted, and says so");
    match how {
        Break::BeforeUpstream | Break::AfterCommit => {}
        Break::Never => near.write_all(&answer[..length]).await.ok()?,
        Break::Within(bytes) => near.write_all(&answer[..bytes]).await.ok()?,
        Break::Reset => near.get_ref().set_zero_linger().ok()?,
    }
    Some(())
}

/// How long to wait for what does not come. Nothing that a test expects to come is awaited for so short a time.
pub(crate) const SHORT: Duration = Duration::from_millis(300);

/// How long to wait for what comes: long enough for any machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);
