//! driftd's engine as the monitor runs it, on a simulated clock and without a window behind it.

use std::sync::Arc;
use std::time::Duration;

use driftd::drift::alarm::Alarms;
use driftd::drift::check::{Checked, Decided, Dependence, ModelCheck, SpanRows, Subject};
use driftd::drift::current::{Entry, Span, SpanLength};
use driftd::drift::decide::{Allowance, Policy, Rule};
use driftd::drift::histogram::Histograms;
use driftd::drift::live::Live;
use driftd::drift::memo::Memo;
use driftd::drift::report::{Level, ModelReport, SpanName};
use driftd::drift::season::Against;
use driftd::drift::{ColumnReference, Reference, Row, Value};
use driftd::feature::{Cell, Column, Kind, Role};
use driftd::model::{ModelName, Schema};
use driftd::timestamp::Timestamp;

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// When checks are made without need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ticks {
    /// All of them, over every span, as the monitor does.
    All,
    /// Those at which a span has news enough to decide on, over that span alone: the others
    /// measure and decide nothing.
    Ripe,
}

/// One model under watch.
pub(crate) struct Engine {
    live: Live,
    name: ModelName,
    schema: Schema,
    policies: Vec<Policy>,
    alarms: Alarms,
    last: Vec<(SpanName, Decided)>,
    /// Rows taken in since the span was decided, and its size then.
    news: Vec<(usize, usize)>,
    memo: Memo,
    tests: usize,
    ticks: Ticks,
    rows: i64,
    /// Whether the last report was at level alert.
    alert: bool,
}

/// What holds after a tick.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Standing {
    /// A column of the main span alerts.
    pub(crate) alert: bool,
    /// A column of the main span has drifted, whatever the level.
    pub(crate) drifted: bool,
    /// A column of the fast span has drifted, which only warns.
    pub(crate) fast: bool,
    /// Every column is calibrated.
    pub(crate) calibrated: bool,
}

/// The spans a product without any configuration compares.
pub(crate) fn default_spans() -> Vec<(SpanName, Span)> {
    let hours = |n: u64| SpanLength::Time(Duration::from_secs(3600 * n));
    spans(hours(24), hours(1))
}

/// A main and a fast span with the defaults for the rest.
pub(crate) fn spans(main: SpanLength, fast: SpanLength) -> Vec<(SpanName, Span)> {
    let span = |length| Span {
        length,
        min_rows: 200,
        max_rows: 10_000,
        max_age: 30 * DAY,
    };
    vec![(SpanName::Main, span(main)), (SpanName::Fast, span(fast))]
}

/// A reference of numeric columns, in force from time 0.
pub(crate) fn reference(columns: impl Iterator<Item = Vec<f64>>) -> Arc<Reference> {
    let columns: Vec<_> = columns
        .map(|values| {
            let cells = values.into_iter().map(Cell::Number);
            Some(ColumnReference::new(Kind::Numeric, cells))
        })
        .collect();
    let first = columns[0].as_ref();
    Arc::new(Reference {
        hash: "0".to_owned(),
        rows: first.map_or(0, ColumnReference::present),
        loaded_at: Timestamp(0),
        columns,
        together: None,
        dependence: Vec::new(),
        seasonal: None,
    })
}

/// A schema of `features` numeric columns.
pub(crate) fn schema(features: usize) -> Schema {
    let column = |index: usize| Column {
        name: format!("x{index}").into(),
        role: Role::Feature,
        kind: Some(Kind::Numeric),
    };
    Schema::new((0..features).map(column).collect(), Vec::new())
}

/// Whether the span has gone by for the first time within the last minute: standing warnings may
/// become alerts then, without a decision.
fn turns_whole(span: &Span, now: Timestamp) -> bool {
    match span.length {
        SpanLength::Time(length) => now
            .0
            .checked_sub(length.as_millis() as i64)
            .is_some_and(|past| (0..60_000).contains(&past)),
        SpanLength::Rows(_) => false,
    }
}

// === impl Engine ===

impl Engine {
    /// One that has seen nothing.
    pub(crate) fn new(
        reference: Arc<Reference>,
        spans: Vec<(SpanName, Span)>,
        ticks: Ticks,
    ) -> Self {
        let features = reference.columns.len();
        let policy = Policy {
            rule: Rule::Budget,
            min_effect: 0.1,
        };
        let names = spans.iter().map(|(name, _)| (*name, Decided::default()));
        Self {
            name: ModelName::parse("m").expect("a letter is a name"),
            schema: schema(features),
            policies: vec![policy; features],
            alarms: Alarms::default(),
            last: names.collect(),
            news: vec![(0, 0); spans.len()],
            memo: Memo::default(),
            tests: reference.tests() * spans.len(),
            ticks,
            rows: 0,
            alert: false,
            live: Live::new(reference, spans, Histograms::default()),
        }
    }

