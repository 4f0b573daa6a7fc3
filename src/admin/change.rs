//! What changes something: the token, the small JSON body, the answer.
//!
//! Invariant: nothing here is reached by GET, nor without the token in a header, which a page of
//! another origin cannot set.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::drift::accept::{self, Terms};

use super::Sources;
use super::respond::json;

/// The most bytes of a request's body.
const MAX_BODY: usize = 16 * 1024;

/// How long a body of that size may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest reason, in bytes: a sentence or three, shown on the page and in every log line.
const MAX_REASON: usize = 1000;

/// The longest name of a person or program.
const MAX_NAME: usize = 100;

/// Who, where the request does not say.
const NOBODY: &str = "somebody";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Accept drift as the new normal.
    Accept {
        /// Name of the model.
        model: String,
        /// The column; every drifted one where `None`.
        feature: Option<String>,
        /// Who, why, for how long.
        terms: Terms,
    },
    /// Take that back.
    Unaccept {
        /// Name of the model.
        model: String,
        /// The column; every accepted one where `None`.
        feature: Option<String>,
        /// Who takes it back.
        by: String,
    },
    /// Read the references again.
    Reload,
}

/// Carries out a change; the value is what to answer.
pub type Changes = Arc<dyn Fn(Change) -> Changing + Send + Sync>;

/// A change under way.
pub type Changing = Pin<Box<dyn Future<Output = Result<Value, Refusal>> + Send>>;

/// A change that was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Whose fault it is.
    pub cause: Cause,
    /// What is wrong and what would be right.
    pub problems: Vec<FieldProblem>,
}

/// Whose fault a refusal is, as HTTP has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A field holds what it cannot hold: 400.
    Request,
    /// There is no such model or column: 404.
    Unknown,
    /// It does not fit what holds now: 409.
    Conflict,
    /// A file cannot be used: 422.
    File,
    /// driftd cannot do it now: 503.
    Busy,
}

/// One thing wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldProblem {
    /// The field of the request, or the setting; empty where it is about no single one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

#[derive(Serialize)]
struct Refused<'a> {
    error: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    problems: &'a [FieldProblem],
}

// === impl Refusal ===

impl Refusal {
    /// A refusal for one reason.
    #[must_use]
    pub fn new(cause: Cause, field: &str, message: impl Into<String>) -> Self {
        let (field, message) = (field.to_owned(), message.into());
        Self {
            cause,
            problems: vec![FieldProblem { field, message }],
        }
    }

    fn response(&self) -> Response<Full<Bytes>> {
        let (status, error) = match self.cause {
            Cause::Request => (
                StatusCode::BAD_REQUEST,
                "the request is not right; nothing was changed",
            ),
            Cause::Unknown => (
                StatusCode::NOT_FOUND,
                "there is no such thing; nothing was changed",
            ),
            Cause::Conflict => (
                StatusCode::CONFLICT,
                "that does not fit what holds now; nothing was changed",
            ),
            Cause::File => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "what cannot be used is left as it was",
            ),
            Cause::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "that cannot be done now; nothing was changed",
            ),
        };
        let problems = &self.problems;
        json(status, &Refused { error, problems })
    }
}

/// Whether `path` is one that changes something when it is posted to.
pub(super) fn is_change(path: &str) -> bool {
    matches!(path, "/api/v1/accept" | "/api/v1/unaccept" | "/-/reload")
}

/// Answers a request with another method than GET or HEAD to a path that [`is_change`].
pub(super) async fn respond<B>(request: Request<B>, sources: &Sources) -> Response<Full<Bytes>>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    if head.method != Method::POST {
        let allow = match head.uri.path() {
            "/api/v1/accept" => "GET, HEAD, POST",
            _ => "POST",
        };
        return not_allowed("this route takes POST", allow);
    }
    if let Err(response) = authorise(head.headers.get(header::AUTHORIZATION), sources) {
        return *response;
    }
    let change = match head.uri.path() {
        "/-/reload" => Ok(Change::Reload),
        path => match read(body).await {
            Ok(bytes) => parse(path == "/api/v1/accept", &bytes),
            Err(response) => return *response,
        },
    };
    let changed = match change {
        Ok(change) => (sources.changes)(change).await,
        Err(refusal) => Err(refusal),
    };
    match changed {
        Ok(value) => json(StatusCode::OK, &value),
        Err(refusal) => refusal.response(),
    }
}

