//! Damaged files are set aside together, a few of them, and never deleted singly.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::ErrorCode;

use super::beside;

/// Damaged windows kept; the oldest gives way to the next.
const KEPT: usize = 3;

/// How SQLite files begin.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Whether the file may be a window, sound or damaged: there is none, it is empty, it begins as
/// SQLite files do, or a driftd left its lock file beside it. Anything else is somebody's file, named
/// by mistake.
pub(super) fn may_be_window(path: &Path) -> bool {
    let Ok(mut file) = std::fs::File::open(path) else {
        return true;
    };
    // What is no ordinary file gets an error of its own later.
    let ordinary = file.metadata().ok().filter(std::fs::Metadata::is_file);
    let mut head = [0; MAGIC.len()];
    let sqlite = file.read_exact(&mut head).is_ok() && head == *MAGIC;
    sqlite || ordinary.is_none_or(|file| file.len() == 0) || beside(path, ".lock").exists()
}

/// Notes beside the file that it seems damaged, where `error` says so: the check at the next start,
/// which is otherwise bounded, is then complete.
pub(super) fn suspect(path: &Path, error: &rusqlite::Error) {
    let code = error.sqlite_error_code();
    if !matches!(
        code,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    ) {
        return;
    }
    let mark = mark(path);
    if mark.exists() {
        return;
    }
    match std::fs::write(&mark, error.to_string()) {
        Ok(()) => tracing::error!(
            path = %path.display(), %error,
            "The window is damaged; restart driftd: it is checked, set aside, and a new one begun"
        ),
        Err(error) => tracing::warn!(%error, "It cannot be noted that the window is damaged"),
    }
}

/// Whether the file was noted to seem damaged.
pub(super) fn is_suspect(path: &Path) -> bool {
    mark(path).exists()
}

/// Takes that back: the file was checked, or is another one.
pub(super) fn absolve(path: &Path) {
    if let Err(error) = std::fs::remove_file(mark(path))
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "The note that the window seems damaged cannot be removed");
    }
}

fn mark(path: &Path) -> PathBuf {
    beside(path, ".suspect")
}

/// Renames db, -wal and -shm together to `<path>.corrupt-<n>` and returns that name. SQLite opens
/// the result like any other database, for salvage.
pub(super) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let slots: Vec<PathBuf> = (1..=KEPT)
        .map(|n| beside(path, &format!(".corrupt-{n}")))
        .collect();
    let age = |slot: &&PathBuf| {
        let modified = std::fs::metadata(slot).and_then(|file| file.modified());
        modified.unwrap_or(SystemTime::UNIX_EPOCH)
    };
    let free = slots.iter().find(|slot| !slot.exists());
    let slot = free.or_else(|| slots.iter().min_by_key(age)).cloned();
    let slot = slot.ok_or(io::ErrorKind::NotFound)?;
    for suffix in ["-wal", "-shm", ""] {
        let (from, to) = (beside(path, suffix), beside(&slot, suffix));
        if from.exists() {
            std::fs::rename(from, to)?;
        } else if to.exists() {
            // What an earlier quarantine left in this slot belongs to another database.
            std::fs::remove_file(to)?;
        }
    }
    Ok(slot)
}
