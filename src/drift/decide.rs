//! From a measurement to a verdict: the decision rule, the alarm budget, the effect floor.
//!
//! The budget: the user allows B false alarms per period T for the whole process. A check that
//! comes Δ after the last one and makes m tests decides each at α = B·Δ/(T·m). By linearity of
//! expectation the expected number of false decisions stays within B per T, whatever the dependence
//! between features or overlapping checks; no independence is needed.
//!
//! Rows that depend on each other are worth fewer: every decision counts the effective sample size,
//! see [`super::dependence`].

use std::time::Duration;

use statrs::distribution::{ContinuousCDF, Normal};

use super::band;
use super::chi2;
use super::fisher::{self, Split};
use super::ks::ties;
use super::kstwo;
use super::measure::{Evidence, TestResult, Tested};
use super::memo::{Memo, careful};
use super::p_value::PValue;
use super::range::{self, Beyond};
use super::values::Samples;

/// Significance of the plain rule: p < 0.05.
pub const PLAIN_ALPHA: f64 = 0.05;

/// A standing alarm clears once the statistic has fallen below this share of its threshold, so that
/// one that hovers at the threshold does not flap.
const CLEAR_BELOW: f64 = 0.8;

/// How sure the guaranteed rule is of the reference itself: its band around the true distribution
/// holds for all columns together with a probability of 1 − this.
const REFERENCE_DOUBT: f64 = 0.05;

/// The most lattice cells an exact p-value with ties may visit: a tenth of a second.
const TIE_CELLS: u64 = 20_000_000;

/// How a check decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// p < 0.05 for each test, and nothing else.
    PValue,
    /// The alarm budget, the effect floor and hysteresis.
    Budget,
    /// The budget, given this very reference: drift is what is certainly larger than the floor.
    Guaranteed,
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
    /// Tests the reference's own uncertainty is shared by.
    tests: usize,
}

/// False alarms allowed for the process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Allowance {
    /// How many, of all replicas together.
    pub alarms: f64,
    /// In how long.
    pub per: Duration,
    /// Processes that share them, at least 1.
    pub replicas: f64,
}

/// The verdict of one test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// Whether it drifted.
    pub drifted: bool,
    /// The smallest statistic that would be drift; `None` where none would be.
    pub threshold: Option<f64>,
    /// The p-value the decision used.
    pub p: PValue,
    /// Statistic over threshold, on the scale of the effect.
    pub severity: Option<f64>,
    /// The true gap between the two distributions is at least this, for KS.
    pub lower_bound: Option<f64>,
}

/// What one test says, before hysteresis.
struct Finding {
    significant: bool,
    threshold: Option<f64>,
    /// Statistic over its critical value alone, on the scale of the effect.
    ratio: Option<f64>,
    p: PValue,
}

// === impl Rule ===

impl Rule {
    /// All of them, in the order error messages list them.
    pub const ALL: [Self; 3] = [Self::Budget, Self::PValue, Self::Guaranteed];

    /// The word used in configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PValue => "pvalue",
            Self::Budget => "budget",
            Self::Guaranteed => "guaranteed",
        }
    }

    /// Whether it spends the alarm budget.
    #[must_use]
    pub const fn spends(self) -> bool {
        match self {
            Self::PValue => false,
            Self::Budget | Self::Guaranteed => true,
        }
    }
}

// === impl Allowance ===

impl Allowance {
    /// Significance for each of `tests` tests of a check that comes `elapsed` after the last one.
    #[must_use]
    pub fn alpha(&self, elapsed: Duration, tests: usize) -> f64 {
        let share = (elapsed.as_secs_f64() / self.per.as_secs_f64()).min(1.0);
        (self.own() * share / tests.max(1) as f64).min(PLAIN_ALPHA)
    }

    /// How many this process may raise.
    #[must_use]
    pub fn own(&self) -> f64 {
        self.alarms / self.replicas
    }

    /// How many this process may raise a day.
    #[must_use]
    pub fn per_day(&self) -> f64 {
        self.own() * 86_400.0 / self.per.as_secs_f64()
    }
}

// === impl Policy ===

impl Policy {
    /// The policy where the budget pays for `alpha` for each of `tests` tests. The plain rule has
    /// its own significance.
    #[must_use]
    pub fn at(self, alpha: f64, tests: usize) -> PolicyAt {
        let (alpha, floor) = match self.rule {
            // Strictly below 0.05.
            Rule::PValue => (PLAIN_ALPHA.next_down(), 0.0),
            _ if alpha <= 0.0 => (0.0, self.min_effect),
            _ => (careful(alpha), self.min_effect),
        };
        PolicyAt {
            rule: self.rule,
            alpha,
            floor,
            tests: tests.max(1),
        }
    }
}

