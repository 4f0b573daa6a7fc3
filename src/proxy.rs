//! The reverse proxy, for HTTP/1.1 and HTTP/2, and its tap.
//!
//! Requests go to the model server and answers back with their bodies unchanged, frame by frame.
//! What passes is copied, up to a cap, into a byte-budgeted queue that another stage polls.
//!
//! Invariant: nothing here waits for monitoring. A full or dead tap costs a count, never a request.
//! Invariant: a request that may have reached the upstream is never sent twice.
//! Invariant: this module knows no metrics registry, no SQL and no model semantics; what it sees it
//! tells an [`Observer`] and the [`Tap`].
//!
//! | part | does |
//! |---|---|
//! | `listener`, `serve`, `worker` | accept, hand out to one thread per core, drain |
//! | `forward`, `header`, `known`, `identity`, `answer` | one exchange: heads, ids, retries, timeouts, our own answers |
//! | `opening`, `stream`, `tls` | what a client speaks; the bytes of a connection, with or without TLS |
//! | `http2`, `lingering`, `taking` | HTTP/2 to clients and upstreams |
//! | `upstream`, `reach`, `upstream_io`, `connections`, `dialling` | where the upstream is; connections kept to it; connections for others |
//! | `client`, `client_io`, `limits`, `deadlines` | what a client may take, and how long |
//! | `forwarded`, `tunnel` | what the upstream is told of the client; other protocols |
//! | `flight`, `body`, `tap`, `sample` | what is measured and copied as an exchange passes |
//! | `received` | bodies as hyper hands them over |
//!
//! What a proxy must change: hop-by-hop headers go, `x-request-id` is added where absent and
//! echoed, `X-Forwarded-…` are set, `Expect` is answered here, an upstream's missing `date` is added,
//! header names are written in lower case. An `Upgrade` to one protocol other than HTTP/2 is passed
//! on and not tapped; `CONNECT` is refused.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::exchange::{DropReason, Outcome};
use crate::metrics::connection::{Direction, Limit};
use crate::metrics::traffic::Observation;
use crate::model::Routes;
use crate::pulse::Pulse;

mod answer;
mod body;
mod capture;
mod client;
mod client_io;
mod connections;
mod deadlines;
mod dialling;
mod flight;
mod forward;
mod forwarded;
mod framing;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod header;
mod http2;
mod identity;
mod known;
mod limits;
mod lingering;
mod listener;
mod opening;
mod reach;
mod readiness;
mod received;
mod sample;
mod serve;
mod stay;
mod stream;
mod taking;
mod tap;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "proxy/without_tls.rs"]
mod tls;
mod tunnel;
mod upstream;
mod upstream_io;
mod worker;

pub use capture::HeaderList;
pub use dialling::Dialler;
pub use limits::{Forwarded, Limits};
pub use listener::{Address, Listener};
pub use readiness::{Prober, Readiness, UpstreamState};
pub use sample::{Exclude, Sample};
pub use tap::{Tap, TapBytes, TapConfig, TapReceiver, TapState, Tapped, tap};
pub use tls::{ClientTls, ServerTls};
pub use upstream::Upstream;

/// How long to try all addresses of an upstream. Five seconds cover a lost SYN and its first
/// retransmissions on a local network.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an upstream connection may idle and be used again: below gunicorn's two seconds, so
/// that the upstream hardly ever closes a connection just as a request is written to it.
pub const DEFAULT_UPSTREAM_IDLE: Duration = Duration::from_secs(1);

/// How long an HTTP/2 upstream may be silent before it is pinged. Servers made with gRPC's libraries
/// allow a ping every five minutes, and cut whoever asks more often ("too many pings"); an upstream
/// whose packets are dropped is found sooner, by the system.
pub const DEFAULT_UPSTREAM_PING: Duration = Duration::from_secs(330);

/// Client connections open at once; beyond it new ones wait in the kernel's backlog.
pub const DEFAULT_MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// What the proxy needs to know; everything in it is valid by construction.
#[derive(Debug, Clone)]
pub struct Config {
    /// Takes every path that no model claims.
    pub upstream: Upstream,
    /// The models, in the order of the configuration: their index is the one in [`Routes`].
    pub models: Vec<ModelConfig>,
    /// The headers the tap captures.
    pub headers: HeaderList,
    /// Worker threads, each with a runtime of its own.
    pub threads: NonZeroUsize,
    /// Client connections open at once. Over it nothing is accepted until one ends, so that
    /// clients wait in the kernel's backlog instead of getting errors.
    pub max_connections: NonZeroUsize,
    /// How long to try to connect to an upstream before the client gets a 504.
    pub connect_timeout: Duration,
    /// How long the upstream may take to answer once it holds the request: the client gets a 504.
    /// `None` waits for ever, as a model may take its time.
    pub response_timeout: Option<Duration>,
    /// How long an upstream connection may idle and still be used.
    pub upstream_idle: Duration,
    /// How long an HTTP/2 upstream may say nothing to an exchange under way before it is pinged.
    pub upstream_ping: Duration,
    /// What clients may take, and what upstreams are told of them.
    pub limits: Limits,
    /// TLS towards clients.
    pub tls: Option<ServerTls>,
    /// TLS towards the upstreams whose address asks for it.
    pub upstream_tls: Option<ClientTls>,
    /// Whether every request goes to its upstream over HTTP/2, as gRPC calls do in any case.
    pub upstream_http2: bool,
}

/// The files TLS towards clients is made of, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those between it and its root.
    pub certificate: PathBuf,
    /// Its private key, unencrypted.
    pub key: PathBuf,
    /// Whose certificates clients must show; `None`: they need none.
    pub client_ca: Option<PathBuf>,
}

