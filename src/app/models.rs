//! From configured models to what the stages need of them.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::config::{Config, Model, Problem, Problems};
use crate::decode::Decoder;
use crate::drift::Reference;
use crate::drift::accept::Acceptance;
use crate::drift::alarm::Alarms;
use crate::drift::decide::Policy;
use crate::drift::live::Live;
use crate::feature::{Column, Kind, Role, Store, hash};
use crate::model::{ModelName, Schema};
use crate::monitor::{self, Learning, Watched};
use crate::proxy;
use crate::recorder::Recorded;
use crate::reference;
use crate::timestamp::Timestamp;
use crate::window::{ModelSpec, Window};

use super::Error;
use super::certificates::Certificates;
use super::reload::Stamp;
use super::status::Endpoint;

mod learned;

/// A model whose reference is loaded.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) name: ModelName,
    pub(super) paths: Vec<String>,
    upstream: proxy::Upstream,
    version: String,
    schema: Arc<Schema>,
    reference: Option<Arc<Reference>>,
    policies: Vec<Policy>,
    stores: Vec<Store>,
    notes: Vec<String>,
    /// The reference file as it was read.
    stamp: Option<Stamp>,
    alarms: Alarms,
    accepted: Vec<Acceptance>,
    changed: bool,
    thinned: Option<crate::drift::current::Thinned>,
    /// Rows to learn the reference from, until it is learned, and kinds over those found.
    learn: Option<(usize, BTreeMap<String, Kind>)>,
}

