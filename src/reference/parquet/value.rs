//! The values of Parquet's logical types as cells: times become ISO 8601 text, decimals digits.

use std::fmt::Write as _;

use ::parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as Physical};
use ::parquet::schema::types::ColumnDescriptor;

use crate::reference::raw::Raw;

/// A text to write values into, again and again.
#[derive(Debug, Default)]
pub(super) struct Scratch(String);

/// What the values of a column mean, beyond their physical type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// What the physical type says: booleans, numbers.
    Plain,
    /// An integer without sign.
    Unsigned,
    /// Days since 1970-01-01.
    Date,
    /// Time of day in so many units a second.
    Time(i64),
    /// Time since 1970-01-01T00:00 in so many units a second; of UTC, or of no zone.
    Instant(i64, bool),
    /// An integer to be divided by ten so many times.
    Decimal(usize),
    /// UTF-8.
    Text,
    /// 16 bytes that are written in hexadecimal.
    Uuid,
    /// A 16-bit floating point number, IEEE 754.
    Half,
}

const MILLIS: i64 = 1000;
const MICROS: i64 = 1_000_000;
const NANOS: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

// === impl Meaning ===

impl Meaning {
    /// The meaning of a column's values, or what it holds that cannot be read.
    pub(super) fn of(column: &ColumnDescriptor) -> Result<Self, &'static str> {
        let physical = column.physical_type();
        if let Some(logical) = column.logical_type_ref() {
            match logical {
                LogicalType::Integer(integer) if !integer.is_signed => return Ok(Self::Unsigned),
                LogicalType::Date => return Ok(Self::Date),
                LogicalType::Time(time) => return Ok(Self::Time(per_second(&time.unit))),
                LogicalType::Timestamp(time) => {
                    let utc = time.is_adjusted_to_u_t_c;
                    return Ok(Self::Instant(per_second(&time.unit), utc));
                }
                LogicalType::Decimal(decimal) => {
                    return usize::try_from(decimal.scale)
                        .map(Self::Decimal)
                        .map_err(|_| "holds decimals of a negative scale");
                }
                LogicalType::Uuid => return Ok(Self::Uuid),
                LogicalType::Float16 => return Ok(Self::Half),
                LogicalType::Bson => return Err("holds BSON"),
                LogicalType::Variant(_) => return Err("holds variants"),
                LogicalType::Geometry(_) | LogicalType::Geography(_) => {
                    return Err("holds geometry");
                }
                _ => {}
            }
        }
        match column.converted_type() {
            ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64 => Ok(Self::Unsigned),
            ConvertedType::DATE => Ok(Self::Date),
            ConvertedType::TIME_MILLIS => Ok(Self::Time(MILLIS)),
            ConvertedType::TIME_MICROS => Ok(Self::Time(MICROS)),
            ConvertedType::TIMESTAMP_MILLIS => Ok(Self::Instant(MILLIS, true)),
            ConvertedType::TIMESTAMP_MICROS => Ok(Self::Instant(MICROS, true)),
            ConvertedType::DECIMAL => usize::try_from(column.type_scale())
                .map(Self::Decimal)
                .map_err(|_| "holds decimals of a negative scale"),
            ConvertedType::BSON => Err("holds BSON"),
            ConvertedType::INTERVAL => Err("holds intervals"),
            _ => Ok(match physical {
                // Older writers do not mark text as such; it must be UTF-8 all the same.
                Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY => Self::Text,
                _ => Self::Plain,
            }),
        }
    }

    /// What a value should have been.
    pub(super) const fn describe(self) -> &'static str {
        match self {
            Self::Decimal(_) => "a decimal of at most 38 digits",
            Self::Text => "text in UTF-8",
            Self::Uuid => "a UUID of 16 bytes",
            Self::Half => "a number of two bytes",
            Self::Plain | Self::Unsigned | Self::Date | Self::Time(_) | Self::Instant(..) => {
                "a value of the column's type"
            }
        }
    }

    pub(super) fn int32(self, value: i32, scratch: &mut Scratch) -> Option<Raw<'_>> {
        match self {
            Self::Unsigned => scratch.integer(i128::from(value.cast_unsigned())),
            meaning => meaning.int64(i64::from(value), scratch),
        }
    }

    pub(super) fn int64(self, value: i64, scratch: &mut Scratch) -> Option<Raw<'_>> {
        match self {
            Self::Unsigned => scratch.integer(i128::from(value.cast_unsigned())),
            Self::Date => scratch.text(|text| date(text, value)),
            Self::Time(units) => scratch.text(|text| clock(text, value, units)),
            Self::Instant(units, utc) => scratch.text(|text| {
                instant(
                    text,
                    value.div_euclid(units),
                    value.rem_euclid(units),
                    units,
                    utc,
                )
            }),
            Self::Decimal(scale) => scratch.decimal(i128::from(value), scale),
            _ => scratch.integer(i128::from(value)),
        }
    }

    pub(super) fn bytes<'v>(self, value: &'v [u8], scratch: &'v mut Scratch) -> Option<Raw<'v>> {
        match self {
            Self::Decimal(scale) => scratch.decimal(big_endian(value)?, scale),
            Self::Uuid if value.len() == 16 => scratch.text(|text| uuid(text, value)),
            Self::Uuid => None,
            Self::Half => {
                let bits = u16::from_le_bytes(value.try_into().ok()?);
                Some(Raw::Number(half(bits)))
            }
            _ => std::str::from_utf8(value).ok().map(Raw::Text),
        }
    }
}

