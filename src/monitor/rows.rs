//! The rows under comparison: out of memory, or back from the window where memory holds too few.

use std::sync::Arc;
use std::time::Duration;

use crate::drift::check::{Decided, SpanRows};
use crate::drift::current::{Current, Entry, Span, SpanLength};
use crate::drift::dependence;
use crate::drift::live::Live;
use crate::drift::report::SpanName;
use crate::drift::season::{Against, Season};
use crate::drift::since::Saved;
use crate::timestamp::Timestamp;
use crate::window::{StoredRow, Window};

/// The rows to compare, read back from the window where memory no longer holds enough of them.
pub(super) fn select(
    window: &Window,
    index: usize,
    live: &Live,
    now: Timestamp,
    last: &[(SpanName, Decided)],
    season: Option<Duration>,
) -> Vec<SpanRows> {
    let spans = selected(live, now, last, season);
    if spans.iter().any(|(_, incomplete)| *incomplete) {
        rebuild(window, index, live, now);
        return spans_of(selected(live, now, last, season));
    }
    spans_of(spans)
}

fn spans_of(selected: Vec<(SpanRows, bool)>) -> Vec<SpanRows> {
    selected.into_iter().map(|(span, _)| span).collect()
}

/// What memory holds of each span, and whether that is less than the span calls for.
fn selected(
    live: &Live,
    now: Timestamp,
    last: &[(SpanName, Decided)],
    season: Option<Duration>,
) -> Vec<(SpanRows, bool)> {
    let decided = |name: SpanName| {
        let known = last.iter().find(|(known, _)| *known == name);
        known.map_or_else(Decided::default, |(_, last)| *last)
    };
    let span = |(name, current): &(SpanName, Current)| {
        let selection = current.select(now);
        let rows = SpanRows {
            name: *name,
            size: selection.rows.len(),
            population: selection.population,
            against: against(&selection.rows, current.span(), season, live),
            rows: selection.rows,
            min_rows: current.span().min_rows,
            length: match current.span().length {
                SpanLength::Time(length) => Some(length),
                SpanLength::Rows(_) => None,
            },
            last: decided(*name),
        };
        (rows, selection.incomplete)
    };
    live.spans().iter().map(span).collect()
}

/// What of the reference the rows of a span are compared with.
fn against(rows: &[Entry], span: &Span, season: Option<Duration>, live: &Live) -> Against {
    match season {
        Some(season) if !covers(rows, span, season) => {
            let seasonal = live.reference.seasonal.as_ref();
            // A reference read for another season tells other hours.
            let seasonal = seasonal.filter(|known| known.season() == Season::new(season));
            seasonal.map_or(Against::Unlike { rows: None }, |seasonal| {
                seasonal.against(rows.iter().map(|row| row.time), span.min_rows)
            })
        }
        _ => Against::All,
    }
}

/// Whether the rows of a span are those of a whole season.
fn covers(rows: &[Entry], span: &Span, season: Duration) -> bool {
    match (span.length, rows.first(), rows.last()) {
        (SpanLength::Time(length), ..) => length >= season,
        (SpanLength::Rows(_), Some(first), Some(last)) => last.time.since(first.time) >= season,
        (SpanLength::Rows(_), ..) => false,
    }
}

/// Reads the rows under comparison back from the window. The lock is held meanwhile: rows the
/// recorder commits and then appends come after, and those already read back are passed over.
pub(super) fn rebuild(window: &Window, index: usize, live: &Live, now: Timestamp) {
    let entry = |row: StoredRow| Entry {
        id: row.id,
        priority: row.priority,
        time: row.time,
        values: Arc::new(live.reference.encode(&row.cells)),
    };
    for (name, current) in live.spans().iter_mut() {
        let span = current.span().clone();
        let (newest, sample) = match span.length {
            SpanLength::Rows(rows) => (rows, None),
            SpanLength::Time(length) => (span.min_rows, Some(now.minus(length))),
        };
        let read = window.recent_rows(index, newest).and_then(|recent| {
            let (sample, complete) = match sample {
                Some(from) => window.sample_rows(index, from, span.max_rows + span.max_rows / 8)?,
                None => (Vec::new(), true),
            };
            Ok((recent, sample, complete))
        });
        match read {
            Ok((recent, sample, complete)) => {
                let recent = recent.into_iter().map(entry).collect();
                let sample = sample.into_iter().map(entry).collect();
                current.rebuild(recent, sample, complete);
            }
            Err(error) => {
                tracing::warn!(%error, span = name.as_str(), "Rows not read back from the window; comparing those in memory");
            }
        }
    }
}

