//! What metrics and page show of the whole process, gathered from the modules that own it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Addresses;
use super::monitoring::Shared;
use super::watching::Processes;
use crate::admin::{ModelStatus, RecordingStatus, Status, WindowStatus};
use crate::exchange::{DropReason, Outcome};
use crate::metrics::connection::{Direction, Limit};
use crate::metrics::tap::TapCounters;
use crate::metrics::traffic::{Observation, Shard, Traffic};
use crate::metrics::webhook::WebhookCounters;
use crate::metrics::{Gauges, ModelGauges};
use crate::model::ModelName;
use crate::proxy::{Observer, Readiness, TapBytes, UpstreamState};
use crate::timestamp::Timestamp;
use crate::window::{Figures, Window};

/// Where a model is reached.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) name: ModelName,
    pub(super) paths: Vec<String>,
    pub(super) upstream: String,
}

/// Handles to everything the status is made of; all of them are cheap to read.
#[derive(Debug)]
pub(super) struct StatusSource {
    pub(super) started: Timestamp,
    /// What became of the changes announced.
    pub(super) webhooks: Arc<WebhookCounters>,
    /// The model servers' own resources.
    pub(super) processes: Processes,
    pub(super) addresses: Addresses,
    /// Where people reach the page, if not at its own address.
    pub(super) external_url: Option<String>,
    /// Time between two checks.
    pub(super) check_interval: Duration,
    /// False alarms this process allows itself a day.
    pub(super) false_alarms_per_day: f64,
    pub(super) models: Vec<Endpoint>,
    pub(super) traffic: Arc<Traffic>,
    pub(super) monitoring: Shared,
    pub(super) readiness: Readiness,
    pub(super) queue: TapBytes,
}

/// What one proxy thread reports its traffic to.
pub(super) struct Seen {
    pub(super) shard: Arc<Shard>,
    pub(super) counters: Arc<TapCounters>,
}

// === impl StatusSource ===

impl StatusSource {
    pub(super) fn gauges(&self) -> Gauges {
        let model = |index: usize| {
            let figures = self.figures(index);
            ModelGauges {
                window_rows: Some(figures.rows),
                window_newest_row: figures.newest,
                upstream_up: self.upstream_up(index),
                check_duration: self.monitoring.durations.last(index),
                reload_failures: self.monitoring.failures.of(index),
                process: self.processes.of(index),
            }
        };
        Gauges {
            tap_queue_bytes: self.queue.bytes() as u64,
            window_bytes: self.monitoring.window.get().map(Window::bytes),
            recording: self.monitoring.health.trouble().is_none(),
            recording_restarts: self.monitoring.health.restarts(),
            check_defects: self.monitoring.durations.defects(),
            check_interval: self.check_interval,
            false_alarms_per_day: Some(self.false_alarms_per_day),
            page: self.page(),
            webhooks: self.webhooks.snapshot(),
            models: (0..self.models.len()).map(model).collect(),
        }
    }

    pub(super) fn status(&self) -> Status {
        let report = self.monitoring.report.load();
        let model = |(index, endpoint): (usize, &Endpoint)| {
            let figures = self.figures(index);
            ModelStatus {
                model: endpoint.name.clone(),
                paths: endpoint.paths.clone(),
                upstream: endpoint.upstream.clone(),
                upstream_up: self.upstream_up(index),
                tap: self.monitoring.counters.snapshot(index),
                last_undecodable: self.monitoring.reasons.latest(index),
                coverage: report.models.get(index).and_then(|model| model.coverage),
                window: WindowStatus {
                    rows: Some(figures.rows),
                    oldest: figures.oldest,
                    newest: figures.newest,
                },
                traffic: self.traffic.summary(index),
            }
        };
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started,
            uptime_seconds: Timestamp::now().since(self.started).as_secs_f64(),
            check_interval_seconds: self.check_interval.as_secs_f64(),
            listen: self.addresses.proxy.to_string(),
            admin: self.addresses.admin.to_string(),
            window_bytes: self.monitoring.window.get().map(Window::bytes),
            tap_queue_bytes: self.queue.bytes() as u64,
            recording: RecordingStatus::new(
                self.monitoring.health.trouble(),
                self.monitoring.health.restarts(),
            ),
            models: self.models.iter().enumerate().map(model).collect(),
        }
    }

    /// What the window holds of a model; nothing while it is not open.
    fn figures(&self, model: usize) -> Figures {
        let window = self.monitoring.window.get();
        window.map_or_else(Figures::default, |window| window.figures(model))
    }

    pub(super) fn page(&self) -> String {
        let own = || own_page(self.addresses.admin);
        self.external_url.clone().unwrap_or_else(own)
    }

    fn upstream_up(&self, model: usize) -> Option<bool> {
        match self.readiness.model(model) {
            UpstreamState::Up => Some(true),
            UpstreamState::Down => Some(false),
            UpstreamState::Unknown => None,
        }
    }
}

/// Where the page is by its own address; by the host's name where it listens on all of the host's
/// addresses, of which none is known to lead here from elsewhere.
fn own_page(admin: SocketAddr) -> String {
    if admin.ip().is_unspecified() {
        return format!("http://{}", of_host(admin.port()));
    }
    format!("http://{admin}")
}

/// `host:port` with the host's, or the pod's, name.
pub(super) fn of_host(port: u16) -> String {
    let host = rustix::system::uname();
    format!("{}:{port}", host.nodename().to_string_lossy())
}

// === impl Seen ===

impl Observer for Seen {
    fn started(&self, model: Option<usize>) {
        self.shard.started(model);
    }

    fn finished(&self, seen: &Observation<'_>) {
        self.shard.finished(seen);
    }

    fn offered(&self, model: usize) {
        self.counters.offered(model);
    }

    fn outcome(&self, model: usize, outcome: Outcome) {
        self.counters.outcome(model, outcome, 1);
    }

    fn dropped(&self, model: usize, reason: DropReason) {
        self.counters.dropped(model, reason, 1);
    }

    fn truncated(&self, model: usize) {
        self.counters.truncated(model);
    }

    fn limited(&self, limit: Limit) {
        self.shard.connections().limited(limit);
    }

    fn malformed(&self) {
        self.shard.connections().malformed();
    }

    fn tls_failed(&self) {
        self.shard.connections().tls_failed();
    }

    fn tunnel_opened(&self) {
        self.shard.connections().tunnel_opened();
    }

    fn tunnel_closed(&self) {
        self.shard.connections().tunnel_closed();
    }

    fn tunnelled(&self, direction: Direction, bytes: u64) {
        self.shard.connections().tunnelled(direction, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_on_all_addresses_is_at_the_hosts_name() {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let host = host.trim_end();
        for all in ["0.0.0.0:9464", "[::]:9464"] {
            assert_eq!(
                own_page(all.parse().unwrap()),
                format!("http://{host}:9464")
            );
        }
        for (one, expected) in [
            ("127.0.0.1:9464", "http://127.0.0.1:9464"),
            ("[fd00::1]:9464", "http://[fd00::1]:9464"),
        ] {
            assert_eq!(own_page(one.parse().unwrap()), expected);
        }
    }
}
