//! Heads: what one hop keeps to itself, ids, framing that is refused.

use super::harness::setup;
use super::origin::Origin;
use super::wire::post;

#[test]
fn what_belongs_to_one_hop_is_removed_in_both_directions() {
    let origin = Origin::always(
        "HTTP/1.1 200 Fine\r\ncontent-length: 2\r\nconnection: x-up, keep-alive\r\nx-up: 1\r\n\
         connection: X-Two\r\nx-two: 2\r\nkeep-alive: timeout=5\r\nproxy-authenticate: Basic\r\n\
         upgrade: h2c\r\nx-stay: yes\r\nset-cookie: a\r\nset-cookie: b\r\nserver: gunicorn\r\n\r\nok",
    );
    let proxy = setup(&origin.url()).run();
    let answer = proxy.ask(
        b"POST /predict?a=b%20c HTTP/1.1\r\nHost: public.example\r\nConnection: keep-alive, X-One\r\n\
          Connection: x-two\r\nX-One: 1\r\nX-Two: 2\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\n\
          Proxy-Authorization: Basic x\r\nTE: gzip\r\nUpgrade: websocket\r\nX-Stay: yes\r\n\
          Authorization: Bearer t\r\nAccept-Encoding: gzip\r\nX-Forwarded-For: 10.0.0.1\r\n\
          Content-Length: 1\r\n\r\nx",
    );
    for gone in [
        "keep-alive",
        "proxy-authenticate",
        "upgrade",
        "x-up",
        "x-two",
        "connection",
    ] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
    assert!(
        answer.head.starts_with("HTTP/1.1 200 Fine\r\n"),
        "{}",
        answer.head
    );
    assert_eq!(answer.header("x-stay").as_deref(), Some("yes"));
    assert_eq!(answer.header("set-cookie").as_deref(), Some("a|b"));
    assert_eq!(answer.header("server").as_deref(), Some("gunicorn"));

    let request = &origin.requests()[0];
    assert!(
        request
            .head
            .starts_with("POST /predict?a=b%20c HTTP/1.1\r\n")
    );
    let mut names: Vec<_> = request
        .head
        .lines()
        .skip(1)
        .filter_map(|line| Some(line.split_once(':')?.0))
        .collect();
    names.sort_unstable();
    let left = [
        "accept-encoding",
        "authorization",
        "content-length",
        "host",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-request-id",
        "x-stay",
    ];
    assert_eq!(names, left);
    assert_eq!(request.header("host").as_deref(), Some("public.example"));
}

#[test]
fn the_request_id_is_forwarded_echoed_and_recorded() {
    let origin = Origin::echo();
    let mut proxy = setup(&origin.url()).run();
    let cases: [(&str, Option<&str>); 4] = [
        ("x-request-id: abc-1\r\nce-id: other\r\n", Some("abc-1")),
        ("ce-id: event-7\r\n", Some("event-7")),
        ("x-request-id: not one\r\n", None),
        ("", None),
    ];
    for (number, (line, expected)) in cases.into_iter().enumerate() {
        let request =
            format!("POST /predict HTTP/1.1\r\nhost: a\r\n{line}content-length: 0\r\n\r\n");
        let answer = proxy.ask(request.as_bytes());
        let id = answer.header("x-request-id").unwrap();
        match expected {
            Some(expected) => assert_eq!(id, expected),
            None => assert_eq!(id.len(), 36, "{id}"),
        }
        let sent = origin.requests()[number].header("x-request-id");
        assert_eq!(sent.as_deref(), Some(id.as_str()));
        assert_eq!(&*proxy.tapped(number + 1)[number].request_id, id);
    }
}

#[test]
fn an_upstreams_own_request_id_stands() {
    let origin =
        Origin::always("HTTP/1.1 200 OK\r\nx-request-id: mine\r\ncontent-length: 0\r\n\r\n");
    let proxy = setup(&origin.url()).run();
    assert_eq!(
        proxy.ask(&post(b"")).header("x-request-id").as_deref(),
        Some("mine")
    );
}

#[test]
fn the_trace_is_passed_on_and_recorded() {
    let origin = Origin::echo();
    let mut proxy = setup(&origin.url()).run();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (number, value) in [parent, "nonsense"].into_iter().enumerate() {
        let request = format!(
            "POST /predict HTTP/1.1\r\nhost: a\r\ntraceparent: {value}\r\ncontent-length: 0\r\n\r\n"
        );
        proxy.ask(request.as_bytes());
        assert_eq!(
            origin.requests()[number].header("traceparent").as_deref(),
            Some(value)
        );
    }
    let traces: Vec<_> = proxy
        .tapped(2)
        .iter()
        .map(|e| e.trace_id.as_deref())
        .collect();
    assert_eq!(traces, [Some("4bf92f3577b34da6a3ce929d0e0e4736"), None]);
}

