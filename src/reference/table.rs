//! A file as a table, and which of its texts stand for no value.

use super::store::Store;

/// What a format reader yields.
#[derive(Debug)]
pub(super) struct Table {
    /// The column names.
    pub(super) header: Vec<String>,
    /// The cells, a column for each name.
    pub(super) store: Store,
    /// What the file is written in.
    pub(super) format: Format,
}

/// What a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Fields behind delimiters, under a header line.
    Csv {
        /// The delimiter.
        delimiter: u8,
    },
    /// One JSON object per line.
    JsonLines,
    /// A JSON array of objects.
    JsonArray,
    /// Apache Parquet.
    Parquet,
}

/// The words that stand for a missing value: few, so that comparing beats hashing.
#[derive(Debug)]
pub(super) struct Missing<'a> {
    words: Vec<&'a str>,
    /// Whether some word begins with this byte; most texts are told by it.
    begins: [bool; 256],
}

// === impl Table ===

impl Table {
    /// A table without columns or rows.
    pub(super) const fn new(format: Format, memory: usize) -> Self {
        Self {
            header: Vec::new(),
            store: Store::new(memory),
            format,
        }
    }

    /// Adds a column behind the others.
    pub(super) fn add_column(&mut self, name: String) {
        self.header.push(name);
        self.store.add_column();
    }

    /// How many rows there are.
    pub(super) const fn rows(&self) -> usize {
        self.store.rows()
    }

    /// Where the column called `name` stands.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|header| header == name)
    }
}

// === impl Missing ===

impl<'a> Missing<'a> {
    /// These words; white space around them does not count.
    pub(super) fn new(words: &'a [String]) -> Self {
        let words: Vec<&str> = words.iter().map(|word| word.trim()).collect();
        let mut begins = [false; 256];
        for first in words.iter().filter_map(|word| word.bytes().next()) {
            begins[usize::from(first)] = true;
        }
        Self { words, begins }
    }

    /// Whether `text`, which has no white space around it, stands for a missing value.
    #[inline]
    pub(super) fn is(&self, text: &str) -> bool {
        let possible = text
            .bytes()
            .next()
            .is_none_or(|first| self.begins[usize::from(first)]);
        possible && self.words.contains(&text)
    }
}
