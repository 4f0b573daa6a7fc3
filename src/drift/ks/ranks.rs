//! D from rank codes: what a periodic check computes. Equal to [`super::statistic`] on the values
//! themselves, without reading the reference again but where values are tied with it.
//!
//! Nothing is sorted whole. Codes are counted in buckets; between two buckets both distributions are
//! known, which bounds the gap inside each. Only buckets whose bound reaches the largest gap known
//! between any two can hold D: a few hundredths of the values, which are then sorted and walked
//! through.

use super::KsStatistic;
use crate::drift::numbers::{Around, Numbers};

/// Buckets at most: their counters fit the first-level cache.
const BUCKETS: usize = 2048;

/// Values a bucket should hold on average: fewer buckets are looked through sooner, fuller ones
/// bound the gap less well.
const FULL: usize = 4;

/// Reference values that values not ranked yet are told apart by: with what lies between two of
/// them, as many buckets as there may be.
const MARKS: usize = BUCKETS / 2 - 1;

/// Below this, sorting all is faster.
const FEW: usize = 256;

/// Room to count and sort in; may hold anything.
#[derive(Debug, Default)]
pub struct Scratch {
    codes: Vec<u32>,
    buckets: Vec<u32>,
    values: Vec<f64>,
}

/// The largest gap between the reference and current values with these rank codes, in any order.
/// `largest` gives the largest current value of a code; it is asked at most once.
///
/// Of a binned reference, D is the largest gap at its edges: it is understated by at most
/// [`Numbers::resolution`].
#[must_use]
pub fn statistic(
    reference: &Numbers,
    codes: &[u32],
    scratch: &mut Scratch,
    largest: impl FnOnce(u32) -> Option<f64>,
) -> KsStatistic {
    let mut walk = Walk::new(reference, codes.len());
    let few = &mut scratch.codes;
    few.clear();
    if codes.len() < FEW {
        few.extend(codes);
        few.sort_unstable();
        walk.through(few, 0);
        return walk.end(largest);
    }
    let buckets = Buckets::new(reference, (codes.len() / FULL).min(BUCKETS));
    let mut counts = [0_u32; BUCKETS];
    for code in codes {
        counts[buckets.of(*code)] += 1;
    }
    if buckets.shift == 0 {
        walk.counted(&counts);
        return walk.end(largest);
    }
    let suspects = walk.suspects(&counts[..=buckets.last], |bucket| {
        buckets.around(reference, bucket)
    });
    few.extend((codes.iter()).filter(|code| suspects.hold(buckets.of(**code))));
    few.sort_unstable();
    walk.through_suspects(&suspects, &counts, few);
    walk.end(largest)
}

/// The same of `values` that are not ranked, in any order, none of them NaN: only those that can
/// decide are.
#[must_use]
pub fn of_values(reference: &Numbers, values: &[f64], scratch: &mut Scratch) -> KsStatistic {
    let marked = Some(reference).filter(|_| values.len() >= FEW);
    let Some(marks) = marked.and_then(|reference| reference.marked(MARKS)) else {
        let mut codes = std::mem::take(&mut scratch.buckets);
        codes.clear();
        codes.resize(values.len(), 0);
        reference.codes(values, &mut codes);
        let found = statistic(reference, &codes, scratch, |code| {
            let of_code = codes.iter().zip(values).filter(|(c, _)| **c == code);
            of_code.map(|(_, value)| *value).reduce(f64::max)
        });
        scratch.buckets = codes;
        return found;
    };
    let Scratch {
        codes,
        buckets,
        values: few,
    } = scratch;
    buckets.clear();
    buckets.resize(values.len(), 0);
    marks.codes(values, buckets);
    let mut counts = [0_u32; BUCKETS];
    for bucket in buckets.iter() {
        counts[*bucket as usize % BUCKETS] += 1;
    }
    let mut walk = Walk::new(reference, values.len());
    let end = marks.codes_end() as usize;
    let suspects = walk.suspects(&counts[..end], |bucket| {
        let around = marks.around(bucket as u32);
        // Of what lies between two marks, only those up to the lower one surely are below.
        let upto = if bucket % 2 == 1 {
            around.upto
        } else {
            around.before
        };
        Around { upto, ..around }
    });
    few.clear();
    let held = buckets.iter().zip(values);
    few.extend((held.filter(|(bucket, _)| suspects.hold(**bucket as usize))).map(|(_, v)| *v));
    few.sort_unstable_by(f64::total_cmp);
    codes.clear();
    codes.resize(few.len(), 0);
    reference.codes(few, codes);
    walk.through_suspects(&suspects, &counts, codes);
    walk.end(|code| {
        let of_code = codes.iter().zip(&*few).filter(|(c, _)| **c == code);
        of_code.map(|(_, value)| *value).reduce(f64::max)
    })
}

