//! A connection whose client may send the path of the socket as authority.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;

/// Reads with authorities mended, writes as they are.
#[derive(Debug)]
pub(in crate::grpc) struct Mended<Io> {
    io: Io,
    frames: Frames,
}

impl<Io> Mended<Io> {
    pub(in crate::grpc) fn new(io: Io) -> Self {
        Self {
            io,
            frames: Frames::new(),
        }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Mended<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // An empty answer means the end, so it is read on while all that came is held. That has a
        // bound, and so has the loop.
        while buffer.remaining() > 0 {
            let ready = this.frames.ready();
            if !ready.is_empty() {
                let count = ready.len().min(buffer.remaining());
                buffer.put_slice(ready.get(..count).unwrap_or_default());
                this.frames.took(count);
                break;
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.io).poll_read(cx, buffer))?;
            let read = buffer.filled().get(before..).unwrap_or_default();
            if read.is_empty() {
                if this.frames.end() {
                    continue;
                }
                break;
            }
            let passed = this.frames.feed(read);
            buffer.set_filled(before + passed);
            if passed > 0 {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Mended<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
