//! The new normal, and a reference that changes while the window is open.

use super::storage::{alarms, report};
use super::*;
use crate::drift::accept::{Acceptance, End, Ended, Terms};
use crate::drift::alarm::Alarms;
use crate::drift::report::SpanName;
use crate::drift::report::Test;

fn acceptance(feature: &str, effect: f64) -> Acceptance {
    let terms = Terms {
        by: "mira".to_owned(),
        reason: "a new web form".to_owned(),
        length: Duration::from_secs(3600),
    };
    Acceptance::new(feature.to_owned(), Test::Ks, effect, &terms, Timestamp(T0))
}

fn ended(feature: &str, why: End, by: &str) -> Ended {
    acceptance(feature, 0.0).ended(why, Timestamp(T0 + 5000), by)
}

#[test]
fn what_is_accepted_outlives_a_restart_and_its_end_is_in_the_history() {
    let fixture = Fixture::new(iris());
    let window = fixture.open(T0).window;
    let fresh = vec![acceptance("a", 0.3), acceptance("b", 0.25)];
    window.save_accepted(0, Vec::new(), fresh.clone()).unwrap();
    window.close();
    let opened = fixture.open(T0 + 1000);
    assert_eq!(opened.models[0].accepted, fresh);
    let gone = vec![ended("a", End::Unaccepted, "jo")];
    let again = vec![acceptance("a", 0.5)];
    opened.window.save_accepted(0, gone, again).unwrap();
    opened.window.close();
    let opened = fixture.open(T0 + 2000);
    assert_eq!(
        opened.models[0].accepted,
        [acceptance("b", 0.25), acceptance("a", 0.5)]
    );
    let story = "SELECT group_concat(model||' '||\"column\"||' '||effect||' '||\"by\"||' '||reason||' '||\
                 since||' '||until||' '||ended||' '||end_reason||' '||ended_by) FROM accepted";
    assert_eq!(
        fixture.query::<String>(story),
        "iris a 0.3 mira a new web form 2023-11-14T22:13:20.000Z 2023-11-14T23:13:20.000Z \
         2023-11-14T22:13:25.000Z unaccepted jo"
    );
}

#[test]
fn another_reference_while_open_starts_over_as_a_restart_with_it_does() {
    let mut fixture = Fixture::new(iris());
    let window = fixture.open(T0).window;
    window.commit(stream(0, T0..T0 + 5)).unwrap();
    window
        .save_check(0, &report(), &alarms(), &SpanName::ALL)
        .unwrap();
    window
        .save_accepted(0, Vec::new(), vec![acceptance("a", 0.3)])
        .unwrap();
    let first = window
        .begin_reference(0, "v1", "beef", Timestamp(T0 + 100))
        .unwrap();
    assert_eq!(first, 6);
    assert_eq!(window.recent_rows(0, 9).unwrap(), []);
    window.commit(stream(0, T0 + 100..T0 + 102)).unwrap();
    assert_eq!(ids(&window.recent_rows(0, 9).unwrap()), [6, 7]);
    // A verdict equal to the one before is stored all the same: the old ones are gone.
    assert_eq!(fixture.query::<i64>("SELECT count(*) FROM alarms"), 0);
    window
        .save_check(0, &report(), &alarms(), &SpanName::ALL)
        .unwrap();
    assert_eq!(fixture.query::<i64>("SELECT count(*) FROM alarms"), 1);
    let why: String = fixture.query("SELECT end_reason FROM accepted");
    assert_eq!(why, "reference_changed");
    let hashes: String = fixture.query("SELECT group_concat(DISTINCT reference) FROM checks");
    assert_eq!(hashes, "cafe,beef");
    window.close();
    fixture.specs[0].reference_hash = Some("beef".to_owned());
    let opened = fixture.open(T0 + 200);
    let model = &opened.models[0];
    assert_eq!(
        (model.fresh, model.first_row, model.since),
        (false, 6, Timestamp(T0 + 100))
    );
    assert_eq!(model.alarms, alarms());
}

#[test]
fn another_version_ends_what_was_accepted() {
    let mut fixture = Fixture::new(iris());
    let window = fixture.open(T0).window;
    window
        .save_accepted(0, Vec::new(), vec![acceptance("a", 0.3)])
        .unwrap();
    window.close();
    fixture.specs[0].version = "v2".to_owned();
    assert_eq!(fixture.open(T0 + 100).models[0].accepted, []);
    let why: String = fixture.query("SELECT end_reason FROM accepted");
    assert_eq!(why, "version_changed");
}

#[test]
fn ended_ones_are_forgotten_by_age_and_those_in_force_are_not() {
    let mut fixture = Fixture::new(iris());
    fixture.config.keep_for = Duration::from_secs(60);
    let window = fixture.open(T0).window;
    let both = vec![acceptance("a", 0.3), acceptance("b", 0.3)];
    window.save_accepted(0, Vec::new(), both).unwrap();
    window
        .save_accepted(0, vec![ended("a", End::Expired, "")], Vec::new())
        .unwrap();
    window.close();
    let window = fixture.open(T0 + 120_000).window;
    window.settle("");
    let left: String = fixture.query("SELECT group_concat(\"column\") FROM accepted");
    assert_eq!(left, "b");
}

#[test]
fn a_window_of_the_first_format_is_brought_up_to_date() {
    let fixture = Fixture::new(iris());
    let old = Connection::open(&fixture.config.path).unwrap();
    schema::write_version(&old, 1).unwrap();
    drop(old);
    let opened = fixture.open(T0);
    assert_eq!(opened.quarantined, None);
    assert_eq!(opened.models[0].alarms, Alarms::default());
    opened
        .window
        .save_accepted(0, Vec::new(), vec![acceptance("a", 0.3)])
        .unwrap();
    assert_eq!(fixture.query::<i64>("SELECT count(*) FROM accepted"), 1);
}
