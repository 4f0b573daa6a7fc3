//! Upstreams that do what a test says and record what they get.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

use super::wire::{Answer, Client};

/// An upstream that does with each connection what a test says, and records each request.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    pub(super) requests: Arc<Mutex<Vec<Answer>>>,
    pub(super) connections: Arc<AtomicU64>,
}

/// A connection at the [`Origin`].
pub(super) struct Visit {
    pub(super) peer: Client,
    requests: Arc<Mutex<Vec<Answer>>>,
}

impl Visit {
    /// Reads and records the next request; `None` when there will be none.
    pub(super) fn request(&mut self) -> Option<Answer> {
        let request = self.peer.message(true)?;
        self.requests.lock().unwrap().push(request.clone());
        Some(request)
    }

    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The proxy may be gone already.
        let _ = self.peer.stream.write_all(bytes.as_ref());
    }
}

impl Origin {
    pub(super) fn new(serve: impl Fn(Visit) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::default());
        let connections = Arc::new(AtomicU64::new(0));
        let (recorded, counted) = (Arc::clone(&requests), Arc::clone(&connections));
        let serve = Arc::new(serve);
        // Ends with the process: nothing else waits for the last connection.
        thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, SeqCst);
                let peer = Client::new(stream.unwrap());
                let visit = Visit {
                    peer,
                    requests: Arc::clone(&recorded),
                };
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(visit));
            }
        });
        Self {
            address,
            requests,
            connections,
        }
    }

    /// Answers every request with these bytes.
    pub(super) fn always(answer: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::new(move |mut visit| {
            while visit.request().is_some() {
                visit.send(&answer);
            }
        })
    }

    /// Answers every request with its own body.
    pub(super) fn echo() -> Self {
        Self::new(|mut visit| {
            while let Some(request) = visit.request() {
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                    request.body.len()
                );
                visit.send(head);
                visit.send(request.body);
            }
        })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn requests(&self) -> Vec<Answer> {
        self.requests.lock().unwrap().clone()
    }

    pub(super) fn connections(&self) -> u64 {
        self.connections.load(SeqCst)
    }
}

/// An upstream on a Unix socket that answers requests without a body.
pub(super) fn serve_unix(path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut seen = Vec::new();
            let mut byte = [0];
            while stream.read(&mut byte).is_ok_and(|count| count == 1) {
                seen.push(byte[0]);
                if seen.ends_with(b"\r\n\r\n") {
                    let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                    stream.write_all(ok).unwrap();
                }
            }
        }
    });
}
