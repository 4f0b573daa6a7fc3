//! Processor time from one look to the next: what was used since the watch began, over restarts.

use rustix::time::{ClockId, clock_gettime};

use super::table::{Entry, Identity, seconds};

/// What a server has used.
#[derive(Debug)]
pub(super) struct Used {
    /// When the watch began, in clock ticks since the machine did.
    begun: u64,
    /// Seconds counted; `None` until a server was seen.
    counted: Option<f64>,
    /// What the figures it is read from said last; `None` where they were never read.
    before: Option<f64>,
    /// The processes they were of.
    of: Vec<Identity>,
}

// === impl Used ===

impl Used {
    /// Counts from now on.
    pub(super) fn new() -> Self {
        let up = clock_gettime(ClockId::Boottime);
        let ticks = procfs::ticks_per_second();
        let (whole, part) = (up.tv_sec.unsigned_abs(), up.tv_nsec.unsigned_abs());
        Self {
            begun: whole * ticks + part * ticks / 1_000_000_000,
            counted: None,
            before: None,
            of: Vec::new(),
        }
    }

    /// Seconds counted; `None` until a server was seen.
    pub(super) const fn counted(&self) -> Option<f64> {
        self.counted
    }

    /// Adds what `entries`, those that have ended among them, have used since the last look. Of a
    /// process that is new that is all it has, unless it is older than the watch.
    pub(super) fn by_processes(&mut self, entries: &[Entry]) {
        let known = |entry: &Entry| self.of.contains(&entry.identity);
        let ticks = |entries: &mut dyn Iterator<Item = &Entry>| -> f64 {
            seconds(entries.map(|entry| entry.ticks).sum())
        };
        let now = ticks(&mut entries.iter());
        let old = |entry: &&Entry| !known(entry) && entry.identity.start < self.begun;
        let past = ticks(&mut entries.iter().filter(old));
        // Of a server that began anew, nothing was counted yet.
        let before = if entries.iter().any(known) {
            self.before.unwrap_or(0.0)
        } else {
            0.0
        };
        let added = (now - past - before).max(0.0);
        self.counted = Some(self.counted.unwrap_or(0.0) + added);
        self.before = Some(now);
        self.of = entries.iter().map(|entry| entry.identity).collect();
    }

    /// Adds what a control group has used since the last look: its own figure goes on whatever
    /// processes come and go, and begins anew only with the group.
    pub(super) fn by_group(&mut self, now: f64) {
        let added = match self.before {
            None => 0.0,
            Some(before) if now >= before => now - before,
            Some(_) => now,
        };
        self.counted = Some(self.counted.unwrap_or(0.0) + added);
        self.before = Some(now);
    }

    /// There is no such group: the next one begins at nothing.
    pub(super) const fn no_group(&mut self) {
        self.before = Some(0.0);
    }
}
