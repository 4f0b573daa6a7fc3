//! Byte for byte: what a client sends, what the upstream gets, what it says, what the client gets.

use std::io::Read;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;

use driftd::proxy::{Config, Forwarded};

use super::harness::setup;
use crate::waiting::{PATIENCE, within};

/// One exchange in raw bytes. `UPSTREAM` stands for the upstream's address.
struct Case {
    name: &'static str,
    /// From the client.
    sent: &'static str,
    /// At the upstream.
    passed: &'static str,
    /// From the upstream.
    said: &'static str,
    /// At the client.
    got: &'static str,
    /// The upstream ends the connection after what it said.
    ends: bool,
    config: fn(&mut Config),
}

/// Headers are told apart from what the test is about: no forwarding, a fixed id and date.
const BLANK: Case = Case {
    name: "",
    sent: "",
    passed: "",
    said: "HTTP/1.1 200 OK\r\ndate: D\r\nx-request-id: t\r\ncontent-length: 2\r\n\r\nok",
    got: "HTTP/1.1 200 OK\r\ndate: D\r\nx-request-id: t\r\ncontent-length: 2\r\n\r\nok",
    ends: false,
    config: |config| config.limits.forwarded = Forwarded::Off,
};

impl Case {
    fn run(&self) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut setup = setup(&format!("http://{address}"));
        (self.config)(&mut setup.config);
        let proxy = setup.run();
        let mut client = TcpStream::connect(proxy.address).unwrap();
        std::io::Write::write_all(&mut client, self.sent.as_bytes()).unwrap();

        let passed = self.passed.replace("UPSTREAM", &address.to_string());
        let mut upstream = (!passed.is_empty()).then(|| {
            let mut upstream = accepted(&listener, self.name);
            let taken = take(&mut upstream, passed.len());
            assert_eq!(sorted(&taken), sorted(&passed), "{}", self.name);
            std::io::Write::write_all(&mut upstream, self.said.as_bytes()).unwrap();
            upstream
        });
        if self.ends {
            upstream.take();
        }
        let taken = take(&mut client, self.got.len());
        assert_eq!(sorted(&taken), sorted(self.got), "{}", self.name);
        // Nothing else comes on either side.
        client.shutdown(Shutdown::Write).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut more = Vec::new();
        let _ = client.read_to_end(&mut more);
        assert_eq!(more, b"", "{}: more for the client", self.name);
        if let Some(mut upstream) = upstream {
            drop(proxy);
            let _ = upstream.read_to_end(&mut more);
            assert_eq!(more, b"", "{}: more for the upstream", self.name);
        }
    }
}

/// The connection that comes.
fn accepted(listener: &TcpListener, what: &str) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    within(PATIENCE, || listener.accept().ok(), || what.to_owned()).0
}

/// Reads `count` bytes, fewer where no more come for a while.
fn take(stream: &mut TcpStream, count: usize) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut seen = vec![0; count];
    let mut length = 0;
    while length < count {
        match stream.read(&mut seen[length..]) {
            Ok(read) if read > 0 => length += read,
            _ => break,
        }
    }
    seen.truncate(length);
    String::from_utf8(seen).unwrap()
}

/// A message with its headers ordered by name, as the order of different names means nothing. That
/// of lines of the same name does, and stays.
fn sorted(message: &str) -> String {
    let Some((head, body)) = message.split_once("\r\n\r\n") else {
        return message.to_owned();
    };
    let mut lines: Vec<&str> = head.split("\r\n").collect();
    lines[1..].sort_by_key(|line| line.split(':').next().unwrap_or_default());
    format!("{}\r\n\r\n{body}", lines.join("\r\n"))
}

fn check(cases: &[Case]) {
    for case in cases {
        case.run();
    }
}

