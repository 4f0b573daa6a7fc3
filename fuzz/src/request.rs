//! `request`: what a client sends on one connection, the separator, what the upstream answers to
//! each request (a second separator: and then closes). Through the whole proxy, over sockets; what
//! went out at either end is read strictly.

use std::cell::{Cell, RefCell};
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use driftd::exchange::{DropReason, Outcome};
use driftd::metrics::connection::{Direction, Limit};
use driftd::metrics::traffic::Observation;
use driftd::model::Routes;
use driftd::proxy::fuzzing::connection;
use driftd::proxy::{Config, ModelConfig, Observer, Proxy, Sample, TapConfig, Upstream, tap};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{LocalSet, spawn_local, yield_now};

use super::wire::{self, Message};
use super::{Scratch, parts};

/// What the upstream answers where the input does not say.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Turns of the runtime in which nothing moves, after which nothing will.
const IDLE_TURNS: u32 = 30;

/// What the tap keeps of a body.
const MAX_BODY: usize = 4096;

/// Headers of one hop that never go on as they came.
const HOP_BY_HOP: [&str; 5] = [
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-authentication-info",
];

/// Headers that a client cannot take away by naming them in `Connection`: the message needs them,
/// or the proxy sets them itself.
const KEPT: [&str; 12] = [
    "host",
    "content-length",
    "transfer-encoding",
    "te",
    "upgrade",
    "connection",
    "date",
    "x-request-id",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "trailer",
];

/// What stays from one input to the next.
struct Bench {
    runtime: Runtime,
    proxy: Rc<Proxy>,
    upstream: UnixListener,
    _scratch: Scratch,
}

/// What passed in one run.
#[derive(Debug, Default)]
struct Passed {
    /// Grows whenever something moves.
    moves: Cell<u64>,
    /// What came to the upstream, by connection.
    upstream: RefCell<Vec<Vec<u8>>>,
    /// What came back to the client.
    client: RefCell<Vec<u8>>,
}

/// What the proxy told.
#[derive(Debug, Default)]
struct Told {
    started: AtomicU64,
    finished: AtomicU64,
    offered: AtomicU64,
    accounted: AtomicU64,
}

/// Passes `data` through the proxy and looks at what comes out.
pub fn run(data: &[u8]) {
    thread_local!(static BENCH: Bench = Bench::new());
    let parts = parts(data);
    let sent = parts[0];
    let answer = parts.get(1).copied().unwrap_or(ANSWER);
    let told = Arc::new(Told::default());
    let limits = TapConfig {
        max_body: MAX_BODY,
        queue: 1 << 20,
    };
    let (tap, mut receiver) = tap(limits, Arc::clone(&told) as _);
    let passed = Rc::new(Passed::default());
    BENCH.with(|bench| {
        let local = LocalSet::new();
        let proxy = Rc::clone(&bench.proxy);
        let observer = Arc::clone(&told) as _;
        let serve = |socket| async move { connection(&proxy, socket, tap, observer).await };
        local.block_on(
            &bench.runtime,
            bench.pass(serve, sent, answer, parts.len() > 2, &passed),
        );
    });
    let mut taken = 0;
    receiver.drain(usize::MAX, |tapped| {
        assert!(tapped.exchange.request.bytes.len() <= MAX_BODY);
        assert!(tapped.exchange.response.bytes.len() <= MAX_BODY);
        taken += 1;
    });
    assert_eq!(receiver.bytes(), 0, "the tap's budget is not whole again");
    let count = |count: &AtomicU64| count.load(Relaxed);
    assert_eq!(count(&told.started), count(&told.finished));
    assert_eq!(count(&told.offered), count(&told.accounted) + taken);
    let reached = check_upstream(&passed.upstream.borrow(), sent);
    assert!(reached <= count(&told.started), "a request was sent twice");
    check_client(&passed.client.borrow(), answer);
}

// === impl Bench ===

impl Bench {
    fn new() -> Self {
        let scratch = Scratch::new();
        let path = scratch.0.path().join("upstream");
        let upstream = UnixListener::bind(&path).expect("a free path");
        upstream.set_nonblocking(true).expect("a socket");
        let address = Upstream::parse(&format!("unix:{}", path.display())).expect("a path");
        let model = ModelConfig {
            upstream: address.clone(),
            exclude: Vec::new(),
            sample: Sample::ALL,
        };
        let config = Config {
            models: vec![model],
            ..Config::new(address)
        };
        // One event at a time, so that sockets are looked at in every turn.
        let mut runtime = Builder::new_current_thread();
        runtime.event_interval(1).enable_all();
        Self {
            runtime: runtime.build().expect("a runtime"),
            proxy: Rc::new(Proxy::new(
                config,
                Routes::new([&["/predict".to_owned()][..]]),
            )),
            upstream,
            _scratch: scratch,
        }
    }

