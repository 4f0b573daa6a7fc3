//! CSV: a header line, then rows; the delimiter is `,`, `;`, tab or `|`, whichever the header has.

use std::io::{self, Read};
use std::path::Path;

use ::csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};

use super::line;
use super::meter::Meter;
use super::problem::{Place, Problem};
use super::table::{Format, Table};

/// Read at once from the file.
const BUFFER: usize = 256 << 10;

/// Reads the rows of `text` into a table.
pub(super) fn read(
    text: impl Read,
    delimiter: u8,
    path: &Path,
    memory: usize,
    meter: &mut Meter<'_>,
) -> Result<Table, Problem> {
    let mut reader = reader(text, delimiter);
    let mut record = ByteRecord::new();
    if !next(&mut reader, &mut record, path)? {
        return Err(Problem::Empty {
            path: path.to_owned(),
        });
    }
    let mut table = Table::new(Format::Csv { delimiter }, memory);
    check_text(&record, path)?;
    for name in &record {
        table.add_column(String::from_utf8_lossy(name).trim().to_owned());
    }
    let mut rows = 0;
    while next(&mut reader, &mut record, path)? {
        if record.len() != table.header.len() {
            return Err(Problem::Ragged {
                path: path.to_owned(),
                line: line::at(path, start(&record)),
                fields: record.len(),
                expected: table.header.len(),
            });
        }
        check_text(&record, path)?;
        for (column, field) in record.iter().enumerate() {
            table.store.put_untyped(column, rows, field);
        }
        table.store.relieve()?;
        rows += 1;
        meter.row(rows);
    }
    table.store.finish(rows)?;
    Ok(table)
}

/// Where row `row` of the table that `text` holds begins, in bytes; `None` where it has fewer.
pub(super) fn start_of(text: impl Read, delimiter: u8, row: usize) -> Option<u64> {
    let mut reader = reader(text, delimiter);
    let mut record = ByteRecord::new();
    // The header comes before row 0.
    for _ in 0..row + 2 {
        if !reader.read_byte_record(&mut record).ok()? {
            return None;
        }
    }
    Some(start(&record))
}

/// The delimiter the first line holds most of, outside quotes.
pub(super) fn sniff(start: &[u8]) -> u8 {
    const DELIMITERS: [u8; 4] = [b'|', b'\t', b';', b','];
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut quoted = false;
    let first = start.trim_ascii_start();
    for byte in first {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => break,
            _ if quoted => {}
            _ => {
                if let Some(at) = DELIMITERS.iter().position(|d| d == byte) {
                    counts[at] += 1;
                }
            }
        }
    }
    // Of equal counts the last wins: the comma, also where there is none of any.
    let most = (0..DELIMITERS.len()).max_by_key(|at| counts[*at]);
    most.map_or(b',', |at| DELIMITERS[at])
}

/// What to tell a person about a delimiter that is no comma.
pub(super) fn note(path: &Path, delimiter: u8) -> Option<String> {
    let word = match delimiter {
        b';' => "semicolons",
        b'\t' => "tabs",
        b'|' => "vertical bars",
        _ => return None,
    };
    Some(format!(
        "{}: columns are separated by {word}",
        path.display()
    ))
}

fn reader<R: Read>(text: R, delimiter: u8) -> Reader<R> {
    ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(BUFFER)
        .from_reader(text)
}

fn next(
    reader: &mut Reader<impl Read>,
    record: &mut ByteRecord,
    path: &Path,
) -> Result<bool, Problem> {
    reader.read_byte_record(record).map_err(|error| {
        let source = match error.into_kind() {
            ErrorKind::Io(source) => source,
            other => io::Error::other(format!("{other:?}")),
        };
        Problem::Unreadable {
            path: path.to_owned(),
            source,
        }
    })
}

/// Where a record begins.
fn start(record: &ByteRecord) -> u64 {
    record.position().map_or(0, ::csv::Position::byte)
}

/// Every field must be UTF-8. Most rows are ASCII, which is told for all fields at once.
fn check_text(record: &ByteRecord, path: &Path) -> Result<(), Problem> {
    if record.as_slice().is_ascii() {
        return Ok(());
    }
    let wrong = record
        .iter()
        .position(|field| std::str::from_utf8(field).is_err());
    wrong.map_or(Ok(()), |column| {
        let value = String::from_utf8_lossy(&record[column]);
        Err(Problem::NotUtf8 {
            path: path.to_owned(),
            place: Place::Line(line::at(path, start(record))),
            column: column + 1,
            value: value.chars().take(40).collect(),
        })
    })
}
