//! What the monitor is asked between its checks.

use tokio::sync::oneshot;

use crate::drift::Reference;
use crate::drift::accept::{self, Acceptance, Ended, Terms};
use crate::window;

/// Commands that may wait; whoever sends one more is told that the monitor is busy.
pub const MOST_WAITING: usize = 16;

/// Where the outcome of a command goes.
pub type Reply<T> = oneshot::Sender<Result<T, Refused>>;

/// A command. One that comes during a check ends it and is obeyed at once; the check is then made
/// again. One that comes during that second check ends only its rests, so that a stream of commands
/// cannot keep checks from being made.
#[derive(Debug)]
pub enum Command {
    /// Accept drift as the new normal.
    Accept {
        /// Index of the model.
        model: usize,
        /// The column; every drifted one where `None`.
        feature: Option<String>,
        /// Who, why, for how long.
        terms: Terms,
        /// What is accepted.
        reply: Reply<Vec<Acceptance>>,
    },
    /// Take that back.
    Unaccept {
        /// Index of the model.
        model: usize,
        /// The column; every accepted one where `None`.
        feature: Option<String>,
        /// Who takes it back.
        by: String,
        /// What is no longer accepted.
        reply: Reply<Vec<Ended>>,
    },
    /// Compare with another reference from now on.
    Reference {
        /// Index of the model.
        model: usize,
        /// The reference; its columns align with the model's schema.
        reference: Box<Reference>,
        /// Whether it is in force.
        reply: Reply<()>,
    },
    /// End. Other commands that wait get no reply.
    Stop,
}

/// Why a command was not obeyed; nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It asks for what cannot be.
    #[error(transparent)]
    Request(#[from] accept::Refusal),
    /// The model has not been checked yet.
    #[error("the model has not been checked yet; try again in a moment")]
    Unchecked,
    /// It could not be written down.
    #[error(transparent)]
    Window(#[from] window::Error),
}
