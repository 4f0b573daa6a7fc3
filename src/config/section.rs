//! Reads one table of the merged settings, key by key, and collects every problem on the way
//! instead of stopping at the first.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

use config::{Map, Value, ValueKind};

use super::problem::Problem;

/// What is shown of a value that is secret, or may be.
pub(super) const HIDDEN: &str = "\"***\"";

/// Where the problems of all sections go.
#[derive(Debug, Default)]
pub(super) struct Collector(RefCell<Vec<Problem>>);

/// One table being read. Keys nobody asked for are reported by [`Section::finish`].
#[derive(Debug)]
pub(super) struct Section<'a> {
    /// Dotted path of the table, empty at the top.
    path: String,
    origin: String,
    entries: Map<String, Value>,
    asked: BTreeSet<&'static str>,
    problems: &'a Collector,
}

// === impl Collector ===

impl Collector {
    /// Notes a problem.
    pub(super) fn push(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    /// All problems, in the order they were found.
    pub(super) fn into_vec(self) -> Vec<Problem> {
        self.0.into_inner()
    }
}

// === impl Section ===

impl<'a> Section<'a> {
    /// Begins reading `value`, which should be a table.
    pub(super) fn new(path: &str, value: Value, problems: &'a Collector) -> Self {
        let origin = origin_of(&value);
        let shown = show(&value.kind);
        let entries = match value.kind {
            ValueKind::Table(entries) => entries,
            ValueKind::Nil => Map::default(),
            _ => {
                problems.push(Problem {
                    origin: origin.clone(),
                    key: path.to_owned(),
                    value: Some(shown),
                    message: format!("write a table: [{path}]"),
                });
                Map::default()
            }
        };
        Self {
            path: path.to_owned(),
            origin,
            entries,
            asked: BTreeSet::new(),
            problems,
        }
    }

    /// Reports keys that nobody asked for, with the closest one that exists.
    pub(super) fn finish(self) {
        for (key, value) in &self.entries {
            let close = (self.asked.iter())
                .map(|known| (strsim::damerau_levenshtein(known, key), *known))
                .filter(|(distance, _)| *distance <= 3)
                .min();
            let message = match close {
                Some((_, known)) => format!("no such key; did you mean `{known}`?"),
                None => {
                    let known: Vec<&str> = self.asked.iter().copied().collect();
                    format!("no such key; the keys here are: {}", known.join(", "))
                }
            };
            self.problems.push(Problem {
                origin: origin_of(value),
                key: self.full(key),
                value: None,
                message,
            });
        }
    }

    /// Where this table was written.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether `key` was given.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Whether the value of `key` is a table.
    pub(super) fn has_table(&self, key: &str) -> bool {
        let value = self.entries.get(key);
        value.is_some_and(|value| matches!(value.kind, ValueKind::Table(_)))
    }

    /// The raw value of `key`.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value> {
        self.asked.insert(key);
        self.entries.remove(key)
    }

