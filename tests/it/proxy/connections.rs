//! Connections to the upstream: kept, given up in time, never trusted blindly.

use std::io::{Read as _, Write as _};
use std::num::NonZeroUsize;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use super::harness::setup;
use super::origin::{Origin, serve_unix};
use super::wire::{Client, post};
use crate::waiting::{PATIENCE, eventually};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const OK_CLOSE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

#[test]
fn one_client_connection_uses_one_upstream_connection() {
    let origin = Origin::always(OK);
    let proxy = setup(&origin.url()).run();
    let mut client = proxy.client();
    for _ in 0..100 {
        client.send(&post(b"x"));
        assert_eq!(client.answer().body, b"ok");
    }
    assert_eq!(origin.connections(), 1);
    assert_eq!(origin.requests().len(), 100);
}

#[test]
fn a_connection_outlives_its_client() {
    let origin = Origin::always(OK);
    let mut setup = setup(&origin.url());
    setup.config.threads = NonZeroUsize::MIN;
    let proxy = setup.run();
    for number in 1..=20 {
        let mut client = proxy.client();
        client.send(
            b"POST /predict HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx",
        );
        assert_eq!(client.answer().body, b"ok");
        // The proxy closes after it has put the upstream connection aside, or just before.
        assert!(client.is_closed());
        proxy.finished(number);
    }
    assert!(origin.connections() <= 2, "{}", origin.connections());
}

/// A thousand clients that are mostly silent should not cost the upstream a thousand connections.
#[test]
fn clients_that_take_turns_share_upstream_connections() {
    let origin = Origin::always(OK);
    let mut setup = setup(&origin.url());
    setup.config.threads = NonZeroUsize::MIN;
    setup.config.upstream_idle = Duration::from_secs(60);
    let proxy = setup.run();
    let mut clients: Vec<_> = (0..50).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send(&post(b"x"));
        assert_eq!(client.answer().body, b"ok");
    }
    // The one just used may not be ready when the next client asks.
    assert!(origin.connections() <= 2, "{}", origin.connections());
    for client in &mut clients {
        client.send(&post(b"x"));
        assert_eq!(client.answer().body, b"ok");
    }
    assert_eq!(origin.requests().len(), 100);
}

/// gunicorn's sync workers; the trap of keeping a connection for each client.
#[test]
fn an_upstream_that_says_close_after_each_response_costs_no_error() {
    let origin = Origin::new(|mut visit| {
        visit.request();
        visit.send(OK_CLOSE);
    });
    let proxy = setup(&origin.url()).run();
    let mut client = proxy.client();
    for _ in 0..500 {
        client.send(&post(b"x"));
        assert_eq!(client.answer().status(), 200);
    }
    let failed = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..64 {
            let mut client = proxy.client();
            let failed = &failed;
            scope.spawn(move || {
                for _ in 0..20 {
                    client.send(&post(b"x"));
                    failed.fetch_add(u64::from(client.answer().status() != 200), SeqCst);
                }
            });
        }
    });
    assert_eq!(failed.into_inner(), 0);
    assert_eq!(origin.requests().len(), 500 + 64 * 20);
    let mut client = proxy.client();
    client.send(&post(b"x"));
    assert_eq!(client.answer().header("connection"), None);
    proxy.settle();
}

/// It does not say so, it just closes; the client goes on.
#[test]
fn an_upstream_that_closes_idle_connections_costs_no_error() {
    let closed = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&closed);
    let origin = Origin::new(move |mut visit| {
        visit.request();
        visit.send(OK);
        drop(visit);
        count.fetch_add(1, SeqCst);
    });
    let proxy = setup(&origin.url()).run();
    let mut client = proxy.client();
    for round in 1..=200 {
        client.send(&post(b"x"));
        assert_eq!(client.answer().status(), 200, "round {round}");
        eventually("the upstream's close", || closed.load(SeqCst) == round);
    }
    assert_eq!(origin.requests().len(), 200);
    proxy.settle();
}

