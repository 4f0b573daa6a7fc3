//! The monitor: on a timer, compares each model's current rows with its reference, keeps the
//! verdicts, writes the history, publishes the report.
//!
//! Invariant: it runs on a thread of its own at the lowest priority, in slices of one column with
//! rests nine times as long between them, and nothing on the path of traffic waits for it.

mod pace;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::drift::alarm::Alarms;
use crate::drift::check::{Change, Decided, Dependence, ModelCheck, SpanRows, Subject};
use crate::drift::coverage::{Coverage, Totals};
use crate::drift::current::{Current, Entry, Span, SpanLength};
use crate::drift::decide::{Allowance, Policy};
use crate::drift::live::Live;
use crate::drift::memo::Memo;
use crate::drift::report::{Level, ModelReport, Report, SpanName};
use crate::metrics::tap::TapCounters;
use crate::model::{ModelName, Schema};
use crate::timestamp::Timestamp;
use crate::window::{StoredRow, Window};
use pace::Pace;

/// When and how checks are made.
#[derive(Debug, Clone)]
pub struct Config {
    /// Time between checks.
    pub every: Duration,
    /// The span that decides.
    pub main: Span,
    /// The early span, which only warns.
    pub fast: Option<Span>,
    /// False alarms allowed for the process.
    pub allowance: Allowance,
    /// How columns without a policy of their own are decided.
    pub policy: Policy,
    /// The least coverage a verdict stands on.
    pub min_coverage: f64,
}

/// One model under watch.
#[derive(Debug)]
pub struct Watched {
    /// Its name.
    pub name: ModelName,
    /// Its version.
    pub version: String,
    /// Its columns.
    pub schema: Arc<Schema>,
    /// A policy per column.
    pub policies: Vec<Policy>,
    /// Its reference and rows; `None` without a reference.
    pub live: Option<Arc<Live>>,
    /// The verdicts that stand, as the window had them.
    pub alarms: Alarms,
    /// Whether rows of another reference or version came before (`warming`).
    pub changed: bool,
}

/// The stage itself.
#[derive(Debug)]
pub struct Monitor {
    config: Config,
    models: Vec<Tracked>,
    window: Window,
    counters: Arc<TapCounters>,
    report: Arc<ArcSwap<Report>>,
    durations: Arc<Durations>,
    memo: Memo,
}

/// How long the last check of each model took, for the metrics.
#[derive(Debug)]
pub struct Durations(Vec<ArcSwap<Option<Duration>>>);

/// A model with what the monitor remembers of it between checks.
#[derive(Debug)]
struct Tracked {
    watched: Watched,
    coverage: Coverage,
    last: Vec<(SpanName, Decided)>,
    /// The last level announced; `None` before the first report, which announces nothing new.
    level: Option<Level>,
    /// Verdicts the window does not hold yet.
    unsaved: bool,
}

// === impl Config ===

impl Config {
    /// The spans compared, main first.
    pub fn spans(&self) -> impl Iterator<Item = (SpanName, Span)> {
        let fast = self.fast.clone().map(|span| (SpanName::Fast, span));
        std::iter::once((SpanName::Main, self.main.clone())).chain(fast)
    }
}

// === impl Durations ===

impl Durations {
    /// None yet, for so many models.
    #[must_use]
    pub fn new(models: usize) -> Self {
        Self((0..models).map(|_| ArcSwap::from_pointee(None)).collect())
    }

    /// How long the last check of the model at `index` took.
    #[must_use]
    pub fn last(&self, index: usize) -> Option<Duration> {
        self.0.get(index).and_then(|duration| **duration.load())
    }
}

// === impl Monitor ===

