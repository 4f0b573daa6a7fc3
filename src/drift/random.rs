//! Seeded random numbers, the same on every platform and in every version.
//!
//! A stored summary is only comparable with features drawn from the same numbers, so the
//! generator must never change with a dependency.

use std::f64::consts::TAU;

/// SplitMix64: Steele, Lea and Flood (2014), "Fast splittable pseudorandom number generators".
#[derive(Clone, Debug)]
pub(super) struct SplitMix64 {
    state: u64,
}

// === impl SplitMix64 ===

impl SplitMix64 {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(super) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform on the open interval (0, 1), on a grid of 2⁻⁵³ shifted by half a step.
    pub(super) fn uniform(&mut self) -> f64 {
        ((self.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller (1958). The second of each pair is not kept, which
    /// leaves the stream free of hidden state.
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (TAU * self.uniform()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_numbers_are_those_of_the_paper() {
        // The reference C implementation, seed 1234567 (Vigna, splitmix64.c).
        let mut random = SplitMix64::new(1_234_567);
        assert_eq!(random.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(random.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn normal_moments() {
        let mut random = SplitMix64::new(1);
        let draws: Vec<f64> = (0..100_000).map(|_| random.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let square = draws.iter().map(|x| x * x).sum::<f64>() / 1e5;
        // Five standard errors: 5/√1e5 and 5·√(2/1e5).
        assert!(
            mean.abs() < 0.016 && (square - 1.0).abs() < 0.023,
            "{mean} {square}"
        );
    }
}
