//! What can be wrong with a reference file or with how it is configured, and what would be right.

use std::fmt;
use std::path::PathBuf;

use crate::feature::Kind;

use super::wording::unnamed;

/// Every problem found in one reading; at least one.
#[derive(Debug)]
pub struct Errors(pub Vec<Problem>);

/// Where in a file something stands; written behind the file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the file as a whole.
    File,
    /// In a line of a text file, from 1.
    Line(u64),
    /// In a row of a file that has no lines, from 1.
    Row(u64),
}

/// One thing that is wrong. Lines and columns are counted from 1, the header being line 1.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file cannot be opened or read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is certainly of another format.
    #[error("{}: is {format}, not CSV, JSON Lines or Parquet: {instead}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        format: &'static str,
        /// What to do.
        instead: &'static str,
    },
    /// The file has not even a header.
    #[error("{}: is empty; a header line and rows are expected", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// There is a header and nothing under it.
    #[error("{}: has a header but no rows", path.display())]
    NoRows {
        /// The file.
        path: PathBuf,
    },
    /// A field that is no text.
    #[error("{}{place}, column {column}: {value:?} is not UTF-8; save the file as UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Its line.
        place: Place,
        /// Its position, from 1.
        column: usize,
        /// The value as it stands there, cut if long.
        value: String,
    },
    /// A row with more or fewer fields than the header.
    #[error("{}, line {line}: has {fields} field{}, the header has {expected}{}", path.display(), if *fields == 1 { "" } else { "s" }, ragged_hint(*line, *fields, *expected))]
    Ragged {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// How many it has.
        fields: usize,
        /// How many the header has.
        expected: usize,
    },
    /// A line that is no flat JSON object.
    #[error("{}, line {line}: {what}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A column of a Parquet file that holds no single values.
    #[error("{}: column {name:?} {holds}, which cannot be compared; write it as columns of numbers, strings, booleans or times, or leave it out of the file", path.display())]
    Nested {
        /// The file.
        path: PathBuf,
        /// The column.
        name: String,
        /// What it holds; reads on after the name.
        holds: &'static str,
    },
    /// A value of a Parquet file that its column's type does not allow.
    #[error("{}, row {row}: {name:?} is not {expected}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Its row, from 1.
        row: u64,
        /// The column.
        name: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The temporary file that large files are put into fails.
    #[error("{}: temporary data: {source}; let TMPDIR name a folder with more room", folder.display())]
    Temporary {
        /// Where it is.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A column without a name that is no index.
    #[error("{}{place}: column {column} has no name; name it in the header (`columns` knows it as {:?})", path.display(), unnamed(*column - 1))]
    NoName {
        /// The file.
        path: PathBuf,
        /// Its header.
        place: Place,
        /// Its position, from 1.
        column: usize,
    },
    /// Two columns of one name.
    #[error("{}{place}: the name {name:?} stands in columns {first} and {second}; names must differ", path.display())]
    SameHeader {
        /// The file.
        path: PathBuf,
        /// Its header.
        place: Place,
        /// The column or output.
        name: String,
        /// Position of the first, from 1.
        first: usize,
        /// Position of the second, from 1.
        second: usize,
    },
    /// The first line is a row.
    #[error("{}, line 1: looks like data, not like names ({names}); put a header line before it, or name these columns in `features` if they are really called so", path.display())]
    HeaderIsData {
        /// The file.
        path: PathBuf,
        /// The names concerned.
        names: String,
    },
    /// A role that does not exist.
    #[error(
        "columns: {column:?} has the role {word:?}; write feature, output, output:NAME, target, time, id or ignore{suggestion}"
    )]
    UnknownRole {
        /// The column in the header.
        column: String,
        /// The word that was written.
        word: String,
        /// The likely meaning, or empty.
        suggestion: String,
    },
    /// A name that is not in the header.
    #[error("{key}: {} has no column {name:?}{suggestion}; it has {names}", path.display())]
    UnknownColumn {
        /// The configuration key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The column or output.
        name: String,
        /// The likely meaning, or empty.
        suggestion: String,
        /// The names concerned.
        names: String,
    },
    /// A name listed twice.
    #[error("{key}: {name:?} stands there twice; name each column once")]
    Twice {
        /// The configuration key.
        key: &'static str,
        /// The column or output.
        name: String,
    },
    /// Two settings that give one column different roles.
    #[error("{key}: names {name:?}, which `columns` makes {role}; remove one of the two")]
    Contradiction {
        /// The configuration key.
        key: &'static str,
        /// The column or output.
        name: String,
        /// What else it is.
        role: String,
    },
    /// An order that lacks columns.
    #[error("{key}: leaves out {names}; add them where they belong in the order, or write {write}")]
    LeftOut {
        /// The configuration key.
        key: &'static str,
        /// The names concerned.
        names: String,
        /// TOML that settles it.
        write: String,
    },
    /// An output that is probably another column.
    #[error(
        "outputs: {} has no column {name:?}, and {near:?} is close; write {near:?}, or settle that column first: columns = {{ {write} }}",
        path.display()
    )]
    OutputMisspelt {
        /// The file.
        path: PathBuf,
        /// The column or output.
        name: String,
        /// The column that is probably meant.
        near: String,
        /// TOML that settles it.
        write: String,
    },
    /// A column that may or may not be a feature.
    #[error(
        "{}, column {position}: {name:?} {why}, so positional values could mean two orders; write columns = {{ {first} }} or columns = {{ {second} }} (`driftd init` writes a file with all of them)",
        path.display()
    )]
    Unclear {
        /// The file.
        path: PathBuf,
        /// Its position, from 1.
        position: usize,
        /// The column or output.
        name: String,
        /// What makes it unclear.
        why: &'static str,
        /// TOML for the likelier role.
        first: String,
        /// TOML for a feature.
        second: String,
    },
    /// Nothing to check.
    #[error("{}: no column is left as a feature ({found}); write columns = {{ NAME = \"feature\" }}", path.display())]
    NoFeatures {
        /// The file.
        path: PathBuf,
        /// What every column was taken for.
        found: String,
    },
    /// An output called like another column.
    #[error(
        "two columns of the model would be called {name:?}; rename the output: columns = {{ COLUMN = \"output:OTHER\" }} or outputs = [\"OTHER\"]"
    )]
    SameName {
        /// The column or output.
        name: String,
    },
    /// A kind that the values contradict.
    #[error("{}{place}: {name:?} is {value:?}, which is no number; kind = \"numeric\" does not fit, write \"categorical\" or \"text\", or {missing}", path.display())]
    KindImpossible {
        /// The file.
        path: PathBuf,
        /// Its line or row.
        place: Place,
        /// The column or output.
        name: String,
        /// The value as it stands there, cut if long.
        value: String,
        /// How such a value is made a missing one.
        missing: &'static str,
    },
    /// Free text that the file says is none.
    #[error("{}{place}: {name:?} is {value}, which is no string; kind = \"text\" does not fit, write \"numeric\" or \"categorical\"", path.display())]
    NoText {
        /// The file.
        path: PathBuf,
        /// Its line or row.
        place: Place,
        /// The column or output.
        name: String,
        /// The value as it stands there.
        value: String,
    },
    /// A kind for a column that has no use for it.
    #[error(
        "kind of {name:?}: the column is not checked ({role}); remove it, or write columns = {{ {write} }}"
    )]
    KindUnchecked {
        /// The column or output.
        name: String,
        /// The kind that was set.
        kind: Kind,
        /// What else it is.
        role: String,
        /// TOML that settles it.
        write: String,
    },
    /// A profile that is damaged, or of another version.
    #[error("{}: {place}{}{message}", path.display(), if place.is_empty() { "" } else { ": " })]
    Profile {
        /// The file.
        path: PathBuf,
        /// The column and field; empty for the whole.
        place: String,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// A setting that a profile has settled otherwise.
    #[error(
        "{key}: {message}; remove it, or make {} anew with it in `driftd profile`",
        path.display()
    )]
    Contradicts {
        /// The configuration key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is said here and there.
        message: String,
    },
    /// A file that has nothing in common with the reference.
    #[error("{}: holds none of the reference's columns: {names}", path.display())]
    NoColumns {
        /// The file.
        path: PathBuf,
        /// The names concerned.
        names: String,
    },
}

// === impl Place ===

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => Ok(()),
            Self::Line(line) => write!(f, ", line {line}"),
            Self::Row(row) => write!(f, ", row {row}"),
        }
    }
}

// === impl Errors ===

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Errors {}

impl IntoIterator for Errors {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

// === impl Problem ===

impl Problem {
    /// The configuration key to look at.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::UnknownRole { .. } | Self::Unclear { .. } | Self::NoFeatures { .. } => "columns",
            Self::UnknownColumn { key, .. }
            | Self::Twice { key, .. }
            | Self::Contradiction { key, .. }
            | Self::LeftOut { key, .. }
            | Self::Contradicts { key, .. } => key,
            Self::OutputMisspelt { .. } | Self::SameName { .. } => "outputs",
            Self::KindImpossible { .. } | Self::NoText { .. } | Self::KindUnchecked { .. } => {
                "kind"
            }
            _ => "reference",
        }
    }
}

fn ragged_hint(line: u64, fields: usize, expected: usize) -> &'static str {
    if line == 2 && fields == expected + 1 {
        "; the first column seems to lack a name (R's row names)"
    } else {
        ""
    }
}