#[test]
fn hop_by_hop_headers_stay_on_their_hop() {
    check(&[
        Case {
            name: "request: every Connection line counts, in any case",
            sent: "GET /predict HTTP/1.1\r\nHost: a\r\nConnection: x-a , X-B\r\nX-A: 1\r\n\
                   connection: x-C,keep-alive\r\nX-B: 2\r\nx-c: 3\r\nX-D: 4\r\nKeep-Alive: 5\r\n\
                   Proxy-Connection: x\r\nProxy-Authorization: y\r\nUpgrade: h2c\r\n\
                   x-request-id: t\r\n\r\n",
            passed: "GET /predict HTTP/1.1\r\nhost: a\r\nx-d: 4\r\nx-request-id: t\r\n\r\n",
            ..BLANK
        },
        Case {
            name: "response: likewise",
            sent: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            passed: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            said: "HTTP/1.1 200 OK\r\ndate: D\r\nconnection: x-a\r\nConnection: X-B, keep-alive\r\n\
                   x-a: 1\r\nx-b: 2\r\nkeep-alive: timeout=5\r\nproxy-authenticate: z\r\n\
                   upgrade: h2c\r\nx-request-id: t\r\ncontent-length: 2\r\n\r\nok",
            ..BLANK
        },
        Case {
            name: "an id that is for one hop is not the client's",
            sent: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            passed: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            said: "HTTP/1.1 200 OK\r\ndate: D\r\nconnection: x-request-id\r\nx-request-id: other\r\n\
                   content-length: 2\r\n\r\nok",
            ..BLANK
        },
        Case {
            name: "a header the client nominates cannot take ours with it",
            sent: "GET /predict HTTP/1.1\r\nhost: a\r\nconnection: x-forwarded-for, x-request-id\r\n\
                   x-forwarded-for: 1.1.1.1\r\nx-request-id: t\r\n\r\n",
            passed: "GET /predict HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 127.0.0.1\r\n\
                     x-forwarded-proto: http\r\nx-forwarded-host: a\r\nx-request-id: t\r\n\r\n",
            config: |_| {},
            ..BLANK
        },
        Case {
            name: "neither Host nor Content-Length can be nominated away",
            sent: "POST /predict HTTP/1.1\r\nhost: a\r\nconnection: host, content-length\r\n\
                   content-length: 2\r\nx-request-id: t\r\n\r\nhi",
            passed: "POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\
                     x-request-id: t\r\n\r\nhi",
            ..BLANK
        },
    ]);
}

