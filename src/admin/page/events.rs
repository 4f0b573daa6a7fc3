//! What happened to a model, in words: versions, references, acceptances, gaps, and verdicts that
//! changed.

use std::collections::BTreeMap;

use crate::drift::history::{Event, Happened, ModelHistory, Point};
use crate::drift::report::FeatureReport;
use crate::timestamp::Timestamp;

use super::over_time::symbol;
use super::text::{self, Escaped};

/// Columns named in one entry.
const NAMED: usize = 4;

/// One entry of the list.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) time: Timestamp,
    /// The kind of event, as a CSS class; its sign differs in shape.
    pub(super) kind: Kind,
    /// HTML.
    pub(super) html: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Deploy,
    Accepted,
    Gap,
    Began,
    Ended,
}

// === impl Kind ===

impl Kind {
    /// The CSS class.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Accepted => "accepted",
            Self::Gap => "lost",
            Self::Began => "began",
            Self::Ended => "ended",
        }
    }
}

/// Everything told, oldest first.
pub(super) fn entries(history: &ModelHistory, features: &[FeatureReport]) -> Vec<Entry> {
    let events = history.events.iter().map(|event| {
        let (kind, html) = told(&event.what, event.time);
        let time = event.time;
        Entry { time, kind, html }
    });
    let mut entries: Vec<Entry> = events.chain(changes(history, features)).collect();
    entries.sort_by_key(|entry| entry.time);
    entries
}

/// An event in words, as HTML.
fn told(what: &Happened, began: Timestamp) -> (Kind, String) {
    match what {
        Happened::Reference {
            version,
            previous_version,
            hash,
            reference_changed,
            first,
        } => {
            let hash = hash.as_deref().unwrap_or_default();
            let short: String = hash.chars().take(8).collect();
            let reference = match short.is_empty() {
                true => "no reference".to_owned(),
                false => format!("reference <code>{}</code>", Escaped(&short)),
            };
            let version = Escaped(version);
            let said = match (previous_version, first) {
                (Some(before), _) => {
                    let (named, before) = (named(version.0), named(before));
                    match reference_changed {
                        true => format!("<b>Deploy</b>: {named} after {before}, with {reference}"),
                        false => format!("<b>Deploy</b>: {named} after {before}"),
                    }
                }
                (None, true) => format!("First seen, with {reference}"),
                (None, false) => format!("<b>Reference changed</b>: {reference}"),
            };
            (Kind::Deploy, said)
        }
        Happened::Accepted {
            columns,
            by,
            reason,
        } => {
            let columns = listed(columns.iter().map(|column| column_named(column)));
            let (by, reason) = (Escaped(by), Escaped(reason));
            let said = format!("<b>Accepted</b>: {columns} by {by}: “{reason}”");
            (Kind::Accepted, said)
        }
        Happened::AcceptanceEnded { columns, why, by } => {
            let columns = listed(columns.iter().map(|column| column_named(column)));
            let why = why.replace('_', " ");
            let by = match by.is_empty() {
                true => String::new(),
                false => format!(" by {}", Escaped(by)),
            };
            let said = format!("Acceptance of {columns} ended: {}{by}", Escaped(&why));
            (Kind::Accepted, said)
        }
        Happened::Gap {
            ended,
            reason,
            exchanges,
        } => {
            let lost = exchanges.map_or_else(
                || "an unknown number of exchanges".to_owned(),
                |n| format!("{} exchanges", text::count(n)),
            );
            let reason = reason.replace('_', " ");
            let length = text::span(ended.since(began));
            let said = format!(
                "<b>Gap</b>: {lost} not recorded in {length} ({})",
                Escaped(&reason)
            );
            (Kind::Gap, said)
        }
    }
}

fn named(version: &str) -> String {
    match version.is_empty() {
        true => "no version".to_owned(),
        false => format!("version {}", Escaped(version)),
    }
}

fn column_named(column: &str) -> String {
    match column.is_empty() {
        true => "all columns together".to_owned(),
        false => format!("<b>{}</b>", Escaped(column)),
    }
}

/// The first few of many, and how many more.
fn listed(mut columns: impl ExactSizeIterator<Item = String>) -> String {
    let named: Vec<String> = columns.by_ref().take(NAMED).collect();
    match columns.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// Columns that began to drift or no longer do, one entry per check: by their lines, and by the report
/// where a line does not tell it.
fn changes(history: &ModelHistory, features: &[FeatureReport]) -> Vec<Entry> {
    let mut changed: BTreeMap<(Timestamp, bool), Vec<String>> = BTreeMap::new();
    // The last that is told of each column.
    let mut told: BTreeMap<&str, (Timestamp, bool)> = BTreeMap::new();
    for (name, line) in &history.lines {
        let mut before = None;
        // Accepting drift does not end it, nor does it begin when that ends.
        for point in line.points().filter(|point| !point.accepted) {
            let Some(drifted) = point.drifted else {
                continue;
            };
            // What is drifted where the line begins began before that.
            if before.is_some_and(|before| before != drifted) {
                let key = (point.time, drifted);
                let named = format!("<b>{}</b>{}", Escaped(name), figures(point, drifted));
                changed.entry(key).or_default().push(named);
                told.insert(name, key);
            }
            before = Some(drifted);
        }
    }
    for feature in features.iter().filter(|f| f.drifted == Some(true)) {
        let Some(since) = feature.since else {
            continue;
        };
        // Another test of the column may have begun before the one that stands; what was told of
        // another reference is not this.
        let known = told.get(&*feature.name).is_some_and(|(time, drifted)| {
            *drifted && *time <= since && !anew(&history.events, *time, since)
        });
        if !known {
            let named = format!("<b>{}</b>", Escaped(&feature.name));
            changed.entry((since, true)).or_default().push(named);
        }
    }
    let entry = |((time, drifted), columns): ((Timestamp, bool), Vec<String>)| {
        let named = listed(columns.into_iter());
        let (kind, verb) = match drifted {
            true => (Kind::Began, "drifted from here on"),
            false => (Kind::Ended, "no longer drifted"),
        };
        let html = format!("{named} {verb}");
        Entry { time, kind, html }
    };
    changed.into_iter().map(entry).collect()
}

/// The figures a verdict changed by, where they tell it.
fn figures(point: &Point, drifted: bool) -> String {
    let figures = point.statistic.zip(point.threshold);
    // Another test may have drifted, or a band keep the verdict: then they mislead.
    let figures = figures.filter(|(d, threshold)| (d >= threshold) == drifted);
    figures.map_or_else(String::new, |(statistic, threshold)| {
        let number = |figure: f32| text::number(f64::from(figure));
        let sign = symbol(point.test);
        let (statistic, threshold) = (number(statistic), number(threshold));
        format!(" ({sign} {statistic}, threshold {threshold})")
    })
}

/// Whether verdicts began anew after `from` and up to `to`.
fn anew(events: &[Event], from: Timestamp, to: Timestamp) -> bool {
    let mut begun = events.iter().filter(|event| {
        matches!(event.what, Happened::Reference { .. }) && from < event.time && event.time <= to
    });
    begun.next().is_some()
}

/// The last version or reference that came into force before `time`, in words.
pub(super) fn cause(events: &[Event], time: Timestamp) -> Option<(Timestamp, String)> {
    let before = events.iter().rev().find(|event| {
        let Happened::Reference { first, .. } = &event.what else {
            return false;
        };
        !first && event.time <= time
    })?;
    Some((before.time, told(&before.what, before.time).1))
}