/// How codes fall into buckets.
///
/// A bucket begins with the code of values equal to one of the reference; those just below it end
/// the bucket before. So it is known how many reference values lie below all it can hold.
#[derive(Debug, Clone, Copy)]
struct Buckets {
    /// Codes to a bucket, as a power of two.
    shift: u32,
    /// The last one a code can fall into.
    last: usize,
}

/// Buckets that may hold the largest gap: how many values lie before each, or [`CLEARED`].
#[derive(Debug)]
struct Suspects([u32; BUCKETS]);

/// Not a suspect.
const CLEARED: u32 = u32::MAX;

/// The largest gaps of a walk through ascending codes.
#[derive(Debug)]
struct Walk<'a> {
    reference: &'a Numbers,
    /// Reference values.
    n: i64,
    /// Current values.
    w: i64,
    up: Extremum,
    down: Extremum,
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

// === impl Buckets ===

impl Buckets {
    /// At most `most` of them for the codes of `reference`.
    fn new(reference: &Numbers, most: usize) -> Self {
        let end = reference.codes_end() as usize;
        let mut shift = 0;
        while end >> shift >= most {
            shift += 1;
        }
        Self {
            shift,
            last: end >> shift,
        }
    }

    /// That of a code.
    fn of(self, code: u32) -> usize {
        // It never is as large as all, but the compiler does not know.
        ((code + 1) >> self.shift) as usize % BUCKETS
    }

    /// What surely lies around all values of a bucket.
    fn around(self, reference: &Numbers, bucket: usize) -> Around {
        let first = ((bucket as u64) << self.shift).saturating_sub(1);
        let last = ((bucket as u64 + 1) << self.shift) - 2;
        let last = last.min(u64::from(reference.codes_end() - 1));
        Around {
            before: reference.before(first as u32),
            below: reference.before(last as u32),
            upto: reference.least_upto(first as u32),
        }
    }
}

// === impl Suspects ===

impl Suspects {
    fn hold(&self, bucket: usize) -> bool {
        self.0[bucket % BUCKETS] != CLEARED
    }
}

// === impl Walk ===

impl<'a> Walk<'a> {
    fn new(reference: &'a Numbers, current: usize) -> Self {
        Self {
            reference,
            n: reference.len() as i64,
            w: current as i64,
            up: Extremum::default(),
            down: Extremum::default(),
        }
    }

    /// Values with one code, the ones from `from` to `to` in ascending order.
    fn run(&mut self, code: u32, from: i64, to: i64) {
        let Self {
            reference, n, w, ..
        } = *self;
        let gap = reference.before(code) as i64 * w - from * n;
        self.up.consider(gap, code, true);
        // Most gaps are too small whatever the ties with the reference, and need not be looked up
        // in it.
        let most = to * n - reference.least_upto(code) as i64 * w;
        if most >= self.down.gap {
            let gap = to * n - reference.around(code).upto as i64 * w;
            self.down.consider(gap, code, code % 2 == 1);
        }
    }

    /// Ascending codes, of which the first has `from` values before it.
    fn through(&mut self, codes: &[u32], mut from: i64) {
        for run in codes.chunk_by(|a, b| a == b) {
            let to = from + run.len() as i64;
            self.run(run[0], from, to);
            from = to;
        }
    }

    /// How many values have each code; the first counts none.
    fn counted(&mut self, counts: &[u32; BUCKETS]) {
        let mut from = 0;
        for (code, count) in (0..).zip(&counts[1..]) {
            if *count > 0 {
                let to = from + i64::from(*count);
                self.run(code, from, to);
                from = to;
            }
        }
    }

