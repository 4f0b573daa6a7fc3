//! Whether each upstream can be reached, as connecting to it showed.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::time;

use super::Upstream;
use super::upstream::Resolved;
use super::worker::Shared;

/// Between two tries of an upstream.
const PROBE: Duration = Duration::from_secs(1);

/// What is known of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamState {
    /// Nobody has tried yet.
    Unknown,
    /// The last connection was made.
    Up,
    /// The last connection was refused or timed out.
    Down,
}

/// The state of every model's upstream; a handle that stays current.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// One state for each distinct upstream.
    states: Arc<[AtomicU8]>,
    /// The upstream of each model, in the models' order.
    models: Arc<[usize]>,
}

/// Connects to the upstreams now and then, and lets go at once: what is down, or not ready, may get
/// no traffic that would show that it is there again.
#[derive(Debug)]
pub struct Prober {
    shared: Arc<Shared>,
    /// Those that are not known to be down, too.
    every: bool,
}

// === impl Prober ===

impl Prober {
    pub(super) const fn new(shared: Arc<Shared>, every: bool) -> Self {
        Self { shared, every }
    }

    /// Tries the upstreams once a second, without end.
    pub async fn run(self) -> Infallible {
        let Shared {
            config,
            upstreams,
            readiness,
            ..
        } = &*self.shared;
        let resolved: Vec<_> = upstreams.iter().map(|_| Resolved::default()).collect();
        let tls = config.upstream_tls.as_ref();
        loop {
            for (index, (upstream, resolved)) in upstreams.iter().zip(&resolved).enumerate() {
                if !self.every && readiness.state(index) != UpstreamState::Down {
                    continue;
                }
                let (http2, limit) = (config.upstream_http2, config.connect_timeout);
                match upstream.connect(resolved, tls, http2, limit).await {
                    Ok(_) => readiness.connected(index, upstream),
                    Err(error) => readiness.failed(index, upstream, &error),
                }
            }
            time::sleep(PROBE).await;
        }
    }
}

// === impl Readiness ===

impl Readiness {
    /// `upstreams` of them, with the upstream of each model.
    pub(super) fn new(upstreams: usize, models: Arc<[usize]>) -> Self {
        let states = (0..upstreams).map(|_| AtomicU8::new(0)).collect();
        Self { states, models }
    }

    /// What is known of the upstream of the model with this index.
    #[must_use]
    pub fn model(&self, model: usize) -> UpstreamState {
        self.models
            .get(model)
            .map_or(UpstreamState::Unknown, |&upstream| self.state(upstream))
    }

    /// What is known of the upstream that takes what no model claims.
    #[must_use]
    pub fn fallback(&self) -> UpstreamState {
        self.state(0)
    }

    /// Notes how connecting went, and says so in the log when that is news.
    pub(super) fn connected(&self, index: usize, upstream: &Upstream) {
        if self.change(index, UpstreamState::Up) == UpstreamState::Down {
            tracing::info!(%upstream, "Upstream is up again");
        }
    }

    /// Notes that connecting failed, and says so in the log when that is news.
    pub(super) fn failed(&self, index: usize, upstream: &Upstream, error: &std::io::Error) {
        if self.change(index, UpstreamState::Down) != UpstreamState::Down {
            tracing::warn!(%upstream, %error, "Upstream is down");
        }
    }

    fn state(&self, upstream: usize) -> UpstreamState {
        let known = self.states.get(upstream);
        known.map_or(UpstreamState::Unknown, |state| {
            decode(state.load(Ordering::Relaxed))
        })
    }

    /// Sets the state and returns the one before.
    fn change(&self, upstream: usize, state: UpstreamState) -> UpstreamState {
        let known = self.states.get(upstream);
        known.map_or(state, |known| {
            decode(known.swap(state as u8, Ordering::Relaxed))
        })
    }
}

fn decode(state: u8) -> UpstreamState {
    match state {
        1 => UpstreamState::Up,
        2 => UpstreamState::Down,
        _ => UpstreamState::Unknown,
    }
}
