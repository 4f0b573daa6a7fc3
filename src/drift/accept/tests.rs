use super::*;
use crate::feature::{Kind, Role};
use crate::model::ModelName;

const T0: Timestamp = Timestamp(1_700_000_000_000);
const HOUR: i64 = 3_600_000;

fn check(test: Test, span: SpanName, effect: Option<f64>, drifted: bool) -> CheckReport {
    CheckReport {
        test,
        span,
        state: if drifted { State::Drifted } else { State::Ok },
        drifted: Some(drifted),
        level: match (drifted, span) {
            (false, _) => Level::Ok,
            (true, SpanName::Main) => Level::Alert,
            (true, _) => Level::Warn,
        },
        statistic: effect,
        p_value: None,
        log10_p: None,
        decision_p: None,
        threshold: None,
        n_reference: 400,
        n_current: 400,
        n_effective: 400.0,
        location: None,
        sign: None,
        effect,
        lower_bound: None,
        error_bound: None,
        adjusted_p: None,
    }
}

fn main(test: Test, effect: f64, drifted: bool) -> CheckReport {
    check(test, SpanName::Main, Some(effect), drifted)
}

fn feature(name: &str, checks: Vec<CheckReport>) -> FeatureReport {
    let drifted = (checks.iter()).any(|c| c.span == SpanName::Main && c.drifted == Some(true));
    FeatureReport {
        name: name.into(),
        role: Role::Feature,
        kind: Some(Kind::Numeric),
        state: if drifted { State::Drifted } else { State::Ok },
        drifted: Some(drifted),
        level: checks.iter().map(|c| c.level).max().unwrap_or_default(),
        obstacle: None,
        since: drifted.then_some(T0),
        severity: Some(if drifted { 3.0 } else { 0.2 }),
        detectable: None,
        missing: Some(0.0),
        missing_reference: None,
        mistyped: None,
        unseen: None,
        shift: None,
        calibrated: true,
        quantiles: None,
        sentence: format!("{name} as it was checked."),
        checks,
        picture: None,
    }
}

fn report(features: Vec<FeatureReport>) -> ModelReport {
    let drifted = features.iter().any(|f| f.drifted == Some(true));
    ModelReport {
        model: ModelName::parse("people").unwrap(),
        version: String::new(),
        reference: None,
        rows: 400,
        spans: Vec::new(),
        checked_at: Some(T0),
        evaluated_at: Some(T0),
        coverage: Some(1.0),
        calibrated: true,
        state: if drifted { State::Drifted } else { State::Ok },
        drifted: Some(drifted),
        level: features.iter().map(|f| f.level).max().unwrap_or_default(),
        sentence: String::new(),
        detectable: None,
        groups: Vec::new(),
        budget: None,
        checks: Vec::new(),
        accepted: Vec::new(),
        features,
    }
}

/// A drifted `age` at this D, and an `income` as it should be.
fn at(d: f64) -> ModelReport {
    report(vec![
        feature(
            "age",
            vec![main(Test::Ks, d, true), main(Test::Missing, 0.0, false)],
        ),
        feature("income", vec![main(Test::Ks, 0.03, false)]),
    ])
}

fn terms() -> Terms {
    Terms {
        by: "mira".to_owned(),
        reason: "a new web form".to_owned(),
        length: Duration::from_secs(3600),
    }
}

fn accepted(report: &ModelReport, feature: Option<&str>) -> Acceptances {
    let mut acceptances = Acceptances::default();
    let proposed = acceptances.propose(report, feature, &terms(), T0);
    assert!(acceptances.add(proposed.unwrap(), T0).is_empty());
    acceptances
}

fn age(report: &ModelReport) -> &FeatureReport {
    report.features.iter().find(|f| &*f.name == "age").unwrap()
}

#[test]
fn what_is_accepted_is_quiet_and_says_so() {
    let mut acceptances = accepted(&at(0.3), Some("age"));
    let mut report = at(0.3);
    assert_eq!(acceptances.apply(&mut report, T0), []);
    let age = age(&report);
    assert_eq!(
        (age.state, age.drifted, age.level),
        (State::Accepted, Some(false), Level::Ok)
    );
    assert_eq!(
        age.sentence,
        "age differs from the reference as mira accepted on 2023-11-14 22:13 UTC until \
         2023-11-14 23:13 UTC (\"a new web form\"): D was 0.3 then, is 0.3 now, and alerts again from 0.4."
    );
    assert_eq!(
        (report.state, report.drifted, report.level),
        (State::Accepted, Some(false), Level::Ok)
    );
    assert!(
        report.sentence.contains("accepted as the new normal (age)"),
        "{}",
        report.sentence
    );
    assert_eq!(report.accepted.len(), 1);
    // The quantity underneath is what it was.
    assert_eq!(age.checks[0].statistic, Some(0.3));
}

#[test]
fn growth_by_a_tenth_ends_it() {
    let mut acceptances = accepted(&at(0.3), Some("age"));
    assert!(acceptances.apply(&mut at(0.3999), T0).is_empty());
    let mut report = at(0.4);
    let ended = acceptances.apply(&mut report, T0);
    assert_eq!(ended.len(), 1);
    assert_eq!(
        (ended[0].why, &*ended[0].feature, ended[0].test),
        (End::Exceeded, "age", Test::Ks)
    );
    assert_eq!(
        (age(&report).state, report.level),
        (State::Drifted, Level::Alert)
    );
    // It stays ended when the effect falls back.
    let mut report = at(0.3);
    assert!(acceptances.apply(&mut report, T0).is_empty());
    assert_eq!(report.state, State::Drifted);
}

