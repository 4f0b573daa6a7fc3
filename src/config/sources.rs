//! Where settings come from: the TOML file, `DRIFTD_…` environment variables (`__` nests), flags;
//! each overrides the ones before it, key by key, and every value remembers its origin.

use std::path::Path;

use config::{ConfigError, File, FileFormat, Map, Source, Value, ValueKind};

use super::problem::{Problem, Problems};

/// Every key an environment variable may set, dotted. Tables keyed by users' own names cannot be
/// set so: environment variables have no case.
const ENVIRONMENT_KEYS: &[&str] = &[
    "listen",
    "listen_mode",
    "lame_duck",
    "grace",
    "ready_needs_upstream",
    "tls.certificate",
    "tls.key",
    "tls.client_ca",
    "upstream_ca",
    "upstream_http2",
    "admin",
    "admin_token",
    "admin_token_file",
    "metrics",
    "metrics.listen",
    "metrics.features",
    "upstream",
    "upstream_timeout",
    "external_url",
    "log",
    "log_exchanges",
    "window.path",
    "window.keep_rows",
    "window.keep_for",
    "window.max_bytes",
    "tap.max_body",
    "tap.queue",
    "tap.sample",
    "tap.headers",
    "proxy.max_connections",
    "proxy.max_in_flight",
    "proxy.max_head",
    "proxy.max_headers",
    "proxy.header_timeout",
    "proxy.idle_timeout",
    "proxy.body_timeout",
    "proxy.write_timeout",
    "proxy.tunnel_timeout",
    "proxy.upstream_keepalive",
    "proxy.forwarded",
    "drift.every",
    "drift.current",
    "drift.fast",
    "drift.min_rows",
    "drift.max_rows",
    "drift.max_age",
    "drift.false_alarms",
    "drift.decision",
    "drift.replicas",
    "drift.season",
    "drift.min_effect",
    "drift.min_coverage",
    "drift.reference_max_bytes",
    "webhook.name",
    "webhook.url",
    "webhook.url_file",
    "webhook.secret",
    "webhook.secret_file",
    "webhook.format",
    "webhook.on",
    "webhook.timeout",
    "webhook.retry_for",
    "webhook.queue",
    "webhook.ca",
    "process",
    "process.pid_file",
    "process.cgroup",
    "process.port",
    "reference",
    "features",
    "outputs",
    "paths",
    "version",
    "missing",
    "ordered",
];

/// A key that takes one value for a table.
const METRICS: &str = "metrics";

/// The settings of a file.
#[derive(Debug, Clone)]
struct Settings(Map<String, Value>);

/// Settings given as `(key, value, origin)`, from the environment or from flags.
#[derive(Debug, Clone, Default)]
pub struct Given(Vec<(String, String, String)>);

/// The merged settings and what is worth a warning about their sources.
#[derive(Debug)]
pub(super) struct Merged {
    /// All settings as one table.
    pub value: Value,
    /// Unknown environment variables.
    pub warnings: Vec<String>,
}

/// Reads and merges every source.
///
/// # Errors
/// A file that cannot be read or is not TOML.
pub(super) fn merge(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: Given,
) -> Result<Merged, Problems> {
    let (environment, warnings) = from_environment(environment);
    let mut builder = config::Config::builder();
    if let Some(path) = file {
        // Read here, so that a missing file is told apart from a broken one.
        let text = std::fs::read_to_string(path)
            .map_err(|error| one(path, format!("the file cannot be read: {error}")))?;
        toml_only(&text).map_err(|error| one(path, error.to_string()))?;
        let file = File::from(path).format(FileFormat::Toml).collect();
        let file = file.map_err(|error| one(path, error.to_string()))?;
        builder = builder.add_source(Settings(as_tables(file)));
    }
    let merged = builder
        .add_source(environment)
        .add_source(flags)
        .build()
        .map_err(|error| one(file.unwrap_or(Path::new("settings")), error.to_string()))?;
    Ok(Merged {
        value: merged.cache,
        warnings,
    })
}

/// `metrics = "…"` is short for `[metrics]` with `listen` alone. Written out, so that the
/// environment overrides one key of the table and never the table.
fn as_tables(mut file: Map<String, Value>) -> Map<String, Value> {
    if let Some(metrics) = file.remove(METRICS) {
        let table = match metrics.kind {
            ValueKind::Table(_) => metrics,
            _ => {
                let origin = metrics.origin().map(str::to_owned);
                let table = Map::from_iter([("listen".to_owned(), metrics)]);
                Value::new(origin.as_ref(), ValueKind::Table(table))
            }
        };
        file.insert(METRICS.to_owned(), table);
    }
    file
}

fn toml_only(text: &str) -> Result<(), ConfigError> {
    let file = File::from_str(text, FileFormat::Toml);
    file.collect().map(|_| ())
}

fn one(path: &Path, message: String) -> Problems {
    Problems(vec![Problem {
        origin: path.display().to_string(),
        key: String::new(),
        value: None,
        message: message.trim_end().to_owned(),
    }])
}

fn from_environment(variables: impl Iterator<Item = (String, String)>) -> (Given, Vec<String>) {
    let mut given = Given::default();
    let mut warnings = Vec::new();
    for (variable, value) in variables {
        let Some(rest) = variable.strip_prefix("DRIFTD_") else {
            continue;
        };
        let key = rest.to_lowercase().replace("__", ".");
        if ENVIRONMENT_KEYS.contains(&key.as_str()) {
            let key = if key == METRICS {
                "metrics.listen"
            } else {
                &key
            };
            given.set(key, value, format!("environment variable {variable}"));
        } else if !injected_by_kubernetes(rest) && rest != "CONFIG" {
            warnings.push(format!(
                "environment variable {variable} is not a setting of driftd and is ignored"
            ));
        }
    }
    given.0.sort();
    (given, warnings)
}

/// Whether Kubernetes sets such a variable for a Service named `driftd`: `DRIFTD_PORT`,
/// `DRIFTD_PORT_8080_TCP_ADDR`, `DRIFTD_SERVICE_HOST`, …
fn injected_by_kubernetes(rest: &str) -> bool {
    rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_")
}

// === impl Settings ===

impl Source for Settings {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

// === impl Given ===

impl Given {
    /// Adds one setting.
    pub fn set(&mut self, key: &str, value: String, origin: String) {
        self.0.push((key.to_owned(), value, origin));
    }
}

impl Source for Given {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let entry = |(key, value, origin): &(String, String, String)| {
            let value = Value::new(Some(origin), ValueKind::String(value.clone()));
            (key.clone(), value)
        };
        Ok(self.0.iter().map(entry).collect())
    }
}
