//! The monitoring half on its own thread: recorder, monitor and window, from the first exchange off
//! the tap to the checkpoint at the end.
//!
//! Invariant: traffic does not need it. Where the window cannot be opened yet (a full disk, another
//! program's lock), exchanges are dropped and counted, and it is tried again.

use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;

use super::certificates::CertificateFiles;
use super::models::{self, Prepared};
use super::reload::{Failures, Reload, Reloader, Source};
use super::{Error, chain, spawn};
use crate::admin::Token;
use crate::config::Config;
use crate::drift::Report;
use crate::drift::history::History;
use crate::drift::live::Lives;
use crate::exchange::DropReason;
use crate::metrics::tap::TapCounters;
use crate::monitor::{Command, Durations, Links, MOST_WAITING, Monitor, Watched};
use crate::proxy::{ServerTls, TapReceiver, TapState};
use crate::pulse::Pulse;
use crate::recorder::{Health, Reasons, Recorded, Recorder};
use crate::timestamp::Timestamp;
use crate::window::Window;

/// Between two tries to open a window that cannot be opened.
const RETRY: Duration = Duration::from_secs(1);

/// Between looks at the tap meanwhile.
const POLL: Duration = Duration::from_millis(20);

/// What the monitoring half is made of, before there is a window.
#[derive(Debug)]
pub(super) struct Monitoring {
    pub(super) config: Config,
    pub(super) models: Vec<Prepared>,
    pub(super) shared: Shared,
}

/// What others see of it.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) counters: Arc<TapCounters>,
    pub(super) report: Arc<ArcSwap<Report>>,
    /// What happened before the last check.
    pub(super) history: Arc<ArcSwap<History>>,
    pub(super) reasons: Reasons,
    /// How recording goes.
    pub(super) health: Health,
    pub(super) durations: Arc<Durations>,
    /// Set once it is open.
    pub(super) window: Arc<OnceLock<Window>>,
    /// Where the monitor takes commands; set once it runs.
    pub(super) commands: Commands,
    /// Reloads that failed.
    pub(super) failures: Arc<Failures>,
    /// Proof of life of the two stages.
    pub(super) pulses: Pulses,
    /// True from when what stood before the start can be shown, or it is known that it cannot.
    pub(super) settled: Arc<watch::Sender<bool>>,
}

/// Proof of life of the recorder's thread and of the monitor's.
#[derive(Debug, Clone)]
pub(super) struct Pulses {
    pub(super) recorder: Pulse,
    pub(super) monitor: Pulse,
}

/// Where the monitor takes commands, once it runs.
pub(super) type Commands = Arc<OnceLock<SyncSender<Command>>>;

/// The stages, ready to run.
#[derive(Debug)]
pub(super) struct Stages {
    recorder: Recorder,
    monitor: Monitor,
    window: Window,
    commands: Commands,
    health: Health,
    /// Of the thread they run on.
    pulse: Pulse,
    settled: Arc<watch::Sender<bool>>,
}

// === impl Shared ===

impl Shared {
    /// Of so many models, none of which has been checked.
    pub(super) fn new(
        models: usize,
        counters: Arc<TapCounters>,
        report: Arc<ArcSwap<Report>>,
    ) -> Self {
        Self {
            counters,
            report,
            history: Arc::default(),
            reasons: Reasons::new(models),
            health: Health::default(),
            durations: Arc::new(Durations::new(models)),
            window: Arc::default(),
            commands: Arc::default(),
            failures: Arc::new(Failures::new(models)),
            pulses: Pulses {
                recorder: Pulse::new("driftd-recorder"),
                monitor: Pulse::new("driftd-monitor"),
            },
            settled: Arc::new(watch::Sender::new(false)),
        }
    }
}

// === impl Monitoring ===

impl Monitoring {
    /// Builds the stages on an open window and makes the first report.
    pub(super) fn stages(&self, window: Window, now: Timestamp) -> Stages {
        let (recorded, watched): (Vec<Recorded>, Vec<Watched>) = (self.models.iter())
            .map(|model| model.stages(&self.config.drift))
            .unzip();
        let lives = watched.iter().map(|model| model.live.clone()).collect();
        let lives = Arc::new(Lives::new(lives));
        let shared = self.shared.clone();
        let recorder = Recorder {
            models: recorded,
            window: window.clone(),
            lives: Arc::clone(&lives),
            counters: Arc::clone(&shared.counters),
            max_body: self.config.tap.max_body,
            reasons: shared.reasons,
            health: shared.health.clone(),
            pulse: shared.pulses.recorder.clone(),
            log_exchanges: self.config.log_exchanges,
        };
        let monitor = Monitor::start(
            self.config.drift.clone(),
            watched,
            window.clone(),
            Links {
                counters: shared.counters,
                report: shared.report,
                history: shared.history,
                durations: shared.durations,
                lives,
                pulse: shared.pulses.monitor,
            },
            now,
        );
        // Only the first is kept, and there is only one.
        drop(shared.window.set(window.clone()));
        Stages {
            recorder,
            monitor,
            window,
            commands: shared.commands,
            settled: shared.settled,
            health: shared.health,
            pulse: shared.pulses.recorder,
        }
    }