    /// Runs client, proxy and upstream until nothing moves.
    async fn pass<F: Future<Output = ()> + 'static>(
        &self,
        serve: impl FnOnce(UnixStream) -> F,
        sent: &[u8],
        answer: &[u8],
        close: bool,
        passed: &Rc<Passed>,
    ) {
        // What the run before left in the queue.
        while self.upstream.accept().is_ok() {}
        let (client, proxied) = UnixStream::pair().expect("two sockets");
        for socket in [&client, &proxied] {
            socket.set_nonblocking(true).expect("a socket");
        }
        let upstream = self.upstream.try_clone().expect("a socket");
        let serving = spawn_local(serve(proxied));
        spawn_local(act_client(client, sent.to_vec(), Rc::clone(passed)));
        spawn_local(act_upstream(
            upstream,
            answer.to_vec(),
            close,
            Rc::clone(passed),
        ));
        let mut idle = 0;
        while idle < IDLE_TURNS {
            yield_now().await;
            let moved = passed.moves.replace(0) > 0;
            idle = if moved { 0 } else { idle + 1 };
        }
        if serving.is_finished() {
            serving.await.expect("the connection did not panic");
        }
    }
}

/// Sends all, in pieces where its length is a multiple of four, and reads to the end.
async fn act_client(socket: UnixStream, sent: Vec<u8>, passed: Rc<Passed>) {
    let socket = tokio::net::UnixStream::from_std(socket).expect("a socket");
    let (mut reader, mut writer) = socket.into_split();
    let moved = Rc::clone(&passed);
    let piece = if sent.len().is_multiple_of(4) {
        16
    } else {
        usize::MAX
    };
    spawn_local(async move {
        for piece in sent.chunks(piece) {
            if writer.write_all(piece).await.is_err() {
                break;
            }
            moved.moved();
            yield_now().await;
        }
        // The end of what is sent would cancel what is under way.
        std::future::pending::<()>().await;
        drop(writer);
    });
    let mut buffer = vec![0; 8192];
    while let Ok(read @ 1..) = reader.read(&mut buffer).await {
        passed.moved();
        passed
            .client
            .borrow_mut()
            .extend_from_slice(&buffer[..read]);
    }
}

async fn act_upstream(listener: UnixListener, answer: Vec<u8>, close: bool, passed: Rc<Passed>) {
    let listener = tokio::net::UnixListener::from_std(listener).expect("a listener");
    let answer = Rc::new(answer);
    while let Ok((mut socket, _)) = listener.accept().await {
        passed.moved();
        let number = passed.upstream.borrow().len();
        passed.upstream.borrow_mut().push(Vec::new());
        let (answer, passed) = (Rc::clone(&answer), Rc::clone(&passed));
        spawn_local(async move {
            let mut buffer = vec![0; 8192];
            let mut answered = 0;
            while let Ok(read @ 1..) = socket.read(&mut buffer).await {
                passed.moved();
                let due = {
                    let mut all = passed.upstream.borrow_mut();
                    all[number].extend_from_slice(&buffer[..read]);
                    requests(&all[number])
                };
                while answered < due {
                    answered += 1;
                    if socket.write_all(&answer).await.is_err() || close {
                        return;
                    }
                    passed.moved();
                }
            }
        });
    }
}

/// Requests in `bytes` that are all there; what is wrong with others is told later.
fn requests(bytes: &[u8]) -> usize {
    let (mut count, mut rest) = (0, bytes);
    while let Ok(Some(message)) = wire::request(rest) {
        if !message.complete {
            break;
        }
        count += 1;
        rest = message.rest;
    }
    count
}

// === what must hold ===

/// Reads all that came to the upstream; returns the number of requests, whole or not.
fn check_upstream(connections: &[Vec<u8>], sent: &[u8]) -> u64 {
    let mut count = 0;
    for bytes in connections {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let shown = rest.escape_ascii();
            let message = match wire::request(rest) {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(fault) => panic!("{fault} in what went to the upstream: {shown}"),
            };
            count += 1;
            check_request(&message);
            if count == 1 {
                check_nominated(&message, sent);
            }
            if message.has("upgrade") {
                // What comes behind it may be another protocol.
                break;
            }
            rest = message.rest;
        }
    }
    count
}

