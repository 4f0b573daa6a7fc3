//! What clients may take: sizes, numbers and times, and what upstreams are told of them.

use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

/// The limits of the client side, and how requests go on to the upstream. The defaults are wide:
/// they keep a process alive, and hardly ever show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Requests under way at once; one more is answered with 503 and `Retry-After: 1`.
    pub max_in_flight: NonZeroUsize,
    /// Most bytes of a request's head, first line and all; more is answered with 431.
    pub max_head: usize,
    /// Most headers of a message; a request with more is answered with 431.
    pub max_headers: usize,
    /// How long a request's head may take from its first byte on: 408. A TLS handshake may take as long.
    pub header_timeout: Duration,
    /// How long a connection may wait for the first byte of a request before it is closed; on HTTP/2, how
    /// long it may have no exchange before it gets GOAWAY.
    pub idle_timeout: Duration,
    /// How long a client may send nothing of a body that is waited for: 408, or cut where the
    /// answer has begun.
    pub body_timeout: Duration,
    /// How long a client may take nothing of its answer before it is cut. As with other servers,
    /// it takes something when the system has room for more of the answer. After GOAWAY, how long a
    /// connection without exchanges may take to end.
    pub write_timeout: Duration,
    /// How long no byte may pass through a tunnel, either way, before it is cut. `None`: for ever.
    pub tunnel_timeout: Option<Duration>,
    /// Whether connections to upstreams are used again.
    pub upstream_keepalive: bool,
    /// What upstreams are told of the client.
    pub forwarded: Forwarded,
}

/// What becomes of `X-Forwarded-For`, `-Proto` and `-Host`. `Forwarded` and `Via` are always passed
/// on as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Forwarded {
    /// The client's address is added to `X-Forwarded-For`; the others are set where absent.
    #[default]
    Append,
    /// All pass as they came.
    Off,
    /// All are set anew: what the client says is not believed.
    Replace,
}

// === impl Limits ===

impl Limits {
    /// Smallest [`Limits::max_head`]: heads of browsers with some cookies pass.
    pub const LEAST_HEAD: usize = 1024;
    /// Largest [`Limits::max_head`], as each connection may hold so much.
    pub const MOST_HEAD: usize = 1024 * 1024;
    /// Largest [`Limits::max_headers`]: hyper's table of headers holds 32,768.
    pub const MOST_HEADERS: usize = 10_000;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_in_flight: const { NonZeroUsize::new(10_000).expect("not zero") },
            max_head: 64 * 1024,
            max_headers: 100,
            header_timeout: Duration::from_secs(30),
            // Above the 60 s of common load balancers, so that they close first.
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            // What HAProxy's manual advises for WebSocket: who is there says so within it.
            tunnel_timeout: Some(Duration::from_secs(3600)),
            upstream_keepalive: true,
            forwarded: Forwarded::default(),
        }
    }
}

// === impl Forwarded ===

impl Forwarded {
    /// The word used in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Off => "off",
            Self::Replace => "replace",
        }
    }
}

impl FromStr for Forwarded {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        let all = [Self::Append, Self::Off, Self::Replace];
        let found = all.into_iter().find(|policy| policy.as_str() == word);
        found.ok_or(())
    }
}
