//! Webhooks: changes of the level reach a real receiver once, whatever it answers and however often
//! driftd restarts.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::channel::Channel;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::app::{Driftd, SETTINGS, database, exchange, model_server, write_reference};
use crate::waiting::{PATIENCE, eventually};

const SECRET: &str = "a secret of twenty-four!";

/// What the receiver does with a delivery.
#[derive(Debug, Clone)]
enum Does {
    Answers(u16),
    AsksToWait(u64),
    Redirects(SocketAddr),
    /// Says 200, and then goes on talking without an end.
    Talks,
    /// Says nothing for longer than anybody waits.
    Hangs,
}

/// One delivery as it came.
#[derive(Debug, Clone)]
struct Got {
    at: Instant,
    headers: HeaderMap,
    body: Bytes,
}

#[derive(Debug, Clone)]
struct Receiver {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
    /// What it does next; the last one for ever.
    does: Arc<Mutex<Vec<Does>>>,
}

impl Receiver {
    fn start(does: &[Does]) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            got: Arc::default(),
            does: Arc::new(Mutex::new(does.to_vec())),
        };
        let served = receiver.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let each = served.clone();
                    let service = service_fn(move |request| each.clone().take(request));
                    let http = hyper::server::conn::http1::Builder::new();
                    tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
                }
            });
        });
        receiver
    }

    async fn take(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let does = {
            let mut does = self.does.lock().unwrap();
            if does.len() > 1 {
                does.remove(0)
            } else {
                does[0].clone()
            }
        };
        self.got.lock().unwrap().push(Got {
            at: Instant::now(),
            headers: head.headers,
            body,
        });
        let answer = Response::builder();
        let answer = match does {
            Does::Answers(status) => answer.status(status),
            Does::AsksToWait(seconds) => answer.status(429).header("retry-after", seconds),
            Does::Redirects(to) => answer
                .status(307)
                .header("location", format!("http://{to}/")),
            Does::Talks => {
                let (mut sender, body) = Channel::<Bytes>::new(1);
                tokio::spawn(async move {
                    let mut pause = tokio::time::interval(Duration::from_millis(100));
                    while sender.send_data("and ".into()).await.is_ok() {
                        pause.tick().await;
                    }
                });
                return Ok(Response::new(body.boxed_unsync()));
            }
            Does::Hangs => std::future::pending().await,
        };
        let said = Full::from("said the receiver").boxed_unsync();
        Ok(answer.body(said).unwrap())
    }

    fn does(&self, does: Does) {
        *self.does.lock().unwrap() = vec![does];
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    #[track_caller]
    fn wait_for(&self, deliveries: usize) -> Vec<Got> {
        eventually("deliveries", || self.got().len() >= deliveries);
        self.got()
    }
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn event(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checks the signature as the Standard Webhooks specification says, by other code than driftd's.
    #[track_caller]
    fn verify(&self) {
        let (id, time) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        let body = std::str::from_utf8(&self.body).unwrap();
        mac.update(format!("{id}.{time}.{body}").as_bytes());
        let coded = self
            .header("webhook-signature")
            .strip_prefix("v1,")
            .unwrap();
        mac.verify_slice(&STANDARD.decode(coded).unwrap()).unwrap();
    }
}

fn settings(receiver: &Receiver, more: &str) -> String {
    format!(
        "{SETTINGS}\n[webhook]\nurl = \"http://{}/hooks/driftd?key=x\"\nsecret = \"{SECRET}\"\n{more}\n",
        receiver.address
    )
}

/// A driftd that has seen 400 people of the reference, and says so.
fn calm(directory: &Path, upstream: SocketAddr, settings: &str) -> Driftd {
    let driftd = Driftd::start(directory, upstream, settings);
    driftd.predict_all(0);
    driftd.eventually("no drift", |d| d.model()["drifted"] == false);
    driftd
}

fn drift(driftd: &Driftd) {
    driftd.predict_all(25);
    driftd.eventually("drift", |d| d.model()["level"] == "warn");
}

fn metric(driftd: &Driftd, line: &str) -> bool {
    let text = exchange(driftd.addresses.admin, "GET /metrics", "");
    text.lines().any(|l| l == line)
}

#[track_caller]
fn counted(driftd: &Driftd, outcome: &str, count: u64) {
    let line = format!(
        "driftd_webhook_deliveries_total{{outcome=\"{outcome}\",receiver=\"default\"}} {count}"
    );
    driftd.eventually(&line, |d| metric(d, &line));
}

fn stored(directory: &Path) -> Vec<(String, String, String, Option<String>)> {
    let database = database(directory);
    let mut all = database
        .prepare("SELECT id, \"from\", \"to\", outcome FROM announcements ORDER BY time")
        .unwrap();
    let rows = all.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_change_reaches_a_receiver_in_trouble_once_and_no_restart_repeats_it() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = model_server();
    write_reference(directory.path(), 20);
    let receiver = Receiver::start(&[
        Does::Answers(404),
        Does::Hangs,
        Does::AsksToWait(2),
        Does::Talks,
    ]);
    let settings = settings(&receiver, "timeout = \"300ms\"");
    let driftd = calm(directory.path(), upstream, &settings);
    assert!(
        receiver.got().is_empty(),
        "all is well: {:?}",
        receiver.got()
    );
    drift(&driftd);
    let got = receiver.wait_for(4);
    counted(&driftd, "delivered", 1);
    assert!(metric(
        &driftd,
        "driftd_webhook_retries_total{receiver=\"default\"} 3"
    ));
    driftd.eventually("an empty queue", |d| {
        metric(d, "driftd_webhook_queue{receiver=\"default\"} 0")
    });
    for one in &got {
        one.verify();
        assert_eq!(one.header("webhook-id"), got[0].header("webhook-id"));
        assert_eq!(one.body, got[0].body);
        assert_eq!(
            one.header("content-type"),
            "application/cloudevents+json; charset=utf-8"
        );
    }
    let waited = got[3].at - got[2].at;
    assert!(
        waited >= Duration::from_secs(2),
        "asked to wait 2 s, came after {waited:?}"
    );
    let event = got[0].event();
    assert_eq!(event["id"], got[0].header("webhook-id"));
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["subject"], "people");
    assert_eq!(event["data"]["from"], "ok");
    assert_eq!(event["data"]["to"], "warn");
    assert_eq!(event["data"]["features"][0]["name"], "age");
    assert_eq!(event["data"]["features"][0]["checks"][0]["test"], "ks");
    let page = event["source"].as_str().unwrap();
    assert_eq!(page, format!("http://{}", driftd.addresses.admin));
    let url = event["data"]["features"][0]["url"].as_str().unwrap();
    let page = exchange(
        driftd.addresses.admin,
        &format!("GET {}", &url[page.len()..]),
        "",
    );
    assert!(
        page.starts_with("HTTP/1.1 200") && page.contains("age"),
        "{url}"
    );
    drop(driftd);

    let driftd = Driftd::start(directory.path(), upstream, &settings);
    driftd.eventually("checked again", |d| d.model()["level"] == "warn");
    let checked = driftd.model()["checked_at"].clone();
    driftd.eventually("and again", |d| d.model()["checked_at"] != checked);
    // The way back is the next change, and comes after whatever a restart might have repeated.
    driftd.predict_all(0);
    driftd.eventually("no drift", |d| d.model()["level"] == "ok");
    let got = receiver.wait_for(5);
    let event = got[4].event();
    assert_eq!(
        (&event["data"]["from"], &event["data"]["to"]),
        (&json!("warn"), &json!("ok"))
    );
    assert_ne!(event["id"], got[0].header("webhook-id"));
    counted(&driftd, "delivered", 1);
    drop(driftd);
    let levels: Vec<_> = (stored(directory.path()).into_iter())
        .map(|(_, from, to, outcome)| (from, to, outcome.unwrap_or_default()))
        .collect();
    let word = |from: &str, to: &str| (from.to_owned(), to.to_owned(), "delivered".to_owned());
    assert_eq!(levels, [word("ok", "warn"), word("warn", "ok")]);
}

