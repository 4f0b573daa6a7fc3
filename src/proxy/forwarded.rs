//! What an upstream is told of the client behind a request.

use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};

use super::limits::Forwarded;
use super::stream::Plain;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST_BEFORE: HeaderName = HeaderName::from_static("x-forwarded-host");

const OURS: [HeaderName; 3] = [FOR, PROTO, HOST_BEFORE];

/// What a request says of these already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Claims {
    address: bool,
    scheme: bool,
    host: bool,
    misspelt: bool,
}

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
        let mut claims = Claims::of(headers);
        if claims.misspelt {
            remove(headers, is_misspelt);
        }
        if policy == Forwarded::Replace && claims != Claims::default() {
            remove(headers, |name| OURS.contains(name));
            claims = Claims::default();
        }
        let address = match claims.address {
            true => self.appended(headers),
            false => self.address.clone(),
        };
        headers.insert(FOR, address);
        if !claims.scheme {
            headers.insert(PROTO, self.scheme.clone());
        }
        if !claims.host
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

// === impl Claims ===

impl Claims {
    /// One look over what is there costs less than one for each name.
    fn of(headers: &HeaderMap) -> Self {
        let mut claims = Self::default();
        for name in headers.keys().filter(|name| has_our_length(name)) {
            claims.address |= *name == FOR;
            claims.scheme |= *name == PROTO;
            claims.host |= *name == HOST_BEFORE;
            claims.misspelt |= is_misspelt(name);
        }
        claims
    }
}

fn has_our_length(name: &HeaderName) -> bool {
    let length = name.as_str().len();
    OURS.iter().any(|ours| ours.as_str().len() == length)
}

/// Whether it is one of ours but for a `_` in place of a `-`. CGI and WSGI servers make one variable of both,
/// so that `X_Forwarded_For` could stand for, or behind, what driftd says.
fn is_misspelt(name: &HeaderName) -> bool {
    let name = name.as_str();
    OURS.iter().any(|ours| {
        let ours = ours.as_str();
        let same = |(a, b): (u8, u8)| a == b || (a == b'-' && b == b'_');
        ours.len() == name.len() && ours != name && ours.bytes().zip(name.bytes()).all(same)
    })
}

fn remove(headers: &mut HeaderMap, which: impl Fn(&HeaderName) -> bool) {
    let names: Vec<_> = headers.keys().filter(|name| which(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}
