//! What a column holds: its kind, and how its texts become cells.

use std::collections::HashSet;

use crate::feature::{Cell, Kind};

use super::problem::Problem;
use super::profile::{self, Profile};
use super::raw::Raw;
use super::table::Missing;

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

/// So few different integers, each coming [`CODED`] times on average if there are as many, are
/// categories in numbers: the KS test is blind to most of what happens among so few values.
pub(super) const CODES: usize = 20;
pub(super) const CODED: usize = 10;

/// Rows each category needs on average; words of a text hardly ever come back.
const EACH: usize = 5;

/// The kind of a column by its content, with the hashes of its words where it holds words. Words
/// are categories where there are at most [`FEW`], or each comes [`EACH`] times on average and there
/// are at most [`MANY`]; so are a few different integers that come again and again. `distinct` counts different values up to a limit.
pub(super) fn guess(
    profile: &Profile,
    distinct: impl FnOnce(usize) -> Result<HashSet<u64>, Problem>,
) -> Result<(Guess, HashSet<u64>), Problem> {
    let known = |kind, why| Ok((Guess { kind, why }, HashSet::new()));
    if profile.present == 0 {
        return known(None, "holds no value");
    }
    if profile.numeric() && !(profile.integers && profile.codes) {
        let coded = profile.integers && profile.present >= CODES * CODED;
        if coded && distinct(CODES)?.len() <= CODES {
            return known(Some(Kind::Categorical), "holds few different integers");
        }
        return known(Some(Kind::Numeric), "holds numbers");
    }
    if profile.booleans {
        return known(Some(Kind::Categorical), "holds true and false");
    }
    let limit = limit(profile.present);
    let words = distinct(limit)?;
    let (kind, why) = if words.len() <= limit {
        (Kind::Categorical, "holds few different words")
    } else {
        (Kind::Text, "holds many different words")
    };
    let kind = Some(kind);
    // Codes are numbers, and no words that an output and its target could share.
    let words = if profile.numeric() {
        HashSet::new()
    } else {
        words
    };
    Ok((Guess { kind, why }, words))
}

/// The most different words that are categories among so many values.
pub(super) fn limit(present: usize) -> usize {
    FEW.max((present / EACH).min(MANY))
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
    /// The cell a value stands for. Only what CSV leaves open is read by the column's reading: what
    /// a file says is a string is none of the column's numbers, as it is in a body.
    #[inline]
    pub(super) fn cell(self, raw: Raw<'_>, missing: &Missing<'_>) -> Cell {
        match raw {
            Raw::Null => Cell::Missing,
            Raw::Number(number) => Cell::number(number),
            Raw::Digits(digits) => digits.parse().map_or(Cell::Missing, Cell::number),
            Raw::Bool(value) => Cell::Bool(value),
            Raw::Text(text) => Cell::Text(text.into()),
            Raw::Untyped(text) => self.untyped(text, missing),
        }
    }

    #[inline]
    fn untyped(self, text: &str, missing: &Missing<'_>) -> Cell {
        let trimmed = text.trim();
        if missing.is(trimmed) {
            return Cell::Missing;
        }
        let read = match self {
            Self::Number => trimmed.parse().ok().map(Cell::number),
            Self::Bool => profile::boolean(trimmed).map(Cell::Bool),
            Self::Text => None,
        };
        read.unwrap_or_else(|| Cell::Text(text.into()))
    }

    /// The reading a word names, if it names one.
    pub(super) fn parse(word: &str) -> Option<Self> {
        let all = [Self::Number, Self::Bool, Self::Text];
        all.into_iter().find(|reading| reading.as_str() == word)
    }

    /// The word the reference's hash and profiles know it by.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Text => "text",
        }
    }
}
