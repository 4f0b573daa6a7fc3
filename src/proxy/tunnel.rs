//! A connection that was switched to another protocol: bytes pass both ways until both sides end.
//!
//! Invariant: a tunnel exists only after the upstream has answered 101 to a request that asked for
//! the very protocol it names.

use std::io;

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::client_io::ClientIo;
use super::deadlines::Deadlines;
use super::{Observer, SharedObserver};
use crate::metrics::connection::Direction;

/// Bytes read at once from either side.
const BUFFER: usize = 16 * 1024;

/// The upstream's side of a tunnel.
pub(super) struct Tunnel {
    upstream: TokioIo<Upgraded>,
}

/// Counts a tunnel as long as it is open, also when it is cut, and what passes through it.
struct Open<'a> {
    observer: &'a dyn Observer,
    deadlines: &'a Deadlines,
}

// === impl Tunnel ===

impl Tunnel {
    pub(super) fn new(upstream: Upgraded) -> Self {
        Self {
            upstream: TokioIo::new(upstream),
        }
    }

    /// Passes bytes both ways, `early` ones of the client first. Where one side ends, the other is
    /// told so and may go on; where one breaks, the tunnel does. Tells the deadlines what passes.
    pub(super) async fn run(
        self,
        client: ClientIo,
        early: Bytes,
        observer: &SharedObserver,
        deadlines: &Deadlines,
    ) {
        let open = Open::new(observer, deadlines);
        let (from_client, to_client) = tokio::io::split(client);
        let (from_upstream, mut to_upstream) = tokio::io::split(self.upstream);
        let up = async {
            if !early.is_empty() {
                to_upstream.write_all(&early).await?;
                to_upstream.flush().await?;
                open.passed(Direction::Request, early.len());
            }
            pass(from_client, to_upstream, &open, Direction::Request).await
        };
        let down = pass(from_upstream, to_client, &open, Direction::Response);
        if let Err(error) = tokio::try_join!(up, down) {
            tracing::debug!(%error, "Tunnel broke");
        }
    }
}

// === impl Open ===

impl<'a> Open<'a> {
    fn new(observer: &'a SharedObserver, deadlines: &'a Deadlines) -> Self {
        observer.tunnel_opened();
        deadlines.tunnel();
        Self {
            observer: &**observer,
            deadlines,
        }
    }

    fn passed(&self, direction: Direction, bytes: usize) {
        self.deadlines.tunnelled();
        self.observer.tunnelled(direction, bytes as u64);
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.observer.tunnel_closed();
    }
}

/// Passes bytes one way until the sender ends, and ends it for the receiver too.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    open: &Open<'_>,
    direction: Direction,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
        to.flush().await?;
        open.passed(direction, count);
    }
}
