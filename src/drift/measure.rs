//! One track of current values against its reference: the figures, before anything is decided.

use super::effect;
use super::memo::Memo;
use super::numbers::Numbers;
use super::p_value::PValue;
use super::picture::Picture;
use super::reference::{Side, Track};
use super::report::{QuantilePair, Test};
use super::text::Descriptor;
use super::values::Values;

mod categorical;
mod numeric;
mod presence;

/// What the values of one track amount to, next to the reference.
#[derive(Debug, Clone)]
pub struct Measurement {
    /// Rows looked at.
    pub rows: usize,
    /// Current rows in which the value is missing.
    pub missing: usize,
    /// Current values whose category the reference does not hold.
    pub unseen: usize,
    /// Current values of a type that does not belong in the column.
    pub mistyped: usize,
    /// Both sides hold one and the same value throughout.
    pub constant: bool,
    /// The tests that fit the track; the first is the one of its distribution.
    pub tests: Vec<Tested>,
    /// What people are shown beyond the tests; empty until [`describe`] is asked for it.
    pub description: Description,
}

/// What people are shown of a track beyond its tests. It takes several times as long to find.
#[derive(Debug, Clone, Default)]
pub struct Description {
    /// How large the change is on the scales people know.
    pub effects: Vec<(Test, f64)>,
    /// Quantiles of both sides, for numbers.
    pub quantiles: Option<QuantilePair>,
    /// By how much the mean has moved, in standard deviations of the reference.
    pub shift: Option<f64>,
    /// Both distributions by their quantiles, for numbers.
    pub sides: Option<Sides>,
    /// What the page draws.
    pub picture: Option<Picture>,
}

/// One test with the values it compared.
#[derive(Debug, Clone)]
pub struct Tested {
    /// The test.
    pub test: Test,
    /// Reference values compared.
    pub n_reference: usize,
    /// Current values compared.
    pub n_current: usize,
    /// The figures; `None` where there is nothing to compare.
    pub result: Option<TestResult>,
}

/// The figures of one test.
#[derive(Debug, Clone, PartialEq)]
pub struct TestResult {
    /// The statistic of the scipy call the test is named after.
    pub statistic: f64,
    /// Its p-value.
    pub p: PValue,
    /// How large the change is, for the effect floor.
    pub effect: Effect,
    /// What the decision is made on.
    pub evidence: Evidence,
    /// The value at which the largest gap is, for KS.
    pub location: Option<f64>,
    /// +1: values moved up; −1: down, for KS.
    pub sign: Option<i8>,
}

/// How large a change is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// D, total variation, or the share of the values that changed; 0 to 1.
    pub size: f64,
    /// The largest move of a share that grew or shrank by half or more; 0 for numbers.
    pub leap: f64,
}

/// Quantiles a distribution is told by where it is compared with another column's: 5 %, … 95 %.
pub const QUANTILES: usize = 19;

/// Two distributions by their quantiles.
#[derive(Debug, Clone, PartialEq)]
pub struct Sides {
    /// Of the reference.
    pub reference: [f64; QUANTILES],
    /// Of the current values.
    pub current: [f64; QUANTILES],
    /// Whether the reference holds few different values, so that its quantiles say less.
    pub tied: bool,
}

/// What a decision is made on.
#[derive(Debug, Clone, PartialEq)]
pub enum Evidence {
    /// The integer |k₁n₂ − k₂n₁| of the largest ECDF gap.
    Ks {
        /// D is this over `n_reference · n_current`.
        gap: u128,
        /// Whether ties are so many that they change the p-value.
        tied: bool,
    },
    /// χ², plain and with the sparse cells pooled.
    Chi2 {
        /// Degrees of freedom of the plain test.
        dof: u32,
        /// The statistic of the pooled table.
        pooled: f64,
        /// Its degrees of freedom.
        pooled_dof: u32,
        /// The exact p-value given both margins, where counts are small.
        exact: Option<PValue>,
    },
    /// Values with and without a property on either side, such as missing ones.
    Share {
        /// With, without, in the reference.
        reference: [u64; 2],
        /// With, without, among the current values.
        current: [u64; 2],
    },
    /// Values beyond the reference's range.
    Range {
        /// Above its largest value.
        above: u64,
        /// Below its smallest value.
        below: u64,
    },
}

