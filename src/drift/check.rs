//! One check of one model: every column over every span, a slice at a time, then the verdict.
//!
//! The caller makes slices of it (one column each) and rests between them. Every check measures; it
//! decides only where a tenth of a span is new, because deciding again on nearly the same rows costs
//! budget and says nothing new.

mod span;

pub use span::{Decided, SpanRows};

use crate::feature::Column;
use crate::model::{ModelName, Schema};
use crate::timestamp::{Timestamp, compact};

use super::alarm::{Alarm, AlarmKey, Alarms};
use super::decide::{Allowance, Critical, Policy, Rule, detectable_shift};
use super::explain;
use super::measure::{Measurement, measure};
use super::reference::{ColumnReference, Reference};
use super::report::{
    Budget, CheckReport, FeatureReport, Level, ModelReport, ReferenceInfo, SpanName, State, Test,
};

/// At least a tenth of `min_rows` values must be present: a test is valid on few values, but a column
/// that is nearly always missing says little by them.
const PRESENT_SHARE: usize = 10;

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
    pub reference: Option<&'a Reference>,
    /// A policy per column of the schema.
    pub policies: &'a [Policy],
    /// The false alarms allowed.
    pub allowance: Allowance,
    /// Tests that share them: those of every model of the process, over every span.
    pub tests: usize,
    /// The least coverage a verdict stands on, 0 to 1.
    pub min_coverage: f64,
    /// Whether rows before the reference or version in force exist (`warming`, not `insufficient`).
    pub changed: bool,
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
    critical: Critical,
    features: Vec<FeatureReport>,
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

// === impl ModelCheck ===

