//! Which hour of the season each value of an exact column is of.

use crate::drift::season::{HOURS, Hours};

use super::{Numbers, Points};

/// The hours of the values and of the rows without one.
#[derive(Debug, Clone)]
pub(super) struct ValueHours {
    /// Of each value, in the order of the values.
    values: Box<[u8]>,
    /// Rows of each hour in which the value was missing.
    missing: [u64; HOURS],
}

// === impl Numbers ===

impl Numbers {
    /// Remembers the hour of each row: `values` are those the column was made of, row by row. Does
    /// nothing to a binned column.
    pub fn remember_hours(
        &mut self,
        values: impl IntoIterator<Item = Option<f64>>,
        hours: impl IntoIterator<Item = u8>,
    ) {
        let Points::Exact(sorted) = &self.points else {
            return;
        };
        let mut missing = [0; HOURS];
        let mut pairs: Vec<(f64, u8)> = Vec::with_capacity(sorted.len());
        for (value, hour) in values.into_iter().zip(hours) {
            match value {
                Some(value) if !value.is_nan() => pairs.push((value, hour)),
                _ => {
                    if let Some(count) = missing.get_mut(usize::from(hour)) {
                        *count += 1;
                    }
                }
            }
        }
        if pairs.len() != sorted.len() {
            return;
        }
        pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let values = pairs.into_iter().map(|(_, hour)| hour).collect();
        self.hours = Some(Box::new(ValueHours { values, missing }));
    }

    /// The column of the rows of `hours` alone; `None` where it is not known which they are.
    #[must_use]
    pub fn within(&self, hours: Hours) -> Option<Self> {
        let (Points::Exact(sorted), Some(known)) = (&self.points, &self.hours) else {
            return None;
        };
        let among = sorted.iter().zip(&known.values);
        let among = among.filter(|(_, hour)| hours.contains(**hour));
        let values = among.map(|(value, _)| *value).collect();
        let missing = usize::try_from(hours.sum(&known.missing)).unwrap_or(usize::MAX);
        Some(Self::sorted(values, missing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::season::NO_HOUR;

    #[test]
    fn a_part_holds_the_rows_of_its_hours_and_no_others() {
        let values = [
            Some(3.0),
            None,
            Some(1.0),
            Some(3.0),
            Some(f64::NAN),
            Some(2.0),
        ];
        let mut numbers = Numbers::new(values);
        assert!(numbers.within([1].into_iter().collect()).is_none());
        numbers.remember_hours(values, [1, 1, 2, 2, 3, NO_HOUR]);
        let within = |hours: &[usize]| {
            let part = numbers.within(hours.iter().copied().collect()).unwrap();
            (part.values().unwrap().to_vec(), part.missing())
        };
        assert_eq!(within(&[1]), (vec![3.0], 1));
        assert_eq!(within(&[1, 2]), (vec![1.0, 3.0, 3.0], 1));
        assert_eq!(within(&[3, 23]), (vec![], 1));
        let mut binned = numbers.binned(2);
        binned.remember_hours(values, [0; 6]);
        assert!(binned.within([0].into_iter().collect()).is_none());
    }
}
