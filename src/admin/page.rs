//! The page: rendered here in full, so that it works without scripts; its own small script only
//! fetches it again and swaps the content.
//!
//! Invariant: self-contained. No request but for itself, no inline handlers, every name escaped.

use std::fmt::Write;
use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use crate::drift::Report;
use crate::drift::history::{History, ModelHistory};
use crate::timestamp::Timestamp;

use super::status::Status;

use self::text::{Encoded, Escaped};
use self::tone::{Standing, Tone};

mod advice;
mod axis;
mod cards;
mod chart;
mod events;
mod feature;
mod model;
mod over_time;
mod text;
mod timeline;
mod tone;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use self::advice::accept as accept_command;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Seconds between reloads where scripts are off; the script itself refreshes more often.
const RELOAD_SECONDS: u32 = 30;

/// The column a link points at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// Name of the model.
    pub(super) model: Option<String>,
    /// Name of the column.
    pub(super) feature: Option<String>,
    /// Whether the page is to stand still: for whoever reads it by ear, or slowly.
    pub(super) paused: bool,
}

/// The policy that forbids the page everything it does not do.
pub(super) fn content_security_policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        format!(
            "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; \
             connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
            base64(&Sha256::digest(STYLE)),
            base64(&Sha256::digest(SCRIPT)),
        )
    });
    &POLICY
}

/// The page as it is at `now`.
pub(super) fn render(
    report: &Report,
    history: &History,
    status: &Status,
    selection: &Selection,
    now: Timestamp,
) -> String {
    let mut main = String::new();
    overview(&mut main, report, status, now);
    let unknown = ModelHistory::default();
    for (index, model) in report.models.iter().enumerate() {
        let facts = model::Facts {
            status: status.models.iter().find(|s| s.model == model.model),
            recording: &status.recording,
            overdue: status.overdue(model.checked_at, now),
            history: history.models.get(index).map_or(&unknown, |known| known),
            selection,
            now,
        };
        model::render(&mut main, model, facts);
    }
    for waiting in &status.models {
        if report
            .models
            .iter()
            .all(|model| model.model != waiting.model)
        {
            let overdue = status.overdue(None, now);
            model::render_unchecked(&mut main, waiting, &status.recording, overdue, now);
        }
    }
    if report.models.is_empty() && status.models.is_empty() {
        main.push_str("<section class=\"model\"><h2>No models</h2></section>");
    }
    let title = title(report, status, now);
    let paused = selection.paused;
    let reload = match paused {
        true => String::new(),
        false => format!(
            "<noscript><meta http-equiv=\"refresh\" content=\"{RELOAD_SECONDS}\"></noscript>\n"
        ),
    };
    let still = if paused { " data-still" } else { "" };
    let home = selection.all().href();
    let foot = foot(status, selection, now);
    // Every address is relative: the page may stand below a path of somebody else's.
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         {reload}\
         <style>{STYLE}</style>\n</head>\n<body>\n\
         <header class=\"top\"><h1><a href=\"{home}\">driftd</a></h1>\
         <nav aria-label=\"Raw data\"><a href=\"api/v1/drift\">Drift&nbsp;JSON</a>\
         <a href=\"api/v1/status\">Status&nbsp;JSON</a><a href=\"metrics\">Metrics</a></nav>\
         </header>\n<p id=\"lost\" hidden><span role=\"alert\"></span><span aria-hidden=\"true\"></span></p>\n\
         <main id=\"main\"{still}>\n{main}\n</main>\n{foot}\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )
}

/// What answers, and whether the page follows it.
fn foot(status: &Status, selection: &Selection, now: Timestamp) -> String {
    let version = Escaped(&status.version);
    let listen = Escaped(&status.listen);
    let uptime = text::span(std::time::Duration::from_secs_f64(
        status.uptime_seconds.clamp(0.0, 1e12),
    ));
    let window = status.window_bytes.map_or_else(String::new, |bytes| {
        format!(" · window {} on disk", text::bytes(bytes))
    });
    let at = now.to_string();
    let clock = at.get(11..19).unwrap_or(&at);
    let (does, change) = match selection.paused {
        true => ("does not update itself", "resume"),
        false => ("updates itself", "stop that"),
    };
    let other = Selection {
        paused: !selection.paused,
        ..selection.clone()
    };
    let other = other.href();
    format!(
        "<footer id=\"foot\"><span id=\"facts\">driftd {version} on {listen} · up {uptime}{window} · as \
         of {clock} UTC</span> · {does}: <a href=\"{other}\">{change}</a></footer>"
    )
}

