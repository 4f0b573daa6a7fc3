//! The monitor: on a timer, compares each model's current rows with its reference, keeps the
//! verdicts, writes the history, publishes the report.
//!
//! Invariant: it runs on a thread of its own at the lowest priority, in slices of one column with
//! rests nine times as long between them (but for checks a person waits for), and nothing on the
//! path of traffic waits for it.

mod command;
mod learning;
mod obey;
mod pace;
mod past;
mod rows;
mod tracked;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::drift::accept::Acceptance;
use crate::drift::alarm::Alarms;
use crate::drift::check::{Decided, Dependence, Lifetime, ModelCheck, SpanRows, Subject};
use crate::drift::coverage::{Coverage, Totals};
use crate::drift::current::Span;
use crate::drift::decide::{Allowance, Policy};
use crate::drift::explain;
use crate::drift::history::History;
use crate::drift::live::{Live, Lives};
use crate::drift::memo::Memo;
use crate::drift::report::{ModelReport, Report, SpanName};
use crate::metrics::tap::TapCounters;
use crate::model::{ModelName, Schema};
use crate::pulse::{self, Pulse};
use crate::timestamp::Timestamp;
use crate::window::Window;
pub use command::{Command, MOST_WAITING, Refused, Reply};
pub use learning::Learning;
use learning::Progress;
use pace::Pace;
use rows::{rebuild, recall, select};
use tracked::Tracked;

/// Traffic that goes round with the day is all over the place before a day is full.
const DEFAULT_SEASON: Duration = Duration::from_secs(86_400);

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
    /// How long the traffic takes to go through all it does; a shorter span is compared with the same
    /// hours of the reference where it knows them, else it only warns.
    pub season: Option<Duration>,
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
    /// How it gets a reference, where it has none.
    pub learning: Option<Learning>,
    /// The verdicts that stand, as the window had them.
    pub alarms: Alarms,
    /// What is accepted as the new normal, as the window had it.
    pub accepted: Vec<Acceptance>,
    /// Whether rows of another reference or version came before (`warming`).
    pub changed: bool,
}

/// The stage itself.
#[derive(Debug)]
pub struct Monitor {
    config: Config,
    models: Vec<Tracked>,
    window: Window,
    links: Links,
    memo: Memo,
}

/// What the monitor shares with other stages.
#[derive(Debug, Clone)]
pub struct Links {
    /// Where exchanges are counted.
    pub counters: Arc<TapCounters>,
    /// Where reports are published.
    pub report: Arc<ArcSwap<Report>>,
    /// Where what happened before is published.
    pub history: Arc<ArcSwap<History>>,
    /// Where the time each check took goes.
    pub durations: Arc<Durations>,
    /// The comparisons in force; only the monitor replaces them.
    pub lives: Arc<Lives>,
    /// Proof that the monitor goes on.
    pub pulse: Pulse,
}

