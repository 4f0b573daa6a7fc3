//! Names and shapes of one column: what it is called, which part it plays, what it holds.
//!
//! Invariant: vocabulary only. No I/O, no statistics, no configuration.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};

/// The part a checked column plays in an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// An input of the model.
    Feature,
    /// What the model answers.
    Output,
}

/// What the values of a column are, and so which test compares them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Real numbers; compared by the Kolmogorov-Smirnov test.
    Numeric,
    /// A limited set of words or booleans; compared by the chi-squared test of homogeneity.
    Categorical,
    /// Free text; compared by its length in characters.
    Text,
}

/// One checked column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name in the reference's header, in bodies, in the window and in every label.
    pub name: Arc<str>,
    /// Input or output.
    pub role: Role,
    /// How its values are read and compared. `None`: nothing is known yet (an output the reference
    /// does not hold); values are stored as they come and not compared.
    pub kind: Option<Kind>,
}

/// One value as it stood in a body or a reference file.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Absent, `null` or NaN.
    Missing,
    /// A number; ±∞ are values like others. Never NaN (that is [`Cell::Missing`]).
    Number(f64),
    /// `true` or `false`.
    Bool(bool),
    /// A string.
    Text(Box<str>),
}

/// What of a column's values may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Store {
    /// The values themselves.
    #[default]
    Keep,
    /// A hash of each word: equal words stay equal, and can be compared, but not read.
    Hash,
    /// Nothing; so nothing is compared either.
    Drop,
}

// === impl Role ===

impl Role {
    /// The word used in labels, JSON and SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Feature => "feature",
            Self::Output => "output",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Kind ===

impl Kind {
    /// Every kind, in the order error messages list them.
    pub const ALL: [Self; 3] = [Self::Numeric, Self::Categorical, Self::Text];

    /// The word used in configuration, JSON and SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Numeric => "numeric",
            Self::Categorical => "categorical",
            Self::Text => "text",
        }
    }

    /// The kind a word names, if it names one.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Store ===

impl Store {
    /// Every word the configuration knows, in the order error messages list them.
    pub const ALL: [Self; 3] = [Self::Keep, Self::Hash, Self::Drop];

    /// The word used in configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Hash => "hash",
            Self::Drop => "drop",
        }
    }

    /// What is stored in place of `cell`; `salt` makes the same word hash differently elsewhere.
    #[must_use]
    pub fn apply(self, cell: Cell, salt: &str) -> Cell {
        match (self, cell.category()) {
            (Self::Keep, _) => cell,
            (Self::Drop, _) | (Self::Hash, None) => Cell::Missing,
            (Self::Hash, Some(word)) => Cell::Text(hash(&word, salt)),
        }
    }
}

/// The first 16 hex digits of SHA-256 over salt, a zero byte and the word.
#[must_use]
pub fn hash(word: &str, salt: &str) -> Box<str> {
    let digest = Sha256::new()
        .chain_update(salt)
        .chain_update([0])
        .chain_update(word)
        .finalize();
    let digits: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    digits.into()
}

// === impl Cell ===

impl Cell {
    /// A number, or missing where it is NaN.
    #[must_use]
    pub fn number(value: f64) -> Self {
        if value.is_nan() {
            Self::Missing
        } else {
            Self::Number(value)
        }
    }

    /// The word a categorical column knows this value by: strings as they are, booleans as
    /// `true`/`false`, numbers in their shortest exact form (`3`, `0.5`). `None` where missing.
    #[must_use]
    pub fn category(&self) -> Option<std::borrow::Cow<'_, str>> {
        match self {
            Self::Missing => None,
            Self::Number(value) => Some(format!("{value}").into()),
            Self::Bool(value) => Some(if *value { "true" } else { "false" }.into()),
            Self::Text(text) => Some(text.as_ref().into()),
        }
    }

    /// The number a numeric column reads here: numbers as they are, booleans as 0 and 1. `None`
    /// for text, also text that looks like a number (a type change worth seeing), and where missing.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(value) => Some(*value),
            Self::Bool(value) => Some(f64::from(u8::from(*value))),
            Self::Missing | Self::Text(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashed_words_stay_equal_and_unreadable() {
        let text = |word: &str| Cell::Text(word.into());
        // python3 -c 'import hashlib; print(hashlib.sha256(b"iris\0basic").hexdigest()[:16])'
        assert_eq!(
            Store::Hash.apply(text("basic"), "iris"),
            text("358f39ff6e277b5c")
        );
        assert_eq!(
            Store::Hash.apply(Cell::Number(3.0), "iris"),
            Store::Hash.apply(text("3"), "iris")
        );
        assert_eq!(Store::Hash.apply(Cell::Missing, "iris"), Cell::Missing);
        assert_eq!(Store::Drop.apply(text("basic"), "iris"), Cell::Missing);
        assert_eq!(Store::Keep.apply(text("basic"), "iris"), text("basic"));
    }
}
