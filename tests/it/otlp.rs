//! Metrics pushed by OTLP: a real receiver gets what the page for Prometheus shows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::Method;

use crate::app::{Driftd, SETTINGS, exchange, model_server, write_reference};
use crate::waiting::PATIENCE;
use receiver::{Answers, Got, Receiver, Series, bits};

mod receiver;

/// Every sample of the page for Prometheus, but for OpenTelemetry's own, which is the resource.
fn page(driftd: &Driftd) -> BTreeMap<Series, f64> {
    let page = exchange(driftd.addresses.admin, "GET /metrics", "");
    let body = page.split_once("\r\n\r\n").unwrap().1;
    let lines = body
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
    let lines = lines.filter(|line| !line.starts_with("target_info"));
    lines.map(sample).collect()
}

fn sample(line: &str) -> (Series, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, rest) = series.split_once('{').unwrap_or((series, "}"));
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    while let Some((key, quoted)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        let end = loop {
            match characters.next().unwrap() {
                (at, '"') => break at,
                (_, '\\') => match characters.next().unwrap().1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        rest = &quoted[end + 1..];
        // The label of a gauge is its text on both sides.
        let number = key.trim_start_matches(',');
        if number == "le" || (number == "quantile" && name != "driftd_feature_quantile") {
            value = bits(value.parse().unwrap());
        }
        labels.insert(key.trim_start_matches(',').to_owned(), value);
    }
    ((name.to_owned(), labels), value.parse().unwrap())
}

fn start(directory: &Path, receiver: &Receiver, more: &[(&'static str, &str)]) -> Driftd {
    write_reference(directory, 20);
    let reference = "reference = \"people.csv\"";
    let environment = receiver.environment(more);
    let settings = [SETTINGS, reference];
    Driftd::start_in(directory, model_server(), settings, &environment)
}

#[test]
fn otlp_carries_every_series_of_the_page() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(&[Answers::Taken]);
    let driftd = start(directory.path(), &receiver, &[]);
    driftd.predict_all(25);
    driftd.eventually("a verdict", |d| d.feature("age")["drifted"] == true);
    driftd.eventually("all rows stored", |d| d.tap()["in_flight"] == 0);
    let before = page(&driftd);
    let export = receiver.next();
    let after = page(&driftd);

    let exported = export.samples();
    let names = |of: &BTreeMap<Series, f64>| -> BTreeSet<Series> { of.keys().cloned().collect() };
    let (shown, pushed) = (names(&before), names(&exported));
    let missing: Vec<_> = shown
        .difference(&pushed)
        .filter(|s| after.contains_key(s))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
    let new: Vec<_> = pushed
        .difference(&shown)
        .filter(|s| !after.contains_key(s))
        .collect();
    assert!(new.is_empty(), "{new:#?}");
    let mut still = 0;
    for (series, value) in &before {
        // Both pages read the numbers from the same text: bits tell whether they are the same.
        if after
            .get(series)
            .is_some_and(|later| later.to_bits() == value.to_bits())
        {
            assert_eq!(exported[series].to_bits(), value.to_bits(), "{series:?}");
            still += 1;
        }
    }
    // Ages, a verdict per minute, quantiles of the last minute: little else moves.
    assert!(
        still * 10 >= before.len() * 9,
        "{still} of {} stand still",
        before.len()
    );
    let families: BTreeSet<&str> = before.keys().map(|(name, _)| name.as_str()).collect();
    for family in [
        "driftd_build_info",
        "driftd_tap_offered_total",
        "http_server_request_duration_seconds_bucket",
        "driftd_request_latency_seconds",
        "driftd_feature_value_bucket",
        "driftd_reference_value_bucket",
        "driftd_feature_quantile",
    ] {
        assert!(families.contains(family), "{family}: {families:#?}");
    }
}

#[test]
fn otlp_is_sent_as_the_environment_says() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(&[Answers::Taken]);
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let more = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=test",
        ),
        ("OTEL_SERVICE_NAME", "sidecar"),
    ];
    let driftd = start(directory.path(), &receiver, &more);
    let got = receiver.wait_for(2);
    let [first, second] = [&got[0], &got[1]];
    assert_eq!(first.method, Method::POST);
    assert_eq!(first.path, "/base/v1/metrics");
    assert_eq!(first.headers["content-type"], "application/x-protobuf");
    assert_eq!(first.headers["content-encoding"], "gzip");
    assert_eq!(first.headers["authorization"], "Bearer abc");
    let resource = first.resource();
    assert_eq!(resource["service.name"], "sidecar");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(resource["deployment.environment.name"], "test");
    let port = format!(":{}", driftd.addresses.admin.port());
    assert!(
        resource["service.instance.id"].ends_with(&port),
        "{resource:?}"
    );
    let (start, now) = first.times();
    let began = u64::try_from(began.as_millis()).unwrap() * 1_000_000;
    assert!(began <= start && start <= now, "{began} {start} {now}");
    assert_eq!(second.times().0, start, "the counters began when they did");
    // By driftd's own clock, in whole milliseconds: no export begins before its interval has passed.
    for (export, intervals) in [(first, 1), (second, 2)] {
        let after = Duration::from_nanos(export.times().1 - start);
        assert!(
            after >= Duration::from_millis(150 * intervals - 1),
            "{after:?}"
        );
    }

    // The end exports once more, without waiting for the interval.
    let exports = receiver.got().len();
    driftd.predict_all(0);
    drop(driftd);
    let got = receiver.got();
    assert!(got.len() > exports);
    let samples = got.last().unwrap().samples();
    let offered = |((name, _), _): &(&Series, &f64)| name == "driftd_tap_offered_total";
    let offered: f64 = samples.iter().filter(offered).map(|(_, value)| value).sum();
    assert_eq!(
        offered.to_bits(),
        400_f64.to_bits(),
        "all that came until the end"
    );
}

