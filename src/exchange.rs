//! One tapped exchange: a request with its response, as the proxy saw them pass.
//!
//! Invariant: plain data that crosses threads; it knows nothing of HTTP libraries or SQL.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::timestamp::Timestamp;

/// What the tap hands on: metadata and the captured part of both bodies.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// `x-request-id`, else `ce-id`, else generated (UUIDv7); forwarded and echoed.
    pub request_id: Box<str>,
    /// The trace id of a W3C `traceparent` header, 32 hex digits.
    pub trace_id: Option<Box<str>>,
    /// Index of the model in the configuration's order.
    pub model: usize,
    /// When the request's head had arrived.
    pub started: Timestamp,
    /// Request method.
    pub method: Cow<'static, str>,
    /// The configured path that matched, never the raw one.
    pub route: Arc<str>,
    /// Status sent to the client; 499 where the client went away before one was sent.
    pub status: u16,
    /// From the request's head to the last byte of the response, or to the abort.
    pub total: Duration,
    /// From handing the request to the upstream to the end of its response, where one began.
    pub upstream: Option<Duration>,
    /// The request's body.
    pub request: CapturedBody,
    /// The response's body.
    pub response: CapturedBody,
    /// Its headers, as far as the configuration lists them.
    pub headers: CapturedHeaders,
    /// How the exchange ended.
    pub ending: Ending,
}

/// The headers of one exchange that may be stored, each once, in the configuration's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapturedHeaders {
    /// The client's.
    pub request: Vec<CapturedHeader>,
    /// The upstream's.
    pub response: Vec<CapturedHeader>,
}

/// One header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedHeader {
    /// Its name, in lower case.
    pub name: Arc<str>,
    /// Its value, of several lines joined by `, `; cut where it is long.
    pub value: Box<str>,
}

/// The captured part of one body.
#[derive(Debug, Clone, Default)]
pub struct CapturedBody {
    /// The first bytes, as they passed on the wire; never more than the tap's cap.
    pub bytes: Vec<u8>,
    /// How many bytes passed.
    pub length: u64,
    /// Bytes passed that were not captured.
    pub truncated: bool,
    /// The `content-encoding` header in lower case, empty where there was none.
    pub encoding: Box<str>,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The whole response was sent.
    Complete,
    /// The client went away before the response was complete.
    ClientAborted,
    /// The upstream could not be reached, broke off, or broke the protocol.
    UpstreamFailed,
    /// The upstream did not answer in time.
    UpstreamTimeout,
}

/// What became of an offered exchange; the label `outcome` of `driftd_tap_exchanges_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Committed to the window.
    Captured,
    /// Left out by sampling.
    SampledOut,
    /// Left out by configuration.
    Excluded,
    /// Committed to the window without rows, with the reason, because its body could not be read.
    Undecodable,
    /// Lost; [`DropReason`] says why.
    Dropped,
}

/// Why an exchange was lost; the label `reason` of `driftd_tap_dropped_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The tap's queue was full.
    QueueFull,
    /// The window could not be written (disk full, read-only, I/O error).
    WindowError,
    /// The window has reached its byte budget.
    WindowFull,
    /// The monitoring half is not running.
    TapClosed,
}

// === impl Exchange ===

impl Exchange {
    /// Moves the metadata out; what was captured of the bodies stays behind.
    #[must_use]
    pub fn take_head(&mut self) -> Self {
        Self {
            request_id: std::mem::take(&mut self.request_id),
            trace_id: self.trace_id.take(),
            model: self.model,
            started: self.started,
            method: std::mem::take(&mut self.method),
            route: Arc::clone(&self.route),
            status: self.status,
            total: self.total,
            upstream: self.upstream,
            request: self.request.take_head(),
            response: self.response.take_head(),
            headers: std::mem::take(&mut self.headers),
            ending: self.ending,
        }
    }
}

// === impl CapturedBody ===

impl CapturedBody {
    fn take_head(&mut self) -> Self {
        Self {
            bytes: Vec::new(),
            length: self.length,
            truncated: self.truncated,
            encoding: std::mem::take(&mut self.encoding),
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// Every outcome, in the order of the exposition.
    pub const ALL: [Self; 5] = [
        Self::Captured,
        Self::SampledOut,
        Self::Excluded,
        Self::Undecodable,
        Self::Dropped,
    ];

    /// The word used in labels and SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Captured => "captured",
            Self::SampledOut => "sampled_out",
            Self::Excluded => "excluded",
            Self::Undecodable => "undecodable",
            Self::Dropped => "dropped",
        }
    }
}

// === impl DropReason ===

impl DropReason {
    /// Every reason, in the order of the exposition.
    pub const ALL: [Self; 4] = [
        Self::QueueFull,
        Self::WindowError,
        Self::WindowFull,
        Self::TapClosed,
    ];

    /// The word used in labels and SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::WindowError => "window_error",
            Self::WindowFull => "window_full",
            Self::TapClosed => "tap_closed",
        }
    }
}

// === impl Ending ===

impl Ending {
    /// Why the exchange is worth no more than its record, for the `reason` column; empty if complete.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Complete => "",
            Self::ClientAborted => "client went away",
            Self::UpstreamFailed => "upstream failed",
            Self::UpstreamTimeout => "upstream timed out",
        }
    }
}
