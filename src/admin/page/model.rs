//! One model on the page: its verdict, what it rests on, then its columns.

use std::fmt::Write;
use std::time::Duration;

use crate::drift::history::ModelHistory;
use crate::drift::report::{FeatureReport, ModelReport, State};
use crate::feature::Role;
use crate::timestamp::Timestamp;

use super::super::status::{ModelStatus, RecordingStatus};
use super::over_time::Course;
use super::text::Escaped;
use super::timeline::{self, Reach};
use super::tone::{Standing, Tone};
use super::{Selection, advice, cards, feature, sign};

/// Drifted columns shown open from the start.
const OPEN: usize = 3;

/// Columns drawn at once; a page of hundreds of pictures would be slow to refresh. Of any other its
/// line is shown, which leads to a page that draws it.
pub(super) const DRAWN: usize = 20;

/// What a model's section is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    /// The process's part, where it is known.
    pub(super) status: Option<&'a ModelStatus>,
    /// How long it was not checked, where that is too long.
    pub(super) overdue: Option<Duration>,
    /// Whether anything is recorded.
    pub(super) recording: &'a RecordingStatus,
    /// What was before.
    pub(super) history: &'a ModelHistory,
    /// What a link points at.
    pub(super) selection: &'a Selection,
    /// When it is.
    pub(super) now: Timestamp,
}

/// Writes a model's section: in the order in which a person on call asks. What holds, what to do, since
/// when, which columns, and what all that rests on.
pub(super) fn render(html: &mut String, model: &ModelReport, facts: Facts<'_>) {
    let Facts {
        status,
        recording,
        overdue,
        history,
        selection,
        now,
    } = facts;
    let name = model.model.as_str();
    let Standing { tone, word } = Standing::of(model, overdue.is_some());
    let selected = selection.feature.is_none() && selection.model.as_deref() == Some(name);
    open(html, name, tone, model.state.as_str(), selected);
    headline(html, name, &model.version, tone, word, &model.sentence);
    advice::render(html, model, facts);
    timeline::render(html, name, history, &model.features, now);
    features(html, model, history, selection, now);
    if !model.checks.is_empty() {
        html.push_str("<h3 class=\"list\">All columns together</h3>");
        feature::checks(html, &model.checks);
    }
    html.push_str("<div class=\"cards\">");
    cards::comparison(html, model, now);
    if let Some(status) = status {
        cards::process(html, status, recording, now);
    }
    html.push_str("</div></section>\n");
}

/// Writes the section of a model that has never been checked.
pub(super) fn render_unchecked(
    html: &mut String,
    status: &ModelStatus,
    recording: &RecordingStatus,
    overdue: Option<Duration>,
    now: Timestamp,
) {
    let name = status.model.as_str();
    open(html, name, Tone::Unknown, "unchecked", false);
    let sentence = "The first check has not been made yet.";
    headline(html, name, "", Tone::Unknown, "Not checked yet", sentence);
    advice::render_unchecked(html, name, status, recording, overdue);
    html.push_str("<div class=\"cards\">");
    cards::process(html, status, recording, now);
    html.push_str("</div></section>\n");
}

fn open(html: &mut String, name: &str, tone: Tone, state: &str, selected: bool) {
    let selected = if selected { " data-selected" } else { "" };
    let _ = write!(
        html,
        "<section class=\"model tone-{}\" id=\"m-{name}\" data-model=\"{name}\" \
         data-state=\"{state}\" aria-labelledby=\"h-{name}\"{selected}>",
        tone.class()
    );
}

fn headline(html: &mut String, name: &str, version: &str, tone: Tone, word: &str, sentence: &str) {
    let _ = write!(html, "<div class=\"headline\"><h2 id=\"h-{name}\">{name}");
    if !version.is_empty() {
        let version = Escaped(version);
        let _ = write!(html, " <span class=\"version\">{version}</span>");
    }
    let _ = write!(
        html,
        "</h2><p class=\"verdict\">{}<strong>{word}</strong></p>\
         <p class=\"sentence\">{}</p></div>",
        sign(tone),
        Escaped(sentence)
    );
}

fn features(
    html: &mut String,
    model: &ModelReport,
    history: &ModelHistory,
    selection: &Selection,
    now: Timestamp,
) {
    if model.features.is_empty() {
        return;
    }
    let of = |role| model.features.iter().filter(|f| f.role == role).count();
    let drifted = model
        .features
        .iter()
        .filter(|f| f.drifted == Some(true))
        .count();
    let unknown = model
        .features
        .iter()
        .filter(|f| f.drifted.is_none())
        .count();
    let plural = |n: usize, word: &str| match n {
        1 => format!("1 {word}"),
        n => format!("{n} {word}s"),
    };
    let mut counts = vec![
        plural(of(Role::Feature), "feature"),
        plural(of(Role::Output), "output"),
        format!("{drifted} drifted"),
    ];
    if unknown > 0 {
        counts.push(format!("{unknown} without a verdict"));
    }
    let counts = counts.join(" · ");
    let _ = write!(
        html,
        "<h3 class=\"list\">Columns <span>{counts}</span></h3>"
    );
    let reach = Reach::of(history, now);
    let linked = |f: &FeatureReport| selection.feature(model.model.as_str(), &f.name);
    for (index, feature) in model.features.iter().enumerate() {
        let bad = matches!(feature.state, State::Drifted | State::TypeChanged);
        let selected = linked(feature);
        let drawn = selected || index < DRAWN;
        let link = selection.column(model.model.as_str(), &feature.name).href();
        let shown = feature::Shown {
            open: selected || index == 0 || (bad && index < OPEN),
            drawn,
            link: &link,
            selected,
            accepted: (model.accepted.iter())
                .filter(|a| a.feature == *feature.name)
                .map(|a| a.until)
                .min(),
            course: {
                let line = history.lines.get(&feature.name);
                let course = || Course::new(feature, line, model.checked_at, reach);
                drawn.then(course).flatten()
            },
            events: &history.events,
        };
        feature::render(html, model.model.as_str(), feature, &shown, now);
    }
}
