//! JSON Lines, one object per line, and JSON arrays of objects: names may come in any order and be
//! absent; the header is every name in the order of first appearance.

use std::collections::HashMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::meter::Meter;
use super::problem::Problem;
use super::raw::Raw;
use super::table::{Format, Table};

/// Read at once from the file.
const BUFFER: usize = 256 << 10;

/// More different names than this are no table: each costs a pass over all rows.
const MOST_NAMES: usize = 20_000;

const FLAT: &str = "a value must be a number, a string, true, false or null; flatten the objects, \
                    or leave that out";

/// Reads JSON Lines; `text` begins without a byte order mark.
pub(super) fn read_lines(
    text: impl Read,
    path: &Path,
    memory: usize,
    meter: &mut Meter<'_>,
) -> Result<Table, Problem> {
    let mut objects = Objects::new(Format::JsonLines, memory);
    let mut reader = BufReader::with_capacity(BUFFER, text);
    let mut buffer = Vec::new();
    let mut number = 0;
    while next_line(&mut reader, &mut buffer).map_err(|source| Problem::Unreadable {
        path: path.to_owned(),
        source,
    })? {
        number += 1;
        if buffer.trim_ascii().is_empty() {
            continue;
        }
        let wrong = |what| Problem::Json {
            path: path.to_owned(),
            line: number,
            what,
        };
        let line = std::str::from_utf8(&buffer)
            .map_err(|_| wrong("is not UTF-8; save the file as UTF-8".to_owned()))?;
        objects.line(line).map_err(|error| wrong(said(&error)))?;
        objects.table.store.relieve()?;
        meter.row(objects.rows);
    }
    objects.finish()
}

/// Reads a JSON array of objects.
pub(super) fn read_array(
    text: impl Read,
    path: &Path,
    memory: usize,
    meter: &mut Meter<'_>,
) -> Result<Table, Problem> {
    let mut objects = Objects::new(Format::JsonArray, memory);
    let mut full = None;
    let reader = BufReader::with_capacity(BUFFER, text);
    let mut json = serde_json::Deserializer::from_reader(reader);
    let array = Array {
        objects: &mut objects,
        meter,
        full: &mut full,
    };
    let read = array.deserialize(&mut json).and_then(|()| json.end());
    if let Some(problem) = full {
        return Err(problem);
    }
    read.map_err(|error| {
        let line = error.line() as u64;
        let path = path.to_owned();
        match error.classify() {
            serde_json::error::Category::Io => Problem::Unreadable {
                path,
                source: error.into(),
            },
            _ => Problem::Json {
                path,
                line,
                what: said(&error),
            },
        }
    })?;
    objects.finish()
}

/// The line, from 1, of row `row` (from 0) of the JSON Lines in `text`.
pub(super) fn line_of(text: impl Read, row: usize) -> Option<u64> {
    let mut reader = BufReader::with_capacity(BUFFER, text);
    let mut buffer = Vec::new();
    let (mut number, mut rows) = (0, 0);
    while next_line(&mut reader, &mut buffer).ok()? {
        number += 1;
        rows += usize::from(!buffer.trim_ascii().is_empty());
        if rows > row {
            return Some(number);
        }
    }
    None
}

fn next_line(reader: &mut impl BufRead, buffer: &mut Vec<u8>) -> std::io::Result<bool> {
    buffer.clear();
    Ok(reader.read_until(b'\n', buffer)? > 0)
}

/// What a JSON error says, without the place: that of the line is not that of the file.
fn said(error: &serde_json::Error) -> String {
    let place = format!(" at line {} column {}", error.line(), error.column());
    let said = error.to_string();
    let said = said.strip_suffix(&place).unwrap_or(&said);
    if error.is_data() {
        return said.to_owned();
    }
    let hint = match said.starts_with("EOF") {
        true => "; an object stands on one line, or all of them in one array",
        false => "",
    };
    format!("no JSON: {said} at column {}{hint}", error.column())
}

/// Bare `NaN`, which Python's `json` writes for a missing number, made `null`.
fn without_nan(line: &str) -> String {
    let mut text = String::with_capacity(line.len() + 8);
    let mut quoted = false;
    for (at, part) in line.split('"').enumerate() {
        if at > 0 {
            text.push('"');
        }
        if quoted {
            text.push_str(part);
            let escapes = part.len() - part.trim_end_matches('\\').len();
            quoted = escapes % 2 == 1;
        } else {
            text.push_str(&part.replace("NaN", "null"));
            quoted = true;
        }
    }
    text
}

