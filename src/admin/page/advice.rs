//! What to do about a verdict: for the person on call, in the order of doing it.

use std::fmt::Write;
use std::time::Duration;

use crate::drift::history::ModelHistory;
use crate::drift::report::{FeatureReport, Level, ModelReport, State, Test};
use crate::feature::Role;
use crate::timestamp::Timestamp;

use super::super::status::{ModelStatus, RecordingStatus};
use super::events;
use super::model::Facts;
use super::text::{self, Escaped};

/// The runbook; each alert has a section named after it.
const RUNBOOK: &str = "https://github.com/driftd/driftd/blob/main/dashboards/RUNBOOK.md";

/// A section of the runbook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    ThreeWays,
    ModelDrift,
    PredictionDrift,
    SlowDrift,
    MissingValues,
    TypeChanged,
    EarlyWarning,
    ReferenceMismatch,
    CoverageLow,
    WindowStuck,
    UpstreamDown,
    NoCheck,
    ReferenceMissing,
}

/// Writes what to do; nothing where there is nothing to do.
pub(super) fn render(html: &mut String, model: &ModelReport, facts: Facts<'_>) {
    let mut steps = Vec::new();
    if let Some(passed) = facts.overdue {
        steps.push(unchecked(passed, "this verdict is old"));
    }
    steps.extend(trouble(facts.status, facts.recording));
    steps.extend(verdict(model, facts.history, facts.now));
    list(html, model.model.as_str(), &steps);
}

/// Writes what to do about a model that has never been checked.
pub(super) fn render_unchecked(
    html: &mut String,
    name: &str,
    status: &ModelStatus,
    recording: &RecordingStatus,
    overdue: Option<Duration>,
) {
    let mut steps = Vec::new();
    if let Some(passed) = overdue {
        steps.push(unchecked(passed, "not once since driftd began"));
    }
    steps.extend(trouble(Some(status), recording));
    list(html, name, &steps);
}

fn list(html: &mut String, name: &str, steps: &[String]) {
    if steps.is_empty() {
        return;
    }
    let _ = write!(
        html,
        "<div class=\"todo\" id=\"d-{name}\"><h3>What to do</h3><ul>"
    );
    for step in steps {
        let _ = write!(html, "<li>{step}</li>");
    }
    html.push_str("</ul></div>");
}

/// What to do about one column, as a paragraph; empty where there is nothing to do.
pub(super) fn of_column(model: &str, feature: &FeatureReport) -> String {
    if !matches!(feature.state, State::Drifted | State::TypeChanged) {
        return String::new();
    }
    let drifted = |test: Test| {
        let mut checks = feature.checks.iter();
        checks.any(|check| check.test == test && check.drifted == Some(true))
    };
    let values = match feature.role {
        Role::Output => (Section::PredictionDrift, "when predictions drift"),
        Role::Feature => (Section::ModelDrift, "when inputs drift"),
    };
    let moved = [Test::Ks, Test::Chi2, Test::Range].into_iter().any(drifted);
    let sections = [
        (feature.state == State::TypeChanged)
            .then_some((Section::TypeChanged, "when values change their type")),
        drifted(Test::Missing).then_some((Section::MissingValues, "when values are missing")),
        drifted(Test::Slow).then_some((Section::SlowDrift, "slow drift")),
        moved.then_some(values),
    ];
    let links: Vec<String> = (sections.into_iter().flatten())
        .map(|(section, words)| section.link(words))
        .collect();
    let links = match links.is_empty() {
        true => values.0.link(values.1),
        false => links.join(", "),
    };
    format!(
        "<p class=\"next\">Runbook: {links}. To accept it as the new normal: <code>{}</code></p>",
        accept(model, &feature.name)
    )
}

/// That nothing else here says how things are now.
fn unchecked(passed: Duration, so: &str) -> String {
    format!(
        "<b>Not checked for {}: {so}.</b> {}.",
        text::span(passed),
        Section::NoCheck.link("Runbook: no check")
    )
}