/// A 405 that says what is allowed.
pub(super) fn not_allowed(error: &str, allow: &'static str) -> Response<Full<Bytes>> {
    let refused = Refused {
        error,
        problems: &[],
    };
    let mut response = json(StatusCode::METHOD_NOT_ALLOWED, &refused);
    let allow = HeaderValue::from_static(allow);
    response.headers_mut().insert(header::ALLOW, allow);
    response
}

fn authorise(
    shown: Option<&HeaderValue>,
    sources: &Sources,
) -> Result<(), Box<Response<Full<Bytes>>>> {
    let refuse = |status, error| {
        let mut response = json(
            status,
            &Refused {
                error,
                problems: &[],
            },
        );
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"driftd\"");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        Err(Box::new(response))
    };
    let token = sources.token.load();
    let Some(token) = token.as_ref() else {
        let error = "nothing can be changed here, because no token is configured: set admin_token (DRIFTD_ADMIN_TOKEN), or admin_token_file with the path of a file that holds one";
        return refuse(StatusCode::FORBIDDEN, error);
    };
    let bearer = shown.and_then(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked(7)?;
        scheme
            .eq_ignore_ascii_case(b"bearer ")
            .then(|| token.trim_ascii())
    });
    match bearer {
        Some(bearer) if token.is(bearer) => Ok(()),
        Some(_) => refuse(
            StatusCode::UNAUTHORIZED,
            "that is not the token configured as admin_token",
        ),
        None => refuse(
            StatusCode::UNAUTHORIZED,
            "send the token configured as admin_token in a header: Authorization: Bearer …",
        ),
    }
}

async fn read<B>(body: B) -> Result<Bytes, Box<Response<Full<Bytes>>>>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let refuse = |status, error| {
        Err(Box::new(json(
            status,
            &Refused {
                error,
                problems: &[],
            },
        )))
    };
    let body = std::pin::pin!(Limited::new(body, MAX_BODY));
    match tokio::time::timeout(BODY_TIMEOUT, body.collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(_)) => refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is cut short or longer than 16 KiB",
        ),
        Err(_) => refuse(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not come within 5 s",
        ),
    }
}

/// Reads the body of `/api/v1/accept`, or else of `/api/v1/unaccept`.
fn parse(accepts: bool, bytes: &[u8]) -> Result<Change, Refusal> {
    let object: Map<String, Value> = serde_json::from_slice(bytes).map_err(|error| {
        let right = "write a JSON object such as {\"model\": \"iris\", \"feature\": \"age\", \"for\": \"7d\", \"reason\": \"…\", \"by\": \"…\"}";
        Refusal::new(Cause::Request, "", format!("{error}; {right}"))
    })?;
    let mut fields = Fields {
        object,
        problems: Vec::new(),
    };
    let model = fields.text("model", MAX_NAME);
    let feature = fields.text("feature", MAX_BODY);
    let by = fields
        .text("by", MAX_NAME)
        .unwrap_or_else(|| NOBODY.to_owned());
    if model.is_none() {
        fields.lacks("model", "name the model");
    }
    let model = model.unwrap_or_default();
    let change = if accepts {
        let reason = fields.text("reason", MAX_REASON);
        if reason.is_none() {
            fields.lacks("reason", "say in a sentence why this is the new normal");
        }
        let length = fields.length();
        let terms = Terms {
            by,
            reason: reason.unwrap_or_default(),
            length,
        };
        Change::Accept {
            model,
            feature,
            terms,
        }
    } else {
        Change::Unaccept { model, feature, by }
    };
    let known = if accepts {
        "model, feature, for, reason, by"
    } else {
        "model, feature, by"
    };
    fields.finish(known).map(|()| change)
}

/// The fields of a request, taken out one by one.
struct Fields {
    object: Map<String, Value>,
    problems: Vec<FieldProblem>,
}

