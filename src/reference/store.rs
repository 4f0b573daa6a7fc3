//! The cells of a file, column by column: in memory up to a limit, beyond it in a temporary file.
//!
//! A file comes row by row and is wanted column by column. Cells are appended to one block per
//! column; when all blocks together exceed the limit, each goes to the temporary file as one chunk,
//! so that a column is read back in few long reads. The file has no name and so cannot outlive us.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::problem::Problem;
use super::raw::{self, Entry, Raw};

/// Bytes of cells held in memory before they go to the temporary file: enough for most references,
/// little beside what a check needs anyway.
pub(super) const MEMORY: usize = 128 << 20;

/// Cells in columns.
#[derive(Debug)]
pub(super) struct Store {
    columns: Vec<Column>,
    /// Rows that every column has.
    rows: usize,
    /// Bytes of cells in memory.
    held: usize,
    /// Most bytes of cells in memory.
    limit: usize,
    /// Where chunks lie; none before the limit is reached.
    file: Option<File>,
    /// Bytes in `file`.
    written: u64,
}

/// The cells of one column: those in the temporary file, then those in memory, then nulls up to
/// the number of rows.
#[derive(Debug, Default)]
struct Column {
    chunks: Vec<Chunk>,
    block: Vec<u8>,
    /// Rows written so far.
    rows: usize,
}

/// A block in the temporary file.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    start: u64,
    length: usize,
}

/// The cells of one column in order. Holds one chunk at a time.
#[derive(Debug)]
pub(super) struct Cells<'a> {
    store: &'a Store,
    column: &'a Column,
    /// The chunk read last, and its place among the column's.
    chunk: Vec<u8>,
    chunks: usize,
    /// Place in `chunk`, or in the column's block once all chunks are read.
    at: usize,
    in_block: bool,
    /// Cells without a value still to be given out.
    nulls: u64,
    /// Rows given out.
    row: usize,
    failed: Option<io::Error>,
}

// === impl Store ===

impl Store {
    /// No columns yet; at most about `limit` bytes of cells stay in memory.
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            columns: Vec::new(),
            rows: 0,
            held: 0,
            limit,
            file: None,
            written: 0,
        }
    }

    /// Adds a column that has no value in any row so far.
    pub(super) fn add_column(&mut self) {
        self.columns.push(Column::default());
    }

    /// How many rows there are; 0 before [`Store::finish`].
    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    /// Whether the column holds a cell of that row or a later one.
    pub(super) fn holds(&self, column: usize, row: usize) -> bool {
        self.columns[column].rows > row
    }

    /// Puts a cell into a row that the column has not reached; rows passed over hold no value.
    pub(super) fn put(&mut self, column: usize, row: usize, cell: Raw<'_>) {
        let column = &mut self.columns[column];
        let before = column.block.len();
        column.reach(row);
        raw::write(&mut column.block, cell);
        self.held += column.block.len() - before;
    }

    /// [`Store::put`] of [`Raw::Untyped`], whose text the caller knows to be UTF-8.
    #[inline]
    pub(super) fn put_untyped(&mut self, column: usize, row: usize, text: &[u8]) {
        let column = &mut self.columns[column];
        let before = column.block.len();
        column.reach(row);
        raw::write_untyped(&mut column.block, text);
        self.held += column.block.len() - before;
    }

    /// Moves all blocks to the temporary file where they exceed the limit. To be called between
    /// rows, or between any few cells.
    #[inline]
    pub(super) fn relieve(&mut self) -> Result<(), Problem> {
        if self.held > self.limit {
            self.spill().map_err(spilling)?;
        }
        Ok(())
    }

    /// There are `rows` rows in all; nothing is put any more.
    pub(super) fn finish(&mut self, rows: usize) -> Result<(), Problem> {
        self.rows = rows;
        if self.file.is_some() {
            self.spill().map_err(spilling)?;
        }
        for column in &mut self.columns {
            column.block.shrink_to_fit();
        }
        Ok(())
    }

    /// The cells of a column, [`Store::rows`] of them.
    pub(super) fn cells(&self, column: usize) -> Cells<'_> {
        Cells {
            store: self,
            column: &self.columns[column],
            chunk: Vec::new(),
            chunks: 0,
            at: 0,
            in_block: false,
            nulls: 0,
            row: 0,
            failed: None,
        }
    }

    /// Frees what memory a column takes; its cells are wanted no more.
    pub(super) fn forget(&mut self, column: usize) {
        let block = std::mem::take(&mut self.columns[column].block);
        self.held -= block.len();
    }

    fn spill(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(tempfile::tempfile()?);
        }
        let Some(file) = &self.file else {
            return Ok(());
        };
        for column in &mut self.columns {
            let length = column.block.len();
            if length == 0 {
                continue;
            }
            file.write_all_at(&column.block, self.written)?;
            column.chunks.push(Chunk {
                start: self.written,
                length,
            });
            self.written += length as u64;
            column.block.clear();
        }
        self.held = 0;
        Ok(())
    }
}

fn spilling(source: io::Error) -> Problem {
    Problem::Temporary {
        folder: std::env::temp_dir(),
        source,
    }
}

