//! Bodies pass unchanged, whatever their framing.

use std::io::Write as _;
use std::thread;

use super::harness::setup;
use super::origin::Origin;
use super::wire::{noise, post};

#[test]
fn fixed_lengths_pass_unchanged() {
    let origin = Origin::echo();
    let proxy = setup(&origin.url()).run();
    let mut client = proxy.client();
    for length in [0, 1, 100, 70_000, 20_000_000] {
        let body = noise(length);
        let mut sending = client.try_clone();
        let request = post(&body);
        let sender = std::thread::spawn(move || std::io::Write::write_all(&mut sending, &request));
        let answer = client.answer();
        sender.join().unwrap().unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.whole && answer.body == body, "{length} bytes");
        assert_eq!(answer.header("content-length"), Some(length.to_string()));
        let requests = origin.requests();
        let request = requests.last().unwrap();
        assert_eq!(request.header("content-length"), Some(length.to_string()));
        assert_eq!(request.header("transfer-encoding"), None);
    }
    proxy.settle();
}

#[test]
fn chunked_bodies_pass_in_both_directions_with_trailers() {
    let origin = Origin::always(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
         3\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 5\r\n\r\n",
    );
    let proxy = setup(&origin.url()).run();
    let answer = proxy.ask(
        b"POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nte: trailers\r\n\
          trailer: x-crc\r\n\r\n4\r\nwiki\r\n5\r\npedia\r\n0\r\nx-crc: 9\r\n\r\n",
    );
    assert_eq!(
        (answer.body.as_slice(), answer.whole),
        (&b"abcde"[..], true)
    );
    assert_eq!(answer.trailers, "x-sum: 5\r\n");
    assert_eq!(answer.header("content-length"), None);
    let request = &origin.requests()[0];
    assert_eq!(request.body, b"wikipedia");
    assert_eq!(request.trailers, "x-crc: 9\r\n");
    assert_eq!(request.header("te").as_deref(), Some("trailers"));
}