fn check_request(message: &Message<'_>) {
    let start = String::from_utf8_lossy(message.start);
    let words: Vec<&str> = start.split(' ').collect();
    let [method, target, version] = words[..] else {
        panic!("a request line of {} words: {start:?}", words.len());
    };
    assert!(method.bytes().all(wire::is_token), "{start:?}");
    assert!(
        target.starts_with('/') || target == "*" && method == "OPTIONS",
        "{start:?}"
    );
    assert!(
        !target.contains(|c: char| c.is_ascii_control()),
        "{start:?}"
    );
    assert_eq!(version, "HTTP/1.1");
    assert_eq!(message.values("host").len(), 1, "{message:?}");
    assert!(message.has("x-request-id"), "{message:?}");
    for name in HOP_BY_HOP.iter().chain(&["expect"]) {
        assert!(!message.has(name), "{name} in {message:?}");
    }
    assert!(
        message
            .values("te")
            .iter()
            .all(|value| *value == b"trailers"),
        "{message:?}"
    );
    assert_eq!(
        message.has("connection"),
        message.has("upgrade"),
        "{message:?}"
    );
    assert!(
        message
            .values("connection")
            .iter()
            .all(|value| *value == b"upgrade"),
        "{message:?}"
    );
    for (name, _) in &message.trailers {
        let framing = ["host", "content-length", "transfer-encoding"];
        assert!(!framing.contains(&name.as_str()), "{message:?}");
    }
}

/// Nothing that `Connection` names in the first head of `given` is left in `message`.
fn check_nominated(message: &Message<'_>, given: &[u8]) {
    for name in nominated(given) {
        if !KEPT.contains(&name.as_str()) {
            assert!(!message.has(&name), "{name} in {message:?}");
        }
    }
}

/// What the `Connection` lines of the first head name, read as leniently as any reader does.
fn nominated(given: &[u8]) -> Vec<String> {
    let lines = given.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let lines = lines.skip_while(|line| line.is_empty());
    let mut names = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        let line = String::from_utf8_lossy(line).to_ascii_lowercase();
        if let Some(list) = line.strip_prefix("connection:") {
            names.extend(list.split(',').map(|name| name.trim().to_owned()));
        }
    }
    names
}

/// Reads the head of the first answer the client got.
fn check_client(bytes: &[u8], answer: &[u8]) {
    let mut rest = bytes;
    loop {
        let shown = rest.escape_ascii();
        let message = match wire::head(rest) {
            Ok(Some(message)) => message,
            Ok(None) => return,
            Err(fault) => panic!("{fault} in what went to the client: {shown}"),
        };
        if message.start.starts_with(b"HTTP/1.1 100 ") {
            rest = message.rest;
            continue;
        }
        let old = message.start.starts_with(b"HTTP/1.0 ");
        assert!(old || message.start.starts_with(b"HTTP/1.1 "), "{shown}");
        let chunked = message.has("transfer-encoding");
        assert!(
            !(chunked && (old || message.has("content-length"))),
            "{shown}"
        );
        assert!(message.values("content-length").len() <= 1, "{shown}");
        for name in HOP_BY_HOP {
            // Of these hyper sets one itself, for HTTP/1.0.
            assert!(!message.has(name) || name == "keep-alive" && old, "{shown}");
        }
        check_nominated(&message, answer);
        return;
    }
}

// === impl Passed ===

impl Passed {
    fn moved(&self) {
        self.moves.set(self.moves.get() + 1);
    }
}

// === impl Told ===

impl Observer for Told {
    fn started(&self, _: Option<usize>) {
        self.started.fetch_add(1, Relaxed);
    }

    fn finished(&self, _: &Observation<'_>) {
        self.finished.fetch_add(1, Relaxed);
    }

    fn offered(&self, _: usize) {
        self.offered.fetch_add(1, Relaxed);
    }

    fn outcome(&self, _: usize, _: Outcome) {
        self.accounted.fetch_add(1, Relaxed);
    }

    fn dropped(&self, _: usize, _: DropReason) {
        self.accounted.fetch_add(1, Relaxed);
    }

    fn truncated(&self, _: usize) {}

    fn limited(&self, _: Limit) {}

    fn malformed(&self) {}

    fn tls_failed(&self) {}

    fn tunnel_opened(&self) {}

    fn tunnel_closed(&self) {}

    fn tunnelled(&self, _: Direction, _: u64) {}
}
