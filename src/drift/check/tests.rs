use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::drift::current::Entry;
use crate::drift::decide::Rule;
use crate::drift::report::{Level, State, Test};
use crate::drift::season::Against;
use crate::drift::{ColumnReference, Reference, Value};
use crate::feature::{Cell, Column, Kind, Role};

mod standing;

const DAY: Duration = Duration::from_secs(86_400);

/// A model with one numeric feature `x`, whose reference is 0, 1, … 999.
struct Model {
    name: ModelName,
    schema: Schema,
    reference: Reference,
    policy: Policy,
    changed: bool,
    length: Option<Duration>,
    alarms: Alarms,
    last: Decided,
    /// The autocorrelation time of `x`, or that it is not known.
    tau: Option<f64>,
    /// The last report, where the next check is told of it.
    previous: Option<ModelReport>,
}

impl Model {
    fn new(rule: Rule) -> Self {
        let column = Column {
            name: "x".into(),
            role: Role::Feature,
            kind: Some(Kind::Numeric),
        };
        let cells = (0..1000).map(|i| Cell::Number(f64::from(i)));
        Self {
            name: ModelName::parse("m").unwrap(),
            schema: Schema::new(vec![column], Vec::new()),
            reference: Reference {
                hash: "0".to_owned(),
                rows: 1000,
                loaded_at: Timestamp(0),
                columns: vec![Some(ColumnReference::new(Kind::Numeric, cells))],
                together: None,
                dependence: Vec::new(),
                seasonal: None,
            },
            policy: Policy {
                rule,
                min_effect: 0.1,
            },
            changed: false,
            length: Some(DAY),
            alarms: Alarms::default(),
            last: Decided::default(),
            tau: Some(1.0),
            previous: None,
        }
    }

    /// A check at `now` seconds over the main span alone.
    fn check(&mut self, rows: Vec<Entry>, coverage: Option<f64>, now: i64) -> Checked {
        let span = self.span(SpanName::Main, rows);
        self.check_spans(vec![span], coverage, now)
    }

    fn span(&self, name: SpanName, rows: Vec<Entry>) -> SpanRows {
        SpanRows {
            name,
            size: rows.len(),
            population: rows.len() as f64,
            rows,
            min_rows: 100,
            length: self.length,
            against: Against::All,
            last: self.last,
        }
    }

    fn check_spans(&mut self, spans: Vec<SpanRows>, coverage: Option<f64>, now: i64) -> Checked {
        let (info, tracks) = (self.reference.info(), self.reference.tracks());
        let mut memo = Memo::default();
        let subject = Subject {
            model: &self.name,
            version: "",
            schema: &self.schema,
            reference: Some(&info),
            tracks: &tracks,
            dependence: Dependence::Measured(&[self.tau]),
            since: None,
            together: None,
            policies: &[self.policy],
            allowance: Allowance {
                alarms: 1.0,
                per: 30 * DAY,
                replicas: 1.0,
            },
            tests: 1,
            min_coverage: 0.9,
            changed: self.changed,
            previous: self.previous.as_ref(),
            describe: true,
        };
        let now = Timestamp(now * 1000);
        let alarms = &mut self.alarms;
        let mut check = ModelCheck::begin(subject, spans, coverage, alarms, &mut memo, now);
        while check.step() {}
        let checked = check.finish();
        if let Some((_, decided)) = checked.decided.first() {
            self.last = *decided;
        }
        checked
    }
}

/// Rows with ids and seconds `from..to`, evenly spread over the reference and moved by `shift`.
fn rows(from: i64, to: i64, shift: f64) -> Vec<Entry> {
    let value = |id: i64| Value::Number((id * 5 % 1000) as f64 + shift);
    (from..to).map(|id| entry(id, value(id))).collect()
}

/// The same squeezed to the lower `share` of the range: D is 1 - `share`, and none lies beyond it.
fn squeezed(from: i64, to: i64, share: f64) -> Vec<Entry> {
    let value = |id: i64| Value::Number((id * 7 % 1000) as f64 * share);
    (from..to).map(|id| entry(id, value(id))).collect()
}

fn entry(id: i64, value: Value) -> Entry {
    Entry {
        id,
        priority: 0,
        time: Timestamp(id * 1000),
        values: Arc::new([value].into_iter().collect()),
    }
}

#[test]
fn too_few_rows_give_no_verdict_and_no_figure() {
    let mut model = Model::new(Rule::Budget);
    let report = model.check(rows(1, 50, 900.0), None, 60).report;
    assert_eq!(report.state, State::Insufficient);
    assert_eq!(report.drifted, None);
    let check = report.features[0].main().unwrap();
    assert_eq!(
        (check.statistic, check.p_value, check.threshold),
        (None, None, None)
    );
    assert_eq!(
        report.features[0].sentence,
        "x: 49 of the 100 rows a check needs."
    );
    model.changed = true;
    let report = model.check(rows(1, 50, 900.0), None, 61).report;
    assert_eq!(report.state, State::Warming);
}

