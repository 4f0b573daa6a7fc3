//! What the tap takes, what it leaves out, and that traffic never notices.

use std::sync::atomic::Ordering::SeqCst;

use driftd::exchange::Ending;
use driftd::proxy::{Exclude, HeaderList, ModelConfig, Sample, TapState};

use super::harness::setup;
use super::origin::Origin;
use super::wire::{noise, post};
use crate::waiting::eventually;

#[test]
fn both_bodies_are_captured_exactly() {
    let origin = Origin::always(
        "HTTP/1.1 201 Created\r\ncontent-encoding: GZIP\r\ntransfer-encoding: chunked\r\n\r\n\
         3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n",
    );
    let mut proxy = setup(&origin.url()).run();
    let body = noise(60_000);
    assert_eq!(proxy.ask(&post(&body)).status(), 201);
    let exchange = &proxy.tapped(1)[0];
    assert!(exchange.request.bytes == body && !exchange.request.truncated);
    assert_eq!(exchange.request.length, 60_000);
    assert_eq!(exchange.response.bytes, b"abcdef");
    assert_eq!(&*exchange.response.encoding, "gzip");
    assert_eq!((exchange.status, exchange.ending), (201, Ending::Complete));
    assert_eq!((&*exchange.method, &*exchange.route), ("POST", "/predict"));
    assert!(
        exchange
            .upstream
            .is_some_and(|upstream| upstream <= exchange.total)
    );
    proxy.settle();
}

#[test]
fn a_body_over_the_cap_is_cut_in_the_record_alone() {
    let origin = Origin::echo();
    let mut setup = setup(&origin.url());
    setup.tap.max_body = 1000;
    let mut proxy = setup.run();
    let body = noise(300_000);
    let answer = proxy.ask(&post(&body));
    assert!(answer.body == body);
    let exchange = &proxy.tapped(1)[0];
    for captured in [&exchange.request, &exchange.response] {
        assert!(captured.bytes == body[..1000] && captured.truncated);
        assert_eq!(captured.length, 300_000);
    }
    assert_eq!(proxy.seen.truncated.load(SeqCst), 1);
    // Exactly the cap is whole.
    proxy.ask(&post(&body[..1000]));
    assert!(!proxy.tapped(2)[1].request.truncated);
}

#[test]
fn what_a_client_invents_takes_no_room_beside_the_budget() {
    let origin = Origin::echo();
    let mut proxy = setup(&origin.url()).run();
    let (method, coding) = ("M".repeat(20_000), "x".repeat(20_000));
    let request = format!(
        "{method} /predict HTTP/1.1\r\nhost: a\r\ncontent-encoding: {coding}\r\n\
         content-length: 1\r\n\r\nx"
    );
    assert_eq!(proxy.ask(request.as_bytes()).status(), 200);
    let exchange = &proxy.tapped(1)[0];
    assert!(exchange.method.starts_with("MMM") && exchange.method.len() < 100);
    let encoding = &exchange.request.encoding;
    assert!(encoding.starts_with("xxx") && encoding.len() < 200);
}

#[test]
fn a_full_queue_loses_records_and_nothing_else() {
    let origin = Origin::echo();
    let mut setup = setup(&origin.url());
    setup.tap.queue = 100_000;
    let mut proxy = setup.run();
    let body = noise(10_000);
    let mut client = proxy.client();
    for _ in 0..50 {
        client.send(&post(&body));
        assert!(client.answer().body == body);
    }
    proxy.finished(50);
    let lost = proxy.seen.queue_full.load(SeqCst);
    assert!((40..50).contains(&lost), "{lost}");
    // Room again once the receiver has let go.
    proxy.tapped(50 - lost as usize);
    client.send(&post(&body));
    client.answer();
    proxy.tapped(51 - lost as usize);
    drop(client);
    proxy.settle();
}

#[test]
fn bodies_under_way_count_against_the_queue() {
    let origin = Origin::new(|mut visit| while visit.request().is_some() {});
    let mut setup = setup(&origin.url());
    setup.tap.queue = 50_000;
    setup.tap.max_body = 1_000_000;
    let proxy = setup.run();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let mut client = proxy.client();
            client.send(&post(&noise(30_000)));
            client
        })
        .collect();
    eventually("exchanges lost while under way", || {
        proxy.seen.queue_full.load(SeqCst) >= 7
    });
    assert_eq!(proxy.seen.finished.lock().unwrap().len(), 0);
    drop(clients);
    proxy.finished(8);
    proxy.settle();
}

