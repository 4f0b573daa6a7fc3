//! For a program: the shape of `GET /api/v1/drift`.

use serde::Serialize;
use serde_json::Value;

use crate::drift::report::ModelReport;

use super::Document;

#[derive(Serialize)]
struct Models<'a> {
    models: Vec<Model<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Model<'a> {
    Report(&'a ModelReport),
    Own(&'a Value),
}

pub(super) fn render(document: &Document) -> String {
    let models = (document.sections.iter())
        .map(|section| match &section.json {
            Some(json) => Model::Own(json),
            None => Model::Report(&section.report),
        })
        .collect();
    let mut text = serde_json::to_string_pretty(&Models { models })
        .expect("reports hold nothing that JSON has no form for: their maps have string keys");
    text.push('\n');
    text
}