/// A timestamp of 96 bits, as Spark and Impala wrote it: nanoseconds of the day, then Julian day.
pub(super) fn int96([low, high, day]: [u32; 3], scratch: &mut Scratch) -> Option<Raw<'_>> {
    /// The Julian day of 1970-01-01.
    const EPOCH: i64 = 2_440_588;
    let nanos = i64::try_from(u64::from(high) << 32 | u64::from(low)).ok()?;
    let seconds = (i64::from(day) - EPOCH) * DAY + nanos / NANOS;
    scratch.text(|text| instant(text, seconds, nanos % NANOS, NANOS, false))
}

fn per_second(unit: &TimeUnit) -> i64 {
    match unit {
        TimeUnit::MILLIS => MILLIS,
        TimeUnit::MICROS => MICROS,
        TimeUnit::NANOS => NANOS,
    }
}

/// `YYYY-MM-DD` of a day since 1970-01-01, in the proleptic Gregorian calendar.
fn date(text: &mut String, day: i64) -> std::fmt::Result {
    /// Days in 400 years, after which the calendar repeats.
    const CYCLE: i64 = 146_097;
    /// Days from 0000-03-01, where the cycles used here begin, to 1970-01-01.
    const BEFORE: i64 = 719_468;
    let day = day + BEFORE;
    let cycle = day.div_euclid(CYCLE);
    let day = day.rem_euclid(CYCLE);
    // Years begin in March, so that the leap day is a year's last. A year too many is counted on
    // leap days and at the end of the cycle; the corrections take those out.
    let year = (day - day / 1460 + day / 36_524 - day / (CYCLE - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months from March have 153 days, whichever five.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..=9 => (year, month + 3),
        _ => (year + 1, month - 9),
    };
    write!(text, "{:04}-{month:02}-{day:02}", year + 400 * cycle)
}

/// `HH:MM:SS` and a fraction, where there is one.
fn clock(text: &mut String, units: i64, per_second: i64) -> std::fmt::Result {
    let (seconds, rest) = (units.div_euclid(per_second), units.rem_euclid(per_second));
    let (hour, minute) = (seconds / 3600, seconds / 60 % 60);
    write!(text, "{hour:02}:{minute:02}:{:02}", seconds % 60)?;
    if rest != 0 {
        let width = per_second.ilog10() as usize;
        write!(text, ".{rest:0width$}")?;
    }
    Ok(())
}

fn instant(
    text: &mut String,
    seconds: i64,
    rest: i64,
    per_second: i64,
    utc: bool,
) -> std::fmt::Result {
    date(text, seconds.div_euclid(DAY))?;
    text.push('T');
    clock(
        text,
        seconds.rem_euclid(DAY) * per_second + rest,
        per_second,
    )?;
    if utc {
        text.push('Z');
    }
    Ok(())
}

fn uuid(text: &mut String, bytes: &[u8]) -> std::fmt::Result {
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        write!(text, "{byte:02x}")?;
    }
    Ok(())
}

/// A two's complement integer, most significant byte first; `None` beyond 128 bits.
fn big_endian(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    let sign: u8 = if negative { 0xff } else { 0 };
    let spare = bytes.len().saturating_sub(16);
    let (filling, bytes) = bytes.split_at(spare);
    let fits = filling.iter().all(|byte| *byte == sign)
        && (spare == 0
            || bytes
                .first()
                .is_some_and(|byte| (*byte >= 0x80) == negative));
    let start = if negative { -1 } else { 0 };
    let value = |bytes: &[u8]| (bytes.iter()).fold(start, |sum: i128, b| sum << 8 | i128::from(*b));
    fits.then(|| value(bytes))
}

