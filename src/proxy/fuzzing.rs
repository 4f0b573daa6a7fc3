//! A seam for fuzzing: one client connection through everything the proxy does with it, on the
//! caller's own thread, so that a run ends as soon as nothing moves any more.

use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::listener::{Accepted, Socket};
use super::worker::Worker;
use super::{Proxy, SharedObserver, Tap};

/// Serves the client at the other end of `socket`, which must not block, as a serving thread does.
/// Runs on a tokio runtime of one thread, within a `LocalSet`.
pub async fn connection(proxy: &Proxy, socket: UnixStream, tap: Tap, observer: SharedObserver) {
    let place = Arc::new(Semaphore::new(1)).acquire_owned().await;
    let accepted = Accepted {
        socket: Socket::Unix(socket),
        permit: place.expect("nobody closes it"),
        last: false,
    };
    let worker = Rc::new(Worker::new(Arc::clone(&proxy.shared), observer, tap));
    worker.connection(accepted).await;
}
