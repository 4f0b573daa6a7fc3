//! What a file seems to hold, for `driftd init`.

use std::collections::HashSet;

use super::FoundRole;
use super::kind;
use super::role::Found;
use super::table::{Cells, Missing, Table};

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
pub(super) fn inspect(table: &Table, found: &[Found], missing: &[String]) -> Vec<Inspected> {
    let missing = Missing::new(missing);
    let columns = table.header.iter().zip(&table.columns).zip(found);
    columns
        .map(|((name, cells), found)| {
            let guess = kind::guess(cells, &found.profile, &missing);
            let kind = guess.kind.map_or("unknown", crate::feature::Kind::as_str);
            Inspected {
                name: name.clone(),
                role: FoundRole::as_str(found.role),
                why: found.why,
                unclear: found.unclear,
                kind,
                kind_why: guess.why,
                examples: examples(cells, &missing),
                missing: found.profile.missing as f64 / table.rows().max(1) as f64,
            }
        })
        .collect()
}

fn examples(cells: &Cells, missing: &Missing<'_>) -> Vec<String> {
    let mut seen = HashSet::new();
    let (count, length) = EXAMPLES;
    let present = cells
        .iter()
        .take(LOOKED_AT)
        .filter(|cell| !missing.is(cell));
    let different = present.filter(|cell| seen.insert(*cell));
    let cut = |cell: &str| cell.trim().chars().take(length).collect();
    different.take(count).map(cut).collect()
}
