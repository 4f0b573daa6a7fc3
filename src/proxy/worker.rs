//! One serving thread: its runtime, its client connections, what they share without locks.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{self, Instant, MissedTickBehavior};

use super::client::Client;
use super::client_io::ClientIo;
use super::connections::Idle;
use super::forwarded::Peer;
use super::http2::{self, Multiplexed};
use super::identity::Ids;
use super::listener::Accepted;
use super::opening::{self, Opened};
use super::sample::Sampler;
use super::stream::Plain;
use super::tap::Tap;
use super::upstream::Resolved;
use super::{Config, Drained, Exclude, Readiness, SharedObserver, Upstream};
use crate::metrics::connection::Limit;
use crate::model::Routes;
use crate::pulse::Pulse;

/// What a client is told whose head took too long; hyper has no word for it.
const HEADER_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What all threads read.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) routes: Routes,
    /// The distinct upstreams; the first takes what no model claims.
    pub(super) upstreams: Vec<Upstream>,
    pub(super) models: Vec<Model>,
    pub(super) readiness: Readiness,
    /// Proof of life of each thread.
    pub(super) pulses: Vec<Pulse>,
    /// Exchanges under way; alone on its cache line, as every one of them writes it.
    in_flight: CachePadded<AtomicUsize>,
}

/// A model as the serving threads need it.
#[derive(Debug)]
pub(super) struct Model {
    /// Index of its upstream.
    upstream: usize,
    pub(super) exclude: Vec<Exclude>,
    pub(super) sampler: Sampler,
}

/// What the connections of one thread share.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) observer: SharedObserver,
    pub(super) tap: Tap,
    pub(super) ids: Ids,
    /// Connections to upstreams that wait for a request.
    pub(super) idle: Idle,
    /// The HTTP/2 connection to each upstream.
    pub(super) multiplexed: Vec<Multiplexed>,
    /// The addresses of each upstream.
    pub(super) resolved: Vec<Resolved>,
    /// The clients connected, to be told of the drain.
    pub(super) clients: RefCell<HashMap<u64, Weak<Client>>>,
    pub(super) next_client: Cell<u64>,
    /// Connections end with the exchange they are at.
    pub(super) draining: Cell<bool>,
    /// What still runs is being cut.
    cutting: Cell<bool>,
}

/// How far the proxy is; dropping the sender means to cut everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    /// Until then.
    Draining(Instant),
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(config: Config, routes: Routes) -> Self {
        let mut upstreams = vec![config.upstream.clone()];
        let mut models = Vec::with_capacity(config.models.len());
        for model in &config.models {
            let known = upstreams.iter().position(|known| *known == model.upstream);
            let upstream = known.unwrap_or_else(|| {
                upstreams.push(model.upstream.clone());
                upstreams.len() - 1
            });
            models.push(Model {
                upstream,
                exclude: model.exclude.clone(),
                sampler: Sampler::new(model.sample),
            });
        }
        let by_model = models.iter().map(|model| model.upstream).collect();
        Self {
            readiness: Readiness::new(upstreams.len(), by_model),
            pulses: (0..config.threads.get())
                .map(|number| Pulse::new(format!("proxy-{number}")))
                .collect(),
            config,
            routes,
            upstreams,
            models,
            in_flight: AtomicUsize::new(0).into(),
        }
    }

    /// Whether there is room for one more exchange; if so, [`Shared::release`] gives it back.
    pub(super) fn admit(&self) -> bool {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let admitted = before < self.config.limits.max_in_flight.get();
        if !admitted {
            self.release();
        }
        admitted
    }

    /// An admitted exchange is over.
    pub(super) fn release(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// The index of the upstream for a model's requests, or for those of none.
    pub(super) fn upstream_of(&self, model: Option<usize>) -> usize {
        let model = model.and_then(|model| self.models.get(model));
        model.map_or(0, |model| model.upstream)
    }
}

