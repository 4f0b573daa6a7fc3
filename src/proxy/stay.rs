//! How long a client's HTTP/2 connection may stay, and for what.
//!
//! Its exchanges, its socket and the task that serves it share one [`Stay`]. Pings say that a client is there,
//! not that it wants something, and a stream can be over for HTTP/2 while its request still comes: so
//! exchanges are counted, and what the socket takes is watched.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::limits::Limits;

/// Bytes written at once that are part of an answer.
const PART: usize = 512;

/// What keeps a connection.
#[derive(Debug)]
pub(super) struct Stay {
    idle: Duration,
    write: Duration,
    /// Exchanges of which the request or the response is not over.
    exchanges: Cell<usize>,
    /// When the last of them was over, or HTTP/2 began, or the client last took a part of an answer: of one
    /// that is over here much may have to be written still.
    since: Cell<Instant>,
    /// Since when the client has taken nothing of what is to be written.
    stalled: Cell<Option<Instant>>,
    /// When the client was told that the connection ends.
    told: Cell<Option<Instant>>,
    /// The client takes nothing, and is given up.
    cut: Cell<bool>,
}

/// An exchange under way.
#[derive(Debug)]
pub(super) struct Staying(Rc<Stay>);

/// What time has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing; to be asked again then.
    Later(Instant),
    /// The connection has idled: its client is to be told.
    Idle,
    /// The client takes nothing, or does not go: the connection is to be cut.
    Cut,
}

// === impl Stay ===

impl Stay {
    /// For a connection on which HTTP/2 begins, after the TLS handshake and the wait for the first byte.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            idle: limits.idle_timeout,
            write: limits.write_timeout,
            exchanges: Cell::new(0),
            since: Cell::new(Instant::now()),
            stalled: Cell::new(None),
            told: Cell::new(None),
            cut: Cell::new(false),
        }
    }

    /// An exchange begins; it is over when what is returned is dropped.
    pub(super) fn begin(self: &Rc<Self>) -> Staying {
        self.exchanges.set(self.exchanges.get() + 1);
        Staying(Rc::clone(self))
    }

    /// So many bytes were taken at once. Pings and their like do not count: they say nothing of answers.
    pub(super) fn took(&self, bytes: usize) {
        if bytes >= PART {
            self.since.set(Instant::now());
        }
    }

    /// The client took something of what is to be written, or took nothing.
    pub(super) fn written(&self, taken: bool) {
        match (taken, self.stalled.get()) {
            (false, None) => self.stalled.set(Some(Instant::now())),
            (true, Some(_)) => self.stalled.set(None),
            _ => {}
        }
    }

    /// The client has been told that the connection ends.
    pub(super) fn tell(&self) {
        self.told.set(Some(Instant::now()));
    }

    /// Whether it has.
    pub(super) fn is_told(&self) -> bool {
        self.told.get().is_some()
    }

    /// Whether the client took nothing until it was given up: what there is for it is not offered any longer.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.get()
    }

    /// When something will be due, as far as is known by now; `None` while exchanges are under way and
    /// the client takes what it is given.
    pub(super) fn end(&self) -> Option<Instant> {
        let stalled = self.stalled.get().map(|since| since + self.write);
        let silent = (self.exchanges.get() == 0).then(|| match self.told.get() {
            None => self.since.get() + self.idle,
            // What is left then are ends of answers that nobody takes, and pings that nobody answers.
            Some(told) => told.max(self.since.get()) + self.write,
        });
        stalled.into_iter().chain(silent).min()
    }

    /// What is due at `now`.
    pub(super) fn due(&self, now: Instant) -> Due {
        let end = match self.end() {
            Some(end) if end <= now => end,
            Some(end) => return Due::Later(end),
            None => return Due::Later(now + self.idle.min(self.write)),
        };
        let stalled = self.stalled.get().map(|since| since + self.write);
        if stalled == Some(end) {
            self.cut.set(true);
        }
        match self.cut.get() || self.is_told() {
            true => Due::Cut,
            false => Due::Idle,
        }
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        let Self(stay) = self;
        stay.exchanges.set(stay.exchanges.get() - 1);
        stay.since.set(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn stay() -> Rc<Stay> {
        Rc::new(Stay::new(&Limits {
            idle_timeout: 75 * SECOND,
            write_timeout: 60 * SECOND,
            ..Limits::default()
        }))
    }

    #[test]
    fn a_connection_idles_once_its_last_exchange_is_over() {
        let stay = stay();
        let (one, other) = (stay.begin(), stay.begin());
        let later = Instant::now() + 1000 * SECOND;
        assert_eq!(stay.end(), None);
        drop(one);
        assert_eq!(stay.due(later), Due::Later(later + 60 * SECOND));
        let before = Instant::now();
        drop(other);
        assert!(stay.end().unwrap() >= before + 75 * SECOND);
        assert_eq!(
            stay.due(before + 74 * SECOND),
            Due::Later(stay.end().unwrap())
        );
        assert_eq!(stay.due(later), Due::Idle);
        assert!(!stay.is_cut());
    }

    #[test]
    fn a_client_that_was_told_has_its_time_after_the_last_exchange() {
        let stay = stay();
        let one = stay.begin();
        stay.tell();
        let later = Instant::now() + 1000 * SECOND;
        assert_eq!(stay.due(later), Due::Later(later + 60 * SECOND));
        drop(one);
        assert!(stay.end().unwrap() < later);
        assert_eq!(stay.due(later), Due::Cut);
        // What the system has of its answers may still reach it.
        assert!(!stay.is_cut());
    }

    #[test]
    fn a_client_that_takes_parts_of_its_answers_does_not_idle_and_one_that_takes_pings_does() {
        let stay = stay();
        let began = Instant::now() - 74 * SECOND;
        stay.since.set(began);
        stay.took(17);
        assert_eq!(stay.end(), Some(began + 75 * SECOND));
        stay.took(16_384);
        assert!(stay.end().unwrap() > began + 100 * SECOND);
    }

    #[test]
    fn a_client_that_takes_nothing_is_cut_whatever_is_under_way() {
        let stay = stay();
        let _one = stay.begin();
        stay.written(false);
        stay.written(true);
        assert_eq!(stay.end(), None);
        stay.written(false);
        let end = stay.end().unwrap();
        assert_eq!(stay.due(end - SECOND), Due::Later(end));
        assert_eq!(stay.due(end), Due::Cut);
        assert!(stay.is_cut());
    }
}
