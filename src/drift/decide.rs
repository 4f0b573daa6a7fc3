//! From a measurement to a verdict: the decision rule, the alarm budget, the effect floor.
//!
//! The budget: the user allows B false alarms per period T for the whole process. A check that
//! comes Δ after the last one and makes m tests decides each at α = B·Δ/(T·m). By linearity of
//! expectation the expected number of false decisions stays within B per T, whatever the dependence
//! between features or overlapping checks; no independence is needed.

use std::collections::HashMap;
use std::time::Duration;

use statrs::distribution::{ContinuousCDF, Normal};

use super::chi2;
use super::ks;
use super::measure::{Evidence, Measurement};

/// Significance of the plain rule: p < 0.05.
pub const PLAIN_ALPHA: f64 = 0.05;

/// A standing alarm clears once the statistic has fallen below this share of its threshold, so that
/// one that hovers at the threshold does not flap.
const CLEAR_BELOW: f64 = 0.8;

/// How a check decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// p < 0.05 for each test, and nothing else.
    PValue,
    /// The alarm budget, the effect floor and hysteresis.
    Budget,
}

/// What a verdict on one column takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// The decision rule.
    pub rule: Rule,
    /// The smallest effect worth an alarm (D, or total variation); not used by [`Rule::PValue`].
    pub min_effect: f64,
}

/// A [`Policy`] at the significance one check can pay for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PolicyAt {
    rule: Rule,
    alpha: f64,
    /// The effect below which nothing is drift; 0 where there is no floor.
    floor: f64,
}

/// False alarms allowed for the process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Allowance {
    /// How many.
    pub alarms: f64,
    /// In how long.
    pub per: Duration,
}

/// The verdict of one test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// Whether it drifted.
    pub drifted: bool,
    /// The smallest statistic that would be drift; `None` where none would be.
    pub threshold: Option<f64>,
    /// The p-value the decision used.
    pub decision_p: f64,
    /// Statistic over threshold, on the scale of the effect.
    pub severity: Option<f64>,
}

/// Critical values already found: they depend on sizes and significance only, which the columns of
/// one check share.
#[derive(Debug, Default)]
pub struct Critical {
    gaps: HashMap<(usize, usize, u64), Option<u128>>,
}

// === impl Allowance ===

impl Allowance {
    /// Significance for each of `tests` tests of a check that comes `elapsed` after the last one.
    #[must_use]
    pub fn alpha(&self, elapsed: Duration, tests: usize) -> f64 {
        let share = (elapsed.as_secs_f64() / self.per.as_secs_f64()).min(1.0);
        (self.alarms * share / tests.max(1) as f64).min(PLAIN_ALPHA)
    }
}

// === impl Critical ===

impl Critical {
    fn gap(&mut self, n_reference: usize, n_current: usize, alpha: f64) -> Option<u128> {
        let key = (n_reference, n_current, alpha.to_bits());
        *(self.gaps.entry(key)).or_insert_with(|| ks::critical_gap(n_reference, n_current, alpha))
    }
}

// === impl Policy ===

impl Policy {
    /// The policy where the budget pays for `alpha` a test. The plain rule has its own.
    #[must_use]
    pub const fn at(self, alpha: f64) -> PolicyAt {
        let (alpha, floor) = match self.rule {
            // Strictly below 0.05.
            Rule::PValue => (PLAIN_ALPHA.next_down(), 0.0),
            Rule::Budget => (alpha, self.min_effect),
        };
        PolicyAt {
            rule: self.rule,
            alpha,
            floor,
        }
    }
}

// === impl PolicyAt ===

