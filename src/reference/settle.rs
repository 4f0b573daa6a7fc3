//! From what was found and what is configured to one plan, or to what must be written.

use std::collections::BTreeMap;
use std::path::Path;

use super::problem::Problem;
use super::role::{Found, FoundRole, ROLES};
use super::table::Table;
use super::wording::{list, nearest, suggestion, toml};
use super::{Config, DEFAULT_OUTPUT};

/// Which columns of a file are checked, and as what.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Features in positional order: their places in the file.
    pub(super) features: Vec<usize>,
    /// Outputs in order: their places in the file, where they are in it, and final names.
    pub(super) outputs: Vec<(Option<usize>, String)>,
    /// For each column of the file: name, role and why.
    pub(super) roles: Vec<(String, FoundRole, &'static str)>,
}

/// A role as configured, with the name an output gets.
pub(super) type Wanted<'a> = (FoundRole, Option<&'a str>);

/// What can be told from the configuration alone.
pub(super) fn check(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (column, word) in &config.columns {
        if wanted(word).is_none() {
            let words = ROLES.map(FoundRole::as_str);
            problems.push(Problem::UnknownRole {
                column: column.clone(),
                word: word.clone(),
                suggestion: suggestion(word, words),
            });
        }
    }
    for (key, names) in [("features", &config.features), ("outputs", &config.outputs)] {
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) {
                let name = name.clone();
                problems.push(Problem::Twice { key, name });
            }
        }
    }
    problems
}

/// The role a word of `columns` names, if it names one.
pub(super) fn wanted(word: &str) -> Option<Wanted<'_>> {
    match word.trim().split_once(':') {
        Some(("output", name)) if !name.trim().is_empty() => {
            Some((FoundRole::Output, Some(name.trim())))
        }
        Some(_) => None,
        None => FoundRole::parse(word.trim()).map(|role| (role, None)),
    }
}

/// Settles every column; what cannot be settled goes to `problems`.
pub(super) fn settle(
    config: &Config,
    table: &Table,
    found: &[Found],
    problems: &mut Vec<Problem>,
) -> Plan {
    let mut settling = Settling {
        config,
        table,
        renamed: BTreeMap::new(),
        problems,
    };
    settling.unknown("columns", config.columns.keys());
    settling.unknown("features", &config.features);
    let roles: Vec<_> = (0..table.header.len())
        .map(|at| settling.role(at, &found[at]))
        .collect();
    let plan = Plan {
        features: settling.features(&roles),
        outputs: settling.outputs(&roles),
        roles: roles
            .iter()
            .zip(&table.header)
            .map(|(role, name)| (name.clone(), role.0, role.1))
            .collect(),
    };
    settling.names(&plan);
    settling.kinds(&plan);
    plan
}

struct Settling<'a> {
    config: &'a Config,
    table: &'a Table,
    /// Outputs given another name, by their place in the file.
    renamed: BTreeMap<usize, String>,
    problems: &'a mut Vec<Problem>,
}

