//! JSON as bodies hold it: numbers are `f64`, exactly rounded, and may be infinite; keys keep their
//! order, and of equal keys the last counts, as in Python. Strings without escapes are the body's own,
//! unless that had to be rewritten.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::feature::Cell;

use super::fault::{Fault, counted};
use super::layout::list;
use super::lenient;

/// One JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json<'a> {
    /// `null`, and `NaN` where it stood bare.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Any number; ±∞ where it stood bare or beyond `f64`. Never NaN.
    Number(f64),
    /// A string.
    Text(Cow<'a, str>),
    /// A list.
    Array(Vec<Json<'a>>),
    /// An object.
    Object(Object<'a>),
}

/// The members of an object in their order; keys may repeat.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Object<'a>(pub(super) Vec<(Cow<'a, str>, Json<'a>)>);

/// Parses `text`: strictly first, then with what Python's `json` writes beyond the standard.
pub(super) fn parse(text: &str) -> Result<Json<'_>, Fault> {
    let strict = match serde_json::from_str(text) {
        Ok(json) => return Ok(json),
        Err(error) => error,
    };
    let Some(rewritten) = lenient::rewrite(text) else {
        return Err(fault(&strict, strict.line(), strict.column()));
    };
    match serde_json::from_str::<Json<'_>>(&rewritten.text) {
        Ok(mut json) => {
            if lenient::restore(&mut json) {
                Ok(json.into_owned())
            } else {
                Err(fault(&strict, strict.line(), strict.column()))
            }
        }
        Err(error) => {
            let (line, column) = rewritten.original(text, error.line(), error.column());
            Err(fault(&error, line, column))
        }
    }
}

/// serde_json's error without its own position, which may be that of the rewritten text.
fn fault(error: &serde_json::Error, line: usize, column: usize) -> Fault {
    let message = error.to_string();
    if message.starts_with("recursion limit exceeded") {
        return Fault::Depth;
    }
    let what = message.split(" at line ").next().unwrap_or(&message);
    Fault::Json {
        what: what.to_owned(),
        line,
        column,
    }
}

// === impl Json ===

impl<'a> Json<'a> {
    /// The value as a cell, if it is one value.
    pub(super) fn cell(&self) -> Option<Cell> {
        match self {
            Self::Null => Some(Cell::Missing),
            Self::Bool(value) => Some(Cell::Bool(*value)),
            Self::Number(value) => Some(Cell::number(*value)),
            Self::Text(text) => Some(Cell::Text((**text).into())),
            Self::Array(_) | Self::Object(_) => None,
        }
    }

    /// The members, if it is an object.
    pub(super) fn object(&self) -> Option<&Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The same without the text it was read from.
    fn into_owned(self) -> Json<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(value),
            Self::Number(value) => Json::Number(value),
            Self::Text(text) => Json::Text(owned(text)),
            Self::Array(items) => Json::Array(items.into_iter().map(Json::into_owned).collect()),
            Self::Object(Object(members)) => {
                let members = members.into_iter();
                let members = members.map(|(key, value)| (owned(key), value.into_owned()));
                Json::Object(Object(members.collect()))
            }
        }
    }

    /// What it is, for messages.
    pub(super) const fn noun(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// What it is and holds, for messages.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Array(items) => format!("a list of {}", counted(items.len(), "item")),
            Self::Object(object) if object.0.is_empty() => "an empty object".to_owned(),
            Self::Object(object) => format!("an object with {}", object.listed()),
            other => other.noun().to_owned(),
        }
    }
}

// === impl Object ===

impl<'a> Object<'a> {
    /// The value of `key`; of several, the last.
    pub(super) fn get(&self, key: &str) -> Option<&Json<'a>> {
        let found = self.0.iter().rfind(|(name, _)| &**name == key);
        found.map(|(_, value)| value)
    }

    /// The keys, for messages.
    pub(super) fn listed(&self) -> String {
        if self.0.is_empty() {
            return "no keys".to_owned();
        }
        list(self.0.iter().map(|(name, _)| &**name))
    }
}

// === impl Deserialize ===

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((Key(key), value)) = map.next_entry()? {
            members.push((key, value));
        }
        Ok(Json::Object(Object(members)))
    }
}

/// The key of a member: serde's own `Cow` is always a copy.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Owned(value.to_owned())))
    }
}
