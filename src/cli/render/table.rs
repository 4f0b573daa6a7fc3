//! For a terminal: a line a test, then the sentences, the verdict last, where the eye is.

use super::text::plain;
use super::{About, Document, Fact, Lines, Section, lines, sentences};

pub(super) fn render(document: &Document) -> String {
    let mut text = format!(
        "driftd {} {}: {}\n",
        document.command,
        env!("CARGO_PKG_VERSION"),
        plain(&document.title)
    );
    facts(&mut text, &document.facts);
    for section in &document.sections {
        text.push('\n');
        model(&mut text, section, document.sections.len() > 1);
    }
    text
}

fn facts(text: &mut String, facts: &[Fact]) {
    let width = facts.iter().map(|f| f.name.len()).max().unwrap_or(0);
    for Fact { name, value } in facts {
        text.push_str(&format!("{name:width$}  {}\n", plain(value)));
    }
}

fn model(text: &mut String, section: &Section, named: bool) {
    let report = &section.report;
    if named {
        text.push_str(&format!("== {} ==\n", report.model));
    }
    facts(text, &section.facts);
    if !section.facts.is_empty() {
        text.push('\n');
    }
    let Lines { head, lines } = lines(section);
    if !lines.is_empty() {
        let mut grid = vec![head.iter().map(|title| title.name.to_owned()).collect()];
        for line in &lines {
            let name = match line.about {
                About::Column(column) => plain(&column.name),
                other => other.name().to_owned(),
            };
            let mut row = vec![name, line.kind.to_owned(), line.state.as_str().to_owned()];
            row.extend_from_slice(&line.cells);
            grid.push(row);
        }
        aligned(text, &grid);
        text.push('\n');
    }
    for listing in &section.listings {
        text.push_str(listing.title);
        text.push('\n');
        if listing.rows.is_empty() {
            text.push_str(&format!("{}\n", listing.none));
        } else {
            let mut grid = vec![listing.head.iter().map(|&name| name.to_owned()).collect()];
            let cells = |row: &Vec<String>| row.iter().map(|cell| plain(cell)).collect();
            grid.extend(listing.rows.iter().map(cells));
            aligned(text, &grid);
        }
        text.push('\n');
    }
    for feature in sentences(report) {
        text.push_str(&format!("- {}\n", plain(&feature.sentence)));
    }
    text.push_str(&format!("{}\n", plain(&report.sentence)));
}

/// Columns as wide as what stands in them.
pub(in crate::cli) fn aligned(text: &mut String, grid: &[Vec<String>]) {
    let columns = grid.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| {
        let cells = grid.iter().filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in grid {
        let cells: Vec<String> = (row.iter().zip(&widths))
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
}
