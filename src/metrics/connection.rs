//! What befalls client connections beside their requests: limits that acted, heads that are none,
//! tunnels. Counted by the thread that serves them, put together at a scrape.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// A limit of the proxy; the label `limit` of `driftd_proxy_limit_total`, and its key in `[proxy]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The last place for a client connection was taken.
    MaxConnections,
    /// A request was answered with 503, as too many were under way.
    MaxInFlight,
    /// A request's head was too long: 431.
    MaxHead,
    /// A request had too many headers: 431.
    MaxHeaders,
    /// A request's head was not complete in time, or not the TLS handshake before it: 408 where that can
    /// be said.
    HeaderTimeout,
    /// A connection was closed, or on HTTP/2 told to end, because nothing was asked for on it.
    IdleTimeout,
    /// A request's body did not go on: 408, or cut where the answer had begun.
    BodyTimeout,
    /// A client took nothing of its answer, or of what HTTP/2 still had for it: cut.
    WriteTimeout,
    /// Nothing passed through a tunnel: cut.
    TunnelTimeout,
}

/// Which way bytes pass through a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the upstream.
    Request,
    /// From the upstream to the client.
    Response,
}

/// What one thread has counted. Correct from any thread, fast from one.
#[derive(Debug, Default)]
pub struct ConnectionCounters {
    limits: [AtomicU64; Limit::ALL.len()],
    malformed: AtomicU64,
    tls_failed: AtomicU64,
    tunnels: AtomicI64,
    tunnel_bytes: [AtomicU64; Direction::ALL.len()],
}

/// The counts of all threads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ConnectionTotals {
    /// One per [`Limit`].
    pub(super) limits: [u64; Limit::ALL.len()],
    /// Connections on which something else than HTTP came.
    pub(super) malformed: u64,
    /// TLS handshakes that failed.
    pub(super) tls_failed: u64,
    /// Tunnels open now.
    pub(super) tunnels: i64,
    /// One per [`Direction`].
    pub(super) tunnel_bytes: [u64; Direction::ALL.len()],
}

// === impl Limit ===

impl Limit {
    /// Every limit, in the order of the exposition.
    pub const ALL: [Self; 9] = [
        Self::MaxConnections,
        Self::MaxInFlight,
        Self::MaxHead,
        Self::MaxHeaders,
        Self::HeaderTimeout,
        Self::IdleTimeout,
        Self::BodyTimeout,
        Self::WriteTimeout,
        Self::TunnelTimeout,
    ];

    /// The word used in labels and in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxConnections => "max_connections",
            Self::MaxInFlight => "max_in_flight",
            Self::MaxHead => "max_head",
            Self::MaxHeaders => "max_headers",
            Self::HeaderTimeout => "header_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::TunnelTimeout => "tunnel_timeout",
        }
    }
}

// === impl Direction ===

impl Direction {
    /// Both, in the order of the exposition.
    pub const ALL: [Self; 2] = [Self::Request, Self::Response];

    /// The word used in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }
}

// === impl ConnectionCounters ===

impl ConnectionCounters {
    /// Counts a limit that acted.
    pub fn limited(&self, limit: Limit) {
        self.limits[limit as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection on which something came that is no HTTP request.
    pub fn malformed(&self) {
        self.malformed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a TLS handshake that failed.
    pub fn tls_failed(&self) {
        self.tls_failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a tunnel that opens. Each needs one [`ConnectionCounters::tunnel_closed`].
    pub fn tunnel_opened(&self) {
        self.tunnels.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a tunnel that closes.
    pub fn tunnel_closed(&self) {
        self.tunnels.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts bytes that passed through a tunnel.
    pub fn tunnelled(&self, direction: Direction, bytes: u64) {
        self.tunnel_bytes[direction as usize].fetch_add(bytes, Ordering::Relaxed);
    }
}

// === impl ConnectionTotals ===

impl ConnectionTotals {
    /// Adds a thread's counts.
    pub(super) fn add(&mut self, counters: &ConnectionCounters) {
        for (total, count) in self.limits.iter_mut().zip(&counters.limits) {
            *total += count.load(Ordering::Relaxed);
        }
        self.malformed += counters.malformed.load(Ordering::Relaxed);
        self.tls_failed += counters.tls_failed.load(Ordering::Relaxed);
        self.tunnels += counters.tunnels.load(Ordering::Relaxed);
        for (total, count) in self.tunnel_bytes.iter_mut().zip(&counters.tunnel_bytes) {
            *total += count.load(Ordering::Relaxed);
        }
    }
}
