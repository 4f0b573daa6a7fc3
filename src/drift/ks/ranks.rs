//! D from rank codes: what a periodic check computes. Equal to [`super::statistic`] on the values
//! themselves, without reading the reference again but where values are tied with it.

use super::KsStatistic;
use crate::drift::numbers::Numbers;

/// Bits of a code sorted by in one pass: 2,048 counters fit the first-level cache.
const DIGIT: u32 = 11;
const DIGITS: usize = 1 << DIGIT;

/// Below this, comparing sorts faster than counting.
const FEW: usize = 256;

/// The largest gap between the reference and current values with these rank codes, ascending.
/// `largest` gives the largest current value of a code; it is asked at most once.
///
/// Of a binned reference, D is the largest gap at its edges: it is understated by at most
/// [`Numbers::resolution`].
#[must_use]
pub fn statistic(
    reference: &Numbers,
    codes: &[u32],
    largest: impl FnOnce(u32) -> Option<f64>,
) -> KsStatistic {
    let (n, w) = (reference.len() as i64, codes.len() as i64);
    let mut up = Extremum::default();
    let mut down = Extremum::default();
    let mut from = 0;
    while let Some(code) = codes.get(from).copied() {
        let mut to = from + 1;
        while codes.get(to) == Some(&code) {
            to += 1;
        }
        up.consider(
            reference.before(code) as i64 * w - from as i64 * n,
            code,
            true,
        );
        // Most gaps are too small whatever the ties with the reference, and need not be looked up
        // in it.
        let most = to as i64 * n - reference.least_upto(code) as i64 * w;
        if most >= down.gap {
            let gap = to as i64 * n - reference.around(code).upto as i64 * w;
            down.consider(gap, code, code % 2 == 1);
        }
        from = to;
    }
    let (gap, sign, location) = if down.gap > up.gap {
        let at = (down.code / 2) as usize;
        let location = if down.in_reference {
            reference.point(at)
        } else {
            largest(down.code)
        };
        (down.gap, -1, location)
    } else {
        // Between two values the reference has reached the height it has at the lower one.
        let at = ((up.code / 2) as usize).saturating_sub(1);
        (up.gap, 1, reference.point(at))
    };
    KsStatistic {
        statistic: gap as f64 / (n as f64 * w as f64),
        gap: gap.unsigned_abs().into(),
        location: location.unwrap_or(f64::NAN),
        sign,
        n_reference: reference.len(),
        n_current: codes.len(),
    }
}

/// Sorts `codes`, all of them below `bound`; `scratch` may hold anything.
pub fn sort(codes: &mut Vec<u32>, scratch: &mut Vec<u32>, bound: u32) {
    if codes.len() < FEW {
        codes.sort_unstable();
        return;
    }
    scratch.clear();
    scratch.resize(codes.len(), 0);
    let bits = u32::BITS - bound.leading_zeros();
    for pass in 0..bits.div_ceil(DIGIT).max(1) {
        let digit = |code: u32| (code >> (pass * DIGIT)) as usize & (DIGITS - 1);
        let mut places = [0_u32; DIGITS];
        for code in codes.iter() {
            places[digit(*code)] += 1;
        }
        let mut next = 0;
        for place in &mut places {
            next += std::mem::replace(place, next);
        }
        for code in codes.iter() {
            let place = &mut places[digit(*code)];
            scratch[*place as usize] = *code;
            *place += 1;
        }
        std::mem::swap(codes, scratch);
    }
}

/// The largest gap so far and where it is.
#[derive(Debug, Default)]
struct Extremum {
    gap: i64,
    code: u32,
    /// Whether it is at a reference value. scipy lists those first, so they win over smaller values
    /// that occur only among the current ones.
    in_reference: bool,
}

// === impl Extremum ===

impl Extremum {
    fn consider(&mut self, gap: i64, code: u32, in_reference: bool) {
        if gap > self.gap || (gap == self.gap && gap > 0 && in_reference && !self.in_reference) {
            *self = Self {
                gap,
                code,
                in_reference,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::ks;

    /// splitmix64.
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn by_ranks(numbers: &Numbers, current: &[f64]) -> KsStatistic {
        let mut codes = vec![0; current.len()];
        numbers.codes(current, &mut codes);
        let unsorted = codes.clone();
        let bound = 2 * numbers.len() as u32 + 2;
        sort(&mut codes, &mut Vec::new(), bound);
        statistic(numbers, &codes, |code| {
            let of_code = unsorted.iter().zip(current).filter(|(c, _)| **c == code);
            of_code.map(|(_, value)| *value).max_by(f64::total_cmp)
        })
    }

    #[test]
    fn ranks_give_what_the_values_give() {
        let mut state = 1;
        let mut differing = 0;
        for case in 0..2000_u64 {
            let levels = [2, 5, 30, 1_000_000][(case % 4) as usize];
            let mut sample = |most: u64, shift: f64| -> Vec<f64> {
                let n = 1 + random(&mut state) % most;
                let mut draw = || match random(&mut state) % 50 {
                    0 => f64::INFINITY,
                    1 => f64::NEG_INFINITY,
                    2 => -0.0,
                    _ => (random(&mut state) % levels) as f64 + shift,
                };
                let mut values: Vec<f64> = (0..n).map(|_| draw()).collect();
                values.sort_unstable_by(f64::total_cmp);
                values
            };
            let reference = sample(60, 0.0);
            let current = sample(
                if case % 7 == 0 { 700 } else { 40 },
                (case % 3) as f64 / 2.0,
            );
            let expected = ks::statistic(&reference, &current);
            let found = by_ranks(&Numbers::sorted(reference, 0), &current);
            assert_eq!((found.gap, found.sign), (expected.gap, expected.sign));
            assert!(
                found.location.to_bits() == expected.location.to_bits()
                    || found.location.abs() < 1e-9
            );
            differing += u32::from(expected.gap > 0);
        }
        assert!(differing > 1500, "{differing}");
    }

    #[test]
    fn edges_understate_d_by_at_most_a_bin() {
        let mut state = 7;
        for case in 0..200_u64 {
            let mut draw = |n: u64, shift: f64| -> Vec<f64> {
                let values = (0..n).map(|_| (random(&mut state) % 5000) as f64 + shift);
                let mut values: Vec<f64> = values.collect();
                values.sort_unstable_by(f64::total_cmp);
                values
            };
            let reference = Numbers::sorted(draw(3000, 0.0), 0);
            let current = draw(400, (case % 10) as f64 * 60.0);
            let binned = reference.binned(65);
            let (exact, coarse) = (by_ranks(&reference, &current), by_ranks(&binned, &current));
            assert!(coarse.statistic <= exact.statistic + 1e-12);
            assert!(exact.statistic - coarse.statistic <= binned.resolution());
        }
    }

    #[test]
    fn codes_are_sorted_whatever_their_size() {
        let mut state = 3;
        for bound in [5, 2000, 300_000, u32::MAX] {
            let random = (0..5000).map(|_| (random(&mut state) % u64::from(bound)) as u32);
            let mut codes: Vec<u32> = random.collect();
            let mut expected = codes.clone();
            expected.sort_unstable();
            sort(&mut codes, &mut Vec::new(), bound);
            assert_eq!(codes, expected);
        }
    }
}
