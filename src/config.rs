//! Settings: from file, environment and flags to every module's own validated `Config`.
//!
//! Invariant: only validated configuration leaves this module, and a configuration with problems is
//! refused with all of them at once, each with origin, key, value and what would be right. Reading
//! reference data is not done here; [`crate::app`] does that.

mod access;
mod drift;
mod limits;
mod metrics;
mod models;
mod otlp;
mod problem;
mod process;
mod section;
mod serving;
mod sources;
mod tap;
mod webhooks;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::Value;

pub use access::{Access, admin_access};
pub use models::{FeatureOverride, Model};
pub use problem::{Problem, Problems};
pub use serving::Serving;
pub use sources::Given;

use crate::admin::TokenSource;
use crate::drift::current::SpanLength;
use crate::exporter;
use crate::monitor;
use crate::proxy;
use crate::push;
use crate::reference;
use crate::window;
use access::token;
use section::{Collector, Section, parse_duration};

/// File read when `--config` is not given and it exists.
pub const DEFAULT_FILE: &str = "driftd.toml";

const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
/// OpenTelemetry's port for Prometheus exporters.
const DEFAULT_ADMIN: &str = "127.0.0.1:9464";
/// Slow models exist; this only ends exchanges nobody waits for any more.
const DEFAULT_UPSTREAM_TIMEOUT: Duration = Duration::from_secs(300);
const DEFAULT_WINDOW: &str = "driftd.db";
const DEFAULT_KEEP_ROWS: u64 = 100_000;
const DEFAULT_KEEP_FOR: Duration = Duration::from_secs(30 * 86_400);
const DEFAULT_MAX_BYTES: u64 = 1 << 30;

/// The validated configuration of one process.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where prediction traffic comes in.
    pub listen: proxy::Address,
    /// How it is taken and let go.
    pub serving: Serving,
    /// Where page, API and metrics are served.
    pub admin: SocketAddr,
    /// Where `/metrics` and health alone are served as well.
    pub metrics: Option<SocketAddr>,
    /// What a request that changes something over the admin listener must show.
    pub admin_token: TokenSource,
    /// How people reach the page, for links.
    pub external_url: Option<String>,
    /// Structured logs instead of lines for people; `None`: decide by whether a terminal listens.
    pub json_log: Option<bool>,
    /// One log line per exchange.
    pub log_exchanges: bool,
    /// The window.
    pub window: window::Config,
    /// Where traffic of no model goes.
    pub upstream: proxy::Upstream,
    /// How long an upstream may take to begin its answer; `None`: as long as it likes.
    pub upstream_timeout: Option<Duration>,
    /// What clients may take, and what upstreams are told of them.
    pub limits: proxy::Limits,
    /// Client connections open at once; `None`: as many as open files allow, up to 10,000.
    pub max_connections: Option<NonZeroUsize>,
    /// What the tap may hold.
    pub tap: proxy::TapConfig,
    /// Exchanges left out of the window, of any model.
    pub exclude: Vec<proxy::Exclude>,
    /// Headers stored of each exchange.
    pub headers: proxy::HeaderList,
    /// Share of the exchanges kept.
    pub sample: proxy::Sample,
    /// When and how checks are made.
    pub drift: monitor::Config,
    /// Bytes the sorted values of the references of each model may take.
    pub reference_max_bytes: u64,
    /// Who is told of changes.
    pub webhooks: Vec<push::Config>,
    /// Where metrics are pushed to; `None`: nowhere.
    pub otlp: Option<exporter::Config>,
    /// The models, at least one.
    pub models: Vec<Model>,
    /// What is odd but not wrong.
    pub warnings: Vec<String>,
}

/// Reads, merges and validates every source. `file`: the one named by `--config`, which must exist;
/// else [`DEFAULT_FILE`] where it exists.
///
/// # Errors
/// Everything wrong, at once.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: Given,
) -> Result<Config, Problems> {
    let default = Path::new(DEFAULT_FILE);
    let file = file.or_else(|| default.exists().then_some(default));
    let (opentelemetry, environment) = environment.partition(|(name, _)| otlp::is_of(name));
    let environment: Vec<(String, String)> = environment;
    let merged = sources::merge(file, environment.into_iter(), flags)?;
    let base = file
        .and_then(Path::parent)
        .map(Path::to_owned)
        .unwrap_or_default();
    validate(merged, &base, opentelemetry)
}

/// Validates settings a program gives, with no file and no environment.
///
/// # Errors
/// Everything wrong, at once.
pub fn from_given(given: Given) -> Result<Config, Problems> {
    let merged = sources::merge(None, std::iter::empty(), given)?;
    validate(merged, Path::new(""), Vec::new())
}

/// Paths in a file are relative to it, as a person who reads the file expects.
fn resolve(base: &Path, value: &Value, path: &str) -> PathBuf {
    let given_elsewhere = value
        .origin()
        .is_some_and(|origin| origin.starts_with("environment") || origin.starts_with("--"));
    if given_elsewhere {
        PathBuf::from(path)
    } else {
        base.join(path)
    }
}

