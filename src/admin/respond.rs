//! From a request to its response.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use crate::metrics;
use crate::timestamp::Timestamp;

use super::page::{self, Selection};
use super::{Routes, Sources};

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// The routes of a full listener, as a 404 lists them.
const FULL: &[&str] = &[
    "/",
    "/metrics",
    "/livez",
    "/readyz",
    "/api/v1/status",
    "/api/v1/drift",
];

/// The routes of a listener for metrics alone.
const METRICS_ONLY: &[&str] = &["/metrics", "/livez", "/readyz"];

#[derive(Serialize)]
struct Refusal<'a> {
    error: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    routes: &'a [&'a str],
}

/// Answers one request. The request's body, if any, is never read.
pub(super) fn respond<B>(
    request: &Request<B>,
    routes: Routes,
    sources: &Sources,
) -> Response<Full<Bytes>> {
    let listed = match routes {
        Routes::Full => FULL,
        Routes::MetricsOnly => METRICS_ONLY,
    };
    let path = request.uri().path();
    if !listed.contains(&path) {
        let error = "no such route";
        return json(
            StatusCode::NOT_FOUND,
            &Refusal {
                error,
                routes: listed,
            },
        );
    }
    // The server drops the body of an answer to HEAD and keeps its length.
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let error = "only GET and HEAD are allowed here";
        let refusal = Refusal { error, routes: &[] };
        let mut response = json(StatusCode::METHOD_NOT_ALLOWED, &refusal);
        let allow = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(header::ALLOW, allow);
        return response;
    }
    match path {
        "/livez" => answer(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" => match (sources.ready)() {
            Ok(()) => answer(StatusCode::OK, TEXT, "ok\n"),
            Err(reason) => answer(
                StatusCode::SERVICE_UNAVAILABLE,
                TEXT,
                format!("not ready: {reason}\n"),
            ),
        },
        "/metrics" => match sources.metrics.render() {
            Ok(text) => answer(StatusCode::OK, metrics::CONTENT_TYPE, text),
            Err(error) => {
                tracing::error!(%error, "Cannot render metrics");
                answer(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    TEXT,
                    format!("{error}\n"),
                )
            }
        },
        "/api/v1/status" => json(StatusCode::OK, &(sources.status)()),
        "/api/v1/drift" => json(StatusCode::OK, &**sources.report.load()),
        _ => the_page(request.uri().query(), sources),
    }
}

fn the_page(query: Option<&str>, sources: &Sources) -> Response<Full<Bytes>> {
    let selection = Selection::parse(query.unwrap_or_default());
    let report = sources.report.load_full();
    let html = page::render(&report, &(sources.status)(), &selection, Timestamp::now());
    let mut response = answer(StatusCode::OK, HTML, html);
    let policy = HeaderValue::from_str(page::content_security_policy());
    // The policy is ASCII; without one the page would still escape everything.
    if let Ok(policy) = policy {
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec(value) {
        Ok(body) => answer(status, JSON, body),
        Err(error) => {
            tracing::error!(%error, "Cannot write JSON");
            answer(
                StatusCode::INTERNAL_SERVER_ERROR,
                TEXT,
                "cannot write JSON\n",
            )
        }
    }
}

fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    const HEADERS: [(HeaderName, &str); 4] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
