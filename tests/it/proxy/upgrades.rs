//! Connections that switch to another protocol.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use driftd::metrics::connection::Limit;
use driftd::proxy::{Drained, Forwarded};

use super::harness::{Running, Setup, setup};
use super::origin::Origin;
use super::wire::{Client, noise, post};
use crate::waiting::{PATIENCE, eventually};

const ASK: &[u8] = b"GET /predict HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nx-request-id: t\r\n\r\n";
const PASSED: &str = "GET /predict HTTP/1.1\r\nhost: a\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\
    x-request-id: t\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
const GRANT: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    date: D\r\nx-request-id: t\r\n\r\n";
const GRANTED: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\ndate: D\r\nx-request-id: t\r\n\
    connection: upgrade\r\nupgrade: websocket\r\n\r\n";

/// The lines of a head, in an order that does not depend on that of different names.
fn lines(head: &[u8]) -> Vec<String> {
    let head = std::str::from_utf8(head).unwrap();
    let mut lines: Vec<_> = head.split("\r\n").map(str::to_owned).collect();
    lines[1..].sort();
    lines
}

fn plain(origin: &Origin) -> Setup {
    let mut setup = setup(&origin.url());
    setup.config.limits.forwarded = Forwarded::Off;
    setup
}

/// An upstream that grants the switch and hands its side of each tunnel over.
fn granting() -> (Origin, mpsc::Receiver<Client>) {
    let (hand, handed) = mpsc::channel();
    let hand = Mutex::new(hand);
    let origin = Origin::new(move |mut visit| {
        let head = visit.peer.until(b"\r\n\r\n");
        assert_eq!(lines(&head), lines(PASSED.as_bytes()));
        visit.send(GRANT);
        hand.lock().unwrap().send(visit.peer).unwrap();
    });
    (origin, handed)
}

/// A tunnel through the proxy: the client's side, then the upstream's.
fn tunnel(proxy: &Running, handed: &mpsc::Receiver<Client>) -> (Client, Client) {
    let mut client = proxy.client();
    client.send(ASK);
    let upstream = handed.recv_timeout(PATIENCE).unwrap();
    let head = client.until(b"\r\n\r\n");
    assert_eq!(lines(&head), lines(GRANTED.as_bytes()));
    (client, upstream)
}

