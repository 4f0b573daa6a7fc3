//! A reference learned from traffic: over restarts, frozen, and what drifts from it afterwards.

use serde_json::{Value, json};

use driftd::config::{self, Given};

use crate::accept::{post, settings};
use crate::app::{Driftd, SETTINGS, model_server};

const LEARN: &str = "features = [\"age\", \"plan\", \"secret\"]\noutputs = [\"prediction\"]\nreference = { learn_rows = 300 }";

fn people(driftd: &Driftd, count: u32) {
    for i in 0..count {
        let plan = if i % 4 == 0 { "pro" } else { "basic" };
        // 20 to 59, well mixed.
        assert_eq!(
            driftd.predict(20 + i.wrapping_mul(2_654_435_761) % 40, plan),
            200
        );
    }
}

#[test]
fn a_learned_reference_is_frozen_and_what_comes_later_is_compared_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let upstream = model_server();
    let start = || Driftd::start_with(at, upstream, SETTINGS, LEARN);
    let sentence = |driftd: &Driftd| driftd.model()["sentence"].as_str().unwrap().to_owned();

    let driftd = start();
    assert_eq!(driftd.model()["state"], "learning");
    assert_eq!(driftd.model()["drifted"], Value::Null);
    people(&driftd, 100);
    driftd.eventually("100 rows", |d| sentence(d).contains("100 of 300 rows"));
    assert_eq!(driftd.feature("age")["state"], "learning");
    drop(driftd);

    // What was counted before the restart still counts.
    let driftd = start();
    assert!(
        sentence(&driftd).contains("100 of 300 rows"),
        "{}",
        sentence(&driftd)
    );
    people(&driftd, 200);
    driftd.eventually("learned", |d| d.model()["reference"]["rows"] == 300);
    driftd.eventually("rows wanted", |d| d.model()["state"] == "warming");
    let reference = driftd.model()["reference"].clone();
    people(&driftd, 400);
    driftd.eventually("no drift", |d| d.model()["drifted"] == false);
    assert_eq!(driftd.feature("age")["kind"], "numeric");
    assert_eq!(driftd.feature("plan")["kind"], "categorical");
    assert_eq!(driftd.feature("plan")["unseen"], 0.0);
    assert_eq!(driftd.feature("prediction")["kind"], "categorical");
    assert_eq!(driftd.feature("secret")["state"], "no_reference");
    driftd.eventually("all compared", |d| d.tap()["in_flight"] == 0);
    driftd.eventually("400 rows", |d| {
        d.feature("age")["checks"][0]["n_current"] == 400
    });
    drop(driftd);

    let driftd = start();
    assert_eq!(driftd.model()["reference"], reference);
    assert_eq!(driftd.model()["drifted"], false, "{:#}", driftd.model());
    driftd.predict_all(25);
    driftd.eventually("drift", |d| d.feature("age")["drifted"] == true);
    driftd.eventually("all compared", |d| d.tap()["in_flight"] == 0);
    drop(driftd);

    let driftd = start();
    assert_eq!(driftd.model()["reference"], reference);
    assert_eq!(driftd.feature("age")["drifted"], true);
    drop(driftd);

    // Another version of the model learns its own; the first one's is still there.
    let second = format!("version = \"2\"\n{LEARN}");
    let driftd = Driftd::start_with(at, upstream, SETTINGS, &second);
    assert!(
        sentence(&driftd).contains("0 of 300 rows"),
        "{}",
        sentence(&driftd)
    );
    drop(driftd);
    assert_eq!(start().model()["reference"]["hash"], reference["hash"]);
}

