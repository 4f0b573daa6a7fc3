//! One exchange under way: what is measured and captured of it, told when its last part is gone.
//!
//! The handler, the request's body and the response's body each hold the flight. Whichever goes
//! last, however it goes (end, error, a client that left, a cut connection), the flight's `Drop`
//! tells the observer and the tap, exactly once.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use hyper::http::{request, response};
use hyper::{HeaderMap, Method, StatusCode};

use super::capture::Capture;
use super::client::Client;
use super::deadlines::Deadlines;
use super::header;
use super::http2;
use super::identity;
use super::known::Present;
use super::limits::Limits;
use super::stay::{Stay, Staying};
use super::tap::Permit;
use super::worker::Worker;
use crate::exchange::{CapturedHeaders, DropReason, Ending, Exchange, Outcome};
use crate::metrics::connection::Limit;
use crate::metrics::traffic::Observation;
use crate::model::Route;
use crate::timestamp::Timestamp;

/// The status recorded where a client went away before one was sent, as nginx has it.
const CLIENT_CLOSED: u16 = 499;

/// Most bytes recorded of a method, which a client can invent.
const MAX_METHOD: usize = 32;

/// How long a gRPC client may send nothing: it has deadlines of its own.
const SILENCE: Duration = Duration::from_secs(365 * 86_400);

/// One exchange under way.
#[derive(Debug)]
pub(super) struct Flight {
    worker: Rc<Worker>,
    /// Those of the client's connection.
    deadlines: Rc<Deadlines>,
    /// Keeps the client's connection, where that speaks HTTP/2.
    _staying: Option<Staying>,
    /// There was room for it beside all others under way.
    admitted: bool,
    /// It is a gRPC call.
    grpc: bool,
    /// The model and configured path, `None` for what no model claims.
    route: Option<Route>,
    method: Method,
    /// Goes to the upstream, back to the client and into the record.
    request_id: HeaderValue,
    started: Timestamp,
    begun: Instant,
    /// When the request last moved towards the upstream.
    moved: Cell<Instant>,
    /// The client has not sent more of the body than the upstream has taken.
    client_owes: Cell<bool>,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    /// 0 until an answer is known.
    status: u16,
    error: Option<&'static str>,
    ending: Option<Ending>,
    /// When the exchange turned to its upstream.
    turned: Option<Instant>,
    upstream: Option<Duration>,
    /// When the response was over.
    over: Option<Instant>,
    /// The client broke its request off, or sent a body that is none.
    broken: bool,
    /// The client sent nothing of its body for too long.
    late: bool,
    /// There as long as the exchange is tapped.
    permit: Option<Permit>,
    trace_id: Option<Box<str>>,
    headers: CapturedHeaders,
    request: Capture,
    response: Capture,
}

/// Which body of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

// === impl Flight ===

impl Flight {
    /// Begins at a request's head: finds its model, and whether there is room for it. `bodies` says
    /// whether it is one the tap can learn from.
    pub(super) fn begin(
        client: &Client,
        head: &request::Parts,
        present: Present,
        bodies: bool,
    ) -> Rc<Self> {
        let worker = &client.worker;
        let begun = Instant::now();
        client.deadlines.begun(begun);
        let admitted = worker.shared.admit();
        let started = Timestamp::now();
        let route = worker.shared.routes.find(head.uri.path());
        let request_id = worker.ids.request_id(&head.headers, present, started);
        worker
            .observer
            .started(route.as_ref().map(|route| route.model));
        let flight = Rc::new(Self {
            worker: Rc::clone(worker),
            deadlines: Rc::clone(&client.deadlines),
            _staying: client.stay.get().map(Stay::begin),
            admitted,
            grpc: http2::is_grpc(head.version, &head.headers),
            route,
            method: head.method.clone(),
            request_id,
            started,
            begun,
            moved: Cell::new(begun),
            client_owes: Cell::new(false),
            state: RefCell::default(),
        });
        if let Some(route) = flight.route.as_ref().filter(|_| bodies && admitted) {
            let mut state = flight.state.borrow_mut();
            state.offer(worker, route, head, &flight.request_id);
            if state.permit.is_some() {
                state.trace_id = identity::trace_id(&head.headers, present);
                let encoding = header::encoding(&head.headers, present);
                state.request.encoded(encoding);
            }
        }
        flight
    }

    /// The model that claims the request.
    pub(super) fn model(&self) -> Option<usize> {
        self.route.as_ref().map(|route| route.model)
    }