/// Goes on with what was known of all rows since the reference, and reads the newest ones again:
/// those that were counted already for how they depend on each other, the others for good.
pub(super) fn recall(window: &Window, index: usize, live: &Live, saved: Option<Saved>) {
    if let Some(saved) = saved {
        live.since().restore(saved);
    }
    match window.recent_rows(index, dependence::MAX_ROWS) {
        Ok(rows) => {
            for row in rows {
                let encoded = live.reference.encode(&row.cells);
                live.since().recall(row.id, &encoded);
            }
        }
        Err(error) => {
            tracing::warn!(%error, "Rows not read back from the window; calibration begins anew");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::histogram::Histograms;
    use crate::drift::season::Seasonal;
    use crate::drift::{ColumnReference, Reference};
    use crate::feature::{Cell, Kind};

    const HOUR: Duration = Duration::from_secs(3600);
    const SEASON: Duration = Duration::from_secs(86_400);

    /// What a main span of `main` and a fast span of an hour are compared with at 10:30, after a row
    /// a minute for two days.
    fn compared(
        main: SpanLength,
        seasonal: Option<Duration>,
        season: Option<Duration>,
    ) -> [Against; 2] {
        let cells = || (0..2400).map(|i| Cell::Number(f64::from(i)));
        let hours: Vec<u8> = (0..2400).map(|i| (i / 100) as u8).collect();
        let mut column = ColumnReference::new(Kind::Numeric, cells());
        column.remember_hours(cells(), &hours);
        let reference = Reference {
            hash: "0".to_owned(),
            rows: 2400,
            loaded_at: Timestamp(0),
            columns: vec![Some(column)],
            together: None,
            dependence: Vec::new(),
            seasonal: seasonal.map(|length| Seasonal::new(Season::new(length), &hours)),
        };
        let span = |length| Span {
            length,
            min_rows: 30,
            max_rows: 100_000,
            max_age: 30 * SEASON,
        };
        let fast = SpanLength::Time(HOUR);
        let spans = [(SpanName::Main, span(main)), (SpanName::Fast, span(fast))];
        let live = Live::new(Arc::new(reference), spans, Histograms::default());
        let now = 20_000 * 86_400_000 + 10 * 3_600_000 + 1_800_000;
        for back in (0..2880).rev() {
            live.append(&Entry {
                id: 2880 - back,
                priority: 0,
                time: Timestamp(now - back * 60_000),
                values: Arc::new(live.reference.encode(&[Cell::Number(1.0)])),
            });
        }
        let spans = spans_of(selected(&live, Timestamp(now), &[], season));
        [spans[0].against, spans[1].against]
    }

    #[test]
    fn spans_shorter_than_the_season_are_compared_with_their_hours() {
        let (day, six) = (SpanLength::Time(SEASON), SpanLength::Time(6 * HOUR));
        let hours = |hours: std::ops::Range<usize>| Against::Hours(hours.collect());
        let unlike = Against::Unlike { rows: None };
        let known = Some(SEASON);
        assert_eq!(compared(day, known, known), [Against::All, hours(9..11)]);
        // From 04:30 to 10:30.
        assert_eq!(compared(six, known, known), [hours(4..11), hours(9..11)]);
        // 1440 rows a minute apart span one minute less than a day.
        let rows = |n| compared(SpanLength::Rows(n), known, known)[0];
        assert_eq!((rows(1440), rows(1441)), (hours(0..24), Against::All));
        assert_eq!(compared(six, None, known), [unlike; 2]);
        assert_eq!(compared(six, Some(7 * SEASON), known), [unlike; 2]);
        assert_eq!(compared(six, known, None), [Against::All; 2]);
    }
}
