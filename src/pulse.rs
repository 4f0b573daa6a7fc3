//! Proof of life: a thread says now and then that it goes on, and whoever watches sees when it does not.
//!
//! Invariant: a beat is one relaxed store, and nobody ever waits for whom it tells about.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How often a thread with nothing to do wakes up to say that it lives.
pub const INTERVAL: Duration = Duration::from_millis(500);

const NOT_BEGUN: u8 = 0;
const BEATING: u8 = 1;
const ENDED: u8 = 2;
const PANICKED: u8 = 3;

/// One thread's proof of life; clones are of the same thread.
#[derive(Debug, Clone)]
pub struct Pulse(Arc<State>);

#[derive(Debug)]
struct State {
    name: Box<str>,
    created: Instant,
    /// Milliseconds from `created` to the last beat.
    last: AtomicU64,
    /// How many things outside of driftd the thread waits for, one inside the other.
    waiting: AtomicUsize,
    stage: AtomicU8,
}

/// Marks the end of the thread, and whether it panicked, when it is dropped.
#[derive(Debug)]
pub struct Beating(Pulse);

/// Marks the end of a wait, also where it ends by a panic.
struct Waiting<'a>(&'a Pulse);

// === impl Pulse ===

impl Pulse {
    /// Of a thread that has not begun.
    #[must_use]
    pub fn new(name: impl Into<Box<str>>) -> Self {
        Self(Arc::new(State {
            name: name.into(),
            created: Instant::now(),
            last: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            stage: AtomicU8::new(NOT_BEGUN),
        }))
    }

    /// The thread begins; to be dropped at its end.
    #[must_use]
    pub fn begin(&self) -> Beating {
        self.beat();
        self.0.stage.store(BEATING, Ordering::Release);
        Beating(self.clone())
    }

    /// The thread goes on.
    pub fn beat(&self) {
        let millis = self.0.created.elapsed().as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        self.0.last.store(millis, Ordering::Relaxed);
    }

    /// Does what may take as long as a disk or another program pleases. Meanwhile no beat is due:
    /// to end a process because its disk hangs would help nobody.
    pub fn waits<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(self);
        work()
    }

    /// Whether the thread has begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.0.stage.load(Ordering::Acquire) != NOT_BEGUN
    }

    /// What is wrong with the thread: it panicked, or its last beat is longer ago than `within`.
    /// `None` also where it has not begun, or has ended as it should.
    #[must_use]
    pub fn trouble(&self, within: Duration) -> Option<String> {
        let state = &*self.0;
        match state.stage.load(Ordering::Acquire) {
            PANICKED => return Some(format!("{} ended by a defect in driftd", state.name)),
            BEATING if state.waiting.load(Ordering::Acquire) == 0 => {}
            _ => return None,
        }
        let last = Duration::from_millis(state.last.load(Ordering::Relaxed));
        let silent = state.created.elapsed().saturating_sub(last);
        (silent > within).then(|| {
            let seconds = silent.as_secs_f64();
            format!("{} has shown no life for {seconds:.1} s", state.name)
        })
    }
}

// === impl Beating and Waiting ===

impl Drop for Beating {
    fn drop(&mut self) {
        let stage = match std::thread::panicking() {
            true => PANICKED,
            false => ENDED,
        };
        self.0.0.stage.store(stage, Ordering::Release);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // Before the wait ends: the beat before it may be long ago.
        self.0.beat();
        self.0.0.waiting.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    const LATE: Duration = Duration::from_millis(20);

    fn silence() {
        std::thread::sleep(LATE * 2);
    }

    #[test]
    fn silence_is_trouble_until_the_next_beat() {
        let pulse = Pulse::new("worker");
        silence();
        assert_eq!(pulse.trouble(LATE), None, "it has not begun");
        let beating = pulse.begin();
        assert_eq!(pulse.trouble(Duration::from_secs(60)), None);
        silence();
        let trouble = pulse.trouble(LATE).unwrap();
        assert!(
            trouble.starts_with("worker has shown no life for 0.0"),
            "{trouble}"
        );
        pulse.beat();
        assert_eq!(pulse.trouble(Duration::from_secs(60)), None);
        drop(beating);
        silence();
        assert_eq!(pulse.trouble(LATE), None, "it ended as it should");
    }

    #[test]
    fn no_beat_is_due_in_a_wait_and_one_comes_at_its_end() {
        let pulse = Pulse::new("worker");
        let _beating = pulse.begin();
        pulse.waits(|| {
            pulse.waits(silence);
            silence();
            assert_eq!(pulse.trouble(LATE), None);
        });
        assert_eq!(pulse.trouble(Duration::from_secs(60)), None);
        let defect = AssertUnwindSafe(|| pulse.waits(|| panic!("a defect")));
        assert!(catch_unwind(defect).is_err());
        silence();
        assert!(pulse.trouble(LATE).is_some(), "the wait is over");
    }

    #[test]
    fn a_panic_is_trouble_at_once() {
        let pulse = Pulse::new("worker");
        let own = pulse.clone();
        let thread = std::thread::spawn(move || {
            let _beating = own.begin();
            panic!("a defect");
        });
        assert!(thread.join().is_err());
        let trouble = pulse.trouble(Duration::from_secs(60)).unwrap();
        assert_eq!(trouble, "worker ended by a defect in driftd");
    }
}
