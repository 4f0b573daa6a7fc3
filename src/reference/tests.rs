//! Files through the whole reading; by topic in `tests/`.

use std::fmt::Write as _;

use tempfile::TempDir;

use super::*;
use crate::drift::{ColumnReference, Value};
use crate::feature::Cell;

mod compact;
mod damaged;
mod files;
mod formats;
mod kinds;
mod pairs;
mod roles;

/// A file on disk with the configuration that reads it.
struct Sample {
    dir: TempDir,
    config: Config,
}

impl Sample {
    fn new(content: impl AsRef<[u8]>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.csv");
        std::fs::write(&path, content).unwrap();
        let config = Config::new(path);
        Self { dir, config }
    }

    fn column(mut self, name: &str, role: &str) -> Self {
        self.config.columns.insert(name.to_owned(), role.to_owned());
        self
    }

    fn features(mut self, names: &[&str]) -> Self {
        self.config.features = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    fn outputs(mut self, names: &[&str]) -> Self {
        self.config.outputs = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    fn kind(mut self, name: &str, kind: Kind) -> Self {
        self.config.kinds.insert(name.to_owned(), kind);
        self
    }

    fn load(&self) -> Loaded {
        load(&self.config, Timestamp(7)).unwrap()
    }

    /// The problems, with the file's directory taken out of them.
    fn problems(&self) -> Vec<String> {
        let errors = load(&self.config, Timestamp(7)).unwrap_err();
        let dir = format!("{}/", self.dir.path().display());
        let said = errors.into_iter().map(|problem| problem.to_string());
        said.map(|problem| problem.replace(&dir, "")).collect()
    }

    fn problem(&self) -> String {
        let problems = self.problems();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        problems.into_iter().next().unwrap()
    }
}

impl Loaded {
    fn names(&self, role: crate::feature::Role) -> Vec<&str> {
        let columns = self.schema.columns().iter();
        columns
            .filter(|c| c.role == role)
            .map(|c| &*c.name)
            .collect()
    }

    fn features(&self) -> Vec<&str> {
        self.names(crate::feature::Role::Feature)
    }

    fn outputs(&self) -> Vec<&str> {
        self.names(crate::feature::Role::Output)
    }

    fn column(&self, name: &str) -> &ColumnReference {
        let position = self.schema.position(name).unwrap();
        self.reference.columns[position].as_ref().unwrap()
    }

    fn kind(&self, name: &str) -> Option<Kind> {
        let position = self.schema.position(name).unwrap();
        self.schema.columns()[position].kind
    }

    fn role(&self, name: &str) -> FoundRole {
        self.roles
            .iter()
            .find(|(column, ..)| column == name)
            .unwrap()
            .1
    }
}

/// `count` rows made by `row` under `header`.
fn rows(header: &str, count: usize, row: impl Fn(usize) -> String) -> String {
    let mut content = format!("{header}\n");
    for i in 0..count {
        writeln!(content, "{}", row(i)).unwrap();
    }
    content
}
