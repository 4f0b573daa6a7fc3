//! Which processes a server consists of: by its pid file, or by the socket it listens on.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use procfs::ProcError;
use procfs::net::TcpState;
use procfs::process::{FDTarget, Process};

use super::table::{Identity, Table, since_epoch};
use crate::metrics::process::Visibility;

/// What a clock tick, the file system's clock and a rounded start may come to.
const SLACK: f64 = 2.0;

/// Whether a pid file that was written then is of that process, judged once: the clock may be set
/// later, which moves when a process seems to have begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judged {
    identity: Identity,
    pub(super) written: SystemTime,
    stale: bool,
}

/// The process whose id is in the file at `path`. `judged` is kept from one look to the next.
pub(super) fn by_pid_file(
    path: &Path,
    table: &Table,
    judged: &mut Option<Judged>,
) -> Result<Identity, Visibility> {
    let text = std::fs::read_to_string(path).map_err(|_| Visibility::NoPidFile)?;
    let pid = text.split_whitespace().next();
    let pid = pid
        .and_then(|word| word.parse().ok())
        .filter(|pid| *pid > 0);
    let pid = pid.ok_or(Visibility::BadPidFile)?;
    let identity = table.get(pid).ok_or(Visibility::NoProcess)?.identity;
    let written = std::fs::metadata(path).and_then(|file| file.modified());
    let Ok(written) = written else {
        return Ok(identity);
    };
    let same = |old: &Judged| old.identity == identity && old.written == written;
    let judged = match judged {
        Some(old) if same(old) => old,
        other => other.insert(Judged {
            identity,
            written,
            stale: is_stale(identity, written),
        }),
    };
    if judged.stale {
        Err(Visibility::StalePidFile)
    } else {
        Ok(identity)
    }
}

/// A server writes the file once it runs. One that ended without removing it leaves an id that any
/// later process may get.
fn is_stale(identity: Identity, written: SystemTime) -> bool {
    let written = written.duration_since(UNIX_EPOCH);
    written.is_ok_and(|at| since_epoch(identity.start) > at.as_secs_f64() + SLACK)
}

/// The processes that listen on a TCP port of this machine.
pub(super) fn by_port(port: u16, table: &Table) -> Result<Vec<Identity>, Visibility> {
    let own = Process::myself().map_err(|_| Visibility::Hidden)?;
    let here = |address: IpAddr| {
        let address = address.to_canonical();
        address.is_loopback() || address.is_unspecified()
    };
    // Either may be missing from a kernel.
    let both = [own.tcp(), own.tcp6()].into_iter().flatten().flatten();
    let sockets: BTreeSet<u64> = both
        .filter(|entry| entry.state == TcpState::Listen)
        .filter(|entry| entry.local_address.port() == port && here(entry.local_address.ip()))
        .map(|entry| entry.inode)
        .collect();
    owners(&sockets, table)
}

/// The processes that listen on a Unix socket.
pub(super) fn by_socket(path: &Path, table: &Table) -> Result<Vec<Identity>, Visibility> {
    let own = Process::myself().map_err(|_| Visibility::Hidden)?;
    let sockets = own.unix().unwrap_or_default();
    // It is listed as its server named it, which may be by another way than ours. Its last part is
    // never a link, as binding made it.
    let real = std::fs::canonicalize(path).ok();
    let same = |bound: &Path| {
        bound == path
            || (bound.is_absolute()
                && (real.as_deref()).is_some_and(|real| {
                    bound.file_name() == real.file_name()
                        && std::fs::canonicalize(bound).is_ok_and(|bound| bound == real)
                }))
    };
    let sockets: BTreeSet<u64> = (sockets.into_iter())
        .filter(|entry| entry.path.as_deref().is_some_and(same))
        .map(|entry| entry.inode)
        .collect();
    owners(&sockets, table)
}

/// The processes that have one of `sockets` open, less those whose parents have it too.
fn owners(sockets: &BTreeSet<u64>, table: &Table) -> Result<Vec<Identity>, Visibility> {
    if sockets.is_empty() {
        return Err(Visibility::NotListening);
    }
    #[cfg(test)]
    SCANS.with(|scans| scans.set(scans.get() + 1));
    let mut denied = false;
    let mut owners = Vec::new();
    for pid in table.pids() {
        match has_one(pid, sockets) {
            Ok(true) => owners.push(pid),
            Ok(false) => {}
            Err(error) => denied |= matches!(error, ProcError::PermissionDenied(_)),
        }
    }
    match table.roots(&owners) {
        roots if !roots.is_empty() => Ok(roots),
        _ if denied => Err(Visibility::Permission),
        _ => Err(Visibility::Hidden),
    }
}

fn has_one(pid: i32, sockets: &BTreeSet<u64>) -> Result<bool, ProcError> {
    for file in Process::new(pid)?.fd()? {
        // A file may be closed between listing it and looking at it.
        if let Ok(file) = file
            && let FDTarget::Socket(inode) = file.target
            && sockets.contains(&inode)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
thread_local! {
    /// How often this thread has looked at the open files of all processes.
    pub(super) static SCANS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}
