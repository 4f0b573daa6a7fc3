//! The first bytes of a client's connection: the TLS handshake, and which HTTP it speaks.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::time::{self, Instant};

use super::client::Client;
use super::stream::{Plain, Stream};
use super::tls;
use crate::metrics::connection::Limit;

/// How an HTTP/2 connection begins (RFC 9113, 3.4). No HTTP/1 request begins so.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Room for the first read: most requests' heads.
const FIRST_READ: usize = 1024;

/// How long a connection that has sent nothing may still begin once the drain has begun: its
/// request may be on its way.
const LAST_CALL: Duration = Duration::from_millis(250);

/// A connection, and what is spoken on it.
pub(super) enum Opened {
    Http1(Stream),
    Http2(Stream),
}

/// Opens a client's connection; `None` if it ended, or took too long, before it spoke.
pub(super) async fn open(client: &Rc<Client>, plain: Plain) -> Option<Opened> {
    let config = &client.worker.shared.config;
    let Some(tls) = &config.tls else {
        return sniff(client, Stream::from(plain)).await;
    };
    let stream = tokio::select! {
        shaken = tls.accept(plain) => match shaken {
            Ok(stream) => stream,
            Err(error) => {
                // One that just goes, or resets, as load balancers do that try the port, says nothing of TLS.
                if error.kind() == io::ErrorKind::InvalidData {
                    client.worker.observer.tls_failed();
                }
                tracing::debug!(%error, "TLS handshake failed");
                return None;
            }
        },
        () = time::sleep(config.limits.header_timeout) => {
            client.worker.observer.limited(Limit::HeaderTimeout);
            tracing::debug!("TLS handshake took too long");
            return None;
        }
        () = last_call(client) => return None,
    };
    if !tls::chose_http2(&stream) {
        return Some(Opened::Http1(Stream::from(stream)));
    }
    // hyper would wait for the preface without end, in a drain too.
    match sniff(client, Stream::from(stream)).await? {
        // What is no preface is HTTP/2's to refuse: that is what was agreed on.
        Opened::Http1(stream) | Opened::Http2(stream) => Some(Opened::Http2(stream)),
    }
}

/// Reads until it is clear what the client speaks: one byte, mostly.
async fn sniff(client: &Rc<Client>, mut stream: Stream) -> Option<Opened> {
    let limits = &client.worker.shared.config.limits;
    let mut limit = Limit::IdleTimeout;
    let mut deadline = Instant::now() + limits.idle_timeout;
    let mut early = Vec::with_capacity(FIRST_READ);
    let mut told = false;
    loop {
        tokio::select! {
            biased;
            read = stream.read_buf(&mut early) => match read {
                Ok(0) if early.is_empty() => return None,
                // A beginning and no more: hyper knows how to end that.
                Ok(0) => return Some(Opened::Http1(stream.with_early(early))),
                Ok(_) if limit == Limit::HeaderTimeout => {}
                Ok(_) => {
                    limit = Limit::HeaderTimeout;
                    deadline = Instant::now() + limits.header_timeout;
                }
                Err(error) => {
                    tracing::debug!(%error, "Client connection ended");
                    return None;
                }
            },
            () = draining(client), if !told => {
                told = true;
                deadline = deadline.min(Instant::now() + LAST_CALL);
                continue;
            }
            () = time::sleep_until(deadline) => {
                if !told {
                    client.worker.observer.limited(limit);
                }
                return None;
            }
        }
        if early.starts_with(PREFACE) {
            return Some(Opened::Http2(stream.with_early(early)));
        }
        if !PREFACE.starts_with(&early) {
            return Some(Opened::Http1(stream.with_early(early)));
        }
    }
}

/// Ready a while after the drain has begun.
async fn last_call(client: &Client) {
    draining(client).await;
    time::sleep(LAST_CALL).await;
}

/// Ready when the drain has begun.
async fn draining(client: &Client) {
    poll_fn(|cx| {
        client.wake_with(cx.waker());
        if client.worker.is_draining() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}
