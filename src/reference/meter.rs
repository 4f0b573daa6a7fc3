//! How far a reading is, and how much of a file one row may take.

use std::cell::Cell;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;

/// How far the reading of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file.
    pub path: &'a Path,
    /// Rows read so far.
    pub rows: usize,
    /// Bytes of the file read so far; of a compressed file, compressed ones.
    pub bytes: u64,
    /// Bytes in the file; 0 where that is unknown, as of a pipe.
    pub total: u64,
}

/// Progress is told each time so many bytes were read, and at the end.
const STEP: u64 = 8 << 20;

/// The longest row. A quote left open makes a row of all the rest of a file, which must not be
/// held in memory to find that out.
const LONGEST_ROW: u64 = 256 << 20;

/// Tells how far the reading of one file is.
pub(super) struct Meter<'a> {
    tell: &'a mut dyn FnMut(Progress<'_>),
    path: &'a Path,
    total: u64,
    bytes: Rc<Cell<u64>>,
    /// Bytes of text since the last row.
    row: Rc<Cell<u64>>,
    /// Bytes at which to tell again.
    next: u64,
}

/// A reader that counts what passes.
pub(super) struct Counted<R> {
    inner: R,
    bytes: Rc<Cell<u64>>,
    limit: Option<u64>,
}

// === impl Meter ===

impl<'a> Meter<'a> {
    /// A meter for the file at `path` of `total` bytes.
    pub(super) fn new(path: &'a Path, total: u64, tell: &'a mut dyn FnMut(Progress<'_>)) -> Self {
        Self {
            tell,
            path,
            total,
            bytes: Rc::default(),
            row: Rc::default(),
            next: STEP,
        }
    }

    /// Counts the bytes of the file.
    pub(super) fn file<R: Read>(&self, inner: R) -> Counted<R> {
        Counted {
            inner,
            bytes: Rc::clone(&self.bytes),
            limit: None,
        }
    }

    /// Bounds the bytes of each row of the text in the file.
    pub(super) fn text<R: Read>(&self, inner: R) -> Counted<R> {
        Counted {
            inner,
            bytes: Rc::clone(&self.row),
            limit: Some(LONGEST_ROW),
        }
    }

    /// Another row has been read; `rows` in all.
    #[inline]
    pub(super) fn row(&mut self, rows: usize) {
        self.row.set(0);
        if self.bytes.get() >= self.next {
            self.tell(rows);
        }
    }

    /// So many bytes were read besides those that passed a counting reader.
    pub(super) fn add(&mut self, bytes: u64) {
        self.bytes.set(self.bytes.get() + bytes);
    }

    /// The file is read again from its beginning.
    pub(super) fn restart(&mut self) {
        self.bytes.set(0);
        self.next = STEP;
    }

    /// All has been read.
    pub(super) fn end(&mut self, rows: usize) {
        if self.total > 0 {
            self.bytes.set(self.total);
        }
        self.tell(rows);
    }

    fn tell(&mut self, rows: usize) {
        let bytes = self.bytes.get();
        self.next = bytes + STEP;
        (self.tell)(Progress {
            path: self.path,
            rows,
            bytes,
            total: self.total,
        });
    }
}

// === impl Counted ===

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.limit.is_some_and(|limit| self.bytes.get() > limit) {
            return Err(io::Error::other(format!(
                "a row is longer than {} MiB; is a quote or a bracket left open?",
                LONGEST_ROW >> 20
            )));
        }
        let read = self.inner.read(buffer)?;
        self.bytes.set(self.bytes.get() + read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_end_is_an_error_and_many_rows_are_none() {
        let mut tell = |_: Progress<'_>| {};
        let mut meter = Meter::new(Path::new("x"), 0, &mut tell);
        let mut text = meter.text(io::repeat(b'"'));
        let mut buffer = vec![0; 64 << 20];
        for rows in 0..8 {
            text.read_exact(&mut buffer).unwrap();
            meter.row(rows);
        }
        let read = (0..8).try_for_each(|_| text.read_exact(&mut buffer));
        let said = read.unwrap_err().to_string();
        assert!(said.starts_with("a row is longer than 256 MiB"), "{said}");
    }
}
