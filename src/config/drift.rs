//! The `[drift]` table: when checks are made, over what, and how they decide.

use std::time::Duration;

use crate::drift::current::{Span, SpanLength};
use crate::drift::decide::{Allowance, Policy, Rule};
use crate::drift::histogram::Selection;
use crate::monitor;

use super::models;
use super::section::{Section, parse_duration};

const DEFAULT_EVERY: Duration = Duration::from_secs(60);
const DEFAULT_FAST: Duration = Duration::from_secs(3600);
/// Below this a check sees only gross shifts, and users take its silence for health.
const DEFAULT_MIN_ROWS: u64 = 200;
/// Enough to see a shift of a tenth of a standard deviation; more only finds trivia.
const DEFAULT_MAX_ROWS: u64 = 10_000;
/// D ≥ 0.1 is a shift of about a quarter of a standard deviation.
const DEFAULT_MIN_EFFECT: f64 = 0.1;
const DEFAULT_MIN_COVERAGE: f64 = 0.9;
const DAY: Duration = Duration::from_secs(86_400);

/// Reads the `[drift]` table; which features have histograms stands in `[metrics]`.
pub(super) fn read(mut section: Section<'_>, histograms: Selection) -> monitor::Config {
    let every = section.duration("every").unwrap_or(DEFAULT_EVERY);
    let rows = |count: Option<u64>, default| {
        usize::try_from(count.unwrap_or(default)).unwrap_or(usize::MAX)
    };
    let min_rows = rows(section.count("min_rows", 2), DEFAULT_MIN_ROWS);
    let max_rows = rows(section.count("max_rows", 2), DEFAULT_MAX_ROWS);
    let max_age = section.duration("max_age").unwrap_or(30 * DAY);
    if max_rows < min_rows {
        section.lacks(
            "max_rows",
            format!("{max_rows} is below min_rows = {min_rows}; raise it"),
        );
    }
    let right = "a duration such as \"24h\" or a number of rows such as \"1000 rows\"";
    let length = |text: &str| span_length(text, max_rows);
    let current = section
        .parse("current", right, length)
        .unwrap_or(SpanLength::Time(DAY));
    let fast = section.parse("fast", &format!("{right}, or \"off\""), |text| {
        if text == "off" {
            Ok(None)
        } else {
            length(text).map(Some)
        }
    });
    let fast = fast.unwrap_or(Some(SpanLength::Time(DEFAULT_FAST)));
    let span = |length| Span {
        length,
        min_rows: match length {
            // A span of fewer rows than min_rows could never be judged.
            SpanLength::Rows(rows) => min_rows.min(rows),
            SpanLength::Time(_) => min_rows,
        },
        max_rows,
        max_age,
    };
    let right = "a number and a period such as \"1 per 30d\"";
    let allowance = section.parse("false_alarms", right, |text| {
        let (alarms, per) = text.split_once(" per ").ok_or_else(String::new)?;
        let alarms: f64 = alarms.trim().parse().map_err(|_| String::new())?;
        let per = parse_duration(per.trim())?;
        if alarms > 0.0 && alarms.is_finite() {
            Ok((alarms, per))
        } else {
            Err(String::new())
        }
    });
    let (alarms, per) = allowance.unwrap_or((1.0, 30 * DAY));
    let replicas = section.count("replicas", 1).unwrap_or(1);
    let season = section.parse(
        "season",
        "a duration such as \"24h\", or \"off\"",
        |text| match text {
            "off" => Ok(None),
            _ => parse_duration(text).map(Some),
        },
    );
    let rule = models::rule(&mut section).unwrap_or(Rule::Budget);
    let min_effect = section
        .number("min_effect", 0.0, 1.0)
        .unwrap_or(DEFAULT_MIN_EFFECT);
    let min_coverage = section
        .number("min_coverage", 0.0, 1.0)
        .unwrap_or(DEFAULT_MIN_COVERAGE);
    section.finish();
    monitor::Config {
        every,
        main: span(current),
        fast: fast.map(span),
        allowance: Allowance {
            alarms,
            per,
            replicas: replicas as f64,
        },
        season: season.flatten(),
        policy: Policy { rule, min_effect },
        min_coverage,
        histograms,
    }
}

fn span_length(text: &str, max_rows: usize) -> Result<SpanLength, String> {
    let rows = text
        .strip_suffix("rows")
        .or_else(|| text.strip_suffix("row"));
    let Some(rows) = rows else {
        return parse_duration(text).map(SpanLength::Time);
    };
    let rows: usize = rows
        .trim()
        .replace('_', "")
        .parse()
        .map_err(|_| String::new())?;
    match rows {
        0 | 1 => Err("a span needs at least 2 rows".to_owned()),
        rows if rows > max_rows => Err(format!(
            "the span is longer than drift.max_rows = {max_rows}"
        )),
        rows => Ok(SpanLength::Rows(rows)),
    }
}
