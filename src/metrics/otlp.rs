//! The metrics as a message of the OpenTelemetry protocol
//! (<https://opentelemetry.io/docs/specs/otel/metrics/data-model/>): the same names, labels and values as
//! on the page for Prometheus, so that both may be looked at with the same queries.

use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prometheus::proto::{self, LabelPair, MetricFamily, MetricType};
use prost::Message as _;

use super::values::{self, Feature};
use super::{Error, Gathered, Metrics, catalogue};
use crate::timestamp::Timestamp;

/// OpenTelemetry's own for Prometheus: what it says is the message's resource, of which a receiver makes
/// such a series by itself.
const TARGET_INFO: &str = "target_info";

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// What of a message is not in the metrics.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// Attributes of what the metrics are of.
    pub resource: &'a [opentelemetry::KeyValue],
    /// Since when the counters count.
    pub started: Timestamp,
    /// When the values hold.
    pub now: Timestamp,
}

/// The times of every data point, in nanoseconds since the epoch.
#[derive(Debug, Clone, Copy)]
struct Times {
    start: u64,
    now: u64,
}

// === impl Metrics ===

impl Metrics {
    /// The metrics as an encoded `ExportMetricsServiceRequest`.
    ///
    /// # Errors
    /// There are none, which cannot be.
    pub fn otlp(&self, page: Page<'_>) -> Result<Vec<u8>, Error> {
        let gathered = self.gather();
        let times = Times {
            start: nanoseconds(page.started),
            now: nanoseconds(page.now),
        };
        let metrics = times.all(&gathered);
        if !metrics
            .iter()
            .any(|metric| metric.name == catalogue::BUILD_INFO.name)
        {
            return Err(Error::Empty);
        }
        let resource = page.resource.iter().map(KeyValue::from);
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(Resource {
                    attributes: resource.collect(),
                    ..Resource::default()
                }),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(InstrumentationScope {
                        name: "driftd".to_owned(),
                        version: env!("CARGO_PKG_VERSION").to_owned(),
                        ..InstrumentationScope::default()
                    }),
                    metrics,
                    ..ScopeMetrics::default()
                }],
                ..ResourceMetrics::default()
            }],
        };
        Ok(request.encode_to_vec())
    }
}

/// What a receiver that took a message says it did not take of it; `None`: nothing, or what it says is no
/// such answer.
#[must_use]
pub fn rejected(answer: &[u8]) -> Option<String> {
    let partial = ExportMetricsServiceResponse::decode(answer)
        .ok()?
        .partial_success?;
    let (points, why) = (partial.rejected_data_points, partial.error_message);
    (points != 0 || !why.is_empty()).then(|| format!("{points} data points rejected: {why}"))
}

// === impl Times ===

impl Times {
    fn all(self, gathered: &Gathered) -> Vec<Metric> {
        let families = gathered.families.iter();
        let mut metrics: Vec<Metric> = families
            .filter(|family| family.name() != TARGET_INFO)
            .map(|family| self.family(family))
            .collect();
        metrics.extend(self.values(gathered));
        metrics
    }

    fn family(self, family: &MetricFamily) -> Metric {
        let series = family.get_metric();
        let data = match family.get_field_type() {
            MetricType::COUNTER => Data::Sum(Sum {
                data_points: (series.iter())
                    .map(|one| self.number(one, one.get_counter().get_value()))
                    .collect(),
                aggregation_temporality: CUMULATIVE,
                is_monotonic: true,
            }),
            // No family is untyped before the page for Prometheus is written.
            MetricType::GAUGE | MetricType::UNTYPED => gauge(
                (series.iter())
                    .map(|one| self.number(one, one.get_gauge().get_value()))
                    .collect(),
            ),
            MetricType::HISTOGRAM => histogram(
                (series.iter())
                    .map(|one| self.histogram(attributes(one.get_label()), one.get_histogram()))
                    .collect(),
            ),
            MetricType::SUMMARY => Data::Summary(Summary {
                data_points: series.iter().map(|one| self.summary(one)).collect(),
            }),
        };
        metric(family.name(), family.help(), data)
    }

    fn number(self, one: &proto::Metric, value: f64) -> NumberDataPoint {
        self.point(attributes(one.get_label()), value)
    }

    fn point(self, attributes: Vec<KeyValue>, value: f64) -> NumberDataPoint {
        NumberDataPoint {
            attributes,
            start_time_unix_nano: self.start,
            time_unix_nano: self.now,
            value: Some(number_data_point::Value::AsDouble(value)),
            ..NumberDataPoint::default()
        }
    }

