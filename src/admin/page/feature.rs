//! One column on the page: a line that says how it stands, and behind it the picture and figures.

use std::fmt::Write;

use crate::drift::history::{Event, is_drawn};
use crate::drift::report::{CheckReport, FeatureReport, QuantilePair, State};
use crate::feature::Kind;
use crate::timestamp::Timestamp;

use super::over_time::{Course, symbol};
use super::text::{self, Encoded, Escaped};
use super::tone::{self, Tone};
use super::{advice, chart, fact, sign};

/// How a column is shown.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    /// Its details are open.
    pub(super) open: bool,
    /// All of it is shown, else its line alone.
    pub(super) drawn: bool,
    /// A link points at it.
    pub(super) selected: bool,
    /// Until when drift of it is accepted, where it is.
    pub(super) accepted: Option<Timestamp>,
    /// Where it is shown by itself; escaped.
    pub(super) link: &'a str,
    /// Its course over the last checks, where there is one and it is drawn.
    pub(super) course: Option<Course<'a>>,
    /// What happened meanwhile.
    pub(super) events: &'a [Event],
}

// === impl QuantilePair ===

impl QuantilePair {
    /// Both sides as a table, each figure written by `number`. A method, so that a report of files
    /// can show what the page shows.
    #[must_use]
    pub(crate) fn table(&self, number: fn(f64) -> String) -> String {
        let mut html =
            "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Quantiles\"><table><caption>Quantiles</caption><thead><tr><td></td>\
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

/// Writes a column's article. Of one that is not drawn, it is the line that says how it stands, as a
/// link to all the rest: a page of a thousand tables would take long to make, send and show.
pub(super) fn render(
    html: &mut String,
    model: &str,
    feature: &FeatureReport,
    shown: &Shown<'_>,
    now: Timestamp,
) {
    let tone = Tone::of(feature.state, feature.level);
    let name = Escaped(&feature.name);
    let role = feature.role.as_str();
    let selected = if shown.selected { " data-selected" } else { "" };
    let _ = write!(
        html,
        "<article class=\"feature tone-{}\" data-feature=\"{name}\" data-role=\"{role}\" \
         data-state=\"{}\"{selected}>",
        tone.class(),
        feature.state.as_str(),
    );
    let line = line(feature, shown, now);
    if shown.drawn {
        // Model names need no escaping; an encoded column name holds no space, so both make an id.
        let id = format!("f-{model}-{role}-{}", Encoded(&feature.name));
        let _ = write!(
            html,
            "<details id=\"{id}\"{}><summary class=\"row\"{}>{line}</summary>",
            if shown.open { " open" } else { "" },
            if shown.selected { " autofocus" } else { "" },
        );
        body(html, model, feature, shown, &id, now);
        html.push_str("</details>");
    } else {
        let link = shown.link;
        let _ = write!(html, "<a class=\"row\" href=\"{link}\">{line}</a>");
    }
    html.push_str("</article>");
}

/// How a column stands, in a line.
fn line(feature: &FeatureReport, shown: &Shown<'_>, now: Timestamp) -> String {
    let name = Escaped(&feature.name);
    let role = feature.role.as_str();
    let kind = feature.kind.map_or("", Kind::as_str);
    let word = tone::word(feature.state, feature.level);
    let badge = shown.accepted.map_or_else(String::new, |until| {
        let day = until.to_string();
        let day = day.get(..10).unwrap_or(&day);
        format!("<span class=\"badge\">accepted until {day}</span>")
    });
    let spark = shown.course.as_ref().map_or_else(
        || "<span class=\"spark\"></span>".to_owned(),
        Course::sparkline,
    );
    let since = match (feature.since, feature.state) {
        (Some(since), State::Drifted | State::TypeChanged) => {
            let since = text::span(now.since(since));
            format!("<small>for {since}</small>")
        }
        _ => String::new(),
    };
    format!(
        "<h4>{name}</h4><span class=\"kind\">{kind} {role}</span>{spark}{}\
         <span class=\"verdict\">{}<strong>{word}</strong>{since}</span>{badge}",
        distance(feature),
        sign(Tone::of(feature.state, feature.level)),
    )
}

/// What stands behind the line: sentence, pictures, figures, tests.
fn body(
    html: &mut String,
    model: &str,
    feature: &FeatureReport,
    shown: &Shown<'_>,
    id: &str,
    now: Timestamp,
) {
    let _ = write!(
        html,
        "<div class=\"body\"><p class=\"sentence\">{}</p>{}",
        Escaped(&feature.sentence),
        advice::of_column(model, feature)
    );
    let picture = chart::picture(feature);
    if picture.is_some() || feature.quantiles.is_some() {
        html.push_str("<div class=\"sides\">");
        if let Some(svg) = picture {
            let caption = match feature.quantiles {
                Some(_) => "Share of values up to each",
                None => "Shares",
            };
            let _ = write!(
                html,
                "<figure><figcaption>{caption}</figcaption>{svg}</figure>"
            );
            if let Some(svg) = chart::histograms(feature) {
                let _ = write!(
                    html,
                    "<figure><figcaption>Histograms</figcaption>{svg}</figure>"
                );
            }
        }
        if let Some(pair) = &feature.quantiles {
            html.push_str(&pair.table(text::number));
        }
        html.push_str("</div>");
    }
    html.push_str("<div class=\"figures\">");
    if let Some(course) = &shown.course {
        html.push_str(&course.picture(shown.events, &format!("{id}--course")));
    }
    facts(html, feature, now);
    let link = shown.link;
    let _ = write!(
        html,
        "<p class=\"link\"><a href=\"{link}\">Link to this column</a></p></div>"
    );
    checks(html, &feature.checks);
    html.push_str("</div>");
}

/// How far a column is, beside how far is too far.
fn distance(feature: &FeatureReport) -> String {
    let main = feature.main().filter(|check| is_drawn(check.test));
    let Some((check, statistic)) = main.and_then(|check| Some((check, check.statistic?))) else {
        return "<span class=\"distance\"></span>".to_owned();
    };
    let limit = check.threshold.map_or_else(String::new, |threshold| {
        format!("<small>threshold {}</small>", text::number(threshold))
    });
    let (symbol, statistic) = (symbol(check.test), text::number(statistic));
    format!("<span class=\"distance\">{symbol} {statistic} {limit}</span>")
}

/// A column's or a model's tests as a table.
pub(super) fn checks(html: &mut String, checks: &[CheckReport]) {
    let decided = || checks.iter().filter(|check| !check.test.is_effect());
    if decided().next().is_none() {
        return;
    }
    html.push_str(
        "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Tests\"><table class=\"checks\"><caption>Tests</caption><thead><tr><td>Test</td>\
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
        let times = format_args!("{} × the threshold", text::number(severity));
        fact(html, "Severity", times);
    }
    if let Some(missing) = feature.missing {
        let missing = text::percent(missing);
        match feature.missing_reference.map(text::percent) {
            Some(reference) => fact(
                html,
                "Missing",
                format_args!("{missing} <small>reference {reference}</small>"),
            ),
            None => fact(html, "Missing", missing),
        }
    }
    if let Some(unseen) = feature.unseen {
        fact(html, "Unseen in the reference", text::percent(unseen));
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
