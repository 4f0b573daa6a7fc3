//! The joint test of all columns over one span: a change that no single column shows.

use crate::drift::alarm::{Alarm, AlarmKey};
use crate::drift::decide::{PLAIN_ALPHA, Rule};
use crate::drift::dependence;
use crate::drift::explain;
use crate::drift::joint::{FeatureSums, JointTest, most_changed_pair};
use crate::drift::memo::careful;
use crate::drift::reference::Track;
use crate::drift::report::{CheckReport, Level, SpanName, State, Test};
use crate::drift::season::Against;
use crate::drift::together::Together;

use super::{Change, ModelCheck, SpanRows, Subject};

/// A change of correlation worth naming, in standard errors above what the largest of so many
/// pairs reaches by chance.
const NAMED: f64 = 4.0;

impl ModelCheck<'_> {
    /// Tests all columns together over every span. It only warns: its law is checked down to one
    /// in a thousand, not to what a month of checks can pay for.
    pub(super) fn together(&mut self, together: &Together) {
        let spans = std::mem::take(&mut self.spans);
        for span in &spans {
            if let Some(report) = self.joint(together, span) {
                self.joint.push(report);
            }
        }
        self.spans = spans;
    }

    /// Tests all columns together, once, by `scores` of some rows of the main span, row by row;
    /// `names` are those of the tracks.
    pub fn take_together(&mut self, together: &Together, scores: &[f32], names: &[Box<str>]) {
        let spans = std::mem::take(&mut self.spans);
        if let Some(span) = spans.first() {
            let name = |index: usize| names[index].clone();
            let report = self.joint_of(together, span, scores, &name);
            self.joint.extend(report);
        }
        self.spans = spans;
    }

    fn joint(&mut self, together: &Together, span: &SpanRows) -> Option<CheckReport> {
        if matches!(span.against, Against::Hours(_)) {
            // What is kept of all columns together knows no hours, and rows of one part of the day
            // differ from those of all.
            return None;
        }
        let most = together.most_rows().min(span.size);
        if most < span.min_rows.min(together.most_rows()) || most == 0 {
            return None;
        }
        let stride = span.size.div_ceil(most);
        let rows = span.rows.iter().step_by(stride).map(|entry| &*entry.values);
        let Subject { tracks, schema, .. } = self.subject;
        let scores = together.scores(rows, tracks);
        let name = |index: usize| {
            let track: &Track<'_> = &tracks[index];
            track.name(&schema.columns()[track.column].name)
        };
        self.joint_of(together, span, &scores, &name)
    }

    /// The test by scores of rows of `span`; `name` gives that of a track.
    fn joint_of(
        &mut self,
        together: &Together,
        span: &SpanRows,
        scores: &[f32],
        name: &dyn Fn(usize) -> Box<str>,
    ) -> Option<CheckReport> {
        let rule = self.subject.policies.first()?.rule;
        let mut sums = FeatureSums::new();
        together.features().add(scores, &mut sums);
        let tau = (0..self.subject.tracks.len())
            .filter_map(|index| self.subject.dependence.of(index))
            .fold(1.0, f64::max);
        let population = (span.population as u64).max(sums.rows());
        let worth = dependence::n_effective(sums.rows(), population, tau);
        let n_reference = together.reference().rows();
        let found = (together.reference()).test(&sums.mean(), worth, n_reference as f64)?;
        let alpha = match rule {
            Rule::PValue => PLAIN_ALPHA.next_down(),
            Rule::Budget | Rule::Guaranteed => self.alpha(span),
        };
        let alarm = self.decide_joint(span, &found, alpha);
        let drifted = alarm.is_some_and(|alarm| alarm.drifted);
        if drifted && span.name == SpanName::Main {
            self.pair = moved_pair(together, scores, name);
        }
        let obstacle = self.joint_obstacle(span);
        Some(CheckReport {
            test: Test::Mmd,
            span: span.name,
            state: match obstacle {
                _ if drifted => State::Drifted,
                Some(obstacle) => obstacle,
                None => State::Ok,
            },
            drifted: (drifted || obstacle.is_none()).then_some(drifted),
            level: if drifted { Level::Warn } else { Level::Ok },
            statistic: Some(found.statistic),
            p_value: Some(found.p),
            log10_p: Some(found.log10_p),
            decision_p: Some(found.p),
            threshold: None,
            n_reference,
            n_current: usize::try_from(sums.rows()).unwrap_or(usize::MAX),
            n_effective: worth,
            location: None,
            sign: None,
            effect: None,
            lower_bound: None,
            error_bound: None,
            adjusted_p: None,
        })
    }

    fn joint_obstacle(&self, span: &SpanRows) -> Option<State> {
        if !self.covered() {
            Some(State::LowCoverage)
        } else if span.size < span.min_rows {
            Some(State::Insufficient)
        } else if span.stale(self.now) {
            Some(State::Stale)
        } else {
            None
        }
    }

    /// A fresh decision where one is due, else the verdict that stands.
    fn decide_joint(&mut self, span: &SpanRows, found: &JointTest, alpha: f64) -> Option<Alarm> {
        let key = AlarmKey {
            column: String::new(),
            test: Test::Mmd,
            span: span.name,
        };
        let standing = self.alarms.get(&key);
        let due = span.ripe() || standing.is_none();
        if self.joint_obstacle(span).is_some() || !due || alpha <= 0.0 {
            return standing;
        }
        // A standing verdict ends where the evidence is well below what raised it.
        let raised = standing.filter(|alarm| alarm.drifted);
        let limit = raised.map_or_else(
            || careful(alpha).log10(),
            |a| 0.6 * a.alpha.max(alpha).log10(),
        );
        let fresh = Alarm {
            drifted: found.log10_p <= limit,
            since: self.now,
            alpha,
        };
        let (alarm, changed) = self.alarms.decide(key.clone(), fresh);
        if changed {
            self.changes.push(Change { key, alarm });
        }
        Some(alarm)
    }
}

/// The two columns whose correlation has changed most, in words, where it is more than chance.
fn moved_pair(
    together: &Together,
    scores: &[f32],
    name: &dyn Fn(usize) -> Box<str>,
) -> Option<String> {
    let columns = together.reference().columns();
    let found = most_changed_pair(together.kept(), scores, columns)?;
    let pairs = (columns * (columns - 1) / 2) as f64;
    if found.standard_errors.abs() < (2.0 * pairs.max(1.0).ln()).sqrt() + NAMED {
        return None;
    }
    Some(format!(
        "the correlation of {} and {} went from {} to {}",
        name(found.first),
        name(found.second),
        explain::figure((found.reference * 100.0).round() / 100.0),
        explain::figure((found.current * 100.0).round() / 100.0),
    ))
}