impl PolicyAt {
    /// Decides one measured test. `standing` says whether it is drifted now. `None` where nothing
    /// could be measured.
    pub fn decide(
        &self,
        measured: &Measurement,
        standing: bool,
        critical: &mut Critical,
    ) -> Option<Decision> {
        let result = measured.result?;
        let Self { alpha, floor, .. } = *self;
        if self.rule == Rule::Budget && alpha <= 0.0 {
            // No time has passed that would pay for a decision: what stands, stands.
            return Some(Decision {
                drifted: standing,
                threshold: None,
                decision_p: result.p_value,
                severity: None,
            });
        }
        let (significant, threshold, relative, log10_p) = match result.evidence {
            Evidence::Ks { gap, log10_p } => {
                let cells = measured.n_reference as f64 * measured.n_current as f64;
                let least = critical.gap(measured.n_reference, measured.n_current, alpha);
                let threshold = least.map(|least| (least as f64 / cells).max(floor));
                let significant = least.is_some_and(|least| gap >= least);
                let relative = threshold.map(|threshold| result.statistic / threshold);
                (significant, threshold, relative, log10_p)
            }
            Evidence::Chi2 {
                dof,
                pooled,
                pooled_dof,
                log10_p,
            } => {
                let statistic = result.statistic;
                let threshold = (alpha > 0.0).then(|| chi2::isf(alpha, dof));
                // The plain rule is the plain test.
                let (pooled, log10_p) = match self.rule {
                    Rule::PValue => (f64::INFINITY, result.log10_p),
                    Rule::Budget => (pooled / chi2::isf(alpha, pooled_dof), log10_p),
                };
                // χ² grows with the square of the effect; its root ranks beside D.
                let by_test = threshold.map(|threshold| (statistic / threshold).min(pooled).sqrt());
                let by_effect = if floor > 0.0 {
                    result.effect / floor
                } else {
                    f64::INFINITY
                };
                let relative = by_test.map(|ratio| ratio.min(by_effect));
                let significant = by_test.is_some_and(|ratio| ratio >= 1.0);
                (significant, threshold, relative, log10_p)
            }
        };
        let fresh = significant && result.effect >= floor;
        let lingers = self.rule == Rule::Budget
            && standing
            && relative.is_some_and(|relative| relative >= CLEAR_BELOW);
        Some(Decision {
            drifted: fresh || lingers,
            threshold,
            decision_p: 10f64.powf(log10_p).min(1.0),
            severity: relative,
        })
    }
}

/// The smallest shift a KS threshold lets through as drift, in standard deviations of a normal
/// feature: D = 2Φ(δ/2) − 1 solved for δ.
#[must_use]
pub fn detectable_shift(threshold: f64) -> Option<f64> {
    let normal = Normal::standard();
    (0.0..1.0)
        .contains(&threshold)
        .then(|| 2.0 * normal.inverse_cdf(f64::midpoint(1.0, threshold)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::measure::measure;
    use crate::drift::reference::{ColumnReference, Value};
    use crate::feature::{Cell, Kind};

    const DAY: Duration = Duration::from_secs(86_400);

    fn measured(shift: f64) -> Measurement {
        let cells = (0..1000).map(|i| Cell::Number(f64::from(i)));
        let reference = ColumnReference::new(Kind::Numeric, cells);
        measure(
            &reference,
            (0..1000).map(|i| Value::Number(f64::from(i) + shift)),
        )
    }

    fn budget(min_effect: f64) -> Policy {
        Policy {
            rule: Rule::Budget,
            min_effect,
        }
    }

    #[test]
    fn the_budget_is_shared_by_time_and_tests() {
        let allowance = Allowance {
            alarms: 1.0,
            per: 30 * DAY,
        };
        // facts: 60 s, 30 features, 1 per 30 days: 1·60/(2592000·30) = 7.716e-7
        let alpha = allowance.alpha(Duration::from_secs(60), 30);
        assert!((alpha - 7.716_049_382_716_05e-7).abs() < 1e-18);
        assert!(allowance.alpha(300 * DAY, 1) <= PLAIN_ALPHA);
    }

    #[test]
    fn significance_alone_is_not_drift_below_the_effect_floor() {
        let policy = budget(0.1).at(0.01);
        let mut critical = Critical::default();
        // A shift of 90 of 1,000 evenly spaced values: D = 0.09, p = 6e-4.
        let decision = policy.decide(&measured(90.0), false, &mut critical);
        assert!(!decision.unwrap().drifted);
        let decision = policy.decide(&measured(110.0), false, &mut critical);
        assert!(decision.unwrap().drifted);
    }

    #[test]
    fn an_alarm_clears_well_below_its_threshold_only() {
        let policy = budget(0.1).at(0.01);
        let mut critical = Critical::default();
        let mut drifted = |shift, standing| {
            let decision = policy.decide(&measured(shift), standing, &mut critical);
            decision.unwrap().drifted
        };
        assert!(!drifted(90.0, false));
        assert!(drifted(90.0, true));
        assert!(!drifted(70.0, true));
    }

    #[test]
    fn the_plain_rule_is_p_below_five_percent() {
        let policy = Policy {
            rule: Rule::PValue,
            min_effect: 0.5,
        }
        .at(1e-9);
        let mut critical = Critical::default();
        for shift in [58.0, 59.0, 60.0, 61.0, 62.0, 80.0] {
            let measured = measured(shift);
            let p = measured.result.unwrap().p_value;
            let decision = policy.decide(&measured, false, &mut critical).unwrap();
            assert_eq!(decision.drifted, p < 0.05, "shift {shift}: p = {p}");
        }
    }

    #[test]
    fn detectable_shift_is_in_standard_deviations() {
        // 2 * scipy.stats.norm.ppf((1 + .1) / 2) → 0.2513226937101483
        assert!((detectable_shift(0.1).unwrap() - 0.251_322_693_710_148_3).abs() < 1e-6);
        assert_eq!(detectable_shift(1.0), None);
    }
}
