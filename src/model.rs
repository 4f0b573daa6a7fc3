//! A served model as driftd knows it: its name, the paths it answers, and its columns in order.
//!
//! Invariant: vocabulary only; of the modules beside it, it knows [`crate::feature`] alone.

use std::fmt;
use std::sync::Arc;

use crate::feature::{Cell, Column, Role};

/// The name of a model: a label in metrics, part of a view's name in the window.
/// Letters, digits, `_`, `-` and `.`; at most [`ModelName::MAX`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelName(Arc<str>);

/// The columns of a model: features in the order of positional values, then outputs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schema {
    columns: Vec<Column>,
    features: usize,
}

/// One decoded prediction: a cell for each column of the model's [`Schema`], in its order.
pub type Row = Box<[Cell]>;

/// Which model a request path belongs to: the longest configured path wins.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    /// Paths with the index of their model, longest path first.
    paths: Vec<(Arc<str>, usize)>,
    /// The one that takes every path no other claims, made once: finding it costs no allocation.
    fallback: Option<Route>,
}

/// A route found: the model's index and the path as configured (a bounded metric label).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Index of the model in the configuration's order.
    pub model: usize,
    /// The configured path, or `*` for the model that takes every path.
    pub path: Arc<str>,
}

// === impl ModelName ===

impl ModelName {
    /// Longest name in bytes: it must fit file names, labels and SQL identifiers at ease.
    pub const MAX: usize = 64;

    /// Accepts `name` if it is one that every place it appears in can hold unescaped.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let fits = !name.is_empty() && name.len() <= Self::MAX && name.chars().all(good);
        fits.then(|| Self(name.into()))
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for ModelName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

// === impl Schema ===

impl Schema {
    /// Builds the schema from features in positional order and outputs.
    /// Every column's role is set by the list it stands in.
    #[must_use]
    pub fn new(features: Vec<Column>, outputs: Vec<Column>) -> Self {
        let count = features.len();
        let with = |role| move |column: Column| Column { role, ..column };
        let columns = features
            .into_iter()
            .map(with(Role::Feature))
            .chain(outputs.into_iter().map(with(Role::Output)))
            .collect();
        Self {
            columns,
            features: count,
        }
    }

    /// All columns, features first.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The features, in the order of positional values.
    #[must_use]
    pub fn features(&self) -> &[Column] {
        &self.columns[..self.features]
    }

    /// The outputs.
    #[must_use]
    pub fn outputs(&self) -> &[Column] {
        &self.columns[self.features..]
    }

    /// The index of the column called `name`.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| &*c.name == name)
    }
}

// === impl Routes ===

impl Routes {
    /// The routes of models in their configured order. A model without paths takes every path no
    /// other model claims; the first such model wins.
    #[must_use]
    pub fn new<'a>(models: impl IntoIterator<Item = &'a [String]>) -> Self {
        let mut routes = Self::default();
        for (index, paths) in models.into_iter().enumerate() {
            if paths.is_empty() {
                routes.fallback.get_or_insert_with(|| Route {
                    model: index,
                    path: "*".into(),
                });
            }
            let paths = paths.iter().map(|path| (Arc::from(path.as_str()), index));
            routes.paths.extend(paths);
        }
        routes
            .paths
            .sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        routes
    }

    /// The model for a request path (without its query). A configured path matches itself and
    /// everything below it: `/predict` takes `/predict` and `/predict/batch`, not `/predictions`.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<Route> {
        let below = |prefix: &str| {
            path.strip_prefix(prefix.trim_end_matches('/'))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let found = self.paths.iter().find(|(prefix, _)| below(prefix));
        let route = |(path, model): &(Arc<str>, usize)| Route {
            model: *model,
            path: Arc::clone(path),
        };
        found.map(route).or_else(|| self.fallback.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Routes {
        let iris = ["/predict".to_owned(), "/v2/iris/".to_owned()];
        let wine = ["/predict/wine".to_owned()];
        Routes::new([&iris[..], &wine[..]])
    }

    #[test]
    fn the_longest_path_wins() {
        let found = |path| routes().find(path).map(|route| route.model);
        assert_eq!(found("/predict"), Some(0));
        assert_eq!(found("/predict/batch"), Some(0));
        assert_eq!(found("/predict/wine"), Some(1));
        assert_eq!(found("/v2/iris"), Some(0));
    }

    #[test]
    fn a_path_matches_whole_segments_only() {
        assert_eq!(routes().find("/predictions"), None);
        assert_eq!(routes().find("/health"), None);
    }

    #[test]
    fn a_model_without_paths_takes_the_rest() {
        let iris = ["/predict".to_owned()];
        let routes = Routes::new([&iris[..], &[]]);
        assert_eq!(routes.find("/anything").map(|r| r.model), Some(1));
        assert_eq!(routes.find("/predict").map(|r| r.model), Some(0));
    }

    #[test]
    fn names_that_need_escaping_are_refused() {
        assert!(ModelName::parse("iris-2.v1_a").is_some());
        for bad in ["", "a b", "a\"b", "ä", &"x".repeat(65)] {
            assert!(ModelName::parse(bad).is_none(), "{bad:?}");
        }
    }
}
