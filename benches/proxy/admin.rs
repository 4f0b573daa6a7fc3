//! What driftd says of itself.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde::Deserialize;

/// The tap's counters, those of `/api/v1/status`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(crate) struct Tap {
    pub(crate) offered: u64,
    pub(crate) captured: u64,
    pub(crate) undecodable: u64,
    pub(crate) dropped: u64,
    pub(crate) in_flight: u64,
}

#[derive(Debug, Deserialize)]
struct Status {
    models: Vec<Model>,
}

#[derive(Debug, Deserialize)]
struct Model {
    tap: Tap,
}

/// The body of `path`.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<String, String> {
    let mut text = String::new();
    let read = TcpStream::connect(address).and_then(|mut stream| {
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        stream.read_to_string(&mut text)
    });
    read.map_err(|error| format!("{address}{path}: {error}"))?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        _ => Err(format!("{address}{path}: {text}")),
    }
}

/// The counters of the only model.
pub(crate) fn tap(address: SocketAddr) -> Result<Tap, String> {
    let body = get(address, "/api/v1/status")?;
    let status: Status =
        serde_json::from_str(&body).map_err(|error| format!("{address}: {error}: {body}"))?;
    let model = status.models.first();
    model
        .map(|model| model.tap)
        .ok_or_else(|| format!("{address}: no model"))
}

/// Waits until nothing of what was offered is open any more.
pub(crate) fn settled(address: SocketAddr) -> Result<Tap, String> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let tap = tap(address)?;
        if tap.in_flight == 0 {
            return Ok(tap);
        }
        if Instant::now() > deadline {
            return Err(format!("driftd does not get through its queue: {tap:?}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

// === impl Tap ===

impl Tap {
    /// What came since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            offered: self.offered - before.offered,
            captured: self.captured - before.captured,
            undecodable: self.undecodable - before.undecodable,
            dropped: self.dropped - before.dropped,
            in_flight: self.in_flight,
        }
    }
}