#[test]
fn time_ends_it() {
    let mut acceptances = accepted(&at(0.3), None);
    assert!(
        acceptances
            .apply(&mut at(0.3), Timestamp(T0.0 + HOUR - 1))
            .is_empty()
    );
    let mut report = at(0.3);
    let ended = acceptances.apply(&mut report, Timestamp(T0.0 + HOUR));
    assert_eq!(ended[0].why, End::Expired);
    assert_eq!(report.drifted, Some(true));
    assert!(report.accepted.is_empty());
}

#[test]
fn other_tests_of_the_column_still_alert() {
    let mut acceptances = accepted(&at(0.3), Some("age"));
    let both = vec![main(Test::Ks, 0.3, true), main(Test::Missing, 0.6, true)];
    let mut report = report(vec![feature("age", both)]);
    acceptances.apply(&mut report, T0);
    let age = age(&report);
    assert_eq!(
        (age.state, age.drifted, age.level),
        (State::Drifted, Some(true), Level::Alert)
    );
    assert_eq!(age.checks[0].state, State::Accepted);
    assert_eq!(age.checks[1].state, State::Drifted);
    assert!(
        age.sentence
            .contains("as it was checked. Apart from that, age differs"),
        "{}",
        age.sentence
    );
    assert_eq!(report.level, Level::Alert);
}

#[test]
fn the_largest_span_sets_the_size_and_the_fast_one_only_warns() {
    let spans = |slow, fast| {
        let fast = check(Test::Ks, SpanName::Fast, Some(fast), true);
        report(vec![feature("age", vec![main(Test::Ks, slow, true), fast])])
    };
    let mut acceptances = accepted(&spans(0.2, 0.5), Some("age"));
    assert!((acceptances.in_force()[0].limit - 0.6).abs() < 1e-12);
    // The main span fills with what the fast one had shown.
    let mut report = spans(0.5, 0.5);
    assert!(acceptances.apply(&mut report, T0).is_empty());
    assert_eq!(report.level, Level::Ok);
    // More than that in the fast span is an early warning and ends nothing.
    let mut report = spans(0.5, 0.7);
    assert!(acceptances.apply(&mut report, T0).is_empty());
    assert_eq!((report.state, report.level), (State::Accepted, Level::Warn));
}

#[test]
fn without_a_name_every_drifted_column_is_accepted_and_no_other() {
    let mut report = at(0.3);
    report
        .features
        .push(feature("plan", vec![main(Test::Chi2, 0.2, true)]));
    let acceptances = accepted(&report, None);
    let names: Vec<&str> = acceptances.in_force().iter().map(|a| &*a.feature).collect();
    assert_eq!(names, ["age", "plan"]);
}

#[test]
fn what_cannot_be_accepted_says_why() {
    let nothing = Acceptances::default();
    let refused =
        |report: &ModelReport, feature| nothing.propose(report, feature, &terms(), T0).unwrap_err();
    assert_eq!(
        refused(&at(0.3), Some("agee")).to_string(),
        "no such column; the columns are: age, income"
    );
    let said = refused(&at(0.3), Some("income")).to_string();
    assert!(
        said.starts_with("income is not drifted (state ok)"),
        "{said}"
    );
    let unmeasured = check(Test::Ks, SpanName::Main, None, true);
    let report = report(vec![feature("age", vec![unmeasured])]);
    assert!(matches!(
        refused(&report, None),
        Refusal::NotMeasured { .. }
    ));
}

#[test]
fn accepting_anew_replaces_and_taking_back_shows_what_stands() {
    let mut acceptances = accepted(&at(0.3), Some("age"));
    let mut shown = at(0.35);
    acceptances.apply(&mut shown, T0);
    let again = acceptances
        .propose(&shown, Some("age"), &terms(), T0)
        .unwrap();
    assert!((again[0].effect - 0.35).abs() < 1e-12);
    // All that is drifted is accepted already.
    assert!(acceptances.propose(&shown, None, &terms(), T0).is_err());
    let ended = acceptances.add(again, T0);
    assert_eq!(ended[0].why, End::Replaced);

    let ended = acceptances
        .take_back(&shown, Some("age"), "jo", T0)
        .unwrap();
    assert_eq!((ended[0].why, &*ended[0].by), (End::Unaccepted, "jo"));
    let refused = acceptances
        .take_back(&shown, Some("age"), "jo", T0)
        .unwrap_err();
    assert_eq!(refused.to_string(), "age is not accepted");
    let mut shown = at(0.35);
    acceptances.apply(&mut shown, T0);
    assert_eq!(shown.state, State::Drifted);
}

#[test]
fn what_follows_from_an_accepted_change_is_accepted_with_it() {
    let slow =
        |gap: f64, drifted: bool| check(Test::Slow, SpanName::SinceReference, Some(gap), drifted);
    let of = |d: f64, gap: f64, drifted: bool| {
        report(vec![feature(
            "age",
            vec![main(Test::Ks, d, true), slow(gap, drifted)],
        )])
    };
    let mut acceptances = accepted(&of(0.4, 0.05, false), Some("age"));
    // All rows since the reference creep to the size accepted, and warn of nothing new.
    let mut later = of(0.4, 0.35, true);
    assert!(acceptances.apply(&mut later, T0).is_empty());
    assert_eq!((later.state, later.level), (State::Accepted, Level::Ok));
    // The joint test goes on warning; the model's state is its columns'.
    let mut later = of(0.4, 0.35, true);
    let joint = check(Test::Mmd, SpanName::Main, None, true);
    later.checks = vec![CheckReport {
        level: Level::Warn,
        ..joint
    }];
    acceptances.apply(&mut later, T0);
    assert_eq!((later.state, later.drifted), (State::Accepted, Some(false)));
    assert_eq!(later.level, Level::Warn);
}
