use std::sync::Arc;

use super::super::events::Kind;
use super::*;
use crate::drift::history::{Event, Point};
use crate::drift::report::Test;

fn history(columns: &[(&str, &[Option<bool>])]) -> ModelHistory {
    let line = |drifted: &[Option<bool>]| {
        let points = (0..).zip(drifted).map(|(second, drifted)| Point {
            time: Timestamp(second * 1000),
            test: Test::Ks,
            drifted: *drifted,
            accepted: false,
            statistic: Some(0.5),
            threshold: Some(0.25),
        });
        Line::new(points)
    };
    ModelHistory {
        lines: columns
            .iter()
            .map(|(name, drifted)| (Arc::from(*name), line(drifted)))
            .collect(),
        events: Vec::new(),
    }
}

#[test]
fn verdicts_that_change_are_told_once_for_all_columns() {
    let (yes, no) = (Some(true), Some(false));
    let history = history(&[
        ("a", &[no, no, yes, yes, no]),
        ("b", &[no, None, yes, None, yes]),
        ("c", &[no, no, no, no, no]),
    ]);
    let told: Vec<(i64, String)> = (entries(&history, &[]).into_iter())
        .map(|entry| (entry.time.0, entry.html))
        .collect();
    assert_eq!(
        told,
        [
            (
                2000,
                "<b>a</b> (D 0.5, threshold 0.25), <b>b</b> (D 0.5, threshold 0.25) \
                 drifted from here on"
                    .to_owned()
            ),
            (4000, "<b>a</b> no longer drifted".to_owned()),
        ]
    );
    let tallies: Vec<Tally> = tallies(&history).into_values().collect();
    let tally = |drifted, well| Tally { drifted, well };
    assert_eq!(
        tallies,
        [
            tally(0, 3),
            tally(0, 2),
            tally(2, 1),
            tally(1, 1),
            tally(1, 2)
        ]
    );
}

#[test]
fn bars_stand_at_their_time_and_are_as_high_as_columns_drifted() {
    let (yes, no) = (Some(true), Some(false));
    let history = history(&[("a", &[no, yes, None]), ("b", &[no, no, None])]);
    let mut html = String::new();
    let reach = Reach::of(&history, Timestamp(4000));
    strip(&mut html, reach, &tallies(&history), &[], 2);
    let bar = |class: &str, x: f64, y: f64| {
        format!(
            "<line class=\"check {class}\" x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"{y:.1}\" y2=\"84\"/>"
        )
    };
    // A quarter of the time after the other; 1.5 % of room on either side.
    for bar in [
        bar("well", 1.5, 79.0),
        bar("drifted", 25.75, 52.5),
        bar("none", 50.0, 79.0),
    ] {
        assert!(html.contains(&bar), "{bar}\n{html}");
    }
    assert_eq!(html.matches("class=\"check").count(), 3);
    assert!(html.contains("3 checks from"), "{html}");
}

#[test]
fn the_time_shown_begins_with_the_reference_that_came_shortly_before() {
    let mut history = history(&[("a", &[Some(false); 41])]);
    let reference = |time| Event {
        time: Timestamp(time),
        what: Happened::Reference {
            version: String::new(),
            previous_version: None,
            hash: None,
            reference_changed: true,
            first: false,
        },
    };
    let now = Timestamp(40_000);
    history.events = vec![reference(-90_000)];
    assert_eq!(Reach::of(&history, now), Reach::new(Timestamp(0), now));
    history.events = vec![reference(-5000)];
    let reach = Reach::of(&history, now);
    assert_eq!(reach, Reach::new(Timestamp(-5000), now));
    assert!((reach.place(Timestamp(17_500)) - 0.5).abs() < 1e-12);
    // Nothing yet, and a clock that was set back.
    let empty = Reach::of(&ModelHistory::default(), now);
    assert!((empty.place(now) - 1.0).abs() < 1e-12);
    assert_eq!(
        Reach::of(&history, Timestamp(-1)).ends()[1],
        "1970-01-01 00:00:00"
    );
}

