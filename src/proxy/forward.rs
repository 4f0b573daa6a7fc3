//! One exchange: the request to its upstream, the answer back.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::{TrySendError, http1};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::http::request;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio::time::{self, Instant};

use super::answer::Failure;
use super::body::{Answer, TapBody, UpstreamBody};
use super::client::Client;
use super::connections::{Lease, Sender};
use super::flight::{Flight, Side};
use super::framing::Begun;
use super::header;
use super::http2;
use super::identity::REQUEST_ID;
use super::known::{Known, Present};
use super::received::{ConnectionWaker, Received};
use super::stream::Stream;
use super::tunnel::Tunnel;
use super::upstream_io::UpstreamIo;
use super::worker::Worker;
use crate::metrics::connection::Limit;

/// A request on its way to an upstream; `None` once it was given to a connection.
///
/// It stands in one place and is lent from there, as it is large to move.
pub(super) type Outgoing = Option<Request<TapBody<Received>>>;

/// How a request goes to its upstream.
struct Outbound {
    upstream: usize,
    over_http2: bool,
    /// The protocol it asks to switch to.
    upgrade: Option<HeaderValue>,
}

/// Serves one request of a client's connection; `begun` is what its bytes said beside its head.
///
/// What is waited for holds little: hyper moves the future as a whole, and keeps room for one with each
/// connection. So heads are made ready before it, and what is rare is boxed within.
pub(super) fn serve(
    client: Rc<Client>,
    request: Request<Incoming>,
    begun: Begun,
) -> impl Future<Output = Result<Response<TapBody<Answer>>, Infallible>> {
    let (mut head, body) = request.into_parts();
    if begun.of_host {
        header::ask_server(&mut head.uri);
    }
    let present = Present::of(&head.headers);
    let upgrade = header::upgrade(&head, present);
    let flight = Flight::begin(&client, &head, present, upgrade.is_none());
    // From here on, whatever becomes of the body, it is known whether it was read.
    let body = TapBody::new(Received::new(body), Rc::clone(&flight), Side::Request);
    let fault = begun.fault.or_else(|| header::fault(&head, present));
    let outbound = refuse(&flight, &head, &body, upgrade.as_ref(), fault)
        .map(|()| turn(&client, &flight, &mut head, present, &body, upgrade));
    // The body of one that is refused goes now: what hyper has not read by then it will not read.
    let mut request = outbound.is_ok().then(|| Request::from_parts(head, body));
    async move {
        let forwarded = match outbound {
            Ok(outbound) => forward(&client, &flight, &mut request, outbound).await,
            Err(failure) => Err(failure),
        };
        // One that could not be sent goes before its answer, as one that was sent has gone.
        drop(request);
        Ok(forwarded.unwrap_or_else(|failure| failure.answer(&flight)))
    }
}

