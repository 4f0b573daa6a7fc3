//! A model's checks over time, with what happened meanwhile.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::drift::history::{Happened, Line, ModelHistory};
use crate::drift::report::FeatureReport;
use crate::timestamp::Timestamp;

use super::events::{Entry, entries};
use super::text;

/// The strip of checks: its height, where bars stand, how high they are.
const HEIGHT: f64 = 92.0;
const FLOOR: f64 = 84.0;
const TALLEST: f64 = 54.0;

/// Height of a bar without drift: there was a check, and it found nothing.
const NOTHING: f64 = 5.0;

/// Entries of the list.
const LISTED: usize = 12;

/// The time shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reach {
    from: Timestamp,
    to: Timestamp,
}

/// What one check said of all columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    drifted: usize,
    well: usize,
}

// === impl Reach ===

impl Reach {
    pub(super) const fn new(from: Timestamp, to: Timestamp) -> Self {
        Self { from, to }
    }

    /// From the first decision about any column, or from a version or reference that came shortly
    /// before, until `now`.
    pub(super) fn of(history: &ModelHistory, now: Timestamp) -> Self {
        let firsts = history
            .lines
            .values()
            .filter_map(|line| line.points().next());
        let first = firsts.map(|point| point.time).min().unwrap_or(now);
        let to = now.max(first);
        let shortly = first.minus(to.since(first) / 4);
        let begun = history.events.iter().find(|event| {
            matches!(event.what, Happened::Reference { .. })
                && (shortly..=first).contains(&event.time)
        });
        Self::new(begun.map_or(first, |event| event.time), to)
    }

    /// Where a time lies, 0 at the left end and 1 at the right.
    pub(super) fn place(&self, time: Timestamp) -> f64 {
        let all = self.to.since(self.from).as_secs_f64();
        if all > 0.0 {
            (time.since(self.from).as_secs_f64() / all).clamp(0.0, 1.0)
        } else {
            1.0
        }
    }

    pub(super) fn holds(&self, time: Timestamp) -> bool {
        (self.from..=self.to).contains(&time)
    }

    /// Both ends in words.
    pub(super) fn ends(&self) -> [String; 2] {
        [self.from, self.to].map(text::moment)
    }
}

/// Writes the section; nothing where nothing is known.
pub(super) fn render(
    html: &mut String,
    model: &str,
    history: &ModelHistory,
    features: &[FeatureReport],
    now: Timestamp,
) {
    let reach = Reach::of(history, now);
    let tallies = tallies(history);
    let entries = entries(history, features);
    if tallies.is_empty() && entries.is_empty() {
        return;
    }
    let _ = write!(
        html,
        "<div class=\"timeline\" id=\"t-{model}\"><h3>Time line</h3>"
    );
    if !tallies.is_empty() {
        strip(html, reach, &tallies, &entries, features.len());
    }
    list(html, &entries, now);
    html.push_str("</div>");
}

/// What each check said, by its time.
fn tallies(history: &ModelHistory) -> BTreeMap<Timestamp, Tally> {
    let mut tallies: BTreeMap<Timestamp, Tally> = BTreeMap::new();
    for point in history.lines.values().flat_map(Line::points) {
        let tally = tallies.entry(point.time).or_default();
        match point.drifted {
            Some(true) => tally.drifted += 1,
            Some(false) => tally.well += 1,
            None => {}
        }
    }
    tallies
}

/// The picture: a bar per check, as high as columns drifted, and a numbered mark per entry. Its units
/// are percent across and pixels down, so that nothing is stretched.
fn strip(
    html: &mut String,
    reach: Reach,
    tallies: &BTreeMap<Timestamp, Tally>,
    entries: &[Entry],
    columns: usize,
) {
    let most = tallies
        .values()
        .map(|tally| tally.drifted)
        .max()
        .unwrap_or(0);
    let drifted = tallies.values().filter(|tally| tally.drifted > 0).count();
    let [from, to] = reach.ends();
    let _ = write!(
        html,
        "<svg class=\"strip\" width=\"100%\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"{} checks from \
         {from} to {to} UTC; {drifted} of them found drift, in {most} of {columns} columns at most\">\
         <line class=\"base\" x1=\"0\" x2=\"100%\" y1=\"{FLOOR}\" y2=\"{FLOOR}\"/>",
        tallies.len()
    );
    // Room for a mark's half at either end.
    let across = |time: Timestamp| 1.5 + 97.0 * reach.place(time);
    for event in entries.iter().filter(|entry| reach.holds(entry.time)) {
        let x = across(event.time);
        let class = event.kind.class();
        let _ = write!(
            html,
            "<line class=\"mark {class}\" x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"20\" y2=\"{FLOOR}\"/>"
        );
    }
    for (time, tally) in tallies {
        let x = across(*time);
        let (class, height) = match tally {
            Tally {
                drifted: 0,
                well: 0,
            } => ("none", NOTHING),
            Tally { drifted: 0, .. } => ("well", NOTHING),
            Tally { drifted, .. } => {
                let share = *drifted as f64 / columns.max(most).max(1) as f64;
                ("drifted", NOTHING + 4.0 + (TALLEST - NOTHING - 4.0) * share)
            }
        };
        let y = FLOOR - height;
        let _ = write!(
            html,
            "<line class=\"check {class}\" x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"{y:.1}\" y2=\"{FLOOR}\"/>"
        );
    }
    let mut last = f64::NEG_INFINITY;
    for (number, event) in (1..).zip(entries) {
        let x = across(event.time);
        // Two numbers upon each other say nothing; the list has them all.
        if !reach.holds(event.time) || x - last < 5.5 {
            continue;
        }
        last = x;
        let _ = write!(
            html,
            "<svg x=\"{x:.2}%\" y=\"0\" class=\"pin {}\"><circle cy=\"10\" r=\"9\"/>\
             <text y=\"14\">{number}</text></svg>",
            event.kind.class()
        );
    }
    let _ = write!(
        html,
        "</svg><p class=\"ends\" aria-hidden=\"true\"><span>{from}</span>\
         <span class=\"key\">a bar a check, as high as columns drifted</span><span>{to} UTC</span></p>"
    );
}

/// The entries with their numbers, newest first.
fn list(html: &mut String, entries: &[Entry], now: Timestamp) {
    html.push_str("<ul class=\"events\">");
    for (index, entry) in entries.iter().enumerate().rev().take(LISTED) {
        let number = index + 1;
        let Entry {
            time,
            kind,
            html: what,
        } = entry;
        let _ = write!(
            html,
            "<li class=\"{}\"><span class=\"number\">{number}</span><span class=\"when\">{} \
             <small>{}</small></span><span class=\"what\">{what}</span></li>",
            kind.class(),
            text::moment(*time),
            text::ago(*time, now),
        );
    }
    html.push_str("</ul>");
}

#[cfg(test)]
mod tests;