/// What the proxy needs to know of one model.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// Where its requests go.
    pub upstream: Upstream,
    /// Exchanges that are not tapped.
    pub exclude: Vec<Exclude>,
    /// Which share of the others is tapped.
    pub sample: Sample,
}

/// What the proxy tells of its traffic. Called on the serving threads, each with an observer of
/// its own, so an implementation must neither lock nor wait.
pub trait Observer {
    /// A request's head has arrived.
    fn started(&self, model: Option<usize>);
    /// An exchange is over; every `started` is followed by one.
    fn finished(&self, seen: &Observation<'_>);
    /// An exchange belongs to a model's tap; exactly one outcome follows.
    fn offered(&self, model: usize);
    /// The tap left an offered exchange out: [`Outcome::SampledOut`] or [`Outcome::Excluded`].
    fn outcome(&self, model: usize, outcome: Outcome);
    /// An offered exchange was lost: its outcome is [`Outcome::Dropped`].
    fn dropped(&self, model: usize, reason: DropReason);
    /// An exchange went to the tap with a body that was longer than the cap.
    fn truncated(&self, model: usize);
    /// A limit acted.
    fn limited(&self, limit: Limit);
    /// What came on a connection is no HTTP request.
    fn malformed(&self);
    /// A TLS handshake with a client failed.
    fn tls_failed(&self);
    /// A connection became a tunnel; one [`Observer::tunnel_closed`] follows.
    fn tunnel_opened(&self);
    /// A tunnel is over.
    fn tunnel_closed(&self);
    /// Bytes passed through a tunnel.
    fn tunnelled(&self, direction: Direction, bytes: u64);
}

/// An observer as threads share it.
pub type SharedObserver = Arc<dyn Observer + Send + Sync>;

/// What became of the connections that were open when the drain began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drained {
    /// Ended by themselves within the grace period.
    pub completed: usize,
    /// Cut at its end.
    pub aborted: usize,
}

/// Why the proxy cannot be set up or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An upstream address that cannot be one.
    #[error(
        "{value:?} is not an upstream: {reason}; write http://host:port, https://host:port or unix:/path.sock"
    )]
    Upstream {
        /// What was written.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A sampling rule that cannot be one.
    #[error("{value:?} is not a sample: write a share from 0 to 1, or a rate like \"200/s\"")]
    Sample {
        /// What was written.
        value: String,
    },
    /// A file TLS needs that cannot be used.
    #[error("{key}: {}: {reason}", path.display())]
    Tls {
        /// The setting.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// A header name that cannot be one.
    #[error("{value:?} is not a header name")]
    Header {
        /// What was written.
        value: String,
    },
    /// A header that lets its bearer in.
    #[error("{value:?} holds a secret and is never captured; leave it out")]
    SecretHeader {
        /// What was written.
        value: String,
    },
    /// Too long a list of headers.
    #[error(
        "{count} headers are too many: at most {} are captured",
        capture::MAX_HEADERS
    )]
    ManyHeaders {
        /// How many were listed.
        count: usize,
    },
    /// A path that cannot begin one.
    #[error("{value:?} is not the beginning of a path; write such as \"/healthz\"")]
    Path {
        /// What was written.
        value: String,
    },
    /// The listener cannot be used.
    #[error("cannot accept connections on {address}")]
    Listen {
        /// The socket's address or path.
        address: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A serving thread could not be started.
    #[error("cannot start serving thread {thread}")]
    Thread {
        /// Its number.
        thread: usize,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// The proxy, ready to serve.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<worker::Shared>,
}

// === impl Config ===

impl Config {
    /// The defaults, with everything going to `upstream`.
    #[must_use]
    pub fn new(upstream: Upstream) -> Self {
        Self {
            upstream,
            models: Vec::new(),
            headers: HeaderList::default(),
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            max_connections: DEFAULT_MAX_CONNECTIONS,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            response_timeout: None,
            upstream_idle: DEFAULT_UPSTREAM_IDLE,
            upstream_ping: DEFAULT_UPSTREAM_PING,
            limits: Limits::default(),
            tls: None,
            upstream_tls: None,
            upstream_http2: false,
        }
    }
}

// === impl Proxy ===

impl Proxy {
    /// Puts the proxy together; nothing is opened or started yet.
    #[must_use]
    pub fn new(config: Config, routes: Routes) -> Self {
        let shared = Arc::new(worker::Shared::new(config, routes));
        Self { shared }
    }

    /// What is known of each model's upstream; stays current as the proxy serves.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.shared.readiness.clone()
    }

    /// Proof of life of every serving thread.
    #[must_use]
    pub fn pulses(&self) -> Vec<Pulse> {
        self.shared.pulses.clone()
    }

    /// What tries the upstreams while no traffic does: those that are down, or `every` one.
    #[must_use]
    pub fn prober(&self, every: bool) -> Prober {
        Prober::new(Arc::clone(&self.shared), every)
    }

    /// Accepts on `listener` and serves until `shutdown` is ready, then drains: nothing more is
    /// accepted, idle connections close, exchanges under way may end within `grace`, what is left
    /// is cut. Runs on the caller's tokio runtime (with I/O and time), the exchanges on threads
    /// of their own, each with an observer from `observers`. Dropping the future cuts everything.
    ///
    /// # Errors
    ///
    /// If the listener cannot be polled or a thread cannot be started.
    pub async fn serve(
        self,
        listener: Listener,
        tap: Tap,
        observers: impl FnMut(usize) -> SharedObserver,
        shutdown: impl Future<Output = ()>,
        grace: Duration,
    ) -> Result<Drained, Error> {
        serve::serve(self.shared, listener, tap, observers, shutdown, grace).await
    }
}