/// Turns a client's request into one for its upstream.
fn turn(
    client: &Client,
    flight: &Flight,
    head: &mut request::Parts,
    mut present: Present,
    body: &TapBody<Received>,
    upgrade: Option<HeaderValue>,
) -> Outbound {
    let worker = &client.worker;
    let limits = &worker.shared.config.limits;
    let upstream = worker.shared.upstream_of(flight.model());
    // HTTP/2 has no switch of protocols to pass on.
    let over_http2 = upgrade.is_none()
        && (worker.shared.config.upstream_http2 || http2::is_grpc(head.version, &head.headers));
    if head.version == Version::HTTP_2 && !over_http2 {
        http2::join_cookies(&mut head.headers);
    }
    let host = || worker.shared.upstreams[upstream].host();
    header::for_upstream(head, &mut present, body, host);
    (client.peer).announce(limits.forwarded, &mut head.headers, present);
    let id = present
        .has(Known::RequestId)
        .then(|| head.headers.get(&REQUEST_ID));
    if id.flatten() != Some(flight.request_id()) {
        head.headers.insert(REQUEST_ID, flight.request_id().clone());
    }
    if let Some(protocol) = upgrade.clone() {
        header::set_upgrade(&mut head.headers, protocol);
    } else if !limits.upstream_keepalive {
        head.headers
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    flight.turned();
    Outbound {
        upstream,
        over_http2,
        upgrade,
    }
}

async fn forward(
    client: &Client,
    flight: &Rc<Flight>,
    request: &mut Outgoing,
    outbound: Outbound,
) -> Result<Response<TapBody<Answer>>, Failure> {
    let worker = &client.worker;
    let Outbound {
        upstream,
        over_http2,
        upgrade,
    } = outbound;
    let (response, sender) = if over_http2 {
        let sending = Box::pin(http2::send(worker, flight, upstream, request));
        (sending.await?, None)
    } else {
        let (response, sender) = send(worker, flight, upstream, request).await?;
        (response, Some(sender))
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Box::pin(switch(client, flight, upgrade, response)).await;
    }

    let (mut head, body) = response.into_parts();
    let mut present = Present::of(&head.headers);
    flight.answered(&head, present);
    let closes = header::for_client(&mut head, &mut present, flight.method());
    let lease = sender.map(|sender| Lease {
        worker: Rc::clone(worker),
        upstream,
        sender,
        keeps: worker.shared.config.limits.upstream_keepalive && !closes,
    });
    let body = UpstreamBody::new(body, lease);
    if !present.has(Known::RequestId) {
        head.headers.insert(REQUEST_ID, flight.request_id().clone());
    }
    let body = TapBody::new(Answer::Upstream(body), Rc::clone(flight), Side::Response);
    Ok(Response::from_parts(head, body))
}

/// Turns requests away that must not reach an upstream, before anything of their bodies is read.
fn refuse(
    flight: &Flight,
    head: &request::Parts,
    body: &impl Body,
    upgrade: Option<&HeaderValue>,
    fault: Option<&'static str>,
) -> Result<(), Failure> {
    if !flight.is_admitted() {
        flight.limited(Limit::MaxInFlight);
        return Err(Failure::Overload);
    }
    if http2::has_many_headers(head, flight.limits().max_headers) {
        flight.limited(Limit::MaxHeaders);
        return Err(Failure::ManyHeaders);
    }
    if let Some(fault) = fault.or_else(|| http2::fault(head)) {
        return Err(Failure::BadRequest(fault));
    }
    if head.method == Method::CONNECT {
        return Err(Failure::Tunnel);
    }
    if upgrade.is_some() && !body.is_end_stream() {
        return Err(Failure::BadRequest(
            "a request to switch protocols cannot have a body",
        ));
    }
    Ok(())
}

/// Passes the upstream's 101 on; the client's connection becomes a tunnel once it is written.
async fn switch(
    client: &Client,
    flight: &Rc<Flight>,
    upgrade: Option<HeaderValue>,
    mut response: Response<Incoming>,
) -> Result<Response<TapBody<Answer>>, Failure> {
    let Some(protocol) = upgrade else {
        return Err(Failure::Protocol("the upstream switched protocols unasked"));
    };
    let upstream = hyper::upgrade::on(&mut response);
    let (mut head, _) = response.into_parts();
    if !header::switches(&head, &protocol) {
        return Err(Failure::Protocol(
            "the upstream switched to another protocol than was asked for",
        ));
    }
    let upstream = upstream.await.map_err(Failure::Closed)?;
    client.tunnel.set(Some(Tunnel::new(upstream)));
    let mut present = Present::of(&head.headers);
    flight.answered(&head, present);
    header::for_client(&mut head, &mut present, flight.method());
    header::set_upgrade(&mut head.headers, protocol);
    let nothing = Answer::Own(Full::new(Bytes::new()));
    let body = TapBody::new(nothing, Rc::clone(flight), Side::Response);
    Ok(Response::from_parts(head, body))
}

/// Sends a request on a connection to the upstream that is idle, else on a new one. Only a request that
/// was never written, not even in part, goes out a second time.
async fn send(
    worker: &Worker,
    flight: &Flight,
    upstream: usize,
    request: &mut Outgoing,
) -> Result<(Response<Incoming>, Sender), Failure> {
    let max_idle = worker.shared.config.upstream_idle;
    let mut idle = worker.idle.take(upstream, max_idle, flight.begun());
    loop {
        let fresh = idle.is_none();
        let mut sender = match idle.take() {
            Some(sender) => sender,
            None => {
                let sender = Box::pin(connect(worker, upstream)).await?;
                flight.moved(false);
                sender
            }
        };
        let sent = pin!(sender.requests.try_send_request(take(request)));
        match attempt(sent, request, flight, worker).await? {
            Attempt::Answered(response) => return Ok((response, sender)),
            Attempt::Unsent(error) if fresh => return Err(Failure::Closed(error)),
            Attempt::Unsent(_) => {}
        }
    }
}

/// Takes a request that is to be given to a connection.
pub(super) fn take(request: &mut Outgoing) -> Request<TapBody<Received>> {
    (request.take()).expect("it is there until it is sent, and put back where it was not")
}

/// How sending went.
pub(super) enum Attempt {
    Answered(Response<Incoming>),
    /// The connection was gone before the first byte was written; the request is back in its place.
    Unsent(hyper::Error),
}

/// What a connection says of a request given to it.
type Sent = Result<Response<Incoming>, TrySendError<Request<TapBody<Received>>>>;

/// Waits for the answer to a request just given to a connection; one that is `unsent` is put back.
pub(super) async fn attempt(
    sent: Pin<&mut impl Future<Output = Sent>>,
    unsent: &mut Outgoing,
    flight: &Flight,
    worker: &Worker,
) -> Result<Attempt, Failure> {
    let sent = match worker.shared.config.response_timeout {
        None => sent.await,
        Some(limit) => in_time(sent, flight, limit).await?,
    };
    match sent {
        Ok(response) => Ok(Attempt::Answered(response)),
        Err(mut error) => {
            *unsent = error.take_message();
            match error.into_error() {
                error if unsent.is_some() => Ok(Attempt::Unsent(error)),
                _ if flight.is_late() => Err(Failure::BodyTimeout),
                _ if flight.is_broken_off() => Err(Failure::BrokenBody),
                error => Err(Failure::Closed(error)),
            }
        }
    }
}

/// Waits until the upstream has kept us waiting for `limit`.
async fn in_time(
    mut sent: Pin<&mut impl Future<Output = Sent>>,
    flight: &Flight,
    limit: Duration,
) -> Result<Sent, Failure> {
    let deadlines = flight.deadlines();
    let mut begun = false;
    let watched = poll_fn(|cx| {
        let polled = sent.as_mut().poll(cx);
        if polled.is_ready() {
            deadlines.wake_by(None);
            return polled.map(|sent| Some(Ok(sent)));
        }
        let end = deadline(flight, limit);
        if std::mem::replace(&mut begun, true) && end <= Instant::now() {
            deadlines.wake_by(None);
            return Poll::Ready(Some(Err(Failure::ResponseTimeout)));
        }
        match deadlines.wake_by(Some(end)) {
            true => Poll::Pending,
            false => Poll::Ready(None),
        }
    });
    if let Some(ended) = watched.await {
        return ended;
    }
    // Streams of one HTTP/2 connection keep their times each for itself.
    loop {
        tokio::select! {
            biased;
            sent = &mut sent => return Ok(sent),
            () = time::sleep_until(deadline(flight, limit)) => {}
        }
        if flight.waiting_since().elapsed() >= limit {
            return Err(Failure::ResponseTimeout);
        }
    }
}

fn deadline(flight: &Flight, limit: Duration) -> Instant {
    Instant::from_std(flight.waiting_since() + limit)
}

/// Opens a connection for HTTP/1.1 and sets a task of this thread to drive it.
async fn connect(worker: &Worker, index: usize) -> Result<Sender, Failure> {
    let stream = open(worker, index, false).await?;
    let (requests, connection) = http1::Builder::new()
        .max_headers(worker.shared.config.limits.max_headers)
        .handshake(TokioIo::new(UpstreamIo::new(stream)))
        .await
        .map_err(Failure::Closed)?;
    let mut connection = connection.with_upgrades();
    let task = tokio::task::spawn_local(async move {
        let mut waker = ConnectionWaker::default();
        let ended = poll_fn(|cx| waker.poll(cx, |cx| Pin::new(&mut connection).poll(cx)));
        // An error reaches the request it hit; an idle connection that ends is no error.
        if let Err(error) = ended.await {
            tracing::debug!(%error, "Upstream connection ended");
        }
    });
    Ok(Sender {
        requests,
        task: task.abort_handle(),
    })
}

/// Opens a connection to an upstream, and notes whether it can be reached.
pub(super) async fn open(worker: &Worker, index: usize, http2: bool) -> Result<Stream, Failure> {
    let shared = &worker.shared;
    let upstream = &shared.upstreams[index];
    let readiness = &shared.readiness;
    let limit = shared.config.connect_timeout;
    let tls = shared.config.upstream_tls.as_ref();
    let connecting = upstream.connect(&worker.resolved[index], tls, http2, limit);
    let error = match connecting.await {
        Ok(stream) => {
            readiness.connected(index, upstream);
            return Ok(stream);
        }
        Err(error) => error,
    };
    readiness.failed(index, upstream, &error);
    Err(match error.kind() {
        std::io::ErrorKind::TimedOut => Failure::ConnectTimeout,
        _ => Failure::Connect(error),
    })
}
