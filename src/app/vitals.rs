//! Whether every part of the running application lives, for who restarts it where one does not.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::Addresses;
use super::monitoring::Shared;
use crate::drift::Report;
use crate::pulse::Pulse;

/// Proof of life of the threads that serve, record, write and check, and a line on how it goes.
///
/// It proves that each of them goes on, not that its work succeeds: a window that another program
/// locks, or a disk that hangs, is trouble a restart would not mend.
#[derive(Debug, Clone)]
pub struct Vitals {
    serving: Vec<Pulse>,
    admin: Pulse,
    monitoring: Shared,
    report: Arc<ArcSwap<Report>>,
    addresses: Addresses,
}

/// Where the vitals appear once everything is started.
pub type Started = watch::Receiver<Option<Vitals>>;

// === impl Vitals ===

impl Vitals {
    pub(super) fn new(
        serving: Vec<Pulse>,
        admin: Pulse,
        monitoring: Shared,
        addresses: Addresses,
    ) -> Self {
        Self {
            serving,
            admin,
            report: Arc::clone(&monitoring.report),
            monitoring,
            addresses,
        }
    }

    /// Whether every thread that takes traffic has begun.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.serving.iter().all(Pulse::has_begun)
    }

    /// Which thread has given no proof of life for longer than `within`, if one has not.
    #[must_use]
    pub fn trouble(&self, within: Duration) -> Option<String> {
        let window = self.monitoring.window.get().map(|window| window.pulse());
        let own = [
            &self.admin,
            &self.monitoring.pulses.recorder,
            &self.monitoring.pulses.monitor,
        ];
        let mut all = self.serving.iter().chain(own).chain(&window);
        all.find_map(|pulse| pulse.trouble(within))
    }

    /// One line: where driftd serves, whether it records, what drifted.
    #[must_use]
    pub fn line(&self) -> String {
        let recording = match self.monitoring.health.trouble() {
            Some(trouble) => format!("not recording: {trouble}"),
            None if self.monitoring.window.get().is_none() => "opening the window".to_owned(),
            None => "recording".to_owned(),
        };
        let report = self.report.load();
        let drifted: Vec<&str> = (report.models.iter())
            .filter(|model| model.drifted == Some(true))
            .map(|model| model.model.as_str())
            .collect();
        let drifted = match &drifted[..] {
            [] => String::new(),
            names => format!("; drifted: {}", names.join(", ")),
        };
        let Addresses { proxy, admin, .. } = &self.addresses;
        format!("Serving on {proxy}, page on http://{admin}/; {recording}{drifted}")
    }
}
