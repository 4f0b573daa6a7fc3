//! Threads: started with a name, and waited for within a bound.

use std::future::Future;
use std::pin::Pin;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Error;

/// Between looks at a thread that is to end.
const JOIN_POLL: Duration = Duration::from_millis(2);

/// Resolves when a thread is to end.
pub(super) type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A thread with a runtime of its own, and what ends it.
#[derive(Debug)]
pub(super) struct Stoppable {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

// === impl Stoppable ===

impl Stoppable {
    /// Starts a thread that does `work` until that ends, which it does soon once the future it is given
    /// resolves.
    pub(super) fn spawn<F: Future<Output = ()>>(
        name: &'static str,
        work: impl FnOnce(Stop) -> F + Send + 'static,
    ) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| Error::Thread { name, source })?;
        let (stop, stopped) = oneshot::channel();
        let thread = spawn(name, move || {
            // Told, or left alone: both mean to end.
            let stopped = Box::pin(async { stopped.await.unwrap_or(()) });
            runtime.block_on(work(stopped));
            // A name that is being looked up cannot be given up, and is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends it; the thread ends soon.
    pub(super) fn end(self) -> JoinHandle<()> {
        // Fails only where it has ended already.
        let _ = self.stop.send(());
        self.thread
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_server_that_is_silent_does_not_hold_up_the_end() {
        let (begun, looking) = std::sync::mpsc::channel();
        let (answer, silence) = std::sync::mpsc::channel::<()>();
        let thread = Stoppable::spawn("test", move |stop| async move {
            // As the system looks up names.
            let lookup = tokio::task::spawn_blocking(move || {
                begun.send(()).unwrap();
                let _ = silence.recv_timeout(Duration::from_secs(30));
            });
            tokio::select! {
                _ = lookup => {}
                () = stop => {}
            }
        })
        .unwrap();
        looking.recv().unwrap();
        let since = Instant::now();
        thread.end().join().unwrap();
        assert!(
            since.elapsed() < Duration::from_secs(1),
            "{:?}",
            since.elapsed()
        );
        drop(answer);
    }
}
