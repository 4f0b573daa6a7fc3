//! A proxy on a thread of its own, on port 0, and what it told of its traffic.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use driftd::exchange::{DropReason, Exchange, Outcome};
use driftd::metrics::connection::{Direction, Limit};
use driftd::metrics::traffic::Observation;
use driftd::model::Routes;
use driftd::proxy::{
    Config, Drained, Listener, ModelConfig, Observer, Proxy, Readiness, Sample, TapConfig,
    TapReceiver, TapState, Upstream, tap,
};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::sync::oneshot;

use super::wire::{Answer, Client};
use crate::waiting::eventually;

/// No process that another test starts keeps it.
const CLOEXEC: SocketFlags = SocketFlags::CLOEXEC;

/// Bytes a system buffer holds where little is to wait there.
const NARROW: usize = 32 * 1024;

/// What the proxy told its observers.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) started: AtomicU64,
    pub(super) offered: AtomicU64,
    pub(super) excluded: AtomicU64,
    pub(super) sampled_out: AtomicU64,
    pub(super) queue_full: AtomicU64,
    pub(super) tap_closed: AtomicU64,
    pub(super) truncated: AtomicU64,
    pub(super) limits: [AtomicU64; Limit::ALL.len()],
    pub(super) malformed: AtomicU64,
    pub(super) tls_failed: AtomicU64,
    pub(super) tunnels: AtomicI64,
    pub(super) tunnel_bytes: [AtomicU64; 2],
    pub(super) finished: Mutex<Vec<Done>>,
}

/// A [`Observation`] to keep.
#[derive(Debug, Clone)]
pub(super) struct Done {
    pub(super) model: Option<usize>,
    pub(super) route: String,
    pub(super) status: u16,
    pub(super) error: Option<&'static str>,
    pub(super) total: Duration,
    pub(super) upstream: Option<Duration>,
}

impl Observer for Seen {
    fn started(&self, _: Option<usize>) {
        self.started.fetch_add(1, SeqCst);
    }

    fn finished(&self, seen: &Observation<'_>) {
        self.finished.lock().unwrap().push(Done {
            model: seen.model,
            route: seen.route.to_owned(),
            status: seen.status,
            error: seen.error,
            total: seen.total,
            upstream: seen.upstream,
        });
    }

    fn offered(&self, _: usize) {
        self.offered.fetch_add(1, SeqCst);
    }

    fn outcome(&self, _: usize, outcome: Outcome) {
        match outcome {
            Outcome::Excluded => self.excluded.fetch_add(1, SeqCst),
            Outcome::SampledOut => self.sampled_out.fetch_add(1, SeqCst),
            other => panic!("the proxy cannot know of {other:?}"),
        };
    }

    fn dropped(&self, _: usize, reason: DropReason) {
        match reason {
            DropReason::QueueFull => self.queue_full.fetch_add(1, SeqCst),
            DropReason::TapClosed => self.tap_closed.fetch_add(1, SeqCst),
            other => panic!("the proxy cannot know of {other:?}"),
        };
    }

    fn truncated(&self, _: usize) {
        self.truncated.fetch_add(1, SeqCst);
    }

    fn limited(&self, limit: Limit) {
        self.limits[limit as usize].fetch_add(1, SeqCst);
    }

    fn malformed(&self) {
        self.malformed.fetch_add(1, SeqCst);
    }

    fn tls_failed(&self) {
        self.tls_failed.fetch_add(1, SeqCst);
    }

    fn tunnel_opened(&self) {
        self.tunnels.fetch_add(1, SeqCst);
    }

    fn tunnel_closed(&self) {
        self.tunnels.fetch_sub(1, SeqCst);
    }

    fn tunnelled(&self, direction: Direction, bytes: u64) {
        self.tunnel_bytes[direction as usize].fetch_add(bytes, SeqCst);
    }
}

impl Seen {
    /// How often a limit has acted.
    pub(super) fn limited_by(&self, limit: Limit) -> u64 {
        self.limits[limit as usize].load(SeqCst)
    }

