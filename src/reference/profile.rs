//! What the cells of one column look like.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::date::{self, Date};
use super::problem::Problem;
use super::raw::Raw;
use super::store::Cells;
use super::table::Missing;

/// The content of one column, from one pass over it.
#[derive(Debug)]
pub(super) struct Profile {
    /// Cells that hold a value.
    pub(super) present: usize,
    /// Cells that do not.
    pub(super) missing: usize,
    /// The first cell that is no number: its row (from 0) and text.
    pub(super) not_number: Option<(usize, String)>,
    /// The first cell that the file's own types make no text: its row (from 0) and what it is.
    pub(super) not_text: Option<(usize, String)>,
    /// Whether every value is an integer as written, without a point or exponent.
    pub(super) integers: bool,
    /// Whether some integer would be written differently after a round trip through `f64`: a
    /// leading zero or sign, or more digits than fit. Never where the file says it is a number.
    pub(super) codes: bool,
    /// Whether every value is a boolean word.
    pub(super) booleans: bool,
    /// Whether the rows are numbered 0, 1, 2 … or 1, 2, 3 …
    pub(super) counts: bool,
    /// The least date-like of all values; `None` where one is no date, or there is none.
    pub(super) dates: Option<Date>,
    /// Whether every value is a number with a decimal comma, one of them at least.
    pub(super) decimal_commas: bool,
    /// The number the first row holds, if they count.
    first: Option<u64>,
    /// Whether some value has a decimal comma.
    commas: bool,
}

/// Characters kept of a value that is shown in an error.
const SHOWN: usize = 60;

/// Digits that every integer keeps through `f64`.
const EXACT: usize = 15;

/// The boolean a word means, as Python, R, SQL and JSON write it.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.trim() {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// Whether a cell holds no value.
#[inline]
pub(super) fn is_missing(raw: Raw<'_>, missing: &Missing<'_>) -> bool {
    match raw {
        Raw::Null => true,
        Raw::Untyped(text) => missing.is(text.trim()),
        Raw::Number(number) => number.is_nan(),
        Raw::Text(_) | Raw::Digits(_) | Raw::Bool(_) => false,
    }
}

/// Whether no value occurs twice and none is missing. Values are known by 64 bits of hash: that
/// two different ones of ten million share theirs has a chance of 3 in a million.
pub(super) fn unique(mut cells: Cells<'_>, missing: &Missing<'_>) -> Result<bool, Problem> {
    let mut seen = HashSet::new();
    while let Some((_, raw)) = cells.next() {
        if is_missing(raw, missing) || !seen.insert(fingerprint(raw)) {
            return Ok(false);
        }
    }
    cells.end().map(|()| true)
}

/// The hashes of the different values; stops beyond `limit` of them.
pub(super) fn distinct(
    mut cells: Cells<'_>,
    missing: &Missing<'_>,
    limit: usize,
) -> Result<HashSet<u64>, Problem> {
    let mut seen = HashSet::new();
    while let Some((_, raw)) = cells.next() {
        if !is_missing(raw, missing) {
            seen.insert(fingerprint(raw));
        }
        if seen.len() > limit {
            return Ok(seen);
        }
    }
    cells.end().map(|()| seen)
}

/// Texts are known by what is written, whether typed or not; the same in every column and file.
fn fingerprint(raw: Raw<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    match raw {
        Raw::Null => {}
        Raw::Untyped(text) | Raw::Text(text) | Raw::Digits(text) => text.hash(&mut hasher),
        Raw::Number(number) => number.to_bits().hash(&mut hasher),
        Raw::Bool(value) => value.to_string().hash(&mut hasher),
    }
    hasher.finish()
}

// === impl Profile ===

impl Profile {
    /// Looks at every cell once.
    pub(super) fn new(mut cells: Cells<'_>, missing: &Missing<'_>) -> Result<Self, Problem> {
        let mut profile = Self {
            present: 0,
            missing: 0,
            not_number: None,
            not_text: None,
            integers: true,
            codes: false,
            booleans: true,
            counts: true,
            dates: Some(Date::Iso),
            decimal_commas: true,
            first: None,
            commas: false,
        };
        while let Some((row, raw)) = cells.next() {
            profile.see(row, raw, missing);
        }
        cells.end()?;
        profile.decimal_commas &= profile.commas;
        if profile.present == 0 {
            profile.integers = false;
            profile.booleans = false;
            profile.counts = false;
            profile.dates = None;
        }
        Ok(profile)
    }

