//! A result in the shapes it is printed in. All of them say the same, from the same report.
//!
//! Invariant: nothing here decides. Tests, spans and states are whatever the report holds; none is
//! known by name, so that a new one is shown without a change here.

use crate::drift::explain;
use crate::drift::report::{CheckReport, FeatureReport, ModelReport, SpanName, State};
use crate::feature::Kind;

use super::output::Format;

mod html;
mod json;
mod markdown;
mod table;
mod text;

pub(super) use table::aligned;
pub(super) use text::plain;

#[cfg(test)]
mod tests;

/// A result: what was compared or read, and what came of it.
#[derive(Debug)]
pub(super) struct Document {
    /// The command that made it, such as `check`.
    pub(super) command: &'static str,
    /// What it is about: file names.
    pub(super) title: String,
    /// What holds for all of it.
    pub(super) facts: Vec<Fact>,
    /// One per model.
    pub(super) sections: Vec<Section>,
}

/// One model.
#[derive(Debug)]
pub(super) struct Section {
    /// What is known beyond the report.
    pub(super) facts: Vec<Fact>,
    /// The figures and verdicts.
    pub(super) report: ModelReport,
    /// How many tests share the significance: adjusted p-values are multiplied by it. `None`: they
    /// are not shown.
    pub(super) tests: Option<usize>,
    /// What else there is to list.
    pub(super) listings: Vec<Listing>,
    /// The JSON of this model, where it is not just the report's.
    pub(super) json: Option<serde_json::Value>,
}

/// A name and what stands behind it.
#[derive(Debug)]
pub(super) struct Fact {
    /// A word or two.
    pub(super) name: &'static str,
    /// Text of any content.
    pub(super) value: String,
}

/// A table beside the columns.
#[derive(Debug)]
pub(super) struct Listing {
    /// What it lists.
    pub(super) title: &'static str,
    /// Its head.
    pub(super) head: Vec<&'static str>,
    /// Its rows, as wide as the head.
    pub(super) rows: Vec<Vec<String>>,
    /// What stands in its place where there is no row.
    pub(super) none: &'static str,
}

/// The document in `format`, with a newline at its end.
pub(super) fn render(document: &Document, format: Format) -> String {
    match format {
        Format::Table => table::render(document),
        Format::Markdown => markdown::render(document),
        Format::Html => html::render(document),
        Format::Json => json::render(document),
    }
}

// === impl Fact ===

impl Fact {
    /// A fact.
    pub(super) fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self {
            name,
            value: value.into(),
        }
    }
}

/// The table of a model's columns: a line a test.
struct Lines<'a> {
    /// Titles of the cells.
    head: Vec<Title>,
    /// The lines, in the order of the report.
    lines: Vec<Line<'a>>,
}

/// The title of a cell.
struct Title {
    /// What it is called.
    name: &'static str,
    /// Whether it holds numbers.
    number: bool,
}

/// One test of one column.
struct Line<'a> {
    /// What it is about.
    about: About<'a>,
    /// The column's kind, where the line names it.
    kind: &'static str,
    /// What holds.
    state: State,
    /// A cell for each title after name, kind and state.
    cells: Vec<String>,
}

/// What a line is about.
#[derive(Debug, Clone, Copy)]
enum About<'a> {
    /// A column; the first line of several.
    Column(&'a FeatureReport),
    /// All columns together; the first line of several.
    All,
    /// The same as the line before.
    Same,
}

/// What stands where there is nothing to say.
const NOTHING: &str = "-";

/// Sets up the table of a model's columns.
fn lines(section: &Section) -> Lines<'_> {
    let report = &section.report;
    let every = || (report.features.iter().flat_map(|f| &f.checks)).chain(&report.checks);
    let spans = every().any(|check| check.span != SpanName::Main);
    let sizes = every().any(is_effect_size);
    let mut head = vec![("column", false), ("kind", false), ("state", false)];
    head.push(("test", false));
    if spans {
        head.push(("span", false));
    }
    head.extend([("statistic", true), ("threshold", true), ("p", true)]);
    if section.tests.is_some() {
        head.push(("p adj", true));
    }
    head.push(("n", true));
    if sizes {
        head.push(("effect sizes", false));
    }
    let shape = Shape {
        tests: section.tests,
        spans,
        sizes,
    };
    let columns = (report.features.iter()).flat_map(|f| shape.block(About::Column(f), &f.checks));
    let joint = shape.block(About::All, &report.checks);
    Lines {
        head: (head.into_iter())
            .map(|(name, number)| Title { name, number })
            .collect(),
        lines: columns.chain(joint).collect(),
    }
}