impl Monitor {
    /// Reads the rows under comparison back from the window and makes the first report, so that a
    /// restart shows what stood before it.
    #[must_use]
    pub fn start(
        config: Config,
        models: Vec<Watched>,
        window: Window,
        counters: Arc<TapCounters>,
        report: Arc<ArcSwap<Report>>,
        durations: Arc<Durations>,
        now: Timestamp,
    ) -> Self {
        let models = (models.into_iter().enumerate())
            .map(|(index, watched)| {
                if let Some(live) = &watched.live {
                    rebuild(&window, index, live, now);
                }
                let oldest = watched.live.as_ref().and_then(|live| {
                    let spans = live.spans();
                    let (_, main) = spans.first()?;
                    main.select(now).rows.first().map(|row| row.time)
                });
                let from = compared_since(&watched, oldest, now);
                let before = window.coverage(index, from).unwrap_or_default();
                Tracked::new(watched, Coverage::new(before, from, now), now)
            })
            .collect();
        let mut monitor = Self {
            config,
            models,
            window,
            counters,
            report,
            durations,
            memo: Memo::default(),
        };
        monitor.check(now, &mut Pace::hurried());
        monitor
    }

    /// Checks every [`Config::every`] until `stop` hangs up. Blocks: give it a thread.
    pub fn run(mut self, stop: &Receiver<()>) {
        lower_priority();
        let mut next = Instant::now() + self.config.every;
        loop {
            let wait = next.saturating_duration_since(Instant::now());
            match stop.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return self.save_rest(),
            }
            // A defect in one check must not end all later ones.
            let check = AssertUnwindSafe(|| self.check(Timestamp::now(), &mut Pace::gentle(stop)));
            if catch_unwind(check).is_err() {
                tracing::error!("Check failed by a defect in driftd; the verdicts before it stand");
            }
            // A check that took longer than its interval does not run again at once.
            next = (next + self.config.every).max(Instant::now());
        }
    }

    /// Tests of one check of all models: what the budget is shared by.
    fn tests(&self) -> usize {
        let live = self
            .models
            .iter()
            .filter_map(|model| model.watched.live.as_ref());
        let tests = live.map(|live| live.reference.tests());
        tests.sum::<usize>() * self.config.spans().count()
    }

    /// Stores the verdicts that could not be stored when they were made.
    fn save_rest(&mut self) {
        let report = self.report.load_full();
        for (index, tracked) in self.models.iter_mut().enumerate() {
            if let Some(report) = report.models.get(index).filter(|_| tracked.unsaved) {
                save(&self.window, index, tracked, report);
            }
        }
    }

    /// One check of every model.
    fn check(&mut self, now: Timestamp, pace: &mut Pace<'_>) {
        let mut reports = Vec::with_capacity(self.models.len());
        for index in 0..self.models.len() {
            let started = Instant::now();
            match self.check_model(index, now, pace) {
                Some(report) => reports.push(report),
                // Asked to stop in the middle: what stood, stands.
                None => return,
            }
            if let Some(slot) = self.durations.0.get(index) {
                slot.store(Arc::new(Some(started.elapsed())));
            }
        }
        self.report.store(Arc::new(Report { models: reports }));
    }

    fn check_model(
        &mut self,
        index: usize,
        now: Timestamp,
        pace: &mut Pace<'_>,
    ) -> Option<ModelReport> {
        let totals = totals(&self.counters, index);
        let tests = self.tests();
        let tracked = &mut self.models[index];
        tracked.not_after(now);
        let Watched {
            name,
            version,
            schema,
            policies,
            live,
            changed,
            ..
        } = &tracked.watched;
        let mut spans = match live {
            Some(live) => select(&self.window, index, live, now, &tracked.last),
            None => Vec::new(),
        };
        let oldest = spans.first().and_then(|span| span.rows.first());
        let from = compared_since(&tracked.watched, oldest.map(|row| row.time), now);
        let coverage = tracked.coverage.read(now, totals, from);
        let info = live.as_ref().map(|live| live.reference.info());
        let tracks = live
            .as_ref()
            .map_or_else(Vec::new, |live| live.reference.tracks());
        let dependence = match live {
            Some(live) => calibrate(live, &mut spans, pace)?,
            None => Vec::new(),
        };
        let subject = Subject {
            model: name,
            version,
            schema,
            reference: info.as_ref(),
            tracks: &tracks,
            dependence: Dependence::Measured(&dependence),
            policies,
            allowance: self.config.allowance,
            tests,
            min_coverage: self.config.min_coverage,
            changed: *changed,
            describe: true,
        };
        let mut alarms = tracked.watched.alarms.clone();
        let memo = &mut self.memo;
        let mut check = ModelCheck::begin(subject, spans, coverage, &mut alarms, memo, now);
        while pace.slice(|| check.step())? {}
        let checked = check.finish();
        tracked.remember(&checked.decided);
        tracked.watched.alarms = alarms;
        tracked.announce(&checked.report, &checked.changes);
        tracked.unsaved |= !checked.decided.is_empty() || !checked.changes.is_empty();
        if tracked.unsaved {
            save(&self.window, index, tracked, &checked.report);
        }
        Some(checked.report)
    }
}