#[test]
fn what_was_not_delivered_before_a_restart_is_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = model_server();
    write_reference(directory.path(), 20);
    let receiver = Receiver::start(&[Does::Answers(503)]);
    let settings = settings(&receiver, "");
    let driftd = calm(directory.path(), upstream, &settings);
    drift(&driftd);
    let tried = receiver.wait_for(1);
    drop(driftd);
    let (id, _, to, outcome) = stored(directory.path()).remove(0);
    assert_eq!(
        (id.as_str(), to.as_str(), outcome),
        (tried[0].header("webhook-id"), "warn", None)
    );

    let before = receiver.got().len();
    receiver.does(Does::Answers(200));
    let driftd = Driftd::start(directory.path(), upstream, &settings);
    let got = receiver.wait_for(before + 1);
    assert_eq!(got[before].header("webhook-id"), id);
    assert_eq!(got[before].body, tried[0].body);
    counted(&driftd, "delivered", 1);
    drop(driftd);
    assert_eq!(receiver.got().len(), before + 1);
    assert_eq!(stored(directory.path()).len(), 1);
}

#[test]
fn drift_that_began_before_the_webhook_was_there_is_announced() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = model_server();
    write_reference(directory.path(), 20);
    drift(&calm(directory.path(), upstream, SETTINGS));
    let receiver = Receiver::start(&[Does::Answers(200)]);
    let settings = settings(&receiver, "format = \"slack\"\non = [\"warn\", \"alert\"]");
    let _driftd = Driftd::start(directory.path(), upstream, &settings);
    let got = receiver.wait_for(1);
    got[0].verify();
    let text = got[0].event()["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("Model people: ok → warn (age"), "{text}");
    assert_eq!(
        got[0].header("content-type"),
        "application/json; charset=utf-8"
    );
}

#[test]
fn redirections_are_not_followed_and_refusals_not_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = model_server();
    write_reference(directory.path(), 20);
    let elsewhere = Receiver::start(&[Does::Answers(200)]);
    let receiver = Receiver::start(&[Does::Redirects(elsewhere.address), Does::Answers(400)]);
    let driftd = calm(directory.path(), upstream, &settings(&receiver, ""));
    drift(&driftd);
    counted(&driftd, "rejected", 1);
    receiver.does(Does::Answers(410));
    driftd.predict_all(0);
    counted(&driftd, "gone", 1);
    // Whoever wants nothing more gets nothing more.
    drift(&driftd);
    counted(&driftd, "gone", 2);
    assert_eq!(receiver.got().len(), 3);
    assert!(elsewhere.got().is_empty());
}

#[test]
fn a_receiver_that_never_answers_costs_its_oldest_changes_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = model_server();
    write_reference(directory.path(), 20);
    let receiver = Receiver::start(&[Does::Hangs]);
    let settings = settings(&receiver, "queue = 1\ntimeout = \"1h\"");
    let driftd = calm(directory.path(), upstream, &settings);
    drift(&driftd);
    receiver.wait_for(1);
    driftd.predict_all(0);
    driftd.eventually("well again", |d| {
        metric(d, "driftd_webhook_queue{receiver=\"default\"} 2")
    });
    drift(&driftd);
    counted(&driftd, "dropped", 1);
    let begun = Instant::now();
    drop(driftd);
    assert!(
        begun.elapsed() < PATIENCE,
        "the end waited for the receiver"
    );
    let outcomes: Vec<_> = (stored(directory.path()).into_iter())
        .map(|(.., outcome)| outcome)
        .collect();
    assert_eq!(outcomes, [None, Some("dropped".to_owned()), None]);
}
