//! The admin listeners: what they answer from, and the thread they are served on.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use arc_swap::ArcSwapOption;
use tokio::net::TcpListener as Polled;

use super::status::StatusSource;
use super::{Error, spawn};
use crate::admin::{self, Changes, Token};
use crate::metrics::Metrics;
use crate::model::ModelName;
use crate::proxy::{self, UpstreamState};
use crate::pulse::{self, Pulse};

/// Whether traffic should be sent here: not once `accepting` is false, and where `upstreams` are
/// needed, not while one of theirs cannot be reached.
pub(super) fn readiness(
    accepting: Arc<AtomicBool>,
    upstreams: Option<proxy::Readiness>,
    models: Vec<ModelName>,
) -> impl Fn() -> Result<(), String> + Send + Sync + 'static {
    move || {
        if !accepting.load(Ordering::Relaxed) {
            return Err("draining".to_owned());
        }
        let Some(upstreams) = &upstreams else {
            return Ok(());
        };
        for (index, model) in models.iter().enumerate() {
            match upstreams.model(index) {
                UpstreamState::Up => {}
                UpstreamState::Down => {
                    return Err(format!("the upstream of model {model} cannot be reached"));
                }
                UpstreamState::Unknown => {
                    return Err(format!("the upstream of model {model} was not reached yet"));
                }
            }
        }
        Ok(())
    }
}

/// What the admin listeners answer from.
pub(super) fn sources(
    status: &Arc<StatusSource>,
    models: Vec<ModelName>,
    ready: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    token: Arc<ArcSwapOption<Token>>,
    changes: Changes,
) -> Result<Arc<admin::Sources>, Error> {
    let (gauges, status) = (Arc::clone(status), Arc::clone(status));
    let (address, external_url) = (status.addresses.admin, status.external_url.clone());
    let metrics = Metrics::new(crate::metrics::Sources {
        traffic: Arc::clone(&status.traffic),
        tap: Arc::clone(&status.monitoring.counters),
        report: Arc::clone(&status.monitoring.report),
        lives: Arc::clone(&status.monitoring.lives),
        models,
        gauges: Arc::new(move || gauges.gauges()),
    })?;
    Ok(Arc::new(admin::Sources {
        metrics: Arc::new(metrics),
        report: Arc::clone(&status.monitoring.report),
        history: Arc::clone(&status.monitoring.history),
        ready: Arc::new(ready),
        settled: status.monitoring.settled.subscribe(),
        status: Arc::new(move || status.status()),
        hosts: admin::Hosts::of(address.ip(), external_url.as_deref()),
        token,
        changes,
    }))
}

/// Serves page, API and metrics on a thread of their own: rendering a page never holds up traffic.
pub(super) fn serve_admin(
    admin: TcpListener,
    metrics: Option<TcpListener>,
    sources: Arc<admin::Sources>,
    pulse: Pulse,
) -> Result<(tokio::sync::watch::Sender<()>, JoinHandle<()>), Error> {
    let (stop, stopped) = tokio::sync::watch::channel(());
    let thread_error = |source| Error::Thread {
        name: "driftd-admin",
        source,
    };
    for listener in std::iter::once(&admin).chain(&metrics) {
        listener.set_nonblocking(true).map_err(thread_error)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(thread_error)?;
    let thread = spawn("driftd-admin", move || {
        let _beating = pulse.begin();
        runtime.block_on(async move {
            let ended = |mut stopped: tokio::sync::watch::Receiver<()>| async move {
                while stopped.changed().await.is_ok() {}
            };
            let full = async {
                match Polled::from_std(admin) {
                    Ok(listener) => {
                        admin::serve(
                            listener,
                            admin::Routes::Full,
                            Arc::clone(&sources),
                            ended(stopped.clone()),
                        )
                        .await
                    }
                    Err(error) => tracing::error!(%error, "Admin listener lost"),
                }
            };
            let only = async {
                if let Some(Ok(listener)) = metrics.map(Polled::from_std) {
                    admin::serve(
                        listener,
                        admin::Routes::MetricsOnly,
                        Arc::clone(&sources),
                        ended(stopped.clone()),
                    )
                    .await;
                }
            };
            let beats = async {
                loop {
                    pulse.beat();
                    tokio::time::sleep(pulse::INTERVAL).await;
                }
            };
            tokio::select! {
                _ = async { tokio::join!(full, only) } => {}
                () = beats => {}
            }
        });
    })?;
    Ok((stop, thread))
}