// === impl Tracked ===

impl Tracked {
    fn new(watched: Watched, coverage: Coverage, now: Timestamp) -> Self {
        let main = Decided {
            at: watched.alarms.evaluated_at,
            row: watched.alarms.evaluated_row,
            alpha: None,
        };
        let newest = watched.live.as_ref().map_or(0, |live| {
            let spans = live.spans();
            spans
                .iter()
                .map(|(_, current)| current.newest())
                .max()
                .unwrap_or(0)
        });
        // When the fast span was last decided is not stored: after a restart it waits for rows.
        let fast = match main.at {
            Some(_) => Decided {
                at: Some(now),
                row: newest,
                alpha: None,
            },
            None => main,
        };
        Self {
            coverage,
            last: vec![(SpanName::Main, main), (SpanName::Fast, fast)],
            level: None,
            unsaved: false,
            watched,
        }
    }

    /// Forgets decisions of the future: the clock was set back, and time counts from now.
    fn not_after(&mut self, now: Timestamp) {
        for (_, last) in &mut self.last {
            last.at = last.at.map(|at| at.min(now));
        }
    }

    fn remember(&mut self, decided: &[(SpanName, Decided)]) {
        for (name, fresh) in decided {
            for (_, last) in self.last.iter_mut().filter(|(known, _)| known == name) {
                *last = *fresh;
            }
        }
    }

    /// Logs every change of a verdict, once.
    fn announce(&mut self, report: &ModelReport, changes: &[Change]) {
        for Change { key, alarm } in changes {
            let feature = report.features.iter().find(|f| *f.name == *key.column);
            let sentence = feature.map_or("", |f| f.sentence.as_str());
            let (model, feature) = (report.model.as_str(), key.column.as_str());
            let (test, span) = (key.test.as_str(), key.span.as_str());
            if alarm.drifted && key.span == SpanName::Main {
                tracing::warn!(model, feature, test, span, sentence, "Drift detected");
            } else if alarm.drifted {
                tracing::info!(
                    model,
                    feature,
                    test,
                    span,
                    "Newest rows differ from the reference"
                );
            } else {
                tracing::info!(model, feature, test, span, sentence, "Drift ended");
            }
        }
        let before = self.level.replace(report.level);
        if let Some(before) = before.filter(|before| *before != report.level) {
            tracing::info!(
                model = report.model.as_str(),
                from = before.as_str(),
                to = report.level.as_str(),
                state = report.state.as_str(),
                "Level changed"
            );
        }
    }
}

/// The autocorrelation times as the rows so far tell them. Where one becomes known, the spans are
/// decided anew.
fn calibrate(live: &Live, spans: &mut [SpanRows], pace: &mut Pace<'_>) -> Option<Vec<Option<f64>>> {
    let known = |times: &[Option<f64>]| times.iter().flatten().count();
    let before = known(&live.since().dependence());
    let waiting = live.since().waiting();
    for waiting in waiting {
        let estimate = pace.slice(|| waiting.estimate())?;
        live.since().learn(estimate);
    }
    let times = live.since().dependence();
    if known(&times) > before {
        spans.iter_mut().for_each(SpanRows::decide_anew);
    }
    Some(times)
}