#[test]
fn drift_is_an_alert_on_the_main_span_and_a_warning_on_the_fast_one() {
    let mut model = Model::new(Rule::Budget);
    let checked = model.check(rows(1, 1001, 400.0), Some(1.0), 1001);
    assert_eq!(checked.report.level, Level::Alert);
    // 40 % of the values lie beyond the reference's largest, too.
    let changed: Vec<Test> = checked.changes.iter().map(|c| c.key.test).collect();
    assert_eq!(changed, [Test::Ks, Test::Range]);
    assert_eq!(checked.report.features[0].since, Some(Timestamp(1_001_000)));

    let mut model = Model::new(Rule::Budget);
    let mut spans = vec![model.span(SpanName::Main, rows(1, 1001, 0.0))];
    spans.push(model.span(SpanName::Fast, rows(1001, 1501, 400.0)));
    let report = model.check_spans(spans, Some(1.0), 1501).report;
    assert_eq!((report.state, report.level), (State::Ok, Level::Warn));
    assert_eq!(report.drifted, Some(false));
}

#[test]
fn it_decides_again_only_when_a_tenth_is_new() {
    let mut model = Model::new(Rule::Budget);
    let calm = model.check(rows(1, 1001, 0.0), None, 1001);
    assert_eq!(calm.decided.len(), 1);
    // All values moved, but only 99 of the ids are new: measured, not decided.
    let measured = model.check(rows(100, 1100, 400.0), None, 1100);
    assert!(measured.decided.is_empty());
    let check = measured.report.features[0].main().unwrap().clone();
    assert_eq!(check.drifted, Some(false));
    assert!(check.statistic.unwrap() > check.threshold.unwrap());
    let decided = model.check(rows(101, 1101, 400.0), None, 1101);
    assert_eq!(decided.report.drifted, Some(true));
}

#[test]
fn a_column_is_described_anew_where_it_is_decided_or_not_well() {
    let mut model = Model::new(Rule::Budget);
    let median = |checked: &Checked| {
        checked.report.features[0]
            .quantiles
            .clone()
            .unwrap()
            .current
            .p50
    };
    let first = model.check(rows(1, 1001, 0.0), None, 2000);
    let effects = |checked: &Checked| {
        let checks = checked.report.features[0].checks.iter();
        checks.filter(|check| check.test.is_effect()).count()
    };
    let (before, sizes) = (median(&first), effects(&first));
    assert!(sizes > 0);
    model.previous = Some(first.report);
    // 20 new rows: measured, not decided, and described as before.
    let mut moved = rows(21, 1001, 0.0);
    moved.extend(rows(1001, 1021, 5000.0));
    let second = model.check(moved, None, 2100);
    assert!(second.decided.is_empty());
    assert_eq!(
        (median(&second).to_bits(), effects(&second)),
        (before.to_bits(), sizes)
    );
    assert!(second.report.features[0].main().unwrap().statistic > Some(0.015));
    model.previous = Some(second.report);
    // Half the rows are new: decided, so described.
    let mut moved = rows(501, 1001, 0.0);
    moved.extend(rows(1001, 1501, 600.0));
    let third = model.check(moved, None, 86_400);
    assert_eq!(third.report.features[0].state, State::Drifted);
    let at_alarm = median(&third);
    assert!(at_alarm > before + 100.0, "{at_alarm} against {before}");
    model.previous = Some(third.report);
    // A standing alarm is described at each check.
    let mut moved = rows(511, 1001, 0.0);
    moved.extend(rows(1001, 1511, 600.0));
    let fourth = model.check(moved, None, 86_460);
    assert!(fourth.decided.is_empty());
    assert!(median(&fourth) > at_alarm);
}

#[test]
fn what_stands_in_the_way_is_said() {
    let state = |rows: Vec<Entry>, coverage: f64, now: i64| {
        let report = Model::new(Rule::Budget)
            .check(rows, Some(coverage), now)
            .report;
        assert_eq!(report.drifted, None, "{}", report.sentence);
        report.state
    };
    assert_eq!(state(rows(1, 1001, 0.0), 0.89, 1001), State::LowCoverage);
    assert_eq!(state(rows(1, 1001, 0.0), 1.0, 1_000_000), State::Stale);
}

