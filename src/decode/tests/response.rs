//! Which responses give which outputs.

use super::*;

/// The outputs of every row, and what was wrong.
fn answered(outputs: &[&str], rows: usize, response: &str) -> (Vec<Vec<Cell>>, Option<String>) {
    let schema = schema(&["a"], outputs);
    let request = format!("[{}]", vec!["[1]"; rows].join(","));
    let decoded = decode(&schema, &request, response).unwrap();
    assert!(decoded.rows.iter().all(|row| row[0] == number(1.0)));
    let cells = decoded.rows.iter().map(|row| row[1..].to_vec()).collect();
    (cells, decoded.response_problem)
}

/// What was wrong; the features must be kept and all outputs missing.
fn problem(outputs: &[&str], rows: usize, response: &str) -> String {
    let (cells, problem) = answered(outputs, rows, response);
    assert_eq!(
        cells,
        vec![vec![Cell::Missing; outputs.len()]; rows],
        "{response}"
    );
    problem.unwrap()
}

#[test]
fn every_shape_of_one_answer_reads_the_same() {
    for body in [
        r#"{"prediction": "x"}"#,
        r#"{"prediction": ["x"]}"#,
        r#"{"predictions": ["x"]}"#,
        r#"{"predictions": [["x"]]}"#,
        r#"{"predictions": [{"species": "x", "p": 1}]}"#,
        r#"{"prediction": {"species": "x"}}"#,
        r#"{"species": "x", "prediction": 5}"#,
        r#"{"species": ["x"]}"#,
        r#"{"prediction": "x", "model": {"version": [3]}}"#,
        r#"[{"prediction": "x"}]"#,
        r#"[{"prediction": ["x"]}]"#,
        r#"["x"]"#,
        r#"[["x"]]"#,
        r#""x""#,
    ] {
        let expected = (vec![vec![text("x")]], None);
        assert_eq!(answered(&["species"], 1, body), expected, "{body}");
    }
}

#[test]
fn every_shape_of_a_batch_s_answers_reads_the_same() {
    for body in [
        r#"{"prediction": [0, 1]}"#,
        r#"{"predictions": [0, 1]}"#,
        r#"{"predictions": [[0], [1]]}"#,
        r#"{"predictions": [{"p": 0}, {"p": 1}]}"#,
        r#"{"p": [0, 1]}"#,
        r#"[0, 1]"#,
        r#"[[0], [1]]"#,
        r#"[{"prediction": 0}, {"p": 1}]"#,
    ] {
        let expected = (vec![vec![number(0.0)], vec![number(1.0)]], None);
        assert_eq!(answered(&["p"], 2, body), expected, "{body}");
    }
}

#[test]
fn several_outputs_are_read_by_place_and_by_name() {
    let both = vec![text("x"), number(0.5)];
    for body in [
        r#"{"prediction": ["x", 0.5]}"#,
        r#"{"predictions": [["x", 0.5]]}"#,
        r#"{"prediction": {"score": 0.5, "class": "x"}}"#,
        r#"{"class": "x", "score": 0.5}"#,
        r#"["x", 0.5]"#,
        r#"[["x", 0.5]]"#,
        r#"[{"class": "x", "score": 0.5}]"#,
    ] {
        let expected = (vec![both.clone()], None);
        assert_eq!(answered(&["class", "score"], 1, body), expected, "{body}");
    }
    for body in [
        r#"{"predictions": [["x", 0.5], ["x", 0.5]]}"#,
        r#"{"class": ["x", "x"], "score": [0.5, 0.5]}"#,
        r#"{"predictions": {"class": ["x", "x"], "score": [0.5, 0.5]}}"#,
    ] {
        let expected = (vec![both.clone(), both.clone()], None);
        assert_eq!(answered(&["class", "score"], 2, body), expected, "{body}");
    }
}

#[test]
fn prediction_beside_other_outputs_is_one_of_them() {
    let outputs = ["prediction", "score"];
    let (cells, problem) = answered(&outputs, 1, r#"{"prediction": "x", "score": 0.5}"#);
    assert_eq!((cells, problem), (vec![vec![text("x"), number(0.5)]], None));
    let (cells, problem) = answered(&outputs, 1, r#"{"prediction": "x"}"#);
    assert_eq!(
        (cells, problem),
        (vec![vec![text("x"), Cell::Missing]], None)
    );
}

#[test]
fn a_null_or_nan_answer_is_missing_and_no_problem() {
    for body in [r#"{"prediction": null}"#, r#"{"prediction": NaN}"#] {
        assert_eq!(answered(&["p"], 1, body), (vec![vec![Cell::Missing]], None));
    }
}

#[test]
fn answers_that_do_not_pair_with_rows_leave_the_features() {
    for (outputs, rows, body, expected) in [
        (
            &["p"][..],
            3,
            "[1, 2]",
            "response: 2 answers for 3 rows: one answer per row is expected",
        ),
        (
            &["p"],
            1,
            r#"{"prediction": [0.1, 0.2, 0.7]}"#,
            "response: 3 answers for 1 row: one answer per row is expected",
        ),
        (
            &["p"],
            2,
            r#"{"prediction": 1}"#,
            "response: 1 answer for 2 rows: one answer per row is expected",
        ),
        (
            &["p"],
            1,
            "[]",
            "response: 0 answers for 1 row: one answer per row is expected",
        ),
        (
            &["p"],
            2,
            r#"{"p": [1]}"#,
            "response: 1 answer for 2 rows: one answer per row is expected",
        ),
        (
            &["p"],
            2,
            "[[1], [1, 2]]",
            "response: answer 2 has 2 values, the model has 1 output: p",
        ),
        (
            &["p", "q"],
            2,
            "[1, 2]",
            "response: answer 1 has 1 value, the model has 2 outputs: p, q",
        ),
        (
            &["p"],
            2,
            r#"[{"p": 1}, {"x": 1}]"#,
            "response: answer 2 names no output: it has x; expected prediction, predictions, or p",
        ),
        (
            &["p"],
            1,
            r#"{"p": {"value": 1}}"#,
            "response: row 1: p is an object, one value is expected",
        ),
    ] {
        assert_eq!(problem(outputs, rows, body), expected, "{body}");
    }
}

#[test]
fn unreadable_responses_leave_the_features() {
    assert_eq!(
        problem(&["p"], 1, ""),
        "response: empty body: JSON is expected"
    );
    assert_eq!(
        problem(&["p"], 1, "<html>"),
        "response: invalid JSON: expected value at line 1 column 1"
    );
    let said = problem(&["p"], 1, r#"{"error": "no"}"#);
    assert!(
        said.starts_with(
            "response: unknown shape: the body is an object with error; expected one of"
        ),
        "{said}"
    );
    assert!(said.ends_with("with the names p"), "{said}");
}

#[test]
fn a_model_without_outputs_needs_no_response() {
    let decoded = decode(&schema(&["a"], &[]), "[1]", "").unwrap();
    assert_eq!(decoded.response_problem, None);
    assert_eq!(*decoded.rows[0], [number(1.0)]);
}
