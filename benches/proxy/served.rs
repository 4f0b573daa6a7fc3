//! driftd's proxy and tap by themselves, in a process of their own.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use driftd::exchange::{DropReason, Outcome};
use driftd::metrics::connection::{Direction, Limit};
use driftd::metrics::tap::TapCounters;
use driftd::metrics::traffic::{Observation, Shard, Traffic};
use driftd::model::{ModelName, Routes};
use driftd::proxy::{
    Config, Listener, ModelConfig, Observer, Proxy, Sample, SharedObserver, TapConfig, TapState,
    Upstream, tap,
};

/// As the recorder does it.
const POLL: Duration = Duration::from_millis(5);

/// The shipped defaults.
const LIMITS: TapConfig = TapConfig {
    max_body: 1 << 20,
    queue: 32 << 20,
};

/// Reports to the metrics what passes, as the application does.
struct Counting {
    shard: Arc<Shard>,
    counters: Arc<TapCounters>,
}

/// Serves in front of `upstream` until the process is ended. Both bodies of every exchange are
/// copied; a thread throws them away.
pub(crate) fn serve(upstream: &str) -> Result<(), String> {
    let upstream = Upstream::parse(upstream).map_err(|error| error.to_string())?;
    let name = ModelName::parse("bench").ok_or("no name")?;
    let traffic = Traffic::new(vec![name]);
    let counters = Arc::new(TapCounters::new(1));
    let observer = || -> SharedObserver {
        Arc::new(Counting {
            shard: traffic.shard(),
            counters: Arc::clone(&counters),
        })
    };
    let mut config = Config::new(upstream.clone());
    config.models.push(ModelConfig {
        upstream,
        exclude: Vec::new(),
        sample: Sample::ALL,
    });
    let proxy = Proxy::new(config, Routes::new([&["/predict".to_owned()][..]]));
    let (tap, mut receiver) = tap(LIMITS, observer());
    let counted = Arc::clone(&counters);
    std::thread::Builder::new()
        .name("drain".to_owned())
        .spawn(move || {
            let mut taken = 0;
            while receiver.drain(usize::MAX, |_| taken += 1) == TapState::Open {
                counted.outcome(0, Outcome::Captured, std::mem::take(&mut taken));
                std::thread::park_timeout(POLL);
            }
        })
        .map_err(|error| error.to_string())?;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    println!("{address}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let serving = proxy.serve(
        Listener::from(listener),
        tap,
        |_| observer(),
        std::future::pending(),
        Duration::ZERO,
    );
    let served = runtime.block_on(serving);
    served.map(drop).map_err(|error| error.to_string())
}

// === impl Counting ===

impl Observer for Counting {
    fn started(&self, model: Option<usize>) {
        self.shard.started(model);
    }

    fn finished(&self, seen: &Observation<'_>) {
        self.shard.finished(seen);
    }

    fn offered(&self, model: usize) {
        self.counters.offered(model);
    }

    fn outcome(&self, model: usize, outcome: Outcome) {
        self.counters.outcome(model, outcome, 1);
    }

    fn dropped(&self, model: usize, reason: DropReason) {
        self.counters.dropped(model, reason, 1);
    }

    fn truncated(&self, model: usize) {
        self.counters.truncated(model);
    }

    fn limited(&self, limit: Limit) {
        self.shard.connections().limited(limit);
    }

    fn malformed(&self) {
        self.shard.connections().malformed();
    }

    fn tls_failed(&self) {
        self.shard.connections().tls_failed();
    }

    fn tunnel_opened(&self) {
        self.shard.connections().tunnel_opened();
    }

    fn tunnel_closed(&self) {
        self.shard.connections().tunnel_closed();
    }

    fn tunnelled(&self, direction: Direction, bytes: u64) {
        self.shard.connections().tunnelled(direction, bytes);
    }
}
