//! What an HTTP/2 client may do to us, in raw frames.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use driftd::metrics::connection::Limit;

use super::harness::{Running, setup};
use super::origin::Origin;
use super::wire::{hears_within, post};
use crate::waiting::{PATIENCE, eventually, throughout};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types (RFC 9113, 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING_FRAME: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

/// `:method POST`, `:scheme http`, `:path /` by their places in HPACK's static table; `:authority a`.
const REQUEST: &[u8] = &[0x83, 0x86, 0x84, 0x41, 1, b'a'];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Type, flags and payload of the next frame.
fn read(stream: &mut TcpStream) -> (u8, u8, Vec<u8>) {
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).unwrap();
    (head[3], head[4], payload)
}

fn begun(proxy: &Running) -> TcpStream {
    greeted(TcpStream::connect(proxy.address).unwrap())
}

fn greeted(mut stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(PREFACE).unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
    stream
}

#[test]
fn a_preface_in_pieces_is_recognised_and_what_only_looks_like_one_is_http1() {
    let proxy = setup("http://127.0.0.1:1").run();
    let mut stream = TcpStream::connect(proxy.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in PREFACE {
        stream.write_all(&[*byte]).unwrap();
        thread::yield_now();
    }
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
    assert_eq!(read(&mut stream).0, SETTINGS);
    let answer = proxy.ask(b"PRI /predict HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(answer.status(), 502);
}

#[test]
fn a_client_that_says_nothing_or_half_a_preface_is_let_go() {
    let mut settings = setup("http://127.0.0.1:1");
    settings.config.limits.idle_timeout = Duration::from_millis(200);
    settings.config.limits.header_timeout = Duration::from_millis(200);
    let proxy = settings.run();
    for sent in [&b""[..], b"PRI * HT"] {
        let mut stream = TcpStream::connect(proxy.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(sent).unwrap();
        assert_eq!(stream.read(&mut [0; 10]).unwrap_or(0), 0);
    }
}

#[test]
fn the_limits_are_announced() {
    let proxy = setup("http://127.0.0.1:1").run();
    let (kind, _, payload) = read(&mut begun(&proxy));
    assert_eq!(kind, SETTINGS);
    let value = |wanted: u16| {
        payload.chunks(6).find_map(|setting| {
            let (name, value) = setting.split_at(2);
            let value = u32::from_be_bytes(value.try_into().unwrap());
            (name == wanted.to_be_bytes()).then_some(value)
        })
    };
    // RFC 9113, 6.5.2: MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_HEADER_LIST_SIZE.
    assert_eq!(value(3), Some(200));
    assert_eq!(value(4), Some(1 << 20));
    assert_eq!(value(6), Some(64 * 1024));
}

/// CVE-2023-44487, "rapid reset".
#[test]
fn a_flood_of_cancelled_requests_ends_the_connection_with_its_reason() {
    let proxy = setup("http://127.0.0.1:1").run();
    let mut stream = begun(&proxy);
    let mut flood = Vec::new();
    for number in 0..20_000 {
        let id = 2 * number + 1;
        flood.extend(frame(HEADERS, 4, id, REQUEST));
        flood.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
    }
    let mut writer = stream.try_clone().unwrap();
    // It fails once the proxy has closed.
    let writing = thread::spawn(move || drop(writer.write_all(&flood)));
    let reason = loop {
        let (kind, _, payload) = read(&mut stream);
        if kind == GOAWAY {
            break u32::from_be_bytes(payload[4..8].try_into().unwrap());
        }
    };
    // ENHANCE_YOUR_CALM.
    assert_eq!(reason, 0xb);
    drop(stream);
    writing.join().unwrap();
    // Others are served.
    let answer = proxy.ask(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(answer.status(), 502);
}

/// The frames of one stream, up to and with the first of this type.
fn until(stream: &mut TcpStream, wanted: u8) -> (usize, Vec<u8>) {
    let mut data = 0;
    loop {
        let (kind, _, payload) = read(stream);
        if kind == wanted {
            return (data, payload);
        }
        data += if kind == DATA { payload.len() } else { 0 };
    }
}

#[test]
fn a_client_that_opens_no_window_is_cut_and_one_that_opens_it_slowly_is_not() {
    const LIMIT: Duration = Duration::from_millis(600);
    const LENGTH: usize = 200_000;
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
    let origin = Origin::always([answer.as_bytes(), &[7; LENGTH]].concat());
    let mut settings = setup(&origin.url());
    settings.config.limits.write_timeout = LIMIT;
    let proxy = settings.run();
    let mut stream = begun(&proxy);
    // INITIAL_WINDOW_SIZE 0: no byte of an answer may come unasked for.
    let settings = [0, 4, 0, 0, 0, 0];
    stream.write_all(&frame(SETTINGS, 0, 0, &settings)).unwrap();
    stream.write_all(&frame(HEADERS, 5, 1, REQUEST)).unwrap();
    let begun = Instant::now();
    let (data, reason) = until(&mut stream, RST_STREAM);
    assert!(begun.elapsed() >= LIMIT, "{:?}", begun.elapsed());
    // CANCEL.
    assert_eq!((data, &reason[..]), (0, &8_u32.to_be_bytes()[..]));
    let limited = [(Limit::WriteTimeout, 1)];
    eventually("the count", || proxy.seen.limits() == limited);
    proxy.finished(1);

    // The connection goes on. Slower than the limit in all, faster for each piece.
    stream.write_all(&frame(HEADERS, 5, 3, REQUEST)).unwrap();
    let connection = frame(WINDOW_UPDATE, 0, 0, &1_000_000_u32.to_be_bytes());
    stream.write_all(&connection).unwrap();
    until(&mut stream, HEADERS);
    let mut taken = 0;
    while taken < LENGTH {
        assert!(!hears_within(&stream, LIMIT / 8), "after {taken}");
        let more = 16_384_u32.min(u32::try_from(LENGTH - taken).unwrap());
        let update = frame(WINDOW_UPDATE, 0, 3, &more.to_be_bytes());
        stream.write_all(&update).unwrap();
        let mut left = more as usize;
        while left > 0 {
            let (kind, _, payload) = read(&mut stream);
            assert_ne!(kind, RST_STREAM, "after {taken}");
            left -= if kind == DATA { payload.len() } else { 0 };
        }
        taken += more as usize;
    }
    assert_eq!(proxy.seen.limits(), limited);
    proxy.finished(2);
}

/// As browsers and gRPC's clients are, which keep what nobody closes.
#[test]
fn a_client_that_answers_pings_and_asks_for_nothing_is_let_go() {
    const IDLE: Duration = Duration::from_millis(300);
    let (go_on, waits) = mpsc::channel::<()>();
    let waits = Mutex::new(waits);
    let origin = Origin::new(move |mut visit| {
        visit.request();
        waits.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        visit.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    });
    let mut settings = setup(&origin.url());
    settings.config.limits.idle_timeout = IDLE;
    let proxy = settings.run();
    let mut stream = begun(&proxy);
    stream.write_all(&frame(HEADERS, 5, 1, REQUEST)).unwrap();
    let (mut pings, mut answered, mut let_go, mut went_on) = (0, None, None, None);
    while let Some((kind, flags, payload)) = next(&mut stream) {
        match (kind, flags) {
            (PING_FRAME, 0) => {
                answer_ping(&mut stream, &payload);
                pings += 1;
                assert!(pings < 20, "it stays");
                // One comes after each such time. It has waited for its answer: that is not idling.
                if pings == 3 && let_go.is_none() {
                    went_on = Some(Instant::now());
                    go_on.send(()).unwrap();
                }
            }
            (HEADERS, _) => answered = Some(pings),
            (GOAWAY, _) => let_go = let_go.or(Some((Instant::now(), payload[4..8].to_vec()))),
            _ => {}
        }
    }
    let (let_go, reason) = let_go.unwrap();
    assert!(answered.unwrap() >= 3, "{answered:?}");
    assert!(let_go - went_on.unwrap() >= IDLE);
    // NO_ERROR.
    assert_eq!(reason, [0; 4]);
    assert_eq!(proxy.seen.limits(), [(Limit::IdleTimeout, 1)]);
    proxy.finished(1);
}

/// What the TLS handshake takes, or a client before its first byte, is none of HTTP/2's time.
#[test]
fn a_client_idles_from_the_beginning_of_http2_on() {
    const IDLE: Duration = Duration::from_secs(1);
    let mut settings = setup("http://127.0.0.1:1");
    settings.config.limits.idle_timeout = IDLE;
    let proxy = settings.run();
    let mut stream = TcpStream::connect(proxy.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(!hears_within(&stream, IDLE * 3 / 4));
    let began = Instant::now();
    stream.write_all(PREFACE).unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
    until(&mut stream, GOAWAY);
    assert!(began.elapsed() >= IDLE, "{:?}", began.elapsed());
}

/// The answer to an upload may be over before the upload is.
#[test]
fn a_client_whose_upload_goes_on_after_its_answer_is_not_idle() {
    const IDLE: Duration = Duration::from_millis(300);
    let (end, ended) = mpsc::channel();
    let end = Mutex::new(end);
    let origin = Origin::new(move |mut visit| {
        visit.peer.until(b"\r\n\r\n");
        visit.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        let body = visit.peer.until(b"0\r\n\r\n");
        end.lock().unwrap().send(body).unwrap();
    });
    let mut settings = setup(&origin.url());
    settings.config.limits.idle_timeout = IDLE;
    let proxy = settings.run();
    let mut stream = begun(&proxy);
    stream.write_all(&frame(HEADERS, 4, 1, REQUEST)).unwrap();
    stream.write_all(&frame(DATA, 0, 1, b"one ")).unwrap();
    let mut pings = 0;
    while let Some((kind, flags, payload)) = next(&mut stream) {
        match (kind, flags) {
            (PING_FRAME, 0) => {
                answer_ping(&mut stream, &payload);
                pings += 1;
            }
            (GOAWAY, _) => break,
            _ => {}
        }
        // Each comes after such a time.
        if pings == 3 {
            assert_eq!(proxy.seen.limits(), []);
            stream.write_all(&frame(DATA, 1, 1, b"two")).unwrap();
            break;
        }
    }
    let body = ended.recv_timeout(PATIENCE).unwrap();
    assert_eq!(body, b"4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n");
}

/// All that is left are pings, and the end of an answer for which it opens no window.
#[test]
fn a_client_that_leaves_the_end_of_an_answer_is_cut_though_it_answers_pings() {
    const LIMIT: Duration = Duration::from_millis(300);
    let origin = Origin::always("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    let mut settings = setup(&origin.url());
    settings.config.limits.idle_timeout = LIMIT;
    settings.config.limits.write_timeout = LIMIT;
    let proxy = settings.run();
    let mut stream = begun(&proxy);
    // INITIAL_WINDOW_SIZE 1.
    stream
        .write_all(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1]))
        .unwrap();
    stream.write_all(&frame(HEADERS, 5, 1, REQUEST)).unwrap();
    let (mut pings, mut told) = (0, false);
    while let Some((kind, flags, payload)) = next(&mut stream) {
        match (kind, flags) {
            (PING_FRAME, 0) => {
                answer_ping(&mut stream, &payload);
                pings += 1;
                assert!(pings < 20, "it stays");
            }
            (GOAWAY, _) => told = true,
            _ => {}
        }
    }
    assert!(told);
    let limits = [(Limit::IdleTimeout, 1), (Limit::WriteTimeout, 1)];
    eventually("the counts", || proxy.seen.limits() == limits);
}

/// It is not enough to end its streams: what is in the socket's buffers stays, and the connection's place.
#[test]
fn a_client_that_reads_nothing_is_cut() {
    const LENGTH: usize = 32 << 20;
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
    let origin = Origin::always([answer.as_bytes(), &vec![7; LENGTH]].concat());
    let mut settings = setup(&origin.url());
    settings.config.limits.write_timeout = Duration::from_millis(300);
    let proxy = settings.run();
    let mut stream = begun(&proxy);
    open_windows(&mut stream);
    stream.write_all(&frame(HEADERS, 5, 1, REQUEST)).unwrap();
    eventually("the reset", || stream.take_error().unwrap().is_some());
    assert!(
        matches!(proxy.seen.limits()[..], [(Limit::WriteTimeout, _)]),
        "{:?}",
        proxy.seen.limits()
    );
}

/// Its exchanges are over long before it has their answers.
#[test]
fn a_client_that_reads_slowly_gets_all_of_its_answers() {
    const LIMIT: Duration = Duration::from_secs(1);
    const STREAMS: usize = 64;
    const LENGTH: usize = 64 * 1024;
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
    let origin = Origin::always([answer.as_bytes(), &vec![7; LENGTH]].concat());
    let mut settings = setup(&origin.url());
    settings.config.limits.idle_timeout = LIMIT;
    settings.config.limits.write_timeout = LIMIT;
    let (proxy, stream) = settings.run_narrow();
    let mut stream = greeted(stream);
    open_windows(&mut stream);
    for number in 0..STREAMS as u32 {
        let request = frame(HEADERS, 5, 2 * number + 1, REQUEST);
        stream.write_all(&request).unwrap();
    }
    let begun = Instant::now();
    let (mut data, mut ended, mut first) = (0, 0, true);
    while ended < STREAMS {
        let (kind, flags, payload) = next(&mut stream).expect("all answers");
        match kind {
            DATA => {
                data += payload.len();
                ended += usize::from(flags & 1);
                // All of it takes four times the limit.
                let all = (STREAMS * LENGTH) as f64;
                let due = (4 * LIMIT).mul_f64(data as f64 / all);
                let left = due.saturating_sub(begun.elapsed());
                throughout(left, "it is let be", || proxy.seen.limits().is_empty());
                if std::mem::take(&mut first) {
                    proxy.finished(STREAMS);
                }
            }
            PING_FRAME if flags == 0 => answer_ping(&mut stream, &payload),
            _ => {}
        }
    }
    assert_eq!(data, STREAMS * LENGTH);
    let cut = |(limit, _): &_| *limit == Limit::WriteTimeout;
    assert!(!proxy.seen.limits().iter().any(cut));
}

/// All of them, so that nothing but the socket can be full.
fn open_windows(stream: &mut TcpStream) {
    // INITIAL_WINDOW_SIZE, and as much for the connection.
    let window = [0, 4, 0x7f, 0xff, 0xff, 0xff];
    stream.write_all(&frame(SETTINGS, 0, 0, &window)).unwrap();
    let more = frame(WINDOW_UPDATE, 0, 0, &0x7000_0000_u32.to_be_bytes());
    stream.write_all(&more).unwrap();
}

fn answer_ping(stream: &mut TcpStream, payload: &[u8]) {
    // It fails where the connection has just ended.
    let _ = stream.write_all(&frame(PING_FRAME, 1, 0, payload));
}

#[test]
fn more_headers_than_may_be_are_refused_and_counted() {
    let origin = Origin::always("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let mut settings = setup(&origin.url());
    settings.config.limits.max_headers = 10;
    let proxy = settings.run();
    let mut stream = begun(&proxy);
    // A literal header `x: y` that is not to be remembered; and `cookie: y`, by its place (32).
    let (other, cookie) = (&[0, 1, b'x', 1, b'y'][..], &[0x0f, 17, 1, b'y'][..]);
    let cases = [(10, 0, 0x88), (11, 0, 0), (9, 5, 0x88), (10, 2, 0)];
    for (number, (others, cookies, status)) in (0_u32..).zip(cases) {
        let lines = [&other.repeat(others)[..], &cookie.repeat(cookies)].concat();
        let head = [REQUEST, &lines].concat();
        let request = frame(HEADERS, 5, 2 * number + 1, &head);
        stream.write_all(&request).unwrap();
        let (_, answer) = until(&mut stream, HEADERS);
        // 200 has a place of its own in HPACK's static table, 431 has not.
        assert_eq!(answer[0] == 0x88, status == 0x88, "{others} and {cookies}");
        if status == 0 {
            let (_, body) = until(&mut stream, DATA);
            let body = String::from_utf8(body).unwrap();
            assert!(body.contains("\"error\":\"max_headers\""), "{body}");
        }
    }
    assert_eq!(proxy.seen.limits(), [(Limit::MaxHeaders, 2)]);
    let done = proxy.finished(4);
    let status: Vec<_> = done.iter().map(|done| (done.status, done.error)).collect();
    let refused = (431, Some("max_headers"));
    assert_eq!(status, [(200, None), refused, (200, None), refused]);
    assert_eq!(origin.requests().len(), 2);
}

/// An upstream that stopped without an end, as a frozen virtual machine does: the system still takes
/// what is sent to it.
#[test]
fn an_upstream_that_answers_no_ping_is_given_up_and_a_slow_one_is_not() {
    const PING: Duration = Duration::from_millis(300);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (ask, asked) = mpsc::channel::<bool>();
    let upstream = thread::spawn(move || {
        for _ in 0..2 {
            let mut stream = listener.accept().unwrap().0;
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut preface = [0; PREFACE.len()];
            stream.read_exact(&mut preface).unwrap();
            stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
            let answers = asked.recv_timeout(PATIENCE).unwrap();
            let mut pings = 0;
            while let Some((kind, flags, payload)) = next(&mut stream) {
                match (kind, flags) {
                    (SETTINGS, 0) => stream.write_all(&frame(SETTINGS, 1, 0, &[])).unwrap(),
                    (PING_FRAME, 0) => pings += 1,
                    _ => continue,
                }
                if kind == PING_FRAME && answers {
                    stream
                        .write_all(&frame(PING_FRAME, 1, 0, &payload))
                        .unwrap();
                }
                if pings == 4 {
                    // It was slow, and is done: `:status 200`.
                    stream.write_all(&frame(HEADERS, 5, 1, &[0x88])).unwrap();
                }
            }
            assert_eq!(pings >= 4, answers, "{pings}");
        }
    });
    let mut settings = setup(&format!("http://{address}"));
    settings.config.upstream_http2 = true;
    settings.config.upstream_ping = PING;
    settings.config.threads = NonZeroUsize::MIN;
    let proxy = settings.run();
    ask.send(false).unwrap();
    let answer = proxy.ask(&post(b"x"));
    assert_eq!(answer.status(), 502);
    let error = answer.header("driftd-error");
    assert_eq!(error.as_deref(), Some("upstream_closed"));
    ask.send(true).unwrap();
    assert_eq!(proxy.ask(&post(b"x")).status(), 200);
    drop(proxy);
    upstream.join().unwrap();
}

/// Type, flags and payload of the next frame; `None` at the end.
fn next(stream: &mut TcpStream) -> Option<(u8, u8, Vec<u8>)> {
    let mut byte = [0];
    match stream.peek(&mut byte) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(read(stream)),
    }
}
