//! The histograms of values, written as text.
//!
//! Not by the registry: its encoder writes an edge of one as `le="1"`, which Prometheus 2 keeps and
//! Prometheus 3 takes for `le="1.0"`, so that the buckets of two servers, or of one before and after
//! its upgrade, would not be added up. Here every edge is written as Prometheus 3 writes it, which
//! both keep. It is also several times less work for the many lines.

use std::fmt::Write as _;

use crate::drift::Report;
use crate::drift::histogram::{Buckets, Counts};
use crate::drift::live::InForce;
use crate::feature::Role;

use super::catalogue::{self, Series};

/// The families this module writes.
#[derive(Debug, Default)]
pub(super) struct Values {
    live: String,
    reference: String,
    bins: String,
    resolution: String,
    dependence: String,
}

/// Everything about one feature that its lines have in common.
struct Lines<'a> {
    /// Its labels, escaped, without braces.
    labels: String,
    buckets: &'a Buckets,
    /// Its edges as they are written.
    edges: Vec<String>,
}

/// One feature, as it is shown.
#[derive(Debug)]
pub(super) struct Feature<'a> {
    /// The model's name and version.
    pub(super) model: [&'a str; 2],
    /// Name of the feature or output.
    pub(super) name: &'a str,
    /// Input or output.
    pub(super) role: Role,
    /// Its edges, and the reference's counts.
    pub(super) buckets: &'a Buckets,
    /// What was counted since the process began.
    pub(super) counts: &'a Counts,
    /// Rows that count as one, where that is known.
    pub(super) dependence: Option<f64>,
}

/// Shows every feature of every model in force that the report speaks of.
pub(super) fn each(report: &Report, lives: &InForce, mut show: impl FnMut(&Feature<'_>)) {
    for (model, live) in report.models.iter().zip(lives) {
        let Some(live) = live else { continue };
        let histograms = live.histograms();
        let dependence = live.since().dependence();
        for (feature, counts) in histograms.features().iter().zip(histograms.counts()) {
            show(&Feature {
                model: [model.model.as_str(), &model.version],
                name: &feature.name,
                role: feature.role,
                buckets: &feature.buckets,
                counts: &counts,
                dependence: dependence.get(feature.track()).copied().flatten(),
            });
        }
    }
}

// === impl Values ===

impl Values {
    /// Those of every model in force that the report speaks of.
    pub(super) fn new(report: &Report, lives: &InForce) -> Self {
        let mut values = Self::default();
        each(report, lives, |feature| values.lines(feature));
        values
    }

    /// Appends them to a page. A family without samples is left out.
    pub(super) fn write(&self, page: &mut String) {
        let Self {
            live,
            reference,
            bins,
            resolution,
            dependence,
        } = self;
        for (series, kind, samples) in [
            (catalogue::FEATURE_VALUE, "histogram", live),
            (catalogue::REFERENCE_VALUE, "histogram", reference),
            (catalogue::REFERENCE_BIN_VALUES, "gauge", bins),
            (catalogue::REFERENCE_VALUE_RESOLUTION, "gauge", resolution),
            (catalogue::FEATURE_DEPENDENCE, "gauge", dependence),
        ] {
            if !samples.is_empty() {
                let Series { name, help, .. } = series;
                put(page, format_args!("# HELP {name} {help}\n"));
                put(page, format_args!("# TYPE {name} {kind}\n{samples}"));
            }
        }
    }

    fn lines(&mut self, feature: &Feature<'_>) {
        let [name, version] = feature.model.map(escaped);
        let (column, role) = (escaped(feature.name), feature.role.as_str());
        let buckets = feature.buckets;
        let identity = buckets.identity();
        let lines = Lines {
            labels: format!(
                r#"model="{name}",version="{version}",feature="{column}",role="{role}",reference="{identity}""#
            ),
            edges: buckets.edges().iter().map(|edge| number(*edge)).collect(),
            buckets,
        };
        self.feature(&lines, feature.counts);
        if let Some(rows) = feature.dependence {
            let (series, labels) = (catalogue::FEATURE_DEPENDENCE.name, &lines.labels);
            let rows = number(rows);
            put(
                &mut self.dependence,
                format_args!("{series}{{{labels}}} {rows}\n"),
            );
        }
    }

    fn feature(&mut self, lines: &Lines<'_>, counts: &Counts) {
        let Lines {
            labels, buckets, ..
        } = lines;
        let cumulative = counts.buckets.iter().scan(0, |upto, count| {
            *upto += count;
            Some(*upto)
        });
        let name = catalogue::FEATURE_VALUE.name;
        lines.histogram(&mut self.live, name, cumulative, counts.sum);
        let upto = buckets.upto().iter().copied().chain([buckets.total()]);
        let name = catalogue::REFERENCE_VALUE.name;
        lines.histogram(&mut self.reference, name, upto, buckets.sum());
        let name = catalogue::REFERENCE_BIN_VALUES.name;
        for bin in buckets.bins() {
            let (after, upto, count) = (number(bin.after), number(bin.upto), bin.count);
            put(
                &mut self.bins,
                format_args!("{name}{{{labels},after=\"{after}\",upto=\"{upto}\"}} {count}\n"),
            );
        }
        let (name, resolution) = (
            catalogue::REFERENCE_VALUE_RESOLUTION.name,
            number(buckets.resolution()),
        );
        put(
            &mut self.resolution,
            format_args!("{name}{{{labels}}} {resolution}\n"),
        );
    }
}

// === impl Lines ===

impl Lines<'_> {
    /// Buckets by cumulative counts, the last of which is that of all; then sum and count.
    fn histogram(
        &self,
        text: &mut String,
        name: &str,
        cumulative: impl Iterator<Item = u64>,
        sum: f64,
    ) {
        let labels = &self.labels;
        let mut total = 0;
        let edges = self.edges.iter().map(String::as_str).chain(["+Inf"]);
        for (edge, upto) in edges.zip(cumulative) {
            put(
                text,
                format_args!("{name}_bucket{{{labels},le=\"{edge}\"}} {upto}\n"),
            );
            total = upto;
        }
        let sum = number(sum);
        put(
            text,
            format_args!("{name}_sum{{{labels}}} {sum}\n{name}_count{{{labels}}} {total}\n"),
        );
    }
}

/// Appends to a string, which cannot fail.
fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes everything");
}

/// A number as Prometheus 3 writes that of a label `le`: what Go's `strconv.FormatFloat(x, 'g', -1,
/// 64)` gives, with `.0` behind what would be read as a whole number.
pub(super) fn number(x: f64) -> String {
    if x.is_infinite() {
        return if x > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{x:e}");
    let (digits, exponent) = scientific.split_once('e').expect("an exponent");
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        // With `.0` where nothing stands behind the point.
        _ => format!("{x:?}"),
    }
}

/// A label's value, as the text format wants it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
pub(super) mod tests;
