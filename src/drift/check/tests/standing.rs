//! What an alarm that stands says while nothing can be decided.

use super::*;

#[test]
fn an_alarm_stands_while_nothing_can_be_decided_and_says_so() {
    let mut model = Model::new(Rule::Budget);
    let report = model.check(rows(1, 1001, 400.0), Some(1.0), 1001).report;
    assert_eq!(report.features[0].obstacle, None);
    assert!(
        !report.sentence.contains("from before"),
        "{}",
        report.sentence
    );
    let since = Some(Timestamp(1_001_000));
    let cases = [
        (
            rows(1500, 1550, 0.0),
            (Some(1.0), 1600),
            State::Insufficient,
            "50 of the 100 rows a check needs are there now",
        ),
        (
            rows(2000, 3000, 0.0),
            (Some(0.5), 3000),
            State::LowCoverage,
            "only 50 % of the exchanges can be read and stored now",
        ),
        (
            rows(2000, 3000, 0.0),
            (Some(1.0), 1_000_000),
            State::Stale,
            "no row has come for longer than the span compared",
        ),
    ];
    for (rows, (coverage, now), obstacle, why) in cases {
        let report = model.check(rows, coverage, now).report;
        assert_eq!(report.state, State::Drifted, "{obstacle:?}");
        let column = &report.features[0];
        assert_eq!((column.since, column.obstacle), (since, Some(obstacle)));
        for sentence in [&column.sentence, &report.sentence] {
            let told = format!("; this stands from before: {why}.");
            assert!(sentence.ends_with(&told), "{sentence}");
            assert!(
                !sentence.contains("= ,") && !sentence.contains("()"),
                "{sentence}"
            );
        }
    }
    let report = model.check(rows(4000, 5000, 0.0), Some(1.0), 5000).report;
    assert_eq!(report.state, State::Ok);
    assert_eq!(report.features[0].since, None);
    assert_eq!(report.features[0].obstacle, None);
}

#[test]
fn a_drifted_column_that_goes_missing_tells_what_was_and_what_is() {
    let mut model = Model::new(Rule::Budget);
    let report = model.check(rows(1, 1001, 400.0), Some(1.0), 1001).report;
    let drifted = |report: &ModelReport, test: Test| {
        let mut checks = report.features[0].checks.iter();
        checks.any(|check| check.test == test && check.drifted == Some(true))
    };
    assert!(drifted(&report, Test::Ks) && drifted(&report, Test::Range));
    let gone = (2000..3000).map(|id| entry(id, Value::Missing)).collect();
    let report = model.check(gone, Some(1.0), 3000).report;
    assert!(drifted(&report, Test::Ks) && drifted(&report, Test::Range));
    let column = &report.features[0];
    // The share of missing values is decided now.
    assert_eq!(column.obstacle, None);
    let sentence = &column.sentence;
    assert!(
        sentence.starts_with("x has drifted: 100 % missing, 0 % in the reference (p = "),
        "{sentence}"
    );
    for told in [
        "; D was beyond its threshold when it could last be measured, and there is no value to \
         measure now",
        "; the share of values beyond everything in the reference was beyond its threshold when",
    ] {
        assert!(sentence.contains(told), "{sentence}");
    }
    for odd in ["= ,", "()", "0 % lie beyond"] {
        assert!(!sentence.contains(odd), "{sentence}");
    }
}
