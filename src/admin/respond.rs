//! From a request to its response.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use crate::drift::Report;
use crate::drift::accept::Acceptance;
use crate::drift::report::ModelReport;
use crate::metrics;
use crate::timestamp::Timestamp;

use super::change;
use super::page::{self, Selection};
use super::{Routes, SETTLING, Sources};

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
    "/api/v1/accept",
    "/api/v1/unaccept",
    "/-/reload",
];

/// The routes of a listener for metrics alone.
const METRICS_ONLY: &[&str] = &["/metrics", "/livez", "/readyz"];

#[derive(Serialize)]
struct Refusal<'a> {
    error: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    routes: &'a [&'a str],
}

/// Answers one request.
pub(super) async fn respond<B>(
    request: Request<B>,
    routes: Routes,
    sources: &Sources,
) -> Response<Full<Bytes>>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if !matches!(request.uri().path(), "/livez" | "/readyz") && !*sources.settled.borrow() {
        let mut settled = sources.settled.clone();
        let waiting = settled.wait_for(|settled| *settled);
        // Where it takes longer, or never comes, what there is must do.
        drop(tokio::time::timeout(SETTLING, waiting).await);
    }
    let health = matches!(request.uri().path(), "/livez" | "/readyz");
    let refused = sources.hosts.refused(&request);
    if let Some(name) = refused.filter(|_| routes == Routes::Full && !health) {
        return misdirected(&name);
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads && routes == Routes::Full && change::is_change(request.uri().path()) {
        return change::respond(request, sources).await;
    }
    read(&request, routes, sources)
}

/// Answers a request for a name that is not this listener's.
fn misdirected(name: &str) -> Response<Full<Bytes>> {
    let error = format!(
        "this listener is for its own machine and does not answer to the name {name:?}: ask for an \
         address or localhost, or set external_url to where people reach the page"
    );
    let refusal = Refusal {
        error: &error,
        routes: &[],
    };
    json(StatusCode::MISDIRECTED_REQUEST, &refusal)
}

/// Answers a request that changes nothing. Its body, if any, is never read.
fn read<B>(request: &Request<B>, routes: Routes, sources: &Sources) -> Response<Full<Bytes>> {
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
        return change::not_allowed("only GET and HEAD are allowed here", "GET, HEAD");
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
        "/api/v1/accept" => json(StatusCode::OK, &accepted(&sources.report.load())),
        "/api/v1/unaccept" | "/-/reload" => {
            change::not_allowed("this changes something: use POST, with the token", "POST")
        }
        "/api/v1/drift" => json(StatusCode::OK, &**sources.report.load()),
        _ => the_page(request.uri().query(), sources),
    }
}

/// What is accepted now, of every model.
#[derive(Serialize)]
struct AcceptedList<'a> {
    accepted: Vec<Accepted<'a>>,
}

#[derive(Serialize)]
struct Accepted<'a> {
    model: &'a str,
    #[serde(flatten)]
    acceptance: &'a Acceptance,
}

fn accepted(report: &Report) -> AcceptedList<'_> {
    let of_model = |model| {
        let ModelReport {
            model, accepted, ..
        }: &ModelReport = model;
        let model = model.as_str();
        accepted
            .iter()
            .map(move |acceptance| Accepted { model, acceptance })
    };
    AcceptedList {
        accepted: report.models.iter().flat_map(of_model).collect(),
    }
}

fn the_page(query: Option<&str>, sources: &Sources) -> Response<Full<Bytes>> {
    let selection = Selection::parse(query.unwrap_or_default());
    let report = sources.report.load_full();
    let history = sources.history.load_full();
    let status = (sources.status)();
    let html = page::render(&report, &history, &status, &selection, Timestamp::now());
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

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
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
