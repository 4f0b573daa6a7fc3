//! Text for people: escaped, and numbers as one would write them by hand.

use std::fmt;
use std::time::Duration;

use crate::timestamp::Timestamp;

/// Text in HTML, in element content or a quoted attribute: names come from users' files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Escaped<'a>(pub(super) &'a str);

/// Text in a query or a fragment: everything but unreserved characters is percent-encoded, so it
/// also needs no HTML escaping.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoded<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'', '\0']) {
            f.write_str(&rest[..at])?;
            f.write_str(match rest.as_bytes()[at] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                b'\'' => "&#39;",
                _ => "\u{fffd}",
            })?;
            rest = &rest[at + 1..];
        }
        f.write_str(rest)
    }
}

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    write!(f, "{}", char::from(byte))?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

/// Undoes [`Encoded`], also `+` for a space. What is not valid UTF-8 is replaced.
pub(super) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = |offset: usize| {
            let digit = char::from(*bytes.get(at + offset)?).to_digit(16)?;
            u8::try_from(digit).ok()
        };
        let escaped = (*byte == b'%')
            .then(|| Some(hex(1)? * 16 + hex(2)?))
            .flatten();
        decoded.push(match (escaped, byte) {
            (Some(escaped), _) => escaped,
            (None, b'+') => b' ',
            (None, byte) => *byte,
        });
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Four significant digits.
pub(super) fn number(value: f64) -> String {
    if value.is_nan() {
        return "–".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    let size = value.abs();
    let written = if size < f64::MIN_POSITIVE {
        "0".to_owned()
    } else if !(1e-4..1e9).contains(&size) {
        let written = format!("{size:.3e}");
        let (mantissa, exponent) = written.split_once('e').unwrap_or((&written, "0"));
        format!("{}e{exponent}", trimmed(mantissa))
    } else if size >= 999.95 {
        grouped(&format!("{size:.0}"))
    } else {
        let magnitude = size.log10().floor() as i32;
        let decimals = usize::try_from(3 - magnitude).unwrap_or(0);
        trimmed(&format!("{size:.decimals$}")).to_owned()
    };
    let sign = if value < 0.0 && written != "0" {
        "−"
    } else {
        ""
    };
    format!("{sign}{written}")
}

/// A count, in groups of three digits.
pub(super) fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// A share of 1 in percent. What is almost all is not called all, nor almost nothing nothing.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if p > 0.0 && p < 0.01 => "< 0.01 %".to_owned(),
        p if p < 100.0 && p > 99.99 => "> 99.99 %".to_owned(),
        p => format!("{} %", trimmed(&format!("{p:.2}"))),
    }
}

/// A p-value as HTML, from its decimal logarithm where the value itself underflows or is tiny.
pub(super) fn p_value(p: Option<f64>, log10_p: Option<f64>) -> Option<String> {
    match (p, log10_p.or_else(|| p.map(f64::log10))) {
        (Some(p), _) if p >= 1e-3 => Some(number(p)),
        (_, Some(log)) if log.is_finite() => {
            let exponent = log.floor();
            let mantissa = 10_f64.powf(log - exponent);
            // 9.96 rounds to 10.0, which is the next power.
            let (mantissa, exponent) = if mantissa >= 9.95 {
                (1.0, exponent + 1.0)
            } else {
                (mantissa, exponent)
            };
            let exponent = exponent.abs();
            Some(format!(
                "{mantissa:.1}&nbsp;×&nbsp;10<sup>−{exponent}</sup>"
            ))
        }
        (Some(p), _) => Some(number(p)),
        (None, _) => None,
    }
}

/// A latency in seconds, in the unit that suits it.
pub(super) fn latency(seconds: f64) -> String {
    let three = |value: f64| {
        let decimals = if value < 9.995 {
            2
        } else {
            usize::from(value < 99.95)
        };
        trimmed(&format!("{value:.decimals$}")).to_owned()
    };
    match seconds {
        s if s < 0.001 => format!("{} µs", three(s * 1e6)),
        s if s < 1.0 => format!("{} ms", three(s * 1e3)),
        s => format!("{} s", three(s)),
    }
}

/// A size in binary units.
pub(super) fn bytes(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).display().iec().to_string()
}

