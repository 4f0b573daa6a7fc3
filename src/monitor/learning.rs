//! A model without a reference file learns one: from its first rows, once, for good.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::drift::live::{Live, Lives};
use crate::drift::report::{ModelReport, State};
use crate::feature::Kind;
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
    (config, lives): (&Config, &Lives),
    now: Timestamp,
) -> Progress {
    let Some(Learning { rows, kinds }) = &tracked.watched.learning else {
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
    let learned = window
        .oldest_rows(index, *rows)
        .map_err(|error| error.to_string());
    let learned = learned.and_then(|rows| {
        let rows: Vec<_> = rows.into_iter().map(|row| row.cells).collect();
        reference::learn(&tracked.watched.schema, kinds, &rows, now).map_err(|e| e.to_string())
    });
    let learned = learned.and_then(
        |Learned {
             mut loaded,
             profile,
         }| {
            loaded.reference.loaded_at = now;
            let frozen = Frozen {
                version: tracked.watched.version.clone(),
                hash: loaded.reference.hash.clone(),
                rows: loaded.reference.rows,
                profile,
                at: now,
            };
            let live = Arc::new(Live::new(Arc::new(loaded.reference), config.spans()));
            let freeze = || window.freeze(index, frozen);
            let replaced = lives.replace(index, Arc::clone(&live), freeze);
            replaced.map_err(|error| error.to_string())?;
            Ok((live, loaded.schema, loaded.notes))
        },
    );
    match learned {
        Err(error) => {
            tracing::warn!(error, model, "Reference not learned yet");
            Progress::Rows(seen)
        }
        Ok((live, schema, notes)) => {
            let (rows, hash) = (live.reference.rows, live.reference.hash.clone());
            tracing::info!(model, rows, hash, "Reference learned");
            for note in notes {
                tracing::info!(model, "{note}");
            }
            tracked.watched.schema = Arc::new(schema);
            tracked.watched.learning = None;
            tracked.begin(live, now);
            Progress::Learned
        }
    }
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