    /// Whether there is room for it beside all others under way.
    pub(super) fn is_admitted(&self) -> bool {
        self.admitted
    }

    /// The deadlines of the client's connection.
    pub(super) fn deadlines(&self) -> &Deadlines {
        &self.deadlines
    }

    /// How long the client may send nothing of its body.
    pub(super) fn body_timeout(&self) -> Duration {
        if self.grpc {
            // A stream may be silent for days.
            return SILENCE;
        }
        self.limits().body_timeout
    }

    /// What clients may take.
    pub(super) fn limits(&self) -> &Limits {
        &self.worker.shared.config.limits
    }

    /// The request's method.
    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    /// The request's id.
    pub(super) fn request_id(&self) -> &HeaderValue {
        &self.request_id
    }

    /// The exchange turns to its upstream: at once, as nothing is waited for before that.
    pub(super) fn turned(&self) {
        self.state.borrow_mut().turned = Some(self.begun);
    }

    /// When it began.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// When its response was over, where that is told already.
    pub(super) fn over(&self) -> Option<Instant> {
        self.state.borrow().over
    }

    /// The upstream's answer goes to the client.
    pub(super) fn answered(&self, head: &response::Parts, present: Present) {
        let mut state = self.state.borrow_mut();
        state.status = head.status.as_u16();
        if state.permit.is_some() {
            let encoding = header::encoding(&head.headers, present);
            state.response.encoded(encoding);
            if !state.note(&self.worker, Side::Response, &head.headers) {
                self.lose(&mut state);
            }
        }
    }

    /// An answer of our own goes to the client, because of `error`.
    pub(super) fn refused(&self, status: StatusCode, error: &'static str, ending: Ending) {
        let mut state = self.state.borrow_mut();
        state.status = status.as_u16();
        state.error = Some(error);
        state.ending = Some(ending);
        state.upstream = state.turned.map(|turned| turned.elapsed());
    }

    /// Bytes of a body pass; `left` follow where that is known.
    pub(super) fn passed(&self, side: Side, data: &[u8], left: Option<u64>) {
        let mut state = self.state.borrow_mut();
        let State {
            permit,
            request,
            response,
            error,
            ..
        } = &mut *state;
        if side == Side::Response && error.is_some() {
            // An answer of our own; nobody should take it for the model's.
            return;
        }
        let capture = match side {
            Side::Request => request,
            Side::Response => response,
        };
        let cap = self.worker.tap.max_body();
        let Some(held) = permit else { return };
        if !capture.push(data, left, cap, held) {
            self.lose(&mut state);
        }
    }

    /// There is no room for more: what the exchange held is free for others at once.
    fn lose(&self, state: &mut State) {
        state.permit = None;
        state.headers = CapturedHeaders::default();
        state.request = Capture::default();
        state.response = Capture::default();
        if let Some(model) = self.model() {
            self.worker.observer.dropped(model, DropReason::QueueFull);
        }
    }

    /// The request moved on, unless now the `client_owes` the next part of its body.
    pub(super) fn moved(&self, client_owes: bool) {
        self.client_owes.set(client_owes);
        self.moved.set(Instant::now());
    }

    /// Since when the upstream, and not the client, has kept us waiting.
    pub(super) fn waiting_since(&self) -> Instant {
        if self.client_owes.get() {
            return Instant::now();
        }
        self.moved.get()
    }

    /// The client broke its request off.
    pub(super) fn broken_off(&self) {
        self.state.borrow_mut().broken = true;
    }

    /// Whether the client broke its request off.
    pub(super) fn is_broken_off(&self) -> bool {
        self.state.borrow().broken
    }

    /// A limit acted on the exchange.
    pub(super) fn limited(&self, limit: Limit) {
        self.worker.observer.limited(limit);
    }

    /// The client sent nothing of its body for too long.
    pub(super) fn late(&self) {
        self.state.borrow_mut().late = true;
        self.limited(Limit::BodyTimeout);
    }

    /// Whether the client sent nothing of its body for too long.
    pub(super) fn is_late(&self) -> bool {
        self.state.borrow().late
    }