impl<'a> ModelCheck<'a> {
    /// Begins a check at `now` over `spans`, main first.
    pub fn begin(
        subject: Subject<'a>,
        spans: Vec<SpanRows>,
        coverage: Option<f64>,
        alarms: &'a mut Alarms,
        now: Timestamp,
    ) -> Self {
        Self {
            subject,
            spans,
            now,
            coverage,
            alarms,
            critical: Critical::default(),
            features: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Checks the column at `index` of the schema over every span.
    pub fn column(&mut self, index: usize) {
        let column = &self.subject.schema.columns()[index];
        let reference = self
            .subject
            .reference
            .and_then(|r| r.columns[index].as_ref());
        let report = match reference {
            Some(reference) => self.compare(index, column, reference),
            None => without_reference(column),
        };
        self.features.push(report);
    }

    /// Ranks the columns and sums them up.
    #[must_use]
    pub fn finish(mut self) -> Checked {
        let rank = |f: &FeatureReport| {
            let loud = (f.drifted == Some(true), f.level);
            (loud, f.severity.unwrap_or(-1.0))
        };
        self.features.sort_by(|a, b| {
            let (a, b) = (rank(a), rank(b));
            b.0.cmp(&a.0).then(b.1.total_cmp(&a.1))
        });
        let covered = self.covered();
        let main_rows = self.spans.first().map_or(0, |span| span.rows.len());
        let spends = self.spends();
        let decided: Vec<(SpanName, Decided)> = (self.spans.iter())
            .filter(|span| covered && span.ripe() && !span.stale(self.now))
            .filter(|span| span.rows.len() >= span.min_rows)
            .filter(|span| !spends || self.alpha(span) > 0.0)
            .filter_map(|span| {
                let decided = Decided {
                    at: Some(self.now),
                    row: span.newest()?.id,
                    alpha: Some(self.alpha(span)),
                };
                Some((span.name, decided))
            })
            .collect();
        if let Some((_, main)) = decided.iter().find(|(name, _)| *name == SpanName::Main) {
            self.alarms.evaluated_row = main.row;
            self.alarms.evaluated_at = main.at;
        }
        let state = self.state();
        let level = self
            .features
            .iter()
            .map(|f| f.level)
            .max()
            .unwrap_or_default();
        let drifted = match state {
            State::Drifted => Some(true),
            State::Ok | State::Constant => Some(false),
            _ => None,
        };
        let Subject {
            model,
            version,
            reference,
            ..
        } = self.subject;
        let report = ModelReport {
            model: model.clone(),
            version: version.to_owned(),
            reference: reference.map(|reference| ReferenceInfo {
                hash: reference.hash.clone(),
                rows: reference.rows,
                loaded_at: reference.loaded_at,
            }),
            rows: main_rows,
            spans: (self.spans.iter())
                .map(|span| (span.name, span.rows.len()))
                .collect(),
            checked_at: Some(self.now),
            evaluated_at: self.alarms.evaluated_at,
            coverage: self.coverage,
            calibrated: false,
            state,
            drifted,
            level,
            sentence: explain::model(state, level, &self.features, main_rows, self.coverage),
            budget: self.budget(),
            checks: Vec::new(),
            features: self.features,
        };
        Checked {
            report,
            changes: self.changes,
            decided,
        }
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
        policies.any(|policy| policy.rule == Rule::Budget)
    }

    fn covered(&self) -> bool {
        (self.coverage).is_none_or(|coverage| coverage >= self.subject.min_coverage)
    }

    fn compare(
        &mut self,
        index: usize,
        column: &Column,
        reference: &ColumnReference,
    ) -> FeatureReport {
        let policy = self.subject.policies[index];
        let alphas: Vec<f64> = self.spans.iter().map(|span| self.alpha(span)).collect();
        let spans = std::mem::take(&mut self.spans);
        let mut checks = Vec::with_capacity(spans.len());
        let mut main: Option<(Measurement, f64)> = None;
        let mut since = None;
        let mut severity = None;
        for (span, alpha) in spans.iter().zip(alphas) {
            let values = span.rows.iter().map(|row| row.values[index]);
            let measured = measure(reference, values);
            let (check, alarm, relative) = self.judge(column, (policy, alpha), span, &measured);
            if span.name == SpanName::Main {
                since = alarm.filter(|alarm| alarm.drifted).map(|alarm| alarm.since);
                severity = relative;
                main = Some((measured, check.threshold.unwrap_or(f64::NAN)));
            }
            checks.push(check);
        }
        self.spans = spans;
        let min_rows = self.spans.first().map_or(0, |span| span.min_rows);
        let Some((measured, threshold)) = main else {
            return without_reference(column);
        };
        let verdict = checks[0].clone();
        let sentence = match verdict.state {
            State::Insufficient | State::Warming => {
                explain::too_few(&column.name, measured.n_current, measured.rows, min_rows)
            }
            state => explain::column(&column.name, state, &verdict, &measured),
        };
        let share = |count: usize, of: usize| (of > 0).then(|| count as f64 / of as f64);
        let categorical = measured.test == Test::Chi2;
        FeatureReport {
            name: column.name.clone(),
            role: column.role,
            kind: Some(reference.kind()),
            state: verdict.state,
            drifted: verdict.drifted,
            level: checks
                .iter()
                .map(|check| check.level)
                .max()
                .unwrap_or_default(),
            since,
            severity,
            detectable: (!categorical)
                .then(|| detectable_shift(threshold))
                .flatten(),
            missing: share(measured.missing, measured.rows),
            mistyped: share(measured.mistyped, measured.rows),
            unseen: share(measured.unseen, measured.n_current).filter(|_| categorical),
            quantiles: measured.quantiles,
            sentence,
            checks,
            picture: Some(measured.picture).filter(|_| measured.n_current > 0),
        }
    }

    /// The verdict over one span: a fresh decision where one is due, else the one that stands.
    fn judge(
        &mut self,
        column: &Column,
        (policy, alpha): (Policy, f64),
        span: &SpanRows,
        measured: &Measurement,
    ) -> (CheckReport, Option<Alarm>, Option<f64>) {
        let key = AlarmKey {
            column: column.name.to_string(),
            test: measured.test,
            span: span.name,
        };
        let mut standing = self.alarms.get(&key);
        let raised = standing.filter(|alarm| alarm.drifted);
        // What a quiet time could pay for, the next check need not be able to.
        let at = raised.map_or(alpha, |alarm| alarm.alpha.max(alpha));
        let decision = policy
            .at(at)
            .decide(measured, raised.is_some(), &mut self.critical);
        let obstacle = self.obstacle(span, measured);
        if let (None, Some(decision)) = (obstacle, decision)
            && (span.ripe() || standing.is_none())
        {
            let fresh = Alarm {
                drifted: decision.drifted,
                since: self.now,
                alpha,
            };
            let (alarm, changed) = self.alarms.decide(key.clone(), fresh);
            if changed {
                self.changes.push(Change { key, alarm });
            }
            standing = Some(alarm);
        }
        let drifted = standing.is_some_and(|alarm| alarm.drifted);
        // Only evidence clears an alarm: it stands while nothing can be decided.
        let state = match obstacle {
            _ if drifted => State::Drifted,
            Some(obstacle) => obstacle,
            None => State::Ok,
        };
        let level = match (state, span.name) {
            (State::Drifted | State::TypeChanged, SpanName::Main) => Level::Alert,
            (State::Drifted | State::TypeChanged, _) | (State::LowCoverage, SpanName::Main) => {
                Level::Warn
            }
            // Enough rows, and not one of them holds a value.
            (State::Insufficient | State::Warming, SpanName::Main)
                if measured.rows >= span.min_rows && measured.missing == measured.rows =>
            {
                Level::Warn
            }
            _ => Level::Ok,
        };
        let verdict = match state {
            State::Drifted => Some(true),
            State::Ok | State::Constant => Some(false),
            _ => None,
        };
        // Below min_rows no figure is exported: it would be noise with a name.
        let few = measured.rows < span.min_rows;
        let shown = !few && !matches!(state, State::Insufficient | State::Warming);
        let result = measured.result.filter(|_| shown);
        let decision = decision.filter(|_| shown);
        let report = CheckReport {
            test: measured.test,
            span: span.name,
            state,
            drifted: verdict,
            level,
            statistic: result.map(|r| r.statistic),
            p_value: result.map(|r| r.p_value),
            log10_p: result.map(|r| r.log10_p),
            decision_p: decision.map(|d| d.decision_p),
            threshold: decision.and_then(|d| d.threshold),
            n_reference: measured.n_reference,
            n_current: measured.n_current,
            n_effective: measured.n_current as f64,
            location: result.and_then(|r| r.location),
            sign: result.and_then(|r| r.sign),
            effect: result.map(|r| r.effect),
        };
        (report, standing, decision.and_then(|d| d.severity))
    }

    /// What stands in the way of a decision, if anything does.
    fn obstacle(&self, span: &SpanRows, measured: &Measurement) -> Option<State> {
        let present = measured.rows - measured.missing;
        if !self.covered() {
            Some(State::LowCoverage)
        } else if measured.mistyped * 2 > present && present * PRESENT_SHARE >= span.min_rows {
            Some(State::TypeChanged)
        } else if measured.rows < span.min_rows
            || measured.n_current * PRESENT_SHARE < span.min_rows
            || measured.n_reference == 0
        {
            Some(if self.subject.changed {
                State::Warming
            } else {
                State::Insufficient
            })
        } else if span.stale(self.now) {
            Some(State::Stale)
        } else if measured.constant {
            Some(State::Constant)
        } else {
            None
        }
    }

    /// The worst that holds for any column.
    fn state(&self) -> State {
        let ranked = [
            State::Drifted,
            State::TypeChanged,
            State::LowCoverage,
            State::Stale,
            State::Ok,
            State::Constant,
            State::Warming,
            State::Insufficient,
        ];
        let holds = |state: &State| self.features.iter().any(|f| f.state == *state);
        ranked.into_iter().find(holds).unwrap_or(State::NoReference)
    }

    fn budget(&self) -> Option<Budget> {
        let since = self.subject.reference?.loaded_at;
        let Allowance { alarms, per } = self.subject.allowance;
        // Checks spend all the time since the last one, so what is spent is the time that passed.
        let periods = self
            .alarms
            .evaluated_at
            .unwrap_or(since)
            .since(since)
            .as_secs_f64()
            / per.as_secs_f64();
        self.spends().then(|| Budget {
            per: compact(per),
            allowed: alarms,
            spent: alarms * periods.min(1.0),
        })
    }
}

fn without_reference(column: &Column) -> FeatureReport {
    FeatureReport {
        name: column.name.clone(),
        role: column.role,
        kind: column.kind,
        state: State::NoReference,
        drifted: None,
        level: Level::Ok,
        since: None,
        severity: None,
        detectable: None,
        missing: None,
        mistyped: None,
        unseen: None,
        quantiles: None,
        sentence: format!(
            "{} is not compared: the reference does not hold it, or it is not stored.",
            column.name
        ),
        checks: Vec::new(),
        picture: None,
    }
}

#[cfg(test)]
mod tests;
