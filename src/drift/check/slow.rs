//! Drift too slow for any window: all rows since the reference against it, by a band that holds at
//! all times together. It only warns: what happened long ago weighs as much as what happens now.

use crate::drift::alarm::{Alarm, AlarmKey};
use crate::drift::band;
use crate::drift::reference::Track;
use crate::drift::report::{CheckReport, Level, SpanName, State, Test};

use super::judge::{Bench, Judged};
use super::{Change, Lifetime, ModelCheck};

/// The chance that any column of a model is ever flagged while nothing drifts.
const EVER: f64 = 0.05;

/// Independent rows from which the band holds.
const FROM: f64 = 1000.0;

/// A true gap up to this share of the effect floor is nobody's concern, however sure.
const TOLERATED: f64 = 0.2;

/// A standing warning ends below this share of its threshold.
const CLEAR_BELOW: f64 = 0.8;

impl ModelCheck<'_> {
    /// The verdict on all rows of the track at `index` since the reference.
    pub(super) fn slow(
        &mut self,
        bench: &Bench<'_>,
        track: &Track<'_>,
        index: usize,
    ) -> Option<Judged> {
        let Lifetime { distances, season } = self.subject.since?;
        let distance = distances.get(index)?;
        if !bench.policy.rule.spends() {
            return None;
        }
        let n_reference = track.side.present();
        let tests = self.subject.tracks.len();
        let worth = distance.values as f64 / bench.tau.unwrap_or(1.0);
        let doubt = band::reference_margin(n_reference as f64, tests as u64, EVER);
        let threshold = band::radius(worth, FROM, EVER / tests as f64)
            .map(|radius| radius + doubt + TOLERATED * bench.policy.min_effect);
        let loaded = self.subject.reference.map(|reference| reference.loaded_at);
        let young = loaded.is_none_or(|loaded| self.now.since(loaded) < season);
        let obstacle = match threshold {
            _ if !self.covered() => Some(State::LowCoverage),
            None => Some(State::Insufficient),
            Some(_) if bench.tau.is_none() || young => Some(State::Warming),
            Some(_) => None,
        };
        let key = AlarmKey {
            column: bench.name.to_owned(),
            test: Test::Slow,
            span: SpanName::SinceReference,
        };
        let mut standing = self.alarms.get(&key);
        let raised = standing.is_some_and(|alarm| alarm.drifted);
        if let (None, Some(threshold)) = (obstacle, threshold) {
            let limit = threshold * if raised { CLEAR_BELOW } else { 1.0 };
            let fresh = Alarm {
                drifted: distance.gap > limit,
                since: self.now,
                alpha: EVER,
            };
            let (alarm, changed) = self.alarms.decide(key.clone(), fresh);
            if changed {
                self.changes.push(Change { key, alarm });
            }
            standing = Some(alarm);
        }
        let drifted = standing.is_some_and(|alarm| alarm.drifted);
        let shown = threshold.is_some();
        let report = CheckReport {
            test: Test::Slow,
            span: SpanName::SinceReference,
            state: match obstacle {
                _ if drifted => State::Drifted,
                Some(obstacle) => obstacle,
                None => State::Ok,
            },
            drifted: (drifted || obstacle.is_none()).then_some(drifted),
            level: if drifted { Level::Warn } else { Level::Ok },
            statistic: Some(distance.gap).filter(|_| shown),
            p_value: None,
            log10_p: None,
            decision_p: None,
            threshold,
            n_reference,
            n_current: usize::try_from(distance.values).unwrap_or(usize::MAX),
            n_effective: worth,
            location: None,
            sign: None,
            effect: Some(distance.gap).filter(|_| shown),
            lower_bound: None,
            error_bound: None,
            adjusted_p: None,
        };
        Some(Judged {
            report,
            alarm: standing,
            obstacle: None,
            severity: None,
        })
    }
}
