//! The result of a check, in the shape of the JSON contract (`GET /api/v1/drift`,
//! `driftd check --format json`).
//!
//! Invariant: a figure that does not exist is `None` (JSON `null`) with a state that says why;
//! never NaN, never 0, never `false`.

use std::sync::Arc;

use serde::Serialize;

use crate::feature::{Kind, Role};
use crate::model::ModelName;
use crate::timestamp::Timestamp;

use super::accept::Acceptance;
use super::picture::Picture;

/// Every model of the process.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// In the configuration's order.
    pub models: Vec<ModelReport>,
}

/// One model.
#[derive(Debug, Clone, Serialize)]
pub struct ModelReport {
    /// Name of the model.
    pub model: ModelName,
    /// Its version; empty where none is configured.
    pub version: String,
    /// The reference compared with.
    pub reference: Option<ReferenceInfo>,
    /// Rows compared in the main span.
    pub rows: usize,
    /// Rows compared in each span; not part of the JSON.
    #[serde(skip)]
    pub spans: Vec<(SpanName, usize)>,
    /// When the figures were last measured.
    pub checked_at: Option<Timestamp>,
    /// When the verdict was last decided.
    pub evaluated_at: Option<Timestamp>,
    /// Share of the exchanges worth checking whose rows reached the window, 0 to 1.
    pub coverage: Option<f64>,
    /// Whether the dependence between rows has been measured.
    pub calibrated: bool,
    /// The worst that holds for any column, or why no verdict can be given.
    pub state: State,
    /// Whether any column drifted in the main span; `None` where no verdict can be given.
    pub drifted: Option<bool>,
    /// How loud to be about it.
    pub level: Level,
    /// The verdict in words.
    pub sentence: String,
    /// The smallest shift detectable in a normal feature, in standard deviations: now, or where
    /// there are too few rows yet, as soon as there are enough.
    pub detectable: Option<f64>,
    /// Columns that began to drift together, most severe first.
    pub groups: Vec<Group>,
    /// The alarm budget, where the decision spends one.
    pub budget: Option<Budget>,
    /// Tests over all columns together.
    pub checks: Vec<CheckReport>,
    /// What a person has accepted as the new normal, in force now.
    pub accepted: Vec<Acceptance>,
    /// One entry per column, most severe first.
    pub features: Vec<FeatureReport>,
}

/// Columns that began to drift at the same check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// When.
    pub since: Timestamp,
    /// Their names.
    pub features: Vec<Arc<str>>,
}

/// The reference in force.
#[derive(Debug, Clone, Serialize)]
pub struct ReferenceInfo {
    /// Identity of the reference.
    pub hash: String,
    /// Its rows.
    pub rows: usize,
    /// When it came into force.
    pub loaded_at: Timestamp,
}

/// The false alarms allowed and how much of them the last period's checks spent.
#[derive(Debug, Clone, Serialize)]
pub struct Budget {
    /// The period, such as `30d`.
    pub per: String,
    /// False alarms allowed in a period.
    pub allowed: f64,
    /// Expected false alarms spent by the checks of the running period.
    pub spent: f64,
}

/// One feature or output.
#[derive(Debug, Clone, Serialize)]
pub struct FeatureReport {
    /// Name of the column.
    pub name: Arc<str>,
    /// Input or output.
    pub role: Role,
    /// What its values are; `None` where nothing is known.
    pub kind: Option<Kind>,
    /// The worst that holds for its checks, or why no verdict can be given.
    pub state: State,
    /// Whether it drifted in the main span.
    pub drifted: Option<bool>,
    /// How loud to be about it.
    pub level: Level,
    /// Why nothing can be decided about it now, where its drift stands from before; not part of the
    /// JSON.
    #[serde(skip)]
    pub obstacle: Option<State>,
    /// Since when it has been drifted.
    pub since: Option<Timestamp>,
    /// Statistic over threshold: 1 is where drift begins.
    pub severity: Option<f64>,
    /// The smallest shift detectable now, in standard deviations of a normal feature.
    pub detectable: Option<f64>,
    /// Share of current rows in which the value is missing.
    pub missing: Option<f64>,
    /// The same of the reference; not part of the JSON.
    #[serde(skip)]
    pub missing_reference: Option<f64>,
    /// Share of current rows whose value is of a type that does not belong in the column.
    pub mistyped: Option<f64>,
    /// Share of current values whose category the reference does not hold.
    pub unseen: Option<f64>,
    /// By how much the mean has moved, in standard deviations of the reference.
    pub shift: Option<f64>,
    /// Whether the dependence between its rows has been measured.
    pub calibrated: bool,
    /// Quantiles on both sides, for numbers.
    pub quantiles: Option<QuantilePair>,
    /// What happened, in one sentence with numbers.
    pub sentence: String,
    /// The tests made, main span first.
    pub checks: Vec<CheckReport>,
    /// What the page draws; not part of the JSON.
    #[serde(skip)]
    pub picture: Option<Picture>,
}