#[test]
fn targets_hosts_and_versions() {
    check(&[
        Case {
            name: "absolute form: its host wins, the target becomes a path",
            sent: "GET http://u:p@real:81/predict?a=%20b HTTP/1.1\r\nhost: other\r\n\
                   x-request-id: t\r\n\r\n",
            passed: "GET /predict?a=%20b HTTP/1.1\r\nhost: real:81\r\nx-request-id: t\r\n\r\n",
            ..BLANK
        },
        Case {
            name: "a path is not touched: case, escapes, dots and doubled slashes stay",
            sent: "GET /predict/..//%7Ea;b=c/%2f?x[]=1&y='z' HTTP/1.1\r\nhost: a\r\n\
                   x-request-id: t\r\n\r\n",
            passed: "GET /predict/..//%7Ea;b=c/%2f?x[]=1&y='z' HTTP/1.1\r\nhost: a\r\n\
                     x-request-id: t\r\n\r\n",
            ..BLANK
        },
        Case {
            name: "OPTIONS * asks the server",
            sent: "OPTIONS * HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            passed: "OPTIONS * HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            ..BLANK
        },
        Case {
            name: "OPTIONS of a host without a path asks the server, too (RFC 9112, 3.2.4)",
            sent: "OPTIONS http://a:81 HTTP/1.1\r\nhost: b\r\nx-request-id: t\r\n\r\n",
            passed: "OPTIONS * HTTP/1.1\r\nhost: a:81\r\nx-request-id: t\r\n\r\n",
            ..BLANK
        },
        Case {
            name: "OPTIONS of a path, be it the root, does not",
            sent: "OPTIONS http://a/ HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            passed: "OPTIONS / HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            ..BLANK
        },
        Case {
            name: "nor does another method without a path",
            sent: "GET http://a HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            passed: "GET / HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            ..BLANK
        },
        Case {
            name: "HTTP/1.0 without a host, which closes; 1.1 to the upstream",
            sent: "POST /predict HTTP/1.0\r\ncontent-length: 2\r\nx-request-id: t\r\n\r\nhi",
            passed: "POST /predict HTTP/1.1\r\ncontent-length: 2\r\nx-request-id: t\r\n\
                     host: UPSTREAM\r\n\r\nhi",
            got: "HTTP/1.0 200 OK\r\ndate: D\r\nx-request-id: t\r\ncontent-length: 2\r\n\r\nok",
            ..BLANK
        },
        Case {
            name: "HTTP/1.0 that keeps its connection",
            sent: "GET /predict HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\
                   x-request-id: t\r\n\r\n",
            passed: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            got: "HTTP/1.0 200 OK\r\ndate: D\r\nx-request-id: t\r\ncontent-length: 2\r\n\
                  connection: keep-alive\r\n\r\nok",
            ..BLANK
        },
        Case {
            name: "an HTTP/1.0 client gets a chunked answer plain, ended by the connection",
            sent: "GET /predict HTTP/1.0\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            passed: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            said: "HTTP/1.1 200 OK\r\ndate: D\r\nx-request-id: t\r\n\
                   transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            got: "HTTP/1.0 200 OK\r\ndate: D\r\nx-request-id: t\r\n\r\nabc",
            ..BLANK
        },
        Case {
            name: "an answer in HTTP/1.0 that ends with its connection",
            sent: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            passed: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            said: "HTTP/1.0 200 OK\r\ndate: D\r\nx-request-id: t\r\n\r\nabc",
            got: "HTTP/1.1 200 OK\r\ndate: D\r\nx-request-id: t\r\n\
                  transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            ends: true,
            ..BLANK
        },
    ]);
}