/// What is wrong around the model, whatever the verdict.
fn trouble(status: Option<&ModelStatus>, recording: &RecordingStatus) -> Vec<String> {
    let mut steps = Vec::new();
    if status.is_some_and(|status| status.upstream_up == Some(false)) {
        let link = Section::UpstreamDown.link("runbook: upstream down");
        steps.push(format!(
            "<b>The upstream does not answer.</b> Requests fail now, drift or not ({link})."
        ));
    }
    if let Some(reason) = &recording.reason {
        let link = Section::WindowStuck.link("runbook: window stuck");
        steps.push(format!(
            "<b>Nothing is recorded:</b> {}. Predictions are not concerned; verdicts stand still ({link}).",
            Escaped(reason)
        ));
    }
    steps
}

/// What to do about the verdict itself.
fn verdict(model: &ModelReport, history: &ModelHistory, now: Timestamp) -> Vec<String> {
    let one = |text: &str, section: Section, words: &str| {
        vec![format!("{text} {}.", section.link(words))]
    };
    let blocked = undecidable(model).and_then(blocked);
    let mut steps = Vec::from_iter(blocked);
    steps.extend(match (model.state, model.level) {
        (State::Drifted, _) => drifted(model, history, now),
        (State::TypeChanged, _) => one(
            "<b>Most values of a column are of another type</b> than in the reference: roll back what \
             changed the format. <code>driftd explain</code> shows how a request of today is read.",
            Section::TypeChanged,
            "Runbook: type changed",
        ),
        (State::Mismatch, _) => one(
            "<b>Look at the wiring first</b>, not at the data: the order of the features, their units, \
             and whether the reference holds inputs as the model gets them.",
            Section::ReferenceMismatch,
            "Runbook: reference mismatch",
        ),
        (state @ (State::LowCoverage | State::Stale), _) => Vec::from_iter(self::blocked(state)),
        (State::NoReference, _) => one(
            "<b>Give it something to compare with</b>: <code>--reference training.csv</code>, or \
             <code>reference = { learn_rows = 5000 }</code> to learn it from traffic.",
            Section::ReferenceMissing,
            "Runbook: reference missing",
        ),
        (_, Level::Warn | Level::Alert) => one(
            "<b>Nothing yet</b>, if you are not looking anyway: the newest rows differ, the main span \
             does not so far. After a deployment: look at the columns below.",
            Section::EarlyWarning,
            "Runbook: early warning",
        ),
        _ => Vec::new(),
    });
    steps
}

/// What keeps every drifted column from being decided now, where something does.
fn undecidable(model: &ModelReport) -> Option<State> {
    let mut drifted = model.features.iter().filter(|f| f.drifted == Some(true));
    let first = drifted.next()?.obstacle?;
    drifted.all(|f| f.obstacle.is_some()).then_some(first)
}

/// What to do where nothing can be decided for the rows that come, or do not come.
fn blocked(obstacle: State) -> Option<String> {
    match obstacle {
        State::LowCoverage => Some(format!(
            "<b>Too much of the traffic is not read</b>: “Tap” below says what became of it, and why \
             the latest body could not be read. {}.",
            Section::CoverageLow.link("Runbook: coverage low")
        )),
        State::Stale => Some(
            "<b>No row has come for longer than the main span</b>: is traffic still sent through \
             driftd?"
                .to_owned(),
        ),
        _ => None,
    }
}