#[test]
fn missing_values_and_other_types_are_drift_of_their_own() {
    let rows = |odd: Value, each: i64| -> Vec<Entry> {
        let value = |id: i64| {
            if id % each == 0 {
                odd
            } else {
                Value::Number((id * 7 % 1000) as f64)
            }
        };
        (1..301).map(|id| entry(id, value(id))).collect()
    };
    let checked = |rows| {
        Model::new(Rule::Budget)
            .check(rows, Some(1.0), 86_400)
            .report
    };
    let report = checked(rows(Value::Missing, 4));
    assert_eq!((report.state, report.drifted), (State::Drifted, Some(true)));
    assert_eq!(
        report.features[0].sentence.split(" (p").next(),
        Some("x has drifted: 25 % missing, 0 % in the reference")
    );
    let ks = report.features[0].main().unwrap();
    assert_eq!((ks.test, ks.drifted), (Test::Ks, Some(false)));
    let report = checked(rows(Value::Mistyped, 4));
    assert_eq!(report.state, State::Drifted);
    assert!(report.features[0].sentence.contains("25 % of another type"));
    // 4 of 5 are words, and then 4 of 5 are gone.
    let flip = |odd| -> Vec<Entry> {
        let value = |id: i64| {
            if id % 5 == 0 {
                Value::Number((id % 1000) as f64)
            } else {
                odd
            }
        };
        (1..301).map(|id| entry(id, value(id))).collect()
    };
    assert_eq!(checked(flip(Value::Mistyped)).state, State::TypeChanged);
    assert_eq!(checked(flip(Value::Missing)).state, State::Drifted);
    // A value in three hundred is not worth an alarm.
    assert_eq!(checked(rows(Value::Missing, 300)).state, State::Ok);
}

#[test]
fn until_the_dependence_is_known_nothing_alerts() {
    let mut model = Model::new(Rule::Budget);
    model.tau = None;
    let report = model.check(rows(1, 1001, 400.0), Some(1.0), 1001).report;
    assert_eq!((report.drifted, report.level), (Some(true), Level::Warn));
    assert!(!report.calibrated);
}

#[test]
fn a_verdict_made_before_the_dependence_was_known_is_made_anew() {
    // D = 0.15 of 500 rows: significant if they are independent, not if 30 are worth one.
    let mut model = Model::new(Rule::Budget);
    model.length = None;
    model.tau = None;
    let report = model.check(squeezed(1, 501, 0.85), Some(1.0), 3600).report;
    assert_eq!((report.drifted, report.level), (Some(true), Level::Warn));
    model.tau = Some(30.0);
    let mut span = model.span(SpanName::Main, squeezed(2, 502, 0.85));
    span.decide_anew();
    let report = model.check_spans(vec![span], Some(1.0), 3601).report;
    assert_eq!((report.drifted, report.level), (Some(false), Level::Ok));
}

#[test]
fn a_part_of_the_day_alerts_only_on_what_no_hour_explains() {
    let level = |share: f64, now: i64| {
        let mut model = Model::new(Rule::Budget);
        let checked = model.check(squeezed(now - 1000, now, share), Some(1.0), now);
        assert_eq!(checked.report.drifted, Some(true));
        checked.report.level
    };
    assert_eq!(level(0.8, 3600), Level::Warn);
    assert_eq!(level(0.7, 3600), Level::Alert);
    assert_eq!(level(0.8, 86_400), Level::Alert);
}

#[test]
fn dependent_rows_are_worth_fewer() {
    // D = 0.15 of 400 rows is significant at the budget of a day if they are independent, and is
    // not if 10 of them are worth one.
    let drifted = |tau| {
        let mut model = Model::new(Rule::Budget);
        model.tau = Some(tau);
        let report = model.check(rows(1, 401, 150.0), Some(1.0), 3600).report;
        let ks = report.features[0].main().unwrap().clone();
        (ks.drifted, ks.n_effective.round() as u32)
    };
    assert_eq!(drifted(1.0), (Some(true), 400));
    assert_eq!(drifted(10.0), (Some(false), 40));
}

#[test]
fn a_decision_pays_for_the_time_since_the_last_one() {
    let threshold = |checked: &Checked| {
        checked.report.features[0]
            .main()
            .unwrap()
            .threshold
            .unwrap()
    };
    let mut often = Model::new(Rule::Budget);
    often.policy.min_effect = 0.0;
    often.length = None;
    often.check(rows(1, 1001, 0.0), None, 86_400);
    let minute = threshold(&often.check(rows(1001, 2001, 0.0), None, 86_460));
    let day = threshold(&often.check(rows(2001, 3001, 0.0), None, 2 * 86_400));
    // α = 60 s / 30 d = 2.3e-5 against nearly 1 d / 30 d = 0.033 for one test:
    // scipy.stats.kstwo.isf([60/2592000, .0333], 500) → [0.10617089, 0.0636452]
    assert!((minute - 0.1062).abs() < 0.002, "{minute}");
    assert!((day - 0.0636).abs() < 0.002, "{day}");
    let spent = often
        .check(rows(2001, 3001, 0.0), None, 2 * 86_400 + 60)
        .report
        .budget
        .unwrap();
    assert!((spent.spent - 2.0 / 30.0).abs() < 1e-9, "{}", spent.spent);
    assert!((spent.allowed - 1.0).abs() < 1e-12);
    assert_eq!(spent.per, "30d");
}

