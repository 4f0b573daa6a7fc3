//! The application: loads references, binds everything, spawns the stages, drains them in order.
//!
//! Shutdown follows the flow of data: not ready → stop accepting → drain connections → the tap
//! closes → the recorder flushes → the monitor stops → the window checkpoints. Invariant: once
//! everything is bound, nothing but the shutdown future ends the process.

mod changes;
mod listening;
mod models;
mod monitoring;
mod reload;
mod status;

use std::future::Future;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;

use crate::admin::Token;
use crate::config::{Config, Model, Problem, Problems};
use crate::drift::Report;
use crate::feature::Store;
use crate::metrics::tap::TapCounters;
use crate::metrics::traffic::Traffic;
use crate::model::{Routes, Schema};
use crate::monitor::Durations;
use crate::proxy;
use crate::recorder::{Health, Reasons};
use crate::timestamp::Timestamp;
use crate::window::Window;
use listening::{serve_admin, sources};
use models::Prepared;
use monitoring::{Monitoring, Shared, may_work_later};
pub use reload::Reload;
use reload::{Failures, Request};
use status::StatusSource;

/// Time for everything between the signal and the exit; Kubernetes kills after 30 s.
const GRACE: Duration = Duration::from_secs(25);

/// Of which this much at the end is for writing down what the tap still holds.
const FLUSH: Duration = Duration::from_secs(5);

/// Files and sockets of driftd's own: listeners, window, admin connections, logs.
const OWN_FILES: usize = 128;

const JOIN_POLL: Duration = Duration::from_millis(2);

/// A configuration whose references are loaded.
#[derive(Debug)]
pub struct App {
    config: Config,
    models: Vec<Prepared>,
    token: Option<Token>,
}

/// Everything bound, nothing spawned.
#[derive(Debug)]
pub struct Bound {
    config: Config,
    models: Vec<Prepared>,
    proxy: TcpListener,
    admin: TcpListener,
    metrics: Option<TcpListener>,
    addresses: Addresses,
    report: Arc<ArcSwap<Report>>,
    /// `None` where it cannot be opened yet.
    window: Option<Window>,
    started: Timestamp,
    token: Arc<ArcSwapOption<Token>>,
    reload: Reload,
    reloads: mpsc::Receiver<Request>,
}

/// The real addresses, also where port 0 was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// Where predictions come in.
    pub proxy: SocketAddr,
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

    /// Binds every listener and opens the window: from here on nothing is left that can refuse.
    ///
    /// # Errors
    /// An address that cannot be listened on, or a window that cannot be had.
    pub async fn bind(self) -> Result<Bound, Error> {
        let Self {
            config,
            mut models,
            token,
        } = self;
        let proxy = bind("listen", config.listen).await?;
        let admin = bind("admin", config.admin).await?;
        let metrics = match config.metrics {
            Some(address) => Some(bind("metrics", address).await?),
            None => None,
        };
        let local = |listener: &TcpListener, asked| listener.local_addr().unwrap_or(asked);
        let addresses = Addresses {
            proxy: local(&proxy, config.listen),
            admin: local(&admin, config.admin),
            metrics: metrics
                .as_ref()
                .zip(config.metrics)
                .map(|(l, asked)| local(l, asked)),
        };
        let started = Timestamp::now();
        let window = match models::open_window(&config, &mut models, started) {
            Ok(window) => Some(window),
            Err(error) if may_work_later(&error) => {
                let error = chain(&error);
                tracing::error!(
                    error,
                    "Window cannot be opened yet: traffic passes, nothing is recorded until it can"
                );
                None
            }
            Err(error) => return Err(error),
        };
        let (sender, reloads) = mpsc::sync_channel(reload::MOST_WAITING);
        Ok(Bound {
            token: Arc::new(ArcSwapOption::from_pointee(token)),
            reload: Reload::new(sender),
            reloads,
            config,
            models,
            proxy,
            admin,
            metrics,
            addresses,
            report: Arc::default(),
            window,
            started,
        })
    }
}

// === impl Bound ===

impl Bound {
    /// The real addresses.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.addresses
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