/// Quantiles on both sides.
#[derive(Debug, Clone, Serialize)]
pub struct QuantilePair {
    /// Of the reference.
    pub reference: Quantiles,
    /// Of the current rows.
    pub current: Quantiles,
}

/// Five quantiles by inverted CDF (`numpy.quantile(…, method="inverted_cdf")`): values that occur.
#[derive(Debug, Clone, Serialize)]
pub struct Quantiles {
    /// 5 %.
    pub p05: f64,
    /// 25 %.
    pub p25: f64,
    /// 50 %, the median.
    pub p50: f64,
    /// 75 %.
    pub p75: f64,
    /// 95 %.
    pub p95: f64,
}

/// One test of one column over one span.
#[derive(Debug, Clone, Serialize)]
pub struct CheckReport {
    /// Which test.
    pub test: Test,
    /// Which span of the window.
    pub span: SpanName,
    /// What came of it.
    pub state: State,
    /// Whether it says drifted.
    pub drifted: Option<bool>,
    /// How loud it may be.
    pub level: Level,
    /// The test's statistic, as scipy gives it.
    pub statistic: Option<f64>,
    /// The p-value, as scipy gives it.
    pub p_value: Option<f64>,
    /// Its decimal logarithm, exact also where the p-value underflows.
    pub log10_p: Option<f64>,
    /// The p-value the decision used.
    pub decision_p: Option<f64>,
    /// The smallest statistic that would be drift, effect floor included.
    pub threshold: Option<f64>,
    /// Reference values compared.
    pub n_reference: usize,
    /// Current values compared.
    pub n_current: usize,
    /// Independent values they are worth.
    pub n_effective: f64,
    /// Where the largest gap is, for KS.
    pub location: Option<f64>,
    /// +1: values moved up; -1: down, for KS.
    pub sign: Option<i8>,
    /// The effect size the floor applies to: D for KS, total variation for chi-squared.
    pub effect: Option<f64>,
    /// The true gap is at least this, for KS: D less what chance can do on either side.
    pub lower_bound: Option<f64>,
    /// The decision's p-value times the number of tests it shares its significance with, at most 1
    /// (Bonferroni); of checks made once only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adjusted_p: Option<f64>,
    /// By how much the statistic may be understated, where the reference is a profile.
    pub error_bound: Option<f64>,
}

/// What holds for a column, a check or a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Checked and not drifted.
    Ok,
    /// Checked and drifted.
    Drifted,
    /// Fewer rows than `min_rows`.
    Insufficient,
    /// Fewer rows than `min_rows` since the reference or version changed.
    Warming,
    /// The reference is being learnt from traffic.
    Learning,
    /// Nothing to compare with.
    NoReference,
    /// Wrong wiring, not drift.
    Mismatch,
    /// The reference holds one value only and so do the current rows.
    Constant,
    /// Most current values are of another type.
    TypeChanged,
    /// No row has come for longer than the main span.
    Stale,
    /// Too much of the traffic was not captured.
    LowCoverage,
    /// Drifted and accepted as the new normal.
    Accepted,
}

/// How loud a verdict is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing to do.
    #[default]
    Ok,
    /// Worth a look.
    Warn,
    /// Worth a page or a ticket.
    Alert,
}

/// A span of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanName {
    /// `drift.current`: decides.
    Main,
    /// `drift.fast`: warns early.
    Fast,
    /// All rows since the reference.
    SinceReference,
}

