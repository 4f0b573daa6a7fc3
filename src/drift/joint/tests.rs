use super::*;
use crate::drift::random::SplitMix64;

/// Scores of normal columns, of which the first two have correlation `rho`, the third is 0/1 and the
/// fourth is missing in a third of the rows.
fn rows(random: &mut SplitMix64, n: usize, columns: usize, rho: f64) -> Vec<f32> {
    let mut rows = Vec::with_capacity(n * columns);
    for _ in 0..n {
        let first = random.normal();
        rows.push(first as f32);
        rows.push((rho * first + (1.0 - rho * rho).sqrt() * random.normal()) as f32);
        for column in 2..columns {
            rows.push(match column {
                // Mid-rank scores of a Bernoulli(0.2): scipy.stats.norm.ppf([0.4, 0.9])
                2 if random.uniform() < 0.8 => -0.253_347,
                2 => 1.281_552,
                3 if random.uniform() < 1.0 / 3.0 => 0.0,
                _ => random.normal() as f32,
            });
        }
    }
    rows
}

fn reference(random: &mut SplitMix64, n: usize, columns: usize) -> JointReference {
    let rows = rows(random, n, columns, 0.5);
    JointReference::new(&Features::new(columns, 1), rows.chunks(columns)).unwrap()
}

fn test(reference: &JointReference, features: &Features, rows: &[f32]) -> JointTest {
    let mut sums = FeatureSums::new();
    features.add(rows, &mut sums);
    let n = reference.rows() as f64;
    reference.test(&sums.mean(), sums.rows() as f64, n).unwrap()
}

#[test]
fn realised_rates_are_nominal() {
    let mut random = SplitMix64::new(1);
    let columns = 5;
    let (references, windows) = (20, 100);
    let mut rejected = [0; 3];
    for _ in 0..references {
        let reference = reference(&mut random, 1_000, columns);
        let features = reference.features();
        for _ in 0..windows {
            let window = rows(&mut random, 200, columns, 0.5);
            let p = test(&reference, &features, &window).p;
            for (count, level) in rejected.iter_mut().zip([0.05, 0.01, 0.001]) {
                *count += u32::from(p <= level);
            }
        }
    }
    // Of 2 000: 100, 20 and 2 expected. Windows share references, so the first scatters by
    // more than the binomial 10.
    assert!((60..=145).contains(&rejected[0]), "{rejected:?}");
    assert!((6..=38).contains(&rejected[1]), "{rejected:?}");
    assert!(rejected[2] <= 8, "{rejected:?}");
}

#[test]
fn finds_a_change_of_correlation_alone() {
    let mut random = SplitMix64::new(2);
    let reference = reference(&mut random, 10_000, 2);
    let features = reference.features();
    // Simulated median of log10 p over 100 pairs of samples: -9.6, the highest below -6.1.
    let changed = test(&reference, &features, &rows(&mut random, 2_000, 2, 0.8));
    assert!(changed.log10_p < -5.0, "{changed:?}");
    let same = test(&reference, &features, &rows(&mut random, 2_000, 2, 0.5));
    assert!(same.p > 1e-3, "{same:?}");
    // .5 to .6 moves too little for this test: the limit is known and stated.
    let slightly = test(&reference, &features, &rows(&mut random, 500, 2, 0.6));
    assert!(slightly.p > 1e-4, "{slightly:?}");
    // Another population altogether: the logarithm goes on where p is 0.
    let far = test(&reference, &features, &[3.0; 2 * 3_000]);
    assert!(
        far.p <= 0.0 && far.log10_p < -310.0 && far.log10_p.is_finite(),
        "{far:?}"
    );
}

/// Normal columns that all correlate by `rho` with each other.
fn equicorrelated(random: &mut SplitMix64, n: usize, columns: usize, rho: f64) -> Vec<f32> {
    let mut rows = Vec::with_capacity(n * columns);
    for _ in 0..n {
        let shared = random.normal();
        rows.extend(
            (0..columns)
                .map(|_| (rho.sqrt() * shared + (1.0 - rho).sqrt() * random.normal()) as f32),
        );
    }
    rows
}

