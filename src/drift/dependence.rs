//! How much information consecutive rows carry: the autocorrelation time of one column.
//!
//! Rows that follow one another are seldom independent, and every test that counts them as such
//! flags traffic that did not change. The mean of N rows of an indicator with autocorrelations
//! ρ_k has the variance of N/τ independent rows, τ = 1 + 2 Σ ρ_k. This module measures τ on rows
//! that are known to fit the reference.
//!
//! Sokal, A. (1997), "Monte Carlo methods in statistical mechanics", §3: the self-consistent
//! window and its error. Wolff, U. (2004), "Monte Carlo errors with less errors": the bias.

mod indicator;

use indicator::{AutocorrelationTime, Blocks};

/// Bins a value can fall into: reference deciles.
pub const BINS: usize = 10;

/// The bin of a missing value.
pub const MISSING: u8 = 255;

/// Below this many rows no estimate is given.
pub const MIN_ROWS: usize = 2_000;

/// Rows kept at most. One byte each, and enough for an error of 13% at τ = 13.
pub const MAX_ROWS: usize = 20_000;

/// Sokal's c: the sum stops at the first lag M ≥ c·τ(M). For correlations that decay like
/// exp(-k/T) the rest is about exp(-2c) of τ.
const WINDOW: f64 = 6.0;

/// Rows needed per (2M+1): the relative standard error √(2(2M+1)/n) is then at most ½, and the
/// upper bound at most twice the estimate. In terms of τ about n ≥ 96 τ.
const ROWS_PER_LAG: usize = 8;

/// Standard errors between the estimate and the bound given out.
const MARGIN: f64 = 2.0;

/// Blocks whose own mean is subtracted before rows are correlated, so that waves slower than a
/// block (a day's cycle in rows of two days) do not pass for dependence of neighbouring rows. A
/// correlation longer than a block of a sixteenth of the rows can hold is looked for in longer ones.
const BLOCKS: [usize; 3] = [16, 8, 4];

/// A sum of correlations reaches over at most this part of a block: subtracting the block's mean
/// hides the share (2M+1)/block of τ, which is then at most a half and added again.
const BLOCK_PER_LAG: usize = 2;

/// Largest gap between a decile share of the rows and of the reference for them to be the same
/// traffic. It is the smallest D that is ever worth an alarm.
const LEVEL_TOLERANCE: f64 = 0.1;

/// The decile bins of consecutive rows of one column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collector {
    /// Bins of the present values in order of arrival, at most [`MAX_ROWS`].
    bins: Vec<u8>,
}

/// Autocorrelation time of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dependence {
    /// Upper bound of τ, at least 1: the one to divide row counts by.
    pub tau: f64,
    /// The estimate itself, at least 1.
    pub estimate: f64,
    /// Lag M at which the sum that gave the estimate was cut.
    pub lag: usize,
    /// Rows it was estimated from.
    pub rows: usize,
    /// Whether all [`MAX_ROWS`] were there, so that the estimate will not change any more.
    pub settled: bool,
}

/// Whether collected rows are the same traffic as the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// Largest |share of rows in bins ≤ q - expected share| over the deciles q.
    pub level_gap: f64,
    /// Whether it is within bounds.
    pub fits: bool,
}

/// Independent rows that tell as much as `sample` rows drawn uniformly, without replacement, from
/// `population` consecutive rows with autocorrelation time `tau`.
///
/// For an indicator of variance σ² the mean of the population has variance σ²τ/N, and the sample
/// mean scatters around it with variance σ²(1/m - 1/N). Together σ²(1/m + (τ-1)/N), which is
/// that of 1/(1/m + (τ-1)/N) independent rows: N/τ when all rows are taken, m when m ≪ N/τ.
///
/// A τ below 1 counts as 1, and a population smaller than the sample as the sample.
pub fn n_effective(sample: u64, population: u64, tau: f64) -> f64 {
    if sample == 0 {
        return 0.0;
    }
    let population = population.max(sample) as f64;
    1.0 / (1.0 / sample as f64 + (tau.max(1.0) - 1.0) / population)
}

// === impl Collector ===