/// Loads every model's reference.
pub(super) fn prepare(config: &Config, now: Timestamp) -> Result<Vec<Prepared>, Problems> {
    let mut problems = Vec::new();
    let mut prepared = Vec::new();
    for model in &config.models {
        match Prepared::new(model, config, now) {
            Ok(model) => prepared.push(model),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() {
        Ok(prepared)
    } else {
        Err(Problems(problems))
    }
}

/// Opens the window and takes over what it knows of each model.
pub(super) fn open_window(
    config: &Config,
    models: &mut [Prepared],
    now: Timestamp,
) -> Result<Window, Error> {
    // What could not be read before is not learned a second time.
    for (model, settings) in models.iter_mut().zip(&config.models) {
        if model.learn.is_some()
            && let Some(loaded) = learned::read(settings, config, now)?
        {
            model.schema = Arc::new(loaded.schema);
            model.reference = Some(Arc::new(loaded.reference));
            model.learn = None;
            model.announce();
        }
    }
    let specs: Vec<ModelSpec> = models.iter().map(Prepared::spec).collect();
    let opened = Window::open(&config.window, &specs, now)?;
    if let Some(path) = opened.quarantined {
        tracing::error!(
            window = %config.window.path.display(),
            moved_to = %path.display(),
            "The window file was no readable SQLite database: it was moved aside and a fresh one begun"
        );
    }
    if let Some(gap) = opened.gap {
        tracing::warn!(
            from = %gap.started_at,
            to = %gap.ended_at,
            reason = gap.reason,
            "The last run ended without warning: exchanges of this time may be missing"
        );
    }
    for (model, found) in models.iter_mut().zip(opened.models) {
        if let Some(reference) = &mut model.reference {
            Arc::make_mut(reference).loaded_at = found.since;
        }
        model.alarms = found.alarms;
        model.accepted = found.accepted;
        model.changed = found.first_row > 1;
        model.thinned = found.thinned;
    }
    Ok(opened.window)
}

/// What the proxy needs to know.
pub(super) fn proxy_config(
    config: &Config,
    models: &[Prepared],
    max_connections: NonZeroUsize,
    certificates: &Certificates,
) -> proxy::Config {
    let model = |model: &Prepared| proxy::ModelConfig {
        upstream: model.upstream.clone(),
        exclude: config.exclude.clone(),
        sample: config.sample,
    };
    proxy::Config {
        models: models.iter().map(model).collect(),
        headers: config.headers.clone(),
        max_connections,
        response_timeout: config.upstream_timeout,
        tls: certificates.server.clone(),
        upstream_tls: certificates.upstream.clone(),
        upstream_http2: config.serving.upstream_http2,
        limits: config.limits.clone(),
        ..proxy::Config::new(config.upstream.clone())
    }
}

// === impl Prepared ===

impl Prepared {
    fn new(model: &Model, config: &Config, now: Timestamp) -> Result<Self, Vec<Problem>> {
        let problem =
            |key: &str, value: Option<String>, message: String| about(model, key, value, message);
        let stamp = model.reference.as_ref();
        let stamp = stamp.and_then(|reference| Stamp::of(&reference.path));
        let Read {
            schema,
            mut reference,
            notes,
        } = read(model, config, now)?;
        let mut policies = vec![config.drift.policy; schema.columns().len()];
        let mut stores = vec![Store::Keep; schema.columns().len()];
        let mut unknown = Vec::new();
        for change in &model.overrides {
            match schema.position(&change.name) {
                Some(index) => {
                    policies[index] = change.policy;
                    stores[index] = change.store;
                    let kind = schema.columns()[index].kind;
                    if change.store == Store::Hash && kind.is_some_and(|k| k != Kind::Categorical) {
                        let message = "only words of a categorical column can be compared by their hash; write kind = \"categorical\" beside it, or store = \"drop\"";
                        let key = format!("feature {}: store", change.name);
                        unknown.push(problem(
                            &key,
                            Some("\"hash\"".to_owned()),
                            message.to_owned(),
                        ));
                    }
                }
                None => {
                    let names: Vec<&str> = schema.columns().iter().map(|c| &*c.name).collect();
                    let message = format!("no such column; the columns are: {}", names.join(", "));
                    unknown.push(problem(
                        "feature.name",
                        Some(format!("{:?}", change.name)),
                        message,
                    ));
                }
            }
        }
        if !unknown.is_empty() {
            return Err(unknown);
        }
        // What was learned from stored rows knows no more than was stored.
        if let Some(reference) = reference.as_mut().filter(|_| model.learn_rows.is_none()) {
            conceal(reference, &stores, model.name.as_str());
        }
        let known = reference.is_some();
        Ok(Self {
            name: model.name.clone(),
            paths: model.paths.clone(),
            upstream: model.upstream.clone(),
            version: model.version.clone(),
            schema: Arc::new(schema),
            reference: reference.map(Arc::new),
            policies,
            stores,
            notes,
            stamp,
            alarms: Alarms::default(),
            accepted: Vec::new(),
            changed: false,
            thinned: None,
            learn: (model.learn_rows.filter(|_| !known)).map(|rows| (rows, learned::kinds(model))),
        })
    }

    /// Says at start what was understood, where a wrong reading can be seen.
    pub(super) fn announce(&self) {
        let names = |columns: &[Column]| {
            let names: Vec<&str> = columns.iter().map(|c| &*c.name).collect();
            names.join(", ")
        };
        match &self.reference {
            Some(reference) => tracing::info!(
                model = %self.name,
                rows = reference.rows,
                hash = reference.hash,
                features = names(self.schema.features()),
                outputs = names(self.schema.outputs()),
                "Reference loaded"
            ),
            None if self.learn.is_some() => tracing::info!(
                model = %self.name,
                rows = self.learn.as_ref().map(|(rows, _)| rows),
                "Reference to be learned from traffic"
            ),
            None => tracing::warn!(
                model = %self.name,
                "No reference: traffic is measured and its exchanges recorded, drift is not; give one with --reference or in [[model]]"
            ),
        }
        for note in &self.notes {
            tracing::info!(model = %self.name, "{note}");
        }
    }

    /// The columns as they were read, and what of each is stored.
    pub(super) fn columns(&self) -> (&Schema, &[Store]) {
        (&self.schema, &self.stores)
    }

    /// What a person should know about the reading of the reference.
    pub(super) fn notes(&self) -> impl Iterator<Item = &str> {
        self.notes.iter().map(String::as_str)
    }

    /// The same, to keep.
    pub(super) fn shared_columns(&self) -> (Arc<Schema>, Vec<Store>) {
        (Arc::clone(&self.schema), self.stores.clone())
    }

    /// Identity of the reference.
    pub(super) fn hash(&self) -> Option<&str> {
        self.reference.as_ref().map(|reference| &*reference.hash)
    }

    /// Which file the reference was read from.
    pub(super) const fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    /// Where the model is reached, for the status.
    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint {
            name: self.name.clone(),
            paths: self.paths.clone(),
            upstream: self.upstream.to_string(),
        }
    }

    /// What recorder and monitor need of the model.
    pub(super) fn stages(&self, drift: &monitor::Config) -> (Recorded, Watched) {
        let live = self.reference.clone().map(|reference| {
            let live = Live::new(reference, drift.spans());
            if let Some(thinned) = self.thinned {
                live.thin(thinned);
            }
            Arc::new(live)
        });
        let known = !self.schema.features().is_empty();
        let recorded = Recorded {
            name: self.name.clone(),
            schema: Arc::clone(&self.schema),
            stores: self.stores.clone(),
            decoder: known.then(|| Decoder::new(&self.schema)),
        };
        let watched = Watched {
            name: self.name.clone(),
            version: self.version.clone(),
            schema: Arc::clone(&self.schema),
            policies: self.policies.clone(),
            live,
            learning: (self.learn.clone()).map(|(rows, kinds)| Learning {
                rows,
                kinds,
                stores: self.stores.clone(),
            }),
            alarms: self.alarms.clone(),
            accepted: self.accepted.clone(),
            changed: self.changed,
        };
        (recorded, watched)
    }

    fn spec(&self) -> ModelSpec {
        ModelSpec {
            name: self.name.clone(),
            version: self.version.clone(),
            schema: Schema::clone(&self.schema),
            reference_hash: self.reference.as_ref().map(|r| r.hash.clone()),
        }
    }
}

/// What a model's reference file says.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) schema: Schema,
    /// `None` where there is no file: the columns are those configured.
    pub(super) reference: Option<Reference>,
    /// What a person should know about the reading.
    pub(super) notes: Vec<String>,
}

