//! A month without drift: every alarm is a false one.

use driftd::drift::report::ModelReport;
use driftd::timestamp::Timestamp;

use crate::baseline::{Baseline, Episodes};
use crate::engine::{Engine, Ticks, default_spans, reference};
use crate::streams::{Kind, Random, Stream};

pub(crate) const FEATURES: usize = 30;
/// One more than the most for which scipy, and so driftd, computes exact p-values: those take
/// milliseconds each, and there are a billion of them here.
const REFERENCE_ROWS: usize = 10_001;
pub(crate) const ROWS_PER_TICK: i64 = 10;
const TICK_MILLIS: i64 = 60_000;
/// Checks of a month, one a minute.
pub(crate) const TICKS: i64 = 43_200;

/// What came of one month.
#[derive(Debug, Clone)]
pub(crate) struct Month {
    /// Episodes at level alert.
    pub(crate) alerts: u32,
    /// Episodes of drift on the main span that only warn.
    pub(crate) warned: u32,
    /// Episodes of the fast span, which never alerts.
    pub(crate) fast: u32,
    /// Hours until every column was calibrated.
    pub(crate) calibrated: Option<f64>,
    /// Decisions over the main span.
    pub(crate) decisions: u32,
    /// Other rules on the same windows.
    pub(crate) baselines: Vec<Episodes>,
}

/// The engine of one draw of the reference, and its traffic.
fn begin(kind: Kind, seed: u64, ticks: Ticks) -> (Engine, Stream) {
    let mut random = Random::new(seed ^ 0x5eed_0000);
    let column = |_| {
        let value = |_| kind.stationary(&mut random);
        (0..REFERENCE_ROWS).map(value).collect()
    };
    let reference = reference((0..FEATURES).map(column));
    let engine = Engine::new(reference, default_spans(), ticks);
    (engine, Stream::new(kind, FEATURES, seed))
}

/// The time of a row: rows come evenly within their minute, which a tick ends.
fn feed(engine: &mut Engine, stream: &mut Stream, tick: i64) -> Timestamp {
    for row in 0..ROWS_PER_TICK {
        let time = tick * TICK_MILLIS + row * TICK_MILLIS / ROWS_PER_TICK;
        let priority = stream.priority();
        let values = stream.row(time as f64 / 86_400_000.0);
        engine.append(values, priority, Timestamp(time));
    }
    Timestamp((tick + 1) * TICK_MILLIS)
}

/// Simulates `ticks` minutes.
pub(crate) fn run(kind: Kind, seed: u64, ticks: i64) -> Month {
    let (mut engine, mut stream) = begin(kind, seed, Ticks::Ripe);
    let mut month = Month {
        alerts: 0,
        warned: 0,
        fast: 0,
        calibrated: None,
        decisions: 0,
        baselines: Baseline::ALL.iter().map(|_| Episodes::default()).collect(),
    };
    let (mut alert, mut warned, mut fast) = (false, false, false);
    for tick in 0..ticks {
        let now = feed(&mut engine, &mut stream, tick);
        let (standing, report) = engine.tick(now);
        let warns = standing.drifted && !standing.alert;
        month.alerts += u32::from(standing.alert && !alert);
        month.warned += u32::from(warns && !warned && !alert);
        month.fast += u32::from(standing.fast && !fast);
        (alert, warned, fast) = (standing.alert, warns, standing.fast);
        if standing.calibrated && month.calibrated.is_none() {
            month.calibrated = Some((tick + 1) as f64 / 60.0);
        }
        if let Some(report) = report {
            month.decisions += 1;
            let p = p_values(&report);
            for (baseline, episodes) in Baseline::ALL.into_iter().zip(&mut month.baselines) {
                episodes.see(baseline.alarms(&p));
            }
        }
    }
    month
}

/// The p-values of the KS tests of the main span; none below `min_rows`.
pub(crate) fn p_values(report: &ModelReport) -> Vec<f64> {
    let main = report.features.iter().filter_map(|feature| feature.main());
    main.filter_map(|check| check.p_value).collect()
}

/// Asserts on `ticks` minutes that skipping the ticks at which no span is ripe leaves every verdict
/// as it is.
pub(crate) fn prove_skipping(kind: Kind, seed: u64, ticks: i64) {
    let (mut every, mut stream) = begin(kind, seed, Ticks::All);
    let (mut ripe, mut again) = begin(kind, seed, Ticks::Ripe);
    for tick in 0..ticks {
        let now = feed(&mut every, &mut stream, tick);
        feed(&mut ripe, &mut again, tick);
        let (all, _) = every.tick(now);
        let (some, _) = ripe.tick(now);
        assert_eq!(all, some, "{} at minute {tick}", kind.name());
        assert_eq!(every.alarms(), ripe.alarms(), "at minute {tick}");
    }
}
