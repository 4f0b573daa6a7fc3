//! The exporter on a thread of its own, and the connections it opens.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use opentelemetry::KeyValue;
use tokio::sync::oneshot;

use super::certificates::problem;
use super::pushing::dial;
use super::status::of_host;
use super::{Error, spawn};
use crate::config::{Config, Problems};
use crate::exporter::{self, Exporter};
use crate::metrics::Metrics;
use crate::proxy::{ClientTls, Upstream};
use crate::timestamp::Timestamp;

/// What tells replicas apart.
const INSTANCE: &str = "service.instance.id";

/// Where metrics go, if anywhere, with the TLS it is reached with.
#[derive(Debug, Clone)]
pub(super) struct Destination(Option<(exporter::Config, Upstream, Option<ClientTls>)>);

/// The thread, and what ends it.
#[derive(Debug)]
pub(super) struct Exporting {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

// === impl Destination ===

impl Destination {
    /// Reads the certificates it needs.
    pub(super) fn load(config: &Config) -> Result<Self, Problems> {
        let Some(otlp) = &config.otlp else {
            return Ok(Self(None));
        };
        let key = "OTEL_EXPORTER_OTLP_CERTIFICATE";
        let tls = (otlp.endpoint.has_tls()).then(|| ClientTls::load(key, otlp.ca.as_deref()));
        let address = Upstream::parse(otlp.endpoint.origin());
        let loaded = tls
            .transpose()
            .and_then(|tls| Ok((otlp.clone(), address?, tls)));
        loaded
            .map(|loaded| Self(Some(loaded)))
            .map_err(|error| Problems(vec![problem(&error)]))
    }

    /// Begins to export `metrics`, whose page is at `page` and whose counters began at `started`.
    pub(super) fn export(
        self,
        metrics: &Arc<Metrics>,
        started: Timestamp,
        page: SocketAddr,
    ) -> Result<Option<Exporting>, Error> {
        let Some((mut config, address, tls)) = self.0 else {
            return Ok(None);
        };
        // Where nobody said who this is: without it, a receiver takes replicas for one.
        if !(config.resource.iter()).any(|attribute| attribute.key.as_str() == INSTANCE) {
            config
                .resource
                .push(KeyValue::new(INSTANCE, instance(page)));
        }
        tracing::info!(
            endpoint = %config.endpoint,
            interval = %humantime::format_duration(config.interval),
            "Exporting metrics by OTLP"
        );
        let name = "driftd-otlp";
        let exporter = Exporter {
            config,
            dial: dial(address, tls),
            metrics: Arc::clone(metrics),
            started,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| Error::Thread { name, source })?;
        let (stop, stopped) = oneshot::channel();
        let thread = spawn(name, move || {
            // Told, or left alone: both mean to end.
            let stopped = async { stopped.await.unwrap_or(()) };
            runtime.block_on(exporter.run(stopped));
        })?;
        Ok(Some(Exporting { stop, thread }))
    }
}

// === impl Exporting ===

impl Exporting {
    /// Ends it, with a last export; the thread ends soon.
    pub(super) fn end(self) -> JoinHandle<()> {
        // Fails only where it has ended already.
        let _ = self.stop.send(());
        self.thread
    }
}

/// `host:port`, much as Prometheus would name it: the host's, or the pod's, name stays over restarts.
fn instance(page: SocketAddr) -> String {
    of_host(page.port())
}
