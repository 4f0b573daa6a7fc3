//! Threads: started with a name, and waited for within a bound.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Error;

/// Between looks at a thread that is to end.
const JOIN_POLL: Duration = Duration::from_millis(2);

/// Starts a thread.
pub(super) fn spawn(
    name: &'static str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, Error> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|source| Error::Thread { name, source })
}

/// Waits for a thread to end, without blocking the runtime: a second signal must get through.
/// False where it panicked or the deadline came first, as with a disk that hangs.
pub(super) async fn ended(thread: JoinHandle<()>, deadline: Instant) -> bool {
    let name = thread.thread().name().unwrap_or("thread").to_owned();
    while !thread.is_finished() {
        if Instant::now() >= deadline {
            tracing::error!(
                thread = name,
                "Thread did not end in time; what it holds is lost"
            );
            return false;
        }
        tokio::time::sleep(JOIN_POLL).await;
    }
    let fine = thread.join().is_ok();
    if !fine {
        tracing::error!(
            thread = name,
            "Thread panicked; what it did not finish is lost"
        );
    }
    fine
}
