//! Why a body gives no rows or no answers, in the words of the window's `reason` column.

/// What is wrong with a body. Rows are counted from 1.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The tap kept only the beginning.
    #[error(
        "body larger than tap.max_body ({length} bytes, {captured} captured): raise tap.max_body to read it"
    )]
    Truncated { length: u64, captured: usize },
    /// It grew beyond the cap while it was decompressed.
    #[error(
        "body larger than tap.max_body once decompressed (more than {max} bytes): raise tap.max_body to read it"
    )]
    Inflated { max: usize },
    /// An encoding that is not known.
    #[error("content-encoding {encoding} is not read: gzip, deflate, br, zstd and identity are")]
    Encoding { encoding: String },
    /// More encodings than anyone needs.
    #[error("content-encoding lists {count} encodings: at most {most} are undone")]
    Encodings { count: usize, most: usize },
    /// Not what its encoding says, or cut short.
    #[error("invalid {encoding}: {what}")]
    Compressed {
        encoding: &'static str,
        what: String,
    },
    /// No bytes, or white space alone.
    #[error("empty body: JSON is expected")]
    Empty,
    /// Bytes that are no text.
    #[error("invalid UTF-8 at byte {at}: JSON in UTF-8 is expected")]
    Utf8 { at: usize },
    /// Not JSON, also not with `NaN` and `Infinity` allowed.
    #[error("invalid JSON: {what} at line {line} column {column}")]
    Json {
        what: String,
        line: usize,
        column: usize,
    },
    /// Deeper than a prediction ever is.
    #[error("JSON nested too deeply: more than 127 levels")]
    Depth,
    /// JSON of no known shape.
    #[error("unknown shape: the body is {found}; expected one of {expected}")]
    Shape { found: String, expected: String },
    /// More rows than one exchange may hold.
    #[error("too many rows: {rows}, at most {limit} are read from one exchange")]
    TooMany { rows: usize, limit: usize },
    /// A batch of lists with something else in it, or of objects.
    #[error("row {row} is {found}, the first row is {first}: all rows must have one shape")]
    Mixed {
        row: usize,
        found: &'static str,
        first: &'static str,
    },
    /// Positional values that do not match the features.
    #[error("row {row} has {values}, the model has {features}: {names}")]
    Count {
        row: usize,
        values: String,
        features: String,
        names: String,
    },
    /// Named values, none of them a feature.
    #[error("row {row} names no feature: it has {found}; the model has {expected}")]
    NoFeature {
        row: usize,
        found: String,
        expected: String,
    },
    /// A list or an object in the place of one value.
    #[error("row {row}: {name} is {found}, one value is expected")]
    Nested {
        row: usize,
        name: String,
        found: &'static str,
    },
    /// Answers and rows do not pair up.
    #[error("{answers} for {rows}: one answer per row is expected")]
    Answers { answers: String, rows: String },
    /// An answer whose values do not match the outputs.
    #[error("answer {row} has {values}, the model has {outputs}: {names}")]
    OutputCount {
        row: usize,
        values: String,
        outputs: String,
        names: String,
    },
    /// Named answers, none of them an output.
    #[error("answer {row} names no output: it has {found}; expected {expected}")]
    NoOutput {
        row: usize,
        found: String,
        expected: String,
    },
}

/// `count` with its noun: `1 value`, `5 values`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
