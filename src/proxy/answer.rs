//! The answers driftd gives itself. Each is marked, so that nobody takes it for the upstream's.

use std::io;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::body::{Answer, TapBody};
use super::flight::{Flight, Side};
use super::identity::REQUEST_ID;
use super::reach::Unreached;
use crate::exchange::Ending;

/// The header that marks an answer of our own; its value says what went wrong.
const ERROR: HeaderName = HeaderName::from_static("driftd-error");

/// Why an exchange cannot have an answer from its upstream.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request is not one that may be passed on.
    BadRequest(&'static str),
    /// It has more headers than may be.
    ManyHeaders,
    /// `CONNECT`, which asks for a tunnel.
    Tunnel,
    /// Too many exchanges are under way.
    Overload,
    /// The client sent nothing of its body for too long.
    BodyTimeout,
    /// The client broke its body off, or it is malformed.
    BrokenBody,
    /// No connection.
    Connect(io::Error),
    /// No connection in time.
    ConnectTimeout,
    /// No answer in time.
    ResponseTimeout,
    /// The connection ended, or something came that is no HTTP, before an answer was complete.
    Closed(hyper::Error),
    /// An answer nobody asked for.
    Protocol(&'static str),
}

impl Failure {
    /// The answer to the client, noted in the exchange's record.
    pub(super) fn answer(self, flight: &Rc<Flight>) -> Response<TapBody<Answer>> {
        let (status, code, ending) = self.meaning();
        flight.refused(status, code, ending);
        let id = flight.request_id();
        let body = serde_json::json!({
            "error": code,
            "detail": self.detail(),
            "request_id": id.to_str().unwrap_or_default(),
        });
        let body = Answer::Own(Full::new(Bytes::from(body.to_string())));
        let body = TapBody::new(body, Rc::clone(flight), Side::Response);
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ERROR, HeaderValue::from_static(code));
        headers.insert(REQUEST_ID, id.clone());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if ending == Ending::ClientAborted || status == StatusCode::BAD_REQUEST {
            // What follows on this connection cannot be trusted to be a request.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn meaning(&self) -> (StatusCode, &'static str, Ending) {
        use Ending::{ClientAborted, Complete, UpstreamFailed, UpstreamTimeout};
        match self {
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad_request", Complete),
            Self::ManyHeaders => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "max_headers",
                Complete,
            ),
            Self::Tunnel => (StatusCode::METHOD_NOT_ALLOWED, "connect_refused", Complete),
            Self::Overload => (StatusCode::SERVICE_UNAVAILABLE, "overload", Complete),
            Self::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "body_timeout", ClientAborted),
            Self::BrokenBody => (StatusCode::BAD_REQUEST, "bad_request", ClientAborted),
            Self::Connect(_) => (StatusCode::BAD_GATEWAY, "upstream_connect", UpstreamFailed),
            Self::ConnectTimeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_connect",
                UpstreamTimeout,
            ),
            Self::ResponseTimeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_timeout",
                UpstreamTimeout,
            ),
            Self::Closed(_) => (StatusCode::BAD_GATEWAY, "upstream_closed", UpstreamFailed),
            Self::Protocol(_) => (StatusCode::BAD_GATEWAY, "upstream_protocol", UpstreamFailed),
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::BadRequest(why) | Self::Protocol(why) => (*why).to_owned(),
            Self::ManyHeaders => "the request has too many headers".to_owned(),
            Self::Tunnel => "CONNECT is not offered".to_owned(),
            Self::Overload => {
                "too many requests are under way; this one was not passed on".to_owned()
            }
            Self::BodyTimeout => "the rest of the request's body did not come in time".to_owned(),
            Self::BrokenBody => "the request's body broke off or is malformed".to_owned(),
            Self::Connect(error) => match error.get_ref() {
                // Addresses are for the log.
                Some(inner) if inner.is::<Unreached>() => {
                    format!("cannot connect to the upstream: {}", error.kind())
                }
                _ => format!("cannot connect to the upstream: {error}"),
            },
            Self::ConnectTimeout => "the upstream did not take the connection in time".to_owned(),
            Self::ResponseTimeout => "the upstream did not answer in time".to_owned(),
            Self::Closed(error) => format!(
                "the upstream broke off before its answer ({error}); the request may have been \
                 carried out, so it was not sent again"
            ),
        }
    }
}