    fn histogram(self, attributes: Vec<KeyValue>, from: &proto::Histogram) -> HistogramDataPoint {
        // The last bucket has no bound, whether it was written down or not.
        let finite = (from.get_bucket().iter()).filter(|bucket| bucket.upper_bound().is_finite());
        let bounds = finite.clone().map(proto::Bucket::upper_bound).collect();
        let cumulative = finite.map(proto::Bucket::cumulative_count);
        let counts = cumulative
            .chain([from.get_sample_count()])
            .scan(0, |before, upto| {
                let count = upto.saturating_sub(*before);
                *before = upto;
                Some(count)
            });
        self.buckets(attributes, bounds, counts.collect(), from.get_sample_sum())
    }

    /// A point from the counts of each bucket, of which the last one has no bound.
    fn buckets(
        self,
        attributes: Vec<KeyValue>,
        explicit_bounds: Vec<f64>,
        bucket_counts: Vec<u64>,
        sum: f64,
    ) -> HistogramDataPoint {
        HistogramDataPoint {
            attributes,
            start_time_unix_nano: self.start,
            time_unix_nano: self.now,
            count: bucket_counts.iter().sum(),
            sum: Some(sum),
            bucket_counts,
            explicit_bounds,
            ..HistogramDataPoint::default()
        }
    }

    fn summary(self, one: &proto::Metric) -> SummaryDataPoint {
        let from = one.get_summary();
        let quantiles = from.get_quantile().iter().map(|at| ValueAtQuantile {
            quantile: at.quantile(),
            value: at.value(),
        });
        SummaryDataPoint {
            attributes: attributes(one.get_label()),
            start_time_unix_nano: self.start,
            time_unix_nano: self.now,
            count: from.sample_count(),
            sum: from.sample_sum(),
            quantile_values: quantiles.collect(),
            ..SummaryDataPoint::default()
        }
    }

    /// The families written beside the registry's, those without samples left out.
    fn values(self, gathered: &Gathered) -> Vec<Metric> {
        let mut live = Vec::new();
        let mut reference = Vec::new();
        let mut bins = Vec::new();
        let mut resolution = Vec::new();
        let mut dependence = Vec::new();
        let Some(lives) = &gathered.lives else {
            return Vec::new();
        };
        values::each(&gathered.report, lives, |feature: &Feature<'_>| {
            let buckets = feature.buckets;
            let labels = || feature_attributes(feature);
            let counted = feature.counts.buckets.clone();
            let edges = || buckets.edges().to_vec();
            live.push(self.buckets(labels(), edges(), counted, feature.counts.sum));
            let upto = buckets.upto().iter().copied().chain([buckets.total()]);
            let counts = upto.scan(0, |before, upto| {
                let count = upto.saturating_sub(*before);
                *before = upto;
                Some(count)
            });
            reference.push(self.buckets(labels(), edges(), counts.collect(), buckets.sum()));
            for bin in buckets.bins() {
                let mut labels = labels();
                labels.push(attribute("after", &values::number(bin.after)));
                labels.push(attribute("upto", &values::number(bin.upto)));
                bins.push(self.point(labels, bin.count as f64));
            }
            resolution.push(self.point(labels(), buckets.resolution()));
            dependence.extend(feature.dependence.map(|rows| self.point(labels(), rows)));
        });
        let histograms = [
            (catalogue::FEATURE_VALUE, live),
            (catalogue::REFERENCE_VALUE, reference),
        ];
        let gauges = [
            (catalogue::REFERENCE_BIN_VALUES, bins),
            (catalogue::REFERENCE_VALUE_RESOLUTION, resolution),
            (catalogue::FEATURE_DEPENDENCE, dependence),
        ];
        let histograms = (histograms.into_iter())
            .filter(|(_, points)| !points.is_empty())
            .map(|(series, points)| metric(series.name, series.help, histogram(points)));
        let gauges = (gauges.into_iter())
            .filter(|(_, points)| !points.is_empty())
            .map(|(series, points)| metric(series.name, series.help, gauge(points)));
        histograms.chain(gauges).collect()
    }
}

/// No unit: a receiver that writes for Prometheus would append it to names that already hold it.
fn metric(name: &str, description: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        description: description.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn gauge(data_points: Vec<NumberDataPoint>) -> Data {
    Data::Gauge(Gauge { data_points })
}

fn histogram(data_points: Vec<HistogramDataPoint>) -> Data {
    Data::Histogram(Histogram {
        data_points,
        aggregation_temporality: CUMULATIVE,
    })
}

fn attributes(labels: &[LabelPair]) -> Vec<KeyValue> {
    let labels = labels.iter();
    labels
        .map(|label| attribute(label.name(), label.value()))
        .collect()
}

fn feature_attributes(feature: &Feature<'_>) -> Vec<KeyValue> {
    let [model, version] = feature.model;
    let labels = [
        ("model", model),
        ("version", version),
        ("feature", feature.name),
        ("role", feature.role.as_str()),
        ("reference", feature.buckets.identity()),
    ];
    labels
        .iter()
        .map(|(key, value)| attribute(key, value))
        .collect()
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

fn nanoseconds(time: Timestamp) -> u64 {
    u64::try_from(time.0).unwrap_or(0).saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests;
