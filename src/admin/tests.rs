use std::net::SocketAddr;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use crate::metrics::tap::TapCounters;
use crate::metrics::traffic::Traffic;
use crate::metrics::{self, Gauges};

use super::*;

mod change;
pub(super) mod sample;

/// A listener on a free port, with what ends it.
struct Served {
    addr: SocketAddr,
    shutdown: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
    ready: Arc<Mutex<Result<(), String>>>,
    token: Arc<ArcSwapOption<Token>>,
    changes: Arc<Mutex<Vec<Change>>>,
}

const TOKEN: &str = "a-token-of-the-tests";

async fn served(routes: Routes) -> Served {
    let report = Arc::new(ArcSwap::from_pointee(sample::report()));
    let models: Vec<_> = sample::report()
        .models
        .iter()
        .map(|m| m.model.clone())
        .collect();
    let metrics = Metrics::new(metrics::Sources {
        traffic: Traffic::new(models.clone()),
        tap: Arc::new(TapCounters::new(models.len())),
        report: Arc::clone(&report),
        lives: Arc::default(),
        models,
        gauges: Arc::new(Gauges::default),
    });
    let ready = Arc::new(Mutex::new(Ok(())));
    let asked = Arc::clone(&ready);
    let token = Token::parse(TOKEN).unwrap();
    let token = Arc::new(ArcSwapOption::from_pointee(Some(token)));
    let changes = Arc::new(Mutex::new(Vec::new()));
    let sources = Sources {
        metrics: Arc::new(metrics.unwrap()),
        report,
        history: Arc::new(ArcSwap::from_pointee(sample::history())),
        ready: Arc::new(move || asked.lock().unwrap().clone()),
        settled: tokio::sync::watch::channel(true).1,
        status: Arc::new(sample::status),
        hosts: Hosts::of(std::net::Ipv4Addr::LOCALHOST.into(), None),
        token: Arc::clone(&token),
        changes: {
            let asked = Arc::clone(&changes);
            Arc::new(move |change| {
                asked.lock().unwrap().push(change);
                Box::pin(std::future::ready(Ok(serde_json::json!({"done": true}))))
            })
        },
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (shutdown, stopped) = oneshot::channel();
    let task = tokio::spawn(serve(listener, routes, Arc::new(sources), stopped));
    Served {
        addr,
        shutdown,
        task,
        ready,
        token,
        changes,
    }
}

impl Served {
    async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response
    }

    async fn ask(&self, method: &str, target: &str) -> String {
        self.raw(&format!(
            "{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        ))
        .await
    }
}

fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn answers_every_route() {
    let served = served(Routes::Full).await;
    for (target, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/?model=nobody&feature=%ff", "text/html; charset=utf-8"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/livez", "text/plain; charset=utf-8"),
        ("/readyz", "text/plain; charset=utf-8"),
        ("/api/v1/status", "application/json"),
        ("/api/v1/drift", "application/json"),
        ("/api/v1/accept", "application/json"),
    ] {
        let response = served.ask("GET", target).await;
        assert!(
            response.starts_with("HTTP/1.1 200 OK\r\n"),
            "{target}: {response}"
        );
        assert!(
            response.contains(&format!("content-type: {kind}\r\n")),
            "{response}"
        );
        assert!(response.contains("x-content-type-options: nosniff\r\n"));
        assert!(!body(&response).is_empty());
        let head = served.ask("HEAD", target).await;
        assert!(
            head.starts_with("HTTP/1.1 200 OK\r\n") && body(&head).is_empty(),
            "{head}"
        );
    }
    let page = served.ask("GET", "/").await;
    assert!(page.contains("content-security-policy: default-src 'none'; style-src 'sha256-"));
    assert!(page.contains("referrer-policy: no-referrer\r\n"));
}

#[tokio::test]
async fn json_has_the_contracts_shape() {
    let served = served(Routes::Full).await;
    let drift = served.ask("GET", "/api/v1/drift").await;
    let drift: serde_json::Value = serde_json::from_str(body(&drift)).unwrap();
    assert_eq!(drift["models"][0]["model"], "iris");
    let label = &drift["models"][0]["features"][6];
    assert_eq!(
        (&label["state"], label["drifted"].is_null()),
        (&"no_reference".into(), true)
    );
    let status = served.ask("GET", "/api/v1/status").await;
    let status: serde_json::Value = serde_json::from_str(body(&status)).unwrap();
    assert_eq!(status["models"][0]["tap"]["dropped_by"]["queue_full"], 1500);
    assert_eq!(status["started_at"], "2023-11-13T21:13:20.000Z");
    let metrics = served.ask("GET", "/metrics").await;
    assert!(body(&metrics).contains("driftd_model_drift_level{model=\"iris\"} 2"));
}

#[tokio::test]
async fn readiness_says_why_not_and_liveness_does_not_care() {
    let served = served(Routes::MetricsOnly).await;
    *served.ready.lock().unwrap() = Err("shutting down".to_owned());
    let ready = served.ask("GET", "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    assert_eq!(body(&ready), "not ready: shutting down\n");
    assert!(
        served
            .ask("GET", "/livez")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
}

#[tokio::test]
async fn refuses_what_it_does_not_serve() {
    let served = served(Routes::Full).await;
    let response = served.ask("GET", "/nowhere").await;
    assert!(response.starts_with("HTTP/1.1 404 "), "{response}");
    let listed: serde_json::Value = serde_json::from_str(body(&response)).unwrap();
    assert!(
        listed["routes"]
            .as_array()
            .unwrap()
            .contains(&"/api/v1/drift".into())
    );
    let response = served.ask("POST", "/api/v1/drift").await;
    assert!(response.starts_with("HTTP/1.1 405 "), "{response}");
    assert!(response.contains("allow: GET, HEAD\r\n"));
    let many = "x: y\r\n".repeat(100);
    let response = served.raw(&format!("GET / HTTP/1.1\r\n{many}\r\n")).await;
    assert!(response.starts_with("HTTP/1.1 431 "), "{response}");
}

#[tokio::test]
async fn a_name_of_somebody_else_is_not_answered() {
    let served = served(Routes::Full).await;
    let ask = async |line: &str, host: &str| {
        let request = format!("{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        served.raw(&request).await
    };
    for line in [
        "GET /",
        "GET /api/v1/drift",
        "GET /metrics",
        "POST /api/v1/accept",
        "GET /no",
    ] {
        let response = ask(line, "evil.example:9464").await;
        assert!(response.starts_with("HTTP/1.1 421 "), "{line}: {response}");
        assert!(body(&response).contains("evil.example:9464"), "{response}");
        let response = ask(line, "localhost:9464").await;
        assert!(!response.starts_with("HTTP/1.1 421 "), "{line}: {response}");
    }
    for path in ["/livez", "/readyz"] {
        let response = ask(&format!("GET {path}"), "evil.example").await;
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    }
}

#[tokio::test]
async fn a_listener_for_metrics_shows_no_more() {
    let served = served(Routes::MetricsOnly).await;
    assert!(
        served
            .ask("GET", "/metrics")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    for target in ["/", "/api/v1/drift", "/api/v1/status"] {
        let response = served.ask("GET", target).await;
        assert!(response.starts_with("HTTP/1.1 404 "), "{target}");
        assert!(!response.contains("api/v1"));
    }
}

#[tokio::test]
async fn shutdown_ends_idle_connections() {
    let served = served(Routes::Full).await;
    let mut idle = TcpStream::connect(served.addr).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    served.shutdown.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(3), served.task)
        .await
        .unwrap()
        .unwrap();
    assert!(TcpStream::connect(served.addr).await.is_err());
}

#[tokio::test]
async fn more_connections_than_allowed_wait_their_turn() {
    let served = served(Routes::MetricsOnly).await;
    let mut idle = Vec::new();
    for _ in 0..MOST_CONNECTIONS {
        idle.push(TcpStream::connect(served.addr).await.unwrap());
    }
    let answer = tokio::time::timeout(Duration::from_millis(200), served.ask("GET", "/livez"));
    assert!(answer.await.is_err(), "one too many was served");
    drop(idle);
    let answer = tokio::time::timeout(Duration::from_secs(5), served.ask("GET", "/livez"));
    assert!(answer.await.unwrap().starts_with("HTTP/1.1 200 "));
}
