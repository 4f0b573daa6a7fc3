//! A model without a reference file learns one: from its first rows, once, for good.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::drift::live::Lives;
use crate::drift::report::{ModelReport, State};
use crate::feature::{Kind, Store};
use crate::reference::{self, Learned};
use crate::timestamp::Timestamp;
use crate::window::{Frozen, Window};

use super::Config;
use super::tracked::Tracked;

/// How a model gets a reference from its traffic.
#[derive(Debug)]
pub struct Learning {
    /// From so many rows.
    pub rows: usize,
    /// Kinds by column name, over those found.
    pub kinds: BTreeMap<String, Kind>,
    /// What of each column is stored, and so learned.
    pub stores: Vec<Store>,
}

/// How far learning is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing is to be learned.
    Idle,
    /// So many rows are there.
    Rows(usize),
    /// The reference has just come into force.
    Learned,
}

/// Learns the reference once its rows are there.
pub(super) fn learn(
    window: &Window,
    index: usize,
    tracked: &mut Tracked,
    place: (&Config, &Lives),
    now: Timestamp,
) -> Progress {
    let Some(Learning {
        rows,
        kinds,
        stores,
    }) = &tracked.watched.learning
    else {
        return Progress::Idle;
    };
    let model = tracked.watched.name.to_string();
    let seen = window.checked_rows(index, *rows).unwrap_or_else(|error| {
        tracing::warn!(%error, model, "Rows to learn the reference from not read yet");
        0
    });
    if seen < *rows {
        return Progress::Rows(seen);
    }
    let learned = (window.oldest_rows(index, *rows).map_err(|e| e.to_string())).and_then(|rows| {
        let rows: Vec<_> = rows.into_iter().map(|row| row.cells).collect();
        let learned = reference::learn(&tracked.watched.schema, kinds, &rows, now);
        let mut learned = learned.map_err(|e| e.to_string())?;
        learned.loaded.reference.stored_as(stores);
        Ok(learned)
    });
    let begun = learned.and_then(|learned| begin(window, index, tracked, place, learned, now));
    match begun {
        Err(error) => {
            tracing::warn!(error, model, "Reference not learned yet");
            Progress::Rows(seen)
        }
        Ok(()) => Progress::Learned,
    }
}

/// Freezes what was learned in the window and compares with it from now on, as after a reload. Both
/// are one transaction: a process killed meanwhile has learned nothing yet, or all.
fn begin(
    window: &Window,
    index: usize,
    tracked: &mut Tracked,
    place: (&Config, &Lives),
    learned: Learned,
    now: Timestamp,
) -> Result<(), String> {
    let Learned { loaded, profile } = learned;
    let (rows, hash) = (loaded.reference.rows, loaded.reference.hash.clone());
    let frozen = Frozen {
        version: tracked.watched.version.clone(),
        hash: hash.clone(),
        rows,
        profile,
        at: now,
    };
    let freeze = || window.freeze(index, frozen);
    let replaced = tracked.replace(index, loaded.reference, place, now, freeze);
    replaced.map_err(|error| error.to_string())?;
    let model = tracked.watched.name.as_str();
    tracing::info!(model, rows, hash, "Reference learned");
    for note in loaded.notes {
        tracing::info!(model, "{note}");
    }
    tracked.watched.schema = Arc::new(loaded.schema);
    tracked.watched.learning = None;
    Ok(())
}

/// Says in the report how far learning is.
pub(super) fn mark(report: &mut ModelReport, seen: usize, wanted: usize) {
    report.state = State::Learning;
    report.sentence = format!(
        "Learning the reference from traffic: {seen} of {wanted} rows; nothing is compared until then."
    );
    for feature in &mut report.features {
        feature.state = State::Learning;
        feature.sentence = format!(
            "{} is being learned: {seen} of {wanted} rows.",
            feature.name
        );
    }
}