#[test]
fn bodies_keep_their_framing() {
    check(&[
        Case {
            name: "a GET with a body of unknown length",
            sent: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\
                   transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            passed: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\
                     transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            ..BLANK
        },
        Case {
            name: "a GET without one gets no framing",
            sent: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            passed: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            ..BLANK
        },
        Case {
            name: "TE: trailers and both trailers pass where Trailer names them",
            sent: "POST /predict HTTP/1.1\r\nhost: a\r\nte: trailers, deflate\r\ntrailer: x-crc\r\n\
                   x-request-id: t\r\ntransfer-encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n0\r\nx-crc: 9\r\n\r\n",
            passed: "POST /predict HTTP/1.1\r\nhost: a\r\ntrailer: x-crc\r\nx-request-id: t\r\n\
                     te: trailers\r\ntransfer-encoding: chunked\r\n\r\n\
                     3\r\nabc\r\n0\r\nx-crc: 9\r\n\r\n",
            said: "HTTP/1.1 200 OK\r\ndate: D\r\ntrailer: x-sum\r\nx-request-id: t\r\n\
                   transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 5\r\n\r\n",
            got: "HTTP/1.1 200 OK\r\ndate: D\r\ntrailer: x-sum\r\nx-request-id: t\r\n\
                  transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 5\r\n\r\n",
            ..BLANK
        },
        Case {
            name: "trailers that Trailer does not name go no further",
            sent: "POST /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\
                   transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-crc: 9\r\n\r\n",
            passed: "POST /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\
                     transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            said: "HTTP/1.1 200 OK\r\ndate: D\r\ntrailer: x-sum\r\nx-request-id: t\r\n\
                   transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 5\r\n\r\n",
            got: "HTTP/1.1 200 OK\r\ndate: D\r\ntrailer: x-sum\r\nx-request-id: t\r\n\
                  transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            ..BLANK
        },
        Case {
            name: "chunk extensions go no further",
            sent: "POST /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\
                   transfer-encoding: chunked\r\n\r\n3;evil=1\r\nabc\r\n0\r\n\r\n",
            passed: "POST /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\
                     transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            ..BLANK
        },
        Case {
            name: "HEAD keeps the length it tells of",
            sent: "HEAD /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            passed: "HEAD /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            said: "HTTP/1.1 200 OK\r\ndate: D\r\nx-request-id: t\r\ncontent-length: 1234\r\n\r\n",
            got: "HTTP/1.1 200 OK\r\ndate: D\r\nx-request-id: t\r\ncontent-length: 1234\r\n\r\n",
            ..BLANK
        },
        Case {
            name: "304 has no body, whatever length it tells of",
            sent: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            passed: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            said: "HTTP/1.1 304 Not Modified\r\ndate: D\r\netag: \"x\"\r\nx-request-id: t\r\n\
                   content-length: 9\r\n\r\n",
            got: "HTTP/1.1 304 Not Modified\r\ndate: D\r\netag: \"x\"\r\nx-request-id: t\r\n\r\n",
            ..BLANK
        },
        Case {
            name: "204 has neither",
            sent: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            passed: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            said: "HTTP/1.1 204 No Content\r\ndate: D\r\nx-request-id: t\r\n\r\n",
            got: "HTTP/1.1 204 No Content\r\ndate: D\r\nx-request-id: t\r\n\r\n",
            ..BLANK
        },
        Case {
            name: "a reason phrase, doubled headers and their order within a name stay",
            sent: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\naccept-encoding: br\r\n\r\n",
            passed: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\naccept-encoding: br\r\n\r\n",
            said: "HTTP/1.1 418 Short and stout\r\ndate: D\r\nset-cookie: a\r\nset-cookie: b\r\n\
                   x-request-id: t\r\ncontent-length: 0\r\n\r\n",
            got: "HTTP/1.1 418 Short and stout\r\ndate: D\r\nset-cookie: a\r\nset-cookie: b\r\n\
                  x-request-id: t\r\ncontent-length: 0\r\n\r\n",
            ..BLANK
        },
        Case {
            name: "100 and 103 end here, the final answer passes",
            sent: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            passed: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\r\n",
            said: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
                   HTTP/1.1 200 OK\r\ndate: D\r\nx-request-id: t\r\ncontent-length: 2\r\n\r\nok",
            ..BLANK
        },
    ]);
}

