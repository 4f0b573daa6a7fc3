//! How long one client connection may keep us waiting, and for what.
//!
//! The connection's socket, its exchanges and the task that serves it share one [`Deadlines`]. A
//! request costs no reading of the clock and no timer: the task's one timer runs to the end it
//! was last set to, and looks here whether that is still the end.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

use super::limits::Limits;
use crate::metrics::connection::Limit;

/// How often a busy connection is looked at for a client that went, where what it sent before that has not
/// been read: nothing new wakes us then.
const HANG_UP_CHECK: Duration = Duration::from_secs(1);

/// When to look again at what may wait for ever.
const FOR_EVER: Duration = Duration::from_secs(365 * 86_400);

/// What a connection waits for, and since when.
#[derive(Debug)]
pub(super) struct Deadlines {
    header: Duration,
    idle: Duration,
    write: Duration,
    idle_tunnel: Option<Duration>,
    /// Exchanges whose answer is not over.
    busy: Cell<usize>,
    /// The first byte of a head has come.
    head: Cell<bool>,
    /// When the connection began to wait for what it waits for; `None` for a moment ago, until somebody asks.
    since: Cell<Option<Instant>>,
    /// Since when the client has taken nothing of what is to be written.
    stalled: Cell<Option<Instant>>,
    /// The client may still be sending what nobody will read.
    unread: Cell<bool>,
    /// The connection is a tunnel now.
    tunnel: Cell<bool>,
    /// When an exchange under way was last looked at: when the last one began, at first.
    looked: Cell<Instant>,
    /// When the upstream must have answered the exchange under way.
    answer_by: Cell<Option<Instant>>,
    /// Whether a task looks here; else each exchange must see to its own times.
    watched: Cell<bool>,
}

/// What is to be done when the timer has run out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing before then.
    Later(Instant),
    /// To look whether the client is still there, and again at that time.
    HangUpCheck(Instant),
    /// To close, because of this limit.
    Expired(Limit),
}

// === impl Deadlines ===

impl Deadlines {
    /// For a connection that was just accepted.
    pub(super) fn new(limits: &Limits) -> Self {
        let now = Instant::now();
        Self {
            header: limits.header_timeout,
            idle: limits.idle_timeout,
            write: limits.write_timeout,
            idle_tunnel: limits.tunnel_timeout,
            busy: Cell::new(0),
            head: Cell::new(false),
            since: Cell::new(Some(now)),
            stalled: Cell::new(None),
            unread: Cell::new(false),
            tunnel: Cell::new(false),
            looked: Cell::new(now),
            answer_by: Cell::new(None),
            watched: Cell::new(false),
        }
    }

    /// A task looks here from now on.
    pub(super) fn watch(&self) {
        self.watched.set(true);
    }

    /// Has the exchange under way polled at `end`, where its answer has not come by then: a timer of
    /// its own for each request would cost more than the rest of this. False where nobody looks.
    pub(super) fn wake_by(&self, end: Option<Instant>) -> bool {
        self.answer_by.set(end);
        self.watched.get()
    }

    /// Whether an exchange is under way that is not a tunnel.
    pub(super) fn answers(&self) -> bool {
        self.busy.get() > 0 && !self.tunnel.get()
    }

    /// Whether the exchange under way has waited to the end.
    pub(super) fn answer_is_late(&self, now: Instant) -> bool {
        self.answer_by.get().is_some_and(|end| end <= now)
    }

    /// Bytes came from the client.
    pub(super) fn received(&self) {
        if self.busy.get() == 0 && !self.head.replace(true) {
            // Most heads come whole, and then nobody asks.
            self.since.set(None);
        }
    }

    /// A request's head is complete, as of `now`.
    pub(super) fn begun(&self, now: std::time::Instant) {
        self.busy.set(self.busy.get() + 1);
        self.head.set(false);
        self.looked.set(now.into());
    }

    /// The answer to a request is over since `end`; its last bytes may still have to be written.
    pub(super) fn over(&self, end: std::time::Instant) {
        self.busy.set(self.busy.get().saturating_sub(1));
        self.since.set(Some(end.into()));
    }

