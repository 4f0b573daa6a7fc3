//! A made-up process with a column in every state, for tests of the page and the API.

use std::sync::Arc;

use crate::drift::history::{Event, Happened, History, Line, ModelHistory, Point};
use crate::drift::picture::{Gap, Histogram, Picture, Share};
use crate::drift::report::{
    Budget, CheckReport, FeatureReport, Level, ModelReport, QuantilePair, Quantiles, ReferenceInfo,
    Report, SpanName, State, Test,
};
use crate::feature::{Kind, Role};
use crate::metrics::tap::{DroppedBy, TapSnapshot};
use crate::metrics::traffic;
use crate::model::ModelName;
use crate::timestamp::Timestamp;

use super::super::status::{ModelStatus, Status, WindowStatus};

/// The time of every made-up report.
pub(in crate::admin) const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// A name as a hostile or careless CSV could hold it.
pub(in crate::admin) const HOSTILE: &str = "<script>alert(\"1\")</script> & 'größe' 😀";

const fn ago(seconds: i64) -> Timestamp {
    Timestamp(NOW.0 - seconds * 1000)
}

fn check(span: SpanName, d: f64, log10_p: f64, drifted: bool) -> CheckReport {
    CheckReport {
        test: Test::Ks,
        span,
        state: if drifted { State::Drifted } else { State::Ok },
        drifted: Some(drifted),
        level: if drifted { Level::Alert } else { Level::Ok },
        statistic: Some(d),
        p_value: Some(10_f64.powf(log10_p)),
        log10_p: Some(log10_p),
        decision_p: Some(10_f64.powf(log10_p / 1.5)),
        threshold: Some(0.1312),
        n_reference: 15_000,
        n_current: 8213,
        n_effective: 5120.4,
        location: Some(5.4),
        sign: Some(1),
        effect: Some(d),
        lower_bound: None,
        error_bound: None,
        adjusted_p: None,
    }
}

/// A column that is as it should be, with its values shifted by `shift` against the reference.
pub(in crate::admin) fn numeric(name: &str, shift: f64) -> FeatureReport {
    let logistic = |z: f64| 1.0 / (1.0 + (-1.7 * z).exp());
    let curve = |shift: f64| {
        let values = (0..=150).map(|i| 3.5 + 5.0 * f64::from(i) / 150.0 + shift / 2.0);
        let points = values.map(|x| ((x * 50.0).round() / 50.0, logistic((x - 5.8 - shift) / 0.8)));
        points.collect::<Vec<_>>()
    };
    let at = 5.8 + shift / 2.0;
    let [reference, current] = [0.0, shift].map(|shift| logistic((at - 5.8 - shift) / 0.8));
    let d: f64 = (reference - current).abs();
    let drifted = d > 0.1312;
    let side = |s: f64| Quantiles {
        p05: 4.6 + s,
        p25: 5.1 + s,
        p50: 5.8 + s,
        p75: 6.4 + s,
        p95: 7.25 + s,
    };
    FeatureReport {
        name: name.into(),
        role: Role::Feature,
        kind: Some(Kind::Numeric),
        state: if drifted { State::Drifted } else { State::Ok },
        drifted: Some(drifted),
        level: if drifted { Level::Alert } else { Level::Ok },
        obstacle: None,
        since: drifted.then(|| ago(7500)),
        severity: Some(d / 0.1312),
        detectable: Some(0.21),
        missing_reference: Some(0.01),
        mistyped: None,
        missing: Some(0.0),
        unseen: None,
        shift: None,
        calibrated: true,
        quantiles: Some(QuantilePair {
            reference: side(0.0),
            current: side(shift),
        }),
        sentence: format!(
            "Values moved {}: the median is {:.2}, in the reference 5.80.",
            if shift < 0.0 { "down" } else { "up" },
            5.8 + shift
        ),
        checks: vec![
            check(SpanName::Main, d, -d * 120.0, drifted),
            check(SpanName::Fast, d * 0.9, -d * 11.0, drifted),
        ],
        picture: Some(Picture::Ecdf {
            reference: curve(0.0),
            current: curve(shift),
            gap: Some(Gap {
                location: at,
                reference,
                current,
            }),
            histogram: Some(Histogram {
                cuts: vec![4.0, 5.0, 6.0, 7.0],
                reference: vec![0.05, 0.2, 0.5, 0.2, 0.05],
                current: vec![0.0, 0.05, 0.2, 0.5, 0.25],
            }),
        }),
    }
}

