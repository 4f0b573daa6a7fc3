//! The time retention goes by, which no jump of the system's clock moves far.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::timestamp::Timestamp;

use super::{exchanges, schema};

/// How far it may be ahead of the time that has passed: clocks are corrected by less, unless they were
/// wrong.
const SLACK: Duration = Duration::from_secs(3600);

/// How long the system's clock must stay further ahead until it is taken to be right: whoever sees to a
/// wrong one has done so by then.
const PROVEN: Duration = Duration::from_secs(86_400);

/// The latest time known. It follows the system's clock back at once, and forward as far as time has
/// passed: what a wrong clock would expire is there when the clock is right again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    now: Timestamp,
    /// A time that was right, and when it was.
    right: (Timestamp, Instant),
    /// Since when the system's clock is further ahead than time has passed.
    ahead: Option<Instant>,
}

// === impl Clock ===

impl Clock {
    /// Goes on from where the file was left, when the system's clock says `now`.
    pub(super) fn open(connection: &Connection, now: Timestamp) -> rusqlite::Result<Self> {
        let mut stored = schema::meta(connection, "clock")?.map(Timestamp);
        let slack = i64::try_from(SLACK.as_millis()).unwrap_or(i64::MAX);
        if let Some(left) = stored
            && now.0.saturating_sub(left.0) > slack
        {
            // Earlier runs may have been too short to believe the same clock.
            let range = (left.0.saturating_add(slack), now.0.saturating_add(slack));
            let mut under_it: Option<(i64, i64)> = None;
            for table in exchanges::tables(connection)? {
                let sql = format!(
                    "SELECT min(time), max(time) FROM {table} WHERE time BETWEEN ?1 AND ?2"
                );
                let ends: (Option<i64>, Option<i64>) =
                    connection.query_row(&sql, range, |row| Ok((row.get(0)?, row.get(1)?)))?;
                if let (Some(first), Some(last)) = ends {
                    let (earliest, latest) = under_it.unwrap_or((first, last));
                    under_it = Some((earliest.min(first), latest.max(last)));
                }
            }
            let span = under_it.map(|(first, last)| i128::from(last) - i128::from(first));
            if span.is_some_and(|span| span >= PROVEN.as_millis().cast_signed()) {
                stored = Some(now);
            }
        }
        Ok(Self::new(now, stored, Instant::now()))
    }

    /// The system's clock says `now` at `at`, and `stored` is the time the file was left at.
    fn new(now: Timestamp, stored: Option<Timestamp>, at: Instant) -> Self {
        // The file may have been closed for as long as it seems, or not.
        let right = stored.map_or(now, |stored| stored.min(now));
        let mut clock = Self {
            now: right,
            right: (right, at),
            ahead: None,
        };
        clock.saw(now, at);
        clock
    }

    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    /// The system's clock said `seen` at `at`.
    pub(super) fn saw(&mut self, seen: Timestamp, at: Instant) {
        let (right, since) = self.right;
        let passed = at.saturating_duration_since(since) + SLACK;
        let passed = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
        let limit = Timestamp(right.0.saturating_add(passed));
        if seen <= limit {
            self.now = seen;
            self.ahead = None;
            return;
        }
        let ahead = *self.ahead.get_or_insert(at);
        if at.saturating_duration_since(ahead) < PROVEN {
            self.now = limit;
        } else {
            self.now = seen;
            self.right = (seen, at);
            self.ahead = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    /// What the clock comes to, in hours, as `(hours passed, hours seen)` follow one another.
    fn follow(stored: Option<i64>, seen: &[(u64, i64)]) -> Vec<i64> {
        let begin = Instant::now();
        let at = |hours: u64| begin + Duration::from_secs(3600 * hours);
        let (first, rest) = seen.split_first().unwrap();
        let time = |hours: i64| Timestamp(hours * HOUR);
        let mut clock = Clock::new(time(first.1), stored.map(time), at(first.0));
        let mut came = vec![clock.now().0 / HOUR];
        for (passed, hours) in rest {
            clock.saw(time(*hours), at(*passed));
            came.push(clock.now().0 / HOUR);
        }
        came
    }

    #[test]
    fn it_goes_with_the_time_that_has_passed() {
        let days = [(0, 100), (24, 124), (48, 148), (49, 148), (50, 150)];
        assert_eq!(follow(None, &days), [100, 124, 148, 148, 150]);
        // Corrections by minutes, and back by any time, are followed at once.
        assert_eq!(follow(None, &[(0, 100), (0, 101), (0, 3)]), [100, 101, 3]);
    }

    #[test]
    fn a_jump_ahead_moves_it_by_an_hour_however_often_it_is_seen() {
        let ahead = 40 * 24;
        let jump = [(0, 100), (1, ahead), (1, ahead), (2, ahead), (3, 103)];
        assert_eq!(follow(None, &jump), [100, 102, 102, 103, 103]);
        // A clock that was wrong before, and is right since.
        let right = [(0, 100), (1, ahead), (24, ahead + 23), (25, ahead + 24)];
        assert_eq!(follow(None, &right), [100, 102, 125, ahead + 24]);
        assert_eq!(
            follow(None, &[(0, 100), (1, ahead), (24, 124), (25, ahead + 24)]),
            [100, 102, 124, 126]
        );
    }

    #[test]
    fn a_file_that_seems_to_have_been_closed_for_long_is_believed_after_a_day() {
        let late = [(0, 1000), (1, 1001), (24, 1024), (25, 1025)];
        assert_eq!(follow(Some(100), &late), [101, 102, 1024, 1025]);
        assert_eq!(follow(Some(100), &[(0, 50)]), [50]);
        assert_eq!(follow(Some(100), &[(0, 101)]), [101]);
    }
}
