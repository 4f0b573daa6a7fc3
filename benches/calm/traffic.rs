//! Little, much and very much traffic under the defaults, and what driftd says of it.

use std::collections::BTreeSet;

use driftd::timestamp::Timestamp;

use crate::engine::{Engine, Ticks, default_spans, reference};
use crate::month::FEATURES;
use crate::streams::{Kind, Random, Stream};

const REFERENCE_ROWS: usize = 10_001;

/// How much traffic, for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) name: &'static str,
    /// Milliseconds from one row to the next, as numerator and denominator.
    apart: (i64, i64),
    /// Minutes without a change; as many follow with a shift of 1 σ.
    minutes: i64,
}

/// What was said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    pub(crate) rows: i64,
    pub(crate) calibrated: Option<i64>,
    pub(crate) states: BTreeSet<&'static str>,
    /// Minutes at level alert, and with a drift that only warns, before the change.
    pub(crate) false_alerts: u32,
    pub(crate) false_warnings: u32,
    /// Minutes from the change to the first warning, and to the first alert.
    pub(crate) warned: Option<i64>,
    pub(crate) alerted: Option<i64>,
}

// === impl Load ===

impl Load {
    pub(crate) const ALL: [Self; 3] = [
        Self {
            name: "40 a day, ten days and ten days",
            apart: (86_400_000, 40),
            minutes: 14_400,
        },
        Self {
            name: "40 a second, ten minutes and ten minutes",
            apart: (1000, 40),
            minutes: 10,
        },
        Self {
            name: "3,000 a second, ten minutes and ten minutes",
            apart: (1000, 3000),
            minutes: 10,
        },
    ];

    /// Lets it pass by.
    pub(crate) fn run(self, seed: u64) -> Said {
        let mut random = Random::new(seed);
        let column = |_| (0..REFERENCE_ROWS).map(|_| random.normal()).collect();
        let reference = reference((0..FEATURES).map(column));
        let mut engine = Engine::new(reference, default_spans(), Ticks::Ripe);
        let mut stream = Stream::new(Kind::Iid, FEATURES, seed);
        let mut said = Said::default();
        for minute in 1..=2 * self.minutes {
            let changed = minute > self.minutes;
            loop {
                let time = said.rows * self.apart.0 / self.apart.1;
                if time >= minute * 60_000 {
                    break;
                }
                said.rows += 1;
                let priority = stream.priority();
                let mut row = stream.row(0.0).to_vec();
                row[0] += f64::from(u8::from(changed));
                engine.append(&row, priority, Timestamp(time));
            }
            let (standing, report) = engine.tick(Timestamp(minute * 60_000));
            said.states
                .extend(report.map(|report| report.state.as_str()));
            if standing.calibrated && said.calibrated.is_none() {
                said.calibrated = Some(minute);
            }
            if !changed {
                said.false_alerts += u32::from(standing.alert);
                said.false_warnings += u32::from(standing.drifted && !standing.alert);
                continue;
            }
            let since = Some(minute - self.minutes);
            said.warned = said.warned.or(since.filter(|_| standing.drifted));
            said.alerted = said.alerted.or(since.filter(|_| standing.alert));
        }
        said
    }
}
