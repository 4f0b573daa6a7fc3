//! Metric families built from the catalogue, for the custom collector.

use std::sync::Arc;

use prometheus::core::Desc;
use prometheus::proto::{
    Bucket, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType, Quantile, Summary,
};

use super::catalogue::{Series, SeriesKind};
use super::latency::Merged;
use super::series::{BOUNDS_NANOS, BucketTotals};

/// One family while its samples are collected.
#[derive(Debug)]
pub(super) struct Family {
    series: Series,
    metrics: Vec<Metric>,
}

// === impl Family ===

impl Family {
    /// A family without samples.
    pub(super) const fn new(series: Series) -> Self {
        Self {
            series,
            metrics: Vec::new(),
        }
    }

    /// Adds a gauge. A figure that does not exist, or is not finite, is no sample.
    pub(super) fn gauge(&mut self, labels: &[&str], value: Option<f64>) {
        let Some(value) = value.filter(|value| value.is_finite()) else {
            return;
        };
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = self.metric(labels);
        metric.set_gauge(gauge);
        self.metrics.push(metric);
    }

    /// Adds a histogram, if it counted anything.
    pub(super) fn histogram(&mut self, labels: &[&str], totals: &BucketTotals) {
        if totals.count() == 0 {
            return;
        }
        let mut cumulative = 0;
        let bounds = BOUNDS_NANOS.iter().zip(totals.counts);
        let buckets = bounds.map(|(bound, count)| {
            cumulative += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound as f64 / 1e9);
            bucket.set_cumulative_count(cumulative);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(totals.count());
        histogram.set_sample_sum(totals.sum);
        let mut metric = self.metric(labels);
        metric.set_histogram(histogram);
        self.metrics.push(metric);
    }

    /// Adds a summary, if it counted anything. Without values in the last minute it has no
    /// quantiles, and still its sum and count.
    pub(super) fn summary(&mut self, labels: &[&str], merged: &Merged, quantiles: &[f64]) {
        if merged.count == 0 {
            return;
        }
        let quantiles = quantiles.iter().filter_map(|at| {
            let mut quantile = Quantile::default();
            quantile.set_quantile(*at);
            quantile.set_value(merged.quantile(*at)?);
            Some(quantile)
        });
        let mut summary = Summary::default();
        summary.set_quantile(quantiles.collect());
        summary.set_sample_sum(merged.sum);
        summary.set_sample_count(merged.count);
        let mut metric = self.metric(labels);
        metric.set_summary(summary);
        self.metrics.push(metric);
    }

    /// The family as the registry takes it.
    pub(super) fn finish(self) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.series.name.to_owned());
        family.set_help(self.series.help.to_owned());
        family.set_field_type(match self.series.kind {
            SeriesKind::Counter => MetricType::COUNTER,
            SeriesKind::Gauge => MetricType::GAUGE,
            SeriesKind::Histogram => MetricType::HISTOGRAM,
            SeriesKind::Summary => MetricType::SUMMARY,
        });
        family.set_metric(self.metrics);
        family
    }

    fn metric(&self, values: &[&str]) -> Metric {
        debug_assert_eq!(
            values.len(),
            self.series.labels.len(),
            "{}",
            self.series.name
        );
        let pairs = self.series.labels.iter().zip(values).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        Metric::from_label(pairs.collect())
    }
}

/// What a registry wants to know of a family beforehand.
pub(super) fn describe(series: &Series) -> Result<Arc<Desc>, prometheus::Error> {
    let labels = series.labels.iter().map(|label| (*label).to_owned());
    Desc::new(
        series.name.to_owned(),
        series.help.to_owned(),
        labels.collect(),
        Default::default(),
    )
    .map(Arc::new)
}