    /// Takes in a row.
    pub(crate) fn append(&mut self, values: &[f64], priority: u32, time: Timestamp) {
        self.rows += 1;
        let row: Row = values.iter().map(|value| Value::Number(*value)).collect();
        self.live.append(&Entry {
            id: self.rows,
            priority,
            time,
            values: Arc::new(row),
        });
        self.news.iter_mut().for_each(|(new, _)| *new += 1);
    }

    /// One check at `now`, with the report where one was made over the main span. It does what
    /// `Monitor::check_model` does.
    pub(crate) fn tick(&mut self, now: Timestamp) -> (Standing, Option<ModelReport>) {
        let known = |times: &[Option<f64>]| times.iter().flatten().count();
        let before = known(&self.live.since().dependence());
        let waiting = self.live.since().waiting();
        for waiting in waiting {
            let estimate = waiting.estimate();
            self.live.since().learn(estimate);
        }
        let dependence = self.live.since().dependence();
        let learnt = known(&dependence) > before;
        let mut spans = self.select(now, learnt);
        if learnt {
            spans.iter_mut().for_each(SpanRows::decide_anew);
        }
        let main = spans.iter().any(|span| span.name == SpanName::Main);
        let checked = (!spans.is_empty()).then(|| self.check(spans, &dependence, now));
        let report = checked.map(|checked| checked.report).filter(|_| main);
        let standing = self.standing(&dependence, report.as_ref());
        (standing, report)
    }

    /// The verdicts that stand.
    pub(crate) const fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// The level changes with a report only, but for an alarm that stands while its column
    /// becomes calibrated, for which a report is made, and when the main span has gone by once.
    fn standing(&mut self, dependence: &[Option<f64>], report: Option<&ModelReport>) -> Standing {
        if let Some(report) = report {
            self.alert = report.level == Level::Alert;
        }
        let drifted = |name: SpanName| {
            let mut alarms = self.alarms.standing.iter();
            alarms.any(|(key, alarm)| alarm.drifted && key.span == name)
        };
        Standing {
            alert: self.alert,
            drifted: drifted(SpanName::Main),
            fast: drifted(SpanName::Fast),
            calibrated: dependence.iter().all(Option::is_some),
        }
    }

    /// The spans to check at `now`, as the monitor selects them.
    fn select(&mut self, now: Timestamp, all: bool) -> Vec<SpanRows> {
        let spans = self.live.spans();
        let all = all || self.ticks == Ticks::All;
        let each = spans.iter().zip(&self.last).zip(&mut self.news);
        each.filter_map(|(((name, current), (_, last)), (new, size))| {
            let all = all || turns_whole(current.span(), now);
            // A span decides when a tenth of its rows is new, and from one tick to the next it
            // does not shrink by a fifth (asserted below).
            if !all && *new * 25 < *size * 2 {
                return None;
            }
            let selection = current.select(now);
            assert!(!selection.incomplete, "there is no window to read back");
            assert!(selection.rows.len() * 5 >= *size * 4, "{name:?} shrank");
            let fresh = (selection.rows.iter().rev())
                .take_while(|row| row.id > last.row)
                .count();
            *size = selection.rows.len();
            if !all && (fresh == 0 || fresh * 10 < *size) {
                return None;
            }
            Some(SpanRows {
                name: *name,
                size: selection.rows.len(),
                rows: selection.rows,
                population: selection.population,
                against: Against::All,
                min_rows: current.span().min_rows,
                length: match current.span().length {
                    SpanLength::Time(length) => Some(length),
                    SpanLength::Rows(_) => None,
                },
                last: *last,
            })
        })
        .collect()
    }

    fn check(
        &mut self,
        spans: Vec<SpanRows>,
        dependence: &[Option<f64>],
        now: Timestamp,
    ) -> Checked {
        let info = self.live.reference.info();
        let tracks = self.live.reference.tracks();
        let subject = Subject {
            model: &self.name,
            version: "",
            schema: &self.schema,
            reference: Some(&info),
            tracks: &tracks,
            dependence: Dependence::Measured(dependence),
            since: None,
            together: None,
            policies: &self.policies,
            allowance: Allowance {
                alarms: 1.0,
                per: 30 * DAY,
                replicas: 1.0,
            },
            tests: self.tests,
            min_coverage: 0.9,
            changed: false,
            previous: None,
            describe: true,
        };
        let memo = &mut self.memo;
        let mut check = ModelCheck::begin(subject, spans, None, &mut self.alarms, memo, now);
        while check.step() {}
        let checked = check.finish();
        for (name, decided) in &checked.decided {
            let each = self.last.iter_mut().zip(&mut self.news);
            for ((_, last), (new, _)) in each.filter(|((known, _), _)| known == name) {
                *last = *decided;
                *new = 0;
            }
        }
        checked
    }
}
