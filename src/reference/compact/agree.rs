//! Whether the configuration says what the profile says.

use crate::feature::Role;
use crate::reference::build::Column;
use crate::reference::problem::Problem;
use crate::reference::settle::wanted;
use crate::reference::wording::{list, suggestion};
use crate::reference::{Config, FoundRole, default_missing};

use super::Profile;

/// Where the configuration contradicts the profile.
pub(super) fn check(config: &Config, profile: &Profile) -> Vec<Problem> {
    let mut problems = roles(config, profile);
    for (key, role, listed) in [
        ("features", Role::Feature, &config.features),
        ("outputs", Role::Output, &config.outputs),
    ] {
        let held = || profile.names(role);
        if !listed.is_empty() && !held().eq(listed.iter().map(String::as_str)) {
            let message = format!(
                "lists {}, the profile holds {} in this order",
                list(listed.iter().map(String::as_str)),
                list(held()),
            );
            problems.push(contradicts(config, key, message));
        }
    }
    if config.missing != profile.missing && config.missing != default_missing() {
        let message = format!(
            "lists {:?}, the profile was made with {:?}",
            config.missing, profile.missing
        );
        problems.push(contradicts(config, "missing", message));
    }
    if config.ordered && profile.dependence.is_empty() {
        let message = "is true, the profile was made without".to_owned();
        problems.push(contradicts(config, "ordered", message));
    }
    for (name, kind) in &config.kinds {
        match profile.columns.iter().find(|column| column.name == *name) {
            None => problems.push(unknown(config, profile, "kind", name)),
            Some(Column {
                kind: Some(held), ..
            }) if held != kind => {
                let message = format!("of {name:?} is {kind}, in the profile it is {held}");
                problems.push(contradicts(config, "kind", message));
            }
            Some(_) => {}
        }
    }
    problems
}

fn roles(config: &Config, profile: &Profile) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, word) in &config.columns {
        // An unknown word is a problem already.
        let Some((role, renamed)) = wanted(word) else {
            continue;
        };
        let from = |column: &&Column| column.source.as_ref() == Some(name);
        let compared = profile.columns.iter().find(from);
        let other = profile.not_compared.iter().find(|(other, _)| other == name);
        let held = match (compared, other) {
            (Some(column), _) => match column.role {
                Role::Feature => FoundRole::Feature,
                Role::Output => FoundRole::Output,
            },
            (None, Some((_, role))) => *role,
            (None, None) => {
                problems.push(unknown(config, profile, "columns", name));
                continue;
            }
        };
        if held != role {
            let message = format!("makes {name:?} {word:?}, in the profile it is {held}");
            problems.push(contradicts(config, "columns", message));
        } else if let Some(column) = compared
            && role == FoundRole::Output
            && renamed.unwrap_or(name) != column.name
        {
            let known = &column.name;
            let message = format!("makes {name:?} {word:?}, in the profile it is output:{known}");
            problems.push(contradicts(config, "columns", message));
        }
    }
    problems
}

fn contradicts(config: &Config, key: &'static str, message: String) -> Problem {
    Problem::Contradicts {
        key,
        path: config.path.clone(),
        message,
    }
}

fn unknown(config: &Config, profile: &Profile, key: &'static str, name: &str) -> Problem {
    let names = || {
        let others = profile.not_compared.iter().map(|(name, _)| name.as_str());
        let compared = profile.columns.iter().map(|column| column.name.as_str());
        compared.chain(others)
    };
    Problem::UnknownColumn {
        key,
        path: config.path.clone(),
        name: name.to_owned(),
        suggestion: suggestion(name, names()),
        names: list(names()),
    }
}

// === impl Profile ===

impl Profile {
    fn names(&self, role: Role) -> impl Iterator<Item = &str> {
        let of = self.columns.iter().filter(move |c| c.role == role);
        of.map(|column| column.name.as_str())
    }
}
