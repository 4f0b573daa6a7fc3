//! HTTP/2: served to clients that speak it, and spoken to upstreams for gRPC or where configured.
//!
//! One connection to an upstream carries all exchanges of a thread. Invariant: only a request that
//! was never handed to a connection goes out on another.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http2 as upstream;
use hyper::header::{CONNECTION, CONTENT_TYPE, COOKIE, HOST, HeaderValue, TRANSFER_ENCODING};
use hyper::http::{request, uri};
use hyper::rt::Executor;
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, Uri, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Mutex;
use tokio::time::{self, Instant};

use super::Limits;
use super::answer::Failure;
use super::body::TapBody;
use super::client::Client;
use super::flight::Flight;
use super::forward::{self, Attempt, Outgoing};
use super::framing::Begun;
use super::lingering::Lingering;
use super::received::Received;
use super::stay::{Due, Stay};
use super::stream::Stream;
use super::taking;
use super::worker::Worker;
use crate::metrics::connection::Limit;

/// Exchanges at once on one connection of a client. Go's and nginx's limits are of this size.
const MAX_STREAMS: u32 = 200;

/// Exchanges a client may cancel before we looked at them, and errors it may make, on one
/// connection: beyond it the connection is closed (CVE-2023-44487, CVE-2025-8671).
const MAX_RESET: usize = 100;

/// Bytes a peer may send ahead of what has been passed on: of one body, and of all together. A
/// tensor of a quarter of a million floats goes in one window.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// Bytes held for one body that the peer does not take.
const SEND_BUFFER: usize = 256 * 1024;

/// How long a peer may take over the answer to a ping. Clients are pinged when they have said nothing for
/// `idle_timeout`; upstreams, while exchanges wait, after `upstream_ping`.
const PONG: Duration = Duration::from_secs(20);

/// A connection to an upstream; clones share it.
type Sender = upstream::SendRequest<TapBody<Received>>;

/// The connection of one thread to one upstream, opened when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Multiplexed {
    sender: RefCell<Option<Sender>>,
    /// Held by whoever opens the connection: the others wait for theirs.
    opening: Mutex<()>,
}

/// Runs the streams of a client's connection on this thread, as long as the client takes its answers.
#[derive(Clone)]
struct Streams(Rc<Worker>);

/// Runs the parts of a connection on this thread.
#[derive(Debug, Clone, Copy)]
struct Local;

/// Serves a client's connection to its end.
pub(super) async fn serve(client: Rc<Client>, stream: Stream) {
    let worker = Rc::clone(&client.worker);
    let serving = Rc::clone(&client);
    let service =
        service_fn(move |request| forward::serve(Rc::clone(&serving), request, Begun::default()));
    let limits = &worker.shared.config.limits;
    let stay = client.stay.get_or_init(|| Rc::new(Stay::new(limits)));
    let io = Lingering::new(stream, Rc::clone(stay));
    let connection = server::Builder::new(Streams(Rc::clone(&worker)))
        .timer(TokioTimer::new())
        .max_header_list_size(max_head(limits))
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_RESET)
        .max_local_error_reset_streams(MAX_RESET)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        // Whether a client whose streams are silent is still there.
        .keep_alive_interval(limits.idle_timeout)
        .keep_alive_timeout(PONG)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let mut timer = pin!(time::sleep(limits.idle_timeout));
    let ended = poll_fn(|cx| {
        client.wake_with(cx.waker());
        let mut polled = connection.as_mut().poll(cx).map(Some);
        let mut leaves = worker.is_draining();
        if let Some(end) = stay.end().filter(|end| *end < timer.deadline()) {
            timer.as_mut().reset(end);
        }
        while polled.is_pending() && timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let next = match stay.due(now) {
                Due::Later(next) => next,
                Due::Idle => {
                    worker.observer.limited(Limit::IdleTimeout);
                    leaves = true;
                    now + limits.write_timeout
                }
                Due::Cut => {
                    worker.observer.limited(Limit::WriteTimeout);
                    return Poll::Ready(None);
                }
            };
            timer.as_mut().reset(next);
        }
        if polled.is_pending() && leaves && !stay.is_told() {
            stay.tell();
            // GOAWAY: exchanges under way go on to their end.
            connection.as_mut().graceful_shutdown();
            polled = connection.as_mut().poll(cx).map(Some);
            // What is due now may be due before the timer ends.
            cx.waker().wake_by_ref();
        }
        polled
    });
    if let Some(Err(error)) = ended.await {
        tracing::debug!(%error, "Client connection ended");
    }
}

fn max_head(limits: &Limits) -> u32 {
    u32::try_from(limits.max_head).unwrap_or(u32::MAX)
}

/// Whether a request is a gRPC call: only HTTP/2 carries those.
pub(super) fn is_grpc(version: Version, headers: &HeaderMap) -> bool {
    if version != Version::HTTP_2 {
        return false;
    }
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = kind.and_then(|kind| Some((kind.get(..16)?, kind.get(16))));
    // `application/grpc`, with or without `+proto` or a parameter; not `application/grpc-web`.
    rest.is_some_and(|(kind, next)| {
        kind.eq_ignore_ascii_case(b"application/grpc")
            && matches!(next, None | Some(b'+' | b';' | b' '))
    })
}

