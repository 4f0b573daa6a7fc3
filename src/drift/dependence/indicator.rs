//! Autocorrelations of a 0/1 sequence, one bit per row.

/// The sequence I{bin ≤ q}, packed.
pub(super) struct Indicator {
    /// Row t is bit t % 64 of word t / 64; bits after the last row are 0. One extra word of
    /// zeros ends it, so that a shifted read never runs out.
    words: Vec<u64>,
    rows: usize,
    ones: u64,
}

/// The sequence cut into blocks of equal length; what is left over at the end is passed over.
pub(super) struct Blocks {
    blocks: Vec<Indicator>,
    /// Rows of each.
    length: usize,
}

/// Integrated autocorrelation time of one sequence.
pub(super) struct AutocorrelationTime {
    /// 1 + 2 Σ ρ_k up to `lag`, corrected for the bias of the block means; may be below 1.
    pub(super) tau: f64,
    /// Where the sum was cut.
    pub(super) lag: usize,
    /// The share of τ that subtracting the block means left to be seen.
    pub(super) visible: f64,
}

// === impl Blocks ===

impl Blocks {
    pub(super) fn new(bins: &[u8], length: usize, decile: u8) -> Self {
        let block = |rows| Indicator::new(rows, decile);
        Self {
            blocks: bins.chunks_exact(length).map(block).collect(),
            length,
        }
    }

    /// Sums autocorrelations of the deviations from the block means up to the first lag
    /// M ≥ `window`·max(τ(M), 1). `None` if that is beyond `max_lag`, or if nothing varies within
    /// a block.
    ///
    /// A mean over L rows has the variance σ²τ/L, by which subtracting it lowers every
    /// autocovariance, the variance too (Wolff 2004, eq. 49, to the next order):
    /// τ̂(1 - τ/L) = τ(1 - (2M+1)/L), solved for τ.
    pub(super) fn autocorrelation_time(
        &self,
        window: f64,
        max_lag: usize,
    ) -> Option<AutocorrelationTime> {
        let length = self.length as f64;
        let variance = self.blocks.iter().map(Indicator::variance).sum::<f64>() / length;
        if variance <= 0.0 {
            return None;
        }
        let mut ends = vec![0.0; self.blocks.len()];
        let mut seen = 1.0;
        for lag in 1..=max_lag {
            let each = self.blocks.iter().zip(&mut ends);
            let covariance: f64 = each.map(|(block, ends)| block.covariance(lag, ends)).sum();
            seen += 2.0 * covariance / (length - lag as f64) / variance;
            let visible = 1.0 - (2.0 * lag as f64 + 1.0 - seen) / length;
            let tau = seen / visible;
            if lag as f64 >= window * tau.max(1.0) {
                return Some(AutocorrelationTime { tau, lag, visible });
            }
        }
        None
    }
}

// === impl Indicator ===

impl Indicator {
    fn new(bins: &[u8], decile: u8) -> Self {
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

    /// Σ_t (b_t - m)².
    fn variance(&self) -> f64 {
        self.ones as f64 * (1.0 - self.ones as f64 / self.rows as f64)
    }

    /// Σ_t (b_t - m)(b_{t+k} - m), for one lag k after the other from 1; `ends` is what the lags
    /// before left.
    ///
    /// With N ones in all, that is n₁₁(k) - m·(2N - ones in the first k - ones in the last k)
    /// + (n - k)m².
    fn covariance(&self, lag: usize, ends: &mut f64) -> f64 {
        let total = self.ones as f64;
        let mean = total / self.rows as f64;
        *ends += self.bit(lag - 1) + self.bit(self.rows - lag);
        self.pairs(lag) as f64 - mean * (2.0 * total - *ends)
            + (self.rows - lag) as f64 * mean * mean
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
        // x = np.array([1,1,0,0,1,1,1,0,0,0]*8, float).reshape(2, 40); L = 40
        // c = x - x.mean(axis=1, keepdims=True); v = (c*c).sum()/L
        // seen = 1 + 2*sum((c[:,:-k]*c[:,k:]).sum()/(L-k)/v for k in range(1, 8))
        // M = 7 is the first lag with M >= 6*max(tau(M), 1); tau = seen/(1 - (15 - seen)/L)
        let bins: Vec<u8> = [0, 0, 9, 9, 0, 0, 0, 9, 9, 9].repeat(8);
        let time = Blocks::new(&bins, 40, 4)
            .autocorrelation_time(6.0, 19)
            .unwrap();
        assert_eq!(time.lag, 7);
        assert!(
            (time.tau + 0.139_997_234_016_386_75).abs() < 1e-12,
            "{}",
            time.tau
        );
    }

    #[test]
    fn what_differs_between_blocks_only_is_no_dependence() {
        let bins: Vec<u8> = [[0; 100], [9; 100]].concat();
        assert!(
            Blocks::new(&bins, 100, 4)
                .autocorrelation_time(6.0, 40)
                .is_none()
        );
    }
}
