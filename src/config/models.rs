//! The models: one `[[model]]` table each, or one model named `default` from flags and environment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use config::ValueKind;

use super::resolve;
use super::section::Section;
use crate::drift::decide::{Policy, Rule};
use crate::feature::{Kind, Store};
use crate::model::ModelName;
use crate::monitor;
use crate::process;
use crate::proxy::Upstream;
use crate::reference;

/// Keys that describe the one model there is without a `[[model]]` table.
const SINGLE_MODEL_KEYS: [&str; 9] = [
    "process",
    "reference",
    "features",
    "outputs",
    "paths",
    "version",
    "columns",
    "missing",
    "ordered",
];

/// One model, validated but for what only its reference file can tell.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its name.
    pub name: ModelName,
    /// Its paths; empty: every POST no other model takes.
    pub paths: Vec<String>,
    /// Its upstream.
    pub upstream: Upstream,
    /// How the processes of its server are found; `None`: they are not looked at.
    pub process: Option<process::Source>,
    /// Its version; empty where none is configured.
    pub version: String,
    /// Its reference file and how to read it.
    pub reference: Option<reference::Config>,
    /// Rows of traffic to learn the reference from, where there is no file.
    pub learn_rows: Option<usize>,
    /// Features in positional order, where configured.
    pub features: Vec<String>,
    /// Outputs, where configured.
    pub outputs: Vec<String>,
    /// What `[[model.feature]]` tables say.
    pub overrides: Vec<FeatureOverride>,
    /// Where the reference was configured, for errors.
    pub reference_origin: String,
}

/// What holds for every model: the upstream of those without their own, limits.
#[derive(Debug)]
pub(super) struct Common {
    /// Whether one was written, right or wrong.
    pub(super) given: bool,
    /// The one written, if it is right.
    pub(super) upstream: Option<Upstream>,
    /// What the sorted values of the references of each model may take.
    pub(super) reference_max_bytes: u64,
}

/// One `[[model.feature]]` table.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureOverride {
    /// The column it is about.
    pub name: String,
    /// Its kind, where said.
    pub kind: Option<Kind>,
    /// Its policy.
    pub policy: Policy,
    /// What of it may be stored.
    pub store: Store,
}

/// Reads every model.
pub(super) fn models(
    top: &mut Section<'_>,
    base: &Path,
    common: &Common,
    drift: &monitor::Config,
) -> Vec<Model> {
    let single: Vec<&str> = SINGLE_MODEL_KEYS
        .into_iter()
        .filter(|key| top.has(key))
        .collect();
    let sections = top.sections("model");
    if sections.is_empty() {
        let name = ModelName::parse("default");
        return name
            .and_then(|name| model(top, name, base, common, drift))
            .into_iter()
            .collect();
    }
    for key in single {
        let given = top.take(
            SINGLE_MODEL_KEYS
                .iter()
                .find(|k| **k == key)
                .copied()
                .unwrap_or(""),
        );
        if let Some(value) = given {
            let message =
                "which model? With [[model]] tables, write this key in one of them".to_owned();
            top.problem(key, &value, value.to_string(), message);
        }
    }
    let mut models: Vec<Model> = Vec::new();
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    for mut section in sections {
        let right = format!(
            "a name of letters, digits, _, - and . (at most {} characters)",
            ModelName::MAX
        );
        let named = section.has("name");
        let name = section.parse("name", &right, |text| {
            ModelName::parse(text).ok_or_else(String::new)
        });
        if !named {
            section.lacks("name", format!("missing; write {right}"));
        }
        // A model without a good name is read all the same: its other problems count too.
        let placeholder = name.is_none();
        let name = name.or_else(|| ModelName::parse(&format!("model-{}", models.len())));
        if let Some(name) = name {
            if !placeholder && models.iter().any(|model| model.name == name) {
                section.lacks(
                    "name",
                    format!("two models are named {name}; give each its own name"),
                );
            }
            if let Some(model) = model(&mut section, name.clone(), base, common, drift) {
                for path in &model.paths {
                    let normal = path.trim_end_matches('/').to_owned();
                    if let Some(other) = taken.insert(normal, name.to_string()) {
                        section.lacks(
                            "paths",
                            format!(
                                "{path:?} belongs to model {other} already; a path has one model"
                            ),
                        );
                    }
                }
                if model.paths.is_empty() && models.iter().any(|m| m.paths.is_empty()) {
                    section.lacks("paths", "two models without paths: both would take every path; write paths = [\"/predict\"]".to_owned());
                }
                models.push(model);
            }
        }
        section.finish();
    }
    models
}

/// Reads the upstream at `key`.
pub(super) fn upstream(section: &mut Section<'_>) -> Option<Upstream> {
    section.parse(
        "upstream",
        "\"http://host:port\", \"https://host:port\" or \"unix:/path.sock\"",
        |text| {
            Upstream::parse(text).map_err(|error| match error {
                crate::proxy::Error::Upstream { reason, .. } => reason.to_owned(),
                _ => String::new(),
            })
        },
    )
}

