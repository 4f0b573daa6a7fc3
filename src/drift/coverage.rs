//! Coverage: the share of exchanges, over the time of the rows compared, that checks can rest on.

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

/// Readings of the totals over the time of the rows compared.
#[derive(Debug)]
pub struct Coverage {
    /// What the window knew at the start; counters begin at zero.
    before: Totals,
    readings: VecDeque<(Timestamp, Totals)>,
}

impl Coverage {
    /// Coverage beginning now; `before` happened between `from` and now.
    #[must_use]
    pub fn new(before: Totals, from: Timestamp, now: Timestamp) -> Self {
        let readings = [(from, Totals::default()), (now, before)];
        Self {
            before,
            readings: VecDeque::from(readings),
        }
    }

    /// Takes in the totals at `now` and returns the coverage since `from`, 0 to 1, to within a
    /// minute; `None` where too few were offered. What came before `from` is forgotten: it never
    /// goes back.
    pub fn read(&mut self, now: Timestamp, totals: Totals, from: Timestamp) -> Option<f64> {
        let totals = Totals {
            captured: totals.captured + self.before.captured,
            lost: totals.lost + self.before.lost,
        };
        while self.readings.len() > 1 && self.readings[1].0 <= from {
            self.readings.pop_front();
        }
        let first = (self.readings.front()).map_or_else(Totals::default, |(_, first)| *first);
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

    fn minute(m: i64) -> Timestamp {
        Timestamp(m * 60_000)
    }

    fn totals(captured: u64, lost: u64) -> Totals {
        Totals { captured, lost }
    }

    #[test]
    fn losses_are_forgotten_with_the_rows_of_their_time() {
        let mut coverage = Coverage::new(Totals::default(), minute(0), minute(0));
        assert_eq!(coverage.read(minute(0), totals(4, 5), minute(0)), None);
        assert_eq!(
            coverage.read(minute(1), totals(10, 10), minute(0)),
            Some(0.5)
        );
        assert_eq!(
            coverage.read(minute(5), totals(30, 10), minute(0)),
            Some(0.75)
        );
        assert_eq!(
            coverage.read(minute(12), totals(40, 10), minute(2)),
            Some(1.0)
        );
    }

    #[test]
    fn a_restart_remembers_what_was_lost_before_it() {
        let mut coverage = Coverage::new(totals(10, 30), minute(90), minute(100));
        let mut read =
            |m, captured, from| coverage.read(minute(m), totals(captured, 0), minute(from));
        assert_eq!(read(100, 0, 90), Some(0.25));
        assert_eq!(read(105, 40, 95), Some(0.625));
        assert_eq!(read(111, 60, 101), Some(1.0));
    }
}
