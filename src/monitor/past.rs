//! What the page shows over time: taken from the window at the start, then from each check.

use std::sync::Arc;

use crate::drift::history::{History, ModelHistory};
use crate::drift::report::ModelReport;
use crate::window::Window;

use super::{Links, Watched};

/// The history of every model, before the first check of this run.
pub(super) fn restore(window: &Window, models: &[Watched]) -> History {
    let models = models.iter().enumerate();
    History {
        models: models
            .map(|(index, watched)| {
                let columns = columns(watched);
                // What cannot be read back begins anew; nothing is decided by it.
                let decisions = window.decisions(index, &columns).unwrap_or_else(|error| {
                    tracing::warn!(%error, model = %watched.name, "History not read back");
                    Vec::new()
                });
                Arc::new(ModelHistory {
                    events: window.events(index).unwrap_or_default(),
                    ..ModelHistory::read_back(&decisions, columns.len())
                })
            })
            .collect(),
    }
}

/// What the reports of a model tell of, one line each: every track, and the columns that have none.
fn columns(watched: &Watched) -> Vec<Arc<str>> {
    let columns = watched.schema.columns();
    let live = watched.live.as_ref();
    let tracks = live.map_or_else(Vec::new, |live| live.reference.tracks());
    let mut compared = vec![false; columns.len()];
    let mut names: Vec<Arc<str>> = Vec::with_capacity(tracks.len());
    for track in tracks {
        compared[track.column] = true;
        names.push(Arc::from(track.name(&columns[track.column].name)));
    }
    let left = columns
        .iter()
        .zip(compared)
        .filter(|(_, compared)| !compared);
    names.extend(left.map(|(column, _)| Arc::clone(&column.name)));
    names
}

/// Takes in what is new of a model: the `decided` report, if this check decided, and events.
pub(super) fn record(window: &Window, links: &Links, index: usize, decided: Option<&ModelReport>) {
    let mut history = History::clone(&links.history.load());
    let Some(model) = history.models.get_mut(index) else {
        return;
    };
    let events = window.events(index);
    // What stood, stands where the window cannot be read now.
    let events = events.unwrap_or_else(|_| model.events.clone());
    if decided.is_none() && events == model.events {
        return;
    }
    let model = Arc::make_mut(model);
    model.events = events;
    if let Some(report) = decided {
        model.record(report);
    }
    links.history.store(Arc::new(history));
}
