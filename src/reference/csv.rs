//! CSV: a header line, then rows; the delimiter is `,`, `;`, tab or `|`, whichever the header has.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use ::csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};
use sha2::{Digest, Sha256};

use super::problem::Problem;
use super::table::{Cells, Table, line_at};

/// Looked at to find the delimiter; longer headers than this are judged by their beginning.
const SNIFFED: u64 = 1 << 20;

/// A file as read.
#[derive(Debug)]
pub(super) struct Source {
    /// Its content.
    pub(super) table: Table,
    /// SHA-256 over all bytes of the file, to be continued with how they are understood.
    pub(super) digest: Sha256,
    /// What a person should know.
    pub(super) notes: Vec<String>,
}

/// Reads the file at `path`.
pub(super) fn read(path: &Path) -> Result<Source, Problem> {
    let unreadable = |source| Problem::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut file = Hashing {
        inner: File::open(path).map_err(unreadable)?,
        digest: Sha256::new(),
    };
    let mut start = Vec::new();
    let sniffed = (&mut file).take(SNIFFED).read_to_end(&mut start);
    sniffed.map_err(unreadable)?;
    if let Some((format, instead)) = foreign(&start) {
        return Err(Problem::Foreign {
            path: path.to_owned(),
            format,
            instead,
        });
    }
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&start);
    let delimiter = sniff(start);
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(start.chain(&mut file));
    let table = table(&mut reader, path)?;
    drop(reader);
    Ok(Source {
        table,
        digest: file.digest,
        notes: note(path, delimiter).into_iter().collect(),
    })
}

fn note(path: &Path, delimiter: u8) -> Option<String> {
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

fn table(reader: &mut Reader<impl Read>, path: &Path) -> Result<Table, Problem> {
    let mut record = ByteRecord::new();
    if !next(reader, &mut record, path)? {
        return Err(Problem::Empty {
            path: path.to_owned(),
        });
    }
    let mut header = Vec::with_capacity(record.len());
    for position in 0..record.len() {
        header.push(text(&record, position, path)?.trim().to_owned());
    }
    let mut table = Table {
        columns: header.iter().map(|_| Cells::default()).collect(),
        header,
        starts: Vec::new(),
    };
    while next(reader, &mut record, path)? {
        if record.len() != table.header.len() {
            return Err(Problem::Ragged {
                path: path.to_owned(),
                line: line_at(path, start(&record)),
                fields: record.len(),
                expected: table.header.len(),
            });
        }
        for (position, cells) in table.columns.iter_mut().enumerate() {
            if !cells.push(text(&record, position, path)?) {
                return Err(Problem::TooLarge {
                    path: path.to_owned(),
                    column: position + 1,
                });
            }
        }
        table.starts.push(start(&record));
    }
    Ok(table)
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

fn text<'a>(record: &'a ByteRecord, position: usize, path: &Path) -> Result<&'a str, Problem> {
    let bytes = &record[position];
    std::str::from_utf8(bytes).map_err(|_| Problem::NotUtf8 {
        path: path.to_owned(),
        line: line_at(path, start(record)),
        column: position + 1,
        value: String::from_utf8_lossy(bytes).chars().take(40).collect(),
    })
}

/// The delimiter the first line holds most of, outside quotes.
fn sniff(start: &[u8]) -> u8 {
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

/// What a file is by its first bytes, if it is certainly no CSV, and what to do about it.
fn foreign(start: &[u8]) -> Option<(&'static str, &'static str)> {
    const CSV: &str = "export it as CSV";
    let known: [(&[u8], _, _); 8] = [
        (b"PAR1", "Parquet", CSV),
        (b"\x1f\x8b", "gzip", "decompress it"),
        (b"PK\x03\x04", "a zip archive or an Excel workbook", CSV),
        (b"SQLite format 3\0", "a SQLite database", CSV),
        (b"\xff\xfe", "UTF-16 text", "save it as UTF-8"),
        (b"\xfe\xff", "UTF-16 text", "save it as UTF-8"),
        (b"{", "JSON", CSV),
        (b"[{", "JSON", CSV),
    ];
    let found = known.iter().find(|(magic, ..)| start.starts_with(magic));
    found.map(|(_, format, instead)| (*format, *instead))
}

/// A reader that hashes what passes.
struct Hashing<R> {
    inner: R,
    digest: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.digest.update(&buffer[..read]);
        Ok(read)
    }
}
