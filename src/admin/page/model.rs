//! One model on the page: its verdict, what it rests on, then its columns.

use std::fmt::Write;

use crate::drift::report::{FeatureReport, ModelReport, State};
use crate::feature::Role;
use crate::metrics::tap::TapSnapshot;
use crate::metrics::traffic::{Quantiles, Summary};
use crate::timestamp::Timestamp;

use super::super::status::{ModelStatus, WindowStatus};
use super::text::{self, Escaped};
use super::tone::{self, Tone};
use super::{Selection, fact, feature, sign};

/// Drifted columns shown open from the start.
const OPEN: usize = 3;

/// Columns drawn at once; a page of hundreds of pictures would be slow to refresh. Any other is
/// drawn when its link is followed.
const DRAWN: usize = 60;

/// Writes a model's section.
pub(super) fn render(
    html: &mut String,
    model: &ModelReport,
    status: Option<&ModelStatus>,
    selection: &Selection,
    now: Timestamp,
) {
    let name = model.model.as_str();
    let tone = Tone::of(model.state, model.level);
    let selected = selection.feature.is_none() && selection.model.as_deref() == Some(name);
    open(html, name, tone, model.state.as_str(), selected);
    let word = tone::word(model.state, model.level);
    headline(html, name, &model.version, tone, word, &model.sentence);
    html.push_str("<div class=\"cards\">");
    comparison(html, model, now);
    if let Some(status) = status {
        process(html, status, now);
    }
    html.push_str("</div>");
    features(html, model, selection, now);
    html.push_str("</section>\n");
}

