//! Many rows by few statements: to begin and end one costs as much as storing a narrow row.

use rusqlite::{Connection, Statement};

/// Most rows in one statement; more gain nothing.
const ROWS: usize = 16;

/// Most parameters in one statement: rows so wide that few fit cost more than their statement.
const PARAMETERS: usize = 512;

/// Stores `rows` in their order. `into` is the statement up to `VALUES`, `width` how many parameters a
/// row has, and `bind` binds those of one row, which come after as many as it is told.
pub(super) fn insert<T>(
    connection: &Connection,
    into: &str,
    width: usize,
    rows: &[T],
    bind: impl Fn(&mut Statement<'_>, usize, &T) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let at_once = (PARAMETERS / width).clamp(1, ROWS);
    let groups = rows.chunks_exact(at_once);
    let rest = groups.remainder();
    for (parts, count) in [(groups, at_once), (rest.chunks_exact(1), 1)] {
        if parts.len() == 0 {
            continue;
        }
        let mut statement = connection.prepare_cached(&sql(into, width, count))?;
        for part in parts {
            for (at, row) in part.iter().enumerate() {
                bind(&mut statement, at * width, row)?;
            }
            statement.raw_execute()?;
        }
    }
    Ok(())
}

fn sql(into: &str, width: usize, rows: usize) -> String {
    let row = format!("({})", vec!["?"; width].join(","));
    format!("{into} VALUES {}", vec![row; rows].join(","))
}
