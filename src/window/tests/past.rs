//! The way back: what the page shows of before the start.

use std::sync::Arc;

use super::storage::{alarms, report};
use super::*;
use crate::drift::accept::{Acceptance, End, Terms};
use crate::drift::history::{Event, Happened, ModelHistory, Point};
use crate::drift::report::{CheckReport, FeatureReport, Level, SpanName, State, Test};

/// A column with a KS test over the main span and a test of missing values.
fn feature(name: &str, statistic: Option<f64>, drifted: Option<bool>) -> FeatureReport {
    let check = report().checks.remove(0);
    let ks = CheckReport {
        statistic,
        drifted,
        threshold: statistic.map(|_| 0.263),
        ..check.clone()
    };
    let missing = CheckReport {
        test: Test::Missing,
        drifted: drifted.map(|_| false),
        ..check.clone()
    };
    let psi = CheckReport {
        test: Test::Psi,
        drifted: None,
        ..check.clone()
    };
    let fast = CheckReport {
        span: SpanName::Fast,
        statistic: Some(0.99),
        ..ks.clone()
    };
    FeatureReport {
        name: name.into(),
        role: Role::Feature,
        kind: None,
        state: State::Ok,
        drifted,
        level: Level::Ok,
        obstacle: None,
        since: None,
        severity: None,
        detectable: None,
        missing: None,
        missing_reference: None,
        mistyped: None,
        unseen: None,
        shift: None,
        calibrated: true,
        quantiles: None,
        sentence: String::new(),
        checks: vec![ks, missing, psi, fast],
        picture: None,
    }
}

#[test]
fn lines_read_back_are_those_drawn_before() {
    let fixture = Fixture::new(iris());
    let window = fixture.open(T0).window;
    let mut drawn = ModelHistory::default();
    for index in 0..150_u32 {
        let d = f64::from(index) / 200.0;
        let mut missing = feature("b", Some(0.01), Some(false));
        // Drifted, but not by its distribution.
        if index > 100 {
            missing.drifted = Some(true);
            missing.checks[1].drifted = Some(true);
        }
        let figure = (index != 140).then_some(d);
        if (110..120).contains(&index) {
            missing.drifted = Some(false);
            missing.state = State::Accepted;
            missing.checks[1].drifted = Some(false);
            missing.checks[1].state = State::Accepted;
        }
        let mut report = report();
        report.checked_at = Some(Timestamp(T0 + 1000 * i64::from(index)));
        report.features = vec![feature("a", figure, figure.map(|d| d > 0.263)), missing];
        drawn.record(&report);
        window
            .save_check(0, &report, &alarms(), &SpanName::ALL)
            .unwrap();
        // A check that decided over the fast span alone is no point.
        report.checked_at = Some(Timestamp(T0 + 1000 * i64::from(index) + 500));
        window
            .save_check(0, &report, &alarms(), &[SpanName::Fast])
            .unwrap();
    }
    window.close();
    let names: Vec<Arc<str>> = ["a", "b", "prediction"].map(Arc::from).to_vec();
    let read = fixture.open(T0 + 200_000).window;
    let read = ModelHistory::read_back(&read.decisions(0, &names).unwrap(), 2);
    assert_eq!(read, drawn);
    let points: Vec<&Point> = read.lines["a"].points().collect();
    assert!((60..=120).contains(&points.len()), "{}", points.len());
    let (first, last) = (points[0], points[points.len() - 1]);
    assert_eq!(first.time, Timestamp(T0));
    assert_eq!(
        (last.time, last.statistic),
        (Timestamp(T0 + 149_000), Some(0.745))
    );
    let without: Vec<i64> = (points.iter())
        .filter(|point| point.statistic.is_none())
        .map(|point| point.time.0 - T0)
        .collect();
    assert_eq!(without, [140_000]);
    let accepted = |time: i64| {
        let at = |point: &&Point| point.time.0 - T0 == time;
        read.lines["b"]
            .points()
            .find(at)
            .map(|point| point.accepted)
    };
    assert_eq!(
        [109, 110, 119, 120].map(|i| accepted(i * 1000)),
        [false, true, true, false].map(Some)
    );
    let began = |name: &str| {
        let first = read.lines[name].points().find(|p| p.drifted == Some(true));
        first.unwrap().time.0 - T0
    };
    // 53/200 is the first above 0.263; of the other the share of missing values drifted.
    assert_eq!((began("a"), began("b")), (53_000, 101_000));
    let plan: String = fixture
        .shell()
        .query_row(
            &format!("EXPLAIN QUERY PLAN {}", reader::DECISIONS),
            (1, "a"),
            |row| row.get(3),
        )
        .unwrap();
    assert!(plan.contains("check_data_main"), "{plan}");
}

