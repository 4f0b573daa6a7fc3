//! What is wrong with a configuration, said so that it can be put right.

use std::fmt;

/// One thing wrong: where it was written, what was written, what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, `environment variable X` or the flag it came from.
    pub origin: String,
    /// The key, dotted.
    pub key: String,
    /// The value as written, where there is one.
    pub value: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Everything wrong, reported at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            origin,
            key,
            value,
            message,
        } = self;
        match value {
            Some(value) => write!(f, "{origin}: {key} = {value}: {message}"),
            None if key.is_empty() => write!(f, "{origin}: {message}"),
            None => write!(f, "{origin}: {key}: {message}"),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{count} configuration error{plural}")?;
        self.0
            .iter()
            .try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}
