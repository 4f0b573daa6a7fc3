//! A server from one look to the next: what it has used, and what of it began anew.

use std::time::{Duration, Instant};

use super::table::{Entry, Identity, Table, files, seconds, since_epoch};
use super::{Source, cgroup, find};
use crate::metrics::process::{ProcessSnapshot, Visibility};

/// How long an owner of a socket is taken for it while it lives, and how long nobody is looked for
/// where none could be seen: a look at the open files of all processes takes a while.
const KNOWN_FOR: Duration = Duration::from_secs(60);

/// Looks within which a worker that ended is replaced; later ones are new.
const REPLACED_WITHIN: u64 = 12;

/// A model server, and what is remembered of it.
#[derive(Debug)]
pub struct Watch {
    source: Source,
    /// Its first processes, by the last look that found any.
    roots: Vec<Identity>,
    /// All its processes with the number of looks each was seen at.
    members: Vec<(Identity, u64)>,
    /// When the owner of the socket was last looked for, and what that came to.
    found: Option<(Instant, Result<Vec<Identity>, Visibility>)>,
    /// A first process has ended since the server was last whole.
    lost: bool,
    /// Workers that ended, by the number of the look that missed them.
    missing: Vec<u64>,
    /// Looks taken.
    looks: u64,
    /// Processor time counted, and as it was at the last look.
    cpu: Option<(f64, f64)>,
    restarts: u64,
    worker_restarts: u64,
}

/// The processes found at one look.
struct Found {
    roots: Vec<Identity>,
    entries: Vec<Entry>,
    /// Those there are, seen or not.
    count: u64,
    cpu_seconds: Option<f64>,
    resident_bytes: Option<u64>,
}

// === impl Watch ===

impl Watch {
    /// Nothing has been seen yet.
    #[must_use]
    pub fn new(source: Source) -> Self {
        Self {
            source,
            roots: Vec::new(),
            members: Vec::new(),
            found: None,
            lost: false,
            missing: Vec::new(),
            looks: 0,
            cpu: None,
            restarts: 0,
            worker_restarts: 0,
        }
    }

    /// How the server is found.
    #[must_use]
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// Looks at the server. Blocks for as long as the files of `/proc` take.
    pub fn look(&mut self) -> ProcessSnapshot {
        self.looks += 1;
        let table = Table::read();
        if self
            .roots
            .iter()
            .any(|root| root.start > 0 && !table.has(*root))
        {
            self.lost = true;
            self.found = None;
        }
        match self.find(&table) {
            Ok(found) => self.seen(&found),
            Err(visible) => ProcessSnapshot {
                visible,
                count: None,
                cpu_seconds: self.cpu.map(|(counted, _)| counted),
                resident_bytes: None,
                open_fds: None,
                max_fds: None,
                start_time: None,
                restarts: self.restarts,
                worker_restarts: self.worker_restarts,
            },
        }
    }

    fn find(&mut self, table: &Table) -> Result<Found, Visibility> {
        let roots = match &self.source {
            Source::PidFile(path) => vec![find::by_pid_file(path, table)?],
            Source::Cgroup(path) => return in_cgroup(cgroup::read(path)?, table),
            Source::Port(_) | Source::Socket(_) => self.owners(table)?,
        };
        let entries = table.trees(&roots);
        let ticks = entries.iter().map(|entry| entry.ticks).sum();
        let pages: u64 = entries.iter().map(|entry| entry.pages).sum();
        Ok(Found {
            roots,
            count: entries.len() as u64,
            cpu_seconds: Some(seconds(ticks)),
            resident_bytes: Some(pages * procfs::page_size()),
            entries,
        })
    }

    /// Who listens on the socket; looked for only now and then.
    fn owners(&mut self, table: &Table) -> Result<Vec<Identity>, Visibility> {
        if let Some((at, found)) = &self.found
            && at.elapsed() < KNOWN_FOR
        {
            match found {
                // Nobody listening is cheap to see, and soon over.
                Err(Visibility::NotListening) => {}
                known => return known.clone(),
            }
        }
        let found = match &self.source {
            Source::Port(port) => find::by_port(*port, table),
            Source::Socket(path) => find::by_socket(path, table),
            Source::PidFile(_) | Source::Cgroup(_) => Err(Visibility::NoProcess),
        };
        self.found = Some((Instant::now(), found.clone()));
        found
    }