    /// The table at `key`, empty where it was not given.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'a> {
        let value = self
            .take(key)
            .unwrap_or_else(|| Value::new(None, ValueKind::Nil));
        Section::new(&self.full(key), value, self.problems)
    }

    /// The list of tables at `key`.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let path = self.full(key);
        match value.kind {
            ValueKind::Array(items) => (items.into_iter().enumerate())
                .map(|(i, item)| Section::new(&format!("{path}[{i}]"), item, self.problems))
                .collect(),
            ref other => {
                let message = format!("write a list of tables: [[{path}]]");
                self.problem(key, &value, show(other), message);
                Vec::new()
            }
        }
    }

    /// One table or a list of tables at `key`, of which no problem shows a value: any may be a secret.
    pub(super) fn secret_sections(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let path = self.full(key);
        let (one, items) = match value.kind {
            ValueKind::Table(_) => (true, vec![value]),
            ValueKind::Array(items) => (false, items),
            _ => {
                let message = format!("write a table: [{path}]");
                self.problem(key, &value, HIDDEN.to_owned(), message);
                return Vec::new();
            }
        };
        let mut sections = Vec::new();
        for (i, item) in items.into_iter().enumerate() {
            if matches!(item.kind, ValueKind::Table(_)) {
                let path = if one {
                    path.clone()
                } else {
                    format!("{path}[{i}]")
                };
                sections.push(Section::new(&path, item, self.problems));
            } else {
                let message = format!("write a list of tables: [[{path}]]");
                self.problem(key, &item, HIDDEN.to_owned(), message);
            }
        }
        sections
    }

    /// A word or sentence.
    pub(super) fn string(&mut self, key: &'static str) -> Option<String> {
        self.parse(key, "a string", |text| Ok(text.to_owned()))
    }

    /// Whatever `FromStr` reads; `right` says what would be right.
    pub(super) fn parse<T>(
        &mut self,
        key: &'static str,
        right: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.take(key)?;
        let Some(text) = scalar(&value.kind) else {
            self.problem(key, &value, show(&value.kind), format!("write {right}"));
            return None;
        };
        read(&text)
            .map_err(|why| {
                let message = if why.is_empty() {
                    format!("write {right}")
                } else {
                    format!("{why}; write {right}")
                };
                self.problem(key, &value, show(&value.kind), message);
            })
            .ok()
    }

    /// A whole number of at least `least`.
    pub(super) fn count(&mut self, key: &'static str, least: u64) -> Option<u64> {
        let right = format!(
            "a whole number of at least {least}, such as {}",
            least.max(200)
        );
        self.parse(key, &right, |text| {
            let clean = text.replace('_', "");
            let number: u64 = clean.parse().map_err(|_| String::new())?;
            if number < least {
                Err(String::new())
            } else {
                Ok(number)
            }
        })
    }

    /// A number between `low` and `high`, both included.
    pub(super) fn number(&mut self, key: &'static str, low: f64, high: f64) -> Option<f64> {
        let right = format!("a number between {low} and {high}");
        self.parse(key, &right, |text| {
            let number = f64::from_str(text).map_err(|_| String::new())?;
            if (low..=high).contains(&number) {
                Ok(number)
            } else {
                Err(String::new())
            }
        })
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        self.parse(key, "true or false", |text| {
            text.parse().map_err(|_| String::new())
        })
    }

    /// A duration longer than zero, such as `60s`, `24h`, `30d`.
    pub(super) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        self.parse(
            key,
            "a duration such as \"60s\", \"24h\" or \"30d\"",
            parse_duration,
        )
    }

    /// A number of bytes, such as `1MiB`.
    pub(super) fn bytes(&mut self, key: &'static str) -> Option<u64> {
        self.parse(
            key,
            "a size such as \"512KiB\", \"1MiB\" or \"1GiB\"",
            |text| {
                let size = bytesize::ByteSize::from_str(text).map_err(|_| String::new())?;
                if size.as_u64() == 0 {
                    Err(String::new())
                } else {
                    Ok(size.as_u64())
                }
            },
        )
    }

    /// `host:port` to listen on.
    pub(super) fn address(&mut self, key: &'static str) -> Option<SocketAddr> {
        self.parse(key, "an address such as \"127.0.0.1:8080\"", |text| {
            let mut found = text.to_socket_addrs().map_err(|_| String::new())?;
            found.next().ok_or_else(String::new)
        })
    }

    /// A list of strings; one string may be a comma-separated list (flags, environment).
    pub(super) fn strings(&mut self, key: &'static str) -> Option<Vec<String>> {
        let value = self.take(key)?;
        let list = match &value.kind {
            ValueKind::String(text) => Some(
                (text.split(',').map(str::trim))
                    .filter(|item| !item.is_empty())
                    .map(str::to_owned)
                    .collect(),
            ),
            ValueKind::Array(items) => items.iter().map(|item| scalar(&item.kind)).collect(),
            _ => None,
        };
        if list.is_none() {
            let message = "write a list of strings: [\"a\", \"b\"]".to_owned();
            self.problem(key, &value, show(&value.kind), message);
        }
        list
    }

    /// A table of strings.
    pub(super) fn words(&mut self, key: &'static str) -> Vec<(String, String)> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let ValueKind::Table(table) = &value.kind else {
            let message = "write a table: { name = \"word\" }".to_owned();
            self.problem(key, &value, show(&value.kind), message);
            return Vec::new();
        };
        let mut words: Vec<(String, String)> = Vec::new();
        for (name, item) in table {
            match scalar(&item.kind) {
                Some(word) => words.push((name.clone(), word)),
                None => self.problem(
                    key,
                    item,
                    show(&item.kind),
                    format!("write a word for {name}"),
                ),
            }
        }
        words.sort();
        words
    }

    /// Reports a problem with the value of `key`.
    pub(super) fn problem(&self, key: &str, value: &Value, shown: String, message: String) {
        self.problems.push(Problem {
            origin: value
                .origin()
                .map_or_else(|| self.origin.clone(), str::to_owned),
            key: self.full(key),
            value: Some(shown),
            message,
        });
    }

    /// Reports a problem with the table as a whole or a key that is not there.
    pub(super) fn lacks(&self, key: &str, message: String) {
        self.problems.push(Problem {
            origin: self.origin.clone(),
            key: self.full(key),
            value: None,
            message,
        });
    }

    fn full(&self, key: &str) -> String {
        match (self.path.as_str(), key) {
            ("", key) => key.to_owned(),
            (path, "") => path.to_owned(),
            (path, key) => format!("{path}.{key}"),
        }
    }
}

/// A duration longer than zero.
///
/// # Errors
/// An empty string: the caller says what would be right.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|_| String::new())?;
    if duration.is_zero() {
        Err(String::new())
    } else {
        Ok(duration)
    }
}

fn origin_of(value: &Value) -> String {
    value
        .origin()
        .unwrap_or("file, environment, flags")
        .to_owned()
}

/// The text of a scalar.
fn scalar(kind: &ValueKind) -> Option<String> {
    match kind {
        ValueKind::Nil | ValueKind::Table(_) | ValueKind::Array(_) => None,
        other => Some(other.to_string()),
    }
}

/// A value as a person would write it.
fn show(kind: &ValueKind) -> String {
    match kind {
        ValueKind::String(text) => format!("{text:?}"),
        ValueKind::Table(_) => "a table".to_owned(),
        ValueKind::Array(_) => "a list".to_owned(),
        other => other.to_string(),
    }
}
