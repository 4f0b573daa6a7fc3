//! The drift engine over whole models: what a check says of columns of every sort.

use std::sync::Arc;
use std::time::Duration;

use driftd::drift::alarm::Alarms;
use driftd::drift::check::{Decided, Dependence, Lifetime, ModelCheck, SpanRows, Subject};
use driftd::drift::current::Entry;
use driftd::drift::decide::{Allowance, Policy, Rule};
use driftd::drift::memo::Memo;
use driftd::drift::report::{Level, ModelReport, SpanName, State, Test};
use driftd::drift::season::Against;
use driftd::drift::since::Since;
use driftd::drift::together::{self, Together};
use driftd::drift::{ColumnReference, Reference};
use driftd::feature::{Cell, Column, Kind, Role};
use driftd::model::{ModelName, Schema};
use driftd::timestamp::Timestamp;

use super::random::Random;

const DAY: i64 = 86_400;

/// A model whose columns are features of these kinds.
struct Model {
    schema: Schema,
    reference: Reference,
    alarms: Alarms,
    since: Since,
    rows: i64,
}

impl Model {
    fn new(columns: Vec<(&str, Kind, Vec<Cell>)>) -> Self {
        let features = columns.iter().map(|(name, kind, _)| Column {
            name: (*name).into(),
            role: Role::Feature,
            kind: Some(*kind),
        });
        let schema = Schema::new(features.collect(), Vec::new());
        let rows = columns[0].2.len();
        let mut scores = Vec::new();
        let mut references = Vec::new();
        for (_, kind, cells) in columns {
            let column = ColumnReference::new(kind, cells.iter().cloned());
            scores.extend(together::scores(&column, &cells));
            references.push((column.present() > 0).then_some(column));
        }
        let reference = Reference {
            hash: "0".to_owned(),
            rows,
            loaded_at: Timestamp(0),
            columns: references,
            together: (rows >= 2000 && scores.len() > 1)
                .then(|| Together::new(&scores))
                .flatten()
                .map(Arc::new),
            dependence: Vec::new(),
            seasonal: None,
        };
        Self {
            schema,
            since: Since::new(&reference),
            reference,
            alarms: Alarms::default(),
            rows: 0,
        }
    }

    /// A check of these rows, all new, at `now` in seconds.
    fn check(&mut self, rows: Vec<Vec<Cell>>, now: i64) -> ModelReport {
        let entries: Vec<Entry> = rows
            .iter()
            .map(|cells| {
                self.rows += 1;
                let row = self.reference.encode(cells);
                self.since.append(self.rows, &row);
                Entry {
                    id: self.rows,
                    priority: 0,
                    time: Timestamp(now * 1000),
                    values: Arc::new(row),
                }
            })
            .collect();
        for waiting in self.since.waiting() {
            self.since.learn(waiting.estimate());
        }
        let span = SpanRows {
            name: SpanName::Main,
            size: entries.len(),
            population: entries.len() as f64,
            rows: entries,
            min_rows: 2,
            length: None,
            against: Against::All,
            last: Decided::default(),
        };
        let model = ModelName::parse("m").unwrap();
        let tracks = self.reference.tracks();
        let info = self.reference.info();
        let (dependence, distances) = (self.since.dependence(), self.since.distances());
        let policy = Policy {
            rule: Rule::Budget,
            min_effect: 0.1,
        };
        let policies = vec![policy; self.schema.columns().len()];
        let subject = Subject {
            model: &model,
            version: "",
            schema: &self.schema,
            reference: Some(&info),
            tracks: &tracks,
            dependence: Dependence::Measured(&dependence),
            since: Some(Lifetime {
                distances: &distances,
                season: Duration::from_secs(DAY as u64),
            }),
            together: self.reference.together.as_deref(),
            policies: &policies,
            allowance: Allowance {
                alarms: 1.0,
                per: Duration::from_secs(30 * DAY as u64),
                replicas: 1.0,
            },
            tests: self.reference.tests(),
            min_coverage: 0.9,
            changed: false,
            previous: None,
            describe: true,
        };
        let mut memo = Memo::default();
        let now = Timestamp(now * 1000);
        let alarms = &mut self.alarms;
        let mut check = ModelCheck::begin(subject, vec![span], None, alarms, &mut memo, now);
        while check.step() {}
        check.finish().report
    }
}

fn numbers(values: impl IntoIterator<Item = f64>) -> Vec<Cell> {
    values.into_iter().map(Cell::number).collect()
}