/// Whether an HTTP/2 client sent more than `most` headers; on HTTP/1 hyper sees to it. Lines of
/// `cookie`, which HTTP/2 may split, count as the one they are on HTTP/1.
pub(super) fn has_many_headers(head: &request::Parts, most: usize) -> bool {
    if head.version != Version::HTTP_2 || head.headers.len() <= most {
        return false;
    }
    let cookies = head.headers.get_all(COOKIE).iter().count();
    head.headers.len() - cookies.saturating_sub(1) > most
}

/// Why a request of an HTTP/2 client cannot be passed on, beside what holds for any.
pub(super) fn fault(head: &request::Parts) -> Option<&'static str> {
    if head.version != Version::HTTP_2 {
        return None;
    }
    let host = head.headers.get(HOST).map(HeaderValue::as_bytes);
    match (head.uri.authority(), host) {
        (None, None) => Some("there is neither :authority nor a host header"),
        (Some(authority), Some(host))
            if !authority.as_str().as_bytes().eq_ignore_ascii_case(host) =>
        {
            Some(":authority and the host header differ")
        }
        _ => None,
    }
}

/// Joins the lines of `cookie`, which HTTP/2 may split and HTTP/1 may not (RFC 9113, 8.2.3).
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let lines = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    let lines: Vec<_> = lines.collect();
    if let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

/// Sends a request whose head is fit for HTTP/1.1 over HTTP/2.
pub(super) async fn send(
    worker: &Worker,
    flight: &Flight,
    index: usize,
    request: &mut Outgoing,
) -> Result<Response<Incoming>, Failure> {
    let (mut head, body) = forward::take(request).into_parts();
    for_upstream(&mut head, worker.shared.upstreams[index].scheme());
    *request = Some(Request::from_parts(head, body));
    let shared = &worker.multiplexed[index];
    let mut fresh = false;
    loop {
        let mut sender = match shared.open() {
            Some(sender) => sender,
            None => {
                fresh = true;
                let sender = Box::pin(shared.connect(worker, index)).await?;
                flight.moved(false);
                sender
            }
        };
        let sent = pin!(sender.try_send_request(forward::take(request)));
        match forward::attempt(sent, request, flight, worker).await? {
            Attempt::Answered(response) => return Ok(response),
            Attempt::Unsent(error) if fresh => return Err(Failure::Closed(error)),
            Attempt::Unsent(_) => shared.forget(&sender),
        }
    }
}

/// Makes a head that is fit for HTTP/1.1 one for HTTP/2.
fn for_upstream(head: &mut request::Parts, scheme: uri::Scheme) {
    head.headers.remove(TRANSFER_ENCODING);
    head.headers.remove(CONNECTION);
    let host = head.headers.remove(HOST);
    let authority = host.and_then(|host| uri::Authority::try_from(host.as_bytes()).ok());
    let mut parts = std::mem::take(&mut head.uri).into_parts();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority.unwrap_or_else(|| uri::Authority::from_static("localhost")));
    parts.path_and_query =
        (parts.path_and_query).or_else(|| Some(uri::PathAndQuery::from_static("/")));
    head.uri = Uri::from_parts(parts).unwrap_or_default();
    head.version = Version::HTTP_2;
}

// === impl Multiplexed ===

impl Multiplexed {
    /// The connection, if there is one that takes requests.
    fn open(&self) -> Option<Sender> {
        let sender = self.sender.borrow();
        sender.as_ref().filter(|s| !s.is_closed()).cloned()
    }

    /// Lets go of the connection if `sender`'s is closed: it took no more requests.
    fn forget(&self, sender: &Sender) {
        if sender.is_closed() {
            self.sender.borrow_mut().take_if(|kept| kept.is_closed());
        } else {
            self.sender.borrow_mut().take();
        }
    }

    /// Opens the connection, or waits for the one that is being opened.
    async fn connect(&self, worker: &Worker, index: usize) -> Result<Sender, Failure> {
        // Else, at an upstream that does not answer, each would wait for all tries before its own.
        let limit = worker.shared.config.connect_timeout;
        let Ok(_turn) = time::timeout(limit, self.opening.lock()).await else {
            return Err(Failure::ConnectTimeout);
        };
        if let Some(sender) = self.open() {
            return Ok(sender);
        }
        let stream = forward::open(worker, index, true).await?;
        let ping = worker.shared.config.upstream_ping;
        let (sender, connection) = upstream::Builder::new(Local)
            .timer(TokioTimer::new())
            .max_header_list_size(max_head(&worker.shared.config.limits))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(ping)
            .keep_alive_timeout(PONG.min(ping))
            // gRPC's servers allow none at all while there is nothing to wait for.
            .keep_alive_while_idle(false)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(Failure::Closed)?;
        tokio::task::spawn_local(async move {
            // An error reaches the exchanges it hit; the next one opens another connection.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "Upstream connection ended");
            }
        });
        *self.sender.borrow_mut() = Some(sender.clone());
        Ok(sender)
    }
}

// === impl Streams ===

impl<F: Future + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let worker = Rc::clone(&self.0);
        let limit = worker.shared.config.limits.write_timeout;
        tokio::task::spawn_local(async move {
            // Dropped before its end, a stream is reset.
            let taken = taking::in_time(limit, async move { drop(stream.await) }).await;
            if taken.is_err() {
                worker.observer.limited(Limit::WriteTimeout);
            }
        });
    }
}

// === impl Local ===

impl<F: Future + 'static> Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}