/// Which cells the lines have.
#[derive(Debug, Clone, Copy)]
struct Shape {
    tests: Option<usize>,
    spans: bool,
    sizes: bool,
}

// === impl About ===

impl About<'_> {
    /// What a line without markup begins with.
    fn name(self) -> &'static str {
        match self {
            Self::All => "(all columns)",
            Self::Column(_) | Self::Same => "",
        }
    }
}

// === impl Shape ===

impl Shape {
    /// The lines of one column, or of the tests over all of them.
    fn block<'a>(self, about: About<'a>, checks: &'a [CheckReport]) -> Vec<Line<'a>> {
        let (sizes, tests): (Vec<_>, Vec<_>) = checks.iter().partition(|c| is_effect_size(c));
        let line = |state: State, check: Option<&CheckReport>| Line {
            about: About::Same,
            kind: "",
            state,
            cells: self.cells(check),
        };
        // The tests beside the first speak up only where they found something.
        let told = tests.iter().enumerate();
        let told = told.filter(|(i, check)| *i == 0 || check.state != tests[0].state);
        let mut lines: Vec<Line<'a>> = told
            .map(|(_, check)| line(check.state, Some(check)))
            .collect();
        if let About::Column(column) = about {
            if lines.is_empty() {
                lines.push(line(column.state, None));
            }
            // What holds for the column and for none of its tests (accepted, say) is said first.
            if tests.iter().all(|check| check.state != column.state) {
                lines[0].state = column.state;
            }
        }
        if let Some(first) = lines.first_mut() {
            first.about = about;
            first.kind = match about {
                About::Column(column) => column.kind.map_or(NOTHING, Kind::as_str),
                About::All | About::Same => NOTHING,
            };
        }
        if self.sizes {
            let mut sizes = Some(sizes.into_iter().map(effect_size).collect::<Vec<_>>());
            for line in &mut lines {
                let sizes = sizes.take().unwrap_or_default();
                line.cells.push(sizes.join(", "));
            }
        }
        lines
    }

    /// Everything from the test on.
    fn cells(self, check: Option<&CheckReport>) -> Vec<String> {
        let of = |shown: &dyn Fn(&CheckReport) -> Option<String>| {
            check.and_then(shown).unwrap_or_else(|| NOTHING.to_owned())
        };
        let mut cells = vec![of(&|c| Some(c.test.as_str().to_owned()))];
        if self.spans {
            cells.push(of(&|c| Some(c.span.as_str().replace('_', " "))));
        }
        cells.push(of(&|c| c.statistic.map(explain::figure)));
        cells.push(of(&|c| c.threshold.map(explain::figure)));
        cells.push(of(&raw_p));
        if let Some(tests) = self.tests {
            cells.push(of(&|c| adjusted_p(c, tests)));
        }
        cells.push(of(&|c| Some(c.n_current.to_string())));
        cells
    }
}

/// Whether a check only says how large a difference is, and tests nothing.
const fn is_effect_size(check: &CheckReport) -> bool {
    check.test.is_effect()
}

/// An effect size in two words.
fn effect_size(check: &CheckReport) -> String {
    let value = (check.statistic).map_or_else(|| NOTHING.to_owned(), explain::figure);
    match check.span {
        SpanName::Main => format!("{} {value}", check.test.as_str()),
        span => format!("{} {value} ({})", check.test.as_str(), span.as_str()),
    }
}

/// The p-value scipy gives.
fn raw_p(check: &CheckReport) -> Option<String> {
    let log10_p = check.log10_p.or_else(|| check.p_value.map(f64::log10))?;
    Some(p_value(log10_p))
}

/// The p-value the decision used, by Bonferroni over `tests` tests: min(1, m·p).
fn adjusted_p(check: &CheckReport, tests: usize) -> Option<String> {
    let p = check.decision_p? * tests as f64;
    Some(p_value(p.min(1.0).log10()))
}

/// A p-value from its logarithm; one that a double could not hold is bounded instead.
fn p_value(log10_p: f64) -> String {
    if log10_p == f64::NEG_INFINITY {
        "< 1e-300".to_owned()
    } else {
        explain::p_value(log10_p)
    }
}

/// What reads better in bold: a verdict that something is wrong.
fn is_bad(state: State) -> bool {
    matches!(state, State::Drifted | State::TypeChanged)
}

/// The sentences of everything that is not as it should be.
fn sentences(report: &ModelReport) -> impl Iterator<Item = &FeatureReport> {
    report.features.iter().filter(|f| f.state != State::Ok)
}
