//! For a browser: one file that needs nothing else, looks like driftd's own page, and prints.
//!
//! Invariant: self-contained and inert. No script, no request, every text from a file escaped; the
//! policy in its head forbids the rest.

use std::fmt::Write;

use crate::drift::report::{FeatureReport, Level, State};

use super::text::html as escaped;
use super::{About, Document, Fact, Lines, Listing, Section, is_bad, lines};

mod column;

/// The page's style, so that both look alike, and what a report has beside it.
const STYLE: [&str; 2] = [
    include_str!("../../admin/page.css"),
    include_str!("html/report.css"),
];

/// From this many columns on, only some are drawn.
const WIDE: usize = 300;

/// Columns drawn of a wide model beside the drifted ones.
const DRAWN: usize = 30;

/// Bytes of columns with their pictures: a page twice this size is slow to open and hard to mail.
const MOST_BYTES: usize = 1_500_000;

pub(super) fn render(document: &Document) -> String {
    let mut body = String::new();
    for (index, section) in document.sections.iter().enumerate() {
        model(&mut body, document, section, index);
    }
    let command = document.command;
    let title = escaped(&document.title);
    let version = env!("CARGO_PKG_VERSION");
    let [page, report] = STYLE;
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>{title} · driftd {command}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>\n{page}{report}</style>\n</head>\n<body>\n\
         <header class=\"top\"><h1>driftd {command}</h1><p>driftd {version}</p></header>\n\
         <main>\n{body}</main>\n</body>\n</html>\n"
    )
}

fn model(html: &mut String, document: &Document, section: &Section, index: usize) {
    let report = &section.report;
    let tone = tone(report.state, report.level);
    let title = match document.sections.len() {
        1 => &document.title,
        _ => report.model.as_str(),
    };
    let _ = writeln!(
        html,
        "<section class=\"model tone-{tone}\" data-state=\"{}\">\n<div class=\"headline\"><h2>{}</h2>\
         <p class=\"verdict\">{}<strong>{}</strong></p><p class=\"sentence\">{}</p></div>",
        report.state.as_str(),
        escaped(title),
        sign(tone),
        word(report.state),
        escaped(&report.sentence),
    );
    let shared = (index == 0).then_some(&document.facts);
    let facts: Vec<&Fact> = shared.into_iter().flatten().chain(&section.facts).collect();
    if !facts.is_empty() {
        html.push_str("<dl class=\"about\">");
        facts
            .iter()
            .for_each(|fact| column::fact(html, fact.name, &fact.value));
        html.push_str("</dl>\n");
    }
    let details = column::details(section, index, &drawn(&report.features));
    ranked(html, section, index, &details);
    for listing in &section.listings {
        listed(html, listing);
    }
    if !details.html.is_empty() {
        let _ = writeln!(
            html,
            "<h3 class=\"list\">Column by column</h3>\n<div class=\"columns\">\n{}</div>",
            details.html
        );
    }
    html.push_str("</section>\n");
}

/// Which columns are worth a picture.
fn drawn(features: &[FeatureReport]) -> Vec<bool> {
    let mut others = if features.len() < WIDE {
        features.len()
    } else {
        DRAWN
    };
    let worth = |feature: &FeatureReport| {
        let drawable = feature.picture.is_some() || feature.quantiles.is_some();
        if !drawable || is_bad(feature.state) || feature.drifted == Some(true) {
            return drawable;
        }
        let room = others > 0;
        others = others.saturating_sub(1);
        room
    };
    features.iter().map(worth).collect()
}

