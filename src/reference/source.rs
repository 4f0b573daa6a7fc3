//! Files of any format: told by their content, not their name; gzip is looked through.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::meter::{Meter, Progress};
use super::problem::Problem;
use super::store::MEMORY;
use super::table::{Format, Table};
use super::{csv, json, parquet};

/// Looked at to find format and delimiter; longer headers than this are judged by their beginning.
const SNIFFED: u64 = 1 << 20;

const GZIP: &[u8] = b"\x1f\x8b";
const PARQUET: &[u8] = b"PAR1";
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A file as read.
#[derive(Debug)]
pub(super) struct Source {
    /// Its content.
    pub(super) table: Table,
    /// SHA-256 over its text, or over all bytes of a Parquet file; to be continued with how they
    /// are understood.
    pub(super) digest: Sha256,
    /// What a person should know.
    pub(super) notes: Vec<String>,
    /// Names of columns whose numbers are 32-bit floating point.
    pub(super) single: Vec<String>,
}

/// Reads the file at `path`, telling `tell` from time to time how far it is.
pub(super) fn read(path: &Path, tell: &mut dyn FnMut(Progress<'_>)) -> Result<Source, Problem> {
    let unreadable = |source| Problem::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let total = file.metadata().map_or(0, |data| data.len());
    let mut meter = Meter::new(path, total, tell);
    let mut file = meter.file(file);
    let mut begin = beginning(&mut file).map_err(unreadable)?;
    if is_parquet(&begin) {
        let digest = digest(Cursor::new(begin).chain(file)).map_err(unreadable)?;
        return parquet(path, digest, meter);
    }
    let mut text: Box<dyn Read> = Box::new(file);
    if begin.starts_with(GZIP) {
        text = Box::new(gunzip(Cursor::new(begin).chain(text)));
        begin = beginning(&mut text).map_err(unreadable)?;
        if is_parquet(&begin) {
            return Err(foreign(path, "Parquet within gzip", "decompress it"));
        }
    }
    if let Some((format, instead)) = known(&begin) {
        return Err(foreign(path, format, instead));
    }
    let mut digest = Sha256::new_with_prefix(&begin);
    let begin = begin.strip_prefix(MARK).unwrap_or(&begin);
    let format = format(begin);
    let rest = Hashing {
        inner: text,
        digest: &mut digest,
    };
    let text = meter.text(begin.chain(rest));
    let table = match format {
        Format::Csv { delimiter } => csv::read(text, delimiter, path, MEMORY, &mut meter),
        Format::JsonLines => json::read_lines(text, path, MEMORY, &mut meter),
        Format::JsonArray | Format::Parquet => json::read_array(text, path, MEMORY, &mut meter),
    }?;
    meter.end(table.rows());
    let note = match format {
        Format::Csv { delimiter } => csv::note(path, delimiter),
        _ => None,
    };
    Ok(Source {
        table,
        digest,
        notes: note.into_iter().collect(),
        single: Vec::new(),
    })
}

/// The text of the file at `path`, without a byte order mark, to be read again.
pub(super) fn text(path: &Path) -> io::Result<Box<dyn Read>> {
    let mut text: Box<dyn Read> = Box::new(File::open(path)?);
    let mut begin = beginning(&mut text)?;
    if begin.starts_with(GZIP) {
        text = Box::new(gunzip(Cursor::new(begin).chain(text)));
        begin = beginning(&mut text)?;
    }
    if begin.starts_with(MARK) {
        begin.drain(..MARK.len());
    }
    Ok(Box::new(Cursor::new(begin).chain(text)))
}

fn parquet(path: &Path, digest: Sha256, mut meter: Meter<'_>) -> Result<Source, Problem> {
    // All bytes have passed once for the hash; progress is about those that are read for content.
    meter.restart();
    let parquet::Content { table, single } = parquet::read(path, MEMORY, &mut meter)?;
    meter.end(table.rows());
    Ok(Source {
        table,
        digest,
        notes: Vec::new(),
        single,
    })
}

fn beginning(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut begin = Vec::new();
    reader.take(SNIFFED).read_to_end(&mut begin)?;
    Ok(begin)
}

fn gunzip(reader: impl Read) -> impl Read {
    MultiGzDecoder::new(BufReader::with_capacity(1 << 16, reader))
}

fn digest(mut reader: impl Read) -> io::Result<Sha256> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            return Ok(digest);
        }
        digest.update(&buffer[..read]);
    }
}

/// Whether a file begins as Parquet does. Behind the magic bytes comes a header in Thrift's compact
/// protocol, never text: a CSV header may begin with a column called `PAR1`.
fn is_parquet(begin: &[u8]) -> bool {
    let next = begin.strip_prefix(PARQUET).and_then(<[u8]>::first);
    next.is_some_and(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace())
}

/// What text is by its beginning: objects and arrays of objects are JSON, anything else is CSV.
fn format(begin: &[u8]) -> Format {
    let begin = begin.trim_ascii_start();
    if begin.starts_with(b"{") {
        return Format::JsonLines;
    }
    let inner = begin.strip_prefix(b"[").map(<[u8]>::trim_ascii_start);
    match inner.and_then(<[u8]>::first) {
        Some(b'{' | b'[' | b']') => Format::JsonArray,
        _ => Format::Csv {
            delimiter: csv::sniff(begin),
        },
    }
}

fn foreign(path: &Path, format: &'static str, instead: &'static str) -> Problem {
    Problem::Foreign {
        path: path.to_owned(),
        format,
        instead,
    }
}

/// What a file is by its first bytes, if it is certainly none of ours, and what to do about it.
fn known(begin: &[u8]) -> Option<(&'static str, &'static str)> {
    const EXPORT: &str = "export it as one of these";
    const UTF_8: &str = "save it as UTF-8";
    let known: [(&[u8], _, _); 13] = [
        (b"PK\x03\x04", "a zip archive or an Excel workbook", EXPORT),
        (b"SQLite format 3\0", "a SQLite database", EXPORT),
        (b"\x28\xb5\x2f\xfd", "Zstandard", "decompress it"),
        (b"BZh91AY", "bzip2", "decompress it"),
        (b"\xfd7zXZ\0", "xz", "decompress it"),
        (GZIP, "gzip within gzip", "decompress it"),
        (b"ARROW1\0\0", "an Arrow or Feather file", EXPORT),
        (b"Obj\x01", "Avro", EXPORT),
        (b"\x89HDF", "HDF5", EXPORT),
        (b"\x93NUMPY", "a NumPy array", EXPORT),
        (b"\x80\x04\x95", "a Python pickle", EXPORT),
        (b"\xff\xfe", "UTF-16 text", UTF_8),
        (b"\xfe\xff", "UTF-16 text", UTF_8),
    ];
    let found = known.iter().find(|(magic, ..)| begin.starts_with(magic));
    found.map(|(_, format, instead)| (*format, *instead))
}

/// A reader that hashes what passes.
struct Hashing<'a, R> {
    inner: R,
    digest: &'a mut Sha256,
}

impl<R: Read> Read for Hashing<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.digest.update(&buffer[..read]);
        Ok(read)
    }
}
