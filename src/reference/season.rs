//! When the rows of a reference file were made, as far as the season asks for it.

use std::time::Duration;

use crate::drift::season::{NO_HOUR, Season};
use crate::timestamp::compact;

use super::Config;
use super::date::instant::{self, Instant};
use super::problem::Problem;
use super::raw::Raw;
use super::role::FoundRole;
use super::settle::Plan;
use super::table::{Missing, Table};

const DAY: Duration = Duration::from_secs(86_400);

/// The hour of each row of a file.
#[derive(Debug)]
pub(super) struct RowHours {
    pub(super) season: Season,
    /// [`NO_HOUR`] where it is not known.
    pub(super) hours: Vec<u8>,
}

/// Reads the time column of `table`, where a season is configured. What stands in the way goes to
/// `notes`: without times, a span shorter than the season is compared with all rows.
pub(super) fn hours(
    config: &Config,
    table: &Table,
    plan: &Plan,
    notes: &mut Vec<String>,
) -> Result<Option<RowHours>, Problem> {
    let Some(length) = config.season else {
        return Ok(None);
    };
    let path = config.path.display();
    let Some(at) = time_column(config, plan) else {
        notes.push(format!(
            "{path}: no column is a time, so that a span shorter than drift.season = {} only warns; \
             with columns = {{ NAME = \"time\" }} it is compared with the same hours of the reference",
            compact(length)
        ));
        return Ok(None);
    };
    let season = Season::new(length);
    let days = season.hour_length() >= DAY;
    let missing = Missing::new(&config.missing);
    let mut hours = Vec::with_capacity(table.rows());
    let mut unread: Option<(usize, String)> = None;
    let mut unknown = 0;
    let mut cells = table.store.cells(at);
    while let Some((row, raw)) = cells.next() {
        let known = instant(raw, &missing).filter(|instant| days || !instant.whole_day);
        let hour = known.map_or(NO_HOUR, |instant| season.hour(instant.time));
        if hour == NO_HOUR {
            unknown += 1;
            if unread.is_none() && raw != Raw::Null {
                unread = Some((row, raw.show()));
            }
        }
        hours.push(hour);
    }
    cells.end()?;
    let name = &table.header[at];
    if unknown > 0 {
        let example = unread.map_or_else(String::new, |(row, value)| {
            format!(", such as {value:?} in row {}", row + 1)
        });
        notes.push(format!(
            "{path}: {unknown} of {} values of the time column {name} are no times that tell the hour \
             of the season of {}{example}; they belong to none (write ISO 8601 such as \
             2026-11-21T03:47:06Z, or seconds since 1970)",
            hours.len(),
            compact(length)
        ));
    }
    Ok((unknown < hours.len()).then_some(RowHours { season, hours }))
}

/// The first column set to be a time, else the first found to be one.
fn time_column(config: &Config, plan: &Plan) -> Option<usize> {
    let times = || {
        let roles = plan.roles.iter().enumerate();
        roles.filter(|(_, (_, role, _))| *role == FoundRole::Time)
    };
    let mut set = times().filter(|(_, (name, ..))| config.columns.contains_key(name));
    let found = set.next().or_else(|| times().next());
    found.map(|(at, _)| at)
}

fn instant(raw: Raw<'_>, missing: &Missing<'_>) -> Option<Instant> {
    match raw {
        Raw::Untyped(text) if missing.is(text.trim()) => None,
        Raw::Untyped(text) | Raw::Text(text) | Raw::Digits(text) => instant::of_text(text),
        Raw::Number(number) => instant::of_number(number),
        Raw::Null | Raw::Bool(_) => None,
    }
}