// === impl Fields ===

impl Fields {
    /// A text that is not blank; `None` where it is not given or `null`.
    fn text(&mut self, field: &str, longest: usize) -> Option<String> {
        let what = match self.object.remove(field)? {
            Value::Null => return None,
            Value::String(text) => match text.trim() {
                "" => "is empty".to_owned(),
                text if text.len() > longest => format!("is longer than {longest} bytes"),
                text if text.chars().any(char::is_control) => {
                    "holds a control character or a line break".to_owned()
                }
                text => return Some(text.to_owned()),
            },
            other => format!("is {other}; write a string"),
        };
        self.lacks(field, &what);
        None
    }

    /// The length of an acceptance.
    fn length(&mut self) -> Duration {
        let Some(text) = self.text("for", MAX_NAME) else {
            return accept::DEFAULT_LENGTH;
        };
        let longest = accept::MAX_LENGTH;
        match humantime::parse_duration(&text) {
            Ok(length) if (Duration::from_secs(1)..=longest).contains(&length) => return length,
            _ => self.lacks(
                "for",
                &format!("{text:?} is no time from 1s to 365d; write such as \"7d\" or \"12h\""),
            ),
        }
        accept::DEFAULT_LENGTH
    }

    fn lacks(&mut self, field: &str, message: &str) {
        // The first thing wrong with a field says enough.
        if self.problems.iter().all(|problem| problem.field != field) {
            let (field, message) = (field.to_owned(), message.to_owned());
            self.problems.push(FieldProblem { field, message });
        }
    }

    fn finish(mut self, known: &str) -> Result<(), Refusal> {
        let unknown: Vec<String> = self.object.keys().cloned().collect();
        for field in unknown {
            self.lacks(&field, &format!("no such field; the fields are: {known}"));
        }
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(Refusal {
            cause: Cause::Request,
            problems: self.problems,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(accepts: bool, body: &str) -> Vec<String> {
        let refusal = parse(accepts, body.as_bytes()).expect_err(body);
        assert_eq!(refusal.cause, Cause::Request);
        refusal
            .problems
            .into_iter()
            .map(|problem| problem.field)
            .collect()
    }

    #[test]
    fn a_request_is_read_whole() {
        let body =
            r#"{"model":"iris","feature":"age","for":"7d","reason":" new form ","by":"mira"}"#;
        let terms = Terms {
            by: "mira".to_owned(),
            reason: "new form".to_owned(),
            length: Duration::from_secs(7 * 86_400),
        };
        let (model, feature) = ("iris".to_owned(), Some("age".to_owned()));
        assert_eq!(
            parse(true, body.as_bytes()),
            Ok(Change::Accept {
                model,
                feature,
                terms
            })
        );
        let Ok(Change::Accept { terms, feature, .. }) =
            parse(true, br#"{"model":"iris","reason":"x"}"#)
        else {
            panic!("model and reason are enough");
        };
        assert_eq!((terms.length, feature), (accept::DEFAULT_LENGTH, None));
        let unaccept = parse(false, br#"{"model":"iris","feature":null}"#).unwrap();
        let (model, by) = ("iris".to_owned(), NOBODY.to_owned());
        assert_eq!(
            unaccept,
            Change::Unaccept {
                model,
                feature: None,
                by
            }
        );
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        assert_eq!(fields(true, "{}"), ["model", "reason"]);
        let body = r#"{"model":5,"feature":"","for":"soon","reason":"a\nb","whom":"x"}"#;
        assert_eq!(
            fields(true, body),
            ["model", "feature", "reason", "for", "whom"]
        );
        assert_eq!(
            fields(true, r#"{"model":"m","reason":"r","for":"400d"}"#),
            ["for"]
        );
        assert_eq!(fields(false, r#"{"model":"m","reason":"r"}"#), ["reason"]);
        assert_eq!(fields(true, "not JSON"), [""]);
        assert_eq!(fields(true, "[1]"), [""]);
        let long = format!(r#"{{"model":"m","reason":"{}"}}"#, "x".repeat(1001));
        assert_eq!(fields(true, &long), ["reason"]);
    }
}
