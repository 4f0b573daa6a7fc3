//! HTTP in raw bytes: what is sent is sent as it is, what comes is kept as it came.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::waiting::PATIENCE;

/// A connection in raw bytes.
pub(super) struct Client {
    pub(super) stream: TcpStream,
    /// Read but not consumed.
    ahead: Vec<u8>,
}

/// A message as it came, head apart from body.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    /// First line and headers, as they came.
    pub(super) head: String,
    /// The body with its framing removed.
    pub(super) body: Vec<u8>,
    /// What followed the last chunk.
    pub(super) trailers: String,
    /// The end that the framing announced was seen.
    pub(super) whole: bool,
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// All values of a header, joined by `|`; `None` if it is not there.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self
            .head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect();
        (!values.is_empty()).then(|| values.join("|"))
    }
}

impl Client {
    pub(super) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(super) fn try_clone(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    /// Reads the answer to a request that was not HEAD.
    pub(super) fn answer(&mut self) -> Answer {
        self.message(true).expect("an answer")
    }

    /// Reads the answer to HEAD.
    pub(super) fn bodiless(&mut self) -> Answer {
        self.message(false).expect("an answer")
    }

    /// Reads one message; `None` if the connection ends before one begins.
    pub(super) fn message(&mut self, body: bool) -> Option<Answer> {
        let end = self.find(b"\r\n\r\n")?;
        let head = String::from_utf8(self.consume(end + 4)).unwrap();
        let mut answer = Answer {
            head,
            ..Answer::default()
        };
        let response = answer.head.starts_with("HTTP/");
        let bare = response && matches!(answer.status(), 204 | 304);
        if !body || bare {
            answer.whole = true;
        } else if answer.header("transfer-encoding").is_some() {
            answer.whole = self.chunks(&mut answer).is_some();
        } else if let Some(length) = answer.header("content-length") {
            let length = length.parse().unwrap();
            while self.ahead.len() < length && self.more() {}
            answer.whole = self.ahead.len() >= length;
            answer.body = self.consume(length.min(self.ahead.len()));
        } else if response {
            while self.more() {}
            answer.whole = true;
            answer.body = std::mem::take(&mut self.ahead);
        } else {
            answer.whole = true;
        }
        Some(answer)
    }

    /// Reads `count` bytes of whatever comes.
    pub(super) fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.ahead.len() < count {
            assert!(self.more(), "the connection ended: {:?}", self.ahead);
        }
        self.consume(count)
    }

    /// Reads until `pattern` has come, and returns all up to its end.
    pub(super) fn until(&mut self, pattern: &[u8]) -> Vec<u8> {
        let at = self.find(pattern).expect("the connection ended");
        self.consume(at + pattern.len())
    }

    /// Whether the peer says something, or ends the connection, before the time is up.
    pub(super) fn hears_within(&self, time: Duration) -> bool {
        !self.ahead.is_empty() || hears_within(&self.stream, time)
    }

    /// Whether the peer has closed, nothing more having come.
    pub(super) fn is_closed(&mut self) -> bool {
        self.ahead.is_empty() && !self.more()
    }

    fn chunks(&mut self, answer: &mut Answer) -> Option<()> {
        loop {
            let end = self.find(b"\r\n")?;
            let line = String::from_utf8(self.consume(end + 2)).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            if size == 0 {
                break;
            }
            while self.ahead.len() < size + 2 {
                if !self.more() {
                    answer.body.append(&mut self.ahead);
                    return None;
                }
            }
            answer.body.extend(self.consume(size));
            assert_eq!(self.consume(2), b"\r\n");
        }
        loop {
            let end = self.find(b"\r\n")?;
            let line = self.consume(end + 2);
            if line == b"\r\n" {
                return Some(());
            }
            answer.trailers += std::str::from_utf8(&line).unwrap();
        }
    }

    fn find(&mut self, pattern: &[u8]) -> Option<usize> {
        let mut from = 0;
        loop {
            let found = self.ahead[from..]
                .windows(pattern.len())
                .position(|at| at == pattern);
            if let Some(at) = found {
                return Some(from + at);
            }
            from = self.ahead.len().saturating_sub(pattern.len());
            if !self.more() {
                return None;
            }
        }
    }

    fn consume(&mut self, count: usize) -> Vec<u8> {
        let rest = self.ahead.split_off(count);
        std::mem::replace(&mut self.ahead, rest)
    }

    /// False at the end of the connection, be it orderly or not.
    fn more(&mut self) -> bool {
        let mut buffer = vec![0; 256 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.ahead.extend_from_slice(&buffer[..count]);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("waited in vain"),
            Err(_) => false,
        }
    }
}

/// Whether the peer says something, or ends the connection, before the time is up.
pub(super) fn hears_within(stream: &TcpStream, time: Duration) -> bool {
    stream.set_read_timeout(Some(time)).unwrap();
    let peeked = stream.peek(&mut [0]);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    !matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// A POST to `/predict` with this body.
pub(super) fn post(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /predict HTTP/1.1\r\nhost: model\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Bytes that differ from place to place.
pub(super) fn noise(length: usize) -> Vec<u8> {
    (0..length as u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}
