//! Damaged files are set aside together, a few of them, and never deleted singly.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

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
