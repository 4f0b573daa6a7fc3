use std::sync::Arc;

use super::*;
use crate::drift::current::Entry;
use crate::drift::histogram::{EDGES, Histograms, Selection};
use crate::drift::live::{Live, Lives};
use crate::drift::report::ModelReport;
use crate::drift::{ColumnReference, Reference};
use crate::feature::{Cell, Column, Kind, Role};
use crate::model::{ModelName, Schema};
use crate::timestamp::Timestamp;

/// One model with so many inputs, of which each holds these values in the reference, and an output
/// of two words; then rows with the values of `current` in each input.
fn live(features: usize, reference: &[f64], current: &[f64]) -> Live {
    let numbers = || reference.iter().map(|value| Cell::Number(*value));
    let word = |i: usize| Cell::Text(["no", "yes"][i % 2].into());
    let words = ColumnReference::new(Kind::Categorical, (0..reference.len()).map(word));
    let numeric = |_| Some(ColumnReference::new(Kind::Numeric, numbers()));
    let column = |name: String, role| Column {
        name: name.into(),
        role,
        kind: None,
    };
    let reference = Reference {
        hash: "00ff".to_owned(),
        rows: reference.len(),
        loaded_at: Timestamp(0),
        columns: (0..features).map(numeric).chain([Some(words)]).collect(),
        together: None,
        dependence: vec![Some(2.5); features + 1],
        seasonal: None,
    };
    let inputs = (0..features).map(|i| column(format!("x{i}"), Role::Feature));
    let schema = Schema::new(inputs.collect(), vec![column("y".to_owned(), Role::Output)]);
    let histograms = Histograms::new(&reference, &schema, Selection::Top(50));
    let live = Live::new(Arc::new(reference), [], histograms);
    for (id, value) in (1..).zip(current) {
        let cells = (0..features).map(|_| Cell::Number(*value));
        let cells: Vec<Cell> = cells.chain([Cell::Text("no".into())]).collect();
        live.append(&Entry {
            id,
            priority: 0,
            time: Timestamp(0),
            values: Arc::new(live.reference.encode(&cells)),
        });
    }
    live
}

/// What the page of a busy process shows.
pub(in crate::metrics) fn lives() -> Arc<Lives> {
    let live = live(1, &[1.0, 1.0, 2.5, 4.0], &[0.0, 1.0, 3.0, 1e6]);
    Arc::new(Lives::new(vec![Some(Arc::new(live))]))
}

fn page(live: Live) -> String {
    let report = Report {
        models: vec![ModelReport {
            version: "v1".into(),
            ..crate::metrics::tests::model(Vec::new())
        }],
    };
    assert_eq!(report.models[0].model, ModelName::parse("iris").unwrap());
    let mut page = String::new();
    Values::new(&report, &vec![Some(Arc::new(live))]).write(&mut page);
    page
}

/// Samples on a page.
fn series(page: &str) -> usize {
    page.lines().filter(|line| !line.starts_with('#')).count()
}

#[test]
fn a_histogram_is_written_whole() {
    let live = live(1, &[1.0, 1.0, 2.5, 4.0], &[0.0, 1.0, 3.0, 1e6]);
    let features = live.histograms().features();
    let identity = features[1].buckets.identity().to_owned();
    let text = page(live);
    let labels =
        format!(r#"model="iris",version="v1",feature="x0",role="feature",reference="{identity}""#);
    let of = |name: &str| -> Vec<&str> {
        let lines = text.lines().filter(|line| line.starts_with(name));
        let lines = lines.filter(|line| line.contains(&labels));
        lines
            .map(|line| line.strip_prefix(name).unwrap())
            .map(|line| line.strip_prefix(&format!("{{{labels}")).unwrap_or(line))
            .collect()
    };
    assert_eq!(
        of("driftd_feature_value_bucket"),
        [
            r#",le="0.9999999999999999"} 1"#,
            r#",le="1.0"} 2"#,
            r#",le="2.4999999999999996"} 2"#,
            r#",le="2.5"} 2"#,
            r#",le="3.9999999999999996"} 3"#,
            r#",le="4.0"} 3"#,
            r#",le="+Inf"} 4"#,
        ]
    );
    assert_eq!(of("driftd_feature_value_sum"), ["} 1.000004e+06"]);
    assert_eq!(of("driftd_feature_value_count"), ["} 4"]);
    let reference = of("driftd_reference_value_bucket");
    assert_eq!(reference[1], r#",le="1.0"} 2"#);
    assert_eq!(reference.last(), Some(&r#",le="+Inf"} 4"#));
    assert_eq!(of("driftd_reference_value_sum"), ["} 8.5"]);
    assert_eq!(of("driftd_reference_value_resolution"), ["} 0.0"]);
    assert_eq!(of("driftd_feature_dependence_rows"), ["} 2.5"]);
    let bins = of("driftd_reference_bin_values");
    assert_eq!(
        bins.first(),
        Some(&r#",after="-Inf",upto="0.9999999999999999"} 0"#)
    );
    assert_eq!(bins.last(), Some(&r#",after="4.0",upto="+Inf"} 0"#));
}

/// What README and dashboards/README.md say of the cost, counted.
#[test]
fn the_documents_say_how_many_series_a_replica_has() {
    let reals: Vec<f64> = (0..1000).map(|i| f64::from(i).sqrt()).collect();
    // 49 heavy values, each with an edge below: as many as there can be.
    let tied: Vec<f64> = (0..980).map(|i| f64::from(i / 20)).collect();
    let one = |reference: &[f64]| {
        // Without the output.
        series(&page(live(2, reference, &[]))) - series(&page(live(1, reference, &[])))
    };
    // Edges and +Inf, sum and count, twice; bins; resolution; dependence.
    let reals = one(&reals);
    assert_eq!(reals, 2 * (EDGES - 1 + 3) + 10 + 2);
    let most = one(&tied);
    assert_eq!(most, 2 * (2 * (EDGES - 1) + 3) + 10 + 2);
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["README.md", "dashboards/README.md"] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        for features in [30, 50] {
            let row = format!(
                "| {features} | {} | {} | {} |",
                features * reals,
                features * most,
                40 * features * reals
            );
            assert!(text.contains(&row), "{file} does not say {row}");
        }
    }
}

#[test]
fn edges_read_alike_in_prometheus_2_and_3() {
    // The right-hand sides are what promtool 2.42 (Go 1.19) makes of {{ printf "%g" $value }}, which is
    // strconv.FormatFloat(x, 'g', -1, 64), with ".0" where that has neither a point nor an exponent, as
    // Prometheus 3 reads a bucket's edge.
    for (x, expected) in [
        (0.0, "0.0"),
        (1.0, "1.0"),
        (-1.0, "-1.0"),
        (1.0_f64.next_down(), "0.9999999999999999"),
        (0.0_f64.next_down(), "-5e-324"),
        (0.1, "0.1"),
        (5.8, "5.8"),
        (100_000.0, "100000.0"),
        (123_456.5, "123456.5"),
        (1_000_000.0, "1e+06"),
        (1_234_567.5, "1.2345675e+06"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (0.000_012_5, "1.25e-05"),
        (1e21, "1e+21"),
        (f64::MAX, "1.7976931348623157e+308"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
    ] {
        assert_eq!(number(x), expected);
        let read: f64 = expected.parse().unwrap();
        assert!(read.total_cmp(&x).is_eq(), "{expected}");
    }
}

#[test]
fn what_is_special_in_labels_is_escaped() {
    assert_eq!(escaped("a\"b\\c\nd 😀{}"), r#"a\"b\\c\nd 😀{}"#);
}
