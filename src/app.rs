//! The application: loads references, binds everything, spawns the stages, drains them in order.
//!
//! Shutdown follows the flow of data: not ready → stop accepting → drain connections → the tap
//! closes → the recorder flushes → the monitor stops → the window checkpoints. Invariant: once
//! everything is bound, nothing but the shutdown future ends the process.

mod binding;
mod certificates;
mod changes;
#[cfg(feature = "otlp")]
mod exporting;
#[cfg(not(feature = "otlp"))]
#[path = "app/without_exporting.rs"]
mod exporting;
mod listening;
mod models;
mod monitoring;
mod pushing;
mod reload;
mod status;
mod threads;
mod vitals;
mod watching;

use std::future::{Future, pending};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{oneshot, watch};

use crate::admin::Token;
use crate::config::{Config, Model, Problem, Problems};
use crate::drift::Report;
use crate::feature::Store;
use crate::metrics::tap::TapCounters;
use crate::metrics::traffic::Traffic;
use crate::model::{Routes, Schema};
use crate::proxy;
use crate::pulse::Pulse;
use crate::timestamp::Timestamp;
use binding::Listeners;
use certificates::Certificates;
use exporting::Destination;
use listening::{readiness, serve_admin, sources};
use models::Prepared;
use monitoring::{Monitoring, Shared};
use pushing::Receivers;
pub use reload::Reload;
use reload::Request;
use status::StatusSource;
use threads::{Stoppable, ended, spawn};
pub use vitals::{Started, Vitals};

/// How much of the grace period, at its end, is for writing down what the tap still holds.
const FLUSH: Duration = Duration::from_secs(5);

/// Files and sockets of driftd's own: listeners, window, admin connections, logs.
const OWN_FILES: usize = 128;

/// A configuration whose references are loaded.
#[derive(Debug)]
pub struct App {
    config: Config,
    models: Vec<Prepared>,
    token: Option<Token>,
    certificates: Certificates,
    receivers: Receivers,
    destination: Destination,
}

/// Everything bound, nothing spawned.
#[derive(Debug)]
pub struct Bound {
    config: Config,
    models: Vec<Prepared>,
    certificates: Certificates,
    receivers: Receivers,
    destination: Destination,
    listeners: Listeners,
    report: Arc<ArcSwap<Report>>,
    started: Timestamp,
    token: Arc<ArcSwapOption<Token>>,
    reload: Reload,
    reloads: mpsc::Receiver<Request>,
    vitals: watch::Sender<Option<Vitals>>,
}

/// The real addresses, also where port 0 was asked for.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// Where predictions come in.
    pub proxy: proxy::Address,
    /// Page, API and metrics.
    pub admin: SocketAddr,
    /// Metrics and health alone, where asked for.
    pub metrics: Option<SocketAddr>,
}

