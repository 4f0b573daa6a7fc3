//! One column on the page: a line that says how it stands, and behind it the picture and figures.

use std::fmt::Write;

use crate::drift::report::{CheckReport, FeatureReport, QuantilePair, State};
use crate::feature::Kind;
use crate::timestamp::Timestamp;

use super::text::{self, Encoded, Escaped};
use super::tone::{self, Tone};
use super::{chart, fact, sign};

/// How a column is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    /// Its details are open.
    pub(super) open: bool,
    /// Its picture is drawn.
    pub(super) drawn: bool,
    /// A link points at it.
    pub(super) selected: bool,
    /// Until when drift of it is accepted, where it is.
    pub(super) accepted: Option<Timestamp>,
}

// === impl QuantilePair ===

impl QuantilePair {
    /// Both sides as a table, each figure written by `number`. A method, so that a report of files
    /// can show what the page shows.
    #[must_use]
    pub(crate) fn table(&self, number: fn(f64) -> String) -> String {
        let mut html =
            "<div class=\"scroll\"><table><caption>Quantiles</caption><thead><tr><td></td>\
             <th scope=\"col\">5 %</th><th scope=\"col\">25 %</th><th scope=\"col\">50 %</th>\
             <th scope=\"col\">75 %</th><th scope=\"col\">95 %</th></tr></thead><tbody>"
                .to_owned();
        for (side, q) in [("reference", &self.reference), ("current", &self.current)] {
            let _ = write!(html, "<tr><th scope=\"row\">{side}</th>");
            for value in [q.p05, q.p25, q.p50, q.p75, q.p95] {
                let _ = write!(html, "<td>{}</td>", number(value));
            }
            html.push_str("</tr>");
        }
        html.push_str("</tbody></table></div>");
        html
    }
}

/// Writes a column's article.
pub(super) fn render(
    html: &mut String,
    model: &str,
    feature: &FeatureReport,
    shown: Shown,
    now: Timestamp,
) {
    let tone = Tone::of(feature.state, feature.level);
    let name = Escaped(&feature.name);
    let role = feature.role.as_str();
    // Model names need no escaping; an encoded column name holds no space, so both make an id.
    let id = format!("f-{model}-{role}-{}", Encoded(&feature.name));
    let kind = feature.kind.map_or("", Kind::as_str);
    let word = tone::word(feature.state, feature.level);
    let badge = shown.accepted.map_or_else(String::new, |until| {
        let day = until.to_string();
        let day = day.get(..10).unwrap_or(&day);
        format!(" <span class=\"badge\">accepted until {day}</span>")
    });
    let selected = if shown.selected { " data-selected" } else { "" };
    let _ = write!(
        html,
        "<article class=\"feature tone-{}\" data-feature=\"{name}\" data-role=\"{role}\" \
         data-state=\"{}\"{selected}><details id=\"{id}\"{}><summary{}><h4>{name}</h4>\
         <span class=\"kind\">{kind} {role}{badge}</span>{}\
         <span class=\"verdict\">{}<strong>{word}</strong></span></summary>",
        tone.class(),
        feature.state.as_str(),
        if shown.open { " open" } else { "" },
        if shown.selected { " autofocus" } else { "" },
        severity(feature.severity),
        sign(tone),
    );
    let _ = write!(
        html,
        "<div class=\"body\"><p class=\"sentence\">{}</p>",
        Escaped(&feature.sentence)
    );
    let link = format!(
        "/?model={}&amp;feature={}",
        Encoded(model),
        Encoded(&feature.name)
    );
    let picture = if shown.drawn {
        chart::picture(feature)
    } else {
        None
    };
    if picture.is_some() || feature.quantiles.is_some() || feature.picture.is_some() {
        html.push_str("<div class=\"sides\">");
        match picture {
            Some(svg) => {
                let _ = write!(html, "<figure>{svg}</figure>");
            }
            None if feature.picture.is_some() && !shown.drawn => {
                let _ = write!(html, "<p><a href=\"{link}\">Draw its distribution</a></p>");
            }
            None => {}
        }
        if let Some(pair) = &feature.quantiles {
            html.push_str(&pair.table(text::number));
        }
        html.push_str("</div>");
    }
    html.push_str("<div class=\"figures\">");
    facts(html, feature, now);
    let _ = write!(
        html,
        "<p class=\"link\"><a href=\"{link}\">Link to this column</a></p></div>"
    );
    checks(html, &feature.checks);
    html.push_str("</div></details></article>");
}

