//! Which texts are dates: enough to tell a time column from others. [`instant`] computes with them.

pub(super) mod instant;

/// How surely a text is a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Date {
    /// A number that would be a plausible epoch (1990 to 2100), in seconds to nanoseconds.
    Epoch,
    /// A date or time of day in another order or without a year first.
    Other,
    /// ISO 8601: `2026-11-21`, with a time or without.
    Iso,
}

/// What kind of date `text` is, if it is one.
pub(super) fn parse(text: &str) -> Option<Date> {
    let text = text.trim();
    if !text.is_ascii() || text.len() < 4 {
        return None;
    }
    if let Ok(number) = text.parse::<f64>() {
        return of_number(number);
    }
    if let Some((date, rest)) = text.split_at_checked(10) {
        let rest = rest
            .strip_prefix(['T', 't', ' '])
            .map_or(rest, str::trim_start);
        let rested = rest.is_empty() || clock(rest);
        if year_first(date) && rested {
            return Some(if date.contains('-') {
                Date::Iso
            } else {
                Date::Other
            });
        }
    }
    let (date, rest) = text.split_once([' ', ',']).unwrap_or((text, ""));
    let rest = rest.trim();
    let other = clock(text) || (year_last(date) && (rest.is_empty() || clock(rest)));
    other.then_some(Date::Other)
}

/// What kind of date a number is, if it is one.
#[inline]
pub(super) fn of_number(number: f64) -> Option<Date> {
    // Most numbers are too small for any of the units, which one comparison tells.
    (number >= YEARS.start && epoch(number)).then_some(Date::Epoch)
}

/// 1990 to 2100 in seconds.
const YEARS: std::ops::Range<f64> = 631_152_000.0..4_102_444_800.0;

/// Between 1990 and 2100 in seconds, milliseconds, microseconds or nanoseconds.
fn epoch(number: f64) -> bool {
    [1.0, 1e3, 1e6, 1e9]
        .iter()
        .any(|unit| YEARS.contains(&(number / unit)))
}

/// `YYYY-MM-DD`, `YYYY/MM/DD` or `YYYY.MM.DD`.
fn year_first(date: &str) -> bool {
    let Some([year, month, day]) = parts(date) else {
        return false;
    };
    (1000..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day)
}

/// `D/M/YYYY`, `M-D-YY`, `D.M.YYYY` and the like.
fn year_last(date: &str) -> bool {
    let Some([first, second, _]) = parts(date) else {
        return false;
    };
    let (low, high) = (first.min(second), first.max(second));
    (1..=12).contains(&low) && (1..=31).contains(&high)
}

/// Three numbers with the same separator.
fn parts(date: &str) -> Option<[u32; 3]> {
    let separator = date.chars().find(|c| !c.is_ascii_digit())?;
    if !matches!(separator, '-' | '/' | '.') {
        return None;
    }
    let mut numbers = date.split(separator).map(digits);
    let three = [numbers.next()??, numbers.next()??, numbers.next()??];
    numbers.next().is_none().then_some(three)
}

fn digits(text: &str) -> Option<u32> {
    let good = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    good.then(|| text.parse().ok())?
}

/// `HH:MM`, `HH:MM:SS`, `HH:MM:SS.fff`, with ` AM`, `Z`, `+01:00` or ` UTC` behind it.
fn clock(text: &str) -> bool {
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.' | ',')))
        .unwrap_or(text.len());
    let (time, zone) = text.split_at(end);
    let mut parts = time.split(':');
    let within = |part: Option<&str>, limit| part.and_then(digits).is_some_and(|n| n <= limit);
    let good = within(parts.next(), 23) && within(parts.next(), 59);
    let seconds = parts.next().is_none_or(|seconds| {
        let whole = seconds.split(['.', ',']).next();
        within(whole, 60)
    });
    good && seconds && parts.next().is_none() && zoned(zone.trim())
}

fn zoned(zone: &str) -> bool {
    let word = zone.to_ascii_uppercase();
    if matches!(word.as_str(), "" | "Z" | "UTC" | "GMT" | "AM" | "PM") {
        return true;
    }
    let Some(offset) = zone.strip_prefix(['+', '-']) else {
        return false;
    };
    let digit = offset.bytes().filter(u8::is_ascii_digit).count();
    matches!(digit, 2 | 4) && offset.bytes().all(|b| b.is_ascii_digit() || b == b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_dates_are_recognised() {
        for text in [
            "2026-11-21",
            "2026-11-21 03:47",
            "2026-11-21T03:47:06Z",
            "2026-11-21T03:47:06.123456+01:00",
            "2026-11-21 03:47:06 UTC",
            " 2026-11-21 ",
        ] {
            assert_eq!(parse(text), Some(Date::Iso), "{text}");
        }
    }

    #[test]
    fn other_dates_and_epochs_are_recognised_as_such() {
        for text in [
            "21/11/2026",
            "11/21/26 3:47 PM",
            "21.11.2026",
            "2026/11/21",
            "03:47:06",
        ] {
            assert_eq!(parse(text), Some(Date::Other), "{text}");
        }
        for text in ["1700000000", "1700000000.5", "1700000000123", "1.7e18"] {
            assert_eq!(parse(text), Some(Date::Epoch), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "5.1",
            "2026",
            "1234567",
            "2026-13-01",
            "2026-11-32",
            "1.2.3.4",
            "abc",
            "10:99",
            "555-12-3456",
            "2026-11-21x",
            "ä-ö-ü-2026",
            "-",
            "99/99/99",
            "inf",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