// === impl Column ===

impl Column {
    #[inline]
    fn reach(&mut self, row: usize) {
        if row > self.rows {
            raw::write_nulls(&mut self.block, (row - self.rows) as u64);
        }
        self.rows = row + 1;
    }
}

// === impl Cells ===

impl Cells<'_> {
    /// The next cell with its row, from 0. `None` behind the last one, and where the temporary
    /// file cannot be read, which [`Cells::end`] tells apart.
    #[inline]
    pub(super) fn next(&mut self) -> Option<(usize, Raw<'_>)> {
        if self.row >= self.store.rows || self.failed.is_some() {
            return None;
        }
        let row = self.row;
        self.row += 1;
        if self.nulls == 0 && !self.refill() {
            return self.failed.is_none().then_some((row, Raw::Null));
        }
        if self.nulls > 0 {
            self.nulls -= 1;
            return Some((row, Raw::Null));
        }
        let block = if self.in_block {
            &self.column.block
        } else {
            &self.chunk
        };
        match raw::read(block, &mut self.at) {
            Ok(Entry::Cell(cell)) => Some((row, cell)),
            Ok(Entry::Nulls(count)) => {
                self.nulls = count.saturating_sub(1);
                Some((row, Raw::Null))
            }
            Err(error) => {
                self.failed = Some(error);
                None
            }
        }
    }

    /// Whether all cells could be read.
    ///
    /// # Errors
    ///
    /// Where the temporary file could not be read.
    pub(super) fn end(self) -> Result<(), Problem> {
        self.failed.map_or(Ok(()), |source| Err(spilling(source)))
    }

    /// Whether there is a cell at hand, reading the next chunk if need be.
    #[inline]
    fn refill(&mut self) -> bool {
        if self.in_block {
            return self.at < self.column.block.len();
        }
        self.at < self.chunk.len() || self.advance()
    }

    fn advance(&mut self) -> bool {
        self.at = 0;
        let (Some(chunk), Some(file)) = (self.column.chunks.get(self.chunks), &self.store.file)
        else {
            self.chunk = Vec::new();
            self.in_block = true;
            return !self.column.block.is_empty();
        };
        self.chunks += 1;
        self.chunk.resize(chunk.length, 0);
        match file.read_exact_at(&mut self.chunk, chunk.start) {
            Ok(()) => true,
            Err(error) => {
                self.failed = Some(error);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(store: &Store, column: usize) -> Vec<String> {
        let mut cells = store.cells(column);
        let mut shown = Vec::new();
        while let Some((row, cell)) = cells.next() {
            assert_eq!(row, shown.len());
            shown.push(cell.show());
        }
        cells.end().unwrap();
        shown
    }

    #[test]
    fn columns_come_back_the_same_from_memory_and_from_the_temporary_file() {
        let filled = |limit: usize| {
            let mut store = Store::new(limit);
            store.add_column();
            store.add_column();
            for row in 0..1000 {
                store.put(0, row, Raw::Untyped(&format!("value {row}")));
                if row == 500 {
                    store.add_column();
                }
                if row % 3 == 1 {
                    store.put(1, row, Raw::Number(row as f64));
                }
                if row == 700 {
                    store.put(2, row, Raw::Bool(true));
                }
                store.relieve().unwrap();
            }
            store.finish(1000).unwrap();
            store
        };
        let (held, spilled) = (filled(usize::MAX), filled(500));
        assert!(held.file.is_none());
        assert!(spilled.written > 10_000 && spilled.columns[0].chunks.len() > 20);
        assert!(spilled.columns.iter().all(|column| column.block.is_empty()));
        for column in 0..3 {
            assert_eq!(shown(&held, column), shown(&spilled, column), "{column}");
        }
        assert_eq!(shown(&spilled, 0)[999], "value 999");
        assert_eq!(shown(&spilled, 1)[1..5], ["1.0", "", "", "4.0"]);
        let last = shown(&spilled, 2);
        assert_eq!((last.len(), last[700].as_str()), (1000, "true"));
        assert_eq!(last.iter().filter(|cell| cell.is_empty()).count(), 999);
    }

    #[test]
    fn a_forgotten_column_takes_no_memory() {
        let mut store = Store::new(usize::MAX);
        store.add_column();
        store.put(0, 0, Raw::Text("some text"));
        store.finish(1).unwrap();
        store.forget(0);
        assert_eq!((store.held, store.columns[0].block.capacity()), (0, 0));
    }

    #[test]
    fn a_temporary_file_that_cannot_be_written_says_what_to_do() {
        let mut store = Store::new(0);
        store.add_column();
        // A file without room: every write to it fails with ENOSPC.
        store.file = Some(File::options().write(true).open("/dev/full").unwrap());
        store.put(0, 0, Raw::Text("some text"));
        let said = store.relieve().unwrap_err().to_string();
        let folder = std::env::temp_dir();
        let expected = format!("{}: temporary data: No space left", folder.display());
        assert!(said.starts_with(&expected), "{said}");
        assert!(
            said.ends_with("let TMPDIR name a folder with more room"),
            "{said}"
        );
    }
}
