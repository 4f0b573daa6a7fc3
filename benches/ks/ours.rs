//! driftd's side.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use driftd::drift::alarm::Alarms;
use driftd::drift::check::{Decided, Dependence, ModelCheck, SpanRows, Subject};
use driftd::drift::current::Entry;
use driftd::drift::decide::{Allowance, Policy, Rule};
use driftd::drift::ks::{self, ranks};
use driftd::drift::memo::Memo;
use driftd::drift::reference::Side;
use driftd::drift::report::{SpanName, Test};
use driftd::drift::season::Against;
use driftd::drift::{ColumnReference, Reference, Value, row};
use driftd::feature::{Cell, Column, Kind, Role};
use driftd::model::{ModelName, Schema};
use driftd::timestamp::Timestamp;

use crate::data::{CURRENT, Data, NEW};
use crate::peers::Found;

const DAY: Duration = Duration::from_secs(86_400);

/// Seconds this thread was on a processor: other programs on the machine, which
/// take it away for a while, do not count.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A reference and the rows compared with it.
pub(crate) struct Engine {
    reference: Reference,
    rows: VecDeque<Entry>,
    name: ModelName,
    schema: Schema,
    policies: Vec<Policy>,
    alarms: Alarms,
    memo: Memo,
    last: Decided,
    tau: Vec<Option<f64>>,
    checks: i64,
}

/// The test of every column from its raw values.
pub(crate) struct Raw {
    pub(crate) seconds: f64,
    pub(crate) results: Vec<Found>,
}

// === impl Engine ===

impl Engine {
    /// Of the whole data, ranked.
    pub(crate) fn new(data: &Data) -> Self {
        let columns = data
            .reference
            .iter()
            .map(|column| column.clone().into_iter());
        let mut engine = Self::of(columns);
        for at in 0..CURRENT {
            engine.append(data.current.iter().map(|column| column[at]));
        }
        engine.rank();
        engine
    }

    /// Of these reference columns, without rows.
    pub(crate) fn of(columns: impl Iterator<Item = impl Iterator<Item = f64>>) -> Self {
        let columns = columns.map(|values| {
            let cells = values.map(Cell::Number);
            Some(ColumnReference::new(Kind::Numeric, cells))
        });
        let columns: Vec<_> = columns.collect();
        let features = columns.len();
        let column = |index: usize| Column {
            name: format!("x{index}").into(),
            role: Role::Feature,
            kind: Some(Kind::Numeric),
        };
        let policy = Policy {
            rule: Rule::Budget,
            min_effect: 0.1,
        };
        Self {
            reference: Reference {
                hash: "0".to_owned(),
                rows: crate::data::REFERENCE,
                loaded_at: Timestamp(0),
                columns,
                together: None,
                dependence: Vec::new(),
                seasonal: None,
            },
            rows: VecDeque::with_capacity(CURRENT + 1),
            name: ModelName::parse("m").expect("a letter is a name"),
            schema: Schema::new((0..features).map(column).collect(), Vec::new()),
            policies: vec![policy; features],
            alarms: Alarms::default(),
            memo: Memo::default(),
            last: Decided::default(),
            tau: vec![Some(1.0); features],
            checks: 0,
        }
    }

    /// Takes in a row, and lets the oldest go.
    pub(crate) fn append(&mut self, values: impl Iterator<Item = f64>) {
        let id = self.rows.back().map_or(1, |row| row.id + 1);
        self.rows.push_back(Entry {
            id,
            priority: 0,
            time: Timestamp(0),
            values: Arc::new(values.map(Value::Number).collect()),
        });
        if self.rows.len() > CURRENT {
            self.rows.pop_front();
        }
    }

    /// A tenth of the rows is new: the oldest come again as the newest, not ranked yet.
    pub(crate) fn roll(&mut self, data: &Data) {
        let oldest = self.rows.front().map_or(0, |row| row.id as usize - 1);
        for at in oldest..oldest + NEW {
            self.append(data.current.iter().map(|column| column[at % CURRENT]));
        }
    }

    /// Ranks the rows that are not ranked yet; the seconds that takes.
    pub(crate) fn rank(&mut self) -> f64 {
        let began = cpu_seconds();
        let new = self.rows.len().min(NEW);
        let rows = if self.checks == 0 {
            self.rows.len()
        } else {
            new
        };
        let first = self.rows.len() - rows;
        for track in self.reference.tracks() {
            if let Side::Numbers(numbers) = track.side {
                let rows = self.rows.iter().skip(first).map(|entry| &*entry.values);
                row::rank(rows, track.slot, numbers);
            }
        }
        self.checks += 1;
        cpu_seconds() - began
    }

