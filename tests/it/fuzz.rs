//! What the fuzzers kept and found, once more: the targets of `fuzz/` over `fuzz/corpus` (small
//! inputs that reach what they reached) and `fuzz/found` (inputs that once failed).

use std::fs;
use std::path::{Path, PathBuf};

/// The targets, as the fuzzers run them.
#[path = "../../fuzz/src/lib.rs"]
#[allow(
    unreachable_pub,
    reason = "a crate of its own for the fuzzers, a module here"
)]
mod targets;

/// Most files in the corpora, and most bytes.
const MOST_FILES: usize = 200;
const MOST_BYTES: u64 = 1 << 20;

fn files(folder: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz")
        .join(folder);
    let entries = match fs::read_dir(folder.join(target)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => panic!("{target}: {error}"),
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Runs a target over its files, naming the one that fails.
fn replay(target: &str, run: fn(&[u8])) {
    let corpus = files("corpus", target);
    assert!(corpus.len() >= 10, "{target}: {} files", corpus.len());
    for path in corpus.into_iter().chain(files("found", target)) {
        let bytes = fs::read(&path).unwrap();
        let passed = std::panic::catch_unwind(|| run(&bytes)).is_ok();
        assert!(passed, "{} fails, as said above", path.display());
    }
}

#[test]
fn kept_and_found_requests() {
    replay("request", targets::request::run);
}

#[test]
fn kept_and_found_bodies() {
    replay("decode", targets::decode::run);
}

#[test]
fn kept_and_found_configurations() {
    replay("config", targets::config::run);
}

#[test]
fn kept_and_found_references() {
    replay("reference", targets::reference::run);
}

#[test]
fn the_corpora_stay_small() {
    let targets = ["request", "decode", "config", "reference"];
    let kept: Vec<_> = targets.iter().flat_map(|t| files("corpus", t)).collect();
    assert!(kept.len() <= MOST_FILES, "{} files", kept.len());
    let bytes: u64 = kept.iter().map(|f| f.metadata().unwrap().len()).sum();
    assert!(bytes <= MOST_BYTES, "{bytes} bytes");
}
