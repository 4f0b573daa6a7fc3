//! Exact laws and effect sizes, by the fixtures of `make_exact.py`.

use driftd::drift::fisher::Split;
use driftd::drift::ks::ties::{self, Block};
use driftd::drift::p_value::PValue;
use driftd::drift::range::Beyond;
use driftd::drift::{conditional, effect, fisher, ks, range};
use serde_json::Value;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/exact.json");

fn load() -> Value {
    let value: Value = serde_json::from_str(&std::fs::read_to_string(FIXTURE).unwrap()).unwrap();
    assert_eq!(value["scipy"], "1.17.1");
    value
}

fn rows<'a>(file: &'a Value, key: &str, at_least: usize) -> &'a [Value] {
    let rows = file[key].as_array().unwrap();
    assert!(rows.len() >= at_least, "{key}: only {} rows", rows.len());
    rows
}

fn integers(value: &Value) -> Vec<u64> {
    let array = value.as_array().unwrap();
    array.iter().map(|v| v.as_u64().unwrap()).collect()
}

fn floats(value: &Value) -> Vec<f64> {
    let array = value.as_array().unwrap();
    array.iter().map(|v| v.as_f64().unwrap()).collect()
}

/// p to `relative`, and the logarithm to the same or to 1e-9 where p is below 1e-290.
#[track_caller]
fn assert_p(actual: PValue, p: f64, log10_p: f64, relative: f64, at: &str) -> f64 {
    let PValue {
        p: ours,
        log10_p: ours_log,
    } = actual;
    assert!((0.0..=1.0).contains(&ours), "{at}: {actual:?}");
    assert!(ours_log.is_finite() && ours_log <= 0.0, "{at}: {actual:?}");
    if p < 1e-290 {
        let error = (ours_log - log10_p).abs();
        assert!(ours < 1e-289, "{at}: {actual:?}");
        assert!(
            error < 1e-9 + 1e-14 * log10_p.abs(),
            "{at}: {ours_log} {log10_p}"
        );
        return 0.0;
    }
    let error = (ours / p - 1.0).abs();
    assert!(error <= relative, "{at}: {ours:e} {p:e}, off by {error:e}");
    assert!(
        (ours_log - log10_p).abs() <= relative + 1e-15,
        "{at}: {ours_log} {log10_p}"
    );
    error
}

/// Blocks of given pooled sizes with `reference` rows of the reference in all, the first ones.
fn blocks(sizes: &[u64], mut reference: u64) -> Vec<Block> {
    sizes
        .iter()
        .map(|&size| {
            let first = reference.min(size);
            reference -= first;
            Block {
                reference: first as u32,
                current: (size - first) as u32,
            }
        })
        .collect()
}

#[test]
fn every_tie_pattern_of_small_samples() {
    let file = load();
    let (mut worst, mut seen) = (0.0_f64, 0);
    for row in rows(&file, "ties_small", 28) {
        let (n1, n2) = (row[0].as_u64().unwrap(), row[1].as_u64().unwrap());
        let n = n1 + n2;
        let choices = (1..=n1).fold(1, |c, k| c * (n - n1 + k) / k) as f64;
        let unit = (1..=n1).rev().find(|d| n1 % d == 0 && n2 % d == 0).unwrap();
        for pattern in row[2].as_array().unwrap() {
            let mask = pattern[0].as_u64().unwrap();
            let mut sizes = vec![1];
            for k in 0..n - 1 {
                if mask >> k & 1 == 1 {
                    sizes.push(1)
                } else {
                    *sizes.last_mut().unwrap() += 1
                }
            }
            for (h, count) in (1_u64..).zip(integers(&pattern[1])) {
                let gap = u128::from(h * unit);
                let log_p = ties::log_p(gap, &blocks(&sizes, n1), 1_000).unwrap();
                let at = format!("{n1}/{n2} {sizes:?} {gap}");
                seen += 1;
                if count == 0 {
                    assert!(log_p.exp() <= 0.0, "{at}: {log_p}");
                    continue;
                }
                let error = (log_p.exp() * choices / count as f64 - 1.0).abs();
                assert!(error < 1e-14, "{at}: off by {error:e}");
                worst = worst.max(error);
                // A gap between two attainable ones is as rare as the next.
                assert_eq!(
                    ties::log_p(gap - u128::from(unit) + 1, &blocks(&sizes, n1), 1_000),
                    Some(log_p)
                );
            }
        }
    }
    assert!(seen >= 12_000, "{seen}");
    println!("ties, small: {worst:e} over {seen}");
}