/// Why the application could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration or a reference is wrong.
    #[error(transparent)]
    Config(#[from] Problems),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}; choose another {key} address if it is taken")]
    Bind {
        /// The setting.
        key: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A Unix socket cannot be listened on.
    #[error("cannot listen on unix:{}: {hint}", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// What would help.
        hint: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A socket passed by whoever started driftd cannot be used.
    #[error("LISTEN_FDS: {reason}")]
    Inherited {
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// The window cannot be opened.
    #[error(transparent)]
    Window(#[from] crate::window::Error),
    /// The proxy cannot be started.
    #[error(transparent)]
    Proxy(#[from] proxy::Error),
    /// The metrics cannot be registered.
    #[error(transparent)]
    Metrics(#[from] crate::metrics::Error),
    /// The demo lacks something of its own.
    #[error("the demo cannot have {what}")]
    Demo {
        /// What it needs.
        what: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A thread cannot be started.
    #[error("cannot start the thread {name}")]
    Thread {
        /// What it was for.
        name: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

// === impl App ===

impl App {
    /// Loads every model's reference.
    ///
    /// # Errors
    /// Everything wrong with any of them, at once.
    pub fn prepare(config: Config) -> Result<Self, Error> {
        let token = config.admin_token.read().map_err(|message| {
            let origin = "file, environment, flags".to_owned();
            let (key, value) = ("admin_token_file".to_owned(), None);
            Problems(vec![Problem {
                origin,
                key,
                value,
                message,
            }])
        })?;
        let certificates = Certificates::load(&config)?;
        let receivers = Receivers::load(&config)?;
        let destination = Destination::load(&config)?;
        let models = models::prepare(&config, Timestamp::now())?;
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        for model in &models {
            model.announce();
        }
        Ok(Self {
            config,
            models,
            token,
            certificates,
            receivers,
            destination,
        })
    }

    /// The configuration in effect.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The models: as configured, the columns read from their references, what of each is stored.
    pub fn models(&self) -> impl Iterator<Item = (&Model, &Schema, &[Store])> {
        self.config
            .models
            .iter()
            .zip(&self.models)
            .map(|(model, prepared)| {
                let (schema, stores) = prepared.columns();
                (model, schema, stores)
            })
    }

    /// What a person should know about the reading of each model's reference.
    pub fn notes(&self) -> impl Iterator<Item = (&Model, &str)> {
        (self.config.models.iter().zip(&self.models))
            .flat_map(|(model, prepared)| prepared.notes().map(move |note| (model, note)))
    }

    /// Binds every listener.
    ///
    /// # Errors
    /// An address that cannot be listened on.
    pub async fn bind(self) -> Result<Bound, Error> {
        let Self {
            config,
            models,
            token,
            certificates,
            receivers,
            destination,
        } = self;
        let listeners = binding::bind(&config).await?;
        let (sender, reloads) = mpsc::sync_channel(reload::MOST_WAITING);
        Ok(Bound {
            token: Arc::new(ArcSwapOption::from_pointee(token)),
            reload: Reload::new(sender),
            reloads,
            config,
            models,
            certificates,
            receivers,
            destination,
            listeners,
            report: Arc::default(),
            vitals: watch::Sender::new(None),
            started: Timestamp::now(),
        })
    }
}

// === impl Bound ===

impl Bound {
    /// The real addresses.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.listeners.addresses.clone()
    }

    /// Where every report will be published; empty until the first check.
    #[must_use]
    pub fn report(&self) -> Arc<ArcSwap<Report>> {
        Arc::clone(&self.report)
    }

    /// Has the references read again while it serves, as SIGHUP does.
    #[must_use]
    pub fn reload(&self) -> Reload {
        self.reload.clone()
    }

    /// Where proof of life appears once every stage is spawned.
    #[must_use]
    pub fn vitals(&self) -> Started {
        self.vitals.subscribe()
    }

    /// Spawns every stage and serves until `shutdown` resolves; then drains. Traffic passes at once;
    /// the window is opened, and what it holds read back, meanwhile.
    ///
    /// # Errors
    /// A thread or a window that cannot be had.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let Self {
            config,
            models,
            certificates,
            receivers,
            destination,
            listeners,
            report,
            started,
            token,
            reload,
            reloads,
            vitals,
        } = self;
        let Listeners {
            proxy,
            admin,
            metrics,
            addresses,
            file,
        } = listeners;
        let names: Vec<_> = models.iter().map(|model| model.name.clone()).collect();
        let counters = Arc::new(TapCounters::new(names.len()));
        let traffic = Traffic::new(names.clone());
        let monitoring = Monitoring {
            shared: Shared::new(names.len(), Arc::clone(&counters), report),
            models,
            config,
        };
        let tls = certificates.server.clone();
        let reloader = monitoring.reloader(reload.clone(), Arc::clone(&token), tls);
        let Monitoring {
            config,
            models,
            shared,
        } = &monitoring;
        let serving = config.serving.clone();

        let routes = Routes::new(models.iter().map(|model| model.paths.as_slice()));
        let places = places(config.max_connections);
        let settings = models::proxy_config(config, models, places, &certificates);
        let server = proxy::Proxy::new(settings, routes);
        let observer = || -> proxy::SharedObserver {
            Arc::new(status::Seen {
                shard: traffic.shard(),
                counters: Arc::clone(&counters),
            })
        };
        let (tap, receiver) = proxy::tap(config.tap, observer());
        let accepting = Arc::new(AtomicBool::new(true));
        let (processes, watching) = watching::watch(config)?;
        let webhooks = receivers.counters();
        let status = Arc::new(StatusSource {
            started,
            webhooks: Arc::clone(&webhooks),
            processes,
            addresses: addresses.clone(),
            external_url: config.external_url.clone(),
            check_interval: config.drift.every,
            false_alarms_per_day: config.drift.allowance.per_day(),
            models: models.iter().map(Prepared::endpoint).collect(),
            traffic: Arc::clone(&traffic),
            monitoring: shared.clone(),
            readiness: server.readiness(),
            queue: tap.bytes(),
        });
        let announcing = receivers.announce(shared, webhooks, status.page())?;
        let commands = Arc::clone(&shared.commands);
        let changes = changes::changes(names.clone(), commands, reload.clone());
        let needed = serving.ready_needs_upstream.then(|| server.readiness());
        let ready = readiness(Arc::clone(&accepting), needed, names.clone());
        let sources = sources(&status, names, ready, token, changes)?;
        let exporting = destination.export(&sources.metrics, started, addresses.admin)?;
        let (own, pulse) = (shared.clone(), Pulse::new("driftd-admin"));
        let (stop_admin, admin_thread) = serve_admin(admin, metrics, sources, pulse.clone())?;
        let proof = Vitals::new(server.pulses(), pulse, own, addresses.clone());
        tracing::info!(
            proxy = %addresses.proxy,
            admin = %addresses.admin,
            window = %config.window.path.display(),
            version = env!("CARGO_PKG_VERSION"),
            "Started"
        );
        let (refused, refusal) = oneshot::channel();
        let monitoring = spawn("driftd-recorder", move || {
            if let Err(error) = monitoring.open_and_run(receiver, started) {
                // Received, unless driftd is ending anyway.
                drop(refused.send(error));
            }
        })?;
        let reloader = spawn("driftd-reload", move || reloader.run(&reloads))?;
        vitals.send_replace(Some(proof));
        let flush = FLUSH.min(serving.grace / 5);
        let deadline = Arc::new(OnceLock::new());
        let (signalled, grace) = (Arc::clone(&deadline), serving.grace);
        let drain = async move {
            shutdown.await;
            // Set this once only.
            let _ = signalled.set(Instant::now() + grace);
            accepting.store(false, Ordering::Relaxed);
            tokio::time::sleep(serving.lame_duck).await;
        };
        let prober = server.prober(serving.ready_needs_upstream);
        let left = serving.grace.saturating_sub(flush + serving.lame_duck);
        let served = server.serve(proxy, tap, |_| observer(), drain, left);
        let drained = tokio::select! {
            drained = served => drained.map_err(Error::from),
            error = received(refusal) => Err(error),
            never = prober.run() => match never {},
        };
        // Nothing is accepted any more.
        drop(file);
        let deadline = deadline.get().copied();
        let deadline = deadline.unwrap_or_else(|| Instant::now() + flush);
        if let Ok(drained) = &drained {
            tracing::info!(
                completed = drained.completed,
                aborted = drained.aborted,
                "Connections drained"
            );
        }
        // What it does not deliver any more it finds in the window at the next start.
        let announcing = announcing.map(Stoppable::end);
        let watching = watching.map(watching::Watching::end);
        let exporting = exporting.map(Stoppable::end);
        for thread in announcing.into_iter().chain(watching) {
            ended(thread, deadline).await;
        }
        // The tap's senders are gone with the proxy: the recorder empties the queue, the monitor
        // stops, the window closes.
        ended(monitoring, deadline).await;
        if let Some(thread) = exporting {
            ended(thread, deadline).await;
        }
        reload.stop();
        ended(reloader, deadline).await;
        drop(stop_admin);
        ended(admin_thread, deadline).await;
        tracing::info!("Stopped");
        drained.map(drop)
    }
}

/// The error the monitoring half cannot begin with; it never comes where it begins.
async fn received(refusal: oneshot::Receiver<Error>) -> Error {
    match refusal.await {
        Ok(error) => error,
        Err(_) => pending().await,
    }
}

/// Client connections there are file descriptors for: each needs one, and its upstream another.
/// Raises the soft limit to the hard one first.
fn places(wanted: Option<NonZeroUsize>) -> NonZeroUsize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            ..limit
        };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    let open = limit.current.map_or(usize::MAX, |most| {
        usize::try_from(most).unwrap_or(usize::MAX)
    });
    let places = open.saturating_sub(OWN_FILES) / 2;
    let most = wanted.unwrap_or(proxy::DEFAULT_MAX_CONNECTIONS).get();
    let places = places.min(most);
    if places < most {
        tracing::info!(
            places,
            open_files = open,
            "Client connections are limited by open files"
        );
    }
    NonZeroUsize::new(places).unwrap_or(NonZeroUsize::MIN)
}

/// An error with what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
