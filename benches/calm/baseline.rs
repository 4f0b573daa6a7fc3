//! Rules people use, on the p-values of the windows driftd decides on.

/// A rule over the p-values of all features.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Baseline {
    /// Alarms always.
    Always,
    /// Never alarms.
    Never,
    /// p < .05 for any feature.
    Plain,
    /// p < .05 / features for any feature.
    Bonferroni,
    /// Benjamini and Hochberg (1995) at .05 rejects any.
    BenjaminiHochberg,
}

/// How often a rule went off.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Episodes {
    /// From calm to alarm.
    pub(crate) begun: u32,
    /// Windows that alarmed.
    pub(crate) flagged: u32,
    /// Windows seen.
    pub(crate) seen: u32,
    standing: bool,
}

// === impl Baseline ===

impl Baseline {
    /// In the order of the table.
    pub(crate) const ALL: [Self; 5] = [
        Self::Always,
        Self::Never,
        Self::Plain,
        Self::Bonferroni,
        Self::BenjaminiHochberg,
    ];

    /// What it is called in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Always => "always alarm",
            Self::Never => "never alarm",
            Self::Plain => "p < .05, any feature",
            Self::Bonferroni => "Bonferroni .05",
            Self::BenjaminiHochberg => "Benjamini-Hochberg .05",
        }
    }

    /// Whether it alarms on a window with these p-values.
    pub(crate) fn alarms(self, p: &[f64]) -> bool {
        let m = p.len() as f64;
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Plain => p.iter().any(|p| *p < 0.05),
            Self::Bonferroni => p.iter().any(|p| *p < 0.05 / m),
            Self::BenjaminiHochberg => {
                let mut p = p.to_vec();
                p.sort_unstable_by(f64::total_cmp);
                (1..).zip(&p).any(|(i, p)| *p <= 0.05 * f64::from(i) / m)
            }
        }
    }
}

// === impl Episodes ===

impl Episodes {
    /// Takes in the next window.
    pub(crate) fn see(&mut self, alarms: bool) {
        self.seen += 1;
        self.flagged += u32::from(alarms);
        self.begun += u32::from(alarms && !self.standing);
        self.standing = alarms;
    }
}
