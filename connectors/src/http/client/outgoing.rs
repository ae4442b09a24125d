//! A body that is read while it is sent.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, ReadBuf};

/// How much is read at once: what a TLS record holds.
const CHUNK_BYTES: usize = 16 * 1024;

pub(super) struct Outgoing {
    pub(super) reader: Box<dyn AsyncRead + Send + Sync + Unpin>,
    pub(super) length: Option<u64>,
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut room = ReadBuf::new(&mut chunk);
        ready!(Pin::new(&mut self.reader).poll_read(context, &mut room))?;
        let length = room.filled().len();
        chunk.truncate(length);
        Poll::Ready((length > 0).then(|| Ok(Frame::data(chunk.into()))))
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