/// A statistical test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Two-sample Kolmogorov-Smirnov (`scipy.stats.ks_2samp`).
    Ks,
    /// Chi-squared test of homogeneity (`scipy.stats.chi2_contingency(correction=False)`).
    Chi2,
    /// The share of missing values, as a 2×2 table (`chi2_contingency` likewise).
    Missing,
    /// The share of values beyond the reference's range
    /// (`scipy.stats.hypergeom.pmf(k, n + w, w, k)` for the k at the longer end, doubled).
    Range,
    /// The share of values of another type, as a 2×2 table (`chi2_contingency` likewise).
    Type,
    /// All columns together: maximum mean discrepancy on rank-normal scores.
    Mmd,
    /// All rows since the reference, by a band that holds at all times.
    Slow,
    /// Effect size: population stability index over the reference's deciles or categories.
    Psi,
    /// Effect size: `scipy.spatial.distance.jensenshannon` over the same.
    Js,
    /// Effect size: `scipy.stats.wasserstein_distance`, in standard deviations of the reference.
    Wasserstein,
    /// Effect size: Hellinger distance over the reference's deciles or categories.
    Hellinger,
    /// Effect size: total variation over the same.
    Tv,
}

// === impl State ===

impl State {
    /// Every state, in the order of the exposition.
    pub const ALL: [Self; 12] = [
        Self::Ok,
        Self::Drifted,
        Self::Insufficient,
        Self::Warming,
        Self::Learning,
        Self::NoReference,
        Self::Mismatch,
        Self::Constant,
        Self::TypeChanged,
        Self::Stale,
        Self::LowCoverage,
        Self::Accepted,
    ];

    /// The word used in JSON, labels and SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Drifted => "drifted",
            Self::Insufficient => "insufficient",
            Self::Warming => "warming",
            Self::Learning => "learning",
            Self::NoReference => "no_reference",
            Self::Mismatch => "mismatch",
            Self::Constant => "constant",
            Self::TypeChanged => "type_changed",
            Self::Stale => "stale",
            Self::LowCoverage => "low_coverage",
            Self::Accepted => "accepted",
        }
    }
}

// === impl Level ===

impl Level {
    /// 0, 1 or 2: the value of `driftd_model_drift_level`.
    #[must_use]
    pub const fn as_number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warn => 1,
            Self::Alert => 2,
        }
    }

    /// The word used in JSON and SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Alert => "alert",
        }
    }
}

// === impl SpanName ===

impl SpanName {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Main, Self::Fast, Self::SinceReference];

    /// The word used in JSON, labels and SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Fast => "fast",
            Self::SinceReference => "since_reference",
        }
    }
}

// === impl Test ===

impl Test {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Ks,
        Self::Chi2,
        Self::Missing,
        Self::Range,
        Self::Type,
        Self::Mmd,
        Self::Slow,
        Self::Psi,
        Self::Js,
        Self::Wasserstein,
        Self::Hellinger,
        Self::Tv,
    ];

    /// The word used in JSON, labels and SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ks => "ks",
            Self::Chi2 => "chi2",
            Self::Missing => "missing",
            Self::Range => "range",
            Self::Type => "type",
            Self::Mmd => "mmd",
            Self::Slow => "slow",
            Self::Psi => "psi",
            Self::Js => "js",
            Self::Wasserstein => "wasserstein",
            Self::Hellinger => "hellinger",
            Self::Tv => "tv",
        }
    }

    /// Whether it is only the size of a change, never decided.
    #[must_use]
    pub const fn is_effect(self) -> bool {
        matches!(
            self,
            Self::Psi | Self::Js | Self::Wasserstein | Self::Hellinger | Self::Tv
        )
    }
}

// === impl ModelReport ===

impl ModelReport {
    /// Whether `test` was made of `feature`.
    #[must_use]
    pub fn has(&self, feature: &str, test: Test) -> bool {
        let mut features = self.features.iter().filter(|f| *f.name == *feature);
        features.any(|f| f.checks.iter().any(|check| check.test == test))
    }
}

// === impl FeatureReport ===

impl FeatureReport {
    /// The check of the main span, where one was made.
    #[must_use]
    pub fn main(&self) -> Option<&CheckReport> {
        self.checks
            .iter()
            .find(|check| check.span == SpanName::Main)
    }
}
