use super::*;
use crate::drift::random::SplitMix64;

/// Bins of an AR(1) process with standard normal marginals: reference deciles are normal deciles.
fn ar_bins(
    random: &mut SplitMix64,
    rho: f64,
    shift: impl Fn(usize) -> f64,
    rows: usize,
) -> Collector {
    // scipy.stats.norm.ppf(np.arange(1, 10)/10)
    const DECILES: [f64; 9] = [
        -1.281_551_565_544_600_4,
        -0.841_621_233_572_914_3,
        -0.524_400_512_708_040_9,
        -0.253_347_103_135_799_7,
        0.0,
        0.253_347_103_135_799_7,
        0.524_400_512_708_040_7,
        0.841_621_233_572_914_3,
        1.281_551_565_544_600_4,
    ];
    let mut collector = Collector::new();
    let mut x = random.normal();
    for row in 0..rows {
        x = rho * x + (1.0 - rho * rho).sqrt() * random.normal();
        let y = x + shift(row);
        collector.push(DECILES.iter().filter(|&&edge| y > edge).count() as u8);
    }
    collector
}

fn stationary(seed: u64, rho: f64, rows: usize) -> Collector {
    ar_bins(&mut SplitMix64::new(seed), rho, |_| 0.0, rows)
}

const EVEN: [f64; BINS] = [0.1; BINS];

#[test]
fn tau_of_known_processes() {
    // The largest over deciles is at the median, where P(X<=0, Y<=0) = 1/4 + asin(r)/(2 pi):
    // 1 + 2*sum(2/math.pi*math.asin(rho**k) for k in range(1, 400))
    for (rho, expected) in [(0.0, 1.0), (0.5, 2.307_175_757), (0.9, 13.278_868_7)] {
        let runs = 20;
        let mut mean = 0.0;
        for seed in 0..runs {
            let dependence = stationary(seed, rho, MAX_ROWS).estimate().unwrap();
            assert!(dependence.settled && dependence.tau > dependence.estimate);
            assert!(dependence.tau >= expected, "{rho} {seed} {dependence:?}");
            mean += dependence.estimate / runs as f64;
        }
        assert!((mean / expected - 1.0).abs() < 0.08, "{rho}: {mean}");
    }
}

#[test]
fn alternating_rows_give_no_credit() {
    // True tau of AR(-.5) is below 1; of nine estimates with an error of 7% one may be above.
    let dependence = stationary(1, -0.5, 5_000).estimate().unwrap();
    assert!((1.0..1.15).contains(&dependence.estimate), "{dependence:?}");
    assert!(dependence.tau >= dependence.estimate);
    assert!(!dependence.settled);
}

#[test]
fn too_few_rows_for_the_lag_needed() {
    assert_eq!(stationary(1, 0.0, MIN_ROWS - 1).estimate(), None);
    assert!(stationary(1, 0.0, MIN_ROWS).estimate().is_some());
    // tau of AR(.97) is 45.3: more than 2 000/96, less than 20 000/96.
    assert_eq!(stationary(1, 0.97, MIN_ROWS).estimate(), None);
    assert!(stationary(1, 0.97, MAX_ROWS).estimate().is_some());
}

#[test]
fn rows_repeated_in_blocks() {
    // Blocks of b equal rows: rho_k = 1 - k/b up to b, so tau = 1 + 2 (b-1)/2 = b.
    let mut random = SplitMix64::new(5);
    let mut collector = Collector::new();
    while !collector.is_full() {
        let bin = (random.next_u64() % 10) as u8;
        (0..20).for_each(|_| collector.push(bin));
    }
    let dependence = collector.estimate().unwrap();
    assert!(
        (dependence.estimate / 20.0 - 1.0).abs() < 0.25,
        "{dependence:?}"
    );
    assert!(dependence.tau >= 20.0);
}

#[test]
fn stationary_rows_fit() {
    for rho in [0.0, 0.5, 0.9] {
        for rows in [MIN_ROWS, MAX_ROWS] {
            let fitting = (0..20)
                .filter_map(|seed| stationary(seed, rho, rows).fits(&EVEN))
                .filter(|fit| fit.fits)
                .count();
            // Few rows under strong correlation may have to wait; the rest fit always.
            let required = if rho > 0.8 && rows == MIN_ROWS { 8 } else { 20 };
            assert!(fitting >= required, "{rho} {rows}: {fitting}");
        }
    }
}

#[test]
fn drifted_rows_do_not_fit() {
    // A shift of s moves a share by up to 2 Phi(s/2) - 1: 0.16 at 0.4, 0.31 at 0.8.
    type Shift = fn(usize) -> f64;
    let drifts: [(&str, Shift); 2] = [
        ("level", |_| 0.4),
        ("step", |row| if row < MAX_ROWS / 2 { 0.0 } else { 0.8 }),
    ];
    for (name, drift) in drifts {
        for rho in [0.0, 0.5, 0.9] {
            for seed in 0..5 {
                let rows = ar_bins(&mut SplitMix64::new(seed), rho, drift, MAX_ROWS);
                let fit = rows.fits(&EVEN);
                assert!(
                    fit.is_none_or(|fit| !fit.fits),
                    "{name} {rho} {seed} {fit:?}"
                );
            }
        }
    }
}

