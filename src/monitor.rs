//! The monitor: on a timer, compares each model's current rows with its reference, keeps the
//! verdicts, writes the history, publishes the report.
//!
//! Invariant: it runs on a thread of its own at the lowest priority, in slices of one column with
//! rests nine times as long between them (but for checks a person waits for), and nothing on the
//! path of traffic waits for it.

mod command;
mod pace;
mod rows;
mod tracked;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::drift::Reference;
use crate::drift::accept::{Acceptance, Ended, Terms};
use crate::drift::alarm::Alarms;
use crate::drift::check::{Dependence, ModelCheck, Subject};
use crate::drift::coverage::{Coverage, Totals};
use crate::drift::current::Span;
use crate::drift::decide::{Allowance, Policy};
use crate::drift::live::{Live, Lives};
use crate::drift::memo::Memo;
use crate::drift::report::{ModelReport, Report, SpanName};
use crate::metrics::tap::TapCounters;
use crate::model::{ModelName, Schema};
use crate::timestamp::Timestamp;
use crate::window::Window;
pub use command::{Command, MOST_WAITING, Refused, Reply};
use pace::Pace;
use rows::{rebuild, select};
use tracked::Tracked;

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
    /// Where the time each check took goes.
    pub durations: Arc<Durations>,
    /// The comparisons in force; only the monitor replaces them.
    pub lives: Arc<Lives>,
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
            links,
            memo: Memo::default(),
        };
        monitor.check(now, &mut Pace::hurried());
        monitor
    }

    /// Checks every [`Config::every`], and obeys commands between checks, until told to stop. Blocks:
    /// give it a thread.
    pub fn run(mut self, commands: &Receiver<Command>) {
        lower_priority();
        let mut next = Instant::now() + self.config.every;
        let mut yields = true;
        loop {
            let wait = next.saturating_duration_since(Instant::now());
            match commands.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(command) => {
                    self.obey(command);
                    continue;
                }
            }
            let mut pace = Pace::gentle(commands, yields);
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
        self.save_rest();
    }

    /// Does what it is asked and says what came of it. Whoever asked may have gone: no failure.
    fn obey(&mut self, command: Command) {
        let now = Timestamp::now();
        let obey = AssertUnwindSafe(|| match command {
            Command::Accept {
                model,
                feature,
                terms,
                reply,
            } => drop(reply.send(self.accept(model, feature.as_deref(), &terms, now))),
            Command::Unaccept {
                model,
                feature,
                by,
                reply,
            } => drop(reply.send(self.take_back(model, feature.as_deref(), &by, now))),
            Command::Reference {
                model,
                reference,
                reply,
            } => drop(reply.send(self.begin(model, *reference, now))),
            Command::Stop => {}
        });
        if catch_unwind(obey).is_err() {
            tracing::error!("A command failed by a defect in driftd");
        }
    }

    fn accept(
        &mut self,
        index: usize,
        feature: Option<&str>,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Vec<Acceptance>, Refused> {
        let tracked = self.models.get_mut(index).ok_or(Refused::Unchecked)?;
        let shown = tracked.shown(now).ok_or(Refused::Unchecked)?;
        let mut next = tracked.accepted.clone();
        let fresh = next.propose(&shown, feature, terms, now)?;
        let mut ended = tracked.ended.clone();
        ended.extend(next.add(fresh.clone(), now));
        self.window.save_accepted(index, ended, fresh.clone())?;
        tracked.ended.clear();
        tracked.accepted = next;
        for Acceptance { feature, test, .. } in &fresh {
            let (model, test) = (tracked.watched.name.as_str(), test.as_str());
            let (by, reason) = (terms.by.as_str(), terms.reason.as_str());
            tracing::info!(
                model,
                feature,
                test,
                by,
                reason,
                "Accepted as the new normal"
            );
        }
        self.publish(index, now);
        Ok(fresh)
    }

    fn take_back(
        &mut self,
        index: usize,
        feature: Option<&str>,
        by: &str,
        now: Timestamp,
    ) -> Result<Vec<Ended>, Refused> {
        let tracked = self.models.get_mut(index).ok_or(Refused::Unchecked)?;
        let shown = tracked.shown(now).ok_or(Refused::Unchecked)?;
        let mut next = tracked.accepted.clone();
        let ended = next.take_back(&shown, feature, by, now)?;
        let all = [&tracked.ended[..], &ended[..]].concat();
        self.window.save_accepted(index, all, Vec::new())?;
        tracked.ended.clear();
        tracked.accepted = next;
        let model = tracked.watched.name.as_str();
        tracing::info!(model, feature, by, "No longer accepted");
        self.publish(index, now);
        Ok(ended)
    }

    /// Compares with another reference from now on: in the window and in memory at once, between two
    /// commits.
    fn begin(
        &mut self,
        index: usize,
        mut reference: Reference,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let tracked = self.models.get_mut(index).ok_or(Refused::Unchecked)?;
        reference.loaded_at = now;
        let hash = reference.hash.clone();
        let live = Arc::new(Live::new(Arc::new(reference), self.config.spans()));
        let version = &tracked.watched.version;
        self.links.lives.replace(index, Arc::clone(&live), || {
            let begun = self.window.begin_reference(index, version, &hash, now);
            begun.map(|_first_row| ())
        })?;
        tracked.begin(live, now);
        if let Some(report) = self.check_model(index, now, &mut Pace::hurried()) {
            self.put(index, report);
        }
        Ok(())
    }

    /// Shows the last check of a model again, with what is accepted now.
    fn publish(&mut self, index: usize, now: Timestamp) {
        let shown = self.models.get_mut(index).and_then(|tracked| {
            let shown = tracked.shown(now)?;
            tracked.announce_level(&shown);
            Some(shown)
        });
        if let Some(report) = shown {
            self.put(index, report);
        }
    }

    fn put(&self, index: usize, report: ModelReport) {
        let mut models = self.links.report.load().models.clone();
        if let Some(slot) = models.get_mut(index) {
            *slot = report;
        }
        self.links.report.store(Arc::new(Report { models }));
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
            if let Some(slot) = self.links.durations.0.get(index) {
                slot.store(Arc::new(Some(started.elapsed())));
            }
        }
        self.links
            .report
            .store(Arc::new(Report { models: reports }));
    }

    fn check_model(
        &mut self,
        index: usize,
        now: Timestamp,
        pace: &mut Pace<'_>,
    ) -> Option<ModelReport> {
        let totals = totals(&self.links.counters, index);
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
        let spans = match live {
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
            Some(live) => calibrate(live, pace)?,
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
        };
        let mut alarms = tracked.watched.alarms.clone();
        let memo = &mut self.memo;
        let mut check = ModelCheck::begin(subject, spans, coverage, &mut alarms, memo, now);
        while pace.slice(|| check.step())? {}
        let checked = check.finish();
        tracked.remember(&checked.decided);
        tracked.watched.alarms = alarms;
        tracked.checked = Some(checked.report);
        let report = tracked.shown(now)?;
        tracked.announce(&report, &checked.changes);
        tracked.unsaved |= !checked.decided.is_empty() || !checked.changes.is_empty();
        save(&self.window, index, tracked, &report);
        Some(report)
    }
}

/// The autocorrelation times as the rows so far tell them.
fn calibrate(live: &Live, pace: &mut Pace<'_>) -> Option<Vec<Option<f64>>> {
    let waiting = live.since().waiting();
    for waiting in waiting {
        let estimate = pace.slice(|| waiting.estimate())?;
        live.since().learn(estimate);
    }
    Some(live.since().dependence())
}

/// Stores the standing verdicts and ends of acceptances, where there is anything new; what is
/// refused now is tried again at the next check.
fn save(window: &Window, index: usize, tracked: &mut Tracked, report: &ModelReport) {
    let model = tracked.watched.name.as_str();
    if tracked.unsaved {
        let saved = window.save_check(index, report, &tracked.watched.alarms);
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
