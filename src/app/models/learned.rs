//! The reference a model learned in an earlier run, while it is about what is configured now.

use std::collections::BTreeMap;

use crate::config::{Config, FeatureOverride, Model};
use crate::feature::{Kind, Store};
use crate::model::Schema;
use crate::reference::{self, Loaded};
use crate::timestamp::Timestamp;
use crate::window;

/// The reference learned in an earlier run; `None` where none was, or another would be learned with
/// the settings there are now: of other columns, of other kinds, or from rows of which other things
/// were stored.
pub(super) fn read(
    model: &Model,
    config: &Config,
    now: Timestamp,
) -> Result<Option<Loaded>, window::Error> {
    if model.learn_rows.is_none() {
        return Ok(None);
    }
    let found = window::frozen(&config.window.path, &model.name, &model.version)?;
    let Some(found) = found else {
        return Ok(None);
    };
    let mut loaded = match reference::frozen(&found.profile, now) {
        Ok(loaded) => loaded,
        Err(error) => {
            tracing::error!(model = %model.name, %error, "Reference cannot be read back: it is learned anew");
            return Ok(None);
        }
    };
    loaded.reference.stored_as(&stores(model, &loaded.schema));
    if let Some(change) = change(model, &loaded, &found.hash) {
        tracing::warn!(model = %model.name, "{change} than the reference was learned for: it is learned anew");
        return Ok(None);
    }
    Ok(Some(loaded))
}

/// What is configured otherwise than when the reference was learned, if anything is.
fn change(model: &Model, loaded: &Loaded, hash: &str) -> Option<String> {
    let named = |schema: &Schema| -> Vec<_> {
        let columns = schema.columns().iter();
        columns.map(|c| (c.name.clone(), c.role)).collect()
    };
    if named(&loaded.schema) != named(&super::declared(model)) {
        return Some("Other columns are configured".to_owned());
    }
    let kinds = kinds(model);
    // A column that never held a value has no kind.
    let other = loaded.schema.columns().iter().find_map(|column| {
        let (kind, set) = (column.kind?, *kinds.get(&*column.name)?);
        (kind != set).then(|| format!("{} is configured as {set}, another kind", column.name))
    });
    other.or_else(|| {
        (loaded.reference.hash != hash)
            .then(|| "Another `store` is configured for a feature".to_owned())
    })
}

/// What of each column is stored.
fn stores(model: &Model, schema: &Schema) -> Vec<Store> {
    let mut stores = vec![Store::Keep; schema.columns().len()];
    for change in &model.overrides {
        if let Some(index) = schema.position(&change.name) {
            stores[index] = change.store;
        }
    }
    stores
}

/// Kinds that are not left to be found: those configured, and words that are stored by their hash.
pub(super) fn kinds(model: &Model) -> BTreeMap<String, Kind> {
    let kind = |change: &FeatureOverride| match change.store {
        Store::Hash => Some(Kind::Categorical),
        Store::Keep | Store::Drop => change.kind,
    };
    let kinds = model.overrides.iter();
    kinds
        .filter_map(|change| Some((change.name.clone(), kind(change)?)))
        .collect()
}