/// `opentelemetry`: the environment variables of its name.
fn validate(
    merged: sources::Merged,
    base: &Path,
    opentelemetry: Vec<(String, String)>,
) -> Result<Config, Problems> {
    let problems = Collector::default();
    let mut warnings = merged.warnings;
    let otlp = otlp::read(opentelemetry, &problems, &mut warnings);
    let mut top = Section::new("", merged.value, &problems);

    let listen = serving::listen(&mut top);
    let serving = serving::read(&mut top, base);
    let admin = top.address("admin");
    let admin_token = token(&mut top, base);
    let metrics = metrics::read(top.section("metrics"));
    let external_url = top.parse(
        "external_url",
        "an address such as \"https://driftd.example\"",
        |url| {
            let good = url.starts_with("http://") || url.starts_with("https://");
            if good {
                Ok(url.trim_end_matches('/').to_owned())
            } else {
                Err(String::new())
            }
        },
    );
    let json_log = top.parse("log", "\"human\" or \"json\"", |word| match word {
        "json" => Ok(true),
        "human" => Ok(false),
        _ => Err(String::new()),
    });
    let log_exchanges = top.boolean("log_exchanges").unwrap_or(false);
    let mut drift = top.section("drift");
    let reference_max_bytes = drift.bytes("reference_max_bytes");
    let reference_max_bytes = reference_max_bytes.unwrap_or(reference::DEFAULT_MAX_BYTES);
    let drift = drift::read(drift, metrics.features);
    let common = models::Common {
        given: top.has("upstream"),
        upstream: models::upstream(&mut top),
        reference_max_bytes,
    };
    let upstream_timeout = top.parse(
        "upstream_timeout",
        "a duration such as \"60s\", or \"off\"",
        |text| {
            if text == "off" {
                Ok(None)
            } else {
                parse_duration(text).map(Some)
            }
        },
    );
    let window = window(top.section("window"), base);
    let limits::Proxy {
        limits,
        max_connections,
    } = limits::read(top.section("proxy"));
    let tap::Tap {
        limits: tap,
        exclude,
        headers,
        sample,
    } = tap::read(top.section("tap"));
    let webhooks = webhooks::read(&mut top, base);
    let models = models::models(&mut top, base, &common, &drift);
    coherent(&top, &window, &drift);
    learnable(&top, &window, &models);
    top.finish();

    let mut found = problems.into_vec();
    let fallback = || DEFAULT_ADMIN.parse().ok();
    let config = (|| {
        Some(Config {
            listen: listen.or_else(|| proxy::Address::parse(DEFAULT_LISTEN).ok())?,
            serving,
            admin: admin.or_else(fallback)?,
            admin_token,
            metrics: metrics.listen,
            external_url,
            json_log,
            log_exchanges,
            window,
            // Every model has an upstream of its own where there is no common one.
            upstream: (common.upstream)
                .or_else(|| models.first().map(|model| model.upstream.clone()))?,
            upstream_timeout: upstream_timeout.unwrap_or(Some(DEFAULT_UPSTREAM_TIMEOUT)),
            limits,
            max_connections,
            tap,
            exclude,
            headers,
            sample,
            drift,
            reference_max_bytes,
            webhooks,
            otlp,
            models,
            warnings,
        })
    })();
    match config {
        Some(config) if found.is_empty() => Ok(config),
        _ => {
            found.sort_by(|a, b| (&a.origin, &a.key).cmp(&(&b.origin, &b.key)));
            found.dedup();
            Err(Problems(found))
        }
    }
}

/// Rows to learn from must stay until they are learned from.
fn learnable(top: &Section<'_>, window: &window::Config, models: &[Model]) {
    for model in models {
        // The newer half of the window is whole, the older half is thinned.
        let needed = model.learn_rows.unwrap_or(0) as u64 * 2;
        if window.keep_rows < needed {
            let message = format!(
                "{} is too few for reference.learn_rows = {} of model {}; write at least {needed}",
                window.keep_rows,
                needed / 2,
                model.name
            );
            top.lacks("window.keep_rows", message);
        }
    }
}

/// Settings that are right each for itself and wrong together.
fn coherent(top: &Section<'_>, window: &window::Config, drift: &monitor::Config) {
    for (name, span) in [
        ("drift.current", Some(&drift.main)),
        ("drift.fast", drift.fast.as_ref()),
    ] {
        let Some(span) = span else { continue };
        let rows = match span.length {
            SpanLength::Rows(rows) => rows,
            SpanLength::Time(length) => {
                if length > window.keep_for {
                    top.lacks(
                        name,
                        "reaches further back than window.keep_for; lengthen that".to_owned(),
                    );
                }
                if length > span.max_age {
                    top.lacks(
                        name,
                        "reaches further back than drift.max_age; lengthen that".to_owned(),
                    );
                }
                span.min_rows
            }
        };
        // The newer half of the window is whole, the older half is thinned.
        let needed = 2 * rows as u64;
        if window.keep_rows < needed {
            let message = format!(
                "{} is too few for {name}; write at least {needed}",
                window.keep_rows
            );
            top.lacks("window.keep_rows", message);
        }
    }
}

fn window(mut section: Section<'_>, base: &Path) -> window::Config {
    let mut path = PathBuf::from(DEFAULT_WINDOW);
    if let Some(value) = section.take("path") {
        path = resolve(base, &value, &value.to_string());
    }
    let config = window::Config {
        path,
        keep_rows: section.count("keep_rows", 100).unwrap_or(DEFAULT_KEEP_ROWS),
        keep_for: section.duration("keep_for").unwrap_or(DEFAULT_KEEP_FOR),
        max_bytes: section.bytes("max_bytes").unwrap_or(DEFAULT_MAX_BYTES),
    };
    section.finish();
    config
}

#[cfg(test)]
mod tests;