fn categorical(name: &str) -> FeatureReport {
    let share = |name: &str, reference, current| Share {
        name: name.to_owned(),
        group: false,
        reference,
        current,
    };
    let mut check = check(SpanName::Main, 214.7, -44.0, true);
    check.test = Test::Chi2;
    (check.location, check.sign) = (None, None);
    FeatureReport {
        kind: Some(Kind::Categorical),
        severity: Some(1.31),
        unseen: Some(0.034),
        shift: None,
        calibrated: true,
        quantiles: None,
        sentence: "“mobile” went from 31 % to 52 %; 3.4 % of the values are not in the reference."
            .to_owned(),
        checks: vec![check],
        picture: Some(Picture::Shares(vec![
            share("desktop", 0.58, 0.36),
            share("mobile", 0.31, 0.52),
            share("tablet with a rather long name", 0.09, 0.086),
            share("<b>tv</b>", 0.02, 0.0),
            share("not in the reference", 0.0, 0.034),
        ])),
        ..numeric(name, 1.0)
    }
}

/// A column of which nothing can be said.
pub(in crate::admin) fn without_verdict(name: &str, state: State) -> FeatureReport {
    FeatureReport {
        state,
        drifted: None,
        level: Level::Ok,
        severity: None,
        mistyped: None,
        missing: None,
        detectable: None,
        quantiles: None,
        sentence: "62 rows so far; a verdict needs 200.".to_owned(),
        checks: Vec::new(),
        picture: None,
        ..numeric(name, 0.0)
    }
}

fn model(name: &str, state: State, features: Vec<FeatureReport>) -> ModelReport {
    let drifted = match state {
        State::Drifted => Some(true),
        State::Ok => Some(false),
        _ => None,
    };
    ModelReport {
        model: ModelName::parse(name).unwrap(),
        version: "2026-11".to_owned(),
        reference: Some(ReferenceInfo {
            hash: "9f3a61c0d2b47e58".to_owned(),
            rows: 15_000,
            loaded_at: ago(4 * 86_400),
        }),
        rows: 8213,
        spans: vec![(crate::drift::report::SpanName::Main, 8213)],
        checked_at: Some(ago(12)),
        evaluated_at: Some(ago(1900)),
        coverage: Some(0.9987),
        calibrated: true,
        state,
        drifted,
        level: if state == State::Drifted {
            Level::Alert
        } else {
            Level::Ok
        },
        sentence: "3 of 6 columns drifted: sepal_length moved up (D = 0.40, threshold 0.13), \
                   device and petal_width follow."
            .to_owned(),
        detectable: None,
        groups: Vec::new(),
        budget: Some(Budget {
            per: "30d".to_owned(),
            allowed: 1.0,
            spent: 0.02,
        }),
        checks: Vec::new(),
        accepted: Vec::new(),
        features,
    }
}

/// One model that drifted, one that is well, one of which nothing can be said.
pub(in crate::admin) fn report() -> Report {
    let mut prediction = numeric("prediction", 0.05);
    prediction.role = Role::Output;
    prediction.level = Level::Warn;
    let mut text = numeric(HOSTILE, 0.1);
    text.kind = Some(Kind::Text);
    let iris = vec![
        numeric("sepal_length", 0.95),
        categorical("device"),
        numeric("petal_width", -0.5),
        text,
        prediction,
        without_verdict("petal_length", State::Warming),
        without_verdict("label", State::NoReference),
    ];
    let mut wine = model("wine.v2", State::Ok, vec![numeric("alcohol", 0.02)]);
    wine.sentence = "No drift in 11 columns over 8,213 rows.".to_owned();
    let mut churn = model(
        "churn",
        State::Insufficient,
        vec![without_verdict("age", State::Insufficient)],
    );
    churn.sentence = "62 rows so far; a verdict needs 200.".to_owned();
    (churn.rows, churn.budget, churn.calibrated) = (62, None, false);
    (churn.coverage, churn.evaluated_at) = (None, None);
    Report {
        models: vec![model("iris", State::Drifted, iris), wine, churn],
    }
}

