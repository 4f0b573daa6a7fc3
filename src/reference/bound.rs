//! How much memory a reference may take: exact as far as that goes, edges where it does not.

use crate::drift::ColumnReference;
use crate::drift::numbers::Numbers;
use crate::drift::text::Texts;

/// Columns of more values are kept by edges: a check of windows of some thousand rows cannot tell
/// a reference of a million rows from one of more.
const MOST_VALUES: usize = 1_000_000;

/// Edges of a column that is not kept exactly: D is understated by at most 1/4095.
const EDGES: usize = 4096;

/// What is left of the memory the sorted values of one reference may take: half of what is
/// configured, for while it is reloaded there are two.
#[derive(Debug)]
pub(super) struct Bound {
    most: u64,
    left: u64,
    /// Columns kept by edges.
    binned: usize,
    /// By how much D is understated at most in any of them.
    resolution: f64,
    /// Columns whose rows' hours are not kept.
    hourless: usize,
}

// === impl Bound ===

impl Bound {
    /// Nothing held yet, of the half of so many bytes.
    pub(super) const fn new(most: u64) -> Self {
        Self {
            most,
            left: most / 2,
            binned: 0,
            resolution: 0.0,
            hourless: 0,
        }
    }

    /// Whether so many values can be kept; if so, they count as kept.
    pub(super) fn holds(&mut self, values: usize) -> bool {
        let bytes = values as u64 * size_of::<f64>() as u64;
        let holds = values <= MOST_VALUES && bytes <= self.left;
        if holds {
            self.left -= bytes;
        }
        holds
    }

    /// Whether the hour of each row of `column` can be kept beside its values; if so, they count as
    /// kept.
    pub(super) fn holds_hours(&mut self, column: &ColumnReference) -> bool {
        let bytes = column.hours_bytes().filter(|bytes| *bytes <= self.left);
        match bytes {
            Some(bytes) => self.left -= bytes,
            None => self.hourless += 1,
        }
        bytes.is_some()
    }

    /// The column exactly where it can be kept, else by edges.
    pub(super) fn apply(&mut self, column: ColumnReference) -> ColumnReference {
        match column {
            ColumnReference::Numeric(numbers) => ColumnReference::Numeric(self.bounded(numbers)),
            ColumnReference::Text(texts) => {
                let described = texts.described().clone().map(|d| self.bounded(d));
                let texts = Texts::known(described, texts.vocabulary());
                ColumnReference::Text(Box::new(texts))
            }
            words @ ColumnReference::Categorical(_) => words,
        }
    }

    fn bounded(&mut self, numbers: Numbers) -> Numbers {
        if numbers.edges().is_some() || self.holds(numbers.len()) {
            return numbers;
        }
        let binned = numbers.binned(EDGES);
        self.binned += 1;
        self.resolution = self.resolution.max(binned.resolution());
        binned
    }

    /// What a person should know of it.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        let hourless = (self.hourless > 0).then(|| {
            format!(
                "{} of the columns compared are too large to keep the hours of their rows within half of \
                 drift.reference_max_bytes = {}: over a span shorter than drift.season they only warn",
                self.hourless,
                bytesize::ByteSize(self.most).display().iec()
            )
        });
        let binned = (self.binned > 0).then(|| {
            format!(
                "{} of the distributions compared are known by {EDGES} values each: there are more \
                 than {MOST_VALUES} rows, or all rows sorted would take more than half of \
                 drift.reference_max_bytes = {}; their D is understated by at most {:.1e}",
                self.binned,
                bytesize::ByteSize(self.most).display().iec(),
                self.resolution
            )
        });
        binned.into_iter().chain(hourless)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature::{Cell, Kind};

    #[test]
    fn what_does_not_fit_is_kept_by_edges() {
        let column = || {
            let cells = (0..10_000).map(|i| Cell::Number(f64::from(i)));
            ColumnReference::new(Kind::Numeric, cells)
        };
        let mut bound = Bound::new(340_000);
        let edges = |column: ColumnReference| match column {
            ColumnReference::Numeric(numbers) => numbers.edges().map(<[_]>::len),
            _ => None,
        };
        assert_eq!(edges(bound.apply(column())), None);
        assert_eq!(edges(bound.apply(column())), None);
        assert!(bound.notes().next().is_none());
        assert_eq!(edges(bound.apply(column())), Some(EDGES));
        let note = bound.notes().next().unwrap();
        assert!(note.starts_with("1 of the distributions"), "{note}");
        assert!(note.contains("332.0 KiB"), "{note}");
        // 10,000 bytes are left, one for each value.
        assert!(bound.holds_hours(&column()));
        assert!(!bound.holds_hours(&column()));
        assert_eq!(bound.notes().count(), 2);
        assert!(
            bound
                .notes()
                .last()
                .unwrap()
                .starts_with("1 of the columns")
        );
        assert!(!Bound::new(u64::MAX).holds(MOST_VALUES + 1));
    }
}