/// The list of all columns, most severe first, and the sentences that stand nowhere else.
fn ranked(html: &mut String, section: &Section, index: usize, details: &column::Details) {
    let report = &section.report;
    let Lines { head, lines } = lines(section);
    if lines.is_empty() {
        return;
    }
    let all = report.features.len();
    let shown = details.shown.iter().filter(|shown| **shown).count();
    let drifted = report
        .features
        .iter()
        .filter(|f| f.drifted == Some(true))
        .count();
    let _ = writeln!(
        html,
        "<h3 class=\"list\">Columns <span>{all} in all · {drifted} drifted</span></h3>"
    );
    if shown > 0 && shown < all {
        let _ = writeln!(
            html,
            "<p class=\"note\">Pictures and details of {shown} columns, the most severe first; \
             {} stand in this table only.</p>",
            all - shown
        );
    }
    html.push_str("<div class=\"scroll\"><table class=\"ranked\"><thead><tr>");
    for title in &head {
        let class = match (title.number, title.name) {
            (true, _) => "",
            (false, "kind") => " class=\"word kind\"",
            (false, _) => " class=\"word\"",
        };
        let _ = write!(html, "<th scope=\"col\"{class}>{}</th>", title.name);
    }
    html.push_str("</tr></thead><tbody>\n");
    let mut place = 0;
    for line in &lines {
        let name = match line.about {
            About::Column(feature) => {
                let name = escaped(&feature.name);
                let linked = details.shown.get(place).is_some_and(|shown| *shown);
                place += 1;
                match linked {
                    true => format!("<a href=\"#c{index}-{place}\">{name}</a>"),
                    false => name,
                }
            }
            other => other.name().to_owned(),
        };
        let first = !matches!(line.about, About::Same);
        let level = if is_bad(line.state) {
            Level::Alert
        } else {
            Level::Ok
        };
        let _ = write!(
            html,
            "<tr class=\"tone-{}{}\"><th scope=\"row\">{name}</th><td class=\"word kind\">{}</td>\
             <td class=\"word state\">{}</td>",
            tone(line.state, level),
            if first { "" } else { " more" },
            line.kind,
            line.state.as_str().replace('_', " "),
        );
        for (title, cell) in head.iter().skip(3).zip(&line.cells) {
            let class = if title.number { "" } else { " class=\"word\"" };
            let _ = write!(html, "<td{class}>{}</td>", escaped(cell));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    untold(html, section, details);
}

/// What is not as it should be of the columns that are not described below.
fn untold(html: &mut String, section: &Section, details: &column::Details) {
    let mut rest = (section.report.features.iter().zip(&details.shown))
        .filter(|(feature, shown)| feature.state != State::Ok && !**shown)
        .map(|(feature, _)| feature)
        .peekable();
    if rest.peek().is_none() {
        return;
    }
    html.push_str("<ul class=\"sentences\">\n");
    for feature in rest {
        let _ = writeln!(html, "<li>{}</li>", escaped(&feature.sentence));
    }
    html.push_str("</ul>\n");
}

fn listed(html: &mut String, listing: &Listing) {
    let _ = writeln!(html, "<h3 class=\"list\">{}</h3>", listing.title);
    if listing.rows.is_empty() {
        let _ = writeln!(html, "<p class=\"note\">{}</p>", listing.none);
        return;
    }
    html.push_str("<div class=\"scroll\"><table class=\"ranked\"><thead><tr>");
    for title in &listing.head {
        let _ = write!(html, "<th scope=\"col\" class=\"word\">{title}</th>");
    }
    html.push_str("</tr></thead><tbody>\n");
    for row in &listing.rows {
        html.push_str("<tr>");
        for cell in row {
            let _ = write!(html, "<td class=\"word\">{}</td>", escaped(cell));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
}

/// The colour of a verdict, as a class of the page's style.
fn tone(state: State, level: Level) -> &'static str {
    match (state, level) {
        _ if is_bad(state) => "drift",
        (State::Mismatch, _) | (_, Level::Warn | Level::Alert) => "look",
        (State::Ok | State::Constant | State::Accepted, Level::Ok) => "fine",
        _ => "unknown",
    }
}

/// A sign beside the word: colour never stands alone.
fn sign(tone: &str) -> &'static str {
    match tone {
        "drift" => "<span aria-hidden=\"true\">▲</span>",
        "look" => "<span aria-hidden=\"true\">◆</span>",
        "fine" => "<span aria-hidden=\"true\">●</span>",
        _ => "<span aria-hidden=\"true\">○</span>",
    }
}

/// A state as a heading has it.
fn word(state: State) -> String {
    match state {
        State::Ok => "No drift".to_owned(),
        state => {
            let word = state.as_str().replace('_', " ");
            let mut letters = word.chars();
            let first = letters.next().map(|c| c.to_ascii_uppercase());
            first.into_iter().chain(letters).collect()
        }
    }
}