// === impl Worker ===

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, observer: SharedObserver, tap: Tap) -> Self {
        let resolved = shared.upstreams.iter().map(|_| Resolved::default());
        let multiplexed = shared.upstreams.iter().map(|_| Multiplexed::default());
        Self {
            resolved: resolved.collect(),
            multiplexed: multiplexed.collect(),
            shared,
            observer,
            tap,
            ids: Ids::new(),
            idle: Idle::new(),
            clients: RefCell::default(),
            next_client: Cell::new(0),
            draining: Cell::new(false),
            cutting: Cell::new(false),
        }
    }

    /// Who is behind an exchange that broke off on the client's side.
    pub(super) fn abort_cause(&self) -> &'static str {
        if self.cutting.get() {
            "shutdown"
        } else {
            "client_aborted"
        }
    }

    /// Whether connections are to end with the exchange they are at.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Serves the connections that come until there are no more, then drains.
    pub(super) async fn run(
        self: Rc<Self>,
        mut sockets: mpsc::Receiver<Accepted>,
        mut phase: watch::Receiver<Phase>,
        pulse: &Pulse,
    ) -> Drained {
        let mut connections = JoinSet::new();
        let idle = self.shared.config.upstream_idle;
        let mut tick = time::interval(Idle::interval(idle));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let deadline = loop {
            tokio::select! {
                Some(accepted) = sockets.recv() => {
                    connections.spawn_local(Rc::clone(&self).connection(accepted));
                }
                Some(_) = connections.join_next() => {}
                _ = tick.tick() => {
                    pulse.beat();
                    self.idle.prune(idle);
                }
                changed = phase.changed() => match *phase.borrow_and_update() {
                    _ if changed.is_err() => break Instant::now(),
                    Phase::Serving => {}
                    Phase::Draining(deadline) => break deadline,
                },
            }
        };
        // What was accepted is served: the accepting side has dropped its end by now, or will.
        while let Ok(accepted) = sockets.try_recv() {
            connections.spawn_local(Rc::clone(&self).connection(accepted));
        }
        sockets.close();
        self.drain(connections, phase, (deadline, tick, pulse))
            .await
    }

    /// Waits for the connections to end, cuts what is left at the deadline or when nobody waits.
    async fn drain(
        &self,
        mut connections: JoinSet<()>,
        mut phase: watch::Receiver<Phase>,
        (deadline, mut tick, pulse): (Instant, time::Interval, &Pulse),
    ) -> Drained {
        while connections.try_join_next().is_some() {}
        self.draining.set(true);
        for client in self.clients.borrow().values().filter_map(Weak::upgrade) {
            client.wake();
        }
        let mut drained = Drained::default();
        let mut cut = pin!(async {
            tokio::select! {
                () = time::sleep_until(deadline) => {}
                _ = phase.wait_for(|_| false) => {}
            }
        });
        loop {
            tokio::select! {
                ended = connections.join_next() => match ended {
                    Some(_) => drained.completed += 1,
                    None => break,
                },
                _ = tick.tick() => {
                    pulse.beat();
                    self.idle.prune(self.shared.config.upstream_idle);
                }
                () = &mut cut => {
                    drained.aborted = connections.len();
                    self.cutting.set(true);
                    connections.shutdown().await;
                    break;
                }
            }
        }
        drained
    }

    /// Serves one client connection to its end.
    pub(super) async fn connection(self: Rc<Self>, accepted: Accepted) {
        // The permit frees the connection's place when it is over.
        let Accepted {
            socket,
            permit: _permit,
            last,
        } = accepted;
        if last {
            self.observer.limited(Limit::MaxConnections);
        }
        let plain = match Plain::try_from(socket) {
            Ok(plain) => plain,
            Err(error) => {
                tracing::warn!(%error, "Cannot serve an accepted connection");
                return;
            }
        };
        let client = Client::connect(&self, Peer::of(&plain, self.shared.config.tls.is_some()));
        // Boxed, as is a tunnel: each connection keeps room for all it waits for as long as it lasts.
        let stream = match Box::pin(opening::open(&client, plain)).await {
            None => return,
            Some(Opened::Http2(stream)) => return Box::pin(http2::serve(client, stream)).await,
            Some(Opened::Http1(stream)) => stream,
        };
        let io = ClientIo::new(
            stream,
            Rc::clone(&client.deadlines),
            Rc::clone(&client.framing),
        );
        let presence = io.presence();
        if let Err(limit) = client.in_time(&presence, client.serve(io)).await {
            self.observer.limited(limit);
            if limit == Limit::WriteTimeout {
                presence.reset_on_close();
            } else if client.deadlines.within_head() {
                presence.try_write(HEADER_TIMEOUT);
            }
        }
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}
