//! The exporter on a thread of its own, and the connections it opens.

use std::net::SocketAddr;
use std::sync::Arc;

use opentelemetry::KeyValue;

use super::Error;
use super::certificates::problem;
use super::pushing::dial;
use super::status::of_host;
use super::threads::Stoppable;
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
    ) -> Result<Option<Stoppable>, Error> {
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
        let exporter = Exporter {
            config,
            dial: dial(address, tls),
            metrics: Arc::clone(metrics),
            started,
        };
        Stoppable::spawn("driftd-otlp", move |stop| exporter.run(stop)).map(Some)
    }
}

/// `host:port`, much as Prometheus would name it: the host's, or the pod's, name stays over restarts.
fn instance(page: SocketAddr) -> String {
    of_host(page.port())
}
