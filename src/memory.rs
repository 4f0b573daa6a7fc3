//! How the process takes memory, and how soon it gives it back.

use std::time::Duration;

use tikv_jemalloc_ctl::{Access, AsName};
use tikv_jemallocator::Jemalloc;

/// Serving threads allocate what the recorder frees: glibc's allocator pays for that with locks, mimalloc with
/// lists that both sides write for each block.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// How long freed memory is kept for the next who wants some, where its thread goes on allocating. jemalloc's
/// own ten seconds kept up to 9 MB beside the 38 that a thousand connections take.
const KEPT_FOR: Duration = Duration::from_secs(1);

/// The arena of the first thread, and those of threads to come.
const DECAYS: [&[u8]; 2] = [b"arena.0.dirty_decay_ms\0", b"arenas.dirty_decay_ms\0"];

/// Takes no more memory than is needed, for no longer; what could not be had of that, for the log. To be called
/// before threads are started.
#[must_use]
pub fn be_frugal() -> Vec<String> {
    let mut missed = Vec::new();
    // Many systems give pages of 2 MB unasked: what is resident would double, and nothing here gets faster.
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        missed.push(format!("transparent huge pages: {error}"));
    }
    let milliseconds = KEPT_FOR.as_millis() as isize;
    // By the threads that allocate: jemalloc's own thread lets 1,000 connections take 47 MB before it comes to it.
    for decay in DECAYS {
        if let Err(error) = decay.name().write(milliseconds) {
            missed.push(format!("jemalloc: {error}"));
        }
    }
    missed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_memory_is_kept_for_a_second() {
        assert_eq!(be_frugal(), Vec::<String>::new());
        for decay in DECAYS {
            let kept: isize = decay.name().read().unwrap();
            assert_eq!(kept, 1000);
        }
    }
}
