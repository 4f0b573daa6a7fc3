//! What a verdict rests on: the comparison, traffic, the tap, the window, the upstream.

use std::fmt::Write;

use crate::drift::report::{Budget, ModelReport};
use crate::metrics::tap::TapSnapshot;
use crate::metrics::traffic::{Quantiles, Summary};
use crate::timestamp::Timestamp;

use super::super::status::{ModelStatus, RecordingStatus, WindowStatus};
use super::fact;
use super::text::{self, Escaped};

fn card(html: &mut String, title: &str) {
    let _ = write!(html, "<div class=\"card\"><h3>{title}</h3><dl>");
}

/// What was compared with what, and how the budget stands.
pub(super) fn comparison(html: &mut String, model: &ModelReport, now: Timestamp) {
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
        fact(html, "Budget", allowed(budget));
    }
    let calibrated = if model.calibrated {
        "measured"
    } else {
        "not measured yet"
    };
    fact(html, "Row dependence", calibrated);
    html.push_str("</dl></div>");
}

/// The budget in words: `1 false alarm per 30 days; used 0`.
fn allowed(budget: &Budget) -> String {
    let number = text::number(budget.allowed);
    let used = match budget.spent {
        spent if spent > 0.0 && spent < 0.01 => "under 0.01".to_owned(),
        spent => text::number((spent * 100.0).round() / 100.0),
    };
    let per = text::period(&budget.per);
    let alarms = if budget.allowed > 1.0 {
        "false alarms"
    } else {
        "false alarm"
    };
    format!("{number} {alarms} per {}; used {used}", Escaped(&per))
}

/// What the process knows of the model, checked or not.
pub(super) fn process(
    html: &mut String,
    status: &ModelStatus,
    recording: &RecordingStatus,
    now: Timestamp,
) {
    traffic(html, &status.traffic);
    exchanges(
        html,
        &status.tap,
        recording,
        status.last_undecodable.as_deref(),
    );
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

fn exchanges(
    html: &mut String,
    tap: &TapSnapshot,
    recording: &RecordingStatus,
    last_undecodable: Option<&str>,
) {
    card(html, "Tap");
    match recording.reason {
        Some(_) => fact(html, "Recording", "<strong class=\"bad\">degraded</strong>"),
        None => fact(html, "Recording", "ok"),
    }
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
