//! A reference as a profile. Lists stand on one line each, so that a person can read the rest.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::drift::ColumnReference;
use crate::drift::numbers::Numbers;
use crate::drift::reference::Categories;
use crate::drift::text::{Descriptor, Texts};
use crate::feature::{Kind, Role};
use crate::reference::build::Column;
use crate::reference::{FoundRole, Loaded};

use super::VERSION;

/// The profile of `loaded`, its numbers to within `error`.
pub(super) fn profile(loaded: &Loaded, error: f64) -> String {
    let other = |role: &FoundRole| !matches!(role, FoundRole::Feature | FoundRole::Output);
    let roles = loaded.roles.iter();
    let not_compared: serde_json::Map<String, Value> = roles
        .filter(|(_, role, _)| other(role))
        .map(|(name, role, _)| (name.clone(), role.as_str().into()))
        .collect();
    let mut text = String::from("{\n");
    let mut field = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:?}: {value},");
    };
    field("driftd_profile", VERSION.to_string());
    field(
        "made_by",
        quoted(concat!("driftd ", env!("CARGO_PKG_VERSION"))),
    );
    field("made_from", quoted(&loaded.reference.hash));
    field("error", number(error));
    field("rows", loaded.reference.rows.to_string());
    field("missing_words", json!(loaded.missing).to_string());
    field("not_compared", Value::Object(not_compared).to_string());
    if let Some(together) = &loaded.reference.together {
        field("joint", json!(together.reference()).to_string());
    }
    if !loaded.reference.dependence.is_empty() {
        field("dependence", json!(loaded.reference.dependence).to_string());
    }
    field("features", columns(loaded, Role::Feature, error));
    let _ = write!(
        text,
        "  \"outputs\": {}\n}}\n",
        columns(loaded, Role::Output, error)
    );
    text
}

fn columns(loaded: &Loaded, role: Role, error: f64) -> String {
    let columns = loaded.columns.iter().zip(&loaded.reference.columns);
    let written: Vec<String> = columns
        .filter(|(column, _)| column.role == role)
        .map(|(known, reference)| column(known, reference.as_ref(), error))
        .collect();
    if written.is_empty() {
        return "[]".to_owned();
    }
    format!("[\n{}\n  ]", written.join(",\n"))
}

fn column(column: &Column, reference: Option<&ColumnReference>, error: f64) -> String {
    let mut fields = vec![format!("\"name\": {}", quoted(&column.name))];
    match &column.source {
        None => fields.push("\"source\": null".to_owned()),
        Some(source) if *source != column.name => {
            fields.push(format!("\"source\": {}", quoted(source)));
        }
        Some(_) => {}
    }
    if let Some(kind) = column.kind {
        fields.push(format!("\"kind\": {}", quoted(Kind::as_str(kind))));
    }
    fields.push(format!("\"reading\": {}", quoted(column.reading.as_str())));
    match reference {
        None => {}
        Some(ColumnReference::Numeric(known)) => {
            fields.push(format!("\"missing\": {}", known.missing()));
            numbers(&known.coarse(error), &mut fields);
        }
        Some(ColumnReference::Categorical(words)) => categories(words, &mut fields),
        Some(ColumnReference::Text(known)) => texts(known, error, &mut fields),
    }
    format!("    {{\n      {}\n    }}", fields.join(",\n      "))
}

fn numbers(known: &Numbers, fields: &mut Vec<String>) {
    if let Some(moments) = known.moments() {
        fields.push(format!("\"mean\": {}", number(moments.mean)));
        fields.push(format!("\"deviation\": {}", number(moments.deviation)));
    }
    let edges = known.edges().unwrap_or_default();
    let values: Vec<String> = edges.iter().map(|edge| number(edge.value)).collect();
    let befores = std::iter::once(0).chain(edges.iter().map(|edge| edge.upto));
    let between = edges.iter().zip(befores);
    let between: Vec<u64> = between.map(|(edge, before)| edge.below - before).collect();
    let equal: Vec<u64> = edges.iter().map(|edge| edge.upto - edge.below).collect();
    fields.push(format!("\"edges\": [{}]", values.join(",")));
    fields.push(format!("\"between\": {}", json!(between)));
    fields.push(format!("\"equal\": {}", json!(equal)));
}

fn categories(known: &Categories, fields: &mut Vec<String>) {
    fields.push(format!("\"missing\": {}", known.missing));
    let apart = known.names.len() - usize::from(known.rest);
    let counted = known.names.iter().zip(&known.counts);
    let words: Vec<String> = (counted.take(apart))
        .map(|(word, count)| format!("{}: {count}", quoted(word)))
        .collect();
    fields.push(format!("\"words\": {{{}}}", words.join(", ")));
    if let Some(other) = known.counts.get(apart) {
        fields.push(format!("\"other_words\": {other}"));
    }
}

fn texts(known: &Texts, error: f64, fields: &mut Vec<String>) {
    fields.push(format!("\"missing\": {}", known.described()[0].missing()));
    for (descriptor, described) in Descriptor::ALL.iter().zip(known.described()) {
        let mut own = Vec::new();
        numbers(&described.coarse(error), &mut own);
        let name = descriptor.as_str();
        fields.push(format!("{name:?}: {{{}}}", own.join(",\n        ")));
    }
    let mut before = 0;
    let words = known.vocabulary().into_iter();
    let leaps: Vec<u32> = words
        .map(|word| word - std::mem::replace(&mut before, word))
        .collect();
    fields.push(format!("\"vocabulary\": {}", json!(leaps)));
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A number that reads back as it is, in few characters; JSON knows no infinity.
fn number(value: f64) -> String {
    if value.is_infinite() {
        return quoted(if value > 0.0 { "inf" } else { "-inf" });
    }
    let written = json!(value).to_string();
    match written.strip_suffix(".0") {
        Some(whole) if whole != "-0" => whole.to_owned(),
        _ => written,
    }
}
