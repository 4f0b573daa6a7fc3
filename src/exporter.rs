//! The exporter: pushes the figures of `/metrics` to a receiver of the OpenTelemetry protocol (OTLP,
//! <https://opentelemetry.io/docs/specs/otlp/>), by HTTP with protobuf.
//!
//! Invariant: it runs on a thread of its own, and only one export is under way: neither traffic nor checks
//! nor scrapes wait for a receiver, dead or alive, and nothing is queued for it.
//! Invariant: no header's value, and no path of a receiver's address, is ever shown or logged.
//!
//! The stage itself needs the cargo feature `otlp`; without it there is the [`Config`] alone.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use opentelemetry::KeyValue;

use crate::push::Endpoint;

#[cfg(feature = "otlp")]
mod stage;

#[cfg(feature = "otlp")]
pub use stage::Exporter;

/// How often metrics are exported unless told otherwise, as the SDKs of OpenTelemetry do.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

/// How long one export may take unless told otherwise, as the specification has it.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where metrics go, and how; valid by construction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The receiver's full address.
    pub endpoint: Endpoint,
    /// Sent with each export, beside the protocol's own.
    pub headers: Vec<Header>,
    /// Whether the messages are compressed with gzip.
    pub gzip: bool,
    /// Whose certificate the receiver must show; `None`: whom the system trusts.
    pub ca: Option<PathBuf>,
    /// How long one export may take.
    pub timeout: Duration,
    /// Between the beginnings of two exports.
    pub interval: Duration,
    /// What the metrics are of; `service.name` and `service.version` are always among them.
    pub resource: Vec<KeyValue>,
}

/// A header whose value is secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value: never shown.
    pub value: String,
}

// === impl Header ===

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Header({}: ***)", self.name)
    }
}