fn rows(columns: Vec<Vec<Cell>>) -> Vec<Vec<Cell>> {
    let across = |row: usize| columns.iter().map(|column| column[row].clone()).collect();
    (0..columns[0].len()).map(across).collect()
}

/// Name, reference, current, the state expected and words of its sentence.
type Case<'a> = (&'a str, Vec<Cell>, Vec<Cell>, State, &'a str);

#[test]
fn every_sort_of_column_gets_a_state_and_a_sentence() {
    let mut random = Random(1);
    let mut normal = |n: usize| numbers((0..n).map(|_| random.normal()));
    let inf = f64::INFINITY;
    let missing = |n: usize| vec![Cell::Missing; n];
    let cases: Vec<Case<'_>> = vec![
        (
            "constant",
            numbers([5.0; 500]),
            numbers([5.0; 400]),
            State::Constant,
            "one and the same",
        ),
        (
            "constant then another",
            numbers([5.0; 500]),
            numbers([6.0; 400]),
            State::Drifted,
            "100 % lie beyond",
        ),
        (
            "all null",
            missing(500),
            missing(400),
            State::NoReference,
            "is not compared",
        ),
        (
            "null now",
            normal(500),
            missing(400),
            State::Drifted,
            "100 % missing",
        ),
        (
            "sorted",
            numbers((0..500).map(f64::from)),
            numbers((0..400).map(|i| f64::from(i) * 1.25)),
            State::Ok,
            "looks like",
        ),
        (
            "identical",
            numbers((0..400).map(f64::from)),
            numbers((0..400).map(f64::from)),
            State::Ok,
            "D = 0",
        ),
        (
            "one row",
            normal(500),
            normal(1),
            State::Insufficient,
            "1 of the 2 rows",
        ),
        (
            "one reference row",
            numbers([3.0]),
            normal(400),
            State::Drifted,
            "lie beyond",
        ),
        (
            "billions",
            numbers((0..500).map(|i| 1e9 + f64::from(i % 7))),
            numbers((0..400).map(|i| 1e9 + f64::from(i % 7))),
            State::Ok,
            "looks like",
        ),
        (
            "infinite",
            numbers((0..500).map(|i| if i % 2 == 0 { inf } else { -inf })),
            numbers((0..400).map(|i| if i % 2 == 0 { inf } else { -inf })),
            State::Ok,
            "looks like",
        ),
        (
            "infinite now",
            normal(500),
            numbers([inf; 400]),
            State::Drifted,
            "median",
        ),
        (
            "infinite on one side",
            numbers((0..500).map(|i| if i % 9 == 0 { inf } else { f64::from(i) })),
            normal(400),
            State::Drifted,
            "median",
        ),
    ];
    for (name, reference, current, state, words) in cases {
        let mut model = Model::new(vec![(name, Kind::Numeric, reference)]);
        let report = model.check(rows(vec![current]), 2 * DAY);
        let feature = &report.features[0];
        assert_eq!(feature.state, state, "{name}: {}", feature.sentence);
        assert!(
            feature.sentence.contains(words),
            "{name}: {}",
            feature.sentence
        );
        let text = serde_json::to_string(&report).unwrap();
        assert!(!text.contains("NaN"), "{name}: {text}");
        for check in &feature.checks {
            let figures = [
                check.statistic,
                check.p_value,
                check.log10_p,
                check.threshold,
            ];
            let finite = figures.iter().flatten().all(|figure| figure.is_finite());
            assert!(finite, "{name}: {check:?}");
        }
    }
    // No row at all.
    let mut model = Model::new(vec![("x", Kind::Numeric, normal(500))]);
    let report = model.check(Vec::new(), DAY);
    assert_eq!(report.state, State::Insufficient);
}

#[test]
fn a_change_of_correlation_is_found_and_named() {
    let mut random = Random(2);
    let mut draw = |n: usize, r: f64| {
        let mut columns = vec![Vec::new(); 3];
        for _ in 0..n {
            let (a, b, c) = (random.normal(), random.normal(), random.normal());
            columns[0].push(Cell::Number(a));
            columns[1].push(Cell::Number(r * a + (1.0 - r * r).sqrt() * b));
            columns[2].push(Cell::Number(c));
        }
        columns
    };
    let reference = draw(20_000, 0.2);
    let named = ["a", "b", "c"].into_iter().zip(reference);
    let mut model = Model::new(
        named
            .map(|(name, cells)| (name, Kind::Numeric, cells))
            .collect(),
    );
    let same = model.check(rows(draw(3000, 0.2)), 2 * DAY);
    assert_eq!(same.state, State::Ok, "{}", same.sentence);
    let report = model.check(rows(draw(3000, 0.9)), 4 * DAY);
    assert_eq!(
        (report.state, report.level),
        (State::Ok, Level::Warn),
        "{}",
        report.sentence
    );
    assert!(report.features.iter().all(|f| f.drifted == Some(false)));
    assert!(
        report
            .sentence
            .contains("the correlation of a and b went from 0.2"),
        "{}",
        report.sentence
    );
    assert!(
        report
            .checks
            .iter()
            .any(|check| check.test == Test::Mmd && check.drifted == Some(true))
    );
}

