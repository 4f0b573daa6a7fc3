//! How a state reads: its word, its sign, its colour. Colour never stands alone.

use crate::drift::report::{Level, ModelReport, SpanName, State, Test};

/// The colour of a verdict, as a CSS class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// Checked, all well.
    Fine,
    /// Worth a look.
    Look,
    /// Drifted, or worse.
    Drift,
    /// No verdict can be given: never to be taken for all well.
    Unknown,
}

/// How a model stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Its tone.
    pub(super) tone: Tone,
    /// The same in a word or two.
    pub(super) word: &'static str,
}

// === impl Standing ===

impl Standing {
    /// As its verdict says; an old one that all was well says nothing any more.
    pub(super) fn of(model: &ModelReport, overdue: bool) -> Self {
        let tone = Tone::of(model.state, model.level);
        match (tone, overdue) {
            (Tone::Fine, true) => Self {
                tone: Tone::Unknown,
                word: "Not checked",
            },
            _ => Self {
                tone,
                word: word(model.state, model.level),
            },
        }
    }
}

// === impl Tone ===

impl Tone {
    /// The tone of a verdict.
    pub(super) const fn of(state: State, level: Level) -> Self {
        match (state, level) {
            (State::Drifted | State::TypeChanged, _) => Self::Drift,
            (State::Mismatch, _) | (_, Level::Warn | Level::Alert) => Self::Look,
            (State::Ok | State::Constant | State::Accepted, Level::Ok) => Self::Fine,
            _ => Self::Unknown,
        }
    }

    /// The CSS class.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Look => "look",
            Self::Drift => "drift",
            Self::Unknown => "unknown",
        }
    }

    /// A sign whose shape differs from the others', as the inside of a 16 by 16 SVG.
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Fine => r#"<circle cx="8" cy="8" r="7"/><path d="M4.8 8.3l2.2 2.3 4.3-4.8"/>"#,
            Self::Look => {
                r#"<path class="shape" d="M8 1l7 7-7 7-7-7z"/><path d="M8 4.6v4M8 10.6v.8"/>"#
            }
            Self::Drift => {
                r#"<path class="shape" d="M8 1l7.4 13.5H.6z"/><path d="M8 6v4.2M8 12v.8"/>"#
            }
            Self::Unknown => {
                r#"<circle class="hollow" cx="8" cy="8" r="6.2"/><path class="dash" d="M5 8h6"/>"#
            }
        }
    }
}

/// A state in words.
pub(super) const fn word(state: State, level: Level) -> &'static str {
    match state {
        State::Ok => match level {
            Level::Ok => "No drift",
            Level::Warn | Level::Alert => "Early warning",
        },
        State::Drifted => "Drifted",
        State::Insufficient => "Too few rows",
        State::Warming => "Warming up",
        State::Learning => "Learning",
        State::NoReference => "No reference",
        State::Mismatch => "Mismatch",
        State::Constant => "Constant",
        State::TypeChanged => "Type changed",
        State::Stale => "Stale",
        State::LowCoverage => "Low coverage",
        State::Accepted => "Accepted",
    }
}

/// A span in words.
pub(super) const fn span(span: SpanName) -> &'static str {
    match span {
        SpanName::Main => "main",
        SpanName::Fast => "fast",
        SpanName::SinceReference => "since reference",
    }
}

/// What a test is called.
pub(super) const fn test(test: Test) -> &'static str {
    match test {
        Test::Ks => "Kolmogorov–Smirnov",
        Test::Chi2 => "Chi-squared",
        Test::Missing => "Missing values",
        Test::Range => "Beyond the range",
        Test::Type => "Another type",
        Test::Mmd => "All columns together",
        Test::Slow => "Slow drift",
        Test::Psi => "PSI",
        Test::Js => "Jensen–Shannon",
        Test::Wasserstein => "Wasserstein",
        Test::Hellinger => "Hellinger",
        Test::Tv => "Total variation",
    }
}