type Settled = (FoundRole, &'static str);

const CONFIGURED: &str = "is set in `columns`";

// === impl Settling ===

impl Settling<'_> {
    fn path(&self) -> &Path {
        &self.config.path
    }

    fn unknown<'b>(&mut self, key: &'static str, names: impl IntoIterator<Item = &'b String>) {
        for name in names {
            if self.table.position(name).is_none() {
                let header = || self.table.header.iter().map(String::as_str);
                self.problems.push(Problem::UnknownColumn {
                    key,
                    path: self.config.path.clone(),
                    name: name.clone(),
                    suggestion: suggestion(name, header()),
                    names: list(header()),
                });
            }
        }
    }

    /// The role of the column at `at`: as configured, else as found.
    fn role(&mut self, at: usize, found: &Found) -> Settled {
        let name = &self.table.header[at];
        let (listed, output) = (
            self.config.features.contains(name),
            self.config.outputs.contains(name),
        );
        if let Some(word) = self.config.columns.get(name) {
            // An unknown word is a problem already; the column must not cause another.
            let (role, renamed) = wanted(word).unwrap_or((FoundRole::Ignore, None));
            if let Some(renamed) = renamed {
                self.renamed.insert(at, renamed.to_owned());
            }
            let known = wanted(word).is_some();
            let features = listed && role != FoundRole::Feature;
            let outputs =
                output && (role != FoundRole::Output || renamed.is_some_and(|r| r != name));
            for (key, contradicts) in [("features", features), ("outputs", outputs)] {
                if known && contradicts {
                    self.problems.push(Problem::Contradiction {
                        key,
                        name: name.clone(),
                        role: format!("{word:?}"),
                    });
                }
            }
            return (role, CONFIGURED);
        }
        if listed && output {
            self.problems.push(Problem::Contradiction {
                key: "features",
                name: name.clone(),
                role: "an output (it stands in `outputs` too)".to_owned(),
            });
        }
        if listed {
            return (FoundRole::Feature, "is listed in `features`");
        }
        if output {
            return (FoundRole::Output, "is listed in `outputs`");
        }
        self.found(at, found)
    }

    fn found(&mut self, at: usize, found: &Found) -> Settled {
        if found.role == FoundRole::Output && !self.config.outputs.is_empty() {
            return (
                FoundRole::Ignore,
                "is named like an output, but `outputs` lists others",
            );
        }
        if found.unclear && self.config.features.is_empty() {
            let name = self.table.header[at].clone();
            self.problems.push(Problem::Unclear {
                path: self.path().to_owned(),
                position: at + 1,
                why: found.why,
                first: toml(&name, found.role.as_str()),
                second: toml(&name, "feature"),
                name,
            });
        }
        (found.role, found.why)
    }

    fn features(&mut self, roles: &[Settled]) -> Vec<usize> {
        let features = |at: &usize| roles[*at].0 == FoundRole::Feature;
        let in_file: Vec<usize> = (0..roles.len()).filter(features).collect();
        let name = |at: &usize| self.table.header[*at].as_str();
        if self.config.features.is_empty() {
            if in_file.is_empty() && self.problems.is_empty() {
                let found = roles.iter().zip(&self.table.header);
                let found: Vec<String> = found
                    .map(|(role, name)| format!("{name} {}", role.1))
                    .collect();
                self.problems.push(Problem::NoFeatures {
                    path: self.path().to_owned(),
                    found: list(found.iter().map(String::as_str)),
                });
            }
            return in_file;
        }
        let listed = &self.config.features;
        let left = in_file
            .iter()
            .filter(|at| !listed.contains(&self.table.header[**at]));
        let left: Vec<&str> = left.map(name).collect();
        if !left.is_empty() {
            self.problems.push(left_out("features", &left));
        }
        let positions = listed.iter().filter_map(|name| self.table.position(name));
        positions.filter(features).collect()
    }

    fn outputs(&mut self, roles: &[Settled]) -> Vec<(Option<usize>, String)> {
        let in_file = (0..roles.len()).filter(|at| roles[*at].0 == FoundRole::Output);
        let final_name = |at: usize| {
            self.renamed
                .get(&at)
                .unwrap_or(&self.table.header[at])
                .clone()
        };
        let in_file: Vec<(Option<usize>, String)> =
            in_file.map(|at| (Some(at), final_name(at))).collect();
        for (at, (_, name)) in in_file.iter().enumerate() {
            if in_file[..at].iter().any(|(_, other)| other == name) {
                self.problems.push(Problem::SameName { name: name.clone() });
            }
        }
        let listed = &self.config.outputs;
        if listed.is_empty() {
            return if in_file.is_empty() {
                vec![(None, DEFAULT_OUTPUT.to_owned())]
            } else {
                in_file
            };
        }
        let left = in_file.iter().filter(|(_, name)| !listed.contains(name));
        let left: Vec<&str> = left.map(|(_, name)| name.as_str()).collect();
        if !left.is_empty() {
            self.problems.push(left_out("outputs", &left));
        }
        let mut outputs = Vec::new();
        for name in listed {
            let held = in_file.iter().find(|(_, held)| held == name);
            if held.is_none() {
                self.misspelt(name);
            }
            outputs.push((held.and_then(|(at, _)| *at), name.clone()));
        }
        outputs
    }

    /// An output that the file does not hold may be meant so; not if a column nobody speaks of is
    /// called almost the same.
    fn misspelt(&mut self, name: &str) {
        let config = self.config;
        let spoken = |other: &&String| {
            config.columns.contains_key(*other)
                || config.features.contains(other)
                || config.outputs.contains(other)
        };
        let silent = self.table.header.iter().filter(|other| !spoken(other));
        if let Some(near) = nearest(name, silent.map(String::as_str)) {
            self.problems.push(Problem::OutputMisspelt {
                path: self.path().to_owned(),
                name: name.to_owned(),
                near: near.to_owned(),
                write: toml(near, "ignore"),
            });
        }
    }

    /// No output may be called like a feature.
    fn names(&mut self, plan: &Plan) {
        for (at, name) in &plan.outputs {
            let feature = |place: &usize| self.table.header[*place] == *name;
            // One column that is both by `features` and `outputs` is a contradiction already.
            let both = self.config.features.contains(name) && self.config.outputs.contains(name);
            if !both
                && plan
                    .features
                    .iter()
                    .any(|place| Some(*place) != *at && feature(place))
            {
                self.problems.push(Problem::SameName { name: name.clone() });
            }
        }
    }

    /// Kinds must be about columns that are checked.
    fn kinds(&mut self, plan: &Plan) {
        for (name, kind) in &self.config.kinds {
            let feature = plan
                .features
                .iter()
                .any(|at| self.table.header[*at] == *name);
            if feature || plan.outputs.iter().any(|(_, output)| output == name) {
                continue;
            }
            match plan.roles.iter().find(|(header, ..)| header == name) {
                Some((_, FoundRole::Feature | FoundRole::Output, _)) => {}
                Some((_, role, why)) => self.problems.push(Problem::KindUnchecked {
                    name: name.clone(),
                    kind: *kind,
                    role: format!("{role}: it {why}"),
                    write: toml(name, "feature"),
                }),
                None => self.unknown("kind", [name]),
            }
        }
    }
}

fn left_out(key: &'static str, names: &[&str]) -> Problem {
    let ignored: Vec<String> = names.iter().map(|name| toml(name, "ignore")).collect();
    Problem::LeftOut {
        key,
        names: list(names.iter().copied()),
        write: format!("columns = {{ {} }}", ignored.join(", ")),
    }
}
