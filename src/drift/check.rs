//! One check of one model: every column over every span, a slice at a time, then the verdict.
//!
//! The caller makes slices of it (one column each) and rests between them. Every check measures; it
//! decides only where a tenth of a span is new, because deciding again on nearly the same rows costs
//! budget and says nothing new.

mod column;
mod judge;
mod slow;
mod span;
mod together;
mod verdict;
mod wiring;

pub use span::{Decided, SpanRows};
pub(in crate::drift) use verdict::worst;

use std::collections::HashMap;
use std::time::Duration;

use crate::model::{ModelName, Schema};
use crate::timestamp::{Timestamp, compact};

use super::alarm::{Alarm, AlarmKey, Alarms};
use super::decide::{Allowance, Policy};
use super::memo::Memo;
use super::reference::Track;
use super::report::{
    Budget, CheckReport, FeatureReport, Level, ModelReport, ReferenceInfo, SpanName, State,
};
use super::row::Row;
use super::since::Distance;
use super::together::Together;
use super::values::Values;
use wiring::Wire;

/// Tracks taken out of the rows together: neighbouring values of a row share a line of the cache,
/// and rows lie apart. The codes of these take 1.3 MB where 10,000 rows are compared.
const TOGETHER: usize = 32;

/// What is checked, the same from check to check.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Name of the model.
    pub model: &'a ModelName,
    /// Its version.
    pub version: &'a str,
    /// Its columns.
    pub schema: &'a Schema,
    /// Its reference.
    pub reference: Option<&'a ReferenceInfo>,
    /// What is compared; columns without a track have no reference.
    pub tracks: &'a [Track<'a>],
    /// All columns together; `None` where they are not tested so.
    pub together: Option<&'a Together>,
    /// A policy per column of the schema.
    pub policies: &'a [Policy],
    /// The autocorrelation time of each track's rows.
    pub dependence: Dependence<'a>,
    /// All rows since the reference; `None` where only spans are checked.
    pub since: Option<Lifetime<'a>>,
    /// The false alarms allowed.
    pub allowance: Allowance,
    /// Tests that share them: those of every model of the process, over every span.
    pub tests: usize,
    /// The least coverage a verdict stands on, 0 to 1.
    pub min_coverage: f64,
    /// Whether rows before the reference or version in force exist (`warming`, not `insufficient`).
    pub changed: bool,
    /// The last report with this reference. What it says of a column beyond the tests (quantiles,
    /// effect sizes, picture) is said again while all is well and no tenth of the rows is new.
    pub previous: Option<&'a ModelReport>,
    /// Whether the main span is described beyond its tests at all.
    pub describe: bool,
}

/// All rows since the reference came into force.
#[derive(Debug, Clone, Copy)]
pub struct Lifetime<'a> {
    /// How far those of each track are from the reference.
    pub distances: &'a [Distance],
    /// The time the traffic takes to go through all it does: before that, it differs.
    pub season: Duration,
}

/// How rows depend on those before them.
#[derive(Debug, Clone, Copy)]
pub enum Dependence<'a> {
    /// Not at all, as is assumed of files.
    None,
    /// By the autocorrelation time of each track; `None` where it is not known yet.
    Measured(&'a [Option<f64>]),
}

/// A verdict that changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What it is about.
    pub key: AlarmKey,
    /// What holds now.
    pub alarm: Alarm,
}

/// A check in progress.
#[derive(Debug)]
pub struct ModelCheck<'a> {
    subject: Subject<'a>,
    spans: Vec<SpanRows>,
    now: Timestamp,
    /// Share of the traffic whose rows reached the window.
    coverage: Option<f64>,
    alarms: &'a mut Alarms,
    memo: &'a mut Memo,
    /// The next track.
    next: usize,
    /// Values of the tracks from `next` on that are taken out of the rows already, by span.
    taken: Vec<std::vec::IntoIter<Values<'static>>>,
    /// Room for codes that is not used.
    spare: Vec<Vec<u32>>,
    /// What the last report said of each column that was well.
    well: HashMap<&'a str, &'a FeatureReport>,
    features: Vec<FeatureReport>,
    /// The columns of the schema that were compared.
    compared: Vec<bool>,
    /// What tells wrong wiring from drift, of each track so far.
    wires: Vec<Wire>,
    /// The tests over all columns together.
    joint: Vec<CheckReport>,
    /// What the joint test saw and no column shows, in words.
    pair: Option<String>,
    changes: Vec<Change>,
}

/// A finished check.
#[derive(Debug)]
pub struct Checked {
    /// The report.
    pub report: ModelReport,
    /// Verdicts that changed.
    pub changes: Vec<Change>,
    /// The spans that were decided over.
    pub decided: Vec<(SpanName, Decided)>,
}

// === impl Dependence ===

impl Dependence<'_> {
    /// Of the track at `index`, if it is known.
    fn of(&self, index: usize) -> Option<f64> {
        match self {
            Self::None => Some(1.0),
            Self::Measured(times) => times.get(index).copied().flatten(),
        }
    }
}

// === impl ModelCheck ===