#[test]
fn a_receiver_that_is_gone_costs_counts_alone() {
    let origin = Origin::echo();
    let mut proxy = setup(&origin.url()).run();
    let mut client = proxy.client();
    for _ in 0..10 {
        client.send(&post(b"queued"));
        client.answer();
    }
    proxy.finished(10);
    drop(proxy.take_receiver());
    assert_eq!(proxy.seen.tap_closed.load(SeqCst), 10);
    for _ in 0..10 {
        client.send(&post(b"not even begun"));
        assert_eq!(client.answer().status(), 200);
    }
    proxy.finished(20);
    assert_eq!(proxy.seen.tap_closed.load(SeqCst), 20);
    drop(client);
    proxy.settle();
}

#[test]
fn a_held_exchange_holds_its_share_until_it_is_dropped() {
    let origin = Origin::echo();
    let mut proxy = setup(&origin.url()).run();
    proxy.ask(&post(&noise(5000)));
    proxy.finished(1);
    let mut receiver = proxy.take_receiver();
    let mut held = Vec::new();
    eventually("the exchange", || {
        assert_eq!(
            receiver.drain(10, |tapped| held.push(tapped)),
            TapState::Open
        );
        !held.is_empty()
    });
    assert!(
        (10_000..12_000).contains(&receiver.bytes()),
        "{}",
        receiver.bytes()
    );
    held.clear();
    assert_eq!(receiver.bytes(), 0);
}

#[test]
fn exclusions_and_samples_are_counted() {
    let origin = Origin::echo();
    let mut setup = setup(&origin.url());
    setup.config.models[0] = ModelConfig {
        exclude: vec![Exclude::new("user-agent", "kube-probe").unwrap()],
        sample: Sample::Share(0.5),
        ..setup.config.models[0].clone()
    };
    let proxy = setup.run();
    let mut client = proxy.client();
    for number in 0..200 {
        let agent = if number % 4 == 0 {
            "kube-probe/1.31"
        } else {
            "curl"
        };
        let request = format!(
            "POST /predict HTTP/1.1\r\nhost: a\r\nx-request-id: id-{number}\r\n\
             user-agent: {agent}\r\ncontent-length: 0\r\n\r\n"
        );
        client.send(request.as_bytes());
        assert_eq!(client.answer().status(), 200);
    }
    proxy.finished(200);
    assert_eq!(proxy.seen.offered.load(SeqCst), 200);
    assert_eq!(proxy.seen.excluded.load(SeqCst), 50);
    let out = proxy.seen.sampled_out.load(SeqCst);
    assert!((50..100).contains(&out), "{out} of 150");
    drop(client);
    assert_eq!(proxy.settle().len() as u64, 150 - out);
}