/// A peer that vanished sends no end: only the system's probes find out.
#[test]
fn the_system_probes_upstream_connections() {
    let origin = Origin::always(OK);
    let mut setup = setup(&origin.url());
    setup.config.upstream_idle = PATIENCE;
    let proxy = setup.run();
    let mut client = proxy.client();
    client.send(&post(b"x"));
    assert_eq!(client.answer().status(), 200);
    // proc(5): sl local_address rem_address st tx_queue:rx_queue tr:when …; `tr` 02 is the timer of
    // keep-alive probes.
    let port = format!("0100007F:{:04X}", origin.address.port());
    eventually("the timer of probes", || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let sockets = table.lines().map(|line| line.split_whitespace());
        let mut ours = sockets.filter_map(|mut words| {
            (words.nth(2)? == port).then(|| words.nth(2).unwrap_or_default().to_owned())
        });
        ours.any(|timer| timer.starts_with("02:"))
    });
}

#[test]
fn an_idle_upstream_connection_is_given_back() {
    let (ended, end) = mpsc::channel();
    let ended = Mutex::new(ended);
    let origin = Origin::new(move |mut visit| {
        visit.request();
        visit.send(OK);
        assert!(visit.request().is_none());
        ended.lock().unwrap().send(()).unwrap();
    });
    let mut setup = setup(&origin.url());
    setup.config.upstream_idle = Duration::from_millis(50);
    let proxy = setup.run();
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send(&post(b"x"));
        assert_eq!(client.answer().status(), 200);
        // Neither side does anything until the proxy lets go of it.
        end.recv_timeout(PATIENCE).unwrap();
    }
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_unix_upstream_with_a_full_backlog_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("upstream.sock");
    let listener = UnixListener::bind(&path).unwrap();
    // One connection may wait then.
    rustix::net::listen(&listener, 0).unwrap();
    let first = UnixStream::connect(&path).unwrap();
    let proxy = setup(&format!("unix:{}", path.display())).run();
    let mut client = proxy.client();
    client.send(b"GET /predict HTTP/1.1\r\nhost: a\r\n\r\n");
    eventually("the request has come", || {
        proxy.seen.started.load(SeqCst) == 1
    });
    // Nothing shows that it found the backlog full, but that it is not refused.
    assert!(!client.hears_within(Duration::from_millis(100)));
    let upstream = thread::spawn(move || {
        drop(listener.accept().unwrap());
        let (mut stream, _) = listener.accept().unwrap();
        let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        stream.read_exact(&mut [0; 16]).unwrap();
        stream.write_all(ok).unwrap();
        // Until driftd lets the connection go.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    assert_eq!(client.answer().status(), 200);
    drop((client, first, proxy));
    upstream.join().unwrap();
}

#[test]
fn what_an_upstream_says_unasked_is_nobodys_answer() {
    let origin = Origin::new(|mut visit| {
        while visit.request().is_some() {
            visit.send(
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok\
                 HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison",
            );
        }
    });
    let proxy = setup(&origin.url()).run();
    let mut client = proxy.client();
    for _ in 0..50 {
        client.send(&post(b"x"));
        assert_eq!(client.answer().body, b"ok");
    }
    assert_eq!(origin.connections(), 50);
}

#[test]
fn a_unix_socket_serves_as_upstream_and_as_listener() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.sock");
    serve_unix(&path);
    let front = directory.path().join("driftd.sock");
    let listener = UnixListener::bind(&front).unwrap();
    let proxy = setup(&format!("unix:{}", path.display()));
    let proxy = proxy.run_on(listener.into(), ([127, 0, 0, 1], 0).into());
    let mut stream = std::os::unix::net::UnixStream::connect(&front).unwrap();
    std::io::Write::write_all(&mut stream, &post(b"")).unwrap();
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"\r\n\r\nok") {
        assert_eq!(std::io::Read::read(&mut stream, &mut byte).unwrap(), 1);
        seen.push(byte[0]);
    }
    assert!(seen.starts_with(b"HTTP/1.1 200 OK\r\n"));
    drop(stream);
    proxy.settle();
}

#[test]
fn more_connections_than_allowed_wait_their_turn() {
    let origin = Origin::always(OK);
    let mut setup = setup(&origin.url());
    setup.config.max_connections = NonZeroUsize::new(2).unwrap();
    let proxy = setup.run();
    let mut held: Vec<Client> = (0..2).map(|_| proxy.client()).collect();
    for client in &mut held {
        client.send(&post(b"x"));
        assert_eq!(client.answer().status(), 200);
    }
    let mut waiting = proxy.client();
    waiting.send(&post(b"x"));
    held[1].send(&post(b"x"));
    assert_eq!(held[1].answer().status(), 200);
    assert_eq!(origin.requests().len(), 3, "the third waits");
    drop(held.pop());
    assert_eq!(waiting.answer().status(), 200);
}