impl Collector {
    /// An empty collector.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the bin of the next row. Ignored once full.
    ///
    /// Missing values (anything above 9) are left out rather than kept as gaps: tests use the
    /// present values, so it is their sequence whose dependence matters.
    pub fn push(&mut self, bin: u8) {
        if usize::from(bin) < BINS && self.bins.len() < MAX_ROWS {
            self.bins.push(bin);
        }
    }

    /// Rows held, without missing values.
    pub fn rows(&self) -> usize {
        self.bins.len()
    }

    /// Whether further rows are ignored.
    pub fn is_full(&self) -> bool {
        self.bins.len() == MAX_ROWS
    }

    /// Forgets all rows, to start again when they did not fit.
    pub fn clear(&mut self) {
        self.bins.clear();
    }

    /// τ as the largest over the nine deciles q of the autocorrelation time of I{bin ≤ q}, its
    /// slow waves removed (see [`BLOCKS`]).
    ///
    /// The bound is the estimate times 1 + 2√(2(2M+1)/n), two of Sokal's standard errors, wider by
    /// what the removal hides. `None` below [`MIN_ROWS`], or when a decile's sum has not met its
    /// window by the lag M with 8(2M+1) = n. An indicator that never changes says nothing and is
    /// passed over; a column that never changes has τ = 1, but then [`Collector::fits`] tells
    /// whether it should. Correlation that reappears after the window is not seen.
    pub fn estimate(&self) -> Option<Dependence> {
        let rows = self.bins.len();
        if rows < MIN_ROWS {
            return None;
        }
        let mut widest = Dependence {
            tau: 1.0,
            estimate: 1.0,
            lag: WINDOW as usize,
            rows,
            settled: self.is_full(),
        };
        let mut visible = 1.0;
        for decile in 0..BINS as u8 - 1 {
            let ones = self.bins.iter().filter(|&&bin| bin <= decile).count();
            if ones == 0 || ones == rows {
                continue;
            }
            let time = self.autocorrelation_time(decile)?;
            if time.tau > widest.estimate {
                widest.estimate = time.tau;
                widest.lag = time.lag;
                visible = time.visible;
            }
        }
        let variance = 2.0 * (2.0 * widest.lag as f64 + 1.0) / rows as f64;
        widest.tau = widest.estimate * (1.0 + MARGIN * variance.sqrt() / visible);
        Some(widest)
    }

    /// That of one decile's indicator, by the shortest blocks that can hold it.
    fn autocorrelation_time(&self, decile: u8) -> Option<AutocorrelationTime> {
        let rows = self.bins.len();
        BLOCKS.into_iter().find_map(|blocks| {
            let length = rows / blocks;
            let most = (rows / ROWS_PER_LAG).min(length / BLOCK_PER_LAG);
            let max_lag = most.saturating_sub(1) / 2;
            Blocks::new(&self.bins, length, decile).autocorrelation_time(WINDOW, max_lag)
        })
    }

    /// Whether the rows look like the reference, given its share in each bin. `None` below
    /// [`MIN_ROWS`].
    ///
    /// Rows that drifted must not calibrate. The bound is absolute, since enough rows make any
    /// difference significant. As n ≥ 96 τ whenever there is an estimate, it is never below two
    /// standard errors √(¼τ/n), and above five from n = 600 τ. Rows that wander on the way, as
    /// those of a day's cycle do, fit where they are right on the whole: waves do not enter τ.
    pub fn fits(&self, expected_shares: &[f64; BINS]) -> Option<Fit> {
        if self.bins.len() < MIN_ROWS {
            return None;
        }
        let mut expected = 0.0;
        let gaps = (0..).zip(&expected_shares[..BINS - 1]).map(|(decile, e)| {
            expected += e;
            (share(&self.bins, decile) - expected).abs()
        });
        let level_gap = gaps.fold(0.0, f64::max);
        Some(Fit {
            level_gap,
            fits: level_gap <= LEVEL_TOLERANCE,
        })
    }
}

/// Share of rows in bins ≤ `decile`.
fn share(bins: &[u8], decile: u8) -> f64 {
    bins.iter().filter(|&&bin| bin <= decile).count() as f64 / bins.len() as f64
}

#[cfg(test)]
mod tests;
