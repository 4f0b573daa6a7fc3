//! How soon a small change is found: .3 σ in one of 30 features.

use std::sync::Arc;

use driftd::drift::Reference;
use driftd::drift::current::SpanLength;
use driftd::timestamp::Timestamp;

use crate::baseline::{Baseline, Episodes};
use crate::engine::{Engine, Ticks, reference, spans};
use crate::month::{FEATURES, p_values};
use crate::streams::{Kind, Random, Stream};

pub(crate) const REFERENCE_ROWS: usize = 100_000;
/// Rows before the change: enough to be calibrated by.
pub(crate) const CHANGE: usize = 5_000;
/// Rows within which it is to be found.
pub(crate) const WITHIN: usize = 1_500;
const SHIFT: f64 = 0.3;
const ROWS_PER_CHECK: usize = 100;

/// When a rule went off.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Found {
    /// Rows after the change at the first check that alarmed.
    pub(crate) delay: Option<usize>,
    /// Alarms before it.
    pub(crate) early: Episodes,
}

/// One run: driftd first, then the baselines.
pub(crate) type Run = Vec<Found>;

/// A reference several runs share.
pub(crate) fn draw(seed: u64) -> Arc<Reference> {
    let mut random = Random::new(seed ^ 0x5eed_1000);
    let column = |_| (0..REFERENCE_ROWS).map(|_| random.normal()).collect();
    reference((0..FEATURES).map(column))
}

/// The values of one run, row by row; the first feature changes.
pub(crate) fn values(seed: u64) -> Vec<Vec<f64>> {
    let mut stream = Stream::new(Kind::Iid, FEATURES, seed);
    let row = |at: usize| {
        let mut row = stream.row(0.0).to_vec();
        row[0] += if at < CHANGE { 0.0 } else { SHIFT };
        row
    };
    (0..CHANGE + WITHIN).map(row).collect()
}

/// Checks a minute apart, each after 100 rows.
pub(crate) fn run(reference: Arc<Reference>, seed: u64) -> Run {
    let length = SpanLength::Time(std::time::Duration::from_secs(3600));
    let spans = spans(SpanLength::Rows(1000), length);
    let mut engine = Engine::new(reference, spans, Ticks::Ripe);
    let mut run = vec![Found::default(); 1 + Baseline::ALL.len()];
    let values = values(seed);
    let mut priorities = Random::new(seed ^ 0x5eed_2000);
    for (check, rows) in values.chunks(ROWS_PER_CHECK).enumerate() {
        let now = Timestamp((check as i64 + 1) * 60_000);
        for row in rows {
            engine.append(row, (priorities.next() >> 32) as u32, now);
        }
        let seen = (check + 1) * ROWS_PER_CHECK;
        let (standing, report) = engine.tick(now);
        let p = report.as_ref().map_or_else(Vec::new, p_values);
        let others = Baseline::ALL.into_iter().map(|rule| rule.alarms(&p));
        let alarms = std::iter::once(standing.alert).chain(others);
        for (found, alarms) in run.iter_mut().zip(alarms) {
            if seen <= CHANGE {
                found.early.see(alarms);
            } else if alarms && found.delay.is_none() {
                found.delay = Some(seen - CHANGE);
            }
        }
        assert!(seen < CHANGE || standing.calibrated, "too early a change");
    }
    run
}
