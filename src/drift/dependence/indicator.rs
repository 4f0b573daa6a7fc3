//! Autocorrelations of a 0/1 sequence, one bit per row.

/// The sequence I{bin ≤ q}, packed.
pub(super) struct Indicator {
    /// Row t is bit t % 64 of word t / 64; bits after the last row are 0. One extra word of
    /// zeros ends it, so that a shifted read never runs out.
    words: Vec<u64>,
    rows: usize,
    ones: u64,
}

/// Integrated autocorrelation time of one sequence.
pub(super) struct AutocorrelationTime {
    /// 1 + 2 Σ ρ_k up to `lag`, corrected for the bias of the sample mean; may be below 1.
    pub(super) tau: f64,
    /// Where the sum was cut.
    pub(super) lag: usize,
}

// === impl Indicator ===

impl Indicator {
    pub(super) fn new(bins: &[u8], decile: u8) -> Self {
        let mut words = Vec::with_capacity(bins.len() / 64 + 2);
        words.extend(bins.chunks(64).map(|chunk| {
            let bits = chunk.iter().enumerate();
            bits.fold(0, |word, (t, &bin)| word | (u64::from(bin <= decile) << t))
        }));
        words.push(0);
        Self {
            ones: words.iter().map(|word| u64::from(word.count_ones())).sum(),
            rows: bins.len(),
            words,
        }
    }

    pub(super) fn is_constant(&self) -> bool {
        self.ones == 0 || self.ones == self.rows as u64
    }

    /// Sums autocorrelations up to the first lag M ≥ `window`·max(τ(M), 1). `None` if that is
    /// beyond `max_lag`.
    ///
    /// With N ones in all, the autocovariance Σ_t (b_t - m)(b_{t+k} - m) is
    /// n₁₁(k) - m·(2N - ones in the first k - ones in the last k) + (n - k)m².
    pub(super) fn autocorrelation_time(
        &self,
        window: f64,
        max_lag: usize,
    ) -> Option<AutocorrelationTime> {
        let n = self.rows as f64;
        let total = self.ones as f64;
        let mean = total / n;
        let variance = total * (1.0 - mean);
        let mut ends = 0.0;
        let mut tau = 1.0;
        for lag in 1..=max_lag {
            ends += self.bit(lag - 1) + self.bit(self.rows - lag);
            let covariance = self.pairs(lag) as f64 - mean * (2.0 * total - ends)
                + (n - lag as f64) * mean * mean;
            tau += 2.0 * covariance / variance;
            if lag as f64 >= window * tau.max(1.0) {
                // Subtracting the sample mean lowers each ρ_k by about τ/n.
                let bias = 1.0 + (2.0 * lag as f64 + 1.0) / n;
                return Some(AutocorrelationTime {
                    tau: tau * bias,
                    lag,
                });
            }
        }
        None
    }

    fn bit(&self, row: usize) -> f64 {
        (self.words[row / 64] >> (row % 64) & 1) as f64
    }

    /// How many rows t have ones at both t and t + lag.
    fn pairs(&self, lag: usize) -> u64 {
        let later = &self.words[lag / 64..];
        let shift = (lag % 64) as u32;
        // The upper word is shifted in two steps, since a shift by 64 does not exist.
        self.words
            .iter()
            .zip(later.iter().zip(&later[1..]))
            .map(|(now, (low, high))| {
                let shifted = (low >> shift) | ((high << 1) << (63 - shift));
                u64::from((now & shifted).count_ones())
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::random::SplitMix64;

    #[test]
    fn pairs_are_those_counted_one_by_one() {
        let mut random = SplitMix64::new(3);
        let bins: Vec<u8> = (0..1_003).map(|_| (random.next_u64() % 10) as u8).collect();
        let indicator = Indicator::new(&bins, 3);
        for lag in [1, 2, 63, 64, 65, 127, 128, 500, 959, 960, 1_002] {
            let expected = (0..bins.len() - lag)
                .filter(|&t| bins[t] <= 3 && bins[t + lag] <= 3)
                .count();
            assert_eq!(indicator.pairs(lag), expected as u64, "{lag}");
        }
    }

    #[test]
    fn known_sequence() {
        // x = np.array([1,1,0,0,1,1,1,0,0,0]*4, float); c = x - x.mean()
        // tau = 1 + 2*sum((c[:-k]*c[k:]).sum() for k in range(1, 7))/(c*c).sum()
        // M = 6 is the first lag with M >= 6*max(tau(M), 1); tau*(1 + 13/40)
        let bins: Vec<u8> = [0, 0, 9, 9, 0, 0, 0, 9, 9, 9].repeat(4);
        let time = Indicator::new(&bins, 4)
            .autocorrelation_time(6.0, 19)
            .unwrap();
        assert_eq!(time.lag, 6);
        assert!((time.tau - 1.258_75).abs() < 1e-12, "{}", time.tau);
    }
}