    fn seen(&mut self, found: &Found) -> ProcessSnapshot {
        self.count_restarts(found);
        self.count_cpu(found.cpu_seconds);
        let files = found
            .entries
            .iter()
            .filter_map(|entry| files(entry.identity.pid));
        let closest = files.max_by(|a, b| {
            let share = |files: &super::table::Files| files.open as f64 / files.most.max(1) as f64;
            share(a).total_cmp(&share(b))
        });
        let starts = found.entries.iter().map(|entry| entry.identity.start);
        let oldest = starts.filter(|start| *start > 0).min();
        ProcessSnapshot {
            visible: Visibility::Ok,
            count: Some(found.count),
            cpu_seconds: self.cpu.map(|(counted, _)| counted),
            resident_bytes: found.resident_bytes,
            open_fds: closest.map(|files| files.open),
            max_fds: closest.map(|files| files.most),
            start_time: oldest.map(since_epoch),
            restarts: self.restarts,
            worker_restarts: self.worker_restarts,
        }
    }

    fn count_restarts(&mut self, found: &Found) {
        let now: Vec<Identity> = found.entries.iter().map(|entry| entry.identity).collect();
        let known =
            |identity: &Identity| self.members.iter().find(|(member, _)| member == identity);
        let fresh: Vec<Identity> = now
            .iter()
            .filter(|new| known(new).is_none())
            .copied()
            .collect();
        self.lost |= self.roots.iter().any(|root| !now.contains(root));
        // Orphans of a server that was killed go on for a while, and are no new server.
        let anew = found.roots.iter().any(|root| fresh.contains(root));
        if self.lost && anew {
            self.restarts += 1;
            self.lost = false;
            self.missing.clear();
        } else if !anew && !self.lost && !self.members.is_empty() {
            // What was there at one look only is a tool that a worker ran.
            let gone = (self.members.iter())
                .filter(|(member, looks)| *looks > 1 && !now.contains(member))
                .count();
            self.missing.extend(std::iter::repeat_n(self.looks, gone));
            self.missing
                .retain(|look| self.looks - look <= REPLACED_WITHIN);
            let replaced = self.missing.len().min(fresh.len());
            self.missing.drain(..replaced);
            self.worker_restarts += replaced as u64;
        }
        let looks = |identity: &Identity| known(identity).map_or(1, |(_, looks)| looks + 1);
        let members = now.iter().map(|identity| (*identity, looks(identity)));
        self.members = members.collect();
        self.roots.clone_from(&found.roots);
    }

    /// Adds what was used since the last look, or by a server that began since then.
    fn count_cpu(&mut self, now: Option<f64>) {
        let Some(now) = now else {
            return;
        };
        let counted = match self.cpu {
            None => now,
            Some((counted, _)) if self.members.iter().all(|(_, looks)| *looks == 1) => {
                counted + now
            }
            Some((counted, before)) => counted + (now - before).max(0.0),
        };
        self.cpu = Some((counted, now));
    }
}

/// The processes of a control group. Its own figures count also what of it cannot be seen.
fn in_cgroup(group: cgroup::Group, table: &Table) -> Result<Found, Visibility> {
    if group.pids.is_empty() {
        return Err(Visibility::NoProcess);
    }
    let known = |pid: &i32| Entry {
        identity: Identity {
            pid: *pid,
            start: 0,
        },
        parent: 0,
        ticks: 0,
        pages: 0,
    };
    let pids = group.pids.iter().filter(|pid| **pid > 0);
    let entries: Vec<Entry> = pids
        .map(|pid| table.get(*pid).copied().unwrap_or_else(|| known(pid)))
        .collect();
    let roots = match table.roots(&group.pids) {
        // Of processes that are hidden, the first is the one with the smallest id.
        hidden if hidden.is_empty() => {
            let first = entries.iter().map(|entry| entry.identity).min();
            first.into_iter().collect()
        }
        roots => roots,
    };
    Ok(Found {
        roots,
        entries,
        count: group.pids.len() as u64,
        cpu_seconds: group.cpu_seconds,
        resident_bytes: group.resident_bytes,
    })
}