    #[inline]
    fn see(&mut self, row: usize, raw: Raw<'_>, missing: &Missing<'_>) {
        match raw {
            Raw::Untyped(text) => {
                let text = text.trim();
                if missing.is(text) {
                    self.absent();
                } else {
                    self.present += 1;
                    self.untyped(row, text);
                }
            }
            Raw::Null => self.absent(),
            Raw::Number(number) if number.is_nan() => self.absent(),
            typed => {
                self.present += 1;
                self.typed(row, typed);
            }
        }
    }

    fn absent(&mut self) {
        self.missing += 1;
        self.counts = false;
    }

    fn untyped(&mut self, row: usize, text: &str) {
        let number = text.parse::<f64>().ok();
        match number {
            Some(value) => self.number(row, text, value, true),
            None => self.no_number(row, text),
        }
        self.booleans = self.booleans && boolean(text).is_some();
        if let Some(surest) = self.dates {
            let date = match number {
                Some(number) if text.len() >= 4 => date::of_number(number),
                Some(_) => None,
                None => date::parse(text),
            };
            self.dates = date.map(|date| date.min(surest));
        }
        if self.decimal_commas && number.is_none() {
            self.commas = true;
            let pointed = text.replacen(',', ".", 1);
            self.decimal_commas = pointed.parse::<f64>().is_ok();
        }
    }

    /// A value of a format that has types: a string is never a number, nor `true` a word.
    fn typed(&mut self, row: usize, raw: Raw<'_>) {
        let mut date = None;
        match raw {
            Raw::Digits(text) => {
                let value = text.parse().unwrap_or(f64::NAN);
                self.number(row, text, value, false);
                date = date::of_number(value);
            }
            Raw::Number(value) => {
                (self.integers, self.counts) = (false, false);
                date = date::of_number(value);
            }
            Raw::Text(text) => {
                self.no_number(row, text);
                if self.dates.is_some() {
                    date = date::parse(text).filter(|date| *date != Date::Epoch);
                }
            }
            other => self.no_number(row, &other.show()),
        }
        self.booleans = self.booleans && matches!(raw, Raw::Bool(_));
        self.dates = self.dates.and_then(|surest| Some(date?.min(surest)));
        self.decimal_commas = false;
        if !matches!(raw, Raw::Text(_)) && self.not_text.is_none() {
            self.not_text = Some((row, raw.show()));
        }
    }

    fn no_number(&mut self, row: usize, text: &str) {
        if self.not_number.is_none() {
            self.not_number = Some((row, text.chars().take(SHOWN).collect()));
            (self.integers, self.counts) = (false, false);
        }
    }

    fn number(&mut self, row: usize, text: &str, value: f64, may_be_code: bool) {
        if self.not_number.is_some() {
            return;
        }
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        if !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
            (self.integers, self.counts) = (false, false);
            return;
        }
        self.codes = self.codes || (may_be_code && !round_trips(text, unsigned, value));
        if self.counts {
            let start = *self
                .first
                .get_or_insert_with(|| text.parse().unwrap_or(u64::MAX));
            let expected = start.checked_add(row as u64);
            self.counts = start <= 1 && text.parse().ok() == expected;
        }
    }

    /// Whether every value reads as a number.
    pub(super) fn numeric(&self) -> bool {
        self.present > 0 && self.not_number.is_none()
    }
}

/// Whether `value` would be written as `text`, an integer that is `unsigned` without its sign.
fn round_trips(text: &str, unsigned: &str, value: f64) -> bool {
    if text.starts_with('+') || (unsigned.len() > 1 && unsigned.starts_with('0')) {
        return false;
    }
    unsigned.len() <= EXACT || format!("{value}") == text
}