#[test]
fn what_is_stored_or_read_otherwise_is_learned_anew() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = model_server();
    let start = |more: &str| {
        let model = format!("{LEARN}\n{more}");
        Driftd::start_with(directory.path(), upstream, SETTINGS, &model)
    };
    let hash = |driftd: &Driftd| driftd.model()["reference"]["hash"].clone();
    let driftd = start("");
    people(&driftd, 300);
    driftd.eventually("learned", |d| d.model()["reference"]["rows"] == 300);
    let all = hash(&driftd);
    drop(driftd);

    // Of the rows to come nothing is stored of it: by the reference's, all were missing.
    let dropped = "[[model.feature]]\nname = \"age\"\nstore = \"drop\"\n";
    let driftd = start(dropped);
    assert_eq!(driftd.model()["state"], "learning", "{:#}", driftd.model());
    people(&driftd, 300);
    driftd.eventually("learned", |d| d.model()["reference"]["rows"] == 300);
    assert_ne!(hash(&driftd), all);
    let others = hash(&driftd);
    people(&driftd, 300);
    driftd.eventually("compared", |d| d.model()["drifted"] == false);
    assert_eq!(driftd.feature("age")["state"], "no_reference");
    drop(driftd);
    assert_eq!(hash(&start(dropped)), others);

    let kind = "[[model.feature]]\nname = \"prediction\"\nkind = \"numeric\"\n";
    let driftd = start(&format!("{dropped}{kind}"));
    assert_eq!(driftd.model()["state"], "learning", "{:#}", driftd.model());
}

#[test]
fn reloading_passes_over_what_is_learned() {
    let directory = tempfile::tempdir().unwrap();
    let driftd = Driftd::start_with(directory.path(), model_server(), &settings(), LEARN);
    let reload = || {
        let (status, said) = post(driftd.addresses.admin, "/-/reload", "");
        assert_eq!(status, 200, "{said:#}");
        assert_eq!(said, json!({"reloaded": [], "unchanged": []}));
    };
    people(&driftd, 200);
    reload();
    people(&driftd, 100);
    driftd.eventually("learned", |d| d.model()["reference"]["rows"] == 300);
    let reference = driftd.model()["reference"].clone();
    reload();
    people(&driftd, 400);
    driftd.eventually("no drift", |d| d.model()["drifted"] == false);
    assert_eq!(driftd.model()["reference"], reference);
}

#[test]
fn a_reference_that_cannot_be_read_yet_is_not_learned_again() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = model_server();
    let start = || Driftd::start_with(directory.path(), upstream, SETTINGS, LEARN);
    let driftd = start();
    people(&driftd, 300);
    driftd.eventually("learned", |d| d.model()["reference"]["rows"] == 300);
    let reference = driftd.model()["reference"].clone();
    drop(driftd);

    let other = rusqlite::Connection::open(directory.path().join("driftd.db")).unwrap();
    other
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
        .unwrap();
    let driftd = start();
    people(&driftd, 1);
    driftd.eventually("counted", |d| d.tap()["dropped_by"]["window_error"] == 1);
    drop(other);
    driftd.eventually("opened", |d| d.model()["reference"] != Value::Null);
    assert_eq!(driftd.model()["reference"], reference);
}

#[test]
fn what_learning_needs_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("driftd.toml");
    let problems = |text: &str| {
        std::fs::write(&path, format!("upstream = \"http://127.0.0.1:1\"\n{text}")).unwrap();
        let read = config::load(Some(&path), std::iter::empty(), Given::default());
        read.map_or_else(|problems| problems.to_string(), |_| "nothing".to_owned())
    };
    for (text, expected) in [
        (
            "reference = { learn_rows = 5000 }",
            "features: missing; to learn a reference from traffic, name the columns",
        ),
        (
            "features = [\"a\"]\nreference = { learn_rows = 20 }",
            "a whole number of at least 100",
        ),
        (
            "features = [\"a\"]\nreference = { rows = 500 }",
            "learn_rows: missing; write { learn_rows = 5000 }",
        ),
        (
            "features = [\"a\"]\nreference = { learn_rows = 5000 }\n[window]\nkeep_rows = 8000",
            "window.keep_rows: 8000 is too few for reference.learn_rows = 5000 of model default; write at least 10000",
        ),
        (
            "features = [\"a\"]\nreference = { learn_rows = 5000 }",
            "nothing",
        ),
    ] {
        let said = problems(text);
        assert!(said.contains(expected), "{text}: {said}");
    }
}
