//! What an upstream is told of the client behind a request.

use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};

use super::limits::Forwarded;
use super::stream::Plain;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST_BEFORE: HeaderName = HeaderName::from_static("x-forwarded-host");

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
    pub(super) fn announce(&self, policy: Forwarded, headers: &mut HeaderMap) {
        if policy == Forwarded::Off {
            return;
        }
        remove_misspelt(headers);
        if policy == Forwarded::Replace {
            for name in [FOR, PROTO, HOST_BEFORE] {
                headers.remove(name);
            }
        }
        let address = self.appended(headers);
        headers.insert(FOR, address);
        if !headers.contains_key(PROTO) {
            headers.insert(PROTO, self.scheme.clone());
        }
        if !headers.contains_key(HOST_BEFORE)
            && let Some(host) = headers.get(HOST).cloned()
        {
            headers.insert(HOST_BEFORE, host);
        }
    }

    /// All lines of `X-Forwarded-For` as one, with the client's address behind them.
    fn appended(&self, headers: &HeaderMap) -> HeaderValue {
        if !headers.contains_key(FOR) {
            return self.address.clone();
        }
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

/// Removes what is one of ours but for a `_` in place of a `-`. CGI and WSGI servers make one variable of
/// both, so that `X_Forwarded_For` could stand for, or behind, what driftd says.
fn remove_misspelt(headers: &mut HeaderMap) {
    let misspelt = |name: &HeaderName| {
        let name = name.as_str();
        [FOR, PROTO, HOST_BEFORE].iter().any(|ours| {
            let ours = ours.as_str();
            let same = |(a, b): (u8, u8)| a == b || (a == b'-' && b == b'_');
            ours.len() == name.len() && ours != name && ours.bytes().zip(name.bytes()).all(same)
        })
    };
    if !headers.keys().any(misspelt) {
        return;
    }
    let claims: Vec<_> = headers
        .keys()
        .filter(|name| misspelt(name))
        .cloned()
        .collect();
    for name in claims {
        headers.remove(name);
    }
}
