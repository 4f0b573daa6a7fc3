//! The receiver, and what it got as Prometheus would write it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

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

use crate::waiting::eventually;

/// One export as it came.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    message: ExportMetricsServiceRequest,
}

/// What it answers, the last one for ever.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answers {
    Taken,
    InPart,
    Unavailable { retry_after: u64 },
    Never,
}

#[derive(Debug, Clone)]
pub(super) struct Receiver {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
    answers: Arc<Mutex<Vec<Answers>>>,
}

/// Labels of a series, `le` and `quantile` as the bits of their numbers, since both sides write numbers
/// their own way.
pub(super) type Series = (String, BTreeMap<String, String>);

// === impl Receiver ===

impl Receiver {
    pub(super) fn start(answers: &[Answers]) -> Self {
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
            Answers::Never => std::future::pending().await,
        }
        Ok(response.body(Full::from(said.encode_to_vec())).unwrap())
    }

    pub(super) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    #[track_caller]
    pub(super) fn wait_for(&self, exports: usize) -> Vec<Got> {
        eventually("exports", || self.got().len() >= exports);
        self.got()
    }

    /// The first export whose values are from after now.
    #[track_caller]
    pub(super) fn next(&self) -> Got {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = u64::try_from(now.as_millis()).unwrap() * 1_000_000;
        let mut next = None;
        eventually("another export", || {
            next = self.got().into_iter().rev().find(|got| got.times().1 > now);
            next.is_some()
        });
        next.unwrap()
    }

    pub(super) fn environment(&self, more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
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

    pub(super) fn resource(&self) -> BTreeMap<String, String> {
        let resource = self.message.resource_metrics[0].resource.as_ref();
        labels(&resource.unwrap().attributes)
    }

    /// Start and time of the first gauge, in nanoseconds.
    pub(super) fn times(&self) -> (u64, u64) {
        let gauge = self.metrics().iter().find_map(|metric| match &metric.data {
            Some(Data::Gauge(gauge)) => gauge.data_points.first(),
            _ => None,
        });
        let point = gauge.unwrap();
        (point.start_time_unix_nano, point.time_unix_nano)
    }

    /// Every sample as the page for Prometheus has it.
    pub(super) fn samples(&self) -> BTreeMap<Series, f64> {
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

/// A number as text that only equal numbers have.
pub(super) fn bits(number: f64) -> String {
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