/// A bar on which drift begins in the middle; a severity of 2 or more fills it.
fn severity(severity: Option<f64>) -> String {
    let Some(severity) = severity.filter(|severity| !severity.is_nan()) else {
        return "<span class=\"severity\"></span>".to_owned();
    };
    let width = (severity / 2.0).clamp(0.0, 1.0) * 100.0;
    let written = text::number(severity);
    format!(
        "<span class=\"severity\"><svg viewBox=\"0 0 100 12\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"Severity {written}; drift begins at 1\"><title>Severity {written}; drift begins at 1</title>\
         <rect class=\"track\" y=\"3\" width=\"100\" height=\"6\"/>\
         <rect class=\"fill\" y=\"3\" width=\"{width:.1}\" height=\"6\"/>\
         <path class=\"limit\" d=\"M50 0v12\"/></svg></span>"
    )
}

fn checks(html: &mut String, checks: &[CheckReport]) {
    let decided = || checks.iter().filter(|check| !check.test.is_effect());
    if decided().next().is_none() {
        return;
    }
    html.push_str(
        "<div class=\"scroll\"><table class=\"checks\"><caption>Tests</caption><thead><tr><td>Test</td>\
         <th scope=\"col\">Span</th><th scope=\"col\">Statistic</th><th scope=\"col\">Threshold</th>\
         <th scope=\"col\">p</th><th scope=\"col\"><abbr title=\"What the decision used: corrected for \
         dependent rows and ties\">Decision p</abbr></th><th scope=\"col\">n</th><th scope=\"col\">\
         <abbr title=\"How many independent values the current ones are worth\">n, effective</abbr></th>\
         <th scope=\"col\">n, reference</th><th scope=\"col\">Says</th></tr></thead><tbody>",
    );
    for check in decided() {
        let p = |p, log10_p| text::p_value(p, log10_p).unwrap_or_else(|| "–".to_owned());
        let cells = [
            tone::span(check.span).to_owned(),
            figure(check.statistic),
            figure(check.threshold),
            p(check.p_value, check.log10_p),
            p(check.decision_p, None),
            text::count(check.n_current as u64),
            text::number(check.n_effective.round()),
            text::count(check.n_reference as u64),
            tone::word(check.state, check.level).to_lowercase(),
        ];
        let _ = write!(
            html,
            "<tr><th scope=\"row\">{}</th>",
            tone::test(check.test)
        );
        for cell in cells {
            let _ = write!(html, "<td>{cell}</td>");
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
}

/// The sizes of the change, on the scales of other tools.
fn effects(html: &mut String, checks: &[CheckReport]) {
    for check in checks.iter().filter(|check| check.test.is_effect()) {
        fact(html, tone::test(check.test), figure(check.statistic));
    }
}

fn facts(html: &mut String, feature: &FeatureReport, now: Timestamp) {
    html.push_str("<dl class=\"facts\">");
    match (feature.since, feature.state) {
        (Some(since), State::Drifted) => fact(html, "Drifted since", text::ago(since, now)),
        (Some(since), State::Accepted) => fact(html, "Differs since", text::ago(since, now)),
        _ => {}
    }
    if let Some(severity) = feature.severity {
        fact(html, "Severity", text::number(severity));
    }
    if let Some(missing) = feature.missing {
        fact(html, "Missing", text::percent(missing));
    }
    if let Some(unseen) = feature.unseen {
        fact(html, "Not in the reference", text::percent(unseen));
    }
    let moved = feature
        .main()
        .and_then(|check| check.location.zip(check.sign));
    if let Some((location, sign)) = moved {
        let direction = if sign > 0 { "up" } else { "down" };
        let at = text::number(location);
        fact(html, "Moved", format_args!("{direction}, most at {at}"));
    }
    if let Some(detectable) = feature.detectable {
        let shift = text::number(detectable);
        fact(html, "Detectable shift", format_args!("{shift} sd"));
    }
    if let Some(shift) = feature.shift {
        fact(
            html,
            "Mean moved by",
            format_args!("{} sd", text::number(shift)),
        );
    }
    if let Some(bound) = feature.main().and_then(|check| check.lower_bound) {
        fact(html, "True gap at least", text::number(bound));
    }
    effects(html, &feature.checks);
    html.push_str("</dl>");
}

fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), text::number)
}
