//! What driftd sends by itself: HTTP POSTs to receivers that somebody configured.
//!
//! A webhook's receiver gets an [`event`] when a model's level changes, signed as the Standard Webhooks
//! specification says (<https://www.standardwebhooks.com>, version 1), and tried again until it takes it.
//!
//! Invariant: a receiver is given a bounded time and sends back a bounded number of bytes; what it says
//! never leads anywhere else: redirections are not followed.
//! Invariant: no secret, and no path of a receiver's address, is ever shown or logged: many receivers
//! know their senders by the address alone. That holds for what a receiver says, too: it may repeat them.
//!
//! - [`Endpoint`]: where a receiver is
//! - [`Secret`]: what a receiver knows the sender by
//! - [`Hidden`]: what of an answer may not be shown
//! - [`event`]: what is said, as a CloudEvent or as one line of text
//! - [`Retries`]: when to try again, and when no more

mod endpoint;
pub mod event;
mod hidden;
mod post;
mod retries;
mod secret;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

pub use endpoint::Endpoint;
pub use hidden::Hidden;
pub use post::{Answer, Failure, Post, post};
pub use retries::{Retries, Verdict};
pub use secret::{Secret, SecretSource};

use crate::drift::report::Level;

/// A receiver answers such requests at once, or puts them into a queue of its own.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// A receiver that was down over night gets what it missed.
pub const DEFAULT_RETRY_FOR: Duration = Duration::from_secs(86_400);

/// Levels change a few times a week; a hundred changes of a receiver that is down are history.
pub const DEFAULT_QUEUE: usize = 100;

/// One receiver of webhooks; valid by construction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Its name in metrics and logs.
    pub name: String,
    /// Where it is.
    pub endpoint: Endpoint,
    /// The file the address was read from, if it was.
    pub url_file: Option<PathBuf>,
    /// What deliveries are signed with.
    pub secret: SecretSource,
    /// What a delivery looks like.
    pub format: Format,
    /// The levels it is told of, ascending and at least one.
    pub levels: Vec<Level>,
    /// How long one try may take.
    pub timeout: Duration,
    /// For how long a delivery is tried.
    pub retry_for: Duration,
    /// Changes that may wait.
    pub queue: usize,
    /// Whose certificate it must show; `None`: whom the system trusts.
    pub ca: Option<PathBuf>,
}

/// What a delivery looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// CloudEvents 1.0 in structured content mode.
    #[default]
    CloudEvents,
    /// `{"text": …}`, as Slack, Mattermost and Rocket.Chat take it.
    Slack,
}

/// A connection to a receiver.
pub trait Connection: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Connection for T {}

/// A connection that is being opened.
pub type Opening = Pin<Box<dyn Future<Output = io::Result<Box<dyn Connection>>>>>;

/// Opens a connection to the receiver, with TLS where its address asks for it.
pub type Dial = Box<dyn Fn() -> Opening + Send>;

// === impl Config ===

impl Config {
    /// What the receiver is told of a model at `level`: that level, or where it is not told of that,
    /// the next lower one it is told of. `None`: nothing, as if the model were well.
    #[must_use]
    pub fn heard(&self, level: Level) -> Option<Level> {
        let heard = self.levels.iter().filter(|known| **known <= level);
        heard.max().copied()
    }
}

// === impl Format ===

impl Format {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::CloudEvents, Self::Slack];

    /// The word used in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CloudEvents => "cloudevents",
            Self::Slack => "slack",
        }
    }

    /// The content type of a delivery.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::CloudEvents => "application/cloudevents+json; charset=utf-8",
            Self::Slack => "application/json; charset=utf-8",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
