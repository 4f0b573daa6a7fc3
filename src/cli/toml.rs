//! Values in TOML's notation.

use std::fmt::{Display, Write as _};

/// A basic string.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// An array of basic strings.
pub(super) fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let items: Vec<String> = items.into_iter().map(quoted).collect();
    format!("[{}]", items.join(", "))
}

/// A line `key = value`, the value as it is.
pub(super) fn line(key: &str, value: impl Display) -> String {
    format!("{key:<16} = {value}\n")
}

/// A line `key = "value"`.
pub(super) fn string(key: &str, value: &str) -> String {
    line(key, quoted(value))
}