/// Stores the standing verdicts; what is refused now is tried again at the next check.
fn save(window: &Window, index: usize, tracked: &mut Tracked, report: &ModelReport) {
    let saved = window.save_check(index, report, &tracked.watched.alarms);
    tracked.unsaved = saved.is_err();
    if let Err(error) = saved {
        let model = tracked.watched.name.as_str();
        tracing::warn!(%error, model, "Verdict not written to the window yet");
    }
}

/// Exchanges of a model captured and lost so far.
fn totals(counters: &TapCounters, model: usize) -> Totals {
    let counted = counters.snapshot(model);
    Totals {
        captured: counted.checked,
        lost: counted.undecodable + counted.dropped,
    }
}

/// Since when rows are compared: the oldest row of the main span, not before the reference.
fn compared_since(watched: &Watched, oldest: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let loaded = watched.live.as_ref().map(|live| live.reference.loaded_at);
    match (oldest, loaded) {
        (Some(oldest), Some(loaded)) => oldest.max(loaded),
        (oldest, loaded) => oldest.or(loaded).unwrap_or(now),
    }
}

/// The rows to compare, read back from the window where memory no longer holds enough of them.
fn select(
    window: &Window,
    index: usize,
    live: &Live,
    now: Timestamp,
    last: &[(SpanName, Decided)],
) -> Vec<SpanRows> {
    let spans = selected(live, now, last);
    if spans.iter().any(|(_, incomplete)| *incomplete) {
        rebuild(window, index, live, now);
        return spans_of(selected(live, now, last));
    }
    spans_of(spans)
}

fn spans_of(selected: Vec<(SpanRows, bool)>) -> Vec<SpanRows> {
    selected.into_iter().map(|(span, _)| span).collect()
}

/// What memory holds of each span, and whether that is less than the span calls for.
fn selected(live: &Live, now: Timestamp, last: &[(SpanName, Decided)]) -> Vec<(SpanRows, bool)> {
    let decided = |name: SpanName| {
        let known = last.iter().find(|(known, _)| *known == name);
        known.map_or_else(Decided::default, |(_, last)| *last)
    };
    let span = |(name, current): &(SpanName, Current)| {
        let selection = current.select(now);
        let rows = SpanRows {
            name: *name,
            size: selection.rows.len(),
            rows: selection.rows,
            population: selection.population,
            alerts: true,
            min_rows: current.span().min_rows,
            length: match current.span().length {
                SpanLength::Time(length) => Some(length),
                SpanLength::Rows(_) => None,
            },
            last: decided(*name),
        };
        (rows, selection.incomplete)
    };
    live.spans().iter().map(span).collect()
}

/// Reads the rows under comparison back from the window. The lock is held meanwhile: rows the
/// recorder commits and then appends come after, and those already read back are passed over.
fn rebuild(window: &Window, index: usize, live: &Live, now: Timestamp) {
    let entry = |row: StoredRow| Entry {
        id: row.id,
        priority: row.priority,
        time: row.time,
        values: Arc::new(live.reference.encode(&row.cells)),
    };
    for (name, current) in live.spans().iter_mut() {
        let span = current.span().clone();
        let (newest, sample) = match span.length {
            SpanLength::Rows(rows) => (rows, None),
            SpanLength::Time(length) => (span.min_rows, Some(now.minus(length))),
        };
        let read = window.recent_rows(index, newest).and_then(|recent| {
            let (sample, complete) = match sample {
                Some(from) => window.sample_rows(index, from, span.max_rows + span.max_rows / 8)?,
                None => (Vec::new(), true),
            };
            Ok((recent, sample, complete))
        });
        match read {
            Ok((recent, sample, complete)) => {
                let recent = recent.into_iter().map(entry).collect();
                let sample = sample.into_iter().map(entry).collect();
                current.rebuild(recent, sample, complete);
            }
            Err(error) => {
                tracing::warn!(%error, span = name.as_str(), "Rows not read back from the window; comparing those in memory");
            }
        }
    }
}

/// Lets every other thread of the machine go first. Only raising the priority again would need a
/// privilege.
fn lower_priority() {
    if let Err(error) = rustix::process::setpriority_process(None, 19) {
        tracing::debug!(%error, "Monitor keeps its priority");
    }
}