/// With several models: what holds for each, as links.
fn overview(html: &mut String, report: &Report, status: &Status, now: Timestamp) {
    if report.models.len() < 2 {
        return;
    }
    html.push_str("<nav class=\"models\" aria-label=\"Models\"><ul>");
    for model in &report.models {
        let name = model.model.as_str();
        let overdue = status.overdue(model.checked_at, now).is_some();
        let Standing { tone, word } = Standing::of(model, overdue);
        let _ = write!(
            html,
            "<li class=\"tone-{}\"><a href=\"#m-{name}\">{}<b>{name}</b> <span>{word}</span></a></li>",
            tone.class(),
            sign(tone),
        );
    }
    html.push_str("</ul></nav>");
}

/// The title says what a glance at the tab should: how many models need a look, the worst first.
fn title(report: &Report, status: &Status, now: Timestamp) -> String {
    let tones: Vec<Tone> = (report.models.iter())
        .map(|model| Standing::of(model, status.overdue(model.checked_at, now).is_some()).tone)
        .collect();
    let of = |wanted: Tone| tones.iter().filter(|tone| **tone == wanted).count();
    let unchecked = status.models.len().saturating_sub(report.models.len());
    let down = status
        .models
        .iter()
        .filter(|m| m.upstream_up == Some(false));
    let counts = [
        (down.count(), "Upstream down"),
        (of(Tone::Drift), "Drift"),
        (of(Tone::Look), "To look at"),
        (of(Tone::Unknown) + unchecked, "No verdict"),
    ];
    let told = counts.into_iter().filter(|(count, _)| *count > 0);
    let mut title: String = told.map(|(n, what)| format!("({n}) {what} · ")).collect();
    title.push_str("driftd");
    title
}

/// The sign of a tone; the word beside it says the same.
fn sign(tone: Tone) -> String {
    let shape = tone.sign();
    format!("<svg class=\"sign\" viewBox=\"0 0 16 16\" aria-hidden=\"true\">{shape}</svg>")
}

/// One line of a list of facts; `value` is HTML.
fn fact(html: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = write!(html, "<div><dt>{name}</dt><dd>{value}</dd></div>");
}

// === impl Selection ===

impl Selection {
    /// Reads `model=…&feature=…`; anything else is ignored.
    pub(super) fn parse(query: &str) -> Self {
        let mut selection = Self::default();
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "model" => selection.model = Some(text::decode(value)),
                "feature" => selection.feature = Some(text::decode(value)),
                "updates" => selection.paused = value == "off",
                _ => {}
            }
        }
        selection
    }

    /// One column, shown as this is.
    fn column(&self, model: &str, feature: &str) -> Self {
        Self {
            model: Some(model.to_owned()),
            feature: Some(feature.to_owned()),
            paused: self.paused,
        }
    }

    /// Everything, shown as this is.
    fn all(&self) -> Self {
        Self {
            paused: self.paused,
            ..Self::default()
        }
    }

    /// Its address, relative to the page's own; escaped.
    fn href(&self) -> String {
        let named = [("model", &self.model), ("feature", &self.feature)];
        let mut parts: Vec<String> = (named.into_iter())
            .filter_map(|(key, value)| Some(format!("{key}={}", Encoded(value.as_ref()?))))
            .collect();
        if self.paused {
            parts.push("updates=off".to_owned());
        }
        format!("?{}", parts.join("&amp;"))
    }

    /// Whether this model is pointed at. A feature alone points at it in every model.
    fn model(&self, name: &str) -> bool {
        self.model.as_deref().is_none_or(|model| model == name)
    }

    /// Whether this column is pointed at.
    fn feature(&self, model: &str, name: &str) -> bool {
        self.model(model) && self.feature.as_deref() == Some(name)
    }
}

/// Base64 with padding, as a policy's hashes are written.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut written = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(group);
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            let padding = digit > chunk.len();
            written.push(if padding {
                '='
            } else {
                char::from(ALPHABET[index as usize])
            });
        }
    }
    written
}
