//! What an upstream is told of the client behind a request.

use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};

use super::known::{Known, Present};
use super::limits::Forwarded;
use super::stream::Plain;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST_BEFORE: HeaderName = HeaderName::from_static("x-forwarded-host");

static OURS: [(Known, HeaderName); 3] = [
    (Known::ForwardedFor, FOR),
    (Known::ForwardedProto, PROTO),
    (Known::ForwardedHost, HOST_BEFORE),
];

/// Who is at the other end of a client connection.
#[derive(Debug)]
pub(super) struct Peer {
    /// Its address; `unix:` on a Unix socket, as nginx writes it.
    address: HeaderValue,
    /// `http` or `https`.
    scheme: HeaderValue,
}

// === impl Peer ===

impl Peer {
    /// The peer of a connection that was just accepted.
    pub(super) fn of(socket: &Plain, tls: bool) -> Self {
        let address = match socket {
            // A connection that is gone by now has none, and no request either.
            Plain::Tcp(stream) => stream.peer_addr().ok(),
            Plain::Unix(_) => None,
        };
        let address = address.and_then(|address| {
            // An IPv4 client of a listener on [::] is known by its IPv4 address.
            HeaderValue::from_str(&address.ip().to_canonical().to_string()).ok()
        });
        Self {
            address: address.unwrap_or(HeaderValue::from_static("unix:")),
            scheme: HeaderValue::from_static(if tls { "https" } else { "http" }),
        }
    }

    /// Sets the headers of a request whose `Host` is settled and whose hop-by-hop headers are gone.
    pub(super) fn announce(&self, policy: Forwarded, headers: &mut HeaderMap, present: Present) {
        if policy == Forwarded::Off {
            return;
        }
        if present.has(Known::Misspelt) {
            let misspelt = |name: &&HeaderName| Known::of(name) == Some(Known::Misspelt);
            let names: Vec<_> = headers.keys().filter(misspelt).cloned().collect();
            for name in names {
                headers.remove(name);
            }
        }
        if policy == Forwarded::Replace {
            for (known, name) in &OURS {
                if present.has(*known) {
                    headers.remove(name);
                }
            }
        }
        // Whether the request says it already, and may.
        let said = |known| present.has(known) && policy == Forwarded::Append;
        let address = match said(Known::ForwardedFor) {
            true => self.appended(headers),
            false => self.address.clone(),
        };
        headers.insert(FOR, address);
        if !said(Known::ForwardedProto) {
            headers.insert(PROTO, self.scheme.clone());
        }
        if !said(Known::ForwardedHost)
            && let Some(host) = headers.get(HOST).cloned()
        {
            headers.insert(HOST_BEFORE, host);
        }
    }

    /// All lines of `X-Forwarded-For` as one, with the client's address behind them.
    fn appended(&self, headers: &HeaderMap) -> HeaderValue {
        let mut list = Vec::new();
        for line in headers.get_all(FOR) {
            let line = line.as_bytes().trim_ascii();
            if !line.is_empty() {
                list.extend_from_slice(line);
                list.extend_from_slice(b", ");
            }
        }
        list.extend_from_slice(self.address.as_bytes());
        HeaderValue::from_bytes(&list).unwrap_or_else(|_| self.address.clone())
    }
}
