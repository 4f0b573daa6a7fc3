//! What could not be read: the latest reason per model for the page, and a line in the log now and
//! then, so that whoever waits for rows learns why none come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use crate::model::ModelName;

/// Between two log lines about one model.
const REMIND: Duration = Duration::from_secs(60);

/// The latest reason of each model; a handle that stays current.
#[derive(Debug, Clone)]
pub struct Reasons(Arc<[ArcSwapOption<String>]>);

/// Counts what is said of each model.
#[derive(Debug)]
pub(super) struct Unread {
    reasons: Reasons,
    models: Vec<Said>,
}

#[derive(Debug, Clone, Default)]
struct Said {
    last: Option<Instant>,
    since_then: u64,
}

// === impl Reasons ===

impl Reasons {
    /// None yet, for so many models.
    #[must_use]
    pub fn new(models: usize) -> Self {
        Self((0..models).map(|_| ArcSwapOption::empty()).collect())
    }

    /// Why the latest undecodable exchange of the model at `index` could not be read.
    #[must_use]
    pub fn latest(&self, index: usize) -> Option<String> {
        let reason = self.0.get(index)?.load();
        reason.as_deref().cloned()
    }
}

// === impl Unread ===

impl Unread {
    pub(super) fn new(reasons: Reasons) -> Self {
        let models = vec![Said::default(); reasons.0.len()];
        Self { reasons, models }
    }

    /// Notes an exchange answered with success whose request could not be read.
    pub(super) fn note(&mut self, index: usize, model: &ModelName, reason: &str) {
        if let Some(slot) = self.reasons.0.get(index) {
            slot.store(Some(Arc::new(reason.to_owned())));
        }
        let Some(said) = self.models.get_mut(index) else {
            return;
        };
        said.since_then += 1;
        if said.last.is_none_or(|last| last.elapsed() >= REMIND) {
            let exchanges = said.since_then;
            tracing::warn!(%model, exchanges, reason, "Exchanges not read: their rows are missing from every check");
            *said = Said {
                last: Some(Instant::now()),
                since_then: 0,
            };
        }
    }
}
