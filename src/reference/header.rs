//! Whether a file's header can be one.

use super::Config;
use super::problem::{Place, Problem};
use super::table::{Format, Table};
use super::wording::{list, unnamed};

/// What is wrong with the header itself, or with there being nothing under it.
pub(super) fn check(config: &Config, table: &mut Table, problems: &mut Vec<Problem>) {
    let path = || config.path.clone();
    let place = match table.format {
        Format::Csv { .. } => Place::Line(1),
        Format::JsonLines | Format::JsonArray | Format::Parquet => Place::File,
    };
    let nameless = table.header.iter().all(String::is_empty);
    for (position, name) in table.header.iter_mut().enumerate() {
        if !name.is_empty() {
            continue;
        }
        // pandas and R write the index under an empty name; reading it back gives this one.
        *name = unnamed(position);
        if nameless || (position > 0 && !config.columns.contains_key(name)) {
            let (path, column) = (path(), position + 1);
            problems.push(Problem::NoName {
                path,
                place,
                column,
            });
        }
    }
    if table.rows() == 0 {
        problems.push(Problem::NoRows { path: path() });
    }
    if place == Place::Line(1) && looks_like_data(config, &table.header) {
        let names = list(table.header.iter().map(String::as_str));
        problems.push(Problem::HeaderIsData {
            path: path(),
            names,
        });
        return;
    }
    for (second, name) in table.header.iter().enumerate() {
        if let Some(first) = table.header[..second]
            .iter()
            .position(|other| other == name)
        {
            problems.push(Problem::SameHeader {
                path: path(),
                place,
                name: name.clone(),
                first: first + 1,
                second: second + 1,
            });
        }
    }
}

/// Whether the names are a row of data: two of them, or half, are numbers that nobody configured
/// as names. Numbers that only count the columns are what pandas writes for columns without names.
fn looks_like_data(config: &Config, header: &[String]) -> bool {
    let meant = |name: &String| config.features.contains(name) || config.columns.contains_key(name);
    let numbers = header.iter().filter(|name| name.parse::<f64>().is_ok());
    let numbers: Vec<&String> = numbers.filter(|name| !meant(name)).collect();
    let counts = |start: usize| {
        (start..)
            .zip(&numbers)
            .all(|(i, name)| **name == i.to_string())
    };
    let many = numbers.len() >= 2 || numbers.len() * 2 >= header.len();
    many && !counts(0) && !counts(1)
}