// === impl Measurement ===

impl Measurement {
    /// Share of the reference's rows in which the value is missing, where it was compared.
    #[must_use]
    pub fn missing_reference(&self) -> Option<f64> {
        let missing = self.tests.iter().find(|test| test.test == Test::Missing)?;
        match missing.result.as_ref()?.evidence {
            Evidence::Share {
                reference: [with, without],
                ..
            } => Some(with as f64 / (with + without) as f64),
            _ => None,
        }
    }
}

/// Measures the current values of one track.
#[must_use]
pub fn measure(track: &Track<'_>, values: &Values<'_>, memo: &mut Memo) -> Measurement {
    let mut measured = match track.side {
        Side::Numbers(numbers) => numeric::measure(numbers, values, memo),
        Side::Categories(categories) => categorical::measure(categories, values),
    };
    match track.descriptor {
        // Bounds and gaps of a text are told once, not by each of its descriptors.
        Some(Descriptor::Length) => measured.tests.truncate(1),
        Some(_) => {
            measured.tests.truncate(1);
            return measured;
        }
        None => {}
    }
    measured.tests.push(presence::missing(track.side, values));
    measured.tests.push(presence::mistyped(track.side, values));
    measured
}

/// Describes the values of a track: quantiles, effect sizes, a picture. `measured` is what
/// [`measure`] found in them.
#[must_use]
pub fn describe(track: &Track<'_>, values: &Values<'_>, measured: &Measurement) -> Description {
    match track.side {
        Side::Numbers(numbers) => {
            let location = measured.main().result.as_ref();
            numeric::describe(numbers, values, location.and_then(|found| found.location))
        }
        Side::Categories(categories) => categorical::describe(categories, values),
    }
}

// === impl Measurement ===

impl Measurement {
    /// The test of the distribution.
    #[must_use]
    pub fn main(&self) -> &Tested {
        &self.tests[0]
    }
}

// === impl Sides ===

impl Sides {
    /// Of two columns; `None` where one is empty or has an infinite quantile.
    #[must_use]
    pub fn new(reference: &Numbers, current: &Numbers) -> Option<Self> {
        let quantiles = |numbers: &Numbers| {
            let mut found = [0.0; QUANTILES];
            for (i, quantile) in found.iter_mut().enumerate() {
                *quantile = numbers.quantile((i + 1) as f64 / (QUANTILES + 1) as f64)?;
            }
            found.iter().all(|value| value.is_finite()).then_some(found)
        };
        Some(Self {
            reference: quantiles(reference)?,
            current: quantiles(current)?,
            tied: reference.tied() < 0.5,
        })
    }
}

// === impl Effect ===

impl Effect {
    /// That of two distributions over the same categories.
    fn between(reference: &[u64], current: &[u64]) -> Self {
        let total = |counts: &[u64]| counts.iter().sum::<u64>().max(1) as f64;
        let (n, w) = (total(reference), total(current));
        let leap = (reference.iter().zip(current))
            .map(|(r, c)| (*r as f64 / n, *c as f64 / w))
            .filter(|(r, c)| (r - c).abs() >= r / 2.0)
            .map(|(r, c)| (r - c).abs())
            .fold(0.0, f64::max);
        Self {
            size: effect::total_variation(reference, current).unwrap_or(0.0),
            leap,
        }
    }

    /// How many times the floor it reaches; 1 is just enough. A share that moved by half or more
    /// needs a fifth of it: a category of 3 % that grows to 6 % is news.
    #[must_use]
    pub fn over(&self, floor: f64) -> f64 {
        if floor > 0.0 {
            (self.size / floor).max(5.0 * self.leap / floor)
        } else {
            f64::INFINITY
        }
    }
}

/// The effect sizes between two distributions over the same bins or categories.
fn shares(reference: &[u64], current: &[u64]) -> Vec<(Test, f64)> {
    let sizes = [
        (Test::Psi, effect::psi(reference, current)),
        (Test::Js, effect::jensen_shannon(reference, current)),
        (Test::Hellinger, effect::hellinger(reference, current)),
        (Test::Tv, effect::total_variation(reference, current)),
    ];
    let known = |(test, size): (Test, Option<f64>)| size.map(|size| (test, size));
    sizes.into_iter().filter_map(known).collect()
}

#[cfg(test)]
mod tests;
