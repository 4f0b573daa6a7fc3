//! A connection to an upstream, on which what it said counts more than that it stopped listening. Without
//! TLS its socket is asked for more only where there may be more: hyper asks five times an exchange.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::Stream;

/// A socket whose failed writes wait for the end of reading, so that what the upstream said before
/// it closed is read: an early 413 or 401 would else be lost to the broken pipe of the upload it
/// answers. Reading comes to an end on such a socket, so nothing waits for ever.
#[derive(Debug)]
pub(super) struct UpstreamIo {
    stream: Stream,
    /// Nothing more can be read.
    ended: bool,
    /// Waits with a failed write for the end of reading.
    writer: Option<Waker>,
    /// What the socket is read with, for the task that did so last.
    reader: Option<(Arc<Reader>, Waker)>,
}

/// Knows whether the socket is worth asking, and wakes the task when it becomes so.
#[derive(Debug)]
struct Reader {
    /// It was not asked yet, gave something the last time, or has woken us since.
    worth: AtomicBool,
    task: Waker,
}

// === impl UpstreamIo ===

impl UpstreamIo {
    pub(super) const fn new(stream: Stream) -> Self {
        Self {
            stream,
            ended: false,
            writer: None,
            reader: None,
        }
    }

    /// Reads, unless the socket gave nothing the last time and has woken nobody since.
    fn read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // To read TLS can take a write, of which the socket tells somebody else.
        if !self.stream.is_plain() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let known = self.reader.take();
        let known = known.filter(|(reader, _)| reader.task.will_wake(cx.waker()));
        let (reader, waker) = self.reader.insert(known.unwrap_or_else(|| {
            let reader = Arc::new(Reader {
                worth: AtomicBool::new(true),
                task: cx.waker().clone(),
            });
            (Arc::clone(&reader), Waker::from(reader))
        }));
        if !reader.worth.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        // Before the socket is asked: a wake-up from now on counts, be it that the task had its turn.
        reader.worth.store(false, Ordering::Release);
        let polled = Pin::new(&mut self.stream).poll_read(&mut Context::from_waker(waker), buf);
        if polled.is_ready() {
            reader.worth.store(true, Ordering::Release);
        }
        polled
    }

    /// What a write came to, unless that the upstream takes no more must wait.
    fn written(
        &mut self,
        cx: &Context<'_>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        match polled {
            Poll::Ready(Err(error))
                if !self.ended
                    && matches!(
                        error.kind(),
                        BrokenPipe | ConnectionAborted | ConnectionReset
                    ) =>
            {
                self.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            other => other,
        }
    }
}

impl AsyncRead for UpstreamIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = self.read(cx, buf);
        if polled.is_ready() && buf.filled().len() == before && buf.remaining() > 0 {
            self.ended = true;
            if let Some(writer) = self.writer.take() {
                writer.wake();
            }
        }
        polled
    }
}

impl AsyncWrite for UpstreamIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

// === impl Reader ===

impl Wake for Reader {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.worth.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;
    use tokio::time::timeout;

    use super::*;
    use crate::proxy::stream::Plain;

    #[derive(Debug, Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What one look finds: `None` where there is nothing to read.
    fn look(io: &mut UpstreamIo, task: &Arc<Task>) -> Option<Vec<u8>> {
        let mut room = [0; 4];
        let mut buf = ReadBuf::new(&mut room);
        let waker = Waker::from(Arc::clone(task));
        match Pin::new(io).poll_read(&mut Context::from_waker(&waker), &mut buf) {
            Poll::Ready(read) => {
                read.unwrap();
                Some(buf.filled().to_vec())
            }
            Poll::Pending => None,
        }
    }

    /// Runs a test, which a wake-up that is lost would have wait for ever.
    fn block_on(test: impl Future<Output = ()>) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        let done = runtime.block_on(async { timeout(Duration::from_secs(20), test).await });
        done.expect("the task was not woken");
    }

    /// Lets the runtime see what the sockets tell, until that is so.
    async fn until(seen: impl Fn() -> bool) {
        while !seen() {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn what_comes_is_read_by_the_task_that_looked_last() {
        block_on(async {
            let (here, mut there) = UnixStream::pair().unwrap();
            let mut io = UpstreamIo::new(Stream::from(Plain::Unix(here)));
            let (one, other) = <(Arc<Task>, Arc<Task>)>::default();
            let woken = |task: &Task| task.0.swap(0, Ordering::Relaxed);
            assert_eq!(look(&mut io, &one), None);
            // Not asked again until it has told of something.
            let (reader, _) = io.reader.clone().unwrap();
            assert!(!reader.worth.load(Ordering::Relaxed));
            assert_eq!(look(&mut io, &one), None);
            assert!(Arc::ptr_eq(&reader, &io.reader.as_ref().unwrap().0));
            there.write_all(b"hello").await.unwrap();
            until(|| one.0.load(Ordering::Relaxed) > 0).await;
            assert_eq!(woken(&one), 1);
            assert!(reader.worth.load(Ordering::Relaxed));
            // More than there was room for, without being told again.
            assert_eq!(look(&mut io, &one).as_deref(), Some(&b"hell"[..]));
            assert_eq!(look(&mut io, &one).as_deref(), Some(&b"o"[..]));
            assert_eq!(look(&mut io, &one), None);

            assert_eq!(look(&mut io, &other), None);
            there.write_all(b"you").await.unwrap();
            until(|| other.0.load(Ordering::Relaxed) > 0).await;
            assert_eq!((woken(&one), woken(&other)), (0, 1));
            assert_eq!(look(&mut io, &other).as_deref(), Some(&b"you"[..]));

            assert_eq!(look(&mut io, &one), None);
            drop(there);
            until(|| one.0.load(Ordering::Relaxed) > 0).await;
            assert_eq!(look(&mut io, &one).as_deref(), Some(&b""[..]));
            assert_eq!(look(&mut io, &other).as_deref(), Some(&b""[..]));
        });
    }

    #[test]
    fn a_task_that_had_its_turn_reads_on_in_the_next() {
        block_on(async {
            let (here, mut there) = UnixStream::pair().unwrap();
            let mut io = UpstreamIo::new(Stream::from(Plain::Unix(here)));
            there.write_all(&[1; 1000]).await.unwrap();
            drop(there);
            // One byte at a time takes more than tokio lets a task have at once.
            let mut read = 0;
            poll_fn(|cx| {
                loop {
                    let mut room = [0];
                    let mut buf = ReadBuf::new(&mut room);
                    match Pin::new(&mut io).poll_read(cx, &mut buf) {
                        Poll::Ready(Ok(())) if buf.filled().is_empty() => return Poll::Ready(()),
                        Poll::Ready(done) => done.unwrap(),
                        Poll::Pending => return Poll::Pending,
                    }
                    read += 1;
                }
            })
            .await;
            assert_eq!(read, 1000);
            assert_eq!(
                io.read_u8().await.unwrap_err().kind(),
                io::ErrorKind::UnexpectedEof
            );
        });
    }
}
