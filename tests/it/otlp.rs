//! Metrics pushed by OTLP: a real receiver gets what the page for Prometheus shows.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, HistogramDataPoint, number_data_point,
};
use prost::Message as _;

use crate::app::{Driftd, PATIENCE, SETTINGS, exchange, model_server, write_reference};

/// One export as it came.
#[derive(Debug, Clone)]
struct Got {
    at: Instant,
    method: Method,
    path: String,
    headers: HeaderMap,
    message: ExportMetricsServiceRequest,
}

/// What it answers, the last one for ever.
#[derive(Debug, Clone, Copy)]
enum Answers {
    Taken,
    InPart,
    Unavailable { retry_after: u64 },
    Never,
}

#[derive(Debug, Clone)]
struct Receiver {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
    answers: Arc<Mutex<Vec<Answers>>>,
}

/// Labels of a series, `le` and `quantile` as the bits of their numbers, since both sides write numbers
/// their own way.
type Series = (String, BTreeMap<String, String>);

// === impl Receiver ===

impl Receiver {
    fn start(answers: &[Answers]) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            got: Arc::default(),
            answers: Arc::new(Mutex::new(answers.to_vec())),
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

    async fn take(self, request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let mut plain = Vec::new();
        if head
            .headers
            .get("content-encoding")
            .is_some_and(|coding| coding == "gzip")
        {
            let mut decoder = flate2::read::GzDecoder::new(&*body);
            decoder.read_to_end(&mut plain).unwrap();
        } else {
            plain.extend_from_slice(&body);
        }
        self.got.lock().unwrap().push(Got {
            at: Instant::now(),
            method: head.method,
            path: head.uri.to_string(),
            headers: head.headers,
            message: ExportMetricsServiceRequest::decode(&*plain).unwrap(),
        });
        let answer = {
            let mut answers = self.answers.lock().unwrap();
            if answers.len() > 1 {
                answers.remove(0)
            } else {
                answers[0]
            }
        };
        let mut said = ExportMetricsServiceResponse::default();
        let mut response = Response::builder();
        match answer {
            Answers::Taken => {}
            Answers::InPart => {
                said.partial_success = Some(ExportMetricsPartialSuccess {
                    rejected_data_points: 2,
                    error_message: "two too many".to_owned(),
                });
            }
            Answers::Unavailable { retry_after } => {
                response = response.status(503).header("retry-after", retry_after);
            }
            Answers::Never => tokio::time::sleep(PATIENCE * 2).await,
        }
        Ok(response.body(Full::from(said.encode_to_vec())).unwrap())
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    #[track_caller]
    fn wait_for(&self, exports: usize) -> Vec<Got> {
        let deadline = Instant::now() + PATIENCE;
        while self.got().len() < exports {
            assert!(Instant::now() < deadline, "{} exports", self.got().len());
            thread::sleep(Duration::from_millis(5));
        }
        self.got()
    }

    /// The first export whose values are from after now.
    #[track_caller]
    fn next(&self) -> Got {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = u64::try_from(now.as_millis()).unwrap() * 1_000_000;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(got) = self.got().into_iter().rev().find(|got| got.times().1 > now) {
                return got;
            }
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn environment(&self, more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        let base = format!("http://{}/base/", self.address);
        let own = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", base),
            ("OTEL_METRIC_EXPORT_INTERVAL", "150".to_owned()),
        ];
        let more = more
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        own.into_iter().chain(more).collect()
    }
}

// === impl Got ===

impl Got {
    fn metrics(&self) -> &[opentelemetry_proto::tonic::metrics::v1::Metric] {
        let [resource] = &self.message.resource_metrics[..] else {
            panic!("one resource");
        };
        let [scope] = &resource.scope_metrics[..] else {
            panic!("one scope");
        };
        assert_eq!(scope.scope.as_ref().unwrap().name, "driftd");
        &scope.metrics
    }

    fn resource(&self) -> BTreeMap<String, String> {
        let resource = self.message.resource_metrics[0].resource.as_ref();
        labels(&resource.unwrap().attributes)
    }

    /// Start and time of the first gauge, in nanoseconds.
    fn times(&self) -> (u64, u64) {
        let gauge = self.metrics().iter().find_map(|metric| match &metric.data {
            Some(Data::Gauge(gauge)) => gauge.data_points.first(),
            _ => None,
        });
        let point = gauge.unwrap();
        (point.start_time_unix_nano, point.time_unix_nano)
    }