/// Forty decisions, one in an hour: `sepal_length` leaves the reference at the thirtieth, four hours
/// after a deploy; one check had no figure.
pub(in crate::admin) fn history() -> History {
    let line = |test: Test, from: f32, to: f32| {
        let point = move |index: i64| Point {
            time: ago(3600 * (39 - index) + 1900),
            test,
            accepted: false,
            drifted: (index != 12).then_some(index >= 30 && to > 0.1312),
            statistic: (index != 12).then_some(if index < 30 { from } else { to }),
            threshold: Some(0.1312),
        };
        Line::new((0..40).map(point))
    };
    let reference = |version: &str, previous: Option<&str>, hash: &str| Happened::Reference {
        version: version.to_owned(),
        previous_version: previous.map(str::to_owned),
        hash: Some(hash.to_owned()),
        reference_changed: false,
        first: previous.is_none(),
    };
    let event = |hours: i64, what| Event {
        time: ago(3600 * hours),
        what,
    };
    let iris = ModelHistory {
        lines: [
            ("sepal_length", line(Test::Ks, 0.04, 0.4)),
            ("device", line(Test::Chi2, 0.02, 0.1718)),
            ("petal_width", line(Test::Ks, 0.05, 0.24)),
        ]
        .map(|(name, line)| (name.into(), line))
        .into(),
        events: vec![
            event(96, reference("2026-10", None, "9f3a61c0d2b47e58")),
            event(
                30,
                Happened::Gap {
                    ended: ago(3600 * 29),
                    reason: "queue_full".to_owned(),
                    exchanges: Some(1500),
                },
            ),
            event(
                14,
                reference("2026-11", Some("2026-10"), "9f3a61c0d2b47e58"),
            ),
            event(
                3,
                Happened::Accepted {
                    columns: vec![HOSTILE.to_owned()],
                    by: "mira <m>".to_owned(),
                    reason: "a new \"web\" form".to_owned(),
                },
            ),
        ],
    };
    History {
        models: vec![Arc::new(iris)],
    }
}

/// The process around [`report`], with a model that has not been checked yet.
pub(in crate::admin) fn status() -> Status {
    let quantiles = |p50, p95, p99| Some(traffic::Quantiles { p50, p95, p99 });
    let models = ["iris", "wine.v2", "churn", "new"].map(|name| ModelStatus {
        model: ModelName::parse(name).unwrap(),
        paths: vec![format!("/models/{name}:predict")],
        upstream: "http://127.0.0.1:5001".to_owned(),
        upstream_up: Some(name != "churn"),
        last_undecodable: Some("no <known> feature".to_owned()),
        tap: TapSnapshot {
            offered: 1_204_318,
            captured: 1_202_750,
            undecodable: 17,
            dropped: 1550,
            in_flight: 1,
            dropped_by: DroppedBy {
                queue_full: 1500,
                window_error: 50,
                ..DroppedBy::default()
            },
            ..TapSnapshot::default()
        },
        coverage: Some(0.9987),
        window: WindowStatus {
            rows: Some(100_000),
            oldest: Some(ago(26 * 86_400)),
            newest: Some(ago(1)),
        },
        traffic: traffic::Summary {
            requests: 1_204_330,
            errors: 211,
            active: 3,
            last_minute: 1810,
            total: quantiles(0.0123, 0.0481, 0.113),
            upstream: quantiles(0.0121, 0.0478, 0.112),
            overhead: quantiles(0.000_142, 0.000_35, 0.0011),
        },
    });
    Status {
        version: "0.1.0".to_owned(),
        started_at: ago(90_000),
        uptime_seconds: 90_000.0,
        check_interval_seconds: 60.0,
        listen: "127.0.0.1:8080".to_owned(),
        admin: "127.0.0.1:9464".to_owned(),
        window_bytes: Some(104_857_600),
        tap_queue_bytes: 8192,
        recording: crate::admin::RecordingStatus::new(None, 0),
        models: models.into(),
    }
}