/// A day's cycle of ±.5 σ at ten rows a minute, seen for 33 hours.
fn daily(row: usize) -> f64 {
    0.5 * (std::f64::consts::TAU * row as f64 / 14_400.0).sin()
}

#[test]
fn slow_waves_fit_and_are_no_dependence() {
    type Shift = fn(usize) -> f64;
    let waves: [(&str, Shift, f64); 4] = [
        ("day", daily, 1.12),
        ("ramp", |row| row as f64 / MAX_ROWS as f64 - 0.5, 1.12),
        // Of a sharp burst, what lies between its ends and those of the blocks is left.
        ("burst", |row| if row / 3_000 == 2 { 1.5 } else { 0.0 }, 2.2),
        ("trough", |row| daily(row + 10_800) + 0.1, 1.12),
    ];
    for (name, wave, most) in waves {
        for (rho, tau) in [(0.0, 1.0), (0.5, 2.307_175_757), (0.9, 13.278_868_7)] {
            let mut mean = 0.0;
            for seed in 0..10 {
                let rows = ar_bins(&mut SplitMix64::new(seed), rho, wave, MAX_ROWS);
                assert!(rows.fits(&EVEN).unwrap().fits, "{name} {rho} {seed}");
                let dependence = rows.estimate().unwrap();
                assert!(dependence.tau >= tau * 0.97, "{name} {seed} {dependence:?}");
                mean += dependence.estimate / 10.0;
            }
            let ratio = mean / tau;
            assert!((0.92..most).contains(&ratio), "{name} {rho}: {mean}");
        }
    }
}

#[test]
fn ties_and_missing_values() {
    // A binary column with 30% zeros: bins 0 and 9 only, the rest empty.
    let mut random = SplitMix64::new(9);
    let mut collector = Collector::new();
    for _ in 0..10_000 {
        collector.push(if random.uniform() < 0.3 { 0 } else { 9 });
        collector.push(MISSING);
    }
    assert_eq!(collector.rows(), 10_000);
    let dependence = collector.estimate().unwrap();
    assert!(dependence.tau < 1.25, "{dependence:?}");
    let shares = [0.3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.7];
    assert!(collector.fits(&shares).unwrap().fits);
    assert!(!collector.fits(&EVEN).unwrap().fits);
}

#[test]
fn constant_column_fits_only_a_constant_reference() {
    let mut collector = Collector::new();
    (0..3_000).for_each(|_| collector.push(9));
    assert!((collector.estimate().unwrap().estimate - 1.0).abs() < 1e-12);
    let mut constant = [0.0; BINS];
    constant[9] = 1.0;
    assert!(collector.fits(&constant).unwrap().fits);
    assert!(!collector.fits(&EVEN).unwrap().fits);
}

#[test]
fn effective_size_of_a_sample() {
    // 1/(1/500 + 1/4000*(13-1))
    assert!((n_effective(500, 4_000, 13.0) - 200.0).abs() < 1e-9);
    assert!((n_effective(4_000, 4_000, 13.0) - 4_000.0 / 13.0).abs() < 1e-9);
    assert!((n_effective(500, 4_000, 0.3) - 500.0).abs() < 1e-9);
    assert!(n_effective(0, 4_000, 2.0).abs() < 1e-12);
}

#[test]
fn variance_of_a_sampled_mean_is_as_claimed() {
    // I{x <= 0} over 400 rows of AR(.9), of which 100 are drawn: variance 1/4 over n_effective.
    let (sample, population, rho) = (100, 400, 0.9_f64);
    let mut random = SplitMix64::new(11);
    let runs = 4_000;
    let mut square = 0.0;
    for _ in 0..runs {
        let mut x = random.normal();
        let mut rows: Vec<f64> = (0..population)
            .map(|_| {
                x = rho * x + (1.0 - rho * rho).sqrt() * random.normal();
                if x <= 0.0 { 1.0 } else { 0.0 }
            })
            .collect();
        for i in 0..sample {
            let j = i + (random.next_u64() % (population - i) as u64) as usize;
            rows.swap(i, j);
        }
        let mean = rows[..sample].iter().sum::<f64>() / sample as f64;
        square += (mean - 0.5).powi(2) / f64::from(runs);
    }
    let expected = 0.25 / n_effective(sample as u64, population as u64, 13.278_868_7);
    // Standard error of a variance: √(2/4000) = 2.2%; N/τ is short by about τ/N = 3%.
    assert!((square / expected - 1.0).abs() < 0.1, "{square} {expected}");
}