fn drifted(model: &ModelReport, history: &ModelHistory, now: Timestamp) -> Vec<String> {
    let mut drifted = model.features.iter().filter(|f| f.drifted == Some(true));
    let Some(worst) = drifted.next() else {
        return Vec::new();
    };
    let mut steps = Vec::new();
    steps.extend(first(model, history, now));
    let clears = match undecidable(model) {
        Some(_) => "Nothing can be decided now, so the verdict stands until that is mended",
        None => "The verdict clears by itself once most of the rows compared are sound",
    };
    steps.push(format!(
        "<b>A fault</b> of a client, a unit, a sensor, a new version? Roll it back. {clears}."
    ));
    let name = model.model.as_str();
    steps.push(format!(
        "<b>The new normal</b>, and the model copes? Accept it: <code>{}</code>",
        accept(name, &worst.name)
    ));
    steps.push(format!(
        "<b>The new normal</b>, and it does not cope? Retrain, and put the new training data in the \
         place of the reference. {}.",
        Section::ThreeWays.link("Runbook: three ways out of drift")
    ));
    if model.level == Level::Warn {
        let link = Section::EarlyWarning.link("Runbook: early warning");
        let why = match model.calibrated {
            true => "It warns and pages nobody",
            false => {
                "It warns and pages nobody: how much rows depend on each other is not known yet"
            }
        };
        steps.push(format!("{why}. {link}."));
    }
    steps
}

/// Which column drifted first, with which others, and after what.
fn first(model: &ModelReport, history: &ModelHistory, now: Timestamp) -> Option<String> {
    let drifted = || {
        let drifted = model.features.iter().filter(|f| f.drifted == Some(true));
        drifted.filter_map(|feature| Some((feature.since?, feature)))
    };
    // The most severe stands first: of those that began together, that one is named.
    let (since, first) = drifted().min_by_key(|(since, _)| *since)?;
    let together = drifted().filter(|(other, _)| *other == since).count() - 1;
    let with = match together {
        0 => String::new(),
        1 => " and 1 other, so most likely with one cause,".to_owned(),
        n => format!(" and {n} others, so most likely with one cause,"),
    };
    let before = match events::cause(&history.events, since) {
        Some((time, what)) => format!(
            "The last change before: {what}, {} earlier.",
            text::span(since.since(time))
        ),
        None => {
            "driftd knows of no other version and no other reference before that: ask what was \
                 deployed then, here or at a client."
                .to_owned()
        }
    };
    Some(format!(
        "<b>Find the cause.</b> <b>{}</b>{with} drifted first at {} ({}). {before}",
        Escaped(&first.name),
        text::moment(since),
        text::ago(since, now),
    ))
}

/// The command that accepts a column's drift, for a shell, escaped.
pub(crate) fn accept(model: &str, column: &str) -> String {
    let (model, column) = (option("--model", model), option("--feature", column));
    let command = format!("driftd accept {model} {column} --for 7d --reason \"…\"");
    Escaped(&command).to_string()
}

/// An option with its value, for a shell. A value that begins with a dash would be taken for an
/// option of its own, had it a word of its own.
fn option(name: &str, value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let between = if value.starts_with('-') { "=" } else { " " };
    match value.chars().all(plain) && !value.is_empty() {
        true => format!("{name}{between}{value}"),
        false => format!("{name}{between}'{}'", value.replace('\'', r"'\''")),
    }
}

// === impl Section ===

impl Section {
    /// Its place in the runbook, as GitHub makes it from the heading.
    const fn anchor(self) -> &'static str {
        match self {
            Self::ThreeWays => "three-ways-out-of-drift",
            Self::ModelDrift => "driftdmodeldrift",
            Self::PredictionDrift => "driftdpredictiondrift",
            Self::SlowDrift => "driftdslowdrift",
            Self::MissingValues => "driftdmissingvalues",
            Self::TypeChanged => "driftdtypechanged",
            Self::EarlyWarning => "driftdearlywarning",
            Self::ReferenceMismatch => "driftdreferencemismatch",
            Self::CoverageLow => "driftdcoveragelow",
            Self::WindowStuck => "driftdwindowstuck",
            Self::UpstreamDown => "driftdupstreamdown",
            Self::NoCheck => "driftdnocheck",
            Self::ReferenceMissing => "driftdreferencemissing",
        }
    }

    /// A link, followed only by whoever chooses to: the page itself loads nothing.
    fn link(self, words: &str) -> String {
        let anchor = self.anchor();
        format!("<a href=\"{RUNBOOK}#{anchor}\" rel=\"noreferrer\">{words}</a>")
    }
}

#[cfg(test)]
mod tests;
