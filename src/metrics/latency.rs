//! Latency quantiles of the last minute: a ring of short histograms, so that old values leave.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Length of one interval of the ring; a minute is six of them.
const INTERVAL: Duration = Duration::from_secs(10);

/// Intervals kept.
const INTERVALS: usize = 6;

/// Significant decimal digits of a recorded latency: 1 % is finer than latency repeats.
const DIGITS: u8 = 2;

/// The longest latency told apart, in microseconds (an hour); longer ones count as this.
const LONGEST: u64 = 3_600_000_000;

/// The part of an exchange a latency is of; the label `leg` of `driftd_request_latency_seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leg {
    /// As the client saw it.
    Total,
    /// The upstream's share.
    Upstream,
    /// What driftd added.
    Overhead,
}

/// The latencies of one leg of one model on one thread.
#[derive(Debug, Default)]
pub(super) struct Rolling {
    /// Values recorded since the start.
    count: u64,
    /// Their sum in nanoseconds.
    sum: u64,
    /// Interval `i` lives at `i % INTERVALS`; `None` until something was recorded there.
    ring: [Option<Interval>; INTERVALS],
}

#[derive(Debug)]
struct Interval {
    number: u64,
    micros: Histogram<u32>,
}

/// Rolling latencies of several threads, put together.
#[derive(Debug)]
pub(super) struct Merged {
    /// Values recorded since the start.
    pub(super) count: u64,
    /// Their sum in seconds.
    pub(super) sum: f64,
    /// Values of the last minute in microseconds; `None` where there were none.
    micros: Option<Histogram<u32>>,
}

// === impl Leg ===

impl Leg {
    /// Every leg, in the order of the exposition.
    pub(super) const ALL: [Self; 3] = [Self::Total, Self::Upstream, Self::Overhead];

    /// The word used in labels.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Upstream => "upstream",
            Self::Overhead => "overhead",
        }
    }
}

// === impl Rolling ===

impl Rolling {
    /// Records a latency in the interval with this [`number`].
    pub(super) fn record(&mut self, latency: Duration, number: u64) {
        let nanos = nanos(latency);
        self.count += 1;
        self.sum = self.sum.saturating_add(nanos);
        let slot = &mut self.ring[number as usize % INTERVALS];
        match slot {
            Some(interval) if interval.number == number => {}
            // A response that was over a minute ago, whose request has gone on until now.
            Some(interval) if interval.number > number => return,
            Some(interval) => {
                interval.number = number;
                interval.micros.reset();
            }
            // Grows with the values: most legs never need the memory of an hour.
            None => {
                *slot = Histogram::new(DIGITS)
                    .ok()
                    .map(|micros| Interval { number, micros })
            }
        }
        if let Some(interval) = slot {
            // Cannot fail: the histogram resizes, and the value is bounded.
            let _ = interval.micros.record((nanos / 1_000).min(LONGEST));
        }
    }
}

// === impl Merged ===

impl Merged {
    /// Nothing yet.
    pub(super) const fn new() -> Self {
        Self {
            count: 0,
            sum: 0.0,
            micros: None,
        }
    }

    /// Adds a thread's latencies as they are at `age`.
    pub(super) fn add(&mut self, rolling: &Rolling, age: Duration) {
        self.count += rolling.count;
        self.sum += rolling.sum as f64 / 1e9;
        let newest = number(age);
        let recent = (rolling.ring.iter().flatten())
            .filter(|interval| interval.number + INTERVALS as u64 > newest);
        for interval in recent {
            match &mut self.micros {
                // Cannot fail: both resize.
                Some(micros) => drop(micros.add(&interval.micros)),
                None => self.micros = Some(interval.micros.clone()),
            }
        }
    }

    /// A quantile of the last minute in seconds; `None` where nothing was recorded.
    pub(super) fn quantile(&self, quantile: f64) -> Option<f64> {
        let micros = self.micros.as_ref().filter(|micros| !micros.is_empty())?;
        Some(micros.value_at_quantile(quantile) as f64 / 1e6)
    }

    /// Values recorded in the last minute.
    pub(super) fn recent(&self) -> u64 {
        self.micros.as_ref().map_or(0, Histogram::len)
    }
}

/// A duration in nanoseconds; 584 years where it is longer.
pub(super) fn nanos(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(u64::from(duration.subsec_nanos()))
}

/// The number of the interval that `age`, the time since the process began, falls into.
pub(super) const fn number(age: Duration) -> u64 {
    age.as_secs() / INTERVAL.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(rolling: &Rolling, seconds: u64) -> Merged {
        let mut merged = Merged::new();
        merged.add(rolling, Duration::from_secs(seconds));
        merged
    }

    #[test]
    fn values_leave_after_a_minute_but_stay_in_the_sum() {
        let mut rolling = Rolling::default();
        rolling.record(Duration::from_millis(100), number(Duration::from_secs(5)));
        rolling.record(Duration::from_millis(300), number(Duration::from_secs(15)));
        let early = at(&rolling, 20);
        assert_eq!((early.recent(), early.count), (2, 2));
        assert!((early.sum - 0.4).abs() < 1e-9);
        let p99 = early.quantile(0.99).unwrap();
        assert!((p99 - 0.3).abs() < 0.003, "{p99}");
        assert_eq!(at(&rolling, 62).recent(), 1);
        let late = at(&rolling, 600);
        assert_eq!((late.recent(), late.count), (0, 2));
        assert_eq!(late.quantile(0.5), None);
    }

    #[test]
    fn a_slot_is_reused_for_a_later_interval() {
        let mut rolling = Rolling::default();
        rolling.record(Duration::from_secs(7), number(Duration::from_secs(1)));
        rolling.record(Duration::from_millis(1), number(Duration::from_secs(61)));
        let now = at(&rolling, 61);
        assert_eq!(now.recent(), 1);
        assert!(now.quantile(1.0).unwrap() < 0.002);
    }

    #[test]
    fn what_comes_a_minute_late_leaves_newer_values_alone() {
        let mut rolling = Rolling::default();
        rolling.record(Duration::from_millis(1), 6);
        rolling.record(Duration::from_secs(7), 0);
        let now = at(&rolling, 61);
        assert_eq!((now.recent(), now.count), (1, 2));
        assert!(now.quantile(1.0).unwrap() < 0.002);
    }

    #[test]
    fn absurd_latencies_are_capped() {
        let mut rolling = Rolling::default();
        rolling.record(Duration::MAX, 0);
        rolling.record(Duration::ZERO, 0);
        assert!(at(&rolling, 0).quantile(1.0).unwrap() <= 3650.0);
    }
}