    /// Spawns every stage and serves until `shutdown` resolves; then drains.
    ///
    /// # Errors
    /// A thread cannot be had; nothing has been served then.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let Self {
            config,
            models,
            proxy,
            admin,
            metrics,
            addresses,
            report,
            window,
            started,
            token,
            reload,
            reloads,
        } = self;
        let names: Vec<_> = models.iter().map(|model| model.name.clone()).collect();
        let counters = Arc::new(TapCounters::new(names.len()));
        let traffic = Traffic::new(names.clone());

        let monitoring = Monitoring {
            shared: Shared {
                counters: Arc::clone(&counters),
                report,
                reasons: Reasons::new(names.len()),
                health: Health::default(),
                durations: Arc::new(Durations::new(names.len())),
                window: Arc::default(),
                commands: Arc::default(),
                failures: Arc::new(Failures::new(names.len())),
            },
            models,
            config,
        };
        let reloader = monitoring.reloader(reload.clone(), Arc::clone(&token));
        // A restart shows what stood before it from the first answer on.
        let stages = window.map(|window| monitoring.stages(window, started));
        let Monitoring {
            config,
            models,
            shared,
        } = &monitoring;

        let routes = Routes::new(models.iter().map(|model| model.paths.as_slice()));
        let server = proxy::Proxy::new(
            models::proxy_config(config, models, places(config.max_connections)),
            routes,
        );
        let observer = || -> proxy::SharedObserver {
            Arc::new(status::Seen {
                shard: traffic.shard(),
                counters: Arc::clone(&counters),
            })
        };
        let (tap, receiver) = proxy::tap(config.tap, observer());
        let ready = Arc::new(AtomicBool::new(true));
        let status = Arc::new(StatusSource {
            started,
            addresses,
            external_url: config.external_url.clone(),
            check_interval: config.drift.every,
            models: models.iter().map(Prepared::endpoint).collect(),
            traffic: Arc::clone(&traffic),
            monitoring: shared.clone(),
            readiness: server.readiness(),
            queue: tap.bytes(),
        });
        let commands = Arc::clone(&shared.commands);
        let changes = changes::changes(names.clone(), commands, reload.clone());
        let sources = sources(&status, names, Arc::clone(&ready), token, changes)?;
        let (stop_admin, admin_thread) = serve_admin(admin, metrics, sources)?;
        tracing::info!(
            proxy = %addresses.proxy,
            admin = %addresses.admin,
            window = %config.window.path.display(),
            version = env!("CARGO_PKG_VERSION"),
            "Started"
        );
        let monitoring = spawn("driftd-recorder", move || match stages {
            Some(stages) => stages.run(receiver),
            None => monitoring.wait_and_run(receiver),
        })?;

        let reloader = spawn("driftd-reload", move || reloader.run(&reloads))?;
        let draining = Arc::clone(&ready);
        let drain = async move {
            shutdown.await;
            draining.store(false, Ordering::Relaxed);
        };
        let listener = proxy.into_std().map_err(|source| Error::Thread {
            name: "driftd-proxy",
            source,
        })?;
        let listener = proxy::Listener::Tcp(listener);
        let drained = server
            .serve(listener, tap, |_| observer(), drain, GRACE - FLUSH)
            .await?;
        tracing::info!(
            completed = drained.completed,
            aborted = drained.aborted,
            "Connections drained"
        );

        // The tap's senders are gone with the proxy: the recorder empties the queue, the monitor
        // stops, the window closes.
        let deadline = Instant::now() + FLUSH;
        ended(monitoring, deadline).await;
        reload.stop();
        ended(reloader, deadline).await;
        drop(stop_admin);
        ended(admin_thread, deadline).await;
        tracing::info!("Stopped");
        Ok(())
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

async fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, Error> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| Error::Bind {
        key,
        address,
        source,
    })
}

fn spawn(
    name: &'static str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, Error> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|source| Error::Thread { name, source })
}

/// Waits for a thread to end, without blocking the runtime: a second signal must get through.
/// False where it panicked or the deadline came first, as with a disk that hangs.
async fn ended(thread: JoinHandle<()>, deadline: Instant) -> bool {
    let name = thread.thread().name().unwrap_or("thread").to_owned();
    while !thread.is_finished() {
        if Instant::now() >= deadline {
            tracing::error!(
                thread = name,
                "Thread did not end in time; what it holds is lost"
            );
            return false;
        }
        tokio::time::sleep(JOIN_POLL).await;
    }
    let fine = thread.join().is_ok();
    if !fine {
        tracing::error!(
            thread = name,
            "Thread panicked; what it did not finish is lost"
        );
    }
    fine
}