    /// Every sample as the page for Prometheus has it.
    fn samples(&self) -> BTreeMap<Series, f64> {
        let mut samples = BTreeMap::new();
        let mut keep = |name: String, labels, value| {
            let old = samples.insert((name, labels), value);
            assert_eq!(old, None, "twice the same series");
        };
        let cumulative = AggregationTemporality::Cumulative as i32;
        for metric in self.metrics() {
            let name = &metric.name;
            assert!(!metric.description.is_empty(), "{name} is not described");
            match metric.data.as_ref().unwrap() {
                Data::Sum(sum) => {
                    assert!(sum.is_monotonic && name.ends_with("_total"), "{name}");
                    assert_eq!(sum.aggregation_temporality, cumulative);
                    for point in &sum.data_points {
                        keep(name.clone(), labels(&point.attributes), number(point.value));
                    }
                }
                Data::Gauge(gauge) => {
                    for point in &gauge.data_points {
                        keep(name.clone(), labels(&point.attributes), number(point.value));
                    }
                }
                Data::Histogram(histogram) => {
                    assert_eq!(histogram.aggregation_temporality, cumulative);
                    for point in &histogram.data_points {
                        buckets(name, point, &mut keep);
                    }
                }
                Data::Summary(summary) => {
                    for point in &summary.data_points {
                        let own = labels(&point.attributes);
                        keep(format!("{name}_sum"), own.clone(), point.sum);
                        keep(format!("{name}_count"), own.clone(), point.count as f64);
                        for at in &point.quantile_values {
                            let mut own = own.clone();
                            own.insert("quantile".to_owned(), bits(at.quantile));
                            keep(name.clone(), own, at.value);
                        }
                    }
                }
                other @ Data::ExponentialHistogram(_) => panic!("{other:?}"),
            }
        }
        samples
    }
}

fn buckets(
    name: &str,
    point: &HistogramDataPoint,
    keep: &mut impl FnMut(String, BTreeMap<String, String>, f64),
) {
    let own = labels(&point.attributes);
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    let bounds = point.explicit_bounds.iter().copied().chain([f64::INFINITY]);
    let mut upto = 0;
    for (bound, count) in bounds.zip(&point.bucket_counts) {
        upto += count;
        let mut own = own.clone();
        own.insert("le".to_owned(), bits(bound));
        keep(format!("{name}_bucket"), own, upto as f64);
    }
    keep(format!("{name}_count"), own.clone(), point.count as f64);
    keep(format!("{name}_sum"), own, point.sum.unwrap());
}

fn bits(number: f64) -> String {
    format!("{:x}", number.to_bits())
}

fn number(value: Option<number_data_point::Value>) -> f64 {
    match value.unwrap() {
        number_data_point::Value::AsDouble(value) => value,
        number_data_point::Value::AsInt(value) => value as f64,
    }
}

fn labels(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let pair = |pair: &KeyValue| match pair.value.clone().unwrap().value.unwrap() {
        Value::StringValue(value) => (pair.key.clone(), value),
        other => panic!("{other:?}"),
    };
    attributes.iter().map(pair).collect()
}

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
        if matches!(key.trim_start_matches(','), "le" | "quantile") {
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
    driftd.predict_all(3);
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
    let apart = second.at - first.at;
    assert!(
        apart >= Duration::from_millis(100),
        "an interval of 150 ms: {apart:?}"
    );

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
    let driftd = start(
        directory.path(),
        &receiver,
        &[("OTEL_EXPORTER_OTLP_TIMEOUT", "500")],
    );
    let got = receiver.wait_for(3);
    let waited = got[2].at - got[1].at;
    assert!(
        waited >= Duration::from_secs(1),
        "asked to wait 1 s, came after {waited:?}"
    );
    let begun = Instant::now();
    assert_eq!(driftd.predict(30, "pro"), 200);
    let answered = begun.elapsed();
    assert!(answered < Duration::from_millis(400), "{answered:?}");
    let got = receiver.wait_for(4);
    let waited = got[3].at - got[2].at;
    let bounds = Duration::from_millis(450)..Duration::from_secs(5);
    assert!(
        bounds.contains(&waited),
        "one export under way at a time: {waited:?}"
    );
    drop(driftd);

    // Nobody there at all: it ends all the same.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let endpoint = format!("http://{address}");
    let more = [("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", &*endpoint)];
    let driftd = start(directory.path(), &receiver, &more);
    assert_eq!(driftd.predict(30, "pro"), 200);
    thread::sleep(Duration::from_millis(400));
    let begun = Instant::now();
    drop(driftd);
    let ended = begun.elapsed();
    assert!(ended < Duration::from_secs(5), "{ended:?}");
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
