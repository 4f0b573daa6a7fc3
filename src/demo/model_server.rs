//! The demo's model server: what a small Flask app would be, on hyper.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::classifier::{Classifier, Flower};

const MAX_BODY: usize = 1 << 20;

/// Answers `POST /predict` with `{"features":[…]}` or `{"features":[[…],…]}` until aborted.
pub(super) async fn serve(listener: TcpListener, classifier: Classifier) {
    let classifier = Arc::new(classifier);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let classifier = Arc::clone(&classifier);
        let service = service_fn(move |request| answer(request, Arc::clone(&classifier)));
        tokio::task::spawn(async move {
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A client that goes away is nobody's problem here.
            drop(connection.await);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    classifier: Arc<Classifier>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::POST, "/predict") => {
            match Limited::new(request.into_body(), MAX_BODY).collect().await {
                Ok(body) => predict(&body.to_bytes(), &classifier),
                Err(error) => (
                    StatusCode::BAD_REQUEST,
                    json!({ "error": error.to_string() }),
                ),
            }
        }
        (&Method::GET, "/health") => (StatusCode::OK, json!({ "status": "ok" })),
        _ => (
            StatusCode::NOT_FOUND,
            json!({ "error": "POST /predict or GET /health" }),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let json = hyper::header::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, json);
    Ok(response)
}

fn predict(body: &[u8], classifier: &Classifier) -> (StatusCode, Value) {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let features = &request["features"];
    if let Some(flower) = flower(features) {
        return (
            StatusCode::OK,
            json!({ "prediction": classifier.predict(&flower) }),
        );
    }
    let batch: Option<Vec<Flower>> = (features.as_array())
        .filter(|rows| !rows.is_empty())
        .and_then(|rows| rows.iter().map(flower).collect());
    match batch {
        Some(flowers) => {
            let answers: Vec<&str> = flowers.iter().map(|f| classifier.predict(f)).collect();
            (StatusCode::OK, json!({ "prediction": answers }))
        }
        None => (
            StatusCode::BAD_REQUEST,
            json!({ "error": "send {\"features\": [four numbers]}" }),
        ),
    }
}

fn flower(value: &Value) -> Option<Flower> {
    let numbers: Option<Vec<f64>> = value.as_array()?.iter().map(Value::as_f64).collect();
    numbers?.try_into().ok()
}
