//! What goes wrong on either side is seen on the other, told apart, and never made worse.

use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use driftd::exchange::Ending;
use driftd::proxy::UpstreamState;

use super::harness::setup;
use super::origin::{Origin, serve_unix};
use super::wire::post;
use crate::waiting::{PATIENCE, eventually};

#[test]
fn a_post_that_may_have_arrived_is_not_sent_again() {
    // On a fresh connection and on one that served before.
    for served in [0, 1] {
        let origin = Origin::new(move |mut visit| {
            for _ in 0..served {
                visit.request();
                visit.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            }
            visit.request();
        });
        let mut proxy = setup(&origin.url()).run();
        let mut client = proxy.client();
        for _ in 0..served {
            client.send(&post(b"good"));
            assert_eq!(client.answer().status(), 200);
        }
        client.send(&post(b"once"));
        let answer = client.answer();
        assert_eq!(answer.status(), 502);
        assert_eq!(
            answer.header("driftd-error").as_deref(),
            Some("upstream_closed")
        );
        let arrived = origin
            .requests()
            .iter()
            .filter(|r| r.body == b"once")
            .count();
        assert_eq!(arrived, 1);
        let exchange = &proxy.tapped(served + 1)[served];
        assert_eq!(
            (exchange.status, exchange.ending),
            (502, Ending::UpstreamFailed)
        );
        assert_eq!(exchange.request.bytes, b"once");
        assert_eq!(
            exchange.response.bytes, b"",
            "our own answer is not the model's"
        );
    }
}

#[test]
fn a_refused_connection_is_a_502_that_says_so_and_the_client_can_go_on() {
    // Nobody listens on tcpmux.
    let mut proxy = setup("http://127.0.0.1:1").run();
    assert_eq!(proxy.readiness.model(0), UpstreamState::Unknown);
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send(
            b"POST /predict HTTP/1.1\r\nhost: a\r\nx-request-id: q\r\ncontent-length: 0\r\n\r\n",
        );
        let answer = client.answer();
        assert_eq!(answer.status(), 502);
        assert_eq!(
            answer.header("driftd-error").as_deref(),
            Some("upstream_connect")
        );
        assert_eq!(answer.header("x-request-id").as_deref(), Some("q"));
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["error"], "upstream_connect");
        assert_eq!(body["request_id"], "q");
        assert!(body["detail"].as_str().unwrap().contains("refused"));
    }
    assert_eq!(proxy.readiness.model(0), UpstreamState::Down);
    assert_eq!(proxy.tapped(2)[0].ending, Ending::UpstreamFailed);
    assert_eq!(proxy.finished(2)[0].error, Some("upstream_connect"));
}

#[test]
fn driftd_starts_before_its_upstream_and_finds_it_when_it_comes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.sock");
    let proxy = setup(&format!("unix:{}", path.display())).run();
    let mut client = proxy.client();
    client.send(&post(b""));
    assert_eq!(client.answer().status(), 502);
    assert_eq!(proxy.readiness.model(0), UpstreamState::Down);
    serve_unix(&path);
    client.send(&post(b""));
    assert_eq!(client.answer().status(), 200);
    assert_eq!(proxy.readiness.model(0), UpstreamState::Up);
}

#[test]
fn an_upstream_that_does_not_answer_in_time_is_a_504_and_is_let_go() {
    let (ended, end) = mpsc::channel();
    let ended = Mutex::new(ended);
    let origin = Origin::new(move |mut visit| {
        visit.request();
        visit.request();
        ended.lock().unwrap().send(()).unwrap();
    });
    let mut setup = setup(&origin.url());
    setup.config.response_timeout = Some(Duration::from_millis(50));
    let mut proxy = setup.run();
    let answer = proxy.ask(&post(b"x"));
    assert_eq!(answer.status(), 504);
    assert_eq!(
        answer.header("driftd-error").as_deref(),
        Some("upstream_timeout")
    );
    end.recv_timeout(PATIENCE).unwrap();
    assert_eq!(proxy.tapped(1)[0].ending, Ending::UpstreamTimeout);
    assert!(proxy.finished(1)[0].upstream.unwrap() >= Duration::from_millis(50));
}

