//! Defects and hangs on request, to see in debug builds what they cost. Release builds know none.
//!
//! A file beside the window asks for one: `<window>.fault-<place>` makes whoever passes the place
//! panic, once (the file goes first); `<window>.hang-<place>` holds it up for as long as it is there.

use std::path::Path;
use std::time::Duration;

use super::beside;

/// Passes `place`.
pub(super) fn meet(window: &Path, place: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    let hang = beside(window, &format!(".hang-{place}"));
    while hang.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let asked = std::fs::remove_file(beside(window, &format!(".fault-{place}")));
    assert!(asked.is_err(), "a defect in {place}, as asked for");
}
