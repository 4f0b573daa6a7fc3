//! Follows the framing of a client's HTTP/1 bytes beside hyper, for what hyper keeps to itself: that
//! a request has both a length and chunks (RFC 9112, 6.1). hyper drops the length; whoever stands in
//! front of driftd may have gone by it, and then sees other requests than driftd does. And that the
//! target of an OPTIONS has no path, which hyper makes `/`.
//!
//! Nothing is copied but lines that come in pieces, and bodies are skipped by their lengths. Invariant:
//! where this reading and hyper's could part, no further request of the connection is passed on.

use std::collections::VecDeque;

use memchr::memchr;

/// Kept of a line that comes in pieces: the names and values that matter are shorter.
const KEPT: usize = 256;

/// Where in its messages a connection is, and which of them are in doubt.
#[derive(Debug, Default)]
pub(super) struct Framing {
    state: State,
    /// The beginning of the line under way, where it did not come whole, and its last byte.
    line: Vec<u8>,
    /// What the head under way says of its body.
    head: Head,
    /// Heads that have ended.
    heads: u64,
    /// Requests that hyper has begun.
    begun: u64,
    /// Those of the requests not begun yet that are an OPTIONS of a host as a whole.
    of_hosts: VecDeque<u64>,
    /// No request from this one on can be trusted, and why.
    doubt: Option<(u64, &'static str)>,
}

/// What hyper does not say of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Begun {
    /// Why it must not be passed on, or `None`.
    pub(super) fault: Option<&'static str>,
    /// It is an OPTIONS of an URL without a path.
    pub(super) of_host: bool,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    /// Before a request line; empty lines may precede it.
    #[default]
    Between,
    Header,
    /// A body of known length.
    Body(u64),
    ChunkSize,
    /// A chunk and the end of its line.
    Chunk(u64),
    Trailer,
    /// Nothing more is looked at.
    Off,
}

#[derive(Debug, Clone, Copy, Default)]
struct Head {
    length: Option<u64>,
    chunked: bool,
}

const BOTH: &str = "content-length and transfer-encoding exclude each other";
const UNCLEAR: &str = "it is not clear where the request begins";

// === impl Framing ===

