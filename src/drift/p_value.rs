//! A p-value kept together with its logarithm.

/// A p-value that also has a logarithm where it is too small for a double.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PValue {
    /// In [0, 1], and 0 once it underflows.
    pub p: f64,
    /// Its base-10 logarithm, at most 0 and finite.
    pub log10_p: f64,
}

// === impl PValue ===

impl PValue {
    /// Certainty: nothing speaks against the null hypothesis.
    pub const ONE: Self = Self {
        p: 1.0,
        log10_p: 0.0,
    };

    /// From the natural logarithm. Rounding can take a sum of probabilities past 1, so what is
    /// above 1 counts as 1.
    pub fn from_ln(log_p: f64) -> Self {
        let log_p = log_p.min(0.0);
        Self {
            p: log_p.exp(),
            log10_p: log_p * std::f64::consts::LOG10_E,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probability_is_at_most_one() {
        assert_eq!(PValue::from_ln(1e-15), PValue::ONE);
        let tiny = PValue::from_ln(-1e6);
        assert!(tiny.p <= 0.0 && (tiny.log10_p + 434_294.481_903_251_8).abs() < 1e-6);
    }
}
