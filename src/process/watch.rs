//! A server from one look to the next: what it has used, and what of it began anew.

use std::time::{Duration, Instant};

use super::find::Judged;
use super::table::{Entry, Identity, Table, files, since_epoch};
use super::used::Used;
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
    /// Its first processes, by the last look that found any, less those that have ended since.
    roots: Vec<Identity>,
    /// All its processes, by the last look that found any.
    members: Vec<Member>,
    /// When the owner of the socket was last looked for, and what that came to.
    found: Option<(Instant, Result<Vec<Identity>, Visibility>)>,
    /// What was thought of the pid file.
    judged: Option<Judged>,
    /// Its first processes have all ended since the server was last whole.
    lost: bool,
    /// Workers that ended, by the number of the look that missed them.
    missing: Vec<u64>,
    /// Looks taken.
    looks: u64,
    used: Used,
    restarts: u64,
    worker_restarts: u64,
}

/// A process that was seen.
#[derive(Debug, Clone, Copy)]
struct Member {
    identity: Identity,
    /// The number of looks it was seen at.
    looks: u64,
    /// It is one of the first.
    root: bool,
}

/// The processes found at one look.
struct Found {
    roots: Vec<Identity>,
    entries: Vec<Entry>,
    /// Those there are, seen or not.
    count: u64,
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
            judged: None,
            lost: false,
            missing: Vec::new(),
            looks: 0,
            used: Used::new(),
            restarts: 0,
            worker_restarts: 0,
        }
    }

    /// How the server is found.
    #[must_use]
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// Looks at the server among the processes of the machine, as they were read just now. Blocks for
    /// as long as its files in `/proc` take.
    pub fn look(&mut self, table: &Table) -> ProcessSnapshot {
        self.looks += 1;
        self.mourn(|root| root.start > 0 && !table.has(*root));
        match self.find(table) {
            Ok(found) => self.seen(&found),
            Err(visible) => ProcessSnapshot {
                visible,
                count: None,
                cpu_seconds: self.used.counted(),
                resident_bytes: None,
                open_fds: None,
                max_fds: None,
                start_time: None,
                restarts: self.restarts,
                worker_restarts: self.worker_restarts,
            },
        }
    }

    /// Takes leave of the first processes that are `gone`; once, so that others are looked for once.
    /// A server is lost with the last of them; what was seen at one look only is a command that
    /// somebody ran beside it, as `docker exec` does, unless there is nothing else.
    fn mourn(&mut self, gone: impl Fn(&Identity) -> bool) {
        if !self.roots.iter().any(&gone) {
            return;
        }
        self.found = None;
        let lasting = |root: &&Identity| self.looks_at(root) > 1;
        let any_lasting = self.roots.iter().any(|root| lasting(&root));
        let mut server = (self.roots.iter()).filter(|root| !any_lasting || lasting(root));
        self.lost |= server.all(&gone);
        self.roots.retain(|root| !gone(root));
    }

    /// The number of looks a process was seen at.
    fn looks_at(&self, identity: &Identity) -> u64 {
        let member = (self.members.iter()).find(|member| member.identity == *identity);
        member.map_or(0, |member| member.looks)
    }

    fn find(&mut self, table: &Table) -> Result<Found, Visibility> {
        let roots = match &self.source {
            Source::PidFile(path) => vec![find::by_pid_file(path, table, &mut self.judged)?],
            Source::Cgroup(path) => {
                let group = cgroup::read(path).inspect_err(|_| {
                    if matches!(path.try_exists(), Ok(false)) {
                        self.used.no_group();
                    }
                })?;
                if let Some(seconds) = group.cpu_seconds {
                    self.used.by_group(seconds);
                }
                return in_cgroup(&group, table);
            }
            Source::Port(_) | Source::Socket(_) => self.owners(table)?,
        };
        let mut entries = table.trees(&roots);
        self.used.by_processes(&entries);
        entries.retain(|entry| !entry.ended);
        let pages: u64 = entries.iter().map(|entry| entry.pages).sum();
        Ok(Found {
            roots,
            count: entries.len() as u64,
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
            cpu_seconds: self.used.counted(),
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
        self.mourn(|root| !now.contains(root));
        let is_new = |identity: &&Identity| self.looks_at(identity) == 0;
        // Orphans of a server that was killed go on for a while, and are no new server.
        let anew = found.roots.iter().any(|root| is_new(&root));
        let new_workers = (now.iter().filter(is_new))
            .filter(|member| !found.roots.contains(member))
            .count();
        if self.lost && anew {
            self.restarts += 1;
            self.lost = false;
            self.missing.clear();
        } else if !self.lost && !self.members.is_empty() {
            // What was there at one look only is a tool that a worker ran.
            let gone = (self.members.iter())
                .filter(|member| member.looks > 1 && !member.root)
                .filter(|member| !now.contains(&member.identity))
                .count();
            self.missing.extend(std::iter::repeat_n(self.looks, gone));
            self.missing
                .retain(|look| self.looks - look <= REPLACED_WITHIN);
            let replaced = self.missing.len().min(new_workers);
            self.missing.drain(..replaced);
            self.worker_restarts += replaced as u64;
        }
        let member = |identity: &Identity| Member {
            identity: *identity,
            looks: self.looks_at(identity) + 1,
            root: found.roots.contains(identity),
        };
        self.members = now.iter().map(member).collect();
        self.roots.clone_from(&found.roots);
    }
}

/// The processes of a control group. Its own figures count also what of it cannot be seen.
fn in_cgroup(group: &cgroup::Group, table: &Table) -> Result<Found, Visibility> {
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
        ended: false,
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
        resident_bytes: group.resident_bytes,
    })
}
