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
use super::{Observer, SharedObserver};
use crate::metrics::connection::Direction;

/// Bytes read at once from either side.
const BUFFER: usize = 16 * 1024;

/// The upstream's side of a tunnel.
pub(super) struct Tunnel {
    upstream: TokioIo<Upgraded>,
}

/// Counts a tunnel as long as it is open, also when it is cut.
struct Open<'a>(&'a dyn Observer);

// === impl Tunnel ===

impl Tunnel {
    pub(super) fn new(upstream: Upgraded) -> Self {
        Self {
            upstream: TokioIo::new(upstream),
        }
    }

    /// Passes bytes both ways, `early` ones of the client first. Where one side ends, the other is
    /// told so and may go on; where one breaks, the tunnel does.
    pub(super) async fn run(self, client: ClientIo, early: Bytes, observer: &SharedObserver) {
        observer.tunnel_opened();
        let _open = Open(&**observer);
        let (from_client, to_client) = tokio::io::split(client);
        let (from_upstream, mut to_upstream) = tokio::io::split(self.upstream);
        let up = async {
            if !early.is_empty() {
                to_upstream.write_all(&early).await?;
                to_upstream.flush().await?;
                observer.tunnelled(Direction::Request, early.len() as u64);
            }
            pass(from_client, to_upstream, &**observer, Direction::Request).await
        };
        let down = pass(from_upstream, to_client, &**observer, Direction::Response);
        if let Err(error) = tokio::try_join!(up, down) {
            tracing::debug!(%error, "Tunnel broke");
        }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.tunnel_closed();
    }
}

/// Passes bytes one way until the sender ends, and ends it for the receiver too.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    observer: &dyn Observer,
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
        observer.tunnelled(direction, count as u64);
    }
}
