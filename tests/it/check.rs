//! `driftd check`: all columns of two files together.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use super::cli::driftd;

const ROWS: i64 = 5000;

/// A file of four columns whose values are the same whatever `mixed` is; only if it is false, `b`
/// goes with `a`.
fn file(at: &Path, name: &str, rows: i64, mixed: bool) {
    let mut text = "word,a,b,c\n".to_owned();
    // 1009 and 4001 are prime to the number of rows, so that each order holds every value once.
    let order = |i: i64, step: i64| (i * step) % rows;
    for i in 0..rows {
        let a = order(i, 1009);
        let b = if mixed { order(i, 4001) } else { a };
        let c = order(i, 2003);
        let word = ["x", "y", "z"][(order(i, 3001) % 3) as usize];
        let b = b + order(b, 7) / 10;
        writeln!(text, "{word},{a}.5,{b}.25,{c}.75").unwrap();
    }
    std::fs::write(at.join(name), text).unwrap();
}

fn check(at: &Path, reference: &str, current: &str, format: &str) -> Output {
    let files = ["check", "--reference", reference, "--current", current];
    driftd(at, &[&files[..], &["--format", format]].concat())
}

fn text(output: &Output) -> String {
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn joint(output: &Output) -> (Value, Value) {
    let report: Value = serde_json::from_str(&text(output)).unwrap();
    let model = &report["models"][0];
    (model.clone(), model["checks"][0].clone())
}

#[test]
fn a_changed_correlation_of_equal_columns_is_named_and_changes_no_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    file(at, "reference.csv", ROWS, false);
    file(at, "current.csv", ROWS, true);
    let named = "No column drifted by itself, but all together have";
    let pair = "the correlation of a and b went from 1 to ";
    for format in ["table", "markdown", "html", "json"] {
        let output = check(at, "reference.csv", "current.csv", format);
        assert_eq!(output.status.code(), Some(0), "{format}");
        let said = text(&output);
        assert!(said.contains(named) && said.contains(pair), "{said}");
        let line = format != "json";
        assert!(!line || said.contains("(all columns)"), "{said}");
    }
    let (model, joint) = joint(&check(at, "reference.csv", "current.csv", "json"));
    assert_eq!(
        (&model["state"], &model["level"]),
        (&"ok".into(), &"warn".into())
    );
    assert_eq!(model["drifted"], false);
    for feature in model["features"].as_array().unwrap() {
        assert_eq!(feature["state"], "ok");
        assert!(feature["checks"][0]["statistic"].as_f64().unwrap().abs() < 1e-12);
    }
    assert_eq!(
        (&joint["test"], &joint["span"]),
        (&"mmd".into(), &"main".into())
    );
    assert_eq!(
        (&joint["drifted"], &joint["level"]),
        (&true.into(), &"warn".into())
    );
    assert_eq!(joint["n_reference"], ROWS);
    assert_eq!(joint["n_current"], ROWS);
    assert!(joint["p_value"].as_f64().unwrap() < 1e-9, "{joint}");
    // Three tests of a column of words, four of one of numbers, and this one.
    let adjusted = joint["p_value"].as_f64().unwrap() * 16.0;
    assert!((joint["adjusted_p"].as_f64().unwrap() / adjusted - 1.0).abs() < 1e-12);
}

#[test]
fn the_same_rows_in_another_file_are_alike_together() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    file(at, "reference.csv", 30_000 - 1, false);
    let (model, joint) = joint(&check(at, "reference.csv", "reference.csv", "json"));
    assert_eq!(
        (&joint["state"], &joint["level"]),
        (&"ok".into(), &"ok".into())
    );
    assert_eq!(model["level"], "ok");
    // Of large files every third row, as many as are looked at.
    assert_eq!(
        (&joint["n_reference"], &joint["n_current"]),
        (&10_000.into(), &10_000.into())
    );
    // As a profile has no rows, it does not tell which columns.
    let profile = ["profile", "reference.csv", "-o", "profile.json.gz"];
    assert!(driftd(at, &profile).status.success());
    file(at, "mixed.csv", 30_000 - 1, true);
    let output = check(at, "profile.json.gz", "mixed.csv", "json");
    assert_eq!(output.status.code(), Some(0));
    let (model, joint) = super::check::joint(&output);
    assert_eq!(
        (&joint["drifted"], &joint["level"]),
        (&true.into(), &"warn".into())
    );
    let sentence = model["sentence"].as_str().unwrap();
    assert!(!sentence.contains("correlation"), "{sentence}");
}

#[test]
fn few_rows_are_not_tested_together() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    file(at, "few.csv", 1999, false);
    file(at, "many.csv", ROWS, false);
    file(at, "day.csv", 199, false);
    for (reference, current) in [("few.csv", "few.csv"), ("many.csv", "day.csv")] {
        let (model, _) = joint(&check(at, reference, current, "json"));
        assert_eq!(
            model["checks"],
            Value::Array(Vec::new()),
            "{reference} {current}"
        );
    }
}
