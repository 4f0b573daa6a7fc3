//! Receivers with a real window, and no connections.

use std::io;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::drift::report::{Level, ModelReport};
use crate::feature::{Column, Role};
use crate::model::{ModelName, Schema};
use crate::push::tests::{config, report};
use crate::timestamp::Timestamp;
use crate::window::{self, Announcement, ModelSpec};

fn window(directory: &Path, models: &[&str]) -> Window {
    let config = window::Config {
        path: directory.join("w.db"),
        keep_rows: 100,
        keep_for: Duration::from_secs(86_400),
        max_bytes: 1 << 26,
    };
    let column = Column {
        name: "x".into(),
        role: Role::Feature,
        kind: None,
    };
    let spec = |name: &&str| ModelSpec {
        name: ModelName::parse(name).unwrap(),
        version: String::new(),
        schema: Schema::new(vec![column.clone()], Vec::new()),
        reference_hash: Some("cafe".to_owned()),
    };
    let specs: Vec<ModelSpec> = models.iter().map(spec).collect();
    let opened = Window::open(&config, &specs, Timestamp::now());
    opened.unwrap().window
}

fn receiver(levels: &[Level]) -> Receiver {
    let links = Links {
        report: Arc::default(),
        window: Arc::default(),
        counters: Arc::new(WebhookCounters::new(["default".to_owned()])),
        page: "http://127.0.0.1:9090".to_owned(),
    };
    let dial: Dial = Box::new(|| Box::pin(async { Err(io::ErrorKind::NotConnected.into()) }));
    Receiver::new(0, config(levels), dial, links)
}

fn models(levels: &[Level]) -> Report {
    let model = |level: &Level| ModelReport {
        level: *level,
        ..report(Vec::new())
    };
    Report {
        models: levels.iter().map(model).collect(),
    }
}

#[test]
fn a_receiver_is_told_the_levels_it_asked_for_and_no_others() {
    use Level::{Alert, Ok, Warn};
    let directory = tempfile::tempdir().unwrap();
    let window = window(directory.path(), &["iris"]);
    let receiver = receiver(&[Ok, Alert]);
    receiver.observe(&window, &models(&[Alert]));
    assert_eq!(receiver.waiting().len(), 1);
    receiver.observe(&window, &models(&[Warn]));
    receiver.observe(&window, &models(&[Ok]));
    let waiting = receiver.waiting();
    assert_eq!(waiting.len(), 2);
    let last = &waiting[1];
    assert_eq!((last.from.as_str(), last.to.as_str()), ("alert", "ok"));
    let event: Value = serde_json::from_str(&last.body).unwrap();
    let data = &event["data"];
    assert_eq!(
        (&data["from"], &data["to"]),
        (&"alert".into(), &"ok".into())
    );
    let text = data["text"].as_str().unwrap();
    assert!(text.contains("alert → ok"), "{text}");
    let stored = window.announced("default", 0).unwrap();
    assert_eq!(stored.level.as_deref(), Some("ok"));
    assert_eq!(stored.pending[1].announcement, *last);
}

#[test]
fn what_was_left_is_delivered_in_the_order_it_was_stored_whatever_the_clock_said() {
    let directory = tempfile::tempdir().unwrap();
    let window = window(directory.path(), &["a", "b"]);
    for (id, model, time) in [("1", 1, 3000), ("2", 0, 1000), ("3", 1, 2000)] {
        let announcement = Announcement {
            id: id.to_owned(),
            time: Timestamp(time),
            from: "ok".to_owned(),
            to: "alert".to_owned(),
            body: String::new(),
        };
        let saved = window.announce("default", model, "alert", Some(announcement));
        saved.unwrap();
    }
    let receiver = receiver(&[Level::Alert]);
    receiver.observe(&window, &models(&[Level::Alert, Level::Alert]));
    let waiting = receiver.waiting();
    let ids: Vec<&str> = waiting.iter().map(|change| change.id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "3"]);
}

/// A receiver that refuses everything about one model, and a driftd that has two.
#[test]
fn a_change_that_is_not_taken_holds_up_its_own_model_alone() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let directory = tempfile::tempdir().unwrap();
    let window = window(directory.path(), &["a", "b"]);
    let mut receiver = receiver(&[Level::Ok, Level::Alert]);
    let (came, mut got) = tokio::sync::mpsc::unbounded_channel();
    receiver.dial(Box::new(move || {
        let came = came.clone();
        Box::pin(async move {
            let (ours, mut theirs) = tokio::io::duplex(1 << 16);
            tokio::task::spawn_local(async move {
                let mut request = Vec::new();
                let complete = |request: &[u8]| request.ends_with(b"}");
                while !complete(&request) {
                    theirs.read_buf(&mut request).await.unwrap();
                }
                let text = String::from_utf8(request).unwrap();
                let event = text.split_once("\r\n\r\n").unwrap().1;
                let event: Value = serde_json::from_str(event).unwrap();
                let (model, to) = (&event["data"]["model"], &event["data"]["to"]);
                let status = if model == "a" { 503 } else { 200 };
                came.send(format!(
                    "{} {}",
                    model.as_str().unwrap(),
                    to.as_str().unwrap()
                ))
                .unwrap();
                let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
                theirs.write_all(answer.as_bytes()).await.unwrap();
            });
            Ok(Box::new(ours) as Box<dyn crate::push::Connection>)
        })
    }));
    let report = |level| {
        let mut report = models(&[level, level]);
        for (model, name) in report.models.iter_mut().zip(["a", "b"]) {
            model.model = ModelName::parse(name).unwrap();
        }
        report
    };
    receiver.observe(&window, &report(Level::Alert));
    receiver.observe(&window, &report(Level::Ok));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let local = LocalSet::new();
    let first = async {
        let mut first = Vec::new();
        for _ in 0..5 {
            first.extend(got.recv().await);
        }
        first
    };
    let first = runtime.block_on(local.run_until(async {
        tokio::select! {
            () = receiver.deliver() => Vec::new(),
            first = tokio::time::timeout(Duration::from_secs(60), first) => first.unwrap(),
        }
    }));
    let again = "a alert".to_owned();
    assert_eq!(first[..3], ["a alert", "b alert", "b ok"]);
    assert_eq!(first[3..], [again.clone(), again]);
}
