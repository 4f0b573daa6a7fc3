//! A seam for fuzzing: what `driftd config` prints, without the references it reads.

use super::show;
use crate::config::{Config, Model};
use crate::feature::{Column, Role, Store};
use crate::model::Schema;

/// What `driftd config` prints of `config`, as far as the configuration alone tells the columns.
#[must_use]
pub fn printed(config: &Config) -> String {
    let mut text = show::effective(config);
    for settings in &config.models {
        let schema = schema(settings);
        let stores: Vec<Store> = (schema.columns().iter())
            .map(|column| {
                let own = settings.overrides.iter().find(|o| *o.name == *column.name);
                own.map_or_else(Store::default, |own| own.store)
            })
            .collect();
        text += &show::model(config, settings, &schema, &stores);
    }
    text
}

/// The columns a model's settings name; those only an override names count as features.
fn schema(settings: &Model) -> Schema {
    let column = |name: &str| Column {
        name: name.into(),
        role: Role::Feature,
        kind: (settings.overrides.iter())
            .find(|own| own.name == name)
            .and_then(|own| own.kind),
    };
    let overridden = settings.overrides.iter().map(|own| &own.name);
    let others = overridden
        .filter(|name| !settings.features.contains(name) && !settings.outputs.contains(name));
    Schema::new(
        (settings.features.iter().chain(others))
            .map(|name| column(name))
            .collect(),
        settings.outputs.iter().map(|name| column(name)).collect(),
    )
}
