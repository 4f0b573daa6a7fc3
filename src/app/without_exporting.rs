//! Stands in for `exporting` in a binary built without OTLP: nothing is exported.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Error;
use super::threads::Stoppable;
use crate::config::{Config, Problems};
use crate::metrics::Metrics;
use crate::timestamp::Timestamp;

/// Where metrics go: nowhere.
#[derive(Debug, Clone)]
pub(super) struct Destination;

// === impl Destination ===

impl Destination {
    /// There is nothing to read; the configuration has warned already.
    #[expect(clippy::unnecessary_wraps, reason = "as the one it stands in for")]
    pub(super) fn load(_: &Config) -> Result<Self, Problems> {
        Ok(Self)
    }

    /// Nothing begins.
    #[expect(clippy::unnecessary_wraps, reason = "as the one it stands in for")]
    pub(super) fn export(
        self,
        _: &Arc<Metrics>,
        _: Timestamp,
        _: SocketAddr,
    ) -> Result<Option<Stoppable>, Error> {
        Ok(None)
    }
}