#[test]
fn tied_samples_by_path_counts() {
    let file = load();
    let (mut worst, mut deepest) = (0.0_f64, 0.0_f64);
    for row in rows(&file, "ties", 400) {
        let (n1, n2) = (row[0].as_u64().unwrap(), row[1].as_u64().unwrap());
        let (sizes, gap) = (integers(&row[2]), row[3].as_u64().unwrap());
        let expected = row[4].as_f64().unwrap();
        let log_p = ties::log_p(gap.into(), &blocks(&sizes, n1), 1 << 30).unwrap();
        let error = (log_p - expected).abs();
        assert!(
            error < 1e-12 * (1.0 + expected.abs() / 667.0),
            "{n1}/{n2} {gap}: {log_p} {expected}, off by {error:e}"
        );
        worst = worst.max(error);
        deepest = deepest.min(expected);
        if sizes.iter().all(|&size| size == 1) {
            // Gaps are multiples of the greatest common divisor.
            let unit = (1..=n1).rev().find(|d| n1 % d == 0 && n2 % d == 0).unwrap();
            let untied = ks::p_value(gap.next_multiple_of(unit).into(), n1 as usize, n2 as usize);
            assert!((untied.log10_p * std::f64::consts::LN_10 - log_p).abs() < 1e-11);
        }
    }
    assert!(deepest < -800.0);
    println!("ties: {worst:e}, down to ln p = {deepest}");
}

#[test]
fn ties_keep_to_their_budget() {
    let ones = vec![
        Block {
            reference: 1,
            current: 1
        };
        500
    ];
    assert_eq!(ties::log_p(10_000, &ones, 999), None);
    assert_eq!(ties::log_p(10_000, &ones, 10_000), None);
    assert!(ties::log_p(10_000, &ones, 1_000_000).is_some());
    assert_eq!(ties::log_p(1, &[], 10), None);
    let constant = [Block {
        reference: 50,
        current: 40,
    }];
    assert_eq!(ties::log_p(0, &constant, 10_000), Some(0.0));
    assert_eq!(ties::log_p(1, &constant, 10_000), Some(f64::NEG_INFINITY));
    let huge = [Block {
        reference: u32::MAX,
        current: u32::MAX,
    }];
    assert_eq!(ties::log_p(1, &huge, u64::MAX), None);
}

#[test]
fn fisher_exact() {
    let file = load();
    let (mut worst, mut deep, mut scipy) = (0.0_f64, 0, 0);
    for row in rows(&file, "fisher", 400) {
        let cell = |k: usize| row[k].as_u64().unwrap();
        let split = |k: usize| Split {
            with: cell(k),
            without: cell(k + 1),
        };
        let actual = fisher::two_sided(split(0), split(2));
        let (p, log10_p) = (row[4].as_f64().unwrap(), row[5].as_f64().unwrap());
        worst = worst.max(assert_p(actual, p, log10_p, 1e-10, &row.to_string()));
        deep += usize::from(p < 1e-290);
        if let Some(theirs) = row[6].as_f64() {
            assert!(
                p < 1e-290 || (actual.p / theirs - 1.0).abs() < 2e-10,
                "{row}"
            );
            scipy += 1;
        }
        let swapped = |split: Split| Split {
            with: split.without,
            without: split.with,
        };
        for other in [
            fisher::two_sided(split(2), split(0)),
            fisher::two_sided(swapped(split(0)), swapped(split(2))),
        ] {
            assert!(
                (other.log10_p - actual.log10_p).abs() <= 1e-11 * (1.0 - actual.log10_p),
                "{row}"
            );
        }
    }
    assert!(deep >= 5 && scipy >= 400, "{deep} {scipy}");
    println!("fisher: {worst:e}, {deep} below 1e-290, {scipy} by scipy");
}

#[test]
fn homogeneity_of_small_tables() {
    let file = load();
    let mut worst = 0.0_f64;
    for row in rows(&file, "table", 200) {
        let (reference, current) = (integers(&row[0]), integers(&row[1]));
        let (p, log10_p) = (row[2].as_f64().unwrap(), row[3].as_f64().unwrap());
        let actual = conditional::homogeneity(&reference, &current, 1_000_000).unwrap();
        worst = worst.max(assert_p(actual, p, log10_p, 1e-12, &row.to_string()));
        assert_eq!(conditional::homogeneity(&reference, &current, 0), None);
    }
    println!("homogeneity: {worst:e}");
    assert_eq!(conditional::homogeneity(&[3, 0], &[4, 0], 100), None);
    assert_eq!(conditional::homogeneity(&[3, 1], &[0, 0], 100), None);
    // Sixty cells of tens of thousands: far too many tables, and found out at once.
    let many: Vec<u64> = (0..60).map(|k| 20_000 + k * k).collect();
    let other: Vec<u64> = (0..60).map(|k| 20_000 + 97 * k % 61).collect();
    assert_eq!(conditional::homogeneity(&many, &other, 100_000), None);
}

#[test]
fn values_beyond_the_range() {
    let file = load();
    for row in rows(&file, "range", 60) {
        let [n, w, k] = [0, 1, 2].map(|at: usize| row[at].as_u64().unwrap());
        let (p, log10_p) = (row[3].as_f64().unwrap(), row[4].as_f64().unwrap());
        let doubled = (log10_p + 2.0_f64.log10()).min(0.0);
        for beyond in [
            Beyond { below: 0, above: k },
            Beyond {
                below: k,
                above: k / 2,
            },
        ] {
            let both = range::two_sided(n, w, beyond);
            // scipy's pmf is off by up to 2e-9 at n = 1e7; the logarithm is rational, so the judge.
            assert_p(both, (2.0 * p).min(1.0), doubled, 1e-8, &row.to_string());
            assert!(
                (both.log10_p - doubled).abs() <= 1e-13 * (1.0 - log10_p),
                "{row}"
            );
        }
    }
}