#[test]
fn columns_in_another_order_are_a_mismatch_and_no_drift() {
    let mut random = Random(3);
    let mut draw = |n: usize, order: [usize; 4]| {
        let mut columns = vec![Vec::new(); 4];
        for _ in 0..n {
            for (place, i) in order.into_iter().enumerate() {
                let value = 10.0 * (i as f64 + 1.0) + random.normal() * (i as f64 + 1.0);
                columns[place].push(Cell::Number(value));
            }
        }
        columns
    };
    let named = ["a", "b", "c", "d"]
        .into_iter()
        .zip(draw(1000, [0, 1, 2, 3]));
    let mut model = Model::new(
        named
            .map(|(name, cells)| (name, Kind::Numeric, cells))
            .collect(),
    );
    let report = model.check(rows(draw(500, [1, 2, 3, 0])), 2 * DAY);
    assert_eq!((report.state, report.level), (State::Mismatch, Level::Warn));
    assert_eq!(report.drifted, None);
    assert!(
        report.sentence.contains("another order"),
        "{}",
        report.sentence
    );
    assert!(report.features.iter().all(|f| f.state == State::Mismatch));
    // Drift that comes after a good beginning is drift, however much of it.
    let named = ["a", "b", "c", "d"]
        .into_iter()
        .zip(draw(1000, [0, 1, 2, 3]));
    let mut model = Model::new(
        named
            .map(|(name, cells)| (name, Kind::Numeric, cells))
            .collect(),
    );
    assert_eq!(
        model.check(rows(draw(500, [0, 1, 2, 3])), 2 * DAY).state,
        State::Ok
    );
    let report = model.check(rows(draw(500, [1, 2, 3, 0])), 4 * DAY);
    assert_eq!(report.state, State::Drifted);
    assert!(
        report.sentence.contains("all at once"),
        "{}",
        report.sentence
    );
    assert_eq!(report.groups.len(), 1);
}

#[test]
fn a_drift_too_slow_for_the_window_warns() {
    let mut random = Random(4);
    let mut draw = |n: usize, shift: f64| numbers((0..n).map(|_| random.normal() + shift));
    let mut model = Model::new(vec![("x", Kind::Numeric, draw(50_000, 0.0))]);
    // 0.2 σ: D = 0.08, below what is worth an alarm.
    let mut report = model.check(rows(vec![draw(5000, 0.0)]), DAY / 2);
    for day in 1..20 {
        report = model.check(rows(vec![draw(5000, 0.2)]), day * DAY + DAY / 2);
        assert_eq!(report.drifted, Some(false), "{}", report.sentence);
    }
    assert_eq!(report.level, Level::Warn, "{}", report.sentence);
    assert!(
        report
            .sentence
            .contains("all rows since the reference together differ in x"),
        "{}",
        report.sentence
    );
    let slow = report.features[0]
        .checks
        .iter()
        .find(|c| c.test == Test::Slow)
        .unwrap();
    assert_eq!(
        (slow.span, slow.drifted),
        (SpanName::SinceReference, Some(true))
    );
    assert!(slow.statistic.unwrap() > slow.threshold.unwrap());
}

#[test]
fn texts_of_the_same_sort_are_no_joint_drift() {
    let mut random = Random(5);
    // Zipf over many words: most texts hold one that no other does.
    let mut text = || {
        let word = |u: f64| format!("w{}", 30_000f64.powf(u) as u32);
        let words: Vec<String> = (0..5).map(|_| word(random.uniform())).collect();
        Cell::Text(words.join(" ").into())
    };
    let reference: Vec<Cell> = (0..4000).map(|_| text()).collect();
    let current: Vec<Cell> = (0..1000).map(|_| text()).collect();
    let mut model = Model::new(vec![("comment", Kind::Text, reference)]);
    let report = model.check(rows(vec![current]), 2 * DAY);
    assert_eq!(
        (report.state, report.level),
        (State::Ok, Level::Ok),
        "{}",
        report.sentence
    );
    assert!(report.checks.iter().any(|check| check.test == Test::Mmd));
}
