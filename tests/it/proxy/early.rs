//! Answers that come before the request is over, and clients that leave while nobody reads them.

use std::io::{self, Write};
use std::sync::{Mutex, mpsc};
use std::thread;

use driftd::exchange::Ending;

use super::harness::setup;
use super::origin::Origin;
use super::wire::{Client, noise, post};
use crate::waiting::{PATIENCE, eventually};

/// Uploads without listening, as many clients do.
fn upload(client: &Client, request: Vec<u8>) -> thread::JoinHandle<io::Result<()>> {
    let mut sending = client.try_clone();
    thread::spawn(move || sending.write_all(&request))
}

#[test]
fn an_early_answer_of_an_upstream_that_closes_reaches_a_client_that_still_uploads() {
    // It closes with the upload unread, which resets the connection.
    let origin = Origin::new(|mut visit| {
        visit.peer.until(b"\r\n\r\n");
        visit.send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 9\r\n\r\ntoo large");
    });
    let mut proxy = setup(&origin.url()).run();
    for round in 0..20 {
        let mut client = proxy.client();
        let writer = upload(&client, post(&noise(40_000_000)));
        let answer = client.answer();
        assert_eq!(answer.status(), 413, "round {round}: {answer:?}");
        assert_eq!(answer.body, b"too large", "round {round}");
        // The proxy reads on after it, so that the client need not stumble over the end.
        writer.join().unwrap().unwrap();
        drop(client);
    }
    for exchange in proxy.tapped(20) {
        assert_eq!((exchange.status, exchange.ending), (413, Ending::Complete));
    }
    proxy.settle();
}

#[test]
fn an_answer_of_our_own_reaches_a_client_that_still_uploads() {
    let proxy = setup("http://127.0.0.1:1").run();
    for head in [
        // Refused at the head.
        "POST /predict HTTP/1.1\r\ncontent-length: 40000000\r\n\r\n",
        // Nobody listens there.
        "POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 40000000\r\n\r\n",
        // Not a head at all.
        "POST /predict HTTP/1.1\r\nno header\r\n\r\n",
    ] {
        for _ in 0..3 {
            let mut client = proxy.client();
            let writer = upload(&client, [head.as_bytes(), &noise(40_000_000)].concat());
            // It reads only when it has sent all: more than any buffer on the way holds.
            writer.join().unwrap().unwrap();
            let answer = client.answer();
            assert!(matches!(answer.status(), 400 | 502), "{head}: {answer:?}");
            assert!(answer.whole, "{head}");
            assert!(client.is_closed(), "{head}");
        }
    }
    proxy.settle();
}

#[test]
fn an_answer_passes_while_the_request_goes_on() {
    let origin = Origin::new(|mut visit| {
        visit.peer.until(b"\r\n\r\n");
        visit.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        for _ in 0..3 {
            let piece = visit.peer.until(b"\r\n");
            let size = usize::from_str_radix(std::str::from_utf8(&piece).unwrap().trim(), 16);
            let data = visit.peer.exactly(size.unwrap() + 2);
            visit.send([&piece[..], &data].concat());
        }
        visit.peer.until(b"0\r\n\r\n");
        visit.send("0\r\n\r\n");
    });
    let proxy = setup(&origin.url()).run();
    let mut client = proxy.client();
    client.send(b"POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    client.until(b"\r\n\r\n");
    for word in ["one", "two", "six"] {
        // The next goes out only once the answer to the one before is in.
        client.send(format!("3\r\n{word}\r\n").as_bytes());
        client.until(format!("3\r\n{word}\r\n").as_bytes());
    }
    client.send(b"0\r\n\r\n");
    client.until(b"0\r\n\r\n");
    drop(client);
    let taken = proxy.settle();
    assert_eq!(taken[0].request.bytes, b"onetwosix");
    assert_eq!(taken[0].response.bytes, b"onetwosix");
}

#[test]
fn a_client_that_leaves_behind_another_request_takes_both_with_it() {
    let (ended, end) = mpsc::channel();
    let ended = Mutex::new(ended);
    let origin = Origin::new(move |mut visit| {
        visit.request();
        // Nothing more comes but the end.
        assert!(visit.request().is_none());
        ended.lock().unwrap().send(()).unwrap();
    });
    let mut proxy = setup(&origin.url()).run();
    let mut client = proxy.client();
    client.send(&[post(b"first"), post(b"second")].concat());
    eventually("the first at the upstream", || origin.requests().len() == 1);
    drop(client);
    end.recv_timeout(PATIENCE).unwrap();
    let exchange = &proxy.tapped(1)[0];
    assert_eq!(
        (exchange.status, exchange.ending),
        (499, Ending::ClientAborted)
    );
    assert_eq!(exchange.request.bytes, b"first");
    proxy.settle();
}

#[test]
fn a_client_that_leaves_while_the_upstream_takes_nothing_is_missed() {
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let origin = Origin::new(move |mut visit| {
        visit.peer.until(b"\r\n\r\n");
        visit.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf.");
        // It reads nothing of the upload as long as the test runs.
        let _ = gone.lock().unwrap().recv_timeout(PATIENCE);
    });
    let proxy = setup(&origin.url()).run();
    let client = proxy.client();
    let writer = upload(&client, post(&noise(50_000_000)));
    eventually("the answer's begin", || {
        client.stream.peek(&mut [0; 512]).unwrap() > 100
    });
    // With the answer unread, its end is a reset, which passes the full buffers.
    client.stream.shutdown(std::net::Shutdown::Both).unwrap();
    drop(client);
    assert!(writer.join().unwrap().is_err());
    let done = &proxy.finished(1)[0];
    assert_eq!((done.status, done.error), (200, Some("client_aborted")));
    go.send(()).unwrap();
    proxy.settle();
}

/// A stream of events may be quiet for long: the upstream hears of it all the same.
#[test]
fn a_client_that_leaves_a_quiet_stream_ends_it_at_the_upstream() {
    let (ended, end) = mpsc::channel();
    let ended = Mutex::new(ended);
    let origin = Origin::new(move |mut visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\none.\r\n");
        assert!(visit.request().is_none());
        ended.lock().unwrap().send(()).unwrap();
    });
    let proxy = setup(&origin.url()).run();
    let mut client = proxy.client();
    client.send(&post(b"x"));
    client.until(b"one.");
    drop(client);
    end.recv_timeout(PATIENCE).unwrap();
    assert_eq!(proxy.finished(1)[0].error, Some("client_aborted"));
    proxy.settle();
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let origin = Origin::echo();
    let proxy = setup(&origin.url()).run();
    let mut client = proxy.client();
    let all: Vec<u8> = (0..50u8).flat_map(|n| post(&[n; 100])).collect();
    client.send(&all);
    for n in 0..50u8 {
        assert_eq!(client.answer().body, [n; 100]);
    }
    assert_eq!(origin.connections(), 1);
    drop(client);
    assert_eq!(proxy.settle().len(), 50);
}
