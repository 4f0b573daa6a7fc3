//! Which processes a server consists of: by its pid file, or by the socket it listens on.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::UNIX_EPOCH;

use procfs::ProcError;
use procfs::net::TcpState;
use procfs::process::{FDTarget, Process};

use super::table::{Identity, Table, since_epoch};
use crate::metrics::process::Visibility;

/// What a clock tick, the file system's clock and a rounded start may come to.
const SLACK: f64 = 2.0;

/// The process whose id is in the file at `path`.
pub(super) fn by_pid_file(path: &Path, table: &Table) -> Result<Identity, Visibility> {
    let text = std::fs::read_to_string(path).map_err(|_| Visibility::NoPidFile)?;
    let pid = text.split_whitespace().next();
    let pid = pid
        .and_then(|word| word.parse().ok())
        .filter(|pid| *pid > 0);
    let pid = pid.ok_or(Visibility::BadPidFile)?;
    let identity = table.get(pid).ok_or(Visibility::NoProcess)?.identity;
    let written = std::fs::metadata(path).and_then(|file| file.modified());
    let written = written
        .ok()
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    // A server writes the file once it runs. One that ended without removing it leaves an id that
    // any later process may get.
    match written {
        Some(at) if since_epoch(identity.start) > at.as_secs_f64() + SLACK => {
            Err(Visibility::StalePidFile)
        }
        _ => Ok(identity),
    }
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
    let sockets: BTreeSet<u64> = (sockets.into_iter())
        .filter(|entry| entry.path.as_deref() == Some(path))
        .map(|entry| entry.inode)
        .collect();
    owners(&sockets, table)
}

/// The processes that have one of `sockets` open, less those whose parents have it too.
fn owners(sockets: &BTreeSet<u64>, table: &Table) -> Result<Vec<Identity>, Visibility> {
    if sockets.is_empty() {
        return Err(Visibility::NotListening);
    }
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