#[test]
fn events_are_told_in_their_order() {
    let mut fixture = Fixture::new(iris());
    let window = fixture.open(T0).window;
    window
        .begin_reference(0, "v1", "beef", Timestamp(T0 + 1000))
        .unwrap();
    let terms = Terms {
        by: "mira".to_owned(),
        reason: "a new web form".to_owned(),
        length: Duration::from_secs(3600),
    };
    // One column, two of its tests: accepted once for whoever reads it.
    let accept = |test| Acceptance::new("a".to_owned(), test, 0.3, &terms, Timestamp(T0 + 2000));
    let fresh = vec![accept(Test::Ks), accept(Test::Missing)];
    window.save_accepted(0, Vec::new(), fresh).unwrap();
    let gap = Gap {
        model: None,
        started_at: Timestamp(T0 + 1500),
        ended_at: Timestamp(T0 + 1600),
        reason: "crash".to_owned(),
        exchanges: None,
    };
    window.save_gap(gap).unwrap();
    window.close();
    fixture.specs[0].version = "v2".to_owned();
    fixture.specs[0].reference_hash = Some("beef".to_owned());
    let window = fixture.open(T0 + 3000).window;
    let event = |after: i64, what| Event {
        time: Timestamp(T0 + after),
        what,
    };
    let reference = |version: &str, hash: &str| Happened::Reference {
        version: version.to_owned(),
        previous_version: (version == "v2").then(|| "v1".to_owned()),
        hash: Some(hash.to_owned()),
        reference_changed: hash == "beef" && version == "v1",
        first: hash == "cafe",
    };
    assert_eq!(
        window.events(0).unwrap(),
        [
            event(0, reference("v1", "cafe")),
            event(1000, reference("v1", "beef")),
            event(
                1500,
                Happened::Gap {
                    ended: Timestamp(T0 + 1600),
                    reason: "crash".to_owned(),
                    exchanges: None
                }
            ),
            event(
                2000,
                Happened::Accepted {
                    columns: vec!["a".to_owned()],
                    by: "mira".to_owned(),
                    reason: "a new web form".to_owned()
                }
            ),
            event(3000, reference("v2", "beef")),
            event(
                3000,
                Happened::AcceptanceEnded {
                    columns: vec!["a".to_owned()],
                    why: End::VersionChanged.as_str().to_owned(),
                    by: String::new()
                }
            ),
        ]
    );
}

#[test]
fn a_model_accepted_as_a_whole_is_one_event_and_hides_no_other() {
    let mut fixture = Fixture::new(iris());
    let window = fixture.open(T0).window;
    let terms = |reason: &str| Terms {
        by: "mira".to_owned(),
        reason: reason.to_owned(),
        length: Duration::from_secs(3600),
    };
    let columns: Vec<String> = (0..30).map(|i| format!("f{i}")).collect();
    let accept = |reason: &str, after: i64| -> Vec<Acceptance> {
        let of = |test| {
            let new = move |column: &String| {
                Acceptance::new(
                    column.clone(),
                    test,
                    0.3,
                    &terms(reason),
                    Timestamp(T0 + after),
                )
            };
            columns.iter().map(new).collect::<Vec<_>>()
        };
        [of(Test::Ks), of(Test::Slow)].concat()
    };
    // As often as events are kept, and once more.
    let most = crate::drift::history::MOST_EVENTS as i64;
    for deed in 0..=most {
        let fresh = accept("a new web form", 1000 + deed);
        window.save_accepted(0, Vec::new(), fresh).unwrap();
    }
    // Another reason at the same time is another deed.
    let other = accept("two deeds", 1000 + most);
    window.save_accepted(0, Vec::new(), other).unwrap();
    window.close();
    fixture.specs[0].version = "v2".to_owned();
    let events = fixture.open(T0 + 3000).window.events(0).unwrap();
    let ended: Vec<&Event> = (events.iter())
        .filter(|event| matches!(event.what, Happened::AcceptanceEnded { .. }))
        .collect();
    assert_eq!(ended.len(), 1);
    assert_eq!(
        ended[0].what,
        Happened::AcceptanceEnded {
            columns: columns.clone(),
            why: End::VersionChanged.as_str().to_owned(),
            by: String::new()
        }
    );
    let accepted: Vec<&Event> = (events.iter())
        .filter(|event| matches!(event.what, Happened::Accepted { .. }))
        .collect();
    assert_eq!(accepted.len() as i64, most);
    // The oldest two gave way.
    assert_eq!(accepted[0].time, Timestamp(T0 + 1002));
    for event in accepted {
        let Happened::Accepted { columns: named, .. } = &event.what else {
            unreachable!();
        };
        assert_eq!(*named, columns);
    }
}