    /// What reads the references again.
    pub(super) fn reloader(
        &self,
        reload: Reload,
        token: Arc<ArcSwapOption<Token>>,
        tls: Option<ServerTls>,
    ) -> Reloader {
        let models = self.config.models.iter().zip(&self.models).enumerate();
        Reloader {
            reload,
            sources: models
                .filter_map(|(index, (model, prepared))| Source::new(index, model, prepared))
                .collect(),
            commands: Arc::clone(&self.shared.commands),
            failures: Arc::clone(&self.shared.failures),
            token_source: self.config.admin_token.clone(),
            token,
            certificates: tls.map(CertificateFiles::new),
        }
    }

    /// Opens the window, while traffic passes and the tap's queue fills, and runs. Blocks until the
    /// tap is closed.
    ///
    /// # Errors
    /// A window that cannot be had as driftd is configured.
    pub(super) fn open_and_run(mut self, tap: TapReceiver, now: Timestamp) -> Result<(), Error> {
        let pulse = self.shared.pulses.recorder.clone();
        let _beating = pulse.begin();
        match pulse.waits(|| models::open_window(&self.config, &mut self.models, now)) {
            Ok(window) => pulse.waits(|| self.stages(window, now)).run(tap),
            Err(error) if may_work_later(&error) => {
                let error = chain(&error);
                tracing::error!(
                    error,
                    "Window cannot be opened yet: traffic passes, nothing is recorded until it can"
                );
                self.shared.settled.send_replace(true);
                self.wait_and_run(tap);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Opens the window as soon as it can be, then runs. Blocks until the tap is closed.
    fn wait_and_run(mut self, mut tap: TapReceiver) {
        let mut tried = Instant::now();
        let health = self.shared.health.clone();
        let _watch = health.watch();
        health.fails("the window cannot be opened yet".to_owned());
        let pulse = self.shared.pulses.recorder.clone();
        loop {
            pulse.beat();
            let counters = &self.shared.counters;
            let state = tap.drain(usize::MAX, |tapped| {
                counters.dropped(tapped.exchange.model, DropReason::WindowError, 1);
            });
            if state == TapState::Closed {
                return;
            }
            if tried.elapsed() >= RETRY {
                tried = Instant::now();
                let now = Timestamp::now();
                let opened =
                    pulse.waits(|| models::open_window(&self.config, &mut self.models, now));
                match opened {
                    Ok(window) => {
                        tracing::info!("Window opened: recording begins");
                        health.works();
                        return pulse.waits(|| self.stages(window, now)).run(tap);
                    }
                    Err(error) => tracing::debug!(%error, "Window still cannot be opened"),
                }
            }
            std::thread::park_timeout(POLL);
        }
    }
}

// === impl Stages ===

impl Stages {
    /// Records until the tap is closed, then stops the monitor and closes the window.
    pub(super) fn run(self, tap: TapReceiver) {
        let Self {
            recorder,
            monitor,
            window,
            commands,
            settled,
            health,
            pulse,
        } = self;
        let _watch = health.watch();
        let (sender, received) = mpsc::sync_channel(MOST_WAITING);
        let monitor = spawn("driftd-monitor", move || monitor.run(&received));
        if let Err(error) = &monitor {
            tracing::error!(%error, "No checks are made: rows are recorded only");
        }
        // Only the first is kept, and there is only one.
        drop(commands.set(sender.clone()));
        settled.send_replace(true);
        recorder.run(tap);
        // An error means that it has ended already.
        drop(sender.send(Command::Stop));
        let monitor = monitor.map(|thread| pulse.waits(|| thread.join()));
        if monitor.is_ok_and(|ended| ended.is_err()) {
            tracing::error!("The monitor ended by a defect in driftd");
        }
        pulse.waits(|| window.close());
    }
}

/// Whether opening the window may work later, with nothing changed in the configuration.
fn may_work_later(error: &Error) -> bool {
    matches!(error, Error::Window(error) if error.is_transient())
}