#[test]
fn the_client_is_announced_as_the_policy_says() {
    const SENT: &str = "GET /predict HTTP/1.1\r\nhost: a:8080\r\nx-request-id: t\r\n\
                        x-forwarded-for: 10.0.0.1\r\nx-forwarded-for: 10.0.0.2, 10.0.0.3\r\n\
                        x-forwarded-proto: https\r\nx-forwarded-host: public\r\n\
                        forwarded: for=10.0.0.1\r\nvia: 1.1 lb\r\n\r\n";
    check(&[
        Case {
            name: "append, nothing there",
            sent: "GET /predict HTTP/1.1\r\nhost: a:8080\r\nx-request-id: t\r\n\r\n",
            passed: "GET /predict HTTP/1.1\r\nhost: a:8080\r\nx-request-id: t\r\n\
                     x-forwarded-for: 127.0.0.1\r\nx-forwarded-proto: http\r\n\
                     x-forwarded-host: a:8080\r\n\r\n",
            config: |_| {},
            ..BLANK
        },
        Case {
            name: "append: the list grows, the others stand",
            sent: SENT,
            passed: "GET /predict HTTP/1.1\r\nhost: a:8080\r\nx-request-id: t\r\n\
                     x-forwarded-for: 10.0.0.1, 10.0.0.2, 10.0.0.3, 127.0.0.1\r\n\
                     x-forwarded-proto: https\r\nx-forwarded-host: public\r\n\
                     forwarded: for=10.0.0.1\r\nvia: 1.1 lb\r\n\r\n",
            config: |_| {},
            ..BLANK
        },
        Case {
            name: "off: as it came",
            sent: SENT,
            passed: SENT,
            ..BLANK
        },
        Case {
            name: "replace: nothing of it is believed",
            sent: SENT,
            passed: "GET /predict HTTP/1.1\r\nhost: a:8080\r\nx-request-id: t\r\n\
                     x-forwarded-for: 127.0.0.1\r\nvia: 1.1 lb\r\nforwarded: for=10.0.0.1\r\n\
                     x-forwarded-proto: http\r\nx-forwarded-host: a:8080\r\n\r\n",
            config: |config| config.limits.forwarded = Forwarded::Replace,
            ..BLANK
        },
        Case {
            name: "replace: nor what CGI takes for it",
            sent: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\nX_Forwarded_For: 6.6.6.6\r\n\
                   x-forwarded_host: evil\r\nx_forwarded-proto: https\r\nx_forwarded_by: me\r\n\r\n",
            passed: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\
                     x_forwarded_by: me\r\nx-forwarded-for: 127.0.0.1\r\n\
                     x-forwarded-proto: http\r\nx-forwarded-host: a\r\n\r\n",
            config: |config| config.limits.forwarded = Forwarded::Replace,
            ..BLANK
        },
        Case {
            name: "append: what CGI would join to it",
            sent: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\nx-forwarded-for: 10.0.0.1\r\n\
                   X_Forwarded_For: 6.6.6.6\r\nx_forwarded_by: me\r\n\r\n",
            passed: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\
                     x-forwarded-for: 10.0.0.1, 127.0.0.1\r\nx_forwarded_by: me\r\n\
                     x-forwarded-proto: http\r\nx-forwarded-host: a\r\n\r\n",
            config: |config| config.limits.forwarded = Forwarded::Append,
            ..BLANK
        },
        Case {
            name: "append: what is for one hop was not said",
            sent: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\nx-forwarded-for: 10.0.0.1\r\n\
                   connection: x-forwarded-proto, x_forwarded_for, x-request-id\r\n\
                   x-forwarded-proto: https\r\nx_forwarded_for: 6.6.6.6\r\n\
                   x_forwarded_host: evil\r\n\r\n",
            passed: "GET /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\
                     x-forwarded-for: 10.0.0.1, 127.0.0.1\r\nx-forwarded-proto: http\r\n\
                     x-forwarded-host: a\r\n\r\n",
            config: |_| {},
            ..BLANK
        },
    ]);
}

/// gunicorn's threads are blocked by kept connections (gunicorn#3301).
#[test]
fn without_keepalive_each_request_says_close_and_has_a_connection_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut setup = setup(&format!("http://{address}"));
    setup.config.limits.upstream_keepalive = false;
    setup.config.limits.forwarded = Forwarded::Off;
    let proxy = setup.run();
    let (done, connections) = mpsc::channel();
    let serving = std::thread::spawn(move || {
        for _ in 0..3 {
            let (mut upstream, _) = listener.accept().unwrap();
            let expected = "POST /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\
                            content-length: 2\r\nconnection: close\r\n\r\nhi";
            let taken = take(&mut upstream, expected.len());
            assert_eq!(sorted(&taken), sorted(expected));
            // It stays open on this side: the proxy closes it, as it said.
            std::io::Write::write_all(&mut upstream, BLANK.said.as_bytes()).unwrap();
            assert_eq!(take(&mut upstream, 1), "", "a second request");
            done.send(()).unwrap();
        }
    });
    let mut client = TcpStream::connect(proxy.address).unwrap();
    for _ in 0..3 {
        let request = "POST /predict HTTP/1.1\r\nhost: a\r\nx-request-id: t\r\n\
                       content-length: 2\r\n\r\nhi";
        std::io::Write::write_all(&mut client, request.as_bytes()).unwrap();
        assert_eq!(
            sorted(&take(&mut client, BLANK.got.len())),
            sorted(BLANK.got)
        );
        connections.recv_timeout(PATIENCE).unwrap();
    }
    serving.join().unwrap();
}
