//! The end: what is under way is finished, what idles is closed, what comes is refused.

use std::net::TcpStream;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use driftd::exchange::Ending;
use driftd::proxy::Drained;

use super::harness::setup;
use super::origin::Origin;
use super::wire::post;
use crate::waiting::eventually;

/// An upstream that answers when told to.
fn held_back() -> (Origin, mpsc::Sender<()>) {
    let (go, gone) = mpsc::channel();
    let gone = Mutex::new(gone);
    let origin = Origin::new(move |mut visit| {
        while visit.request().is_some() {
            if gone.lock().unwrap().recv().is_err() {
                return;
            }
            visit.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone");
        }
    });
    (origin, go)
}

#[test]
fn what_is_under_way_is_finished_and_nothing_else_begins() {
    let (origin, go) = held_back();
    let mut proxy = setup(&origin.url()).run();
    let mut idle = proxy.client();
    go.send(()).unwrap();
    idle.send(&post(b"x"));
    assert_eq!(idle.answer().status(), 200);
    let mut fresh = proxy.client();
    let mut busy = proxy.client();
    busy.send(&post(b"x"));
    eventually("the request at the upstream", || {
        origin.requests().len() == 2
    });
    proxy.shut_down();
    assert!(idle.is_closed());
    assert!(fresh.is_closed());
    eventually("refusal", || TcpStream::connect(proxy.address).is_err());
    go.send(()).unwrap();
    let answer = busy.answer();
    assert_eq!(answer.body, b"done");
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    assert!(busy.is_closed());
    let Drained { completed, aborted } = proxy.drained();
    assert_eq!(aborted, 0);
    assert!((1..=3).contains(&completed), "{completed}");
    assert_eq!(proxy.tapped(2).len(), 2);
}

#[test]
fn the_deadline_cuts_what_is_left_and_says_so() {
    let (origin, _go) = held_back();
    let mut setup = setup(&origin.url());
    setup.grace = Duration::from_millis(100);
    let mut proxy = setup.run();
    let mut busy = proxy.client();
    busy.send(&post(b"x"));
    eventually("the request at the upstream", || {
        origin.requests().len() == 1
    });
    let begun = Instant::now();
    assert_eq!(
        proxy.drained(),
        Drained {
            completed: 0,
            aborted: 1
        }
    );
    assert!(begun.elapsed() >= Duration::from_millis(100));
    assert!(busy.is_closed());
    let done = &proxy.finished(1)[0];
    assert_eq!((done.status, done.error), (499, Some("shutdown")));
    assert_eq!(proxy.tapped(1)[0].ending, Ending::ClientAborted);
}

#[test]
fn the_tap_closes_after_the_last_exchange() {
    let (origin, go) = held_back();
    let mut proxy = setup(&origin.url()).run();
    let mut client = proxy.client();
    client.send(&post(b"x"));
    eventually("the request at the upstream", || {
        origin.requests().len() == 1
    });
    proxy.shut_down();
    go.send(()).unwrap();
    assert_eq!(client.answer().status(), 200);
    let taken = proxy.settle();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].response.bytes, b"done");
}
