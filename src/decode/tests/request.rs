//! Which requests give which rows.

use super::*;

#[test]
fn every_shape_of_one_row_reads_the_same() {
    for body in [
        r#"{"features": [1, 2.5]}"#,
        r#"{"features": [[1, 2.5]]}"#,
        r#"{"features": {"b": 2.5, "a": 1}}"#,
        r#"{"features": [{"a": 1, "b": 2.5}]}"#,
        r#"{"b": 2.5, "note": [1, {}], "a": 1}"#,
        r#"[{"b": 2.5, "a": 1, "id": 7}]"#,
        r#"[[1, 2.5]]"#,
        r#"[1, 2.5]"#,
        "\u{feff} {\"features\": [1, 2.5]}\n",
    ] {
        assert_eq!(features(body), [[number(1.0), number(2.5)]], "{body}");
    }
}

#[test]
fn every_shape_of_a_batch_reads_the_same() {
    for body in [
        r#"{"features": [[1, 2], [3, 4]]}"#,
        r#"{"features": [{"a": 1, "b": 2}, {"b": 4, "a": 3}]}"#,
        r#"[{"a": 1, "b": 2}, {"b": 4, "a": 3}]"#,
        r#"[[1, 2], [3, 4]]"#,
    ] {
        let expected = [[number(1.0), number(2.0)], [number(3.0), number(4.0)]];
        assert_eq!(features(body), expected, "{body}");
    }
}

