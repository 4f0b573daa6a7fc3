//! What a column holds: its kind, and how its texts become cells.

use crate::feature::{Cell, Kind};

use super::profile::{self, Profile};
use super::table::{Cells, Missing};

/// How the texts of a column become cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Numbers; what is none stays text.
    Number,
    /// Boolean words; what is none stays text.
    Bool,
    /// As written.
    Text,
}

/// A kind with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Guess {
    /// `None`: no value, nothing known.
    pub(super) kind: Option<Kind>,
    /// Why; reads on after the column's name.
    pub(super) why: &'static str,
}

/// So many different words are always categories.
const FEW: usize = 50;

/// More different words than this are never categories: their test would tell nothing.
const MANY: usize = 1000;

/// Rows each category needs on average; words of a text hardly ever come back.
const EACH: usize = 5;

/// The kind of a column by its content. Words are categories where there are at most [`FEW`], or
/// each comes [`EACH`] times on average and there are at most [`MANY`].
pub(super) fn guess(cells: &Cells, profile: &Profile, missing: &Missing<'_>) -> Guess {
    let (kind, why) = if profile.present == 0 {
        (None, "holds no value")
    } else if profile.numeric() && !(profile.integers && profile.codes) {
        (Some(Kind::Numeric), "holds numbers")
    } else if profile.booleans {
        (Some(Kind::Categorical), "holds true and false")
    } else {
        let limit = FEW.max((profile.present / EACH).min(MANY));
        if profile::distinct(cells, missing, limit) <= limit {
            (Some(Kind::Categorical), "holds few different words")
        } else {
            (Some(Kind::Text), "holds many different words")
        }
    };
    Guess { kind, why }
}

/// How a column of `kind` is read. Numbers that are categories are read as numbers, so that JSON's
/// `3` and `3.0` are the file's `3`; but not where a number is a code, such as `01234`.
pub(super) fn reading(kind: Option<Kind>, profile: &Profile) -> Reading {
    match kind {
        Some(Kind::Numeric) if profile.booleans => Reading::Bool,
        Some(Kind::Numeric) => Reading::Number,
        Some(Kind::Categorical) if profile.booleans => Reading::Bool,
        Some(Kind::Categorical) if profile.numeric() && !profile.codes => Reading::Number,
        Some(Kind::Categorical | Kind::Text) | None => Reading::Text,
    }
}

// === impl Reading ===

impl Reading {
    /// The cell a text stands for.
    pub(super) fn cell(self, text: &str, missing: &Missing<'_>) -> Cell {
        if missing.is(text) {
            return Cell::Missing;
        }
        let read = match self {
            Self::Number => text.trim().parse().ok().map(Cell::number),
            Self::Bool => profile::boolean(text).map(Cell::Bool),
            Self::Text => None,
        };
        read.unwrap_or_else(|| Cell::Text(text.into()))
    }

    /// The word the reference's hash knows it by.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Text => "text",
        }
    }
}
