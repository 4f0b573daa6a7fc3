//! What can go wrong, and what the operator can do about it.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::exchange::DropReason;

/// Why the window could not be opened, read, or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The SQLite linked has the WAL-reset bug.
    #[error(
        "SQLite {found} can lose commits in WAL mode; build driftd with SQLite 3.51.3 or later"
    )]
    OldSqlite {
        /// Its version.
        found: &'static str,
    },
    /// Another driftd has the window open.
    #[error(
        "{} is in use by another driftd; stop that one, or give this one its own window.path",
        .path.display()
    )]
    Locked {
        /// The window.
        path: PathBuf,
    },
    /// The file, or its lock, cannot be created or written.
    #[error(
        "cannot write {}: its directory must exist and be writable for this user; \
         create it, or set window.path",
        .path.display()
    )]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A newer driftd wrote the file.
    #[error(
        "{} has format {found}, newer than this driftd knows; run the newer driftd, \
         or move the file away",
        .path.display()
    )]
    Newer {
        /// The window.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// A SQLite database that is not ours.
    #[error("{} is a database driftd did not make; set window.path to another file", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A file to be read offline is not there, or not for this user.
    #[error("cannot read {}; name the window of a driftd, its window.path", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file to be read offline holds something else.
    #[error(
        "{} is no window of driftd's; name the file in window.path, usually driftd.db",
        .path.display()
    )]
    NoWindow {
        /// The file.
        path: PathBuf,
    },
    /// A damaged file could not be moved away.
    #[error("{} is damaged and cannot be renamed; move it away", .path.display())]
    Quarantine {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The writer thread could not be started.
    #[error("cannot start the window's thread; raise the limit on processes")]
    Thread {
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error("{}: SQLite failed", .path.display())]
    Sqlite {
        /// The window.
        path: PathBuf,
        /// What it said.
        #[source]
        source: rusqlite::Error,
    },
    /// The window was closed.
    #[error("the window is closed")]
    Closed,
    /// The writer thread met a defect in this.
    #[error("a defect in driftd: please report it, with the log")]
    Defect,
}

/// Why the writer thread did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// It has ended.
    Closed,
    /// It met a defect, rolled back, and goes on.
    Defect,
}

/// Why a batch was not stored. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// It does not fit the byte budget, and retention cannot make room now.
    #[error(
        "the window has reached max_bytes = {max_bytes}; raise it, or close long-running readers"
    )]
    Full {
        /// The budget.
        max_bytes: u64,
    },
    /// SQLite refused: disk full, read-only, I/O error, locked by another program.
    #[error("SQLite failed")]
    Sqlite(#[source] rusqlite::Error),
    /// The window was closed.
    #[error("the window is closed")]
    Closed,
    /// The writer thread met a defect in this batch.
    #[error("a defect in driftd: please report it, with the log")]
    Defect,
}

// === impl Unanswered ===

impl From<Unanswered> for Error {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Closed => Self::Closed,
            Unanswered::Defect => Self::Defect,
        }
    }
}

impl From<Unanswered> for CommitError {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Closed => Self::Closed,
            Unanswered::Defect => Self::Defect,
        }
    }
}

// === impl Error ===

impl Error {
    /// Whether the same call may work later: a full disk, a lock another program holds, an I/O error.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Sqlite { .. } => true,
            Self::Create { source, .. } => source.kind() == std::io::ErrorKind::StorageFull,
            _ => false,
        }
    }
}

// === impl CommitError ===

impl CommitError {
    /// Whether another program holds the file's write lock: it will let go.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let Self::Sqlite(error) = self else {
            return false;
        };
        let code = error.sqlite_error_code();
        matches!(
            code,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        )
    }

    /// How the exchanges of the batch are counted.
    #[must_use]
    pub const fn drop_reason(&self) -> DropReason {
        match self {
            Self::Full { .. } => DropReason::WindowFull,
            Self::Sqlite(_) | Self::Defect => DropReason::WindowError,
            Self::Closed => DropReason::TapClosed,
        }
    }
}

/// What SQLite said about the window at `path`.
pub(super) fn sqlite(path: &Path, source: rusqlite::Error) -> Error {
    Error::Sqlite {
        path: path.to_owned(),
        source,
    }
}
