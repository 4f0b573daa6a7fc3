//! Times that can be computed with: ISO 8601 and epochs.

use crate::timestamp::Timestamp;

use super::{YEARS, parts, year_first, zoned};

/// A point in time as a file gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::reference) struct Instant {
    pub(in crate::reference) time: Timestamp,
    /// Whether only the day was given.
    pub(in crate::reference) whole_day: bool,
}

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The point in time `text` is: ISO 8601 (a space for the `T`, `/` or `.` for the `-`), of UTC where
/// no zone is given, or an epoch. `None` for dates in another order, which could be misread, and for
/// a time without a day.
pub(in crate::reference) fn of_text(text: &str) -> Option<Instant> {
    let text = text.trim();
    if !text.is_ascii() {
        return None;
    }
    if let Ok(number) = text.parse::<f64>() {
        return of_number(number);
    }
    let (date, rest) = text.split_at_checked(10)?;
    let day = day(date)?;
    if rest.is_empty() {
        return Some(Instant {
            time: Timestamp(day * DAY),
            whole_day: true,
        });
    }
    let clock = rest.strip_prefix(['T', 't', ' '])?.trim_start();
    Some(Instant {
        time: Timestamp(day * DAY + of_day(clock)?),
        whole_day: false,
    })
}

/// The point in time that is `number` seconds, milli-, micro- or nanoseconds after the epoch,
/// between 1990 and 2100.
pub(in crate::reference) fn of_number(number: f64) -> Option<Instant> {
    let units = [1.0, 1e3, 1e6, 1e9].into_iter();
    let mut seconds = units.map(|unit| number / unit);
    let seconds = seconds.find(|seconds| YEARS.contains(seconds))?;
    Some(Instant {
        time: Timestamp((seconds * 1000.0).floor() as i64),
        whole_day: false,
    })
}

/// Days from 1970-01-01 to `YYYY-MM-DD`.
fn day(date: &str) -> Option<i64> {
    if !year_first(date) {
        return None;
    }
    let [year, month, day] = parts(date)?.map(i64::from);
    // Days before each month of a year that begins in March, so that a leap day comes last
    // (E. G. Richards, Mapping Time, 1998).
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    Some(year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468)
}

/// Milliseconds from the beginning of the day, in UTC, to `HH:MM`, `HH:MM:SS` or `HH:MM:SS.fff` with
/// ` AM`, `Z`, `+01:00` or ` UTC` behind it; negative where the day began earlier there.
fn of_day(clock: &str) -> Option<i64> {
    let end = clock
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.' | ',')))
        .unwrap_or(clock.len());
    let (time, zone) = clock.split_at(end);
    let zone = zone.trim();
    let mut parts = time.split(':');
    let mut below = |limit: i64| -> Option<i64> {
        let number = whole(parts.next()?)?;
        (number < limit).then_some(number)
    };
    let (mut hour, minute) = (below(24)?, below(60)?);
    let millis = match parts.next() {
        None => 0,
        Some(seconds) => {
            let (whole_seconds, fraction) = seconds.split_once(['.', ',']).unwrap_or((seconds, ""));
            let seconds = whole(whole_seconds).filter(|seconds| *seconds <= 60)?;
            let digits = fraction.get(..3).unwrap_or(fraction);
            let scale = 10_i64.pow(3 - digits.len() as u32);
            let fraction = if digits.is_empty() { 0 } else { whole(digits)? };
            seconds * SECOND + fraction * scale
        }
    };
    if parts.next().is_some() || !zoned(zone) {
        return None;
    }
    match zone.to_ascii_uppercase().as_str() {
        "AM" | "PM" if !(1..=12).contains(&hour) => return None,
        "AM" => hour %= 12,
        "PM" => hour = hour % 12 + 12,
        _ => {}
    }
    Some(hour * HOUR + minute * MINUTE + millis - offset(zone)?)
}

/// The offset from UTC that `+HH`, `+HHMM` or `+HH:MM` is; 0 for words.
fn offset(zone: &str) -> Option<i64> {
    let (sign, digits) = match zone.split_at_checked(1) {
        Some(("+", digits)) => (1, digits),
        Some(("-", digits)) => (-1, digits),
        _ => return Some(0),
    };
    let digits: String = digits.chars().filter(|c| *c != ':').collect();
    let hours = whole(digits.get(..2)?)?;
    let minutes = digits.get(2..).filter(|minutes| !minutes.is_empty());
    let minutes = minutes.map_or(Some(0), whole)?;
    Some(sign * (hours * HOUR + minutes * MINUTE))
}

fn whole(digits: &str) -> Option<i64> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Option<i64> {
        of_text(text).map(|instant| instant.time.0)
    }

    #[test]
    fn times_are_those_of_python() {
        // datetime.fromisoformat(text) with UTC where it has no zone: .timestamp() * 1000
        let expected = [
            ("2026-11-21T03:47:06Z", 1_795_232_826_000),
            ("2026-11-21 03:47", 1_795_232_820_000),
            ("2026-11-21T03:47:06.123456+01:00", 1_795_229_226_123),
            ("2026-11-21T03:47:06.5-0930", 1_795_267_026_500),
            ("2024-02-29 23:59:59 UTC", 1_709_251_199_000),
            ("2000-03-01T00:00:00+00", 951_868_800_000),
            ("1969-12-31 23:59:59", -1000),
            ("1900-01-01 12:00", -2_208_945_600_000),
            ("2026/11/21 03:47", 1_795_232_820_000),
        ];
        for (text, expected) in expected {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
        // datetime.strptime(text, "%Y-%m-%d %I:%M %p")
        assert_eq!(millis("2026-11-21 12:05 AM"), Some(1_795_219_500_000));
        assert_eq!(millis("2026-11-21 03:47 PM"), Some(1_795_276_020_000));
    }

    #[test]
    fn a_date_alone_says_no_more_than_the_day() {
        let day = of_text(" 2026-11-21 ").unwrap();
        assert!(day.whole_day);
        assert_eq!(day.time.0, 1_795_219_200_000);
        assert!(!of_text("2026-11-21 00:00").unwrap().whole_day);
    }

    #[test]
    fn epochs_are_told_by_their_size() {
        for text in [
            "1700000000.5",
            "1700000000500",
            "1.7000000005e15",
            "1700000000500000000",
        ] {
            assert_eq!(millis(text), Some(1_700_000_000_500), "{text}");
        }
    }

    #[test]
    fn what_could_be_misread_is_no_time() {
        for text in [
            "",
            "21/11/2026 03:47",
            "03:47:06",
            "2026-13-01",
            "2026-11-21T24:00",
            "2026-11-21T03",
            "2026-11-21T03:47 CET",
            "2026-11-21T03:47:06.12x",
            "2026-11-21 13:47 PM",
            "2026-11-21x03:47",
            "ä026-11-21",
            "17",
            "NaN",
            "inf",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }
}
