//! A file as a table of texts, column by column.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// What a format reader yields.
#[derive(Debug)]
pub(super) struct Table {
    /// The column names.
    pub(super) header: Vec<String>,
    /// One column for each name, all of the same length.
    pub(super) columns: Vec<Cells>,
    /// Where each row begins, in bytes from the start of the text; line ends and blank lines may
    /// come before its first character. Only errors need line numbers: [`line_at`] counts them.
    pub(super) starts: Vec<u64>,
}

/// The cells of one column, in one allocation.
#[derive(Debug, Default)]
pub(super) struct Cells {
    text: String,
    /// Where each cell ends in `text`.
    ends: Vec<u32>,
}

/// The words that stand for a missing value: few, so that comparing beats hashing.
#[derive(Debug)]
pub(super) struct Missing<'a>(Vec<&'a str>);

/// The line, from 1, of the first row of the file at `path` that begins at byte `start` or behind
/// the line ends there; 0 where the file cannot be read again.
pub(super) fn line_at(path: &Path, start: u64) -> u64 {
    counted(path, start).unwrap_or_default()
}

fn counted(path: &Path, start: u64) -> io::Result<u64> {
    let mut reader = BufReader::new(File::open(path)?);
    if reader.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
        reader.consume(3);
    }
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

// === impl Table ===

impl Table {
    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.starts.len()
    }

    /// Where the column called `name` stands.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|header| header == name)
    }
}

// === impl Cells ===

impl Cells {
    /// Appends a cell; false where the column would exceed 4 GiB of text.
    #[must_use]
    pub(super) fn push(&mut self, text: &str) -> bool {
        let Ok(end) = u32::try_from(self.text.len() + text.len()) else {
            return false;
        };
        self.text.push_str(text);
        self.ends.push(end);
        true
    }

    /// The cells in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let end = *end as usize;
            let cell = &self.text[start..end];
            start = end;
            cell
        })
    }
}

// === impl Missing ===

impl<'a> Missing<'a> {
    /// These words; white space around them does not count.
    pub(super) fn new(words: &'a [String]) -> Self {
        Self(words.iter().map(|word| word.trim()).collect())
    }

    /// Whether `text` stands for a missing value.
    pub(super) fn is(&self, text: &str) -> bool {
        let text = text.trim();
        self.0.contains(&text)
    }
}
