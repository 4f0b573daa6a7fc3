//! Whether what is tapped reaches the window, for whoever asks: metrics, status, page.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

/// A commit that takes longer hangs: the window waits two seconds for another program at most.
const HANGS: Duration = Duration::from_secs(5);

/// How recording goes; a handle that stays current, and never waits for whom it tells about.
#[derive(Debug, Clone)]
pub struct Health(Arc<State>);

#[derive(Debug)]
struct State {
    began: Instant,
    /// What is wrong, until a commit succeeds.
    trouble: ArcSwapOption<String>,
    /// When the commit under way began, in milliseconds since `began` plus one; 0: none is.
    committing: AtomicU64,
    restarts: AtomicU64,
    ended: AtomicBool,
}

/// Ends [`Health`] where its thread panics.
#[derive(Debug)]
pub struct Watch(Health);

// === impl Health ===

impl Default for Health {
    fn default() -> Self {
        Self(Arc::new(State {
            began: Instant::now(),
            trouble: ArcSwapOption::empty(),
            committing: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        }))
    }
}

impl Health {
    /// Why what is tapped does not reach the window; `None` where it does.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let state = &*self.0;
        if state.ended.load(Ordering::Relaxed) {
            return Some("recording ended by a defect in driftd: restart it".to_owned());
        }
        let since = state.committing.load(Ordering::Relaxed);
        if let Some(since) = since.checked_sub(1) {
            let taken = state
                .began
                .elapsed()
                .saturating_sub(Duration::from_millis(since));
            if taken >= HANGS {
                let seconds = taken.as_secs();
                return Some(format!("the window has not answered for {seconds} s"));
            }
        }
        state.trouble.load().as_deref().cloned()
    }

    /// How often recording was begun anew after a defect.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.0.restarts.load(Ordering::Relaxed)
    }

    /// Nothing is recorded, because of `trouble`.
    pub fn fails(&self, trouble: String) {
        self.0.trouble.store(Some(Arc::new(trouble)));
    }

    /// Recording works.
    pub fn works(&self) {
        if self.0.trouble.load().is_some() {
            self.0.trouble.store(None);
        }
    }

    /// Says so if this thread panics before what is returned is dropped.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(self.clone())
    }

    /// A defect was met; recording begins anew.
    pub(super) fn restarts_now(&self) {
        self.0.restarts.fetch_add(1, Ordering::Relaxed);
        self.fails("a defect in driftd: recording begins anew".to_owned());
    }

    /// A commit begins, or is over.
    pub(super) fn committing(&self, begins: bool) {
        let millis = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        let value = if begins { millis + 1 } else { 0 };
        self.0.committing.store(value, Ordering::Relaxed);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.0.ended.store(true, Ordering::Relaxed);
        }
    }
}