#[test]
fn finds_a_change_of_all_correlations_in_a_short_window() {
    // Ten columns, .5 -> .8 at W = 500: median log10 p -7.2 over 30 simulated pairs of samples
    // (numpy, independent of this code), and no column moves by itself.
    let mut random = SplitMix64::new(7);
    let features = Features::new(10, 1);
    let rows = equicorrelated(&mut random, 10_000, 10, 0.5);
    let reference = JointReference::new(&features, rows.chunks(10)).unwrap();
    let changed = test(
        &reference,
        &features,
        &equicorrelated(&mut random, 500, 10, 0.8),
    );
    assert!(changed.log10_p < -5.0, "{changed:?}");
}

#[test]
fn dependent_rows_count_less() {
    let mut random = SplitMix64::new(3);
    let reference = reference(&mut random, 2_000, 4);
    let features = reference.features();
    // Each row five times over: 200 independent ones.
    let window = rows(&mut random, 200, 4, 0.5);
    let mut sums = FeatureSums::new();
    (0..5).for_each(|_| features.add(&window, &mut sums));
    let corrected = reference.test(&sums.mean(), 200.0, 2_000.0).unwrap();
    let plain = test(&reference, &features, &window);
    assert!((corrected.statistic / plain.statistic - 1.0).abs() < 1e-6);
    assert!(reference.test(&sums.mean(), 1_000.0, 2_000.0).unwrap().p < corrected.p);
}

#[test]
fn covariance_and_its_trace() {
    // ‖φ‖ = 1, so the trace is (1 - ‖mean‖²)·n/(n-1).
    let mut random = SplitMix64::new(4);
    let reference = reference(&mut random, 501, 6);
    let squared: f64 = reference.mean.iter().map(|x| x * x).sum();
    let trace: f64 = reference.eigenvalues.iter().sum();
    assert!(
        (trace - (1.0 - squared) * 501.0 / 500.0).abs() < 1e-5,
        "{trace} {squared}"
    );
    assert_eq!(reference.rows(), 501);
}

#[test]
fn survives_storage_and_refuses_damage() {
    let reference = reference(&mut SplitMix64::new(5), 100, 3);
    let stored = serde_json::to_string(&reference).unwrap();
    let restored: JointReference = serde_json::from_str(&stored).unwrap();
    assert_eq!(restored, reference);
    assert_eq!(restored.features(), Features::new(3, 1));
    let refused = |from: &str, to: &str| {
        let damaged = stored.replacen(from, to, 1);
        assert_ne!(damaged, stored);
        serde_json::from_str::<JointReference>(&damaged)
            .unwrap_err()
            .to_string()
    };
    assert!(refused("\"mean\":[", "\"mean\":[0.5,").contains("257 numbers"));
    assert!(refused("\"eigenvalues\":[", "\"eigenvalues\":[-1.0,").contains("eigenvalues"));
    assert!(refused("\"columns\":3", "\"columns\":0").contains("columns is 0"));
}

#[test]
fn unusable_input() {
    let features = Features::new(2, 1);
    let constant = [0.5_f32; 20];
    assert_eq!(JointReference::new(&features, constant.chunks(2)), None);
    assert_eq!(
        JointReference::new(&features, [[1.0_f32, 2.0].as_slice()]),
        None
    );
    assert_eq!(
        JointReference::new(&Features::new(0, 1), [[].as_slice(); 5]),
        None
    );
    let reference = reference(&mut SplitMix64::new(6), 50, 2);
    assert_eq!(reference.test(&[0.0; 3], 10.0, 50.0), None);
    assert_eq!(reference.test(&FeatureSums::new().mean(), 10.0, 50.0), None);
    assert_eq!(reference.test(&[0.0; FEATURES], 0.0, 50.0), None);
}