    /// The client took something of what is to be written, or took nothing.
    pub(super) fn written(&self, taken: bool) {
        match (taken, self.stalled.get()) {
            (false, None) => self.stalled.set(Some(Instant::now())),
            (true, Some(_)) => {
                self.stalled.set(None);
                // An answer that took its time leaves the whole time for the next request.
                self.since.set(Some(Instant::now()));
            }
            _ => {}
        }
    }

    /// The rest of a request's body will not be read.
    pub(super) fn left_unread(&self) {
        self.unread.set(true);
    }

    /// From now on bytes pass unread.
    pub(super) fn tunnel(&self) {
        self.tunnel.set(true);
        self.tunnelled();
    }

    /// Bytes passed through the tunnel.
    pub(super) fn tunnelled(&self) {
        self.since.set(Some(Instant::now()));
    }

    /// Whether the client may be sending still, so that closing at once could cost it our answer.
    pub(super) fn lingers(&self) -> bool {
        !self.tunnel.get() && (self.unread.get() || self.head.get())
    }

    /// Whether the connection waits for the rest of a request's head, and not for its client to
    /// take the answer before: what is written now would stand in the midst of that.
    pub(super) fn within_head(&self) -> bool {
        let waits = self.busy.get() == 0 && self.stalled.get().is_none();
        self.head.get() && waits && !self.tunnel.get()
    }

    /// When to look again.
    pub(super) fn next(&self) -> Instant {
        match (self.stalled.get(), self.tunnel.get(), self.busy.get()) {
            (Some(since), _, _) => since + self.write,
            (None, true, _) => self.tunnel_end(),
            (None, false, 0) => self.since() + self.wait().0,
            (None, false, _) => self.next_look(),
        }
    }

    /// What the end of the timer means.
    pub(super) fn due(&self, now: Instant) -> Due {
        let expired = match (self.stalled.get(), self.tunnel.get(), self.busy.get()) {
            (Some(since), _, _) => (since + self.write, Limit::WriteTimeout),
            (None, true, _) => (self.tunnel_end(), Limit::TunnelTimeout),
            (None, false, 0) => {
                let (wait, limit) = self.wait();
                (self.since() + wait, limit)
            }
            (None, false, _) => {
                self.looked.set(now);
                return Due::HangUpCheck(self.next_look());
            }
        };
        match expired {
            (end, limit) if end <= now => Due::Expired(limit),
            (end, _) => Due::Later(end),
        }
    }

    /// Since when it has waited: from now on, where nobody has asked yet.
    fn since(&self) -> Instant {
        let since = self.since.get().unwrap_or_else(Instant::now);
        self.since.set(Some(since));
        since
    }

    /// When to look at an exchange under way.
    fn next_look(&self) -> Instant {
        let looked = self.looked.get();
        let check = looked + HANG_UP_CHECK;
        let answer = self.answer_by.get().filter(|end| *end > looked);
        answer.map_or(check, |end| end.min(check))
    }

    /// When a tunnel has been silent for too long.
    fn tunnel_end(&self) -> Instant {
        self.since() + self.idle_tunnel.unwrap_or(FOR_EVER)
    }

    /// How long the next request, or the rest of its head, is waited for.
    fn wait(&self) -> (Duration, Limit) {
        if self.head.get() {
            (self.header, Limit::HeaderTimeout)
        } else {
            (self.idle, Limit::IdleTimeout)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_waited_for_from_its_first_byte_on() {
        let limits = Limits::default();
        let deadlines = Deadlines::new(&limits);
        deadlines.begun(std::time::Instant::now());
        deadlines.over(std::time::Instant::now());
        let before = Instant::now();
        deadlines.received();
        let end = deadlines.next();
        assert!(end >= before + limits.header_timeout);
        // More of it gives it no more time.
        deadlines.received();
        assert_eq!(deadlines.next(), end);
        let late = end + Duration::from_millis(1);
        assert_eq!(deadlines.due(late), Due::Expired(Limit::HeaderTimeout));
    }

    #[test]
    fn a_head_that_comes_while_an_answer_is_stuck_is_not_what_is_waited_for() {
        let deadlines = Deadlines::new(&Limits::default());
        deadlines.begun(std::time::Instant::now());
        deadlines.over(std::time::Instant::now());
        deadlines.received();
        assert!(deadlines.within_head());
        deadlines.written(false);
        assert!(!deadlines.within_head());
        deadlines.written(true);
        assert!(deadlines.within_head());
    }
}