/// The value of a 16-bit floating point number: 1 bit sign, 5 bits exponent, 10 bits fraction.
fn half(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let value = match i32::from(bits >> 10 & 0x1f) {
        0 => fraction * 2f64.powi(-24),
        31 if bits & 0x3ff == 0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { value } else { -value }
}

// === impl Scratch ===

impl Scratch {
    fn integer(&mut self, value: i128) -> Option<Raw<'_>> {
        self.0.clear();
        // Most integers are short, and 64 bits are written faster than 128.
        let written = match i64::try_from(value) {
            Ok(value) => write!(self.0, "{value}"),
            Err(_) => write!(self.0, "{value}"),
        };
        written.ok().map(|()| Raw::Digits(&self.0))
    }

    fn text(&mut self, write: impl Fn(&mut String) -> std::fmt::Result) -> Option<Raw<'_>> {
        self.0.clear();
        write(&mut self.0).ok().map(|()| Raw::Text(&self.0))
    }

    fn decimal(&mut self, value: i128, scale: usize) -> Option<Raw<'_>> {
        self.0.clear();
        let sign = if value < 0 { "-" } else { "" };
        let width = scale + 1;
        write!(self.0, "{sign}{:0width$}", value.unsigned_abs()).ok()?;
        if scale > 0 {
            self.0.insert(self.0.len() - scale, '.');
        }
        Some(Raw::Digits(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(raw: Option<Raw<'_>>) -> String {
        raw.map_or_else(|| "none".to_owned(), |raw| raw.show())
    }

    #[test]
    fn days_are_dates_of_the_gregorian_calendar() {
        // numpy.datetime64(DAY, 'D') of numpy 2
        for (day, expected) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (19_782, "2024-02-29"),
            (19_783, "2024-03-01"),
            (20_778, "2026-11-21"),
            (-25_509, "1900-02-28"),
            (-25_508, "1900-03-01"),
            (11_016, "2000-02-29"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(
                shown(Meaning::Date.int64(day, &mut Scratch::default())),
                expected
            );
        }
    }

    #[test]
    fn times_are_iso_text_of_their_precision() {
        let mut scratch = Scratch::default();
        // date -u -d @1700000000.123 --iso-8601=ns
        let millis = Meaning::Instant(MILLIS, true).int64(1_700_000_000_123, &mut scratch);
        assert_eq!(shown(millis), "2023-11-14T22:13:20.123Z");
        // numpy.datetime64(-1, 'us')
        let before = Meaning::Instant(MICROS, false).int64(-1, &mut scratch);
        assert_eq!(shown(before), "1969-12-31T23:59:59.999999");
        let clock = Meaning::Time(MILLIS).int32(13 * 3_600_000 + 61_000, &mut scratch);
        assert_eq!(shown(clock), "13:01:01");
        // Julian day 2440589 is 1970-01-02.
        let old = int96([1, 0, 2_440_589], &mut scratch);
        assert_eq!(shown(old), "1970-01-02T00:00:00.000000001");
    }

    #[test]
    fn decimals_are_exact() {
        let mut scratch = Scratch::default();
        for (value, scale, expected) in [
            (12_345, 2, "123.45"),
            (-5, 3, "-0.005"),
            (7, 0, "7"),
            (0, 2, "0.00"),
        ] {
            assert_eq!(shown(scratch.decimal(value, scale)), expected);
        }
        // int.from_bytes(bytes, 'big', signed=True)
        for (bytes, expected) in [
            (&[0xff, 0x85][..], Some(-123)),
            (&[0x01, 0x00][..], Some(256)),
            (&[][..], Some(0)),
            (&[0xff; 20][..], Some(-1)),
            (&[0x01; 20][..], None),
        ] {
            assert_eq!(big_endian(bytes), expected, "{bytes:?}");
        }
        let wide = [[0; 4].as_slice(), &[0x80], &[0; 15]].concat();
        assert_eq!(big_endian(&wide), None);
    }

    #[test]
    fn integers_without_sign_keep_their_range() {
        let mut scratch = Scratch::default();
        let small = Meaning::Unsigned.int32(-1, &mut scratch);
        assert_eq!(small, Some(Raw::Digits("4294967295")));
        let large = Meaning::Unsigned.int64(-1, &mut scratch);
        assert_eq!(large, Some(Raw::Digits("18446744073709551615")));
    }

    #[test]
    fn half_precision_is_exact() {
        // struct.unpack('<e', struct.pack('<H', bits))
        for (bits, expected) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x0001, 5.960_464_477_539_063e-8),
            (0x2e66, 0.099_975_585_937_5),
            (0x7bff, 65504.0),
            (0x7c00, f64::INFINITY),
        ] {
            assert_eq!(half(bits).to_bits(), f64::to_bits(expected), "{bits:#x}");
        }
        assert!(half(0x7e00).is_nan());
    }
}
