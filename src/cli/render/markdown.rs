//! For a pull request: the verdict first, then what is wrong, then the table.

use super::text::markdown;
use super::{About, Document, Fact, Lines, Section, is_bad, lines, sentences};

/// Longer tables are folded, so that a comment stays readable.
const FOLDED: usize = 30;

pub(super) fn render(document: &Document) -> String {
    let mut text = format!(
        "## driftd {}: {}\n\n",
        document.command,
        markdown(&document.title)
    );
    let mut shared = facts(&document.facts);
    shared.push(format!("driftd {}", env!("CARGO_PKG_VERSION")));
    let shared = format!("{}\n\n", shared.join(" · "));
    match document.sections.as_slice() {
        [section] => model(&mut text, section, &shared),
        sections => {
            text.push_str(&shared);
            for section in sections {
                let name = markdown(section.report.model.as_str());
                text.push_str(&format!("### {name}\n\n"));
                model(&mut text, section, "");
            }
        }
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn facts(facts: &[Fact]) -> Vec<String> {
    let fact = |Fact { name, value }: &Fact| format!("{name}: {}", markdown(value));
    facts.iter().map(fact).collect()
}

/// One model, its verdict first; `shared` is a paragraph to follow that.
fn model(text: &mut String, section: &Section, shared: &str) {
    let report = &section.report;
    text.push_str(&format!("**{}**\n\n", markdown(report.sentence.trim())));
    text.push_str(shared);
    if !section.facts.is_empty() {
        text.push_str(&format!("{}\n\n", facts(&section.facts).join(" · ")));
    }
    let mut any = false;
    for feature in sentences(report) {
        text.push_str(&format!("- {}\n", markdown(&feature.sentence)));
        any = true;
    }
    if any {
        text.push('\n');
    }
    let Lines { head, lines } = lines(section);
    if !lines.is_empty() {
        let names: Vec<&str> = head.iter().map(|title| title.name).collect();
        let numbers: Vec<bool> = head.iter().map(|title| title.number).collect();
        let rows: Vec<Vec<String>> = lines
            .iter()
            .map(|line| {
                let state = line.state.as_str().replace('_', " ");
                let name = match line.about {
                    About::Column(column) => markdown(&column.name),
                    other => other.name().to_owned(),
                };
                let state = if is_bad(line.state) {
                    format!("**{state}**")
                } else {
                    state
                };
                let mut row = vec![name, line.kind.to_owned(), state];
                row.extend(line.cells.iter().map(|cell| markdown(cell)));
                row
            })
            .collect();
        table(
            text,
            &format!("{} tests", rows.len()),
            &names,
            &numbers,
            &rows,
        );
    }
    for listing in &section.listings {
        text.push_str(&format!("**{}**\n\n", listing.title));
        if listing.rows.is_empty() {
            text.push_str(&format!("{}\n\n", listing.none));
            continue;
        }
        let rows: Vec<Vec<String>> = (listing.rows.iter())
            .map(|row| row.iter().map(|cell| markdown(cell)).collect())
            .collect();
        table(
            text,
            &format!("{} lines", rows.len()),
            &listing.head,
            &[],
            &rows,
        );
    }
}

/// A table; `numbers` are set flush right. Cells are Markdown.
fn table(text: &mut String, what: &str, head: &[&str], numbers: &[bool], rows: &[Vec<String>]) {
    let folded = rows.len() > FOLDED;
    if folded {
        text.push_str(&format!("<details><summary>{what}</summary>\n\n"));
    }
    text.push_str(&format!("| {} |\n|", head.join(" | ")));
    for at in 0..head.len() {
        let number = numbers.get(at).is_some_and(|number| *number);
        text.push_str(if number { " ---: |" } else { " --- |" });
    }
    text.push('\n');
    for row in rows {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    text.push('\n');
    if folded {
        text.push_str("</details>\n\n");
    }
}
