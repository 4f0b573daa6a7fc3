//! The admin listener: metrics, health, the JSON API and the page.
//!
//! | route | answers |
//! |---|---|
//! | `/` | the page; `/?model=…&feature=…` is a stable link to one column |
//! | `/metrics` | Prometheus' text format |
//! | `/livez` | 200 while the process can answer at all |
//! | `/readyz` | 200, or 503 with the reason |
//! | `/api/v1/status` | what the process does: tap, window, traffic |
//! | `/api/v1/drift` | the verdicts |
//! | `/api/v1/accept` | what is accepted as the new normal; POST accepts |
//! | `/api/v1/unaccept` | POST takes it back |
//! | `/-/reload` | POST reads references and token again |
//!
//! Invariants: GET and HEAD only read, from snapshots; nothing a client of this listener does can
//! slow traffic. What changes something takes POST and the configured token, and goes through
//! [`Sources::changes`]. Connections, header and body sizes and idle times are bounded.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::drift::Report;
use crate::drift::history::History;
use crate::metrics::Metrics;

mod change;
mod hosts;
mod page;
mod respond;
mod status;
mod token;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use page::accept_command;

pub use change::{Cause, Change, Changes, Changing, FieldProblem, Refusal};
pub use hosts::Hosts;
pub use status::{ModelStatus, RecordingStatus, Status, WindowStatus};
pub use token::{Token, TokenSource};

/// Connections served at once; more wait to be accepted. Scrapers, probes and a few browsers.
const MOST_CONNECTIONS: usize = 64;

/// How long a client may take to send a request's head, and a connection may idle. No usual scrape
/// or probe interval, so that a connection is not closed just as it is used again.
const HEADER_TIMEOUT: Duration = Duration::from_secs(25);

/// How long a connection may live, so that clients that stop reading cannot hold them all.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(300);

/// How long the response under way may take once its connection is to end.
const LAST_RESPONSE: Duration = Duration::from_secs(5);

/// The most headers of a request.
const MOST_HEADERS: usize = 64;

/// The most bytes buffered of a request's head.
const MOST_HEADER_BYTES: usize = 16 * 1024;

/// How long an answer waits for what stood before the start: less than a scrape's usual ten seconds.
const SETTLING: Duration = Duration::from_secs(5);

/// How long to wait after a failed accept, most likely for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Where the answers come from.
pub struct Sources {
    /// The metrics page.
    pub metrics: Arc<Metrics>,
    /// The verdicts in force.
    pub report: Arc<ArcSwap<Report>>,
    /// What the verdicts were before, and what happened meanwhile.
    pub history: Arc<ArcSwap<History>>,
    /// Whether traffic should be sent here, or why not.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// True from when what stood before the start can be shown: until then every route but health
    /// waits for it, for a while.
    pub settled: watch::Receiver<bool>,
    /// Gathers the status; called per request, so it must be quick.
    pub status: Arc<dyn Fn() -> Status + Send + Sync>,
    /// The names the full listener answers to.
    pub hosts: Hosts,
    /// What a request that changes something must show; without one none is obeyed.
    pub token: Arc<ArcSwapOption<Token>>,
    /// Carries out changes.
    pub changes: Changes,
}

/// Which routes a listener answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routes {
    /// All of them.
    Full,
    /// `/metrics` and health alone, for a listener others may reach.
    MetricsOnly,
}

/// Serves `routes` on `listener` until `shutdown`, then lets responses under way finish.
pub async fn serve(
    listener: TcpListener,
    routes: Routes,
    sources: Arc<Sources>,
    shutdown: impl Future,
) {
    let mut shutdown = pin!(shutdown);
    let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (listener.accept().await, permit)
        };
        tokio::select! {
            _ = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            (accepted, permit) = accepted => match accepted {
                Ok((stream, _)) => {
                    let connection = connection(stream, routes, Arc::clone(&sources), stopped.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "Admin listener cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
    drop(listener);
    drop(stop);
    while connections.join_next().await.is_some() {}
}

/// Serves one connection until it ends, `stopped` says so, or its time is up.
async fn connection(
    stream: TcpStream,
    routes: Routes,
    sources: Arc<Sources>,
    mut stopped: watch::Receiver<()>,
) {
    let service = service_fn(move |request| {
        let sources = Arc::clone(&sources);
        async move {
            let response = respond::respond(request, routes, &sources).await;
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(MOST_HEADERS)
        .max_buf_size(MOST_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = end_of_life(&mut stopped) => finish(connection).await,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "Admin connection ended early");
    }
}

async fn end_of_life(stopped: &mut watch::Receiver<()>) {
    tokio::select! {
        // Nothing is ever sent: this ends when the sender is dropped.
        _ = stopped.changed() => {}
        () = tokio::time::sleep(CONNECTION_LIFETIME) => {}
    }
}

/// Lets the response under way finish, for a while.
async fn finish<I, S>(mut connection: Pin<&mut http1::Connection<I, S>>) -> hyper::Result<()>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<hyper::body::Incoming>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::ResBody: 'static,
    <S::ResBody as hyper::body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    connection.as_mut().graceful_shutdown();
    let ended = tokio::time::timeout(LAST_RESPONSE, connection).await;
    ended.unwrap_or(Ok(()))
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}