#[test]
fn a_tunnel_passes_every_byte_both_ways_and_is_counted_but_not_tapped() {
    let (origin, handed) = granting();
    let proxy = plain(&origin).run();
    let (mut client, mut upstream) = tunnel(&proxy, &handed);
    eventually("the tunnel", || proxy.seen.tunnels.load(SeqCst) == 1);
    upstream.send(b"\x81\x05hello");
    assert_eq!(client.exactly(7), b"\x81\x05hello");
    // What looks like HTTP is no more than bytes.
    client.send(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(upstream.exactly(18), b"GET / HTTP/1.1\r\n\r\n");
    let body = noise(5_000_000);
    let (mut sending, sent) = (client.try_clone(), body.clone());
    let writer = std::thread::spawn(move || sending.write_all(&sent).unwrap());
    assert!(upstream.exactly(body.len()) == body);
    writer.join().unwrap();
    let (mut sending, sent) = (upstream.try_clone(), body.clone());
    let writer = std::thread::spawn(move || sending.write_all(&sent).unwrap());
    assert!(client.exactly(body.len()) == body);
    writer.join().unwrap();

    // Half-close: the client has said all, and still hears.
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert!(upstream.is_closed());
    upstream.send(b"last words");
    assert_eq!(client.exactly(10), b"last words");
    drop(upstream);
    assert!(client.is_closed());
    eventually("the tunnel's end", || proxy.seen.tunnels.load(SeqCst) == 0);
    let bytes = proxy.seen.tunnel_bytes.each_ref().map(|n| n.load(SeqCst));
    assert_eq!(bytes, [5_000_018, 5_000_017]);
    assert_eq!(proxy.seen.offered.load(SeqCst), 0);
    let done = &proxy.finished(1)[0];
    assert_eq!((done.status, done.error), (101, None));
    assert!(proxy.settle().is_empty());
}

#[test]
fn bytes_sent_before_the_grant_are_not_lost() {
    let (origin, handed) = granting();
    let proxy = plain(&origin).run();
    let mut client = proxy.client();
    client.send(&[ASK, b"eager"].concat());
    let mut upstream = handed.recv_timeout(PATIENCE).unwrap();
    assert_eq!(upstream.exactly(5), b"eager");
    // The upstream half-closes, too.
    upstream.stream.shutdown(Shutdown::Write).unwrap();
    client.until(b"\r\n\r\n");
    assert!(client.is_closed());
    client.send(b"more");
    assert_eq!(upstream.exactly(4), b"more");
    drop(client);
    assert!(upstream.is_closed());
}

#[test]
fn an_upstream_that_does_not_switch_answers_as_ever() {
    let origin = Origin::always("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno");
    let proxy = plain(&origin).run();
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send(ASK);
        assert_eq!(client.answer().body, b"no");
        client.send(&post(b"x"));
        assert_eq!(client.answer().body, b"no");
    }
    client.send(b"GET /predict HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert_eq!(client.answer().body, b"no");
    assert!(client.is_closed());
    assert_eq!(origin.connections(), 1);
    assert_eq!(proxy.settle().len(), 3, "those that asked are not tapped");
}

#[test]
fn a_grant_of_something_else_is_no_grant() {
    for head in [
        "upgrade: other\r\nconnection: upgrade\r\n",
        "upgrade: websocket, other\r\nconnection: upgrade\r\n",
        "upgrade: websocket\r\n",
        "connection: upgrade\r\n",
    ] {
        let origin = Origin::always(format!("HTTP/1.1 101 Switching Protocols\r\n{head}\r\n"));
        let proxy = plain(&origin).run();
        let answer = proxy.ask(ASK);
        assert_eq!(answer.status(), 502, "{head}");
        assert_eq!(
            answer.header("driftd-error").as_deref(),
            Some("upstream_protocol")
        );
        assert_eq!(proxy.seen.tunnels.load(SeqCst), 0);
    }
}

#[test]
fn what_cannot_be_switched_to_is_not_asked_for() {
    let origin = Origin::always("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let proxy = plain(&origin).run();
    for lines in [
        // As Java's HttpClient and curl --http2 ask, bodies and all.
        "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAM\r\n",
        "connection: upgrade\r\nupgrade: HTTP/2.0\r\n",
        "connection: upgrade\r\nupgrade: websocket, other\r\n",
        "upgrade: websocket\r\n",
    ] {
        let request =
            format!("POST /predict HTTP/1.1\r\nhost: a\r\n{lines}content-length: 4\r\n\r\nbody");
        assert_eq!(proxy.ask(request.as_bytes()).status(), 200, "{lines}");
        let request = origin.requests().pop().unwrap();
        assert_eq!(request.body, b"body");
        for gone in ["upgrade", "connection", "http2-settings"] {
            assert_eq!(request.header(gone), None, "{lines}");
        }
    }
    // They are exchanges like any other.
    assert_eq!(proxy.settle().len(), 4);
}

#[test]
fn a_switch_asked_for_with_a_body_goes_nowhere() {
    let origin = Origin::echo();
    let proxy = plain(&origin).run();
    for framing in [
        "content-length: 3\r\n\r\nabc",
        "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ] {
        let mut client = proxy.client();
        let head = "POST /predict HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket";
        client.send(format!("{head}\r\n{framing}").as_bytes());
        assert_eq!(client.answer().status(), 400, "{framing}");
        assert!(client.is_closed());
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_tunnel_keeps_its_place_among_the_connections() {
    let (origin, handed) = granting();
    let mut setup = plain(&origin);
    setup.config.max_connections = NonZeroUsize::MIN;
    let proxy = setup.run();
    let (client, mut upstream) = tunnel(&proxy, &handed);
    let mut waiting = proxy.client();
    waiting.send(ASK);
    let wait = handed.recv_timeout(Duration::from_millis(200));
    assert!(wait.is_err(), "a second connection was served");
    drop(client);
    assert!(upstream.is_closed());
    drop(upstream);
    handed.recv_timeout(PATIENCE).unwrap();
    waiting.until(b"\r\n\r\n");
}

#[test]
fn a_silent_tunnel_is_cut_and_a_slow_one_is_not() {
    const SILENCE: Duration = Duration::from_secs(1);
    let (origin, handed) = granting();
    let mut setup = plain(&origin);
    setup.config.limits.tunnel_timeout = Some(SILENCE);
    // The time of a tunnel is none of these.
    setup.config.limits.idle_timeout = SILENCE / 20;
    setup.config.limits.write_timeout = SILENCE / 20;
    let proxy = setup.run();
    let (mut client, mut upstream) = tunnel(&proxy, &handed);
    // Longer than the limit in all, and for each side alone; never without a byte of either.
    for _ in 0..6 {
        assert!(!upstream.hears_within(SILENCE / 5));
        client.send(b"c");
        assert_eq!(upstream.exactly(1), b"c");
    }
    for _ in 0..6 {
        assert!(!client.hears_within(SILENCE / 5));
        upstream.send(b"u");
        assert_eq!(client.exactly(1), b"u");
    }
    assert_eq!(proxy.seen.limits(), []);
    // Nothing is said into it: what passes is not HTTP.
    assert!(client.is_closed());
    assert!(upstream.is_closed());
    eventually("the tunnel's end", || proxy.seen.tunnels.load(SeqCst) == 0);
    assert_eq!(proxy.seen.limits(), [(Limit::TunnelTimeout, 1)]);
    let done = &proxy.finished(1)[0];
    assert_eq!((done.status, done.error), (101, None));
}

#[test]
fn the_drain_waits_for_tunnels_and_then_cuts_them() {
    for (ends, grace) in [
        (true, Duration::from_secs(10)),
        (false, Duration::from_millis(200)),
    ] {
        let (origin, handed) = granting();
        let mut setup = plain(&origin);
        setup.grace = grace;
        let mut proxy = setup.run();
        let (mut client, mut upstream) = tunnel(&proxy, &handed);
        proxy.shut_down();
        eventually("the drain", || {
            std::net::TcpStream::connect(proxy.address).is_err()
        });
        client.send(b"still here");
        assert_eq!(upstream.exactly(10), b"still here");
        if ends {
            drop(client);
            assert!(upstream.is_closed());
            drop(upstream);
        }
        let expected = Drained {
            completed: usize::from(ends),
            aborted: usize::from(!ends),
        };
        assert_eq!(proxy.drained(), expected);
        assert_eq!(proxy.seen.tunnels.load(SeqCst), 0);
    }
}

/// One side of a tunnel that breaks takes the other with it, also amid bytes.
#[test]
fn a_broken_side_breaks_the_tunnel() {
    let (origin, handed) = granting();
    let proxy = plain(&origin).run();
    let (mut client, upstream) = tunnel(&proxy, &handed);
    // Bytes unread when it closes make its end a reset.
    client.send(b"unread");
    eventually("the bytes", || proxy.seen.tunnel_bytes[0].load(SeqCst) == 6);
    drop(upstream);
    let mut stream = client.try_clone();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    while stream.write_all(&[0; 1000]).is_ok() {}
    let _ = stream.read(&mut [0]);
    eventually("the tunnel's end", || proxy.seen.tunnels.load(SeqCst) == 0);
}