/// All ways to call n of n + w pooled values the reference, over all patterns of ties among them.
#[test]
fn ties_make_the_range_test_conservative() {
    let mut strictly = 0;
    for total in 2..=9_u32 {
        for ties in 0..1_u32 << (total - 1) {
            // Rank of each pooled value; bit k says that the next one is larger.
            let mut ranks = vec![0];
            for k in 0..total - 1 {
                ranks.push(ranks[k as usize] + (ties >> k & 1));
            }
            for w in 1..total {
                // counts[k]: choices with at least k current values strictly above all reference.
                let (mut counts, mut choices) = (vec![0_u32; w as usize + 1], 0_u32);
                for chosen in (0..1_u32 << total).filter(|c| c.count_ones() == w) {
                    let of = |k: &u32| ranks[*k as usize];
                    let top = (0..total)
                        .filter(|k| chosen >> k & 1 == 0)
                        .map(|k| of(&k))
                        .max();
                    let strict = (0..total)
                        .filter(|k| chosen >> k & 1 == 1 && Some(of(k)) > top)
                        .count();
                    choices += 1;
                    counts[..=strict].iter_mut().for_each(|count| *count += 1);
                }
                for (k, &count) in counts.iter().enumerate() {
                    let (below, above) = (0, k as u64);
                    let beyond = Beyond { below, above };
                    let p = range::two_sided((total - w).into(), w.into(), beyond).p;
                    // Either end counts: twice the share, as the p-value is twice that of one end.
                    let share = (2.0 * f64::from(count) / f64::from(choices)).min(1.0);
                    assert!(share <= p * (1.0 + 1e-12), "{total} {ties:b} {w} {k}");
                    if ties + 1 == 1 << (total - 1) {
                        assert!((share / p - 1.0).abs() < 1e-12, "untied is exact");
                    }
                    strictly += u32::from(share < 0.99 * p);
                }
            }
        }
    }
    assert!(strictly > 1_000);
}

#[test]
fn effect_sizes_over_counts() {
    let file = load();
    for row in rows(&file, "effect", 90) {
        let (reference, current) = (integers(&row[0]), integers(&row[1]));
        let actual = [
            effect::psi,
            effect::jensen_shannon,
            effect::hellinger,
            effect::total_variation,
        ]
        .map(|distance| distance(&reference, &current).unwrap());
        for (k, distance) in actual.into_iter().enumerate() {
            let expected = row[2 + k].as_f64().unwrap();
            // Shares are rounded to 1e-16, so distances below about 1e-4 cannot hold all digits.
            assert!(
                (distance - expected).abs() <= 1e-12 * expected + 1e-15,
                "{k} {row}: {distance:e} {expected:e}"
            );
        }
    }
    for distance in [
        effect::psi,
        effect::jensen_shannon,
        effect::hellinger,
        effect::total_variation,
    ] {
        assert_eq!(distance(&[], &[]), None);
        assert_eq!(distance(&[1, 2], &[0, 0]), None);
        assert!(distance(&[3, 4, 5], &[6, 8, 10]).unwrap() < 0.05);
    }
}

#[test]
fn wasserstein_distance() {
    let file = load();
    for row in rows(&file, "wasserstein", 80) {
        let (reference, current) = (floats(&row[0]), floats(&row[1]));
        let distance = effect::wasserstein(&reference, &current).unwrap();
        let expected = row[2].as_f64().unwrap();
        assert!(
            (distance - expected).abs() <= 1e-13 * expected,
            "{row}: {distance}"
        );
    }
    let inf = f64::INFINITY;
    assert_eq!(effect::wasserstein(&[], &[1.0]), None);
    assert_eq!(
        effect::wasserstein(&[-inf, 1.0, inf], &[-inf, 2.0, inf]),
        Some(1.0 / 3.0)
    );
    assert_eq!(effect::wasserstein(&[1.0, inf], &[1.0, 2.0]), Some(inf));
    assert_eq!(effect::wasserstein(&[-inf], &[1.0]), Some(inf));
    assert_eq!(effect::wasserstein(&[-inf], &[inf]), Some(inf));
    assert_eq!(effect::wasserstein(&[inf], &[inf, inf]), Some(0.0));
    assert_eq!(
        effect::wasserstein(&[-inf, -inf, 0.0], &[-inf, 0.0, 0.0]),
        Some(inf)
    );
    // Far apart, but the distance fits: half the mass moves by twice the largest double.
    assert_eq!(
        effect::wasserstein(&[f64::MIN, f64::MIN], &[f64::MIN, f64::MAX]),
        Some(f64::MAX)
    );
    assert_eq!(effect::wasserstein(&[f64::MIN], &[f64::MAX]), Some(inf));
    assert!((effect::wasserstein_divisor(f64::NAN) - 0.001).abs() < 1e-18);
    assert!((effect::wasserstein_divisor(2.5) - 2.5).abs() < 1e-18);
}