/// How long the last check of each model took, for the metrics.
#[derive(Debug)]
pub struct Durations(Vec<ArcSwap<Option<Duration>>>);

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
        links: Links,
        now: Timestamp,
    ) -> Self {
        (links.history).store(Arc::new(past::restore(&window, &models)));
        let models = (models.into_iter().enumerate())
            .map(|(index, watched)| {
                if let Some(live) = &watched.live {
                    rebuild(&window, index, live, now);
                    recall(&window, index, live, watched.alarms.since.clone());
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
            links,
            memo: Memo::default(),
        };
        let mut pace = Pace::hurried(&monitor.links.pulse);
        monitor.check(now, &mut pace);
        for report in &monitor.links.report.load().models {
            if let (Some(shift), Some(reference)) = (report.detectable, &report.reference) {
                let (model, rows) = (report.model.as_str(), reference.rows);
                let shift = explain::figure((shift * 100.0).round() / 100.0);
                tracing::info!(
                    model,
                    "Smallest shift detectable: about {shift} σ with {rows} reference rows"
                );
            }
        }
        monitor
    }

    /// Checks every [`Config::every`], and obeys commands between checks, until told to stop. Blocks:
    /// give it a thread.
    pub fn run(mut self, commands: &Receiver<Command>) {
        lower_priority();
        let pulse = self.links.pulse.clone();
        let _beating = pulse.begin();
        let mut next = Instant::now() + self.config.every;
        let mut yields = true;
        loop {
            let wait = next.saturating_duration_since(Instant::now());
            let received = commands.recv_timeout(wait.min(pulse::INTERVAL));
            pulse.beat();
            match received {
                Err(RecvTimeoutError::Timeout) if wait > pulse::INTERVAL => continue,
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(command) => {
                    self.obey(command);
                    continue;
                }
            }
            let mut pace = Pace::gentle(commands, &pulse, yields);
            // A defect in one check must not end all later ones.
            let check = AssertUnwindSafe(|| self.check(Timestamp::now(), &mut pace));
            if catch_unwind(check).is_err() {
                tracing::error!("Check failed by a defect in driftd; the verdicts before it stand");
            }
            if pace.stopped() {
                break;
            }
            // Ended for a person who waits, it is made again at once, and then to its end.
            let again = pace.interrupted();
            yields = !again;
            let waiting = pace.into_waiting();
            waiting.into_iter().for_each(|command| self.obey(command));
            if again {
                continue;
            }
            // A check that took longer than its interval does not run again at once.
            next = (next + self.config.every).max(Instant::now());
        }
        pulse.waits(|| self.save_rest());
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
        let report = self.links.report.load_full();
        for (index, tracked) in self.models.iter_mut().enumerate() {
            if let Some(report) = report.models.get(index) {
                save(&self.window, index, tracked, report, &SpanName::ALL);
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
            if let Some(slot) = self.links.durations.0.get(index) {
                slot.store(Arc::new(Some(started.elapsed())));
            }
        }
        self.links
            .report
            .store(Arc::new(Report { models: reports }));
    }

    /// Learns the reference of a model that has none, if its rows are there.
    fn learn(&mut self, index: usize, now: Timestamp, pace: &mut Pace<'_>) -> Option<Progress> {
        let tracked = &mut self.models[index];
        if tracked.watched.learning.is_none() {
            return Some(Progress::Idle);
        }
        let (window, config, lives) = (&self.window, &self.config, &self.links.lives);
        let place = (config, &**lives);
        let pulse = &self.links.pulse;
        pace.slice(|| pulse.waits(|| learning::learn(window, index, tracked, place, now)))
    }

    fn check_model(
        &mut self,
        index: usize,
        now: Timestamp,
        pace: &mut Pace<'_>,
    ) -> Option<ModelReport> {
        let totals = totals(&self.links.counters, index);
        let learning = self.learn(index, now, pace)?;
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
            Some(live) => self.links.pulse.waits(|| {
                let season = self.config.season;
                select(&self.window, index, live, now, &tracked.last, season)
            }),
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
            Some(live) => calibrate(live, &mut spans, &mut tracked.last, pace)?,
            None => Vec::new(),
        };
        let distances = (live.as_ref()).map_or_else(Vec::new, |live| live.since().distances());
        let lifetime = Lifetime {
            distances: &distances,
            season: self.config.season.unwrap_or(DEFAULT_SEASON),
        };
        let subject = Subject {
            since: Some(lifetime),
            together: live
                .as_ref()
                .and_then(|live| live.reference.together.as_deref()),
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
            previous: tracked.checked.as_ref(),
            describe: true,
        };
        let mut alarms = tracked.watched.alarms.clone();
        let memo = &mut self.memo;
        let mut check = ModelCheck::begin(subject, spans, coverage, &mut alarms, memo, now);
        while pace.slice(|| check.step())? {}
        let checked = check.finish();
        tracked.remember(&checked.decided);
        tracked.watched.alarms = alarms;
        let mut report = checked.report;
        if let (Progress::Rows(seen), Some(wanted)) = (learning, &tracked.watched.learning) {
            learning::mark(&mut report, seen, wanted.rows);
        }
        tracked.checked = Some(report);
        let report = tracked.shown(now)?;
        tracked.announce(&report, &checked.changes);
        tracked.unsaved |= !checked.decided.is_empty() || !checked.changes.is_empty();
        if let (true, Some(live)) = (tracked.unsaved, &tracked.watched.live) {
            tracked.watched.alarms.since = Some(live.since().save());
        }
        let mut spans: Vec<SpanName> = checked.decided.iter().map(|(name, _)| *name).collect();
        spans.push(SpanName::SinceReference);
        let decided = checked
            .decided
            .first()
            .filter(|(name, _)| *name == SpanName::Main);
        let decided = decided.map(|_| &report);
        self.links.pulse.waits(|| {
            save(&self.window, index, tracked, &report, &spans);
            past::record(&self.window, &self.links, index, decided);
        });
        Some(report)
    }
}

/// The autocorrelation times as the rows so far tell them. Where one becomes known, the spans are
/// decided anew.
fn calibrate(
    live: &Live,
    spans: &mut [SpanRows],
    last: &mut [(SpanName, Decided)],
    pace: &mut Pace<'_>,
) -> Option<Vec<Option<f64>>> {
    let known = |times: &[Option<f64>]| times.iter().flatten().count();
    let before = known(&live.since().dependence());
    let waiting = live.since().waiting();
    for waiting in waiting {
        let estimate = pace.slice(|| waiting.estimate())?;
        live.since().learn(estimate);
        if known(&live.since().dependence()) > before {
            // Also for the next check, should this one be ended: until a decision is remembered.
            last.iter_mut().for_each(|(_, last)| last.row = 0);
            spans.iter_mut().for_each(SpanRows::decide_anew);
        }
    }
    Some(live.since().dependence())
}

/// Stores the standing verdicts and ends of acceptances, where there is anything new; what is
/// refused now is tried again at the next check.
fn save(
    window: &Window,
    index: usize,
    tracked: &mut Tracked,
    report: &ModelReport,
    spans: &[SpanName],
) {
    let model = tracked.watched.name.as_str();
    if tracked.unsaved {
        let saved = window.save_check(index, report, &tracked.watched.alarms, spans);
        tracked.unsaved = saved.is_err();
        if let Err(error) = saved {
            tracing::warn!(%error, model, "Verdict not written to the window yet");
        }
    }
    if !tracked.ended.is_empty() {
        match window.save_accepted(index, tracked.ended.clone(), Vec::new()) {
            Ok(()) => tracked.ended.clear(),
            Err(error) => {
                tracing::warn!(%error, model, "End of an acceptance not written to the window yet");
            }
        }
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

/// Lets every other thread of the machine go first. Only raising the priority again would need a
/// privilege.
fn lower_priority() {
    if let Err(error) = rustix::process::setpriority_process(None, 19) {
        tracing::debug!(%error, "Monitor keeps its priority");
    }
}