/// A time as HTML: how long ago, with the exact time behind it.
pub(super) fn ago(time: Timestamp, now: Timestamp) -> String {
    let elapsed = span(now.since(time));
    let (exact, shown) = (time.to_string(), moment(time));
    format!("<time datetime=\"{exact}\" title=\"{shown} UTC\">{elapsed} ago</time>")
}

/// A time as people write it, to the second, in UTC.
pub(super) fn moment(time: Timestamp) -> String {
    let exact = time.to_string();
    // 2026-11-21T03:47:08.000Z
    exact.get(..19).unwrap_or(&exact).replace('T', " ")
}

/// A period of the configuration, such as `30d`, in words.
pub(super) fn period(compact: &str) -> String {
    let units = [
        ('d', "day"),
        ('h', "hour"),
        ('m', "minute"),
        ('s', "second"),
    ];
    let whole = |number: &&str| number.bytes().all(|byte| byte.is_ascii_digit());
    let unit = units.into_iter().find_map(|(sign, unit)| {
        let number = compact.strip_suffix(sign).filter(whole)?;
        Some((number, unit))
    });
    match unit {
        Some(("1", unit)) => unit.to_owned(),
        Some((number, unit)) => format!("{number} {unit}s"),
        None => compact.to_owned(),
    }
}

/// A span of time in its largest unit, with the next where the first is coarse.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let two = |large: u64, unit: &str, small: u64, part: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {part}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        86_400..864_000 => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
        _ => format!("{} d", count(seconds / 86_400)),
    }
}

/// At most `most` characters, with an ellipsis for what is cut off.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

fn trimmed(decimal: &str) -> &str {
    match decimal.contains('.') {
        true => decimal.trim_end_matches('0').trim_end_matches('.'),
        false => decimal,
    }
}

fn grouped(digits: &str) -> String {
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_significant_digits() {
        for (value, written) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (0.123456, "0.1235"),
            (-12.3456, "−12.35"),
            (999.94, "999.9"),
            (999.96, "1,000"),
            (12345.6, "12,346"),
            (0.000123456, "0.0001235"),
            (0.0000123456, "1.235e-5"),
            (-1.5e12, "−1.5e12"),
            (f64::INFINITY, "∞"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(number(value), written);
        }
    }

    #[test]
    fn tiny_p_values_come_from_their_logarithm() {
        let p = |p: Option<f64>, log: Option<f64>| p_value(p, log).unwrap();
        assert_eq!(p(Some(0.25), Some(-0.602)), "0.25");
        assert_eq!(
            p(Some(0.0), Some(-412.7)),
            "2.0&nbsp;×&nbsp;10<sup>−413</sup>"
        );
        assert_eq!(p(Some(1e-7), None), "1.0&nbsp;×&nbsp;10<sup>−7</sup>");
        assert_eq!(p(Some(9.97e-8), None), "1.0&nbsp;×&nbsp;10<sup>−7</sup>");
        assert_eq!(p(Some(0.0), None), "0");
        assert_eq!(p_value(None, None), None);
    }

    #[test]
    fn shares_spans_and_latencies() {
        assert_eq!(percent(0.123456), "12.35 %");
        assert_eq!(percent(0.999999), "> 99.99 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.000001), "< 0.01 %");
        assert_eq!(latency(0.000_045_6), "45.6 µs");
        assert_eq!(latency(0.0123), "12.3 ms");
        assert_eq!(latency(2.345), "2.35 s");
        assert_eq!(span(Duration::from_secs(59)), "59 s");
        assert_eq!(span(Duration::from_secs(3 * 86_400 + 7200)), "3 d 2 h");
        assert_eq!(period("30d"), "30 days");
        assert_eq!(period("1h"), "hour");
        assert_eq!(period("1month 2days"), "1month 2days");
        assert_eq!(moment(Timestamp(1_700_000_000_000)), "2023-11-14 22:13:20");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(shortened("abcdef", 4), "abc…");
    }

    #[test]
    fn queries_go_there_and_back() {
        let name = "a b&c=<\"é😀%+";
        assert_eq!(decode(&Encoded(name).to_string()), name);
        assert_eq!(decode("a+b%2"), "a b%2");
        assert_eq!(decode("%ff"), "\u{fffd}");
    }

    #[test]
    fn html_is_escaped() {
        assert_eq!(
            Escaped("<a b='c' d=\"e\">&").to_string(),
            "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;"
        );
    }
}
