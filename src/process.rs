//! The resources of a model server on this machine: processor time, memory, open files, restarts.
//!
//! Invariant: reading is bounded (one line of `/proc` for each process of the machine; who owns a
//! socket is looked up only when its owner is not known, at most once a minute) and needs no privilege
//! beyond those it finds; what may not be seen is said, and is no figure.
//! Invariant: a process is known by its id and the time it began, so that an id given to another
//! process is never taken for the first.
//!
//! - [`Source`]: how a server is found
//! - [`Table`]: the processes of the machine at one moment
//! - [`Watch`]: a server with what is remembered of it from one look to the next

mod cgroup;
mod find;
mod table;
mod used;
mod watch;

use std::path::PathBuf;

pub use table::Table;
pub use watch::Watch;

#[cfg(test)]
pub(crate) use table::READS;

/// How the processes of a model server are found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The process whose id is in this file, with its descendants.
    PidFile(PathBuf),
    /// All processes of this directory under `/sys/fs/cgroup` (version 2).
    Cgroup(PathBuf),
    /// The process that listens on this TCP port of this machine, with its descendants.
    Port(u16),
    /// The process that listens on this Unix socket, with its descendants.
    Socket(PathBuf),
}

#[cfg(test)]
mod tests;