    /// The response is over. What ended the exchange before it counts more.
    pub(super) fn ended(&self, ending: Ending) {
        let mut state = self.state.borrow_mut();
        let now = Instant::now();
        state.over = Some(now);
        if state.ending.is_none() {
            // An upstream that is not given the whole request cannot give the whole answer.
            let ending = match ending {
                Ending::UpstreamFailed if state.broken || state.late => Ending::ClientAborted,
                other => other,
            };
            state.ending = Some(ending);
            state.upstream = state.turned.map(|turned| now - turned);
            state.error = match ending {
                Ending::Complete => None,
                Ending::ClientAborted if state.late => Some("body_timeout"),
                Ending::ClientAborted => Some(self.worker.abort_cause()),
                Ending::UpstreamFailed | Ending::UpstreamTimeout => Some("upstream_truncated"),
            };
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.admitted {
            self.worker.shared.release();
        }
        let state = self.state.get_mut();
        let ending = state.ending.unwrap_or(Ending::ClientAborted);
        let ended = state.over.unwrap_or_else(Instant::now);
        if state.status == 0 {
            state.status = CLIENT_CLOSED;
            state.error = Some(self.worker.abort_cause());
            state.upstream = state
                .turned
                .map(|turned| ended.saturating_duration_since(turned));
        }
        let total = ended.saturating_duration_since(self.begun);
        let route = self.route.take();
        self.worker.observer.finished(&Observation {
            model: route.as_ref().map(|route| route.model),
            route: route.as_ref().map_or("", |route| &route.path),
            method: self.method.as_str(),
            status: state.status,
            error: state.error,
            ended,
            total,
            upstream: state.upstream,
        });
        let (Some(permit), Some(route)) = (state.permit.take(), route) else {
            return;
        };
        let (request, response) = (state.request.finish(), state.response.finish());
        let truncated = request.truncated || response.truncated;
        let exchange = Exchange {
            request_id: self.request_id.to_str().unwrap_or("-").into(),
            trace_id: state.trace_id.take(),
            model: route.model,
            started: self.started,
            method: recorded(&self.method),
            route: route.path,
            status: state.status,
            total,
            upstream: state.upstream,
            request,
            response,
            headers: std::mem::take(&mut state.headers),
            ending,
        };
        let observer = &self.worker.observer;
        match self.worker.tap.send(exchange, permit) {
            Ok(()) if truncated => observer.truncated(route.model),
            Ok(()) => {}
            Err(reason) => observer.dropped(route.model, reason),
        }
    }
}

// === impl State ===

impl State {
    /// Offers the exchange to its model's tap; it has a permit then, unless it is left out or there
    /// is no room.
    fn offer(
        &mut self,
        worker: &Worker,
        route: &Route,
        head: &request::Parts,
        request_id: &HeaderValue,
    ) {
        // A model that takes every path would otherwise record health checks and pages.
        if &*route.path == "*" && head.method != Method::POST {
            return;
        }
        let Some(model) = worker.shared.models.get(route.model) else {
            return;
        };
        let observer = &worker.observer;
        observer.offered(route.model);
        let path = head.uri.path();
        // What gRPC passes is no JSON, and may pass for days: counted and timed, not copied.
        let grpc = http2::is_grpc(head.version, &head.headers);
        if grpc || (model.exclude.iter()).any(|rule| rule.matches(path, &head.headers)) {
            observer.outcome(route.model, Outcome::Excluded);
            return;
        }
        if !model.sampler.admits(request_id.as_bytes()) {
            observer.outcome(route.model, Outcome::SampledOut);
            return;
        }
        match worker.tap.begin() {
            Ok(permit) => self.permit = Some(permit),
            Err(reason) => return observer.dropped(route.model, reason),
        }
        if !self.note(worker, Side::Request, &head.headers) {
            self.permit = None;
            observer.dropped(route.model, DropReason::QueueFull);
        }
    }

    /// Captures the headers of one side that are listed; false if there is no room for them.
    fn note(&mut self, worker: &Worker, side: Side, headers: &HeaderMap) -> bool {
        let Some(permit) = &mut self.permit else {
            return true;
        };
        let Some(captured) = worker.shared.config.headers.capture(headers, permit) else {
            return false;
        };
        match side {
            Side::Request => self.headers.request = captured,
            Side::Response => self.headers.response = captured,
        }
        true
    }
}

/// A method as it is recorded; those that are usual cost no allocation.
fn recorded(method: &Method) -> Cow<'static, str> {
    match *method {
        Method::GET => "GET".into(),
        Method::POST => "POST".into(),
        Method::PUT => "PUT".into(),
        // A token, and so ASCII.
        _ => Cow::Owned(method.as_str().chars().take(MAX_METHOD).collect()),
    }
}
