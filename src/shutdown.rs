//! Signals: the first SIGTERM or SIGINT asks for a drain, a second one ends it.

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
