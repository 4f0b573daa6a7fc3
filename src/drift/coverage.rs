//! Coverage: the share of exchanges over a span of time whose rows could be checked.

use std::collections::VecDeque;
use std::time::Duration;

use crate::timestamp::Timestamp;

/// Readings kept are at least this far apart; a day of them is 1,440.
const APART: Duration = Duration::from_secs(60);

/// Fewer exchanges than this say nothing about the rest.
const ENOUGH: u64 = 10;

/// Running totals as read at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Exchanges committed to the window.
    pub captured: u64,
    /// Exchanges lost or not understood.
    pub lost: u64,
}

/// Readings of the totals over a span of time.
#[derive(Debug)]
pub struct Coverage {
    span: Duration,
    /// What the window knew at the start; counters begin at zero.
    before: Totals,
    readings: VecDeque<(Timestamp, Totals)>,
}

impl Coverage {
    /// Coverage over the last `span`, beginning now; `before` happened in the span before now.
    #[must_use]
    pub fn new(span: Duration, before: Totals, now: Timestamp) -> Self {
        let readings = [(now.minus(span), Totals::default()), (now, before)];
        Self {
            span,
            before,
            readings: VecDeque::from(readings),
        }
    }

    /// Takes in the totals at `now` and returns the coverage since the span's start, 0 to 1; `None`
    /// where too few were offered.
    pub fn read(&mut self, now: Timestamp, totals: Totals) -> Option<f64> {
        let start = now.minus(self.span);
        let totals = Totals {
            captured: totals.captured + self.before.captured,
            lost: totals.lost + self.before.lost,
        };
        while self.readings.len() > 1 && self.readings[1].0 <= start {
            self.readings.pop_front();
        }
        let first = self
            .readings
            .front()
            .map_or_else(Totals::default, |(_, first)| *first);
        if (self.readings.back()).is_none_or(|(last, _)| now.since(*last) >= APART) {
            self.readings.push_back((now, totals));
        }
        let captured = totals.captured.saturating_sub(first.captured);
        let lost = totals.lost.saturating_sub(first.lost);
        (captured + lost >= ENOUGH).then(|| captured as f64 / (captured + lost) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_forgotten_with_the_span() {
        let minute = |m: i64| Timestamp(m * 60_000);
        let totals = |captured, lost| Totals { captured, lost };
        let mut coverage = Coverage::new(Duration::from_secs(600), Totals::default(), minute(0));
        assert_eq!(coverage.read(minute(0), totals(0, 0)), None);
        assert_eq!(coverage.read(minute(0), totals(4, 5)), None);
        assert_eq!(coverage.read(minute(1), totals(10, 10)), Some(0.5));
        assert_eq!(coverage.read(minute(5), totals(30, 10)), Some(0.75));
        assert_eq!(coverage.read(minute(12), totals(40, 10)), Some(1.0));
    }

    #[test]
    fn a_restart_remembers_what_was_lost_before_it() {
        let minute = |m: i64| Timestamp(m * 60_000);
        let totals = |captured, lost| Totals { captured, lost };
        let mut coverage = Coverage::new(Duration::from_secs(600), totals(10, 30), minute(100));
        assert_eq!(coverage.read(minute(100), totals(0, 0)), Some(0.25));
        assert_eq!(coverage.read(minute(105), totals(40, 0)), Some(0.625));
        assert_eq!(coverage.read(minute(111), totals(60, 0)), Some(1.0));
    }
}
