use prometheus::proto::{Bucket, Counter, Quantile};

use super::*;

const TIMES: Times = Times { start: 1, now: 2 };

fn family(name: &str, kind: MetricType, metric: proto::Metric) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(format!("What {name} is."));
    family.set_field_type(kind);
    family.set_metric(vec![metric]);
    family
}

fn labelled() -> proto::Metric {
    let mut label = LabelPair::default();
    label.set_name("model".to_owned());
    label.set_value("iris \"2\"".to_owned());
    proto::Metric::from_label(vec![label])
}

fn data(family: &MetricFamily) -> Data {
    let metric = TIMES.family(family);
    assert_eq!(metric.name, family.name());
    assert_eq!(metric.description, format!("What {} is.", family.name()));
    assert_eq!(metric.unit, "");
    metric.data.unwrap()
}

/// Of every point the same.
#[track_caller]
fn check(attributes: &[KeyValue], start: u64, now: u64) {
    assert_eq!(attributes, [attribute("model", "iris \"2\"")]);
    assert_eq!((start, now), (1, 2));
}

#[test]
fn a_counter_is_a_monotonic_cumulative_sum() {
    let mut counter = Counter::default();
    counter.set_value(3.0);
    let mut metric = labelled();
    metric.set_counter(counter);
    let Data::Sum(sum) = data(&family("a_total", MetricType::COUNTER, metric)) else {
        panic!("no sum");
    };
    assert!(sum.is_monotonic);
    assert_eq!(
        sum.aggregation_temporality(),
        AggregationTemporality::Cumulative
    );
    let [point] = &sum.data_points[..] else {
        panic!("one point");
    };
    check(
        &point.attributes,
        point.start_time_unix_nano,
        point.time_unix_nano,
    );
    assert_eq!(point.value, Some(number_data_point::Value::AsDouble(3.0)));
}

#[test]
fn a_gauge_is_a_gauge() {
    let mut gauge = proto::Gauge::default();
    gauge.set_value(-0.5);
    let mut metric = labelled();
    metric.set_gauge(gauge);
    let Data::Gauge(gauge) = data(&family("a", MetricType::GAUGE, metric)) else {
        panic!("no gauge");
    };
    let [point] = &gauge.data_points[..] else {
        panic!("one point");
    };
    check(
        &point.attributes,
        point.start_time_unix_nano,
        point.time_unix_nano,
    );
    assert_eq!(point.value, Some(number_data_point::Value::AsDouble(-0.5)));
}

#[test]
fn a_histogram_counts_each_bucket_by_itself() {
    // With and without the bucket that has no bound: the message has it in any case.
    for bounds in [&[0.1, 1.0, 5.0][..], &[0.1, 1.0, 5.0, f64::INFINITY]] {
        let buckets = bounds.iter().zip([2, 5, 5, 7]).map(|(bound, upto)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(upto);
            bucket
        });
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(7);
        histogram.set_sample_sum(20.5);
        let mut metric = labelled();
        metric.set_histogram(histogram);
        let Data::Histogram(histogram) = data(&family("a", MetricType::HISTOGRAM, metric)) else {
            panic!("no histogram");
        };
        assert_eq!(
            histogram.aggregation_temporality(),
            AggregationTemporality::Cumulative
        );
        let [point] = &histogram.data_points[..] else {
            panic!("one point");
        };
        check(
            &point.attributes,
            point.start_time_unix_nano,
            point.time_unix_nano,
        );
        assert_eq!(point.explicit_bounds, [0.1, 1.0, 5.0]);
        assert_eq!(point.bucket_counts, [2, 3, 0, 2]);
        assert_eq!((point.count, point.sum), (7, Some(20.5)));
    }
}

#[test]
fn a_summary_keeps_its_quantiles() {
    let mut quantile = Quantile::default();
    quantile.set_quantile(0.95);
    quantile.set_value(0.25);
    let mut summary = proto::Summary::default();
    summary.set_quantile(vec![quantile]);
    summary.set_sample_count(4);
    summary.set_sample_sum(0.5);
    let mut metric = labelled();
    metric.set_summary(summary);
    let Data::Summary(summary) = data(&family("a", MetricType::SUMMARY, metric)) else {
        panic!("no summary");
    };
    let [point] = &summary.data_points[..] else {
        panic!("one point");
    };
    check(
        &point.attributes,
        point.start_time_unix_nano,
        point.time_unix_nano,
    );
    assert_eq!(point.count, 4);
    assert_eq!(point.sum.to_bits(), 0.5_f64.to_bits());
    let expected = ValueAtQuantile {
        quantile: 0.95,
        value: 0.25,
    };
    assert_eq!(point.quantile_values, [expected]);
}

#[test]
fn a_receiver_that_took_a_part_is_understood() {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsPartialSuccess;
    let answer = |points, why: &str| {
        let partial = ExportMetricsPartialSuccess {
            rejected_data_points: points,
            error_message: why.to_owned(),
        };
        let answer = ExportMetricsServiceResponse {
            partial_success: Some(partial),
        };
        answer.encode_to_vec()
    };
    let why = "3 data points rejected: too old";
    assert_eq!(rejected(&answer(3, "too old")).as_deref(), Some(why));
    assert_eq!(rejected(&answer(0, "")), None);
    assert_eq!(rejected(b""), None);
    assert_eq!(rejected(b"OK, thanks"), None);
}
