//! The season: the time traffic takes to go round once, such as a day.
//!
//! A span shorter than the season differs from a reference of whole rounds at every hour. Where the
//! reference knows the times of its rows, such a span is compared with its rows of the same *hours*:
//! the 24ths of the season, counted from the Unix epoch (of a day, the hours of UTC).

use std::time::Duration;

use crate::timestamp::Timestamp;

use super::numbers::Numbers;
use super::reference::{Categories, Side};

/// Parts of a season.
pub const HOURS: usize = 24;

/// Stands for the hour of a row whose time is not known: it is of none.
pub const NO_HOUR: u8 = HOURS as u8;

/// An hour is left out of the comparison where the span has less than this part of the share of rows
/// the reference has in it: of an hour a span only just touches, all of the reference's rows would
/// stand against the few of its edge. Where an hour is left out its rows are compared with those of
/// others, where it is not the reference has rows too many: at a half both are the same at most.
const TOUCHED: f64 = 0.5;

/// At least this share of a span's rows must be of hours in which the reference has rows.
const KNOWN: f64 = 0.5;

/// The time traffic takes to go round once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Season {
    /// At least one millisecond.
    millis: i64,
}

/// A set of hours of the season.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hours(u32);

/// When the rows of a reference were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seasonal {
    season: Season,
    /// Rows of each hour.
    rows: [u64; HOURS],
}

/// What of the reference a span is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// All of it: the span is as long as the season, or there is none.
    All,
    /// Its rows of these hours, which are those of the span's rows.
    Hours(Hours),
    /// All of it for want of rows of the same hours: the span only warns.
    Unlike {
        /// How many of them the reference has, 0 where it has none in the hours of most of the
        /// span's rows; `None` where it does not know its times.
        rows: Option<usize>,
    },
}

/// The reference side of one track, of some hours only.
#[derive(Debug, Clone)]
pub enum Part {
    /// Numbers.
    Numbers(Numbers),
    /// Counted categories.
    Categories(Categories),
}

// === impl Season ===

impl Season {
    /// A season of this length, which is rounded to milliseconds.
    #[must_use]
    pub fn new(length: Duration) -> Self {
        let millis = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        Self {
            millis: millis.max(1),
        }
    }

    /// The hour `time` is in, below [`HOURS`].
    #[must_use]
    pub fn hour(self, time: Timestamp) -> u8 {
        let phase = i128::from(time.0.rem_euclid(self.millis));
        (phase * HOURS as i128 / i128::from(self.millis)) as u8
    }

    /// How long an hour of it is.
    #[must_use]
    pub fn hour_length(self) -> Duration {
        Duration::from_millis(self.millis.unsigned_abs()) / HOURS as u32
    }
}

// === impl Hours ===

impl Hours {
    /// Whether `hour` is among them; [`NO_HOUR`] never is.
    #[must_use]
    pub const fn contains(self, hour: u8) -> bool {
        (hour as usize) < HOURS && self.0 & (1 << hour) != 0
    }

    /// The sum of what is counted for each of them.
    #[must_use]
    pub fn sum(self, counts: &[u64; HOURS]) -> u64 {
        let counts = (0..).zip(counts);
        let among = counts.filter(|(hour, _)| self.contains(*hour));
        among.map(|(_, count)| count).sum()
    }
}

impl FromIterator<usize> for Hours {
    fn from_iter<I: IntoIterator<Item = usize>>(hours: I) -> Self {
        let known = hours.into_iter().filter(|hour| *hour < HOURS);
        Self(known.fold(0, |set, hour| set | 1 << hour))
    }
}

// === impl Seasonal ===

impl Seasonal {
    /// Of a reference whose rows are of these hours; [`NO_HOUR`] where that is not known.
    #[must_use]
    pub fn new(season: Season, hours: &[u8]) -> Self {
        let mut rows = [0; HOURS];
        for hour in hours {
            if let Some(count) = rows.get_mut(usize::from(*hour)) {
                *count += 1;
            }
        }
        Self { season, rows }
    }

    /// The season by which the hours were told.
    #[must_use]
    pub const fn season(&self) -> Season {
        self.season
    }

