//! Structured logs: lines for people on a terminal, JSON where a machine reads; always on stderr, so
//! that stdout stays for what a command prints.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt;

/// Level without `RUST_LOG`.
const DEFAULT_LEVEL: &str = "info";

/// Starts logging. `json`: JSON lines; `None`: colours only where a terminal shows them.
/// `RUST_LOG` narrows or widens what is logged. A second call does nothing.
pub fn start(json: Option<bool>) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LEVEL));
    let builder = fmt().with_env_filter(filter).with_writer(stderr);
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
}
