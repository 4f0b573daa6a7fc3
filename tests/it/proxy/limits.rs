//! What clients may take: each limit acts, says so, and spares whoever keeps to it.

use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use driftd::exchange::Ending;
use driftd::metrics::connection::Limit;

use super::harness::setup;
use super::origin::Origin;
use super::wire::post;
use crate::waiting::{PATIENCE, eventually};

const SHORT: Duration = Duration::from_millis(150);
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn too_many_exchanges_under_way_are_turned_away_at_once() {
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let origin = Origin::new(move |mut visit| {
        while visit.request().is_some() {
            gone.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            visit.send(OK);
        }
    });
    let mut setup = setup(&origin.url());
    setup.config.limits.max_in_flight = NonZeroUsize::MIN;
    let proxy = setup.run();
    let mut first = proxy.client();
    first.send(&post(b"x"));
    eventually("the first at the upstream", || origin.requests().len() == 1);
    // Turned away before its body is asked for: no 100 comes.
    let mut second = proxy.client();
    second.send(
        b"POST /predict HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n",
    );
    let answer = second.answer();
    assert!(
        answer
            .head
            .starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
        "{}",
        answer.head
    );
    assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
    assert_eq!(answer.header("driftd-error").as_deref(), Some("overload"));
    // Or the body's bytes, should they come, would be taken for a request.
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    // Nor is a body waited for of which a part is there.
    let mut third = proxy.client();
    third.send(b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nbeginning");
    let answer = third.answer();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    assert_eq!(proxy.seen.limits(), [(Limit::MaxInFlight, 2)]);
    assert_eq!(proxy.seen.offered.load(SeqCst), 1, "only the first");
    assert_eq!(proxy.finished(2)[0].error, Some("overload"));
    go.send(()).unwrap();
    assert_eq!(first.answer().status(), 200);
    proxy.finished(3);
    // The place is free again.
    first.send(&post(b"y"));
    go.send(()).unwrap();
    assert_eq!(first.answer().status(), 200);
    drop((first, second, third));
    proxy.settle();
}

#[test]
fn heads_that_are_too_long_or_no_heads_are_refused_and_counted() {
    let origin = Origin::always(OK);
    let mut setup = setup(&origin.url());
    setup.config.limits.max_head = 4096;
    let proxy = setup.run();
    let line = |length: usize| format!("x-long: {}\r\n", "a".repeat(length));
    let lines = |count| (0..count).map(|n| format!("x-{n}: a\r\n")).collect();
    let cases: [(&str, String, u16); 6] = [
        ("fits", line(3900), 200),
        ("too long", line(4096), 431),
        ("much too long, more than is read", line(3_000_000), 431),
        ("as many headers as may be", lines(99), 200),
        ("one more", lines(100), 431),
        ("no header", "no header\r\n".to_owned(), 400),
    ];
    for (name, headers, status) in cases {
        let mut client = proxy.client();
        let request = format!("GET /predict HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
        client.send(request.as_bytes());
        assert_eq!(client.answer().status(), status, "{name}");
        if status != 200 {
            assert!(client.is_closed(), "{name}");
        }
    }
    let mut client = proxy.client();
    client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n");
    assert_eq!(client.answer().status(), 400);
    eventually("the counts", || {
        let limits = [(Limit::MaxHead, 2), (Limit::MaxHeaders, 1)];
        proxy.seen.limits() == limits && proxy.seen.malformed.load(SeqCst) == 2
    });
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn the_number_of_headers_can_be_set() {
    let origin = Origin::always(OK);
    let mut setup = setup(&origin.url());
    setup.config.limits.max_headers = 150;
    let proxy = setup.run();
    for (count, status) in [(149, 200), (150, 431)] {
        let lines: String = (0..count).map(|n| format!("x-{n}: a\r\n")).collect();
        let request = format!("GET /predict HTTP/1.1\r\nhost: a\r\n{lines}\r\n");
        assert_eq!(proxy.ask(request.as_bytes()).status(), status, "{count}");
    }
}

#[test]
fn a_head_that_dribbles_in_is_cut_and_one_that_waits_is_not() {
    let origin = Origin::always(OK);
    let mut setup = setup(&origin.url());
    setup.config.limits.header_timeout = SHORT;
    let proxy = setup.run();
    // The time runs from the first byte: neither while nothing has come, nor between requests.
    let mut patient = proxy.client();
    for _ in 0..2 {
        assert!(!patient.hears_within(2 * SHORT));
        patient.send(&post(b"x"));
        assert_eq!(patient.answer().status(), 200);
    }
    assert_eq!(proxy.seen.limits(), []);
    // Bytes that come do not lengthen it.
    let mut slow = proxy.client();
    let begun = Instant::now();
    let line = "GET /predict HTTP/1.1\r\nx: ".bytes();
    for byte in line.chain(std::iter::repeat(b'y')).take(10_000) {
        slow.send(&[byte]);
        if slow.hears_within(Duration::from_millis(5)) {
            break;
        }
    }
    let answer = slow.answer();
    assert!(begun.elapsed() >= SHORT, "{:?}", begun.elapsed());
    assert_eq!(answer.status(), 408);
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    assert_eq!(proxy.seen.limits(), [(Limit::HeaderTimeout, 1)]);
    // A request that is complete by then is served, in however many parts it comes.
    let mut parts = proxy.client();
    for part in post(b"whole").chunks(7) {
        parts.send(part);
    }
    assert_eq!(parts.answer().status(), 200);
}

#[test]
fn connections_that_idle_are_closed_and_busy_ones_are_not() {
    let (go_on, waits) = mpsc::channel();
    let waits = Mutex::new(waits);
    let origin = Origin::new(move |mut visit| {
        while visit.request().is_some() {
            waits.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            visit.send(OK);
        }
    });
    let mut setup = setup(&origin.url());
    setup.config.limits.idle_timeout = SHORT;
    let proxy = setup.run();
    let begun = Instant::now();
    let mut silent = proxy.client();
    assert!(silent.is_closed());
    assert!(begun.elapsed() >= SHORT);
    let mut client = proxy.client();
    client.send(&post(b"x"));
    assert!(!client.hears_within(3 * SHORT));
    go_on.send(()).unwrap();
    assert_eq!(client.answer().status(), 200);
    let answered = Instant::now();
    assert!(client.is_closed());
    assert!(answered.elapsed() >= SHORT - Duration::from_millis(20));
    assert_eq!(proxy.seen.limits(), [(Limit::IdleTimeout, 2)]);
    proxy.settle();
}

#[test]
fn a_body_that_does_not_go_on_is_a_408_and_not_whole_for_the_upstream() {
    let (ended, end) = mpsc::channel();
    let ended = Mutex::new(ended);
    let origin = Origin::new(move |mut visit| {
        let mut seen = Vec::new();
        let _ = std::io::Read::read_to_end(&mut visit.peer.stream, &mut seen);
        ended.lock().unwrap().send(seen).unwrap();
    });
    let mut setup = setup(&origin.url());
    setup.config.limits.body_timeout = SHORT;
    let mut proxy = setup.run();
    for framing in ["content-length: 10", "transfer-encoding: chunked"] {
        let mut client = proxy.client();
        let head = format!("POST /predict HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n");
        client.send(head.as_bytes());
        // Going on in time, however slowly, is fine.
        for _ in 0..3 {
            assert!(!client.hears_within(SHORT / 2));
            client.send(if framing.starts_with('c') {
                b"a"
            } else {
                b"1\r\na\r\n"
            });
        }
        let begun = Instant::now();
        let answer = client.answer();
        assert!(begun.elapsed() >= SHORT - Duration::from_millis(20));
        assert_eq!(answer.status(), 408, "{framing}");
        assert_eq!(
            answer.header("driftd-error").as_deref(),
            Some("body_timeout")
        );
        assert_eq!(answer.header("connection").as_deref(), Some("close"));
        assert!(client.is_closed());
        let seen = String::from_utf8(end.recv_timeout(PATIENCE).unwrap()).unwrap();
        assert!(!seen.ends_with("0\r\n\r\n"), "{seen}");
        assert_eq!(
            seen.split("\r\n\r\n").nth(1).unwrap().matches('a').count(),
            3
        );
    }
    assert_eq!(proxy.seen.limits(), [(Limit::BodyTimeout, 2)]);
    for exchange in proxy.tapped(2) {
        assert_eq!(
            (exchange.status, exchange.ending),
            (408, Ending::ClientAborted)
        );
    }
    proxy.settle();
}

#[test]
fn a_body_that_stops_once_the_answer_has_begun_cuts_it() {
    let origin = Origin::new(|mut visit| {
        visit.peer.until(b"ab");
        visit.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun");
        // Until the proxy ends it.
        let _ = std::io::Read::read(&mut visit.peer.stream, &mut [0]);
    });
    let mut setup = setup(&origin.url());
    setup.config.limits.body_timeout = SHORT;
    let proxy = setup.run();
    let mut client = proxy.client();
    client.send(b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nab");
    let answer = client.answer();
    assert_eq!((answer.status(), answer.whole), (200, false));
    assert_eq!(answer.body, b"begun");
    assert_eq!(proxy.finished(1)[0].error, Some("body_timeout"));
    assert_eq!(proxy.seen.limits(), [(Limit::BodyTimeout, 1)]);
    proxy.settle();
}

#[test]
fn a_client_that_takes_nothing_is_cut_and_a_slow_one_is_not() {
    let (ended, end) = mpsc::channel();
    let ended = Mutex::new(ended);
    let origin = Origin::new(move |mut visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ncontent-length: 40000000\r\n\r\n");
        let block = vec![7; 100_000];
        let mut stream = visit.peer.try_clone();
        let mut sent = 0;
        while sent < 400 && std::io::Write::write_all(&mut stream, &block).is_ok() {
            sent += 1;
        }
        ended.lock().unwrap().send(sent).unwrap();
    });
    let mut setup = setup(&origin.url());
    setup.config.limits.write_timeout = 2 * SHORT;
    let proxy = setup.run();
    let mut deaf = proxy.client();
    deaf.send(&post(b"x"));
    let sent: i32 = end.recv_timeout(PATIENCE).unwrap();
    assert!(sent < 400, "all of it was taken: {sent}");
    proxy.finished(1);
    assert_eq!(proxy.seen.limits(), [(Limit::WriteTimeout, 1)]);
    // Else the kernel would keep for the client what it does not take.
    eventually("a reset", || {
        let error = deaf.stream.take_error().unwrap();
        error.is_some_and(|error| error.kind() == ErrorKind::ConnectionReset)
    });
    assert!(!deaf.answer().whole);

    let mut slow = proxy.client();
    slow.send(&post(b"x"));
    slow.until(b"\r\n\r\n");
    let mut sent = None;
    for _ in 0..20 {
        // Longer than the limit in all, shorter each time; the last of it waits in buffers.
        sent = sent.or(end.recv_timeout(SHORT / 5).ok());
        slow.exactly(2_000_000);
    }
    assert_eq!(sent.or(end.recv_timeout(PATIENCE).ok()), Some(400));
    assert_eq!(proxy.seen.limits(), [(Limit::WriteTimeout, 1)]);
    drop(slow);
    proxy.settle();
}

#[test]
fn the_last_place_for_a_connection_is_counted() {
    let origin = Origin::always(OK);
    let mut setup = setup(&origin.url());
    setup.config.max_connections = NonZeroUsize::new(2).unwrap();
    let proxy = setup.run();
    let mut first = proxy.client();
    first.send(&post(b"x"));
    assert_eq!(first.answer().status(), 200);
    let mut second = proxy.client();
    second.send(&post(b"x"));
    assert_eq!(second.answer().status(), 200);
    eventually("the count", || {
        proxy.seen.limits() == [(Limit::MaxConnections, 1)]
    });
}
