//! Which line of a file a row stands in: asked only for errors, so the file is read again for it.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::problem::Place;
use super::source;
use super::table::Format;
use super::{csv, json};

/// The line, from 1, of the first row of the file at `path` that begins at byte `start` of its
/// text or behind the line ends there; 0 where the file cannot be read again.
pub(super) fn at(path: &Path, start: u64) -> u64 {
    source::text(path)
        .and_then(|text| counted(text, start))
        .unwrap_or_default()
}

/// Where row `row` (from 0) of the file at `path` stands.
pub(super) fn of_row(path: &Path, format: Format, row: usize) -> Place {
    let text = || source::text(path).ok();
    let line = match format {
        Format::Csv { delimiter } => text()
            .and_then(|text| csv::start_of(text, delimiter, row))
            .map(|start| at(path, start)),
        Format::JsonLines => text().and_then(|text| json::line_of(text, row)),
        Format::JsonArray | Format::Parquet => None,
    };
    line.map_or(Place::Row(row as u64 + 1), Place::Line)
}

fn counted(text: impl Read, start: u64) -> io::Result<u64> {
    let mut reader = BufReader::new(text);
    let (mut line, mut at) = (1, 0);
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(line);
        }
        for byte in buffer {
            match byte {
                b'\n' => line += 1,
                b'\r' => {}
                _ if at >= start => return Ok(line),
                _ => {}
            }
            at += 1;
        }
        let length = buffer.len();
        reader.consume(length);
    }
}