#[test]
fn what_no_model_claims_is_measured_and_not_tapped() {
    let origin = Origin::echo();
    let proxy = setup(&origin.url()).run();
    let answer = proxy.ask(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(answer.status(), 200);
    let done = &proxy.finished(1)[0];
    assert_eq!(
        (done.model, done.route.as_str(), done.status),
        (None, "", 200)
    );
    assert_eq!(proxy.seen.offered.load(SeqCst), 0);
    assert!(proxy.settle().is_empty());
}

#[test]
fn listed_headers_alone_are_captured_and_count_against_the_queue() {
    let origin = Origin::always(
        "HTTP/1.1 200 OK\r\nx-model-version: 7\r\nset-cookie: secret=2\r\ncontent-length: 0\r\n\r\n",
    );
    let mut setup = setup(&origin.url());
    setup.config.headers = HeaderList::new(["X-Tenant", "x-model-version"]).unwrap();
    let mut proxy = setup.run();
    let request = "POST /predict HTTP/1.1\r\nhost: a\r\nx-tenant: acme\r\nX-TENANT: two\r\n\
         authorization: Bearer secret\r\ncookie: secret=1\r\nx-other: no\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(proxy.ask(request.as_bytes()).status(), 200);
    let headers = &proxy.tapped(1)[0].headers;
    let named = |headers: &[driftd::exchange::CapturedHeader]| -> Vec<(String, String)> {
        let pair = |h: &driftd::exchange::CapturedHeader| (h.name.to_string(), h.value.to_string());
        headers.iter().map(pair).collect()
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(named(&headers.request), [pair("x-tenant", "acme, two")]);
    assert_eq!(named(&headers.response), [pair("x-model-version", "7")]);
    // What went to the upstream is whole all the same.
    let seen = origin.requests();
    assert!(format!("{:?}", seen[0]).contains("Bearer secret"));
    proxy.settle();
}

#[test]
fn headers_that_do_not_fit_lose_the_record_alone() {
    let origin = Origin::echo();
    let mut setup = setup(&origin.url());
    let names: Vec<String> = (0..16).map(|n| format!("x-{n}")).collect();
    setup.config.headers = HeaderList::new(names.iter().map(String::as_str)).unwrap();
    setup.tap.queue = 3000;
    let proxy = setup.run();
    let value = "x".repeat(250);
    let lines: String = (names.iter())
        .map(|name| format!("{name}: {value}\r\n"))
        .collect();
    for (lines, lost) in [("", 0), (lines.as_str(), 1)] {
        let request =
            format!("POST /predict HTTP/1.1\r\nhost: a\r\n{lines}content-length: 0\r\n\r\n");
        assert_eq!(proxy.ask(request.as_bytes()).status(), 200);
        proxy.finished(1 + lost);
        assert_eq!(proxy.seen.queue_full.load(SeqCst), lost as u64);
    }
    assert_eq!(proxy.settle().len(), 1);
}

#[test]
fn excluded_paths_are_counted_and_answered() {
    let origin = Origin::echo();
    let mut setup = setup(&origin.url());
    setup.config.models[0].exclude = vec![Exclude::path("/predict/ping").unwrap()];
    let mut proxy = setup.run();
    let mut offered = 0;
    for path in [
        "/predict",
        "/predict/ping",
        "/predict/ping/x",
        "/predict/pings",
    ] {
        let request = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(proxy.ask(request.as_bytes()).status(), 200);
        offered += 1;
        proxy.finished(offered);
    }
    assert_eq!(proxy.seen.offered.load(SeqCst), 4);
    assert_eq!(proxy.seen.excluded.load(SeqCst), 2);
    proxy.tapped(2);
    proxy.settle();
}

/// Two processes that sample share one decision: a retry at the other one fares alike.
#[test]
fn a_retried_id_fares_the_same_at_every_replica() {
    let origin = Origin::echo();
    let replica = || {
        let mut setup = setup(&origin.url());
        setup.config.models[0].sample = Sample::Share(0.5);
        setup.run()
    };
    let replicas = [replica(), replica()];
    let mut ids = Vec::new();
    for proxy in replicas {
        let mut client = proxy.client();
        // Twice each: a retry at the same one, too.
        for number in (0..40).chain(0..40) {
            let request = format!(
                "POST /predict HTTP/1.1\r\nhost: a\r\nx-request-id: id-{number}\r\n\
                 content-length: 0\r\n\r\n"
            );
            client.send(request.as_bytes());
            assert_eq!(client.answer().status(), 200);
        }
        drop(client);
        proxy.finished(80);
        let mut taken: Vec<String> = (proxy.settle().iter())
            .map(|exchange| exchange.request_id.to_string())
            .collect();
        taken.sort();
        ids.push(taken);
    }
    assert_eq!(ids[0], ids[1]);
    assert!((20..60).contains(&ids[0].len()), "{}", ids[0].len());
    assert!(ids[0].chunks(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
}

#[test]
fn a_traceparent_passes_unchanged_and_its_trace_is_recorded() {
    let origin = Origin::echo();
    let mut proxy = setup(&origin.url()).run();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = format!(
        "POST /predict HTTP/1.1\r\nhost: a\r\ntraceparent: {parent}\r\ntracestate: vendor=1\r\n\
         content-length: 0\r\n\r\n"
    );
    assert_eq!(proxy.ask(request.as_bytes()).status(), 200);
    let trace = proxy.tapped(1)[0].trace_id.clone();
    assert_eq!(trace.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    let seen = format!("{:?}", origin.requests()[0]);
    assert!(seen.contains(parent) && seen.contains("vendor=1"), "{seen}");
    proxy.settle();
}