    /// What rows of these times are compared with, where fewer than `min_rows` reference rows say
    /// too little.
    #[must_use]
    pub fn against(&self, times: impl Iterator<Item = Timestamp>, min_rows: usize) -> Against {
        let mut span = [0_u64; HOURS];
        for time in times {
            span[usize::from(self.season.hour(time))] += 1;
        }
        let among = |wanted: &dyn Fn(usize) -> bool| (0..HOURS).filter(|h| wanted(*h)).collect();
        let known: Hours = among(&|hour| span[hour] > 0 && self.rows[hour] > 0);
        let (n, w) = (known.sum(&self.rows), known.sum(&span));
        if (w as f64) < KNOWN * span.iter().sum::<u64>() as f64 {
            return Against::Unlike { rows: Some(0) };
        }
        let share = |count: u64, of: u64| count as f64 / of.max(1) as f64;
        let same: Hours = among(&|hour| {
            let least = TOUCHED * share(self.rows[hour], n);
            known.contains(hour as u8) && share(span[hour], w) >= least
        });
        match usize::try_from(same.sum(&self.rows)).unwrap_or(usize::MAX) {
            rows if rows < min_rows.max(1) => Against::Unlike { rows: Some(rows) },
            _ => Against::Hours(same),
        }
    }
}

// === impl Part ===

impl Part {
    /// The values of `side` in `hours`; `None` where it is not known which they are.
    #[must_use]
    pub fn of(side: Side<'_>, hours: Hours) -> Option<Self> {
        match side {
            Side::Numbers(numbers) => numbers.within(hours).map(Self::Numbers),
            Side::Categories(words) => words.within(hours).map(Self::Categories),
        }
    }

    /// The reference side it is.
    #[must_use]
    pub const fn side(&self) -> Side<'_> {
        match self {
            Self::Numbers(numbers) => Side::Numbers(numbers),
            Self::Categories(words) => Side::Categories(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(hours: f64) -> Timestamp {
        Timestamp(1_700_006_400_000 + (hours * 3.6e6) as i64)
    }

    fn hours(hours: &[usize]) -> Hours {
        hours.iter().copied().collect()
    }

    /// A reference of so many rows an hour, for a day.
    fn reference(rows: impl Fn(u8) -> usize) -> Seasonal {
        let hours: Vec<u8> = (0..24).flat_map(|h| vec![h; rows(h)]).collect();
        Seasonal::new(Season::new(DAY), &hours)
    }

    #[test]
    fn hours_of_a_day_are_those_of_utc() {
        let day = Season::new(DAY);
        // datetime.fromtimestamp(1700000000, timezone.utc).hour → 22
        assert_eq!(day.hour(Timestamp(1_700_000_000_000)), 22);
        // datetime(1969, 12, 31, 23, 59, 59, tzinfo=timezone.utc).timestamp() → -1.0
        assert_eq!(day.hour(Timestamp(-1000)), 23);
        assert_eq!(day.hour_length(), Duration::from_secs(3600));
        let odd = Season::new(Duration::from_millis(7));
        assert!((0..100).all(|t| odd.hour(Timestamp(t)) < NO_HOUR));
        assert_eq!(Season::new(Duration::MAX).hour(Timestamp(0)), 0);
    }

    #[test]
    fn a_span_is_compared_with_the_hours_its_rows_are_of() {
        let reference = reference(|_| 100);
        let span = |from: f64, to: f64, n: i32| {
            let step = (to - from) / f64::from(n);
            (0..n).map(move |i| at(from + (f64::from(i) + 0.5) * step))
        };
        let against = |from, to| reference.against(span(from, to, 600), 100);
        assert_eq!(against(10.0, 11.0), Against::Hours(hours(&[10])));
        assert_eq!(against(10.5, 11.5), Against::Hours(hours(&[10, 11])));
        // An hour it only just touches is left out.
        assert_eq!(against(10.9, 11.9), Against::Hours(hours(&[11])));
        assert_eq!(against(23.5, 24.5), Against::Hours(hours(&[0, 23])));
    }

    #[test]
    fn hours_without_enough_reference_rows_are_not_compared() {
        let office = reference(|hour| if (8..18).contains(&hour) { 60 } else { 0 });
        let span = |hour: f64| (0..10).map(move |i| at(hour + f64::from(i) / 10.0));
        let few = |rows| Against::Unlike { rows: Some(rows) };
        assert_eq!(office.against(span(3.0), 50), few(0));
        assert_eq!(office.against(span(9.0), 61), few(60));
        assert_eq!(office.against(span(9.0), 60), Against::Hours(hours(&[9])));
        // Most of its rows are of hours the reference does not know.
        assert_eq!(office.against(span(17.75), 50), few(0));
        let evening = Against::Hours(hours(&[17]));
        assert_eq!(office.against(span(17.25), 50), evening);
    }
}
