//! The processes of this machine, as `/proc` lists them (proc_pid_stat(5)).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use procfs::process::{LimitValue, Process, all_processes};
use rustix::time::{ClockId, clock_gettime};

/// A process, told apart from later ones of the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) pid: i32,
    /// When it began, in clock ticks since the machine did; 0 where that cannot be seen.
    pub(super) start: u64,
}

/// One process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) identity: Identity,
    pub(super) parent: i32,
    /// Processor time of it and of the children it has waited for, in clock ticks.
    pub(super) ticks: u64,
    /// Memory in RAM, in pages.
    pub(super) pages: u64,
    /// It has ended, and waits for its parent to take notice; until then what it used is told of it,
    /// and from then on of its parent.
    pub(super) ended: bool,
}

/// Every process that can be seen.
#[derive(Debug, Default)]
pub struct Table(BTreeMap<i32, Entry>);

/// Files a process has open, and may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Files {
    pub(super) open: u64,
    pub(super) most: u64,
}

// === impl Table ===

impl Table {
    /// Reads it: one line of `/proc` for each process of the machine. Empty where `/proc` cannot be
    /// listed.
    #[must_use]
    pub fn read() -> Self {
        #[cfg(test)]
        READS.with(|reads| reads.set(reads.get() + 1));
        let Ok(all) = all_processes() else {
            return Self::default();
        };
        // One that ends meanwhile is not there.
        let entries = all.filter_map(|process| {
            let stat = process.ok()?.stat().ok()?;
            let children = u64::try_from(stat.cutime.saturating_add(stat.cstime)).unwrap_or(0);
            let entry = Entry {
                identity: Identity {
                    pid: stat.pid,
                    start: stat.starttime,
                },
                parent: stat.ppid,
                ticks: stat.utime + stat.stime + children,
                pages: stat.rss,
                ended: stat.state == 'Z',
            };
            Some((stat.pid, entry))
        });
        Self(entries.collect())
    }

    /// The living process of that id.
    pub(super) fn get(&self, pid: i32) -> Option<&Entry> {
        self.0.get(&pid).filter(|entry| !entry.ended)
    }

    /// Whether it is still there, and living.
    pub(super) fn has(&self, identity: Identity) -> bool {
        let entry = self.get(identity.pid);
        entry.is_some_and(|entry| entry.identity == identity)
    }

    /// `roots` with all their descendants, those that have ended among them.
    pub(super) fn trees(&self, roots: &[Identity]) -> Vec<Entry> {
        let mut found: BTreeSet<i32> = roots.iter().map(|root| root.pid).collect();
        loop {
            let more: Vec<i32> = (self.0.values())
                .filter(|entry| found.contains(&entry.parent))
                .map(|entry| entry.identity.pid)
                .filter(|pid| !found.contains(pid))
                .collect();
            if more.is_empty() {
                break;
            }
            found.extend(more);
        }
        let entries = found.iter().filter_map(|pid| self.0.get(pid));
        entries.copied().collect()
    }

    /// Those of `pids` whose parents are not among them.
    pub(super) fn roots(&self, pids: &[i32]) -> Vec<Identity> {
        let entries = pids.iter().filter_map(|pid| self.get(*pid));
        entries
            .filter(|entry| !pids.contains(&entry.parent))
            .map(|entry| entry.identity)
            .collect()
    }

    /// The ids of the living.
    pub(super) fn pids(&self) -> impl Iterator<Item = i32> {
        let living = self.0.values().filter(|entry| !entry.ended);
        living.map(|entry| entry.identity.pid)
    }

    /// One of these processes.
    #[cfg(test)]
    pub(super) fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        let pairs = entries.into_iter().map(|entry| (entry.identity.pid, entry));
        Self(pairs.collect())
    }
}

#[cfg(test)]
thread_local! {
    /// How often this thread has read the table.
    pub(crate) static READS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// The open files of a process; `None` where they may not be seen.
pub(super) fn files(pid: i32) -> Option<Files> {
    let process = Process::new(pid).ok()?;
    let limit = process.limits().ok()?.max_open_files.soft_limit;
    Some(Files {
        open: process.fd_count().ok()? as u64,
        most: match limit {
            LimitValue::Value(most) => most,
            LimitValue::Unlimited => u64::MAX,
        },
    })
}

/// Clock ticks in seconds.
pub(super) fn seconds(ticks: u64) -> f64 {
    ticks as f64 / procfs::ticks_per_second() as f64
}

/// When something began that did so at `ticks` since the machine began, in seconds since the epoch.
/// `/proc/stat`, which holds when the machine began, is hidden from many services.
pub(super) fn since_epoch(ticks: u64) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let up = clock_gettime(ClockId::Boottime);
    let up = up.tv_sec as f64 + up.tv_nsec as f64 / 1e9;
    now.map_or(0.0, |now| now.as_secs_f64()) - up + seconds(ticks)
}
