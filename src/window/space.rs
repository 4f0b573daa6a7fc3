//! The byte budget: what fits, what is given back, and what SQLite enforces itself.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::writer::Writer;
use super::{Config, file_sizes, opening};

/// How long a commit that does not fit waits for retention to make room.
const MAKE_ROOM: Duration = Duration::from_millis(250);

/// Rows deleted in one transaction; fewer where pages are large compared to the WAL's limit.
const CHUNK: u64 = 1000;

/// Most pages in the WAL before it is moved into the db file: a page written several times meanwhile is
/// written there once. A power cut costs what is in it.
const CHECKPOINT: i64 = 4000;

/// What may be kept, and in which portions it is written.
#[derive(Debug)]
pub(super) struct Limits {
    /// The window's file.
    pub(super) path: PathBuf,
    /// The byte budget.
    pub(super) bytes: u64,
    /// Rows kept per model.
    pub(super) rows: u64,
    /// Age at which things go.
    pub(super) span: Duration,
    /// Bytes of a page.
    page: u64,
    /// Above this the WAL is truncated.
    pub(super) wal: u64,
    /// Rows deleted in one transaction.
    pub(super) chunk: u64,
}

/// The sizes that decide.
pub(super) struct Sizes {
    /// Bytes of the db file, once the WAL is in it.
    db: u64,
    /// Of these, bytes in pages that hold something.
    pub(super) live: u64,
    /// Of the WAL.
    pub(super) wal: u64,
    /// Of the shared memory beside it.
    shm: u64,
}

// === impl Limits ===

impl Limits {
    pub(super) fn new(config: &Config, connection: &Connection) -> rusqlite::Result<Self> {
        let page = pragma(connection, "page_size")?.max(512);
        let wal = (config.max_bytes / 16).clamp(256 << 10, 64 << 20);
        Ok(Self {
            path: config.path.clone(),
            bytes: config.max_bytes,
            rows: config.keep_rows,
            span: config.keep_for,
            page,
            wal,
            chunk: (wal / page / 2).clamp(16, CHUNK),
        })
    }

    /// Tells SQLite what it can enforce itself.
    pub(super) fn apply(&self, connection: &Connection) -> rusqlite::Result<()> {
        let pages = |bytes: u64| i64::try_from(bytes / self.page).unwrap_or(i64::MAX);
        connection.pragma_update(None, "journal_size_limit", self.wal.cast_signed())?;
        connection.pragma_update(
            None,
            "wal_autocheckpoint",
            pages(self.wal / 2).clamp(16, CHECKPOINT),
        )?;
        connection.pragma_update(None, "max_page_count", pages(self.bytes).clamp(64, 1 << 31))
    }

    /// Rows of a model after which new ones go into another of its tables. When thinning comes, two of the three
    /// are the newest half, one goes, and what older ones left has the rest. Thinning takes a little more than
    /// a quarter, so that the two are that half though they are never quite the same; the first ones, which
    /// thinning does not set the pace for, have a little less.
    pub(super) const fn share(&self) -> u64 {
        self.rows / 4 - self.rows / 64
    }

    /// What live pages may take: the rest is for the WAL, a batch on its way, and free pages.
    pub(super) const fn soft(&self) -> u64 {
        self.bytes / 4 * 3
    }

    /// Above this the db file gives free pages back to the file system.
    const fn file(&self) -> u64 {
        self.bytes / 8 * 7
    }
}

// === impl Writer ===

impl Writer {
    /// Whether a batch of `bytes` fits the budget, if need be after retention.
    pub(super) fn has_room(&mut self, bytes: u64) -> bool {
        let begun = Instant::now();
        while !self.fits(bytes) {
            let more = self.retain(0);
            // A failure shows in what is measured next.
            let _ = self.checkpoint(Duration::ZERO);
            if self.fits(bytes) {
                return true;
            }
            if !more || begun.elapsed() > MAKE_ROOM {
                return false;
            }
        }
        true
    }

    /// Moves the WAL into the db file and empties it, if readers let go of it within `wait`.
    pub(super) fn checkpoint(&self, wait: Duration) -> rusqlite::Result<()> {
        self.connection.busy_timeout(wait)?;
        let done = (self.connection).query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()));
        self.connection.busy_timeout(opening::BUSY)?;
        done
    }

    /// Gives free pages back to the file system where the db file exceeds its share.
    pub(super) fn vacuum(&self) -> rusqlite::Result<()> {
        let sizes = self.sizes()?;
        let excess = sizes.db.saturating_sub(self.limits.file());
        let pages = excess.min(sizes.db - sizes.live) / self.limits.page;
        if pages == 0 {
            return Ok(());
        }
        // One step frees one page, so the statement must be run to its end.
        let pages = pages.min(self.limits.chunk);
        let sql = format!("PRAGMA incremental_vacuum({pages})");
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query(())?;
        while rows.next()?.is_some() {}
        Ok(())
    }

    fn fits(&self, bytes: u64) -> bool {
        let Ok(sizes) = self.sizes() else {
            return false;
        };
        // A commit writes whole pages, at most as many again as it fills, and some inner ones.
        let written = bytes + bytes / 4 + 16 * self.limits.page;
        let grown = written.saturating_sub(sizes.db - sizes.live);
        sizes.db + grown + sizes.wal + written + sizes.shm <= self.limits.bytes
    }

    pub(super) fn sizes(&self) -> rusqlite::Result<Sizes> {
        let [db, wal, shm] = file_sizes(&self.limits.path);
        let pages = pragma(&self.connection, "page_count")? * self.limits.page;
        let free = pragma(&self.connection, "freelist_count")? * self.limits.page;
        Ok(Sizes {
            db: db.max(pages),
            live: pages - free.min(pages),
            wal,
            shm,
        })
    }
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    let sql = format!("PRAGMA {name}");
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_row((), |row| row.get(0).map(|n: i64| n.unsigned_abs()))
}
