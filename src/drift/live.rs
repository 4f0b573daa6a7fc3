//! What one model's committed rows feed: its reference and the rows under comparison of each span.
//! The recorder appends, the monitor selects; both hold the lock for moments only.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use arc_swap::ArcSwap;

use super::current::{Current, Entry, Span, Thinned};
use super::histogram::Histograms;
use super::reference::Reference;
use super::report::SpanName;
use super::since::Since;

/// The rows of one model that are compared with one reference.
#[derive(Debug)]
pub struct Live {
    /// The reference; its columns align with the model's schema.
    pub reference: Arc<Reference>,
    spans: Mutex<Vec<(SpanName, Current)>>,
    since: Mutex<Since>,
    histograms: Histograms,
}

/// The comparisons in force, by the model's index. Whoever appends holds them from before the rows
/// are encoded until after they are appended, so that no row meets a reference it was not encoded
/// for.
#[derive(Debug)]
pub struct Lives {
    held: RwLock<InForce>,
    /// The same, for those who only look.
    seen: ArcSwap<InForce>,
}

/// One comparison for each model; `None` without a reference.
pub type InForce = Vec<Option<Arc<Live>>>;

impl Live {
    /// No rows yet.
    #[must_use]
    pub fn new(
        reference: Arc<Reference>,
        spans: impl IntoIterator<Item = (SpanName, Span)>,
        histograms: Histograms,
    ) -> Self {
        let spans = spans
            .into_iter()
            .map(|(name, span)| (name, Current::new(span)));
        Self {
            since: Mutex::new(Since::new(&reference)),
            reference,
            spans: Mutex::new(spans.collect()),
            histograms,
        }
    }

    /// Takes in one committed row.
    pub fn append(&self, entry: &Entry) {
        self.since().append(entry.id, &entry.values);
        self.histograms.append(&entry.values);
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

    /// What has fallen into each bucket since the process, or the reference, began.
    #[must_use]
    pub const fn histograms(&self) -> &Histograms {
        &self.histograms
    }

    /// All rows since the reference, locked; the same holds for them.
    pub fn since(&self) -> MutexGuard<'_, Since> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The spans, locked. A thread that panicked while holding them leaves them whole: every
    /// change is a push, a pop or a replacement.
    pub fn spans(&self) -> MutexGuard<'_, Vec<(SpanName, Current)>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Lives ===

impl Lives {
    /// One for each model; `None` without a reference.
    #[must_use]
    pub fn new(lives: InForce) -> Self {
        Self {
            seen: ArcSwap::from_pointee(lives.clone()),
            held: RwLock::new(lives),
        }
    }

    /// All of them as they are now. Waits for nobody: not for a commit under way, nor for a
    /// reference that waits for its end.
    #[must_use]
    pub fn see(&self) -> Arc<InForce> {
        self.seen.load_full()
    }

    /// All of them; none is replaced while the guard lives.
    pub fn hold(&self) -> RwLockReadGuard<'_, InForce> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `live` in force for `model`. `begin` is called while nobody appends, and where it fails
    /// nothing changes.
    ///
    /// # Errors
    /// What `begin` said.
    pub fn replace<E>(
        &self,
        model: usize,
        live: Arc<Live>,
        begin: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let mut lives = self.held.write().unwrap_or_else(PoisonError::into_inner);
        begin()?;
        if let Some(slot) = lives.get_mut(model) {
            *slot = Some(live);
        }
        self.seen.store(Arc::new(lives.clone()));
        Ok(())
    }
}
