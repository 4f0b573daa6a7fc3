//! Which hour of the season each row of a reference column is of.

use std::collections::HashMap;

use crate::drift::row::Value;
use crate::drift::season::{HOURS, Hours};
use crate::drift::text::Descriptor;
use crate::feature::Cell;

use super::{Categories, ColumnReference};

/// Rows of each hour.
#[derive(Debug, Clone)]
pub(super) struct CategoryHours {
    /// That hold each category; as long as the names.
    counts: Vec<[u64; HOURS]>,
    /// That hold none.
    missing: [u64; HOURS],
}

// === impl ColumnReference ===

impl ColumnReference {
    /// Remembers the hour of each row, [`NO_HOUR`](crate::drift::season::NO_HOUR) for none: `cells`
    /// are those the column was made of, row by row.
    pub fn remember_hours(&mut self, cells: impl IntoIterator<Item = Cell>, hours: &[u8]) {
        let rows = cells.into_iter().zip(hours.iter().copied());
        match self {
            Self::Numeric(numbers) => {
                let (values, hours): (Vec<_>, Vec<_>) =
                    rows.map(|(cell, hour)| (cell.as_number(), hour)).unzip();
                numbers.remember_hours(values, hours);
            }
            Self::Categorical(words) => words.remember_hours(rows),
            Self::Text(texts) => {
                let mut values: [Vec<Option<f64>>; Descriptor::ALL.len()] = Default::default();
                let mut hours = Vec::new();
                for (cell, hour) in rows {
                    let described = match cell {
                        Cell::Text(text) => Some(texts.describe_own(&text)),
                        _ => None,
                    };
                    for (i, values) in values.iter_mut().enumerate() {
                        values.push(described.map(|described| described[i]));
                    }
                    hours.push(hour);
                }
                for (numbers, values) in texts.described.iter_mut().zip(values) {
                    numbers.remember_hours(values, hours.iter().copied());
                }
            }
        }
    }

    /// Bytes that remembering the hours of its rows takes; `None` where values are known by edges
    /// only, which have none.
    #[must_use]
    pub fn hours_bytes(&self) -> Option<u64> {
        let exact = |numbers: &super::Numbers| Some(numbers.values()?.len() as u64);
        match self {
            Self::Numeric(numbers) => exact(numbers),
            Self::Categorical(words) => {
                Some(words.names.len() as u64 * size_of::<[u64; HOURS]>() as u64)
            }
            Self::Text(texts) => texts.described().iter().map(exact).sum(),
        }
    }
}

// === impl Categories ===

impl Categories {
    fn remember_hours(&mut self, rows: impl Iterator<Item = (Cell, u8)>) {
        let mut hours = CategoryHours {
            counts: vec![[0; HOURS]; self.names.len()],
            missing: [0; HOURS],
        };
        for (cell, hour) in rows {
            let counts = match self.encode(&cell) {
                Value::Category(code) => hours.counts.get_mut(code as usize),
                _ => Some(&mut hours.missing),
            };
            if let Some(count) = counts.and_then(|counts| counts.get_mut(usize::from(hour))) {
                *count += 1;
            }
        }
        self.hours = Some(Box::new(hours));
    }

    /// The categories counted over the rows of `hours` alone, with the codes they have; `None` where
    /// it is not known which rows those are. It encodes nothing.
    #[must_use]
    pub fn within(&self, hours: Hours) -> Option<Self> {
        let known = self.hours.as_ref()?;
        let counts = known.counts.iter().map(|counts| hours.sum(counts));
        Some(Self {
            names: self.names.clone(),
            counts: counts.collect(),
            missing: usize::try_from(hours.sum(&known.missing)).unwrap_or(usize::MAX),
            rest: self.rest,
            codes: HashMap::new(),
            hours: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::reference::Side;
    use crate::drift::season::{NO_HOUR, Part};
    use crate::feature::Kind;

    fn text(word: &str) -> Cell {
        Cell::Text(word.into())
    }

    #[test]
    fn categories_keep_their_codes_and_count_the_rows_of_the_hours() {
        let cells = [
            text("b"),
            text("a"),
            Cell::Missing,
            text("b"),
            text("c"),
            text("a"),
        ];
        let mut column = ColumnReference::new(Kind::Categorical, cells.clone());
        column.remember_hours(cells, &[5, 5, 5, 6, NO_HOUR, 5]);
        let ColumnReference::Categorical(words) = &column else {
            panic!("a categorical column");
        };
        let names: Vec<&str> = words.names.iter().map(|name| &**name).collect();
        assert_eq!(names, ["a", "b", "c"]);
        let part = words.within([5].into_iter().collect()).unwrap();
        assert_eq!((part.counts, part.missing), (vec![2, 1, 0], 1));
        let part = words.within([5, 6].into_iter().collect()).unwrap();
        assert_eq!((part.counts, part.missing), (vec![2, 2, 0], 1));
        assert_eq!(column.hours_bytes(), Some(3 * 24 * 8));
    }

    #[test]
    fn what_describes_a_text_goes_with_its_hour() {
        let cells = [
            text("one two"),
            Cell::Missing,
            text("one"),
            text("a b c two"),
        ];
        let mut column = ColumnReference::new(Kind::Text, cells.clone());
        column.remember_hours(cells, &[1, 1, 2, 2]);
        let mut tracks = Vec::new();
        column.tracks(0, &mut tracks);
        let within = |track: usize, hour: usize| {
            let part = Part::of(tracks[track].side, [hour].into_iter().collect());
            let Some(Part::Numbers(numbers)) = part else {
                panic!("numbers of the hour");
            };
            let side = Side::Numbers(&numbers);
            (numbers.values().unwrap().to_vec(), side.missing())
        };
        assert_eq!(within(0, 1), (vec![7.0], 1));
        assert_eq!(within(1, 2), (vec![1.0, 4.0], 0));
        // Words that stand in no other row: none of "one", three of "a b c two".
        assert_eq!(within(3, 2), (vec![0.0, 0.75], 0));
        assert_eq!(column.hours_bytes(), Some(4 * 3));
    }
}
