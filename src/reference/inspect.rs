//! What a file seems to hold, for `driftd init`.

use std::collections::HashSet;

use super::FoundRole;
use super::problem::Problem;
use super::profile;
use super::role::Found;
use super::store::Cells;
use super::table::{Missing, Table};

/// Values shown as examples at most, each cut to so many characters.
const EXAMPLES: (usize, usize) = (3, 30);

/// Rows looked at for examples.
const LOOKED_AT: usize = 1000;

/// One column as found.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspected {
    /// The name in the header; `Unnamed: 0` where an index has none.
    pub name: String,
    /// The likeliest role, as the word `columns` takes.
    pub role: &'static str,
    /// Why; reads on after the name.
    pub why: &'static str,
    /// Whether it might as well be a feature, so that someone must decide.
    pub unclear: bool,
    /// The kind: `numeric`, `categorical`, `text`, or `unknown` where there is no value.
    pub kind: &'static str,
    /// Why it has that kind; reads on after the name.
    pub kind_why: &'static str,
    /// The first few different values.
    pub examples: Vec<String>,
    /// Share of rows without a value, 0 to 1.
    pub missing: f64,
}

/// Looks at every column of a file.
pub(super) fn inspect(
    table: &Table,
    found: &[Found],
    missing: &[String],
) -> Result<Vec<Inspected>, Problem> {
    let missing = Missing::new(missing);
    let columns = table.header.iter().zip(found).enumerate();
    columns
        .map(|(position, (name, found))| {
            let kind = found.guess.kind;
            Ok(Inspected {
                name: name.clone(),
                role: FoundRole::as_str(found.role),
                why: found.why,
                unclear: found.unclear,
                kind: kind.map_or("unknown", crate::feature::Kind::as_str),
                kind_why: found.guess.why,
                examples: examples(table.store.cells(position), &missing)?,
                missing: found.profile.missing as f64 / table.rows().max(1) as f64,
            })
        })
        .collect()
}

fn examples(mut cells: Cells<'_>, missing: &Missing<'_>) -> Result<Vec<String>, Problem> {
    let mut seen = HashSet::new();
    let (count, length) = EXAMPLES;
    let mut examples = Vec::with_capacity(count);
    while let Some((row, raw)) = cells.next() {
        if row == LOOKED_AT || examples.len() == count {
            return Ok(examples);
        }
        if profile::is_missing(raw, missing) {
            continue;
        }
        let shown = raw.show();
        let cut = shown.trim().chars().take(length).collect();
        if seen.insert(shown) {
            examples.push(cut);
        }
    }
    cells.end().map(|()| examples)
}
