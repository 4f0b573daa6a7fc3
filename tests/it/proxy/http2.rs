//! HTTP/2: gRPC with its trailers, what HTTP/1.1 upstreams get of it, cancelling, draining. The
//! peers are hyper's own client and server.

use std::convert::Infallible;
use std::future::pending;
use std::net::{SocketAddr, TcpStream};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use driftd::exchange::Ending;
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream as Socket};
use tokio::sync::Notify;

use super::harness::{Running, setup};
use super::origin::Origin;
use super::wire::post;
use crate::waiting::{PATIENCE, eventually, soon};

pub(super) type Body = BoxBody<Bytes, Infallible>;

/// An upstream that speaks HTTP/2 alone, and what it saw.
#[derive(Clone, Default)]
pub(super) struct Grpc {
    heads: Arc<Mutex<Vec<Parts>>>,
    connections: Arc<AtomicUsize>,
    /// Calls to `/hang` that were given up.
    cancelled: Arc<AtomicUsize>,
    /// Lets calls to `/late` end.
    go: Arc<Notify>,
    /// Has the connections closed by GOAWAY.
    leave: Arc<Notify>,
}

/// Counts when it is dropped.
struct Given(Arc<AtomicUsize>);

impl Drop for Given {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

pub(super) fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        // Beyond what each wait within has.
        tokio::time::timeout(PATIENCE * 2, work)
            .await
            .expect("it took too long")
    })
}

impl Grpc {
    pub(super) fn start() -> (Self, String) {
        let this = Self::default();
        let served = this.clone();
        let (sender, address) = std::sync::mpsc::channel();
        // Ends with the process.
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    served.connections.fetch_add(1, SeqCst);
                    tokio::spawn(served.clone().connection(stream));
                }
            });
        });
        let address: SocketAddr = address.recv().unwrap();
        (this, format!("http://{address}"))
    }

    async fn connection(self, stream: Socket) {
        let this = self.clone();
        let service = service_fn(move |request| this.clone().answer(request));
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.leave.notified() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        drop(ended);
    }

    /// Echoes the body, and after it the trailers with a gRPC status.
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        self.heads.lock().unwrap().push(head);
        if path == "/hang" {
            let _given = Given(self.cancelled);
            return pending().await;
        }
        let Ok(collected) = body.collect().await else {
            return pending().await;
        };
        if path == "/late" {
            self.go.notified().await;
        }
        let mut trailers = collected.trailers().cloned().unwrap_or_default();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let (mut sender, channel) = Channel::<Bytes>::new(4);
        tokio::spawn(async move {
            let sent = sender.send_data(collected.to_bytes()).await;
            drop(sent);
            let sent = sender.send_trailers(trailers).await;
            drop(sent);
        });
        let response = Response::builder().header("content-type", "application/grpc+proto");
        Ok(response.body(channel.boxed()).unwrap())
    }

    pub(super) fn head(&self, index: usize) -> Parts {
        self.heads.lock().unwrap()[index].clone()
    }
}

