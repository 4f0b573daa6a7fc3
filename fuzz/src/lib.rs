//! The fuzz targets: what is done with any bytes, and what must hold of the outcome.
//!
//! `fuzz_targets/` gives them to libFuzzer, `tests/it/fuzz.rs` replays the kept corpora and the
//! found cases through the same functions. A finding is a panic.

pub mod config;
pub mod decode;
pub mod reference;
pub mod request;
pub mod wire;

use std::path::PathBuf;

use tempfile::TempDir;

/// What stands between the parts of an input that has several.
const SEPARATOR: &[u8] = b"\n====\n";

/// A folder for one file after the other.
struct Scratch(TempDir);

impl Scratch {
    /// Where the system keeps files in memory, if it does.
    fn new() -> Self {
        let memory = tempfile::tempdir_in("/dev/shm");
        Self(memory.or_else(|_| tempfile::tempdir()).expect("a folder"))
    }

    /// Writes the file `name`.
    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).expect("room for a file");
        path
    }
}

/// The parts of an input.
fn parts(data: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = data;
    while let Some(at) = rest
        .windows(SEPARATOR.len())
        .position(|window| window == SEPARATOR)
    {
        parts.push(&rest[..at]);
        rest = &rest[at + SEPARATOR.len()..];
    }
    parts.push(rest);
    parts
}
