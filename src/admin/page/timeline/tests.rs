use std::sync::Arc;

use super::*;
use crate::drift::history::{Event, Point};
use crate::drift::report::Test;

fn history(columns: &[(&str, &[Option<bool>])]) -> ModelHistory {
    let line = |drifted: &[Option<bool>]| {
        let points = (0..).zip(drifted).map(|(second, drifted)| Point {
            time: Timestamp(second * 1000),
            test: Test::Ks,
            drifted: *drifted,
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