#[test]
fn cells_keep_their_type() {
    assert_eq!(
        features(r#"[true, "5.1"]"#),
        [[Cell::Bool(true), text("5.1")]]
    );
    assert_eq!(features(r#"[null, "NaN"]"#), [[Cell::Missing, text("NaN")]]);
}

#[test]
fn absent_names_are_missing_and_unknown_ones_ignored() {
    assert_eq!(
        features(r#"{"b": 2, "c": 3}"#),
        [[Cell::Missing, number(2.0)]]
    );
}

#[test]
fn of_equal_keys_the_last_counts() {
    // python3 -c 'import json; print(json.loads("{\"a\": 1, \"a\": 2}"))'  ->  {'a': 2}
    assert_eq!(
        features(r#"{"a": 1, "b": 5, "a": 2}"#),
        [[number(2.0), number(5.0)]]
    );
    assert_eq!(
        features(r#"{"features": [9, 9], "features": [1, 2]}"#),
        [[number(1.0), number(2.0)]]
    );
}

#[test]
fn numbers_are_exact() {
    // python3 -c 'print(float("0.1234567890123456789"), float("9007199254740993"))'
    let body = "[0.1234567890123456789, 9007199254740993]";
    assert_eq!(
        features(body),
        [[number(0.12345678901234568), number(9007199254740992.0)]]
    );
    // A double that serde_json reads wrongly without `float_roundtrip`.
    assert_eq!(
        features("[31.245270191439438, 5e-324]"),
        [[number(31.245270191439438), number(5e-324)]]
    );
}

#[test]
fn python_s_bare_words_are_read() {
    let infinite = [number(f64::INFINITY), number(f64::NEG_INFINITY)];
    for body in [
        "[Infinity, -Infinity]",
        "[1e400, -1e400]",
        r#"{"features": {"a": 1E+999, "b": -Infinity}}"#,
    ] {
        assert_eq!(features(body), std::slice::from_ref(&infinite), "{body}");
    }
    assert_eq!(
        features(r#"{"features": [[NaN, 1], [2, NaN]]}"#),
        [[Cell::Missing, number(1.0)], [number(2.0), Cell::Missing]]
    );
    let digits = "9".repeat(400);
    assert_eq!(
        features(&format!("[{digits}, 1e-400]")),
        [[number(f64::INFINITY), number(0.0)]]
    );
}

#[test]
fn strings_are_untouched_by_the_lenient_reading() {
    let cases = [
        (r#""NaN, Infinity""#, "NaN, Infinity"),
        (r#""a\"NaN\\""#, "a\"NaN\\"),
        (r#""\\""#, "\\"),
        (r#""+""#, "+"),
        (r#""-""#, "-"),
        (r#""=""#, "="),
        (r#""""#, ""),
        (r#""äNaN日本 1e400""#, "äNaN日本 1e400"),
        (r#""\u003d+""#, "=+"),
    ];
    for (literal, meant) in cases {
        let row = [[Cell::Missing, text(meant)]];
        assert_eq!(features(&format!("[NaN, {literal}]")), row, "{literal}");
        let named = format!(r#"{{"\u0062": {literal}, "a": NaN, "NaN": 1}}"#);
        assert_eq!(features(&named), row, "{named}");
    }
}

#[test]
fn a_wrong_number_of_values_names_the_row_and_the_features() {
    assert_eq!(
        reason("[[1, 2], [1, 2], [1, 2, 3]]"),
        "row 3 has 3 values, the model has 2 features: a, b"
    );
    assert_eq!(
        reason(r#"{"features": []}"#),
        "row 1 has 0 values, the model has 2 features: a, b"
    );
    let wide: Vec<String> = (0..30).map(|i| format!("f{i}")).collect();
    let wide: Vec<&str> = wide.iter().map(String::as_str).collect();
    assert_eq!(
        decode(&schema(&wide, &["p"]), "[1]", "0")
            .unwrap_err()
            .reason,
        "row 1 has 1 value, the model has 30 features: f0, f1, f2, f3, f4, f5, f6, f7, … (30 in all)"
    );
}

#[test]
fn rows_that_are_no_rows_say_so() {
    for (body, expected) in [
        (
            r#"{"features": {"c": 1, "d": 2}}"#,
            "row 1 names no feature: it has c, d; the model has a, b",
        ),
        (
            r#"[{"a": 1}, {}]"#,
            "row 2 names no feature: it has no keys; the model has a, b",
        ),
        (
            r#"{"a": 1, "b": [2]}"#,
            "row 1: b is a list, one value is expected",
        ),
        (
            r#"[[1, 2], [1, {"x": 3}]]"#,
            "row 2: b is an object, one value is expected",
        ),
        ("[1, [2]]", "row 1: b is a list, one value is expected"),
        (
            "[[1, 2], 3]",
            "row 2 is a number, the first row is a list: all rows must have one shape",
        ),
        (
            r#"[{"a": 1}, null]"#,
            "row 2 is null, the first row is an object: all rows must have one shape",
        ),
        (
            r#"{"features": "a"}"#,
            "row 1: features is a string, one value is expected",
        ),
    ] {
        assert_eq!(reason(body), expected, "{body}");
    }
}

#[test]
fn an_unknown_shape_lists_the_known_ones() {
    let said = reason(r#"{"instances": [[1, 2]]}"#);
    assert!(
        said.starts_with("unknown shape: the body is an object with instances; expected one of "),
        "{said}"
    );
    assert!(said.ends_with("with the names a, b"), "{said}");
    assert!(reason("5").starts_with("unknown shape: the body is a number"));
    assert!(reason("{}").starts_with("unknown shape: the body is an empty object"));
}

#[test]
fn a_feature_may_be_called_features() {
    let schema = schema(&["features", "b"], &["p"]);
    let decoded = decode(&schema, r#"{"features": 1, "b": 2}"#, "0").unwrap();
    assert_eq!(decoded.rows[0][..2], [number(1.0), number(2.0)]);
}

#[test]
fn rows_and_cells_per_exchange_are_bounded() {
    let body = format!("[{}[1]]", "[1],".repeat(MAX_ROWS));
    let one = schema(&["a"], &["p"]);
    assert_eq!(
        decode(&one, &body, "0").unwrap_err().reason,
        "too many rows: 100001, at most 100000 are read from one exchange"
    );
    let wide: Vec<String> = (0..999).map(|i| format!("f{i}")).collect();
    let wide: Vec<&str> = wide.iter().map(String::as_str).collect();
    let body = format!("[{}{{}}]", r#"{"f1":1},"#.repeat(4000));
    assert_eq!(
        decode(&schema(&wide, &["p"]), &body, "0")
            .unwrap_err()
            .reason,
        "too many rows: 4001, at most 1000 are read from one exchange"
    );
}

#[test]
fn a_number_for_a_key_is_no_json() {
    for body in [
        r#"{Infinity: 1, "a": 2}"#,
        r#"{"a": 2, -Infinity: 1}"#,
        r#"[{"a": 2, 1e400: 1}]"#,
    ] {
        let reason = reason(body);
        assert!(reason.starts_with("invalid JSON"), "{body}: {reason}");
    }
}
