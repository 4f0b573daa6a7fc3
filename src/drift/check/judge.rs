//! One test over one span: a fresh decision where one is due, else the verdict that stands.

use crate::drift::alarm::{Alarm, AlarmKey};
use crate::drift::decide::{Decision, Policy};
use crate::drift::measure::{Measurement, Tested};
use crate::drift::report::{CheckReport, Level, SpanName, State, Test};
use crate::drift::values::Samples;

use super::span::PRESENT_SHARE;
use super::{Change, ModelCheck, SpanRows};

/// Until a span of time has gone by once since the reference came into force, its rows may be those
/// of one part of the day, which differ from a reference of whole days. This many times the effect
/// floor is more than such a difference usually is (a cycle of ±.5 σ moves D by .2 at most), and
/// what a broken input easily reaches.
const PARTIAL_FLOOR: f64 = 2.5;

/// What a test is judged by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bench<'a> {
    /// Name of the track.
    pub(super) name: &'a str,
    /// How its column is decided.
    pub(super) policy: Policy,
    /// What the time since the span was last decided pays for.
    pub(super) alpha: f64,
    /// The autocorrelation time of its rows; `None` where it is not known yet.
    pub(super) tau: Option<f64>,
    /// By how much D may be understated.
    pub(super) resolution: f64,
    /// Whether both sides are of the same hours, or of all: else a difference only warns.
    pub(super) alike: bool,
    /// The values themselves, of numbers.
    pub(super) samples: Option<Samples<'a>>,
}

/// What came of one test.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) report: CheckReport,
    pub(super) alarm: Option<Alarm>,
    pub(super) severity: Option<f64>,
    /// What stood in the way of a decision, if anything did.
    pub(super) obstacle: Option<State>,
}

impl ModelCheck<'_> {
    /// The verdict of one test over one span.
    pub(super) fn judge(
        &mut self,
        bench: &Bench<'_>,
        span: &SpanRows,
        measured: &Measurement,
        tested: &Tested,
    ) -> Judged {
        let key = AlarmKey {
            column: bench.name.to_owned(),
            test: tested.test,
            span: span.name,
        };
        let mut standing = self.alarms.get(&key);
        let raised = standing.filter(|alarm| alarm.drifted);
        // What a quiet time could pay for, the next check need not be able to.
        let alpha = bench.alpha;
        let at = raised.map_or(alpha, |alarm| alarm.alpha.max(alpha));
        let worth = span.worth(tested.n_current, bench.tau.unwrap_or(1.0));
        let policy = bench.policy.at(at, self.subject.tests);
        let decision =
            policy.decide_tied(tested, bench.samples, worth, raised.is_some(), self.memo);
        let obstacle = self.obstacle(span, measured, tested);
        // One and the same value on both sides is the best evidence that nothing differs any more.
        let obstacle = obstacle.filter(|what| *what != State::Constant || raised.is_none());
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
        Judged {
            report: self.reported(bench, span, tested, (state, worth), decision),
            alarm: standing,
            severity: decision
                .and_then(|d| d.severity)
                .filter(|_| shown(span, state)),
            obstacle,
        }
    }

    /// What stands in the way of a decision, if anything does.
    fn obstacle(&self, span: &SpanRows, measured: &Measurement, tested: &Tested) -> Option<State> {
        let about_rows = matches!(tested.test, Test::Missing | Test::Type);
        let few = measured.rows < span.min_rows
            || !about_rows && tested.n_current * PRESENT_SHARE < span.min_rows
            || tested.n_reference == 0;
        if !self.covered() {
            Some(State::LowCoverage)
        } else if few {
            Some(if self.subject.changed {
                State::Warming
            } else {
                State::Insufficient
            })
        } else if span.stale(self.now) {
            Some(State::Stale)
        } else if measured.constant && !about_rows {
            Some(State::Constant)
        } else {
            None
        }
    }

    /// Whether the span's length has gone by since the reference came into force.
    fn whole(&self, span: &SpanRows) -> bool {
        let since = self.subject.reference.map(|reference| reference.loaded_at);
        (span.length.zip(since)).is_none_or(|(length, since)| self.now.since(since) >= length)
    }

    /// What is told of one test.
    fn reported(
        &self,
        bench: &Bench<'_>,
        span: &SpanRows,
        tested: &Tested,
        (state, worth): (State, f64),
        decision: Option<Decision>,
    ) -> CheckReport {
        let result = tested.result.as_ref().filter(|_| shown(span, state));
        let decision = decision.filter(|_| shown(span, state));
        // Until it is known how rows depend on each other, nothing is certain enough to alert on.
        let alerts = span.name == SpanName::Main
            && bench.alike
            && bench.tau.is_some()
            && (self.whole(span) || large(bench, tested));
        CheckReport {
            test: tested.test,
            span: span.name,
            state,
            drifted: match state {
                State::Drifted => Some(true),
                State::Ok | State::Constant => Some(false),
                _ => None,
            },
            level: match state {
                State::Drifted if alerts => Level::Alert,
                State::Drifted => Level::Warn,
                State::LowCoverage if span.name == SpanName::Main => Level::Warn,
                _ => Level::Ok,
            },
            statistic: result.map(|r| r.statistic),
            p_value: result.map(|r| r.p.p),
            log10_p: result.map(|r| r.p.log10_p),
            decision_p: decision.map(|d| d.p.p),
            threshold: decision.and_then(|d| d.threshold),
            n_reference: tested.n_reference,
            n_current: tested.n_current,
            n_effective: worth,
            location: result.and_then(|r| r.location),
            sign: result.and_then(|r| r.sign),
            effect: result.map(|r| r.effect.size),
            lower_bound: decision.and_then(|d| d.lower_bound),
            adjusted_p: None,
            error_bound: Some(bench.resolution)
                .filter(|bound| *bound > 0.0 && tested.test == Test::Ks),
        }
    }
}

/// Whether the change is larger than one part of the day would explain.
fn large(bench: &Bench<'_>, tested: &Tested) -> bool {
    let effect = tested.result.as_ref().map(|result| result.effect);
    effect.is_some_and(|effect| effect.over(bench.policy.min_effect) >= PARTIAL_FLOOR)
}

/// Below `min_rows` no figure is shown: it would be noise with a name.
fn shown(span: &SpanRows, state: State) -> bool {
    span.size >= span.min_rows && !matches!(state, State::Insufficient | State::Warming)
}