/// The table that objects are put into.
struct Objects {
    table: Table,
    /// Where each name stands in the header.
    places: HashMap<String, usize>,
    rows: usize,
}

struct Array<'a, 'm> {
    objects: &'a mut Objects,
    meter: &'a mut Meter<'m>,
    /// What stopped the reading that is not about JSON.
    full: &'a mut Option<Problem>,
}

struct Object<'a>(&'a mut Objects);

/// A name, whose column probably is `expected`.
struct Name<'a> {
    objects: &'a mut Objects,
    expected: usize,
}

/// A value of a column.
struct Value<'a> {
    objects: &'a mut Objects,
    column: usize,
}

// === impl Objects ===

impl Objects {
    fn new(format: Format, memory: usize) -> Self {
        Self {
            table: Table::new(format, memory),
            places: HashMap::new(),
            rows: 0,
        }
    }

    fn line(&mut self, line: &str) -> Result<(), serde_json::Error> {
        let parse = |objects: &mut Self, line: &str| {
            let mut json = serde_json::Deserializer::from_str(line);
            Object(objects).deserialize(&mut json)?;
            json.end()
        };
        if line.contains("NaN") {
            parse(self, &without_nan(line))
        } else {
            parse(self, line)
        }
    }

    fn finish(mut self) -> Result<Table, Problem> {
        self.table.store.finish(self.rows)?;
        Ok(self.table)
    }

    /// The column called `name`, which is new if need be.
    fn place<E: Error>(&mut self, name: &str, expected: usize) -> Result<usize, E> {
        if self.table.header.get(expected).is_some_and(|n| n == name) {
            return Ok(expected);
        }
        if let Some(place) = self.places.get(name) {
            return Ok(*place);
        }
        let place = self.table.header.len();
        if place == MOST_NAMES {
            return Err(E::custom(format_args!(
                "{name:?} is a new name after {MOST_NAMES} others; names must be those of columns"
            )));
        }
        self.table.add_column(name.to_owned());
        self.places.insert(name.to_owned(), place);
        Ok(place)
    }
}

// === impl Array ===

impl<'de> DeserializeSeed<'de> for Array<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Array<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        while array.next_element_seed(Object(self.objects))?.is_some() {
            if let Err(problem) = self.objects.table.store.relieve() {
                let stopped = A::Error::custom(&problem);
                *self.full = Some(problem);
                return Err(stopped);
            }
            self.meter.row(self.objects.rows);
        }
        Ok(())
    }
}

// === impl Object ===

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of names and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let objects = self.0;
        let mut expected = 0;
        while let Some(column) = map.next_key_seed(Name { objects, expected })? {
            map.next_value_seed(Value { objects, column })?;
            expected = column + 1;
        }
        objects.rows += 1;
        Ok(())
    }
}

// === impl Name ===

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<usize, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<usize, E> {
        let row = self.objects.rows;
        let place = self.objects.place(name.trim(), self.expected)?;
        if self.objects.table.store.holds(place, row) {
            return Err(E::custom(format_args!(
                "{name:?} stands twice in the object"
            )));
        }
        Ok(place)
    }
}

// === impl Value ===

impl Value<'_> {
    fn put(self, raw: Raw<'_>) {
        let row = self.objects.rows;
        self.objects.table.store.put(self.column, row, raw);
    }

    /// Integers are written out: ids and row numbers are told by how they are written.
    fn put_integer(self, integer: impl fmt::Display) {
        let mut digits = [0_u8; 24];
        let mut rest = &mut digits[..];
        let written = write!(rest, "{integer}").map(|()| rest.len());
        let length = digits.len() - written.unwrap_or(digits.len());
        let text = std::str::from_utf8(&digits[..length]).unwrap_or_default();
        self.put(Raw::Digits(text));
    }

    fn nested<E: Error>(&self, what: &str) -> E {
        let name = &self.objects.table.header[self.column];
        E::custom(format_args!("{name:?} holds {what}; {FLAT}"))
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a string, true, false or null")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.put(Raw::Null);
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.put(Raw::Bool(value));
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.put_integer(value);
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.put_integer(value);
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.put(Raw::Number(value));
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.put(Raw::Text(value));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.nested("an array"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.nested("an object"))
    }
}
