//! What the cells of one column look like.

use std::collections::HashSet;

use super::date::{self, Date};
use super::table::{Cells, Missing};

/// The content of one column, from one pass over it.
#[derive(Debug)]
pub(super) struct Profile {
    /// Cells that hold a value.
    pub(super) present: usize,
    /// Cells that do not.
    pub(super) missing: usize,
    /// The first cell that is no number: its row (from 0) and text.
    pub(super) not_number: Option<(usize, String)>,
    /// Whether every value is an integer as written, without a point or exponent.
    pub(super) integers: bool,
    /// Whether some integer would be written differently after a round trip through `f64`: a
    /// leading zero or sign, or more digits than fit.
    pub(super) codes: bool,
    /// Whether every value is a boolean word.
    pub(super) booleans: bool,
    /// Whether the rows are numbered 0, 1, 2 … or 1, 2, 3 …
    pub(super) counts: bool,
    /// The least date-like of all values; `None` where one is no date, or there is none.
    pub(super) dates: Option<Date>,
    /// Whether every value is a number with a decimal comma, one of them at least.
    pub(super) decimal_commas: bool,
}

/// The boolean a word means, as Python, R, SQL and JSON write it.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.trim() {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// Whether no value occurs twice and none is missing.
pub(super) fn unique(cells: &Cells, missing: &Missing<'_>) -> bool {
    let mut seen = HashSet::new();
    cells
        .iter()
        .all(|cell| !missing.is(cell) && seen.insert(cell))
}

/// How many different values there are; stops counting beyond `limit`.
pub(super) fn distinct(cells: &Cells, missing: &Missing<'_>, limit: usize) -> usize {
    let mut seen = HashSet::new();
    for cell in cells.iter().filter(|cell| !missing.is(cell)) {
        seen.insert(cell);
        if seen.len() > limit {
            break;
        }
    }
    seen.len()
}

// === impl Profile ===

impl Profile {
    /// Looks at every cell once.
    pub(super) fn new(cells: &Cells, missing: &Missing<'_>) -> Self {
        let mut profile = Self {
            present: 0,
            missing: 0,
            not_number: None,
            integers: true,
            codes: false,
            booleans: true,
            counts: true,
            dates: Some(Date::Iso),
            decimal_commas: true,
        };
        let mut commas = false;
        let mut first = None;
        for (row, cell) in cells.iter().enumerate() {
            if missing.is(cell) {
                profile.missing += 1;
                profile.counts = false;
                continue;
            }
            profile.present += 1;
            let text = cell.trim();
            let number = text.parse::<f64>().ok();
            profile.number(row, text, number, &mut first);
            profile.booleans = profile.booleans && boolean(text).is_some();
            if let Some(surest) = profile.dates {
                profile.dates = date::parse(text).map(|date| date.min(surest));
            }
            if profile.decimal_commas && number.is_none() {
                commas = true;
                let pointed = text.replacen(',', ".", 1);
                profile.decimal_commas = pointed.parse::<f64>().is_ok();
            }
        }
        profile.decimal_commas &= commas;
        if profile.present == 0 {
            profile.integers = false;
            profile.booleans = false;
            profile.counts = false;
            profile.dates = None;
        }
        profile
    }

    fn number(&mut self, row: usize, text: &str, number: Option<f64>, first: &mut Option<u64>) {
        if self.not_number.is_some() {
            return;
        }
        let Some(value) = number else {
            self.not_number = Some((row, text.chars().take(60).collect()));
            (self.integers, self.counts) = (false, false);
            return;
        };
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        if !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
            (self.integers, self.counts) = (false, false);
            return;
        }
        self.codes = self.codes || format!("{value}") != text;
        if self.counts {
            let start = *first.get_or_insert_with(|| text.parse().unwrap_or(u64::MAX));
            let expected = start.checked_add(row as u64);
            self.counts = start <= 1 && text.parse().ok() == expected;
        }
    }

    /// Whether every value reads as a number.
    pub(super) fn numeric(&self) -> bool {
        self.present > 0 && self.not_number.is_none()
    }
}
