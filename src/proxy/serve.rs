//! Accepting, handing out to the serving threads, draining.

use std::future::{Future, pending};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::{self, Instant};

use super::listener::{Accepted, Listener, Polled, Socket};
use super::tap::Tap;
use super::worker::{Phase, Shared, Worker};
use super::{Drained, Error, SharedObserver};

/// Accepted connections that may wait for one thread to take them.
const HANDED_OUT: usize = 128;

/// How long to wait when the system is out of descriptors or memory, before accepting again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A serving thread, seen from outside.
struct Seat {
    sockets: mpsc::Sender<Accepted>,
    drained: oneshot::Receiver<Drained>,
    thread: JoinHandle<()>,
}

pub(super) async fn serve(
    shared: Arc<Shared>,
    listener: Listener,
    tap: Tap,
    mut observers: impl FnMut(usize) -> SharedObserver,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
) -> Result<Drained, Error> {
    let address = listener.name();
    let listener = listener
        .polled()
        .map_err(|source| Error::Listen { address, source })?;
    let (phase, watched) = watch::channel(Phase::Serving);
    let places = shared.config.max_connections.get();
    let places = Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
    let mut seats = Vec::new();
    for number in 0..shared.config.threads.get() {
        let worker = (Arc::clone(&shared), observers(number), tap.clone());
        seats.push(start(number, worker, watched.clone()).await?);
    }
    // The threads hold the tap now: it closes when the last of them is done.
    drop(tap);

    let mut shutdown = pin!(shutdown);
    tokio::select! {
        biased;
        () = &mut shutdown => {}
        () = accept(&listener, &places, &seats) => {}
    }
    drop(listener);
    phase.send_replace(Phase::Draining(Instant::now() + grace));
    let mut total = Drained::default();
    for seat in seats {
        drop(seat.sockets);
        let drained = seat.drained.await.unwrap_or_default();
        total.completed += drained.completed;
        total.aborted += drained.aborted;
        if seat.thread.join().is_err() {
            tracing::error!("A serving thread panicked");
        }
    }
    Ok(total)
}

/// Starts a serving thread.
async fn start(
    number: usize,
    (shared, observer, tap): (Arc<Shared>, SharedObserver, Tap),
    phase: watch::Receiver<Phase>,
) -> Result<Seat, Error> {
    let failed = |source| Error::Thread {
        thread: number,
        source,
    };
    let (sockets, accepted) = mpsc::channel(HANDED_OUT);
    let (done, drained) = oneshot::channel();
    let pulse = shared.pulses.get(number).cloned();
    let pulse = pulse.expect("there is one for each thread");
    let (built, building) = oneshot::channel();
    let serve = move || {
        let local = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default());
        let runtime = match local {
            Ok(runtime) => runtime,
            Err(error) => return drop(built.send(Err(error))),
        };
        let _beating = pulse.begin();
        if built.send(Ok(())).is_err() {
            return;
        }
        let worker = Rc::new(Worker::new(shared, observer, tap));
        let result = runtime.block_on(worker.run(accepted, phase, &pulse));
        // The tasks that drive upstream connections go with it, and what they hold of exchanges. A name
        // that is still being looked up must not hold the drain up.
        runtime.shutdown_background();
        // Nobody waits if the future that serves was dropped.
        let _ = done.send(result);
    };
    let thread = thread::Builder::new()
        .name(format!("proxy-{number}"))
        .spawn(serve)
        .map_err(failed)?;
    let gone = |_| Err(io::Error::other("it ended at once"));
    building.await.unwrap_or_else(gone).map_err(failed)?;
    Ok(Seat {
        sockets,
        drained,
        thread,
    })
}

/// Accepts connections and hands them out in turn, as many as are allowed at once.
async fn accept(listener: &Polled, places: &Arc<Semaphore>, seats: &[Seat]) {
    let mut turn = 0_usize;
    loop {
        let Ok(permit) = Arc::clone(places).acquire_owned().await else {
            // Never closed; were it, nothing could be accepted any more.
            return pending().await;
        };
        let socket = next(listener).await;
        turn = (turn + 1) % seats.len();
        let accepted = Accepted {
            socket,
            permit,
            last: places.available_permits() == 0,
        };
        hand_out(accepted, seats, turn).await;
    }
}

/// Gives a connection to the thread whose turn it is, or the next one that keeps up.
async fn hand_out(mut accepted: Accepted, seats: &[Seat], turn: usize) {
    for seat in seats[turn..].iter().chain(&seats[..turn]) {
        match seat.sockets.try_send(accepted) {
            Ok(()) => return,
            Err(TrySendError::Full(back) | TrySendError::Closed(back)) => accepted = back,
        }
    }
    // All are behind: so are we, then.
    if seats[turn].sockets.send(accepted).await.is_err() {
        tracing::error!("A serving thread is gone");
    }
}

/// The next connection, whatever it takes.
async fn next(listener: &Polled) -> Socket {
    let mut told = false;
    loop {
        match listener.accept().await {
            Ok(socket) => return socket,
            // Gone again before it was accepted: the client's affair.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // Once for each spell: it tries again many times a second.
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(%error, "Cannot accept connections for now; is the limit on open files too low?");
                }
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
