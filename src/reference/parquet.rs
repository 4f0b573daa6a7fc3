//! Parquet: columns as they are, read row group by row group.
//!
//! 32-bit floating point numbers are read as their exact value (0.1 is 0.10000000149011612), which
//! is what a client sends that widens before it writes: Python's `float()` and `tolist()`,
//! JavaScript. A client that writes the shortest text of 32 bits (Go, orjson) sends 0.1 instead.

use std::fs::File;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use ::parquet::basic::Type as Physical;
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::DataType;
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::schema::types::ColumnDescriptor;

use super::meter::Meter;
use super::problem::Problem;
use super::raw::Raw;
use super::table::{Format, Table};

mod value;

use value::{Meaning, Scratch};

/// Values decoded at once. Few, as each may be a long text.
const BATCH: usize = 1024;

/// The content of a Parquet file.
pub(super) struct Content {
    pub(super) table: Table,
    /// Names of columns of 32-bit floating point numbers.
    pub(super) single: Vec<String>,
}

/// Reads the file at `path`.
pub(super) fn read(path: &Path, memory: usize, meter: &mut Meter<'_>) -> Result<Content, Problem> {
    // The decoder panics over some damaged files (`parquet` 60.1: a definition level cut short). It
    // leaves nothing behind that is used afterwards, and a broken file must not end the process.
    let read = AssertUnwindSafe(|| content(path, memory, meter));
    panic::catch_unwind(read).unwrap_or_else(|_| {
        Err(Problem::Unreadable {
            path: path.to_owned(),
            source: io::Error::new(io::ErrorKind::InvalidData, "the Parquet file is damaged"),
        })
    })
}

fn content(path: &Path, memory: usize, meter: &mut Meter<'_>) -> Result<Content, Problem> {
    let unreadable = |source| Problem::Unreadable {
        path: path.to_owned(),
        source,
    };
    let broken = |error: ParquetError| unreadable(io::Error::other(error));
    let file = File::open(path).map_err(unreadable)?;
    let reader = SerializedFileReader::new(file).map_err(broken)?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let mut table = Table::new(Format::Parquet, memory);
    let mut meanings = Vec::new();
    for column in schema.columns() {
        meanings.push(meaning(column, path)?);
        table.add_column(column.name().trim().to_owned());
    }
    let mut rows = 0;
    for number in 0..reader.num_row_groups() {
        let group = reader.get_row_group(number).map_err(broken)?;
        let in_group = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        for (place, meaning) in meanings.iter().enumerate() {
            let column = group.get_column_reader(place).map_err(broken)?;
            let mut filling = Filling {
                table: &mut table,
                place,
                row: rows,
                meaning,
                path,
                nullable: schema.column(place).max_def_level() > 0,
                scratch: Scratch::default(),
            };
            filling.fill(column)?;
            let read = filling.row - rows;
            if read != in_group {
                let said = format!("a row group of {in_group} rows has {read} in column {place}");
                return Err(broken(ParquetError::General(said)));
            }
            let bytes = group.metadata().column(place).compressed_size();
            meter.add(u64::try_from(bytes).unwrap_or(0));
            meter.row(rows);
        }
        rows += in_group;
    }
    table.store.finish(rows)?;
    let columns = schema.columns().iter();
    let single = columns.filter(|column| column.physical_type() == Physical::FLOAT);
    Ok(Content {
        table,
        single: single.map(|column| column.name().to_owned()).collect(),
    })
}

/// What the values of a column mean; an error where they are no single values.
fn meaning(column: &ColumnDescriptor, path: &Path) -> Result<Meaning, Problem> {
    let parts = column.path().parts();
    let holds = if column.max_rep_level() > 0 {
        "holds lists"
    } else if parts.len() > 1 {
        "holds structures"
    } else {
        match Meaning::of(column) {
            Ok(meaning) => return Ok(meaning),
            Err(holds) => holds,
        }
    };
    Err(Problem::Nested {
        path: path.to_owned(),
        name: parts.first().cloned().unwrap_or_default(),
        holds,
    })
}

/// One column chunk on its way into the table.
struct Filling<'a> {
    table: &'a mut Table,
    place: usize,
    /// The row that comes next.
    row: usize,
    meaning: &'a Meaning,
    path: &'a Path,
    nullable: bool,
    scratch: Scratch,
}

// === impl Filling ===

impl Filling<'_> {
    fn fill(&mut self, column: ColumnReader) -> Result<(), Problem> {
        let meaning = *self.meaning;
        match column {
            ColumnReader::BoolColumnReader(column) => {
                self.values(column, |value, _| Some(Raw::Bool(*value)))
            }
            ColumnReader::Int32ColumnReader(column) => {
                self.values(column, |value, scratch| meaning.int32(*value, scratch))
            }
            ColumnReader::Int64ColumnReader(column) => {
                self.values(column, |value, scratch| meaning.int64(*value, scratch))
            }
            ColumnReader::Int96ColumnReader(column) => self.values(column, |value, scratch| {
                let [low, high, day] = value.data() else {
                    return None;
                };
                value::int96([*low, *high, *day], scratch)
            }),
            ColumnReader::FloatColumnReader(column) => {
                self.values(column, |value, _| Some(Raw::Number(f64::from(*value))))
            }
            ColumnReader::DoubleColumnReader(column) => {
                self.values(column, |value, _| Some(Raw::Number(*value)))
            }
            ColumnReader::ByteArrayColumnReader(column) => self.values(column, |value, scratch| {
                meaning.bytes(value.data(), scratch)
            }),
            ColumnReader::FixedLenByteArrayColumnReader(column) => self
                .values(column, |value, scratch| {
                    meaning.bytes(value.data(), scratch)
                }),
        }
    }

    /// Puts every value of the chunk into its row. `raw` gives `None` for a value out of bounds.
    fn values<T: DataType>(
        &mut self,
        mut column: ColumnReaderImpl<T>,
        raw: impl for<'v> Fn(&'v T::T, &'v mut Scratch) -> Option<Raw<'v>>,
    ) -> Result<(), Problem> {
        let (mut values, mut levels) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        loop {
            values.clear();
            levels.clear();
            let (rows, ..) = column
                .read_records(BATCH, Some(&mut levels), None, &mut values)
                .map_err(|error| Problem::Unreadable {
                    path: self.path.to_owned(),
                    source: io::Error::other(error),
                })?;
            if rows == 0 {
                return Ok(());
            }
            let mut held = values.iter();
            for at in 0..rows {
                // A column of single values has one level: 1 where there is a value.
                let present = !self.nullable || levels.get(at).is_some_and(|level| *level > 0);
                if let Some(value) = present.then(|| held.next()).flatten() {
                    let row = self.row + at;
                    match raw(value, &mut self.scratch) {
                        Some(raw) => self.table.store.put(self.place, row, raw),
                        None => return Err(self.unfit(row)),
                    }
                }
            }
            self.row += rows;
            self.table.store.relieve()?;
        }
    }

    fn unfit(&self, row: usize) -> Problem {
        Problem::Unfit {
            path: self.path.to_owned(),
            row: row as u64 + 1,
            name: self.table.header[self.place].clone(),
            expected: self.meaning.describe(),
        }
    }
}