// === impl PolicyAt ===

impl PolicyAt {
    /// Decides one test. `worth` says how many independent values the current ones are worth, at
    /// most their number; `standing` whether it is drifted now. `None` where nothing was measured.
    pub fn decide(
        &self,
        tested: &Tested,
        worth: f64,
        standing: bool,
        memo: &mut Memo,
    ) -> Option<Decision> {
        self.decide_tied(tested, None, worth, standing, memo)
    }

    /// The same, where the samples themselves are at hand: the exact law of their ties decides
    /// what the law without ties is too careful for.
    pub fn decide_tied(
        &self,
        tested: &Tested,
        samples: Option<Samples<'_>>,
        worth: f64,
        standing: bool,
        memo: &mut Memo,
    ) -> Option<Decision> {
        let result = tested.result.as_ref()?;
        if self.rule.spends() && self.alpha <= 0.0 {
            // No time has passed that would pay for a decision: what stands, stands.
            return Some(Decision {
                drifted: standing,
                threshold: None,
                p: result.p,
                severity: None,
                lower_bound: None,
            });
        }
        let worth = match self.rule {
            Rule::PValue => 1.0,
            _ => (worth / tested.n_current.max(1) as f64).clamp(0.0, 1.0),
        };
        let finding = match &result.evidence {
            Evidence::Ks { gap, tied } => {
                let samples = samples.filter(|_| *tied);
                self.ks(tested, result, (*gap, samples), worth, memo)
            }
            Evidence::Chi2 { .. } => self.chi2(tested, result, worth),
            Evidence::Share { .. } | Evidence::Range { .. } => self.counted(tested, result, worth),
        };
        let lower_bound = matches!(result.evidence, Evidence::Ks { .. })
            .then(|| self.lower_bound(tested, result.statistic, worth, memo));
        let by_effect = result.effect.over(self.floor);
        let severity = finding.ratio.map(|ratio| ratio.min(by_effect));
        let fresh = match (self.rule, lower_bound) {
            (Rule::Guaranteed, Some(bound)) => bound > self.floor,
            _ => finding.significant && by_effect >= 1.0,
        };
        let lingers = self.rule.spends()
            && standing
            && severity.is_some_and(|severity| severity >= CLEAR_BELOW);
        Some(Decision {
            drifted: fresh || lingers,
            threshold: finding.threshold,
            p: finding.p,
            severity,
            lower_bound,
        })
    }