impl Framing {
    /// Takes the next bytes of the connection, in whatever pieces.
    pub(super) fn received(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.state {
                State::Off => return,
                State::Body(left) => {
                    self.state = skip(&mut bytes, left, State::Body, State::Between)
                }
                State::Chunk(left) => {
                    self.state = skip(&mut bytes, left, State::Chunk, State::ChunkSize);
                }
                State::Between | State::Header | State::ChunkSize | State::Trailer => {
                    let Some(end) = memchr(b'\n', bytes) else {
                        return self.keep(bytes);
                    };
                    let (line, rest) = bytes.split_at(end + 1);
                    bytes = rest;
                    if self.line.is_empty() {
                        self.end_line(line, false);
                    } else {
                        let cut = self.line.len() + line.len() > KEPT;
                        self.keep(line);
                        let mut whole = std::mem::take(&mut self.line);
                        self.end_line(&whole, cut);
                        whole.clear();
                        self.line = whole;
                    }
                }
            }
        }
    }

    /// hyper has read the head of the next request.
    pub(super) fn begin(&mut self) -> Begun {
        let number = self.begun;
        self.begun += 1;
        let fault = match self.doubt {
            Some((first, why)) if number >= first => Some(why),
            // hyper sees a request where there is none: the two readings have parted.
            _ if number >= self.heads => Some(UNCLEAR),
            _ => None,
        };
        let of_host = self.of_hosts.front() == Some(&number);
        if of_host {
            self.of_hosts.pop_front();
        }
        Begun { fault, of_host }
    }

    /// The connection has become a tunnel: what follows is no HTTP.
    pub(super) fn stop(&mut self) {
        self.state = State::Off;
        self.line = Vec::new();
    }

    /// Keeps what has come of a line, at most its beginning and its last byte.
    fn keep(&mut self, bytes: &[u8]) {
        let room = KEPT - self.line.len();
        if let (true, Some(last)) = (bytes.len() > room, bytes.last()) {
            self.line.extend_from_slice(&bytes[..room]);
            self.line[KEPT - 1] = *last;
        } else {
            self.line.extend_from_slice(bytes);
        }
    }

    /// A line is complete, its line feed included; `cut` if its middle was not kept.
    fn end_line(&mut self, line: &[u8], cut: bool) {
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        // Heads may end their lines without a carriage return, as hyper has it; chunks may not.
        let strict = content.strip_suffix(b"\r");
        let content = strict.unwrap_or(content);
        match self.state {
            State::Between if content.is_empty() => {}
            State::Between => {
                self.head = Head::default();
                if line[0] == b'O' && is_of_host(content) {
                    self.of_hosts.push_back(self.heads);
                }
                self.state = State::Header;
            }
            State::Header if content.is_empty() => self.end_head(),
            State::Header => self.header(content, cut),
            State::ChunkSize => match strict.filter(|_| !cut).and_then(chunk_size) {
                Some(0) => self.state = State::Trailer,
                // Chunk and line end together; lengths beyond that hyper refuses.
                Some(size) => self.state = State::Chunk(size.saturating_add(2)),
                None => self.lose(),
            },
            State::Trailer if strict.is_none() || cut => self.lose(),
            State::Trailer if content.is_empty() => self.state = State::Between,
            State::Trailer | State::Body(_) | State::Chunk(_) | State::Off => {}
        }
    }

    /// Notes a header that frames the body.
    fn header(&mut self, line: &[u8], cut: bool) {
        // Most lines are told apart by their first byte.
        match line[0] {
            b't' | b'T' => {
                self.head.chunked |= value(line, b"transfer-encoding").is_some();
            }
            b'c' | b'C' => {
                if let Some(value) = value(line, b"content-length") {
                    match length(value).filter(|_| !cut) {
                        Some(length) => self.head.length = Some(length),
                        // hyper refuses it, unless chunks stand in front of it.
                        None => self.lose(),
                    }
                }
            }
            _ => {}
        }
    }

    fn end_head(&mut self) {
        let number = self.heads;
        self.heads += 1;
        self.state = match self.head {
            Head {
                length: Some(_),
                chunked: true,
            } => return self.doubt_from(number, BOTH),
            Head { chunked: true, .. } => State::ChunkSize,
            Head {
                length: None | Some(0),
                ..
            } => State::Between,
            Head {
                length: Some(length),
                ..
            } => State::Body(length),
        };
    }

    /// What comes can be followed no further.
    fn lose(&mut self) {
        self.doubt_from(self.heads, UNCLEAR);
    }

    fn doubt_from(&mut self, number: u64, why: &'static str) {
        self.doubt = Some((number, why));
        self.stop();
    }
}

/// Whether a request line asks for the OPTIONS of a host: `OPTIONS http://host HTTP/1.1`. One so
/// long that it is not kept whole is read as asking for `/`.
fn is_of_host(line: &[u8]) -> bool {
    let mut words = line
        .split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty());
    let (Some(b"OPTIONS"), Some(target)) = (words.next(), words.next()) else {
        return false;
    };
    let authority = memchr::memmem::find(target, b"://").map(|at| &target[at + 3..]);
    words
        .next()
        .is_some_and(|version| version.starts_with(b"HTTP/"))
        && authority.is_some_and(|host| !host.iter().any(|byte| b"/?#".contains(byte)))
}

/// Skips `left` bytes or as many as there are, and gives the state after that.
fn skip(bytes: &mut &[u8], left: u64, within: fn(u64) -> State, then: State) -> State {
    let here = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
    *bytes = &bytes[here..];
    match left - here as u64 {
        0 => then,
        left => within(left),
    }
}

/// The value of a header line of this name.
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

/// A length in decimal digits and nothing else.
fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        sum.checked_mul(10)?.checked_add(digit.into())
    })
}

