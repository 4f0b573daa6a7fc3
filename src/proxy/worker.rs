//! One serving thread: its runtime, its client connections, what they share without locks.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{self, Instant, MissedTickBehavior};

use super::connections::Kept;
use super::forward;
use super::http2::{self, Multiplexed};
use super::identity::Ids;
use super::listener::Accepted;
use super::opening::{self, Opened};
use super::sample::Sampler;
use super::stream::Plain;
use super::tap::Tap;
use super::upstream::Resolved;
use super::{Config, Drained, Exclude, Readiness, SharedObserver, Upstream};
use crate::model::Routes;

/// Most bytes of a request's head, and so of what a slow client can hold: twice nginx's limit.
const MAX_HEAD: usize = 64 * 1024;

/// How often idle upstream connections are looked through at most.
const SHORTEST_TICK: Duration = Duration::from_millis(10);

/// What all threads read.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) routes: Routes,
    /// The distinct upstreams; the first takes what no model claims.
    pub(super) upstreams: Vec<Upstream>,
    pub(super) models: Vec<Model>,
    pub(super) readiness: Readiness,
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
    /// Connections to upstreams left by clients that went.
    pub(super) spare: Kept,
    /// The HTTP/2 connection to each upstream.
    pub(super) multiplexed: Vec<Multiplexed>,
    /// The addresses of each upstream.
    pub(super) resolved: Vec<Resolved>,
    /// The clients connected, to be told of the drain and relieved of idle connections.
    clients: RefCell<HashMap<u64, Weak<Client>>>,
    next_client: Cell<u64>,
    /// Connections end with the exchange they are at.
    draining: Cell<bool>,
    /// What still runs is being cut.
    cutting: Cell<bool>,
}

/// One client connection.
pub(super) struct Client {
    pub(super) worker: Rc<Worker>,
    /// Its own connections to upstreams.
    pub(super) kept: Kept,
    number: u64,
    /// Wakes the connection's task.
    waker: OnceCell<Waker>,
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
            config,
            routes,
            upstreams,
            models,
        }
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
            spare: Kept::default(),
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
    ) -> Drained {
        let mut connections = JoinSet::new();
        let mut tick = time::interval(self.shared.config.upstream_idle.max(SHORTEST_TICK));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let deadline = loop {
            tokio::select! {
                Some(accepted) = sockets.recv() => {
                    connections.spawn_local(Rc::clone(&self).connection(accepted));
                }
                Some(_) = connections.join_next() => {}
                _ = tick.tick() => self.prune(),
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
        self.drain(connections, phase, deadline).await
    }

    /// Waits for the connections to end, cuts what is left at the deadline or when nobody waits.
    async fn drain(
        &self,
        mut connections: JoinSet<()>,
        mut phase: watch::Receiver<Phase>,
        deadline: Instant,
    ) -> Drained {
        while connections.try_join_next().is_some() {}
        self.draining.set(true);
        for client in self.clients.borrow().values().filter_map(Weak::upgrade) {
            if let Some(waker) = client.waker.get() {
                waker.wake_by_ref();
            }
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
    async fn connection(self: Rc<Self>, accepted: Accepted) {
        // The permit frees the connection's place when it is over.
        let Accepted {
            socket,
            permit: _permit,
        } = accepted;
        let plain = match Plain::try_from(socket) {
            Ok(plain) => plain,
            Err(error) => {
                tracing::warn!(%error, "Cannot serve an accepted connection");
                return;
            }
        };
        let client = Client::connect(&self);
        let stream = match opening::open(&client, plain).await {
            None => return,
            Some(Opened::Http2(stream)) => return http2::serve(client, stream).await,
            Some(Opened::Http1(stream)) => stream,
        };
        let service = service_fn(|request| forward::serve(Rc::clone(&client), request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.shared.config.client_idle)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let mut told = false;
        let ended = std::future::poll_fn(|cx| {
            client.wake_with(cx.waker());
            // A request that has arrived is served even if the drain began meanwhile.
            let mut polled = connection.as_mut().poll(cx);
            if polled.is_pending() && self.draining.get() && !told {
                told = true;
                connection.as_mut().graceful_shutdown();
                polled = connection.as_mut().poll(cx);
            }
            polled
        });
        if let Err(error) = ended.await {
            tracing::debug!(%error, "Client connection ended");
        }
    }

    /// Lets go of upstream connections that nobody has used for a while.
    fn prune(&self) {
        let max_idle = self.shared.config.upstream_idle;
        self.spare.prune(max_idle);
        for client in self.clients.borrow().values().filter_map(Weak::upgrade) {
            client.kept.prune(max_idle);
        }
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

// === impl Client ===

impl Client {
    fn connect(worker: &Rc<Worker>) -> Rc<Self> {
        let number = worker.next_client.get();
        worker.next_client.set(number + 1);
        let client = Rc::new(Self {
            worker: Rc::clone(worker),
            kept: Kept::default(),
            number,
            waker: OnceCell::new(),
        });
        worker
            .clients
            .borrow_mut()
            .insert(number, Rc::downgrade(&client));
        client
    }

    /// Has the connection's task woken when the drain begins.
    pub(super) fn wake_with(&self, waker: &Waker) {
        self.waker.get_or_init(|| waker.clone());
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let worker = &*self.worker;
        worker.clients.borrow_mut().remove(&self.number);
        self.kept
            .hand_over(&worker.spare, worker.shared.config.upstream_idle);
    }
}