#[test]
fn otlp_to_a_receiver_in_trouble_holds_up_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let answers = [
        Answers::InPart,
        Answers::Unavailable { retry_after: 1 },
        Answers::Never,
        Answers::Taken,
    ];
    let receiver = Receiver::start(&answers);
    let timeout = [("OTEL_EXPORTER_OTLP_TIMEOUT", "3000")];
    let driftd = start(directory.path(), &receiver, &timeout);
    // By driftd's own clock, in whole milliseconds.
    let waited = |earlier: &Got, later: &Got| {
        Duration::from_nanos(later.times().1 - earlier.times().1) + Duration::from_millis(1)
    };
    let got = receiver.wait_for(3);
    let paused = waited(&got[1], &got[2]);
    assert!(
        paused >= Duration::from_secs(1),
        "asked to wait 1 s: {paused:?}"
    );
    // The receiver has the third one and never answers.
    assert_eq!(driftd.predict(30, "pro"), 200);
    assert!(!page(&driftd).is_empty());
    assert_eq!(
        receiver.got().len(),
        3,
        "answered while an export was under way"
    );
    let got = receiver.wait_for(4);
    let held = waited(&got[2], &got[3]);
    assert!(
        held >= Duration::from_secs(3),
        "one export at a time: {held:?}"
    );
    drop(driftd);

    // Somebody who hangs up, and then nobody there at all: it ends all the same.
    let somebody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = somebody.local_addr().unwrap();
    let hung_up = thread::spawn(move || drop(somebody.accept().unwrap()));
    let endpoint = format!("http://{address}");
    let more = [("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", &*endpoint)];
    let driftd = start(directory.path(), &receiver, &more);
    assert_eq!(driftd.predict(30, "pro"), 200);
    hung_up.join().unwrap();
    let begun = Instant::now();
    drop(driftd);
    let ended = begun.elapsed();
    assert!(ended < PATIENCE, "{ended:?}");
}

#[test]
fn otlp_settings_that_cannot_be_met_end_driftd_with_78() {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), 20);
    let run = Command::new(env!("CARGO_BIN_EXE_driftd"))
        .args([
            "config",
            "--upstream",
            "http://127.0.0.1:1",
            "--reference",
            "people.csv",
        ])
        .current_dir(directory.path())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization:topsecret")
        .output()
        .unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(78), "{said}");
    assert!(
        said.contains("OTEL_EXPORTER_OTLP_PROTOCOL = \"grpc\": write http/protobuf"),
        "{said}"
    );
    assert!(
        said.contains("OTEL_EXPORTER_OTLP_HEADERS: entry 1: it has no ="),
        "{said}"
    );
    assert!(!said.contains("topsecret"), "{said}");
}