    /// How often each limit has acted, those that never did left out.
    pub(super) fn limits(&self) -> Vec<(Limit, u64)> {
        let all = Limit::ALL.into_iter();
        all.map(|limit| (limit, self.limited_by(limit)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

/// How a proxy is set up, before it runs.
pub(super) struct Setup {
    pub(super) config: Config,
    pub(super) tap: TapConfig,
    pub(super) grace: Duration,
}

/// A running proxy, drained when dropped.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) seen: Arc<Seen>,
    pub(super) readiness: Readiness,
    receiver: Option<TapReceiver>,
    taken: Vec<Exchange>,
    shutdown: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Drained>>,
}

/// One model on `/predict`, everything tapped; two threads.
pub(super) fn setup(upstream: &str) -> Setup {
    let upstream = Upstream::parse(upstream).unwrap();
    let model = ModelConfig {
        upstream: upstream.clone(),
        exclude: Vec::new(),
        sample: Sample::ALL,
    };
    Setup {
        config: Config {
            models: vec![model],
            threads: NonZeroUsize::new(2).unwrap(),
            ..Config::new(upstream)
        },
        tap: TapConfig {
            max_body: 64 * 1024,
            queue: 16 * 1024 * 1024,
        },
        grace: Duration::from_secs(10),
    }
}

impl Setup {
    pub(super) fn run(self) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        self.run_on(Listener::from(listener), address)
    }

    /// What clients do not take soon waits in the proxy, not in the system's buffers: those hold megabytes
    /// else, and a client must read much of that before it is seen that it goes on.
    pub(super) fn run_narrow(self) -> (Running, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // Inherited by what it accepts.
        sockopt::set_socket_send_buffer_size(&listener, NARROW).unwrap();
        let client = net::socket_with(AddressFamily::INET, SocketType::STREAM, CLOEXEC, None);
        let client = client.unwrap();
        sockopt::set_socket_recv_buffer_size(&client, NARROW).unwrap();
        net::connect(&client, &address).unwrap();
        (
            self.run_on(Listener::from(listener), address),
            client.into(),
        )
    }

    pub(super) fn run_on(self, listener: Listener, address: SocketAddr) -> Running {
        let Self {
            config,
            tap: limits,
            grace,
        } = self;
        let seen = Arc::new(Seen::default());
        let paths = ["/predict".to_owned()];
        let proxy = Proxy::new(config, Routes::new([&paths[..]]));
        let readiness = proxy.readiness();
        let (sender, receiver) = tap(limits, Arc::clone(&seen) as _);
        let (shutdown, asked) = oneshot::channel::<()>();
        let observer = Arc::clone(&seen);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let asked = async { asked.await.unwrap_or(()) };
            let observers = |_| Arc::clone(&observer) as _;
            let serving = proxy.serve(listener, sender, observers, asked, grace);
            runtime.block_on(serving).unwrap()
        });
        Running {
            address,
            seen,
            readiness,
            receiver: Some(receiver),
            taken: Vec::new(),
            shutdown: Some(shutdown),
            thread: Some(thread),
        }
    }
}

impl Running {
    pub(super) fn client(&self) -> Client {
        Client::new(TcpStream::connect(self.address).unwrap())
    }

    /// Sends one request on a connection of its own and reads the answer to it.
    pub(super) fn ask(&self, request: &[u8]) -> Answer {
        let mut client = self.client();
        client.send(request);
        client.answer()
    }

    /// Waits until `count` exchanges have come out of the tap, and returns all that ever did.
    #[track_caller]
    pub(super) fn tapped(&mut self, count: usize) -> &[Exchange] {
        let (receiver, taken) = (self.receiver.as_mut().unwrap(), &mut self.taken);
        eventually("tapped exchanges", || {
            receiver.drain(100, |tapped| taken.push(tapped.exchange.clone()));
            taken.len() >= count
        });
        assert_eq!(taken.len(), count);
        taken
    }

    /// Waits until `count` exchanges are over.
    #[track_caller]
    pub(super) fn finished(&self, count: usize) -> Vec<Done> {
        eventually("finished exchanges", || {
            self.seen.finished.lock().unwrap().len() >= count
        });
        self.seen.finished.lock().unwrap().clone()
    }

    pub(super) fn take_receiver(&mut self) -> TapReceiver {
        self.receiver.take().unwrap()
    }

    /// Asks for the drain.
    pub(super) fn shut_down(&mut self) {
        drop(self.shutdown.take());
    }

    /// Waits for the end of the drain.
    pub(super) fn drained(&mut self) -> Drained {
        self.shut_down();
        self.thread.take().unwrap().join().unwrap()
    }

    /// Drains, empties the tap, and holds that nothing offered is unaccounted for.
    pub(super) fn settle(mut self) -> Vec<Exchange> {
        self.drained();
        let mut taken = std::mem::take(&mut self.taken);
        if let Some(mut receiver) = self.receiver.take() {
            let state = receiver.drain(usize::MAX, |tapped| taken.push(tapped.exchange.clone()));
            assert_eq!(state, TapState::Closed);
            assert_eq!(receiver.bytes(), 0, "the budget is not whole again");
        }
        let seen = &self.seen;
        let left_out = [
            &seen.excluded,
            &seen.sampled_out,
            &seen.queue_full,
            &seen.tap_closed,
        ];
        let left_out: u64 = left_out.iter().map(|count| count.load(SeqCst)).sum();
        assert_eq!(seen.offered.load(SeqCst), left_out + taken.len() as u64);
        let finished = seen.finished.lock().unwrap().len() as u64;
        assert_eq!(seen.started.load(SeqCst), finished);
        taken
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shut_down();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("the proxy panicked");
        }
    }
}