/// Reads the decision rule.
pub(super) fn rule(section: &mut Section<'_>) -> Option<Rule> {
    let right = "one of: \"budget\", \"pvalue\", \"guaranteed\"";
    section.parse("decision", right, |word| {
        let found = Rule::ALL.into_iter().find(|rule| rule.as_str() == word);
        found.ok_or_else(String::new)
    })
}

fn model(
    section: &mut Section<'_>,
    name: ModelName,
    base: &Path,
    common: &Common,
    drift: &monitor::Config,
) -> Option<Model> {
    // At the top level the key was read already, as the common upstream.
    let given = common.given || section.has("upstream");
    let upstream = upstream(section).or_else(|| common.upstream.clone());
    if !given {
        section.lacks(
            "upstream",
            "missing; write the model server's address, such as \"http://127.0.0.1:5000\""
                .to_owned(),
        );
    }
    let paths = section.strings("paths").unwrap_or_default();
    for path in paths.iter().filter(|path| !path.starts_with('/')) {
        section.lacks("paths", format!("{path:?} is no path; write \"/{path}\""));
    }
    let process = super::process::read(section, upstream.as_ref(), base);
    let version = section.string("version").unwrap_or_default();
    let features = section.strings("features").unwrap_or_default();
    let outputs = section.strings("outputs").unwrap_or_default();
    let columns: BTreeMap<String, String> = section.words("columns").into_iter().collect();
    let missing = section.strings("missing");
    let ordered = section.boolean("ordered").unwrap_or(false);
    let overrides = overrides(section, drift);
    let mut reference_origin = section.origin().to_owned();
    let learn_rows = learn_rows(section, &features);
    let reference = section.take("reference").and_then(|value| {
        if matches!(value.kind, ValueKind::Array(_)) {
            let message = "write the path of a file, or { learn_rows = 5000 }";
            section.problem("reference", &value, "a list".to_owned(), message.to_owned());
            return None;
        }
        if let Some(origin) = value.origin() {
            origin.clone_into(&mut reference_origin);
        }
        let kinds = (overrides.iter())
            .filter_map(|o| Some((o.name.clone(), o.kind?)))
            .collect();
        Some(reference::Config {
            path: resolve(base, &value, &value.to_string()),
            columns: columns.clone(),
            features: features.clone(),
            outputs: outputs.clone(),
            missing: missing.clone().unwrap_or_else(default_missing),
            kinds,
            ordered,
            max_bytes: common.reference_max_bytes,
            season: drift.season,
        })
    });
    let declared: BTreeSet<&String> = features.iter().collect();
    if declared.len() != features.len() {
        section.lacks(
            "features",
            "a name stands twice; name each feature once".to_owned(),
        );
    }
    Some(Model {
        name,
        paths,
        upstream: upstream?,
        process,
        version,
        reference,
        learn_rows,
        features,
        outputs,
        overrides,
        reference_origin,
    })
}

/// Fewer rows than this tell too little to compare anything with.
const FEWEST_LEARNED: u64 = 100;

/// Reads `reference = { learn_rows = 5000 }`.
fn learn_rows(section: &mut Section<'_>, features: &[String]) -> Option<usize> {
    if !section.has_table("reference") {
        return None;
    }
    let mut table = section.section("reference");
    if !table.has("learn_rows") {
        table.lacks(
            "learn_rows",
            "missing; write { learn_rows = 5000 }".to_owned(),
        );
    }
    let rows = table.count("learn_rows", FEWEST_LEARNED);
    table.finish();
    if features.is_empty() {
        let message = "missing; to learn a reference from traffic, name the columns to watch in the order of positional values: features = [\"age\", \"plan\"], and outputs";
        section.lacks("features", message.to_owned());
    }
    usize::try_from(rows?).ok()
}

fn default_missing() -> Vec<String> {
    reference::DEFAULT_MISSING.map(str::to_owned).to_vec()
}

fn overrides(section: &mut Section<'_>, drift: &monitor::Config) -> Vec<FeatureOverride> {
    let mut overrides: Vec<FeatureOverride> = Vec::new();
    for mut item in section.sections("feature") {
        let name = item.string("name");
        if name.is_none() {
            item.lacks("name", "missing; write the name of the column".to_owned());
        }
        let words = Kind::ALL.map(Kind::as_str).join(", ");
        let kind = item.parse("kind", &format!("one of: {words}"), |word| {
            Kind::parse(word).ok_or_else(String::new)
        });
        let policy = Policy {
            rule: rule(&mut item).unwrap_or(drift.policy.rule),
            min_effect: item
                .number("min_effect", 0.0, 1.0)
                .unwrap_or(drift.policy.min_effect),
        };
        let words = Store::ALL.map(Store::as_str).join(", ");
        let store = item.parse("store", &format!("one of: {words}"), |word| {
            let found = Store::ALL.into_iter().find(|store| store.as_str() == word);
            found.ok_or_else(String::new)
        });
        let store = store.unwrap_or_default();
        if let Some(name) = name {
            if overrides.iter().any(|known| known.name == name) {
                item.lacks("name", format!("two tables for {name:?}; write one"));
            }
            overrides.push(FeatureOverride {
                name,
                kind,
                policy,
                store,
            });
        }
        item.finish();
    }
    overrides
}