/// Writes the section of a model that has never been checked.
pub(super) fn render_unchecked(html: &mut String, status: &ModelStatus, now: Timestamp) {
    let name = status.model.as_str();
    open(html, name, Tone::Unknown, "unchecked", false);
    let sentence = "The first check has not been made yet.";
    headline(html, name, "", Tone::Unknown, "Not checked yet", sentence);
    html.push_str("<div class=\"cards\">");
    process(html, status, now);
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

fn card(html: &mut String, title: &str) {
    let _ = write!(html, "<div class=\"card\"><h3>{title}</h3><dl>");
}

fn comparison(html: &mut String, model: &ModelReport, now: Timestamp) {
    card(html, "Comparison");
    fact(html, "Rows compared", text::count(model.rows as u64));
    match &model.reference {
        Some(reference) => {
            let short: String = reference.hash.chars().take(8).collect();
            let rows = text::count(reference.rows as u64);
            fact(html, "Reference", format_args!("{rows} rows"));
            let hash = Escaped(&reference.hash);
            let loaded = text::ago(reference.loaded_at, now);
            let short = Escaped(&short);
            let value = format_args!("<code title=\"{hash}\">{short}</code>, {loaded}");
            fact(html, "In force", value);
        }
        None => fact(html, "Reference", "none"),
    }
    if let Some(shift) = model.detectable {
        let shift = text::number((shift * 100.0).round() / 100.0);
        fact(html, "Detectable shift", format_args!("≈ {shift} σ"));
    }
    fact(html, "Coverage", share(model.coverage));
    fact(html, "Measured", time(model.checked_at, now));
    fact(html, "Decided", time(model.evaluated_at, now));
    if let Some(budget) = &model.budget {
        let alarms = if budget.allowed > 1.0 {
            "alarms"
        } else {
            "alarm"
        };
        let allowed = text::number(budget.allowed);
        let spent = match budget.spent {
            spent if spent > 0.0 && spent < 0.01 => "under 0.01".to_owned(),
            spent => format!("{spent:.2}"),
        };
        let per = Escaped(&budget.per);
        let value = format_args!("{allowed} false {alarms} per {per}; spent {spent}");
        fact(html, "Budget", value);
    }
    let calibrated = if model.calibrated {
        "measured"
    } else {
        "not measured yet"
    };
    fact(html, "Row dependence", calibrated);
    html.push_str("</dl></div>");
}

/// What the process knows of the model, checked or not.
fn process(html: &mut String, status: &ModelStatus, now: Timestamp) {
    traffic(html, &status.traffic);
    exchanges(html, &status.tap, status.last_undecodable.as_deref());
    window(html, &status.window, now);
    html.push_str("<h3>Upstream</h3><dl>");
    fact(
        html,
        "Address",
        format_args!("<code>{}</code>", Escaped(&status.upstream)),
    );
    fact(
        html,
        "Answers",
        match status.upstream_up {
            Some(true) => "yes",
            Some(false) => "<strong class=\"bad\">no</strong>",
            None => "not tried yet",
        },
    );
    let paths = match status.paths.join(" ") {
        paths if paths.is_empty() => "all".to_owned(),
        paths => format!("<code>{}</code>", Escaped(&paths)),
    };
    fact(html, "Paths", paths);
    html.push_str("</dl></div>");
}

fn exchanges(html: &mut String, tap: &TapSnapshot, last_undecodable: Option<&str>) {
    card(html, "Exchanges");
    fact(html, "Offered", text::count(tap.offered));
    fact(html, "Captured", text::count(tap.captured));
    let undecodable = noteworthy(tap.undecodable);
    fact(html, "Undecodable", undecodable);
    let by = &tap.dropped_by;
    let reasons = [
        (by.queue_full, "queue full"),
        (by.window_error, "window error"),
        (by.window_full, "window full"),
        (by.tap_closed, "tap closed"),
    ];
    let reasons: Vec<String> = (reasons.iter())
        .filter(|(n, _)| *n > 0)
        .map(|(n, reason)| format!("{} {reason}", text::count(*n)))
        .collect();
    let reasons = match reasons.is_empty() {
        true => String::new(),
        false => format!(" <small>{}</small>", reasons.join(", ")),
    };
    fact(html, "Dropped", noteworthy(tap.dropped) + &reasons);
    for (name, n) in [
        ("Sampled out", tap.sampled_out),
        ("Excluded", tap.excluded),
        ("Truncated", tap.truncated),
    ] {
        if n > 0 {
            fact(html, name, text::count(n));
        }
    }
    fact(html, "In flight", text::count(tap.in_flight));
    html.push_str("</dl>");
    if let Some(reason) = last_undecodable {
        let reason = Escaped(reason);
        let _ = write!(html, "<p class=\"reason\">Latest undecodable: {reason}</p>");
    }
    html.push_str("</div>");
}

fn window(html: &mut String, window: &WindowStatus, now: Timestamp) {
    card(html, "Window");
    let rows = window.rows.map_or_else(|| "–".to_owned(), text::count);
    fact(html, "Rows", rows);
    fact(html, "Oldest", time(window.oldest, now));
    fact(html, "Newest", time(window.newest, now));
    html.push_str("</dl>");
}

fn traffic(html: &mut String, traffic: &Summary) {
    card(html, "Traffic");
    fact(html, "Requests", text::count(traffic.requests));
    let errors = noteworthy(traffic.errors);
    let share = match traffic.requests {
        0 => String::new(),
        requests if traffic.errors > 0 => {
            format!(
                " <small>{}</small>",
                text::percent(traffic.errors as f64 / requests as f64)
            )
        }
        _ => String::new(),
    };
    fact(html, "Errors (5xx)", errors + &share);
    fact(html, "Last minute", text::count(traffic.last_minute));
    html.push_str("</dl>");
    if traffic.total.is_some() {
        html.push_str(
            "<table><caption>Latency, last minute</caption><thead><tr><td></td>\
             <th scope=\"col\">p50</th><th scope=\"col\">p95</th><th scope=\"col\">p99</th>\
             </tr></thead><tbody>",
        );
        for (leg, quantiles) in [
            ("Total", traffic.total),
            ("Upstream", traffic.upstream),
            ("Overhead", traffic.overhead),
        ] {
            latency(html, leg, quantiles);
        }
        html.push_str("</tbody></table>");
    }
    html.push_str("</div>");
}

fn latency(html: &mut String, leg: &str, quantiles: Option<Quantiles>) {
    let Some(Quantiles { p50, p95, p99 }) = quantiles else {
        return;
    };
    let [p50, p95, p99] = [p50, p95, p99].map(text::latency);
    let _ = write!(
        html,
        "<tr><th scope=\"row\">{leg}</th><td>{p50}</td><td>{p95}</td><td>{p99}</td></tr>"
    );
}

fn features(html: &mut String, model: &ModelReport, selection: &Selection, now: Timestamp) {
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
    let linked = |f: &FeatureReport| selection.feature(model.model.as_str(), &f.name);
    for (index, feature) in model.features.iter().enumerate() {
        let bad = matches!(feature.state, State::Drifted | State::TypeChanged);
        let selected = linked(feature);
        let shown = feature::Shown {
            open: selected || index == 0 || (bad && index < OPEN),
            drawn: selected || index < DRAWN,
            selected,
            accepted: (model.accepted.iter())
                .filter(|a| a.feature == *feature.name)
                .map(|a| a.until)
                .min(),
        };
        feature::render(html, model.model.as_str(), feature, shown, now);
    }
}

/// A count that should be zero.
fn noteworthy(n: u64) -> String {
    match n {
        0 => "0".to_owned(),
        n => format!("<strong class=\"bad\">{}</strong>", text::count(n)),
    }
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), text::percent)
}

fn time(time: Option<Timestamp>, now: Timestamp) -> String {
    time.map_or_else(|| "never".to_owned(), |time| text::ago(time, now))
}