#[test]
fn a_slow_upload_is_not_the_upstreams_delay() {
    let origin = Origin::echo();
    let mut setup = setup(&origin.url());
    setup.config.response_timeout = Some(Duration::from_millis(50));
    let proxy = setup.run();
    let mut client = proxy.client();
    client.send(b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab");
    eventually("the request's head", || origin.connections() == 1);
    // The time that must not count.
    assert!(!client.hears_within(Duration::from_millis(150)));
    client.send(b"cd");
    assert_eq!(client.answer().body, b"abcd");
}

#[test]
fn a_truncated_answer_is_truncated_for_the_client_too() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\nff\r\nof it",
    ] {
        let origin = Origin::new(move |mut visit| {
            visit.request();
            visit.send(answer);
        });
        let mut proxy = setup(&origin.url()).run();
        // What came and its end are sometimes read at once: the client is given what came even then.
        for _ in 0..10 {
            let mut client = proxy.client();
            client.send(&post(b"x"));
            let got = client.answer();
            assert!(!got.whole && got.body.starts_with(b"part"), "{got:?}");
        }
        for exchange in proxy.tapped(10) {
            assert_eq!(
                (exchange.status, exchange.ending),
                (200, Ending::UpstreamFailed)
            );
        }
        let finished = proxy.finished(10);
        assert!(
            finished
                .iter()
                .all(|seen| seen.error == Some("upstream_truncated"))
        );
    }
}

#[test]
fn what_is_no_http_is_a_502() {
    let origin = Origin::always("SSH-2.0-OpenSSH_9.2\r\n\r\n");
    let proxy = setup(&origin.url()).run();
    let answer = proxy.ask(&post(b"x"));
    assert_eq!(answer.status(), 502);
    assert_eq!(
        answer.header("driftd-error").as_deref(),
        Some("upstream_closed")
    );
    let origin = Origin::always(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    );
    let proxy = setup(&origin.url()).run();
    assert_eq!(proxy.ask(&post(b"x")).status(), 502);
}

#[test]
fn a_client_that_leaves_takes_its_request_with_it() {
    let arrived = Arc::new(AtomicBool::new(false));
    let (ended, end) = mpsc::channel();
    let (ended, flag) = (Mutex::new(ended), Arc::clone(&arrived));
    let origin = Origin::new(move |mut visit| {
        visit.request();
        flag.store(true, SeqCst);
        // Nothing more comes but the end.
        assert!(visit.request().is_none());
        ended.lock().unwrap().send(()).unwrap();
    });
    let mut proxy = setup(&origin.url()).run();
    let mut client = proxy.client();
    client.send(&post(b"never mind"));
    eventually("the request at the upstream", || arrived.load(SeqCst));
    drop(client);
    end.recv_timeout(PATIENCE).unwrap();
    let exchange = &proxy.tapped(1)[0];
    assert_eq!(
        (exchange.status, exchange.ending),
        (499, Ending::ClientAborted)
    );
    assert_eq!(exchange.request.bytes, b"never mind");
    let done = &proxy.finished(1)[0];
    assert_eq!((done.status, done.error), (499, Some("client_aborted")));
    assert!(done.upstream.is_some_and(|upstream| upstream <= done.total));
    proxy.settle();
}

#[test]
fn a_client_that_leaves_amid_the_answer_ends_it_at_the_upstream() {
    let (ended, end) = mpsc::channel();
    let ended = Mutex::new(ended);
    let origin = Origin::new(move |mut visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        let mut stream = visit.peer.try_clone();
        while std::io::Write::write_all(&mut stream, b"4\r\nmore\r\n").is_ok() {}
        ended.lock().unwrap().send(()).unwrap();
    });
    let mut proxy = setup(&origin.url()).run();
    let mut client = proxy.client();
    client.send(&post(b"x"));
    client.until(b"more");
    drop(client);
    end.recv_timeout(PATIENCE).unwrap();
    let exchange = &proxy.tapped(1)[0];
    assert_eq!(
        (exchange.status, exchange.ending),
        (200, Ending::ClientAborted)
    );
}

#[test]
fn an_upload_that_breaks_off_is_the_clients_doing() {
    let origin = Origin::new(|mut visit| while visit.request().is_some() {});
    let mut proxy = setup(&origin.url()).run();
    let mut client = proxy.client();
    client.send(b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nfive.");
    eventually("the upload at the upstream", || origin.connections() == 1);
    client.try_clone().shutdown(Shutdown::Both).unwrap();
    let exchange = &proxy.tapped(1)[0];
    assert_eq!(exchange.ending, Ending::ClientAborted);
    assert!(matches!(exchange.status, 400 | 499), "{}", exchange.status);
    assert!(!origin.requests().iter().any(|request| request.whole));

    let mut client = proxy.client();
    client.send(
        b"POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n",
    );
    let answer = client.answer();
    assert_eq!(answer.status(), 400);
    assert_eq!(proxy.tapped(2)[1].ending, Ending::ClientAborted);
    assert!(!origin.requests().iter().any(|request| request.whole));
}
