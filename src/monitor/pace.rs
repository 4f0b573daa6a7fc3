//! How hard a check may work: slices of work with rests between them.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

/// Rest per unit of work: a tenth of one core at most goes into checks.
const REST: u32 = 9;

/// Paces the slices of one check.
#[derive(Debug)]
pub(super) struct Pace<'a> {
    stop: Option<&'a Receiver<()>>,
}

impl<'a> Pace<'a> {
    /// No rests: before traffic is served.
    pub(super) const fn hurried() -> Self {
        Self { stop: None }
    }

    /// Rests after every slice; a rest ends early when `stop` hangs up.
    pub(super) const fn gentle(stop: &'a Receiver<()>) -> Self {
        Self { stop: Some(stop) }
    }

    /// Does one slice of work and rests. `None`: asked to stop.
    pub(super) fn slice<T>(&mut self, work: impl FnOnce() -> T) -> Option<T> {
        let started = Instant::now();
        let done = work();
        let Some(stop) = self.stop else {
            return Some(done);
        };
        match stop.recv_timeout(started.elapsed() * REST) {
            Err(RecvTimeoutError::Timeout) => Some(done),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn work_takes_a_tenth_of_the_time() {
        let (_keep, stop) = mpsc::channel();
        let started = Instant::now();
        let work = || {
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(2) {}
        };
        Pace::gentle(&stop).slice(work);
        assert!(started.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn a_stop_ends_the_check() {
        let (hang_up, stop) = mpsc::channel();
        drop(hang_up);
        assert_eq!(Pace::gentle(&stop).slice(|| 1), None);
        assert_eq!(Pace::hurried().slice(|| 1), Some(1));
    }
}