#[test]
fn framing_that_two_servers_may_read_in_two_ways_goes_nowhere() {
    let origin = Origin::echo();
    let proxy = setup(&origin.url()).run();
    for lines in [
        "host: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n",
        "host: a\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n",
        "host: a\r\ncontent-length: 4\r\nx: y\r\nTransfer-Encoding:\tCHUNKED\r\n",
        "host: a\r\ntransfer-encoding: chunked\r\ncontent-length: x\r\n",
        "host: a\r\ntransfer-encoding: gzip, chunked\r\n",
        "host: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "host: a\r\ntransfer-encoding: identity\r\n",
        "host: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n",
        "host: a\r\ncontent-length: -1\r\n",
        "host: a\r\nhost: b\r\ncontent-length: 0\r\n",
        "content-length: 0\r\n",
        "host: a b\r\ncontent-length: 0\r\n",
    ] {
        let mut client = proxy.client();
        client.send(format!("POST /predict HTTP/1.1\r\n{lines}\r\n0\r\n\r\n").as_bytes());
        let answer = client.answer();
        assert_eq!(answer.status(), 400, "{lines}");
        assert!(client.is_closed(), "{lines}");
    }
    assert_eq!(origin.connections(), 0);
    proxy.settle();
}

/// hyper hides a length beside chunks from us, so it is looked for in what the client sent, in
/// whatever pieces that comes.
#[test]
fn a_length_beside_chunks_is_refused_and_what_came_before_it_is_served() {
    let origin = Origin::echo();
    let proxy = setup(&origin.url()).run();
    let before = "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
                  2B;x=y\r\n\r\ncontent-length: 1\r\nto be just a body\r\n...\r\n0\r\n\r\n\
                  PUT /b HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
    for lines in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
    ] {
        for size in [1, 7, 64, usize::MAX] {
            let mut client = proxy.client();
            let bytes = format!(
                "{before}POST /c HTTP/1.1\r\nhost: a\r\n{lines}\r\n3\r\nabc\r\n0\r\n\r\n\
                 GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"
            );
            for piece in bytes.as_bytes().chunks(size.min(bytes.len())) {
                client.send(piece);
            }
            assert_eq!(client.answer().body.len(), 43, "{lines}");
            assert_eq!(client.answer().body, b"abc");
            let refused = client.answer();
            assert_eq!(refused.status(), 400, "{lines}");
            assert_eq!(refused.header("connection").as_deref(), Some("close"));
            assert!(client.is_closed());
        }
    }
    let requests = origin.requests();
    assert_eq!(requests.len(), 16);
    let clean = |head: &str| head.contains(" /a ") || head.contains(" /b ");
    assert!(requests.iter().all(|request| clean(&request.head)));
    proxy.settle();
}

#[test]
fn a_target_in_absolute_form_carries_the_host_that_counts() {
    let origin = Origin::echo();
    let proxy = setup(&origin.url()).run();
    proxy.ask(
        b"POST http://real.example/predict?x HTTP/1.1\r\nhost: other\r\ncontent-length: 0\r\n\r\n",
    );
    let request = &origin.requests()[0];
    assert!(request.head.starts_with("POST /predict?x HTTP/1.1"));
    assert_eq!(request.header("host").as_deref(), Some("real.example"));
    assert_eq!(proxy.finished(1)[0].route, "/predict");
}

/// `GET predict` was once read as a host, and became `GET /` there.
#[test]
fn a_target_that_is_not_for_its_method_is_refused() {
    let origin = Origin::echo();
    let proxy = setup(&origin.url()).run();
    for line in ["GET predict", "POST a:80", "GET *"] {
        let answer = proxy.ask(format!("{line} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes());
        assert_eq!(answer.status(), 400, "{line}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn tunnels_are_refused() {
    let origin = Origin::echo();
    let proxy = setup(&origin.url()).run();
    let answer = proxy.ask(b"CONNECT other:443 HTTP/1.1\r\nhost: other:443\r\n\r\n");
    assert_eq!(answer.status(), 405);
    assert_eq!(
        answer.header("driftd-error").as_deref(),
        Some("connect_refused")
    );
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_target_that_is_neither_a_path_nor_an_url_is_refused() {
    let origin = Origin::always("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let proxy = setup(&origin.url()).run();
    for target in ["GET model:80", "POST predict", "GET *"] {
        let request = format!("{target} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(proxy.ask(request.as_bytes()).status(), 400, "{target}");
    }
    assert!(origin.requests().is_empty());
    let asked = proxy.ask(b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(asked.status(), 200);
    assert!(origin.requests()[0].head.starts_with("OPTIONS * HTTP/1.1"));
}

#[test]
fn a_target_or_host_that_two_may_read_in_two_ways_goes_nowhere() {
    let origin = Origin::always("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let proxy = setup(&origin.url()).run();
    for head in [
        "GET other:80 HTTP/1.1\r\nHost: public\r\n\r\n",
        "GET other HTTP/1.1\r\nHost: public\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: public\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: public/other\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: user@public\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: public, other\r\n\r\n",
    ] {
        let answer = proxy.ask(head.as_bytes());
        assert!(
            answer.head.starts_with("HTTP/1.1 400 "),
            "{head}: {}",
            answer.head
        );
    }
    assert!(origin.requests().is_empty());
}
