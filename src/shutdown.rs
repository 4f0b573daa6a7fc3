//! Signals: the first SIGTERM or SIGINT asks for a drain, a second one ends it; SIGHUP asks to reload.

use std::io;

use rustix::process::Signal as Raw;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask the process to end.
#[derive(Debug)]
pub struct Signals {
    term: Signal,
    int: Signal,
    /// A file that reached its size limit: caught, so that the write fails instead of the process.
    _file_size: Signal,
}

impl Signals {
    /// Begins to listen; from here on the signals no longer kill the process.
    ///
    /// # Errors
    /// The system refuses the handler.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            _file_size: signal(SignalKind::from_raw(Raw::XFSZ.as_raw()))?,
        })
    }

    /// Waits for the next one and returns its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}

/// SIGHUP, which asks to read the references again.
#[derive(Debug)]
pub struct Hangups(Signal);

// === impl Hangups ===

impl Hangups {
    /// Begins to listen; from here on SIGHUP no longer ends the process.
    ///
    /// # Errors
    /// The system refuses the handler.
    pub fn listen() -> io::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }

    /// Waits for the next one. Several that come at once are one.
    pub async fn next(&mut self) {
        // `None` only where the runtime ends, and this with it.
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