pub(super) async fn connect(proxy: SocketAddr) -> SendRequest<Body> {
    let stream = Socket::connect(proxy).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

/// A gRPC call whose body is sent by the returned sender.
fn call(path: &str) -> (Request<Body>, Sender<Bytes>) {
    let (sender, channel) = Channel::<Bytes>::new(4);
    let request = Request::post(format!("http://model.example{path}"))
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", "5S");
    (request.body(channel.boxed()).unwrap(), sender)
}

pub(super) fn whole(path: &str, body: &'static [u8]) -> Request<Body> {
    let request = Request::post(format!("http://model.example{path}"))
        .header("content-type", "application/grpc");
    let body = Full::new(Bytes::from_static(body)).boxed();
    request.body(body).unwrap()
}

#[test]
fn a_grpc_call_passes_as_http2_with_trailers_both_ways() {
    let (upstream, url) = Grpc::start();
    let mut proxy = setup(&url).run();
    let trailers = run(async {
        let mut client = connect(proxy.address).await;
        let (request, mut body) = call("/predict");
        let response = client.send_request(request);
        body.send_data(Bytes::from_static(b"\0\0\0\0\x03abc"))
            .await
            .unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        body.send_trailers(trailers).await.unwrap();
        drop(body);
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/grpc+proto");
        assert!(response.headers().contains_key("x-request-id"));
        let collected = response.into_body().collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap();
        assert_eq!(&collected.to_bytes()[..], b"\0\0\0\0\x03abc");
        trailers
    });
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(trailers["x-sum"], "7");
    let head = upstream.head(0);
    assert_eq!(head.version, Version::HTTP_2);
    assert_eq!(head.uri, "http://model.example/predict");
    assert_eq!(head.headers["te"], "trailers");
    assert_eq!(head.headers["grpc-timeout"], "5S");
    assert!(!head.headers.contains_key("host"));
    // Counted and timed, but not copied: nothing there reads it.
    assert_eq!(proxy.finished(1)[0].status, 200);
    proxy.shut_down();
    let excluded = Arc::clone(&proxy.seen);
    assert!(proxy.settle().is_empty());
    assert_eq!(excluded.excluded.load(SeqCst), 1);
    assert_eq!(excluded.offered.load(SeqCst), 1);
}

#[test]
fn many_large_calls_share_a_connection() {
    let (_, url) = Grpc::start();
    let proxy = setup(&url).run();
    run(async {
        let mut client = connect(proxy.address).await;
        let mut answers = Vec::new();
        for _ in 0..50 {
            answers.push(client.send_request(whole("/predict", &[7; 100_000])));
        }
        for answer in answers {
            let body = answer.await.unwrap().into_body();
            assert_eq!(body.collect().await.unwrap().to_bytes().len(), 100_000);
        }
    });
    assert_eq!(proxy.finished(50).len(), 50);
}

#[test]
fn one_connection_carries_a_threads_calls_and_is_replaced_after_goaway() {
    let (upstream, url) = Grpc::start();
    let mut settings = setup(&url);
    settings.config.threads = std::num::NonZeroUsize::MIN;
    let proxy = settings.run();
    run(async {
        let mut client = connect(proxy.address).await;
        let answers: Vec<_> = (0..20)
            .map(|_| client.send_request(whole("/predict", b"x")))
            .collect();
        for answer in answers {
            answer.await.unwrap().into_body().collect().await.unwrap();
        }
        assert_eq!(upstream.connections.load(SeqCst), 1);
        upstream.leave.notify_waiters();
        let mut other = connect(proxy.address).await;
        // The GOAWAY may cross with a call; a call it refused is told so, none is sent twice.
        while upstream.connections.load(SeqCst) == 1 {
            let answer = other.send_request(whole("/predict", b"x")).await.unwrap();
            assert!([200, 502].contains(&answer.status().as_u16()));
        }
        let answer = other.send_request(whole("/predict", b"x")).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(upstream.connections.load(SeqCst), 2);
    });
}

#[test]
fn a_cancelled_call_is_cancelled_upstream_and_recorded_as_499() {
    let (upstream, url) = Grpc::start();
    let proxy = setup(&url).run();
    run(async {
        let mut client = connect(proxy.address).await;
        let (request, body) = call("/hang");
        let response = tokio::spawn(client.send_request(request));
        soon("the call", || !upstream.heads.lock().unwrap().is_empty()).await;
        response.abort();
        drop(body);
        soon("its end", || upstream.cancelled.load(SeqCst) > 0).await;
        // The connection goes on.
        let answer = client.send_request(whole("/predict", b"x")).await.unwrap();
        assert_eq!(answer.status(), 200);
    });
    let done = proxy.finished(1);
    assert_eq!(
        (done[0].status, done[0].error),
        (499, Some("client_aborted"))
    );
}

#[test]
fn an_http1_upstream_gets_http1_with_host_and_one_cookie() {
    let origin = Origin::new(|mut visit| {
        while visit.request().is_some() {
            visit.send(
                "HTTP/1.1 200 OK\r\nconnection: x-hop\r\nx-hop: 1\r\ncontent-length: 2\r\n\r\nok",
            );
        }
    });
    let mut proxy = setup(&origin.url()).run();
    run(async {
        let mut client = connect(proxy.address).await;
        let request = Request::post("http://model.example/predict")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .header("te", "trailers")
            .body(Full::new(Bytes::from_static(b"{}")).boxed())
            .unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(!response.headers().contains_key("x-hop"));
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(&body.to_bytes()[..], b"ok");
    });
    let request = origin.requests()[0].clone();
    assert!(
        request.head.starts_with("POST /predict HTTP/1.1\r\n"),
        "{}",
        request.head
    );
    assert_eq!(request.header("host").as_deref(), Some("model.example"));
    assert_eq!(request.header("cookie").as_deref(), Some("a=1; b=2"));
    assert_eq!(request.header("te").as_deref(), Some("trailers"));
    assert_eq!(request.body, b"{}");
    let tapped = &proxy.tapped(1)[0];
    assert_eq!(tapped.request.bytes, b"{}");
    assert_eq!(tapped.ending, Ending::Complete);
}

#[test]
fn a_connection_whose_answer_is_under_way_is_kept_for_later() {
    let (go, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    let origin = Origin::new(move |mut visit| {
        while let Some(request) = visit.request() {
            visit.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no");
            if request.head.starts_with("POST /hold") {
                held.lock().unwrap().recv().unwrap();
            }
            visit.send("k");
        }
    });
    let mut settings = setup(&origin.url());
    settings.config.upstream_idle = PATIENCE;
    let proxy = settings.run();
    run(async {
        let client = connect(proxy.address).await;
        let ask = |path: &str| {
            let mut client = client.clone();
            let request = Request::post(format!("http://model.example{path}"));
            let request = request.body(Full::new(Bytes::new()).boxed()).unwrap();
            async move { client.send_request(request).await.unwrap().into_body() }
        };
        let held = ask("/hold").await;
        // Goes past the first connection, which is busy.
        ask("/predict").await.collect().await.unwrap();
        go.send(()).unwrap();
        held.collect().await.unwrap();
        let held = ask("/hold").await;
        ask("/predict").await.collect().await.unwrap();
        go.send(()).unwrap();
        held.collect().await.unwrap();
    });
    assert_eq!(origin.requests().len(), 4);
    assert_eq!(origin.connections(), 2);
}

#[test]
fn where_configured_everything_goes_over_http2() {
    let (upstream, url) = Grpc::start();
    let mut settings = setup(&url);
    settings.config.upstream_http2 = true;
    let mut proxy = settings.run();
    let answer = proxy.ask(&post(b"[1]"));
    assert_eq!((answer.status(), &answer.body[..]), (200, &b"[1]"[..]));
    let head = upstream.head(0);
    assert_eq!(head.version, Version::HTTP_2);
    assert_eq!(proxy.tapped(1)[0].response.bytes, b"[1]");
}

#[test]
fn a_host_that_contradicts_the_authority_is_refused() {
    let (upstream, url) = Grpc::start();
    let proxy = setup(&url).run();
    run(async {
        let mut client = connect(proxy.address).await;
        let mut request = whole("/predict", b"x");
        request
            .headers_mut()
            .insert("host", HeaderValue::from_static("other"));
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()["driftd-error"], "bad_request");
    });
    assert!(upstream.heads.lock().unwrap().is_empty());
}

#[test]
fn an_upstream_that_is_not_there_is_a_502() {
    let proxy = setup("http://127.0.0.1:1").run();
    run(async {
        let mut client = connect(proxy.address).await;
        let response = client.send_request(whole("/predict", b"x")).await.unwrap();
        assert_eq!(response.status(), 502);
        assert_eq!(response.headers()["driftd-error"], "upstream_connect");
    });
}

#[test]
fn an_http1_upstream_never_gets_a_grpc_call() {
    let origin = Origin::new(|mut visit| {
        // What an HTTP/1 server makes of the preface.
        visit.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        while visit.request().is_some() {}
    });
    let proxy = setup(&origin.url()).run();
    run(async {
        let mut client = connect(proxy.address).await;
        let response = client.send_request(whole("/predict", b"x")).await.unwrap();
        assert_eq!(response.status(), 502);
        assert_eq!(response.headers()["driftd-error"], "upstream_closed");
    });
}

#[test]
fn draining_sends_goaway_and_ends_what_is_under_way() {
    let (upstream, url) = Grpc::start();
    let mut proxy: Running = setup(&url).run();
    run(async {
        let mut client = connect(proxy.address).await;
        let late = tokio::spawn(client.send_request(whole("/late", b"x")));
        soon("the call", || !upstream.heads.lock().unwrap().is_empty()).await;
        proxy.shut_down();
        // GOAWAY: after it the connection takes no more calls.
        while client.send_request(whole("/predict", b"x")).await.is_ok() {}
        upstream.go.notify_one();
        let response = late.await.unwrap().unwrap();
        assert_eq!(response.status(), 200);
        let collected = response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    });
    let drained = proxy.drained();
    assert_eq!((drained.completed, drained.aborted), (1, 0));
    assert!(TcpStream::connect(proxy.address).is_err());
}

#[test]
fn the_deadline_cuts_a_call_that_does_not_end() {
    let (upstream, url) = Grpc::start();
    let mut settings = setup(&url);
    settings.grace = Duration::from_millis(100);
    let mut proxy = settings.run();
    run(async {
        let mut client = connect(proxy.address).await;
        let hanging = tokio::spawn(client.send_request(whole("/hang", b"x")));
        soon("the call", || !upstream.heads.lock().unwrap().is_empty()).await;
        proxy.shut_down();
        assert!(hanging.await.unwrap().is_err());
    });
    assert_eq!(proxy.drained().aborted, 1);
    let done = &proxy.finished(1)[0];
    assert_eq!((done.status, done.error), (499, Some("shutdown")));
    eventually("the upstream's call is given up", || {
        upstream.cancelled.load(SeqCst) == 1
    });
}
