//! What columns hold, and how their texts become cells.

use super::*;

fn number(value: f64) -> Cell {
    Cell::Number(value)
}

fn text(word: &str) -> Cell {
    Cell::Text(word.into())
}

#[test]
fn numbers_are_exact_and_may_be_infinite() {
    let loaded = Sample::new("a\n0.12345678901234568\n1e400\n-inf\n NA \n+3\nnan\n5e-324\n").load();
    let ColumnReference::Numeric(numbers) = loaded.column("a") else {
        panic!("numbers");
    };
    let expected = [
        f64::NEG_INFINITY,
        5e-324,
        0.12345678901234568,
        3.0,
        f64::INFINITY,
    ];
    assert_eq!(numbers.values(), Some(&expected[..]));
    assert_eq!(numbers.missing(), 2);
}

#[test]
fn missing_words_are_the_configured_ones() {
    let mut sample = Sample::new("a,b\n?,NA\n1,x\n2,?\n");
    assert_eq!(sample.load().kind("a"), Some(Kind::Categorical));
    sample.config.missing = vec!["?".to_owned()];
    let loaded = sample.load();
    assert_eq!(loaded.kind("a"), Some(Kind::Numeric));
    let ColumnReference::Categorical(words) = loaded.column("b") else {
        panic!("words");
    };
    assert_eq!((words.missing, words.names.len()), (1, 2));
}

#[test]
fn few_words_are_categories_and_many_are_text() {
    let words = |count: usize, different: usize| {
        let content = rows("a,w", count, |i| format!("0.5,w{}", i % different));
        Sample::new(content).load().kind("w")
    };
    assert_eq!(words(50, 50), Some(Kind::Categorical));
    assert_eq!(words(51, 51), Some(Kind::Text));
    assert_eq!(words(499, 100), Some(Kind::Text));
    assert_eq!(words(500, 100), Some(Kind::Categorical));
    assert_eq!(words(40_000, 1001), Some(Kind::Text));
}

#[test]
fn booleans_match_those_of_json() {
    let loaded = Sample::new("a,b,c\nTrue,true,TRUE\nFalse,false,FALSE\nTrue,,TRUE\n").load();
    for name in ["a", "b", "c"] {
        let column = loaded.column(name);
        assert_eq!(column.kind(), Kind::Categorical);
        assert!(
            matches!(column.value(&Cell::Bool(true)), Value::Category(_)),
            "{name}"
        );
    }
    let mixed = Sample::new("a\nTrue\nunknown\n").load();
    assert!(matches!(
        mixed.column("a").value(&text("True")),
        Value::Category(_)
    ));
    let numeric = Sample::new("a\nTrue\nFalse\n")
        .kind("a", Kind::Numeric)
        .load();
    assert_eq!(
        numeric.column("a").value(&Cell::Bool(true)),
        Value::Number(1.0)
    );
    assert_eq!(numeric.column("a").present(), 2);
}

#[test]
fn numbers_that_are_categories_match_those_of_json() {
    let loaded = Sample::new("a\n3\n3.0\n4\n")
        .kind("a", Kind::Categorical)
        .load();
    let column = loaded.column("a");
    assert_eq!(column.value(&number(3.0)), Value::Category(0));
    assert_eq!(column.value(&text("3")), Value::Category(0));
    assert_eq!(column.value(&number(4.0)), Value::Category(1));
    assert!(loaded.notes.is_empty());
}

#[test]
fn codes_are_compared_as_written() {
    let loaded = Sample::new("zip\n01234\n90210\n")
        .kind("zip", Kind::Categorical)
        .load();
    assert!(matches!(
        loaded.column("zip").value(&text("01234")),
        Value::Category(_)
    ));
    assert!(matches!(
        loaded.column("zip").value(&number(1234.0)),
        Value::Unseen(_)
    ));
    assert!(
        loaded.notes[0].starts_with("zip holds codes"),
        "{:?}",
        loaded.notes
    );
    let long =
        Sample::new("n\n12345678901234567890\n12345678901234567891\n").kind("n", Kind::Categorical);
    assert!(matches!(
        long.load().column("n").value(&text("12345678901234567891")),
        Value::Category(1)
    ));
}

#[test]
fn an_impossible_kind_names_line_and_value() {
    let sample =
        Sample::new("\u{feff}a,b\r\n1,1\r\nNA,1\r\nabc,3\r\ndef,4\r\n").kind("a", Kind::Numeric);
    assert_eq!(
        sample.problem(),
        "data.csv, line 4: \"a\" is \"abc\", which is no number; kind = \"numeric\" does not fit, \
         write \"categorical\" or \"text\", or add the value to `missing`"
    );
}

#[test]
fn kinds_can_be_set_also_for_an_output_to_come() {
    let loaded = Sample::new("a,b\n1,x\n2,y\n")
        .kind("b", Kind::Text)
        .kind("prediction", Kind::Categorical)
        .load();
    assert_eq!(loaded.column("b").value(&text("four")), Value::Number(4.0));
    assert_eq!(loaded.kind("prediction"), Some(Kind::Categorical));
    assert!(loaded.reference.columns[2].is_none());
}

#[test]
fn a_column_without_values_is_not_compared() {
    let loaded = Sample::new("a,b\n1,\n2,NA\n").load();
    assert_eq!(loaded.features(), ["a", "b"]);
    assert_eq!(loaded.kind("b"), None);
    assert!(loaded.reference.columns[1].is_none());
    assert_eq!(
        loaded.notes,
        ["b holds no value in any row; it is not compared"]
    );
}

#[test]
fn decimal_commas_are_noticed() {
    let loaded = Sample::new("a;b\n\"1,5\";1\n2,5;2\n").load();
    assert_eq!(loaded.kind("a"), Some(Kind::Categorical));
    let note = "a holds numbers with a decimal comma, which are compared as words; write them with a point";
    assert!(
        loaded.notes.contains(&note.to_owned()),
        "{:?}",
        loaded.notes
    );
}
