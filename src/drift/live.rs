//! What one model's committed rows feed: its reference and the rows under comparison of each span.
//! The recorder appends, the monitor selects; both hold the lock for moments only.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::current::{Current, Entry, Span, Thinned};
use super::reference::Reference;
use super::report::SpanName;

/// The rows of one model that are compared with one reference.
#[derive(Debug)]
pub struct Live {
    /// The reference; its columns align with the model's schema.
    pub reference: Arc<Reference>,
    spans: Mutex<Vec<(SpanName, Current)>>,
}

impl Live {
    /// No rows yet.
    #[must_use]
    pub fn new(
        reference: Arc<Reference>,
        spans: impl IntoIterator<Item = (SpanName, Span)>,
    ) -> Self {
        let spans = spans
            .into_iter()
            .map(|(name, span)| (name, Current::new(span)));
        Self {
            reference,
            spans: Mutex::new(spans.collect()),
        }
    }

    /// Takes in one committed row.
    pub fn append(&self, entry: &Entry) {
        for (_, current) in self.spans().iter_mut() {
            current.append(entry.clone());
        }
    }

    /// Notes that retention thinned the window.
    pub fn thin(&self, thinned: Thinned) {
        for (_, current) in self.spans().iter_mut() {
            current.thin(thinned);
        }
    }

    /// The spans, locked. A thread that panicked while holding them leaves them whole: every
    /// change is a push, a pop or a replacement.
    pub fn spans(&self) -> MutexGuard<'_, Vec<(SpanName, Current)>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
