//! A JSON object read field by field, so that whatever is wrong is named by file, column and field.

use std::path::Path;

use serde_json::{Map, Value};

use crate::reference::problem::Problem;

/// The fields of one object that are not read yet.
pub(super) struct Object<'a> {
    path: &'a Path,
    /// What the object is, for errors: `column "age"`; empty for the profile itself.
    place: String,
    fields: Map<String, Value>,
}

// === impl Object ===

impl<'a> Object<'a> {
    /// The fields of `value`, which should be an object.
    pub(super) fn new(path: &'a Path, place: String, value: Value) -> Result<Self, Problem> {
        match value {
            Value::Object(fields) => Ok(Self {
                path,
                place,
                fields,
            }),
            _ => Err(Problem::Profile {
                path: path.to_owned(),
                place,
                message: "an object { … } should stand here".to_owned(),
            }),
        }
    }

    /// The object by the name of what it turns out to describe.
    pub(super) fn renamed(mut self, place: String) -> Self {
        self.place = place;
        self
    }

    /// That `message` is true of `field`.
    pub(super) fn wrong(&self, field: &str, message: impl Into<String>) -> Problem {
        let joint = if self.place.is_empty() { "" } else { ", " };
        Problem::Profile {
            path: self.path.to_owned(),
            place: format!("{}{joint}{field}", self.place),
            message: message.into(),
        }
    }

    /// The object that is the value of `field`.
    pub(super) fn inside(&self, field: &str, value: Value) -> Result<Self, Problem> {
        Self::new(self.path, format!("{}, {field}", self.place), value)
    }

    /// The value of `field`, if it is there and not `null`.
    pub(super) fn optional(&mut self, field: &str) -> Option<Value> {
        self.fields.remove(field).filter(|value| !value.is_null())
    }

    /// Whether `field` is there, be it `null`.
    pub(super) fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// The value of `field`.
    pub(super) fn value(&mut self, field: &str, right: &str) -> Result<Value, Problem> {
        let found = self.fields.remove(field);
        found.ok_or_else(|| {
            let message = format!("is missing; {right} should stand here");
            self.wrong(field, message)
        })
    }

    fn mistyped(&self, field: &str, value: &Value, right: &str) -> Problem {
        let shown: String = value.to_string().chars().take(40).collect();
        self.wrong(field, format!("is {shown}; {right} should stand here"))
    }

    /// A string.
    pub(super) fn text(&mut self, field: &str) -> Result<String, Problem> {
        match self.value(field, "a string")? {
            Value::String(text) => Ok(text),
            other => Err(self.mistyped(field, &other, "a string")),
        }
    }

    /// A whole number up to `most`.
    pub(super) fn count(&mut self, field: &str, most: u64) -> Result<u64, Problem> {
        let right = format!("a whole number up to {most}");
        let value = self.value(field, &right)?;
        let count = value.as_u64().filter(|count| *count <= most);
        count.ok_or_else(|| self.mistyped(field, &value, &right))
    }

    /// A finite number.
    pub(super) fn number(&mut self, field: &str) -> Result<f64, Problem> {
        let value = self.value(field, "a number")?;
        let number = value.as_f64().filter(|number| number.is_finite());
        number.ok_or_else(|| self.mistyped(field, &value, "a number"))
    }

    /// A list, each item read by `read`.
    pub(super) fn list<T>(
        &mut self,
        field: &str,
        right: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Vec<T>, Problem> {
        let all = format!("a list of {right}");
        let items = match self.value(field, &all)? {
            Value::Array(items) => items,
            other => return Err(self.mistyped(field, &other, &all)),
        };
        let item = |(at, item)| {
            read(item).ok_or_else(|| self.mistyped(&format!("{field}[{at}]"), item, right))
        };
        items.iter().enumerate().map(item).collect()
    }

    /// Fields that nobody asked for.
    pub(super) fn finish(self) -> Result<(), Problem> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(field) => Err(self.wrong(
                field,
                "is no field of a profile; remove it, or read the profile with the driftd that made it",
            )),
        }
    }
}
