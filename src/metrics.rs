//! Every series driftd exposes, and the counters behind them.
//!
//! Invariant: recording never waits for a scrape or another thread; a scrape never fails because a
//! figure does not exist (its series is absent, never NaN or 0). This module knows counters and
//! reports, not HTTP servers, SQL or configuration.
//!
//! - [`catalogue`]: names, labels and help of every series
//! - [`traffic`]: requests, counted per thread
//! - [`connection`]: limits that acted, tunnels
//! - [`process`]: the model server's own resources
//! - [`tap`]: what became of each exchange offered to the tap
//! - [`webhook`]: what became of each change announced
//! - `otlp`: all of it as a message of the OpenTelemetry protocol (cargo feature `otlp`)
//!
//! Scalars are OpenTelemetry instruments; request histograms, the latency summary and everything
//! keyed by feature come from one collector on the same registry; histograms of values are written beside
//! it.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::proto::MetricFamily;
use prometheus::{Registry, TextEncoder};

use crate::drift::Report;
use crate::drift::live::{InForce, Lives};
use crate::model::ModelName;

use self::collector::Rendered;
use self::scalars::Snapshot;
use self::tap::TapCounters;
use self::traffic::Traffic;
use self::values::Values;

pub mod catalogue;
mod collector;
pub mod connection;
mod drift;
mod family;
mod latency;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod process;
mod scalars;
mod series;
pub mod tap;
pub mod traffic;
mod values;
pub mod webhook;

#[cfg(test)]
mod tests;

pub use scalars::{Gauges, ModelGauges};

/// The content type of [`Metrics::render`]; Prometheus 3 refuses a page without one.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Where the figures come from.
pub struct Sources {
    /// Requests.
    pub traffic: Arc<Traffic>,
    /// What became of the exchanges.
    pub tap: Arc<TapCounters>,
    /// The verdicts in force.
    pub report: Arc<ArcSwap<Report>>,
    /// The comparisons in force; set once the window is open.
    pub lives: Arc<OnceLock<Arc<Lives>>>,
    /// The models in the configuration's order.
    pub models: Vec<ModelName>,
    /// Gathers the rest; called at each scrape, so it must be quick.
    pub gauges: Arc<dyn Fn() -> Gauges + Send + Sync>,
}

/// The metrics page.
#[derive(Debug)]
pub struct Metrics {
    sources: Sources,
    /// What the instruments read; replaced when a scrape begins.
    snapshot: Arc<ArcSwap<Snapshot>>,
    registry: Registry,
    /// Held while a snapshot is gathered, so that nobody's figures are of two snapshots.
    gathering: Mutex<()>,
    /// Keeps the instruments alive.
    _provider: SdkMeterProvider,
}

/// Everything at one moment, before it is written.
struct Gathered {
    /// What the registry holds.
    families: Vec<MetricFamily>,
    report: Arc<Report>,
    /// The comparisons in force, once the window is open.
    lives: Option<Arc<InForce>>,
}

/// Why there is no metrics page.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// OpenTelemetry's exporter could not be set up.
    #[error("cannot set up the metrics exporter")]
    Exporter(#[source] opentelemetry_sdk::error::OTelSdkError),
    /// The collector could not be registered.
    #[error("cannot register the metrics")]
    Register(#[source] prometheus::Error),
    /// A scrape could not be written.
    #[error("cannot write the metrics")]
    Encode(#[source] prometheus::Error),
    /// A scrape found nothing, which cannot be: the build's version is always there.
    #[error("the metrics are empty: OpenTelemetry's pipeline has failed; restart driftd")]
    Empty,
}

// === impl Metrics ===

impl Metrics {
    /// Registers every series.
    ///
    /// # Errors
    /// If the catalogue contradicts itself, which a test rules out.
    pub fn new(sources: Sources) -> Result<Self, Error> {
        let registry = Registry::new();
        // Without a registry given, the exporter would make one that nobody can scrape.
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()
            .map_err(Error::Exporter)?;
        let resource = Resource::builder_empty()
            .with_service_name("driftd")
            .with_attribute(opentelemetry::KeyValue::new(
                "service.version",
                env!("CARGO_PKG_VERSION"),
            ))
            .build();
        let provider = SdkMeterProvider::builder()
            .with_reader(exporter)
            .with_resource(resource)
            .build();
        let snapshot = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
        let models: Arc<[ModelName]> = sources.models.clone().into();
        scalars::register(&provider.meter("driftd"), &snapshot, &models);
        let rendered = Rendered::new(Arc::clone(&sources.traffic), Arc::clone(&snapshot));
        let rendered = rendered.map_err(Error::Register)?;
        registry
            .register(Box::new(rendered))
            .map_err(Error::Register)?;
        Ok(Self {
            sources,
            snapshot,
            registry,
            gathering: Mutex::new(()),
            _provider: provider,
        })
    }

    /// The metrics in Prometheus' text format.
    ///
    /// # Errors
    /// If they cannot be written or there are none: better no scrape than an empty one.
    pub fn render(&self) -> Result<String, Error> {
        let gathered = self.gather();
        let mut text = TextEncoder::new()
            .encode_to_string(&gathered.families)
            .map_err(Error::Encode)?;
        if !text.contains(catalogue::BUILD_INFO.name) {
            return Err(Error::Empty);
        }
        untype(&mut text, catalogue::FEATURE_QUANTILE.name);
        if let Some(lives) = &gathered.lives {
            Values::new(&gathered.report, lives).write(&mut text);
        }
        Ok(text)
    }

    /// Waits only for another scrape that gathers.
    fn gather(&self) -> Gathered {
        let gathering = self.gathering.lock();
        // It guards no data that a panic could have left half done.
        let _gathering = gathering.unwrap_or_else(PoisonError::into_inner);
        let snapshot = Arc::new(self.sources.snapshot());
        self.snapshot.store(Arc::clone(&snapshot));
        Gathered {
            families: self.registry.gather(),
            report: Arc::clone(&snapshot.report),
            lives: self.sources.lives.get().map(|lives| lives.see()),
        }
    }
}

/// Declares a gauge untyped. Only there does Prometheus' linter accept a label `quantile` without
/// the sum and count of a summary, and the encoder knows no untyped families.
fn untype(text: &mut String, name: &str) {
    let gauge = format!("\n# TYPE {name} gauge\n");
    if let Some(at) = text.find(&gauge) {
        text.replace_range(at..at + gauge.len(), &format!("\n# TYPE {name} untyped\n"));
    }
}

// === impl Sources ===

impl Sources {
    fn snapshot(&self) -> Snapshot {
        let models = 0..self.models.len();
        let slots = self.traffic.slots();
        Snapshot {
            gauges: (self.gauges)(),
            tap: models.map(|model| self.tap.snapshot(model)).collect(),
            active: slots
                .map(|(slot, name)| (name.to_owned(), self.traffic.active(slot)))
                .collect(),
            connections: self.traffic.connections(),
            report: self.report.load_full(),
        }
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("models", &self.models)
            .finish_non_exhaustive()
    }
}
