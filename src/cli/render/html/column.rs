//! One column on the page: sentence, picture, quantiles, every test.

use std::fmt::Write;

use crate::drift::explain;
use crate::drift::report::{CheckReport, FeatureReport};
use crate::feature::Kind;

use super::super::text::html as escaped;
use super::super::{NOTHING, Section, adjusted_p, raw_p};
use super::{MOST_BYTES, sign, tone, word};

/// The columns described, as HTML.
pub(super) struct Details {
    /// One article after the other.
    pub(super) html: String,
    /// For each column of the report whether it has one.
    pub(super) shown: Vec<bool>,
}

/// Describes the columns wanted, as far as they fit.
pub(super) fn details(section: &Section, model: usize, wanted: &[bool]) -> Details {
    let mut html = String::new();
    let describe = |(index, (feature, wanted)): (usize, (&FeatureReport, &bool))| {
        let before = html.len();
        if *wanted {
            article(
                &mut html,
                section,
                feature,
                &format!("c{model}-{}", index + 1),
            );
        }
        let fits = html.len() <= MOST_BYTES;
        if !fits {
            html.truncate(before);
        }
        *wanted && fits
    };
    let shown = (section.report.features.iter().zip(wanted))
        .enumerate()
        .map(describe)
        .collect();
    Details { html, shown }
}

fn article(html: &mut String, section: &Section, feature: &FeatureReport, id: &str) {
    let tone = tone(feature.state, feature.level);
    let _ = writeln!(
        html,
        "<article class=\"column tone-{tone}\" id=\"{id}\"><header><h4>{}</h4>\
         <span class=\"kind\">{} {}</span><p class=\"verdict\">{}<strong>{}</strong></p></header>\
         <p class=\"sentence\">{}</p>",
        escaped(&feature.name),
        feature.kind.map_or("", Kind::as_str),
        feature.role.as_str(),
        sign(tone),
        word(feature.state),
        escaped(&feature.sentence),
    );
    html.push_str("<div class=\"halves\"><div>");
    if let Some(svg) = feature.svg() {
        let _ = write!(html, "<figure>{svg}</figure>");
    }
    html.push_str("</div>\n<div class=\"figures\">");
    if let Some(pair) = &feature.quantiles {
        html.push_str(&pair.table(explain::figure));
    }
    checks(html, &feature.checks, section.tests);
    facts(html, feature);
    html.push_str("</div></div></article>\n");
}

/// One line of a list of facts; `value` is any text.
pub(super) fn fact(html: &mut String, name: &str, value: &str) {
    let _ = write!(
        html,
        "<div><dt>{name}</dt><dd>{}</dd></div>",
        escaped(value)
    );
}

fn facts(html: &mut String, feature: &FeatureReport) {
    html.push_str("<dl>");
    let shares = [
        ("Missing", feature.missing),
        (
            "Of another type",
            feature.mistyped.filter(|share| *share > 0.0),
        ),
        ("Not in the reference", feature.unseen),
    ];
    for (name, share) in shares {
        if let Some(share) = share {
            fact(html, name, &explain::percent(share));
        }
    }
    if let Some(severity) = feature.severity {
        let severity = explain::figure(severity);
        fact(html, "Severity", &format!("{severity} (drift begins at 1)"));
    }
    if let Some(detectable) = feature.detectable {
        let shift = explain::figure(detectable);
        fact(html, "Detectable shift", &format!("{shift} sd"));
    }
    html.push_str("</dl>");
}

/// Every test, each in a column of its own.
fn checks(html: &mut String, checks: &[CheckReport], tests: Option<usize>) {
    if checks.is_empty() {
        return;
    }
    html.push_str("<div class=\"scroll\"><table><caption>Tests</caption><thead><tr><td></td>");
    for check in checks {
        let span = check.span.as_str().replace('_', " ");
        let _ = write!(
            html,
            "<th scope=\"col\">{} <small>{span}</small></th>",
            check.test.as_str()
        );
    }
    html.push_str("</tr></thead><tbody>");
    let mut row = |name: &str, value: &dyn Fn(&CheckReport) -> Option<String>| {
        let cells: Vec<Option<String>> = checks.iter().map(value).collect();
        if cells.iter().all(Option::is_none) {
            return;
        }
        let _ = write!(html, "<tr><th scope=\"row\">{name}</th>");
        for cell in cells {
            let cell = cell.unwrap_or_else(|| NOTHING.to_owned());
            let _ = write!(html, "<td>{}</td>", escaped(&cell));
        }
        html.push_str("</tr>");
    };
    row("state", &|check| {
        Some(check.state.as_str().replace('_', " "))
    });
    row("statistic", &|check| check.statistic.map(explain::figure));
    row("threshold", &|check| check.threshold.map(explain::figure));
    row("effect", &|check| check.effect.map(explain::figure));
    row("p", &raw_p);
    if let Some(tests) = tests {
        row("p adj", &|check| adjusted_p(check, tests));
    }
    row("n, reference", &|check| Some(check.n_reference.to_string()));
    row("n, current", &|check| Some(check.n_current.to_string()));
    let whole = |check: &CheckReport| check.n_effective.round();
    if checks
        .iter()
        .any(|check| whole(check) < check.n_current as f64)
    {
        row("n, effective", &|check| Some(explain::figure(whole(check))));
    }
    html.push_str("</tbody></table></div>");
}
