//! One row as the comparison sees it: twelve bytes a value, ranked once, when it is first compared.

use std::sync::atomic::{AtomicU32, Ordering};

use super::numbers::Numbers;

/// A cell as the comparison sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// Absent, `null` or NaN.
    Missing,
    /// A number (numeric columns), or what describes a text.
    Number(f64),
    /// The index of a reference category.
    Category(u32),
    /// A category the reference does not hold, by the hash of its word: different words count
    /// apart, as they do for scipy.
    Unseen(u32),
    /// A value of a type that does not belong in the column, such as text among numbers.
    Mistyped,
}

/// The values of one row, a slot for each track of the reference.
#[derive(Debug)]
pub struct Row {
    slots: Box<[Slot]>,
    /// The rank codes of numbers, or one of the marks below.
    codes: Box<[AtomicU32]>,
}

/// A value in eight bytes: a number itself, and what is none as one of many NaN.
#[derive(Debug, Clone, Copy)]
struct Slot(u64);

/// Not ranked yet.
pub(super) const UNRANKED: u32 = u32::MAX;
/// Codes from here on are no ranks.
pub(super) const MARKS: u32 = u32::MAX - 1;
/// No number: missing, mistyped, or a category.
const NO_NUMBER: u32 = u32::MAX - 1;

/// A quiet NaN whose upper half says what is meant and whose lower half holds a code or hash.
const MISSING: u32 = 0x7ff8_0000;
const MISTYPED: u32 = 0x7ff8_0001;
const CATEGORY: u32 = 0x7ff8_0002;
const UNSEEN: u32 = 0x7ff8_0003;

// === impl Slot ===

impl Slot {
    fn new(value: Value) -> Self {
        let marked = |mark: u32, code: u32| u64::from(mark) << 32 | u64::from(code);
        Self(match value {
            Value::Number(number) if !number.is_nan() => number.to_bits(),
            Value::Missing | Value::Number(_) => marked(MISSING, 0),
            Value::Mistyped => marked(MISTYPED, 0),
            Value::Category(code) => marked(CATEGORY, code),
            Value::Unseen(hash) => marked(UNSEEN, hash),
        })
    }

    fn number(self) -> Option<f64> {
        let number = f64::from_bits(self.0);
        (!number.is_nan()).then_some(number)
    }

    fn value(self) -> Value {
        if let Some(number) = self.number() {
            return Value::Number(number);
        }
        let code = self.0 as u32;
        match (self.0 >> 32) as u32 {
            MISTYPED => Value::Mistyped,
            CATEGORY => Value::Category(code),
            UNSEEN => Value::Unseen(code),
            _ => Value::Missing,
        }
    }
}

// === impl Row ===

impl Row {
    /// The value in `slot`.
    #[must_use]
    pub fn value(&self, slot: usize) -> Value {
        self.slots[slot].value()
    }

    /// The number in `slot`, if it holds one.
    #[must_use]
    pub fn number(&self, slot: usize) -> Option<f64> {
        self.slots[slot].number()
    }

    /// How many slots there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// All values in order.
    pub fn values(&self) -> impl Iterator<Item = Value> {
        self.slots.iter().map(|slot| slot.value())
    }

    /// The rank code of the number in `slot`, or a mark.
    pub(super) fn code(&self, slot: usize) -> u32 {
        self.codes[slot].load(Ordering::Relaxed)
    }

    /// The rank codes of the numbers in all slots, or marks: [`MARKS`] and beyond.
    pub(super) fn codes(&self) -> &[AtomicU32] {
        &self.codes
    }
}

impl FromIterator<Value> for Row {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        let slots: Box<[Slot]> = values.into_iter().map(Slot::new).collect();
        let codes = slots.iter().map(|_| AtomicU32::new(UNRANKED)).collect();
        Self { slots, codes }
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.values().zip(other.values()).all(|(a, b)| a == b)
    }
}

/// Ranks the numbers in `slot` of those `rows` that are not ranked yet, among `numbers`.
pub fn rank<'a>(rows: impl Iterator<Item = &'a Row>, slot: usize, numbers: &Numbers) {
    /// Enough to search side by side.
    const BATCH: usize = 64;
    let mut waiting: Vec<&AtomicU32> = Vec::with_capacity(BATCH);
    let mut values: Vec<f64> = Vec::with_capacity(BATCH);
    let mut codes = [0; BATCH];
    let mut flush = |values: &mut Vec<f64>, waiting: &mut Vec<&AtomicU32>| {
        numbers.codes(values, &mut codes[..values.len()]);
        for (place, code) in waiting.drain(..).zip(codes) {
            place.store(code, Ordering::Relaxed);
        }
        values.clear();
    };
    for row in rows {
        let place = &row.codes[slot];
        if place.load(Ordering::Relaxed) != UNRANKED {
            continue;
        }
        match row.number(slot) {
            None => place.store(NO_NUMBER, Ordering::Relaxed),
            Some(number) => {
                values.push(number);
                waiting.push(place);
                if values.len() == BATCH {
                    flush(&mut values, &mut waiting);
                }
            }
        }
    }
    flush(&mut values, &mut waiting);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let values = [
            Value::Missing,
            Value::Number(-0.5),
            Value::Number(f64::INFINITY),
            Value::Category(7),
            Value::Unseen(u32::MAX),
            Value::Mistyped,
        ];
        let row: Row = values.into_iter().collect();
        assert_eq!(row.values().collect::<Vec<_>>(), values);
        let row: Row = [Value::Number(f64::NAN)].into_iter().collect();
        assert_eq!(row.value(0), Value::Missing);
    }

    #[test]
    fn rows_are_ranked_once_and_only_numbers() {
        let numbers = Numbers::new([Some(1.0), Some(2.0)]);
        let rows: Vec<Row> = (0..200)
            .map(|i| match i % 3 {
                0 => Value::Missing,
                1 => Value::Number(1.0),
                _ => Value::Number(5.0),
            })
            .map(|value| [value].into_iter().collect())
            .collect();
        rank(rows.iter(), 0, &numbers);
        let codes: Vec<_> = rows.iter().take(3).map(|row| row.code(0)).collect();
        assert_eq!(codes, [NO_NUMBER, 1, 4]);
        // Ranked among other numbers, they keep the ranks they have.
        rank(rows.iter(), 0, &Numbers::new([]));
        assert_eq!(rows[199].code(0), 1);
    }
}