#[test]
fn accepting_drift_is_neither_its_end_nor_its_beginning() {
    let (yes, no) = (Some(true), Some(false));
    let mut history = history(&[("a", &[no, yes, no, no, yes, no])]);
    // Drifted, accepted twice, expired, over.
    let points = history.lines["a"].points().copied();
    let points = points.map(|point| Point {
        accepted: (2000..4000).contains(&point.time.0),
        ..point
    });
    let line = Line::new(points.collect::<Vec<_>>());
    history.lines.insert("a".into(), line.clone());
    let told: Vec<(i64, Kind)> = (entries(&history, &[]).into_iter())
        .map(|entry| (entry.time.0, entry.kind))
        .collect();
    assert_eq!(told, [(1000, Kind::Began), (5000, Kind::Ended)]);
    let feature = crate::admin::tests::sample::numeric("a", 0.5);
    let reach = Reach::of(&history, Timestamp(6000));
    let course = super::super::over_time::Course::new(&feature, Some(&line), None, reach).unwrap();
    let html = course.picture(&[], "x");
    let says: Vec<&str> = (html.split("</td></tr>"))
        .filter_map(|row| row.rsplit_once("<td>"))
        .map(|(_, says)| says)
        .collect();
    assert_eq!(
        says,
        [
            "no drift", "drifted", "accepted", "accepted", "drifted", "no drift"
        ]
    );
}

#[test]
fn what_was_accepted_at_once_is_one_entry_that_names_a_few() {
    let event = |second: i64, what| Event {
        time: Timestamp(second * 1000),
        what,
    };
    let columns: Vec<String> = (0..30).map(|i| format!("f{i}")).collect();
    let deploy = Happened::Reference {
        version: "v2".to_owned(),
        previous_version: Some("v1".to_owned()),
        hash: None,
        reference_changed: false,
        first: false,
    };
    let accepted = Happened::Accepted {
        columns: columns.clone(),
        by: "mira".to_owned(),
        reason: "new".to_owned(),
    };
    let ended = Happened::AcceptanceEnded {
        columns,
        why: "expired".to_owned(),
        by: String::new(),
    };
    let history = ModelHistory {
        events: vec![event(1, deploy), event(2, accepted), event(3, ended)],
        ..ModelHistory::default()
    };
    let mut html = String::new();
    render(&mut html, "m", &history, &[], Timestamp(4000));
    assert_eq!(html.matches("<li class=").count(), 3);
    for told in [
        "version v2 after version v1",
        "<b>Accepted</b>: <b>f0</b>, <b>f1</b>, <b>f2</b>, <b>f3</b> and 26 more by mira: “new”",
        "Acceptance of <b>f0</b>, <b>f1</b>, <b>f2</b>, <b>f3</b> and 26 more ended: expired",
    ] {
        assert!(html.contains(told), "{told}\n{html}");
    }
}

#[test]
fn drift_that_no_line_shows_the_beginning_of_is_told_by_the_report() {
    let (yes, no) = (Some(true), Some(false));
    let deploy = |second: i64| Event {
        time: Timestamp(second * 1000),
        what: Happened::Reference {
            version: String::new(),
            previous_version: None,
            hash: None,
            reference_changed: true,
            first: false,
        },
    };
    let told = |line: &[Option<bool>], since: i64, events: Vec<Event>| -> Vec<i64> {
        let history = ModelHistory {
            events,
            ..history(&[("a", line)])
        };
        let mut feature = crate::admin::tests::sample::numeric("a", 0.5);
        feature.since = Some(Timestamp(since * 1000));
        let entries = entries(&history, &[feature]).into_iter();
        let began = entries.filter(|entry| entry.kind == Kind::Began);
        began.map(|entry| entry.time.0 / 1000).collect()
    };
    // Once, wherever the line shows it.
    assert_eq!(told(&[no, no, yes, yes], 2, Vec::new()), [2]);
    // The first verdict of all is drift.
    assert_eq!(told(&[None, None, yes, yes], 2, Vec::new()), [2]);
    assert_eq!(told(&[yes, yes], 0, Vec::new()), [0]);
    // A new reference drifts straight away.
    assert_eq!(told(&[no, yes, yes, yes], 3, vec![deploy(2)]), [1, 3]);
    // One test of two began, and the other stands.
    assert_eq!(told(&[no, yes, yes, yes], 2, Vec::new()), [1]);
    // The line was thinned where it began.
    assert_eq!(told(&[yes, yes, yes], -5, Vec::new()), [-5]);
}
