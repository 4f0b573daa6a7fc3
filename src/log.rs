//! Structured logs: lines for people on a terminal, JSON where a machine reads; always on stderr, so
//! that stdout stays for what a command prints.

use std::io::{IsTerminal, stderr};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt;

/// Level without `RUST_LOG`.
const DEFAULT_LEVEL: &str = "info";

/// Lines waiting to be written; more are dropped, because nothing may wait for whoever reads them.
const LINES: usize = 10_000;

/// Writes what is waiting when dropped; keep it until the end.
#[derive(Debug)]
pub struct Log(#[allow(dead_code, reason = "held for its drop")] WorkerGuard);

/// Starts logging, on a thread of its own. `json`: JSON lines; `None`: colours only where a terminal shows them.
/// `RUST_LOG` narrows or widens what is logged. A second call does nothing.
#[must_use = "dropping it ends the log"]
pub fn start(json: Option<bool>) -> Log {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LEVEL));
    let lossy = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES);
    let (writer, guard) = lossy.thread_name("driftd-log").finish(stderr());
    let builder = fmt().with_env_filter(filter).with_writer(writer);
    let started = if json.unwrap_or(false) {
        builder
            .json()
            .flatten_event(true)
            .with_target(false)
            .finish()
            .try_init()
    } else {
        let colours = stderr().is_terminal();
        builder
            .with_ansi(colours)
            .with_target(false)
            .finish()
            .try_init()
    };
    drop(started);
    Log(guard)
}