    fn ks(
        &self,
        tested: &Tested,
        result: &TestResult,
        (gap, samples): (u128, Option<Samples<'_>>),
        worth: f64,
        memo: &mut Memo,
    ) -> Finding {
        let (n, w) = (tested.n_reference, tested.n_current);
        let (critical, p) = if worth >= 1.0 {
            let cells = n as f64 * w as f64;
            let least = memo.critical_gap(n, w, self.alpha);
            (least.map(|least| least as f64 / cells), result.p)
        } else {
            let size = together(n as f64, w as f64 * worth);
            let distance = memo.critical_distance(size, self.alpha);
            let size = careful(size.max(1.0)).floor().max(1.0) as u64;
            let p = PValue {
                p: kstwo::sf(result.statistic, size),
                log10_p: kstwo::log10_sf(result.statistic, size),
            };
            // Fewer values never say more.
            let p = if p.log10_p < result.p.log10_p {
                result.p
            } else {
                p
            };
            (Some(distance).filter(|d| *d < 1.0), p)
        };
        let mut finding = Finding {
            significant: match critical {
                Some(critical) => result.statistic >= critical * (1.0 - 1e-12),
                None => false,
            },
            threshold: critical.map(|critical| critical.max(self.floor)),
            ratio: critical.map(|critical| result.statistic / critical),
            p,
        };
        if self.rule == Rule::Guaranteed {
            // What the lower bound takes off, on top of the floor it must exceed.
            let noise = memo.critical_distance(w as f64 * worth, self.alpha);
            let threshold = self.floor + noise + self.reference_band(n);
            finding.threshold = Some(threshold).filter(|threshold| *threshold < 1.0);
            finding.ratio = Some(result.statistic / threshold);
        }
        // Without regard to ties the test is careful; where that alone stands in the way, the exact
        // law of these ties decides.
        let open = !finding.significant && worth >= 1.0;
        if open
            && self.rule == Rule::Budget
            && result.effect.over(self.floor) >= 1.0
            && let Some(samples) = samples
            && let Some(log_p) = ties::log_p(gap, &samples.blocks(), TIE_CELLS)
        {
            finding.p = PValue::from_ln(log_p);
            finding.significant = finding.p.p <= self.alpha;
        }
        finding
    }

    fn chi2(&self, tested: &Tested, result: &TestResult, worth: f64) -> Finding {
        let Evidence::Chi2 {
            dof,
            pooled,
            pooled_dof,
            exact,
        } = &result.evidence
        else {
            unreachable!("asked for χ² only");
        };
        let (n, w) = (tested.n_reference as f64, tested.n_current as f64);
        // Dependence spreads the counts of the current side only (as Rao & Scott 1981 correct χ²).
        let scale = together(n, w * worth) / together(n, w);
        let critical = chi2::isf(self.alpha, *dof);
        let root = |p: f64, statistic: f64| (statistic / p).sqrt();
        if self.rule == Rule::PValue {
            return Finding {
                significant: result.p.p <= self.alpha,
                threshold: Some(critical),
                ratio: Some(root(critical, result.statistic)),
                p: result.p,
            };
        }
        let scaled = |statistic: f64, dof| PValue::from_ln(chi2::log_sf(statistic * scale, dof));
        let p = match exact {
            Some(exact) if worth >= 1.0 => *exact,
            // Both must be significant: sparse cells make the plain test too eager.
            _ => {
                let plain = scaled(result.statistic, *dof);
                let sparse = scaled(*pooled, *pooled_dof);
                if plain.log10_p >= sparse.log10_p {
                    plain
                } else {
                    sparse
                }
            }
        };
        let by_pooled = root(chi2::isf(self.alpha, *pooled_dof), pooled * scale);
        let by_plain = root(critical, result.statistic * scale);
        Finding {
            significant: p.p <= self.alpha,
            threshold: Some(critical / scale),
            // χ² grows with the square of the effect; its root ranks beside D.
            ratio: Some(by_plain.min(by_pooled)),
            p,
        }
    }

    /// Tests on a count: missing, mistyped, beyond the range.
    fn counted(&self, tested: &Tested, result: &TestResult, worth: f64) -> Finding {
        let scaled = |count: u64| {
            if worth >= 1.0 {
                count
            } else {
                (count as f64 * worth).floor() as u64
            }
        };
        let p = match &result.evidence {
            _ if self.rule == Rule::PValue => result.p,
            Evidence::Share { reference, current } => {
                let split = |[with, without]: [u64; 2]| Split { with, without };
                fisher::two_sided(split(*reference), split(current.map(scaled)))
            }
            Evidence::Range { above, below } => {
                let beyond = Beyond {
                    above: scaled(*above),
                    below: scaled(*below),
                };
                let current = scaled(tested.n_current as u64);
                range::two_sided(tested.n_reference as u64, current, beyond)
            }
            Evidence::Ks { .. } | Evidence::Chi2 { .. } => result.p,
        };
        Finding {
            significant: p.p <= self.alpha,
            threshold: None,
            // How far the evidence goes beyond what is asked, on the scale of the root of χ².
            ratio: Some((p.log10_p / self.alpha.log10()).max(0.0).sqrt()),
            p,
        }
    }

    /// D − `kstwo.isf(α, n·w/(n + w))` − √(ln(2m/δ)/(2n)), at least 0 (Massart 1990): the true gap is
    /// at least this, with the confidence of the budget given this very reference.
    fn lower_bound(&self, tested: &Tested, d: f64, worth: f64, memo: &mut Memo) -> f64 {
        let w = tested.n_current as f64 * worth;
        let noise = memo.critical_distance(w, self.alpha);
        (d - noise - self.reference_band(tested.n_reference)).max(0.0)
    }

    /// How far the reference's distribution may be from the true one, for all tests together.
    fn reference_band(&self, n_reference: usize) -> f64 {
        band::reference_margin(n_reference as f64, self.tests as u64, REFERENCE_DOUBT)
    }
}

/// What two samples are worth together: n·w/(n + w).
fn together(n: f64, w: f64) -> f64 {
    n * w / (n + w)
}

/// The smallest KS statistic that is drift between `n_reference` reference values and `n_current`
/// current ones at significance `alpha`, none below `floor`.
#[must_use]
pub fn smallest(n_reference: usize, n_current: usize, alpha: f64, floor: f64) -> f64 {
    let size = together(n_reference as f64, n_current as f64)
        .round()
        .max(1.0);
    kstwo::isf(alpha, size as u64).max(floor)
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
mod tests;