    /// A periodic check that decides over all rows; its seconds.
    pub(crate) fn check(&mut self, describe: bool) -> f64 {
        let (info, tracks) = (self.reference.info(), self.reference.tracks());
        let span = SpanRows {
            name: SpanName::Main,
            rows: self.rows.iter().cloned().collect(),
            size: self.rows.len(),
            population: self.rows.len() as f64,
            min_rows: 200,
            length: Some(DAY),
            against: Against::All,
            // Both checks of a round find the same news.
            last: Decided {
                row: self.last.row - i64::from(describe) * NEW as i64,
                ..self.last
            },
        };
        let began = cpu_seconds();
        let subject = Subject {
            model: &self.name,
            version: "",
            schema: &self.schema,
            reference: Some(&info),
            tracks: &tracks,
            dependence: Dependence::Measured(&self.tau),
            since: None,
            together: None,
            policies: &self.policies,
            allowance: Allowance {
                alarms: 1.0,
                per: 30 * DAY,
                replicas: 1.0,
            },
            tests: self.reference.tests() * 2,
            min_coverage: 0.9,
            changed: false,
            previous: None,
            describe,
        };
        let now = Timestamp(self.checks * 60_000);
        let mut check = ModelCheck::begin(
            subject,
            vec![span],
            None,
            &mut self.alarms,
            &mut self.memo,
            now,
        );
        while check.step() {}
        let checked = check.finish();
        let seconds = cpu_seconds() - began;
        let (_, decided) = checked.decided.first().expect("a tenth of the rows is new");
        self.last = Decided {
            at: None,
            ..*decided
        };
        assert_eq!(checked.report.features.len(), tracks.len());
        let drifted = checked
            .report
            .features
            .iter()
            .filter(|f| f.drifted == Some(true));
        assert_eq!(drifted.count(), tracks.len() / 10, "columns that drifted");
        let tests = checked.report.features.iter().filter_map(|f| f.main());
        assert!(
            tests
                .clone()
                .all(|check| check.test == Test::Ks && check.p_value.is_some())
        );
        seconds
    }

    /// D and p of every column from its values: rank, sort, compare.
    pub(crate) fn raw(&self, data: &Data) -> Raw {
        let began = cpu_seconds();
        let mut scratch = ranks::Scratch::default();
        let mut results = Vec::with_capacity(data.features);
        for (track, current) in self.reference.tracks().iter().zip(&data.current) {
            let Side::Numbers(numbers) = track.side else {
                unreachable!("every column is one of numbers");
            };
            let found = ranks::of_values(numbers, current, &mut scratch);
            let p = ks::p_value(found.gap, found.n_reference, found.n_current);
            let sign = f64::from(found.sign);
            results.push(Found(found.statistic, p.p, found.location, sign));
        }
        Raw {
            seconds: cpu_seconds() - began,
            results,
        }
    }
}

/// What differs from scipy's figures beyond the last bits. Where two gaps are equal, rounding makes
/// scipy take either: any place with the same gap will do.
pub(crate) fn differing(data: &Data, ours: &[Found], theirs: &[Found]) -> Option<String> {
    assert_eq!(ours.len(), theirs.len(), "a figure for each column");
    let near = |a: f64, b: f64, most: f64| (a - b).abs() <= most * b.abs();
    let gap = |column: usize, at: f64| {
        let share = |values: &[f64]| {
            values.iter().filter(|value| **value <= at).count() as f64 / values.len() as f64
        };
        share(&data.reference[column]) - share(&data.current[column])
    };
    let same = |column: usize, a: &Found, b: &Found| {
        (a.0 - b.0).abs() < 1e-14
            && (near(a.1, b.1, 1e-10) || b.1 < 1e-290)
            && (near(a.2, b.2, 0.0) || (gap(column, a.2) - gap(column, b.2)).abs() < 1e-14)
            && near(a.3, b.3, 0.0)
    };
    let wrong = ours.iter().zip(theirs).enumerate();
    let wrong = wrong
        .filter(|(column, (a, b))| !same(*column, a, b))
        .map(|(i, pair)| format!("{i}: {pair:?}"));
    let wrong: Vec<String> = wrong.collect();
    (!wrong.is_empty()).then(|| format!("{} columns differ: {}", wrong.len(), wrong[0]))
}

/// Seconds of the exact p-value at 10,000 × 9,999 and D = .3.
pub(crate) fn exact() -> f64 {
    let gap = (0.3 * 10_000.0 * 9_999.0) as u128;
    let began = cpu_seconds();
    let p = ks::p_value(std::hint::black_box(gap), 10_000, 9_999);
    assert!(p.log10_p < -300.0);
    cpu_seconds() - began
}