    /// The buckets that may hold the largest gap, by how many values each has and what surely lies
    /// `around` them: `before` and `below` the reference values below its lowest and its highest
    /// place, `upto` those up to its lowest.
    fn suspects(&self, counts: &[u32], around: impl Fn(usize) -> Around) -> Suspects {
        let Self { n, w, .. } = *self;
        let mut bounds = [0; BUCKETS];
        let (mut from, mut known) = (0, 0);
        for (bucket, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let to = from + i64::from(*count);
            let Around {
                before,
                below,
                upto,
            } = around(bucket);
            let up = below as i64 * w - from * n;
            let down = to * n - upto as i64 * w;
            bounds[bucket] = up.max(down);
            // Gaps there really are: just below the lowest value, and at the highest of the bucket
            // before.
            known = known.max(before as i64 * w - from * n).max(-up);
            from = to;
        }
        let mut starts = [CLEARED; BUCKETS];
        let mut from = 0;
        for (bucket, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            if bounds[bucket] >= known {
                starts[bucket] = from;
            }
            from += count;
        }
        Suspects(starts)
    }

    /// The ascending `codes` of all values in the suspects.
    fn through_suspects(&mut self, suspects: &Suspects, counts: &[u32; BUCKETS], codes: &[u32]) {
        let mut rest = codes;
        for (start, count) in suspects.0.iter().zip(counts) {
            if *start != CLEARED {
                let (codes, behind) = rest.split_at(*count as usize);
                self.through(codes, i64::from(*start));
                rest = behind;
            }
        }
    }

    fn end(self, largest: impl FnOnce(u32) -> Option<f64>) -> KsStatistic {
        let Self {
            reference,
            n,
            w,
            up,
            down,
        } = self;
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
            n_reference: n as usize,
            n_current: w as usize,
        }
    }
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
        statistic(numbers, &codes, &mut Scratch::default(), |code| {
            let of_code = codes.iter().zip(current).filter(|(c, _)| **c == code);
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

    /// Values in the order in which requests bring them.
    fn shuffled(values: &[f64], state: &mut u64) -> Vec<f64> {
        let mut values = values.to_vec();
        for i in (1..values.len()).rev() {
            values.swap(i, (random(state) % (i as u64 + 1)) as usize);
        }
        values
    }

    #[test]
    fn buckets_give_what_all_values_give() {
        let mut state = 11;
        let mut samples = [[0; 2]; 3];
        for case in 0..400_u64 {
            // Continuous values; many ties; a third of all values tied; few distinct ones.
            let levels = [u64::MAX, 2000, 700, 12][(case % 4) as usize];
            let mut draw = |most: u64, shift: f64| -> Vec<f64> {
                let n = 300 + random(&mut state) % most;
                let mut one = || match random(&mut state) % 200 {
                    0 => f64::INFINITY,
                    1 => f64::NEG_INFINITY,
                    2..70 if case % 4 == 2 => 3.25,
                    _ => (random(&mut state) % levels) as f64 / levels.min(1 << 53) as f64 * 10.0,
                };
                let mut values: Vec<f64> = (0..n).map(|_| one() + shift).collect();
                values.sort_unstable_by(f64::total_cmp);
                values
            };
            let reference = draw([200, 9_000][(case / 4 % 2) as usize], 0.0);
            let shift = [0.0, 0.05, 2.0, 40.0][(case / 8 % 4) as usize];
            let current = draw([100, 5_000][(case / 32 % 2) as usize], shift);
            let expected = ks::statistic(&reference, &current);
            let numbers = Numbers::sorted(reference, 0);
            let current = shuffled(&current, &mut state);
            let by_values = of_values(&numbers, &current, &mut Scratch::default());
            for found in [by_ranks(&numbers, &current), by_values] {
                assert_eq!(
                    (found.gap, found.sign),
                    (expected.gap, expected.sign),
                    "{case}"
                );
                assert_eq!(
                    found.location.to_bits(),
                    expected.location.to_bits(),
                    "{case}"
                );
            }
            samples[usize::from(numbers.marked(MARKS).is_some())][usize::from(shift > 0.0)] += 1;
        }
        assert!(
            samples[..2].iter().flatten().all(|n| *n > 20),
            "{samples:?}"
        );
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
}