/// The reference learned in an earlier run, or what the file says.
fn read(model: &Model, config: &Config, now: Timestamp) -> Result<Read, Vec<Problem>> {
    match learned::read(model, config, now) {
        Ok(Some(loaded)) => {
            return Ok(Read {
                schema: loaded.schema,
                reference: Some(loaded.reference),
                notes: loaded.notes,
            });
        }
        Ok(None) => {}
        // Read once more when the window opens.
        Err(error) => {
            tracing::debug!(model = %model.name, %error, "Learned reference not read yet");
        }
    }
    read_reference(model, now)
}

/// Reads the reference file of a model, at the start and on every reload.
pub(super) fn read_reference(model: &Model, now: Timestamp) -> Result<Read, Vec<Problem>> {
    let Some(settings) = &model.reference else {
        return Ok(Read {
            schema: declared(model),
            reference: None,
            notes: Vec::new(),
        });
    };
    let loaded = reference::load(settings, now).map_err(|errors| {
        let shown = Some(format!("{:?}", settings.path.display().to_string()));
        let all = errors.into_iter();
        all.map(|e| about(model, "reference", shown.clone(), e.to_string()))
            .collect::<Vec<_>>()
    })?;
    Ok(Read {
        schema: loaded.schema,
        reference: Some(loaded.reference),
        notes: loaded.notes,
    })
}

/// A problem with a setting of a model.
fn about(model: &Model, key: &str, value: Option<String>, message: String) -> Problem {
    Problem {
        origin: model.reference_origin.clone(),
        key: format!("model {}: {key}", model.name),
        value,
        message,
    }
}

/// Makes the reference know no more of a column than may be stored of it.
pub(super) fn conceal(reference: &mut Reference, stores: &[Store], salt: &str) {
    for (column, store) in reference.columns.iter_mut().zip(stores) {
        *column = match (store, column.take()) {
            (Store::Drop, _) => None,
            (Store::Hash, Some(known)) => Some(known.renamed(|word| hash(word, salt))),
            (_, known) => known,
        };
    }
    if stores.contains(&Store::Drop) {
        // Both go by the place of each track, and say something of the column that is gone.
        reference.together = None;
        reference.dependence = Vec::new();
    }
    reference.stored_as(stores);
}

/// The columns a model without reference is configured with; none where it is not.
fn declared(model: &Model) -> Schema {
    let column = |role| {
        move |name: &String| Column {
            name: name.as_str().into(),
            role,
            kind: None,
        }
    };
    if model.features.is_empty() {
        return Schema::default();
    }
    let mut outputs = model.outputs.clone();
    if outputs.is_empty() {
        outputs.push(reference::DEFAULT_OUTPUT.to_owned());
    }
    Schema::new(
        model.features.iter().map(column(Role::Feature)).collect(),
        outputs.iter().map(column(Role::Output)).collect(),
    )
}
