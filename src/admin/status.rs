//! What `/api/v1/status` says and the page shows beside the verdicts.

use std::time::Duration;

use serde::Serialize;

use crate::metrics::tap::TapSnapshot;
use crate::metrics::traffic::Summary;
use crate::model::ModelName;
use crate::timestamp::Timestamp;

/// How long a model may go without a check beyond [`MISSED`] intervals: as long as the alert
/// `DriftdNoCheck` allows.
const GRACE: Duration = Duration::from_secs(600);

/// Intervals that may pass without a check.
const MISSED: f64 = 5.0;

/// The process.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Status {
    /// Version of driftd.
    pub version: String,
    /// When the process began.
    pub started_at: Timestamp,
    /// Seconds since then.
    pub uptime_seconds: f64,
    /// Seconds between two checks.
    pub check_interval_seconds: f64,
    /// Address that takes traffic.
    pub listen: String,
    /// Address of this API.
    pub admin: String,
    /// Size of the window on disk; `None` where it cannot be told.
    pub window_bytes: Option<u64>,
    /// Bytes waiting between the proxy and the window.
    pub tap_queue_bytes: u64,
    /// Whether what is tapped reaches the window.
    pub recording: RecordingStatus,
    /// In the configuration's order.
    pub models: Vec<ModelStatus>,
}

/// How recording goes. Traffic does not depend on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RecordingStatus {
    /// `ok` or `degraded`.
    pub state: &'static str,
    /// What is wrong.
    pub reason: Option<String>,
    /// How often it was begun anew after a defect.
    pub restarts: u64,
}

/// One model.
#[derive(Debug, Clone, Serialize)]
pub struct ModelStatus {
    /// Name of the model.
    pub model: ModelName,
    /// Paths it answers; empty where it takes every path no other model claims.
    pub paths: Vec<String>,
    /// Where its requests go.
    pub upstream: String,
    /// Whether the upstream answered when last tried; `None` before the first try.
    pub upstream_up: Option<bool>,
    /// What became of its exchanges.
    pub tap: TapSnapshot,
    /// Why the latest undecodable exchange could not be read.
    pub last_undecodable: Option<String>,
    /// Share of the exchanges worth checking whose rows reached the window.
    pub coverage: Option<f64>,
    /// Its part of the window.
    pub window: WindowStatus,
    /// Its requests.
    pub traffic: Summary,
}

/// What the window holds of one model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct WindowStatus {
    /// Rows; `None` where it cannot be told.
    pub rows: Option<u64>,
    /// When the oldest row was served.
    pub oldest: Option<Timestamp>,
    /// When the newest row was served.
    pub newest: Option<Timestamp>,
}

// === impl Status ===

impl Status {
    /// How long ago a model was checked, where that is so long that its verdict is an old one; of one
    /// that was never checked, how long the process waits for that.
    pub(super) fn overdue(
        &self,
        checked_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Duration> {
        let missed = Duration::try_from_secs_f64(MISSED * self.check_interval_seconds);
        let limit = GRACE.saturating_add(missed.unwrap_or(Duration::MAX));
        let passed = now.since(checked_at.unwrap_or(self.started_at));
        (passed > limit).then_some(passed)
    }
}

// === impl RecordingStatus ===

impl RecordingStatus {
    /// What is wrong, where something is.
    #[must_use]
    pub fn new(reason: Option<String>, restarts: u64) -> Self {
        Self {
            state: if reason.is_some() { "degraded" } else { "ok" },
            reason,
            restarts,
        }
    }
}