impl<'a> ModelCheck<'a> {
    /// Begins a check at `now` over `spans`, main first.
    pub fn begin(
        subject: Subject<'a>,
        spans: Vec<SpanRows>,
        coverage: Option<f64>,
        alarms: &'a mut Alarms,
        memo: &'a mut Memo,
        now: Timestamp,
    ) -> Self {
        let previous = subject.previous.into_iter().flat_map(|last| &last.features);
        let well = previous.filter(|last| last.state == State::Ok && last.level == Level::Ok);
        Self {
            well: well.map(|last| (&*last.name, last)).collect(),
            subject,
            spans,
            now,
            coverage,
            alarms,
            memo,
            next: 0,
            taken: Vec::new(),
            spare: Vec::new(),
            features: Vec::new(),
            compared: vec![false; subject.schema.columns().len()],
            wires: Vec::new(),
            joint: Vec::new(),
            pair: None,
            changes: Vec::new(),
        }
    }

    /// Does the next slice of the check; false where none is left.
    pub fn step(&mut self) -> bool {
        let Some(track) = self.subject.tracks.get(self.next) else {
            // The joint test comes last: by now every row is ranked.
            let due = self.next == self.subject.tracks.len();
            self.next += 1;
            match self.subject.together.filter(|_| due) {
                Some(together) => self.together(together),
                None => return false,
            }
            return true;
        };
        if self.next.is_multiple_of(TOGETHER) {
            let last = (self.next + TOGETHER).min(self.subject.tracks.len());
            let tracks = &self.subject.tracks[self.next..last];
            let mut gather = |span: &SpanRows| {
                let rows: Vec<&Row> = span.rows.iter().map(|entry| &*entry.values).collect();
                Values::gather(&rows, tracks, &mut self.spare).into_iter()
            };
            self.taken = self.spans.iter().map(&mut gather).collect();
        }
        let values = self.taken.iter_mut().filter_map(Iterator::next).collect();
        self.take(track, values);
        true
    }

    /// Checks one track by its values in each span.
    pub fn take(&mut self, track: &Track<'_>, values: Vec<Values<'static>>) {
        let index = self.next;
        self.next += 1;
        self.compared[track.column] = true;
        let report = self.compare(index, track, values);
        self.features.push(report);
    }

    /// Ranks the columns and sums them up.
    #[must_use]
    pub fn finish(mut self) -> Checked {
        let columns = self.subject.schema.columns().iter().zip(&self.compared);
        let left = columns.filter(|(_, compared)| !**compared);
        (self.features).extend(left.map(|(column, _)| column::without_reference(column)));
        let rank = |f: &FeatureReport| {
            let loud = (f.drifted == Some(true), f.level);
            (loud, f.severity.unwrap_or(-1.0))
        };
        self.features.sort_by(|a, b| {
            let (a, b) = (rank(a), rank(b));
            b.0.cmp(&a.0).then(b.1.total_cmp(&a.1))
        });
        let decided = self.decided();
        if let Some((_, main)) = decided.iter().find(|(name, _)| *name == SpanName::Main) {
            self.alarms.evaluated_row = main.row;
            self.alarms.evaluated_at = main.at;
            self.alarms.began = self.alarms.began.or(main.at);
        }
        let alphas = decided
            .iter()
            .filter_map(|(name, last)| Some((*name, last.alpha?)));
        self.alarms.alphas.extend(alphas);
        let cause = self.wrong_wiring();
        Checked {
            report: self.report(cause),
            changes: self.changes,
            decided,
        }
    }

    /// The spans over which this check decided.
    fn decided(&self) -> Vec<(SpanName, Decided)> {
        let covered = self.covered();
        let spends = self.spends();
        (self.spans.iter())
            .filter(|span| covered && span.ripe() && !span.stale(self.now))
            .filter(|span| span.size >= span.min_rows)
            .filter(|span| !spends || self.alpha(span) > 0.0)
            .filter_map(|span| {
                let decided = Decided {
                    at: Some(self.now),
                    row: span.newest()?.id,
                    alpha: Some(self.alpha(span)),
                };
                Some((span.name, decided))
            })
            .collect()
    }

    /// Significance of each test over `span`: what the time since its last decision pays for.
    /// Between decisions that of the last one, so that thresholds shown stand still.
    fn alpha(&self, span: &SpanRows) -> f64 {
        if let (false, Some(alpha)) = (span.ripe(), span.last.alpha) {
            return alpha;
        }
        let loaded = self.subject.reference.map(|reference| reference.loaded_at);
        let last = span.last.at.or(loaded).unwrap_or(self.now);
        (self.subject.allowance).alpha(self.now.since(last), self.subject.tests)
    }

    /// Whether any column is decided by the budget.
    fn spends(&self) -> bool {
        let mut policies = self.subject.policies.iter();
        policies.any(|policy| policy.rule.spends())
    }

    fn covered(&self) -> bool {
        (self.coverage).is_none_or(|coverage| coverage >= self.subject.min_coverage)
    }

    fn budget(&self) -> Option<Budget> {
        let since = self.subject.reference?.loaded_at;
        let Allowance { per, .. } = self.subject.allowance;
        let alarms = self.subject.allowance.own();
        // Checks spend all the time since the last one, so what is spent is the time that passed.
        let evaluated = self.alarms.evaluated_at.unwrap_or(since);
        let periods = evaluated.since(since).as_secs_f64() / per.as_secs_f64();
        self.spends().then(|| Budget {
            per: compact(per),
            allowed: alarms,
            spent: alarms * periods.min(1.0),
        })
    }
}

#[cfg(test)]
mod tests;