#[test]
fn a_get_keeps_its_body_of_unknown_length() {
    let origin = Origin::echo();
    let proxy = setup(&origin.url()).run();
    let answer = proxy
        .ask(b"GET /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_eq!(answer.body, b"abc");
    let plain = proxy.ask(b"GET /predict HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(plain.body, b"");
    assert_eq!(origin.requests()[1].header("transfer-encoding"), None);
    proxy.settle();
}

#[test]
fn answers_without_a_body_have_none_and_leave_the_connection_usable() {
    let origin = Origin::new(|mut visit| {
        while let Some(request) = visit.request() {
            visit.send(match request.head.split(' ').next().unwrap() {
                "HEAD" => "HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n",
                "DELETE" => "HTTP/1.1 204 No Content\r\n\r\n",
                "GET" => "HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            });
        }
    });
    let mut proxy = setup(&origin.url()).run();
    let mut client = proxy.client();
    client.send(b"HEAD /predict HTTP/1.1\r\nhost: a\r\n\r\n");
    let answer = client.bodiless();
    assert_eq!(answer.header("content-length").as_deref(), Some("1234"));
    client.send(b"DELETE /predict HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.answer().status(), 204);
    client.send(b"GET /predict HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.answer().status(), 304);
    client.send(&post(b"x"));
    assert_eq!(client.answer().body, b"ok");
    assert_eq!(origin.connections(), 1);
    for exchange in proxy.tapped(4) {
        assert_eq!(exchange.ending.reason(), "", "{exchange:?}");
    }
}

#[test]
fn an_answer_that_ends_with_its_connection_becomes_chunked() {
    let origin = Origin::new(|mut visit| {
        visit.request();
        visit.send("HTTP/1.0 200 OK\r\n\r\nall there is");
    });
    let proxy = setup(&origin.url()).run();
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send(&post(b"x"));
        let answer = client.answer();
        assert!(answer.head.starts_with("HTTP/1.1 200 OK"));
        assert_eq!(answer.body, b"all there is");
    }
    proxy.settle();
}

#[test]
fn clients_of_http_1_0_get_plain_bodies() {
    let origin = Origin::always(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    let proxy = setup(&origin.url()).run();
    let answer = proxy.ask(b"POST /predict HTTP/1.0\r\ncontent-length: 1\r\n\r\nx");
    assert!(
        answer.head.starts_with("HTTP/1.0 200 OK"),
        "{}",
        answer.head
    );
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(answer.body, b"abc");
    let request = &origin.requests()[0];
    assert!(request.head.starts_with("POST /predict HTTP/1.1"));
    assert_eq!(request.header("host"), Some(origin.address.to_string()));
}

#[test]
fn events_arrive_one_by_one() {
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let origin = Origin::new(move |mut visit| {
        visit.request();
        visit.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n");
        visit.send("transfer-encoding: chunked\r\n\r\n");
        for event in 0..3 {
            visit.send(format!("9\r\ndata: {event}\n\n\r\n"));
            gone.lock().unwrap().recv().unwrap();
        }
        visit.send("0\r\n\r\n");
    });
    let proxy = setup(&origin.url()).run();
    let mut client = proxy.client();
    client.send(&post(b"x"));
    for event in 0..3 {
        // The next one is sent only after this one was seen.
        client.until(format!("data: {event}\n\n").as_bytes());
        go.send(()).unwrap();
    }
    client.until(b"0\r\n\r\n");
}

#[test]
fn an_upload_is_passed_on_as_it_comes_and_answered_early() {
    let origin = Origin::new(|mut visit| {
        visit.peer.until(b"\r\n\r\n");
        assert_eq!(visit.peer.exactly(5), b"first");
        visit.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly");
        assert_eq!(visit.peer.exactly(6), b"second");
    });
    let proxy = setup(&origin.url()).run();
    let mut client = proxy.client();
    client.send(b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 11\r\n\r\nfirst");
    let answer = client.answer();
    assert_eq!(answer.body, b"early");
}

#[test]
fn an_upload_goes_on_while_nothing_of_an_early_answer_is_taken() {
    // More than all buffers on the way hold.
    const LENGTH: usize = 48 << 20;
    let origin = Origin::new(|mut visit| {
        visit.peer.until(b"\r\n\r\n");
        let mut answering = visit.peer.try_clone();
        let answer = thread::spawn(move || {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
            answering.write_all(head.as_bytes()).unwrap();
            answering.write_all(&vec![b'y'; LENGTH]).unwrap();
        });
        visit.peer.exactly(LENGTH);
        answer.join().unwrap();
    });
    let proxy = setup(&origin.url()).run();
    let mut client = proxy.client();
    let head = format!("POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: {LENGTH}\r\n\r\n");
    client.send(head.as_bytes());
    client.send(&vec![b'x'; LENGTH]);
    let answer = client.answer();
    assert_eq!((answer.status(), answer.body.len()), (200, LENGTH));
}

#[test]
fn a_length_beside_chunks_in_an_answer_is_not_believed() {
    let origin = Origin::always(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n\
         6\r\nabcdef\r\n0\r\n\r\n",
    );
    let proxy = setup(&origin.url()).run();
    let answer = proxy.ask(&post(b"x"));
    assert_eq!(
        (answer.body.as_slice(), answer.whole),
        (&b"abcdef"[..], true)
    );
    assert_eq!(answer.header("content-length"), None);
}

#[test]
fn expect_is_answered_here_and_not_passed_on() {
    let origin = Origin::echo();
    let proxy = setup(&origin.url()).run();
    let mut client = proxy.client();
    client.send(
        b"POST /predict HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n",
    );
    client.until(b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send(b"abc");
    assert_eq!(client.answer().body, b"abc");
    assert_eq!(origin.requests()[0].header("expect"), None);
}