#[test]
fn a_column_the_reference_lacks_has_no_verdict() {
    let mut model = Model::new(Rule::PValue);
    model.reference.columns = vec![None];
    let report = model.check(rows(1, 1001, 0.0), None, 1001).report;
    assert_eq!(report.state, State::NoReference);
    assert_eq!((report.drifted, report.features[0].drifted), (None, None));
    assert!(report.budget.is_none());
}

#[test]
fn a_clock_set_back_clears_nothing() {
    let mut model = Model::new(Rule::Budget);
    model.check(rows(1, 1001, 400.0), None, 5000);
    // No time has passed that would pay for a decision, by the clock: the alarm stands.
    model.last.at = Some(Timestamp(4_000_000));
    let checked = model.check(rows(1001, 2001, 400.0), None, 4000);
    assert_eq!(checked.report.drifted, Some(true));
    assert!(checked.changes.is_empty() && checked.decided.is_empty());
}

#[test]
fn an_alarm_raised_after_a_quiet_time_is_not_cleared_by_a_stricter_check() {
    let mut model = Model::new(Rule::Budget);
    model.length = None;
    model.check(rows(1, 201, 0.0), None, 60);
    // D = 0.13 of 200 rows. scipy.stats.kstwo.isf([0.05, 60/2592000], 167) → [0.1040, 0.1829]:
    // enough for what 20 days pay for, and below 0.8 of what a minute does.
    let quiet = 20 * 86_400;
    let raised = model.check(rows(201, 401, 130.0), None, quiet);
    assert_eq!(raised.report.drifted, Some(true));
    let after = model.check(rows(401, 601, 130.0), None, quiet + 60);
    assert_eq!(after.decided.len(), 1);
    assert_eq!(
        after.report.drifted,
        Some(true),
        "{}",
        after.report.sentence
    );
    let calm = model.check(rows(601, 801, 0.0), None, quiet + 120);
    assert_eq!(calm.report.drifted, Some(false));
}

#[test]
fn what_is_back_to_what_it_was_ends_its_alarm() {
    let gone = |from: i64, each: i64| -> Vec<Entry> {
        let value = |id: i64| match id % each {
            0 => Value::Missing,
            _ => Value::Number((id * 7 % 1000) as f64),
        };
        (from..from + 400).map(|id| entry(id, value(id))).collect()
    };
    let mut model = Model::new(Rule::Budget);
    model.length = None;
    let report = model.check(gone(1, 3), Some(1.0), 86_400).report;
    assert_eq!(report.drifted, Some(true));
    // None is missing any more, as in the reference.
    let report = model.check(gone(1000, 5000), Some(1.0), 2 * 86_400).report;
    assert_eq!(report.drifted, Some(false), "{}", report.sentence);

    // A constant that was another for a while.
    let constant = |from: i64, value: f64| -> Vec<Entry> {
        (from..from + 400)
            .map(|id| entry(id, Value::Number(value)))
            .collect()
    };
    let mut model = Model::new(Rule::Budget);
    model.length = None;
    let cells = (0..1000).map(|_| Cell::Number(5.0));
    model.reference.columns = vec![Some(ColumnReference::new(Kind::Numeric, cells))];
    for (value, from, drifted) in [(5.0, 1, false), (6.0, 1000, true), (5.0, 2000, false)] {
        let rows = constant(from, value);
        let report = model.check(rows, Some(1.0), 86_400 + from).report;
        assert_eq!(
            report.drifted,
            Some(drifted),
            "{value}: {}",
            report.sentence
        );
    }

    // The same of words.
    let mut model = Model::new(Rule::Budget);
    model.length = None;
    let cells = (0..1000).map(|_| Cell::Text("DE".into()));
    model.reference.columns = vec![Some(ColumnReference::new(Kind::Categorical, cells))];
    for (value, from, drifted) in [
        (Value::Category(0), 1, false),
        (Value::Unseen(7), 1000, true),
        (Value::Category(0), 2000, false),
    ] {
        let rows = (from..from + 400).map(|id| entry(id, value)).collect();
        let report = model.check(rows, Some(1.0), 86_400 + from).report;
        assert_eq!(report.drifted, Some(drifted), "{}", report.sentence);
    }
}