/// The size a chunk's first line begins with, in hexadecimal digits.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit());
    let (digits, rest) = line.split_at(end.unwrap_or(line.len()));
    if digits.is_empty() || !matches!(rest.first(), None | Some(b';' | b' ' | b'\t')) {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, byte| {
        let digit = char::from(*byte).to_digit(16)?;
        sum.checked_mul(16)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each of `requests` requests is told after `bytes` came in pieces of `size`.
    fn told(bytes: &[u8], size: usize, requests: usize) -> Vec<Option<&'static str>> {
        let mut framing = Framing::default();
        for piece in bytes.chunks(size) {
            framing.received(piece);
        }
        (0..requests).map(|_| framing.begin().fault).collect()
    }

    #[track_caller]
    fn check(bytes: &str, expected: &[Option<&'static str>]) {
        for size in [1, 2, 3, 5, 7, 64, bytes.len()] {
            let told = told(bytes.as_bytes(), size, expected.len());
            assert_eq!(told, expected, "in pieces of {size}: {bytes:?}");
        }
    }

    #[test]
    fn requests_with_one_framing_each_pass_whatever_their_bodies_hold() {
        let inner = "\r\n\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n";
        let length = inner.len();
        let plain = format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{inner}");
        let chunked = format!(
            "POST / HTTP/1.1\r\nTransfer-Encoding:chunked\r\n\r\n\
             {length:x};a=b\r\n{inner}\r\n000\r\nx: y\r\n\r\n"
        );
        let bare = "\r\n\nGET /content-length: HTTP/1.1\nhost: a\n\n";
        let all = [&*plain, &*chunked, bare, &*plain].concat();
        // Nothing is said of a fifth, as it has not come.
        check(&all, &[None, None, None, None, Some(UNCLEAR)]);
    }

    #[test]
    fn a_length_beside_chunks_is_seen_in_either_order_and_nothing_after_it_is_trusted() {
        let fine = "POST /1 HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
        for lines in [
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            "tRANSFER-ENCODING:\tchunked\r\nx: y\r\ncontent-lengtH:4\r\n",
        ] {
            let both = format!("{fine}POST /2 HTTP/1.1\r\n{lines}\r\n0\r\n\r\n{fine}");
            check(&both, &[None, Some(BOTH), Some(BOTH)]);
        }
    }

    #[test]
    fn an_options_of_a_host_is_told_from_those_around_it() {
        let lines = [
            ("OPTIONS http://a HTTP/1.1", true),
            ("OPTIONS http://a/ HTTP/1.1", false),
            ("OPTIONS  HTTPS://a:81  HTTP/1.1", true),
            ("OPTIONS http://a?b HTTP/1.1", false),
            ("OPTIONS / HTTP/1.1", false),
            ("GET http://a HTTP/1.1", false),
            ("OPTIONS * HTTP/1.1", false),
            ("OPTIONS http://a HTTP/1.0", true),
        ];
        let sent: String = lines.map(|(line, _)| format!("{line}\r\n\r\n")).concat();
        for size in [1, 7, sent.len()] {
            let mut framing = Framing::default();
            let pieces = sent.as_bytes().chunks(size);
            pieces.for_each(|piece| framing.received(piece));
            for (line, of_host) in lines {
                assert_eq!(
                    framing.begin(),
                    Begun {
                        fault: None,
                        of_host
                    },
                    "{line}"
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_followed_is_not_trusted() {
        let long = " ".repeat(KEPT);
        for (line, body) in [
            ("content-length: +1", "x"),
            ("content-length:", ""),
            ("content-length: 99999999999999999999", ""),
            ("transfer-encoding: chunked\r\ncontent-length: -1", ""),
        ] {
            let text = format!("POST / HTTP/1.1\r\n{line}\r\n\r\n{body}");
            check(&text, &[Some(UNCLEAR)]);
        }
        for body in [
            "\r\n",
            "x\r\n",
            "1\nx\r\n0\r\n\r\n",
            "1_\r\nx\r\n0\r\n\r\n",
            "10000000000000000\r\n",
            "0\r\nx: y\n\r\n",
        ] {
            let head = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
            let text = format!("{head}{body}GET / HTTP/1.1\r\n\r\n");
            check(&text, &[None, Some(UNCLEAR)]);
        }
        // In one piece it is seen whole; in several its digits may be lost.
        let text = format!("POST / HTTP/1.1\r\ncontent-length:{long}1\r\n\r\nx");
        assert_eq!(told(text.as_bytes(), 4096, 1), [None]);
        assert_eq!(told(text.as_bytes(), 100, 1), [Some(UNCLEAR)]);
    }

    #[test]
    fn little_is_kept_of_long_lines() {
        let mut framing = Framing::default();
        framing.received(b"GET / HTTP/1.1\r\nx: ");
        for _ in 0..1000 {
            framing.received(&[b'y'; 100]);
        }
        assert_eq!(framing.line.len(), KEPT);
        framing.received(b"\r\n\r\n");
        assert_eq!(framing.begin(), Begun::default());
    }
}
