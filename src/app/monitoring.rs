//! The monitoring half on its own thread: recorder, monitor and window, from the first exchange off
//! the tap to the checkpoint at the end.
//!
//! Invariant: traffic does not need it. Where the window cannot be opened yet (a full disk, another
//! program's lock), exchanges are dropped and counted, and it is tried again.

use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::models::{self, Prepared};
use super::{Error, spawn};
use crate::config::Config;
use crate::drift::Report;
use crate::exchange::DropReason;
use crate::metrics::tap::TapCounters;
use crate::monitor::{Durations, Monitor, Watched};
use crate::proxy::{TapReceiver, TapState};
use crate::recorder::{Reasons, Recorded, Recorder};
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
    pub(super) reasons: Reasons,
    pub(super) durations: Arc<Durations>,
    /// Set once it is open.
    pub(super) window: Arc<OnceLock<Window>>,
}

/// The stages, ready to run.
#[derive(Debug)]
pub(super) struct Stages {
    recorder: Recorder,
    monitor: Monitor,
    window: Window,
}

// === impl Monitoring ===

impl Monitoring {
    /// Builds the stages on an open window and makes the first report.
    pub(super) fn stages(&self, window: Window, now: Timestamp) -> Stages {
        let (recorded, watched): (Vec<Recorded>, Vec<Watched>) = (self.models.iter())
            .map(|model| model.stages(&self.config.drift))
            .unzip();
        let shared = self.shared.clone();
        let recorder = Recorder {
            models: recorded,
            window: window.clone(),
            counters: Arc::clone(&shared.counters),
            max_body: self.config.tap.max_body,
            reasons: shared.reasons,
            log_exchanges: self.config.log_exchanges,
        };
        let monitor = Monitor::start(
            self.config.drift.clone(),
            watched,
            window.clone(),
            shared.counters,
            shared.report,
            shared.durations,
            now,
        );
        // Only the first is kept, and there is only one.
        drop(shared.window.set(window.clone()));
        Stages {
            recorder,
            monitor,
            window,
        }
    }

    /// Opens the window as soon as it can be, then runs. Blocks until the tap is closed.
    pub(super) fn wait_and_run(mut self, mut tap: TapReceiver) {
        let mut tried = Instant::now();
        loop {
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
                match models::open_window(&self.config, &mut self.models, now) {
                    Ok(window) => {
                        tracing::info!("Window opened: recording begins");
                        return self.stages(window, now).run(tap);
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
        } = self;
        let (stop, stopped) = mpsc::channel();
        let monitor = spawn("driftd-monitor", move || monitor.run(&stopped));
        if let Err(error) = &monitor {
            tracing::error!(%error, "No checks are made: rows are recorded only");
        }
        recorder.run(tap);
        drop(stop);
        if monitor.is_ok_and(|thread: std::thread::JoinHandle<()>| thread.join().is_err()) {
            tracing::error!("The monitor ended by a defect in driftd");
        }
        window.close();
    }
}

/// Whether opening the window may work later, with nothing changed in the configuration.
pub(super) fn may_work_later(error: &Error) -> bool {
    matches!(error, Error::Window(error) if error.is_transient())
}
