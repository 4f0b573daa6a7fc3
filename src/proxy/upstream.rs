//! Where an upstream is, and how a connection to it is opened.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hyper::http::uri::{Authority, Scheme};
use hyper::{Uri, header::HeaderValue};
use tokio::net::UnixStream;
use tokio::time;

use super::reach;
use super::stream::{Plain, Stream};
use super::{ClientTls, Error};

/// How long a name's addresses are used before it is looked up again.
const RESOLVED_FOR: Duration = Duration::from_secs(5);

/// How long they are used where that fails; refused connections end it at once.
const KNOWN_FOR: Duration = Duration::from_secs(300);

/// Before a Unix socket whose backlog is full is tried again, as long as connecting may take.
const BACKLOG_PAUSE: Duration = Duration::from_millis(5);

/// The address of a model server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// HTTP over TCP.
    Http {
        /// With TLS.
        tls: bool,
        /// Host name or address, without brackets.
        host: Box<str>,
        /// Port.
        port: u16,
        /// `host:port` as it stands in a `Host` header.
        authority: Box<str>,
    },
    /// Plain HTTP over a Unix socket.
    Unix {
        /// The socket's path.
        path: PathBuf,
    },
}

/// The addresses a name had when it was last looked up; one for each upstream and thread.
#[derive(Debug, Default)]
pub(super) struct Resolved(RefCell<Option<(Instant, Vec<SocketAddr>)>>);

// === impl Upstream ===

impl Upstream {
    /// Reads `http://host:port`, `https://host:port` or `unix:/path`.
    ///
    /// # Errors
    ///
    /// If `value` is neither, or has a path, a query or credentials.
    pub fn parse(value: &str) -> Result<Self, Error> {
        let refuse = |reason| Error::Upstream {
            value: value.to_owned(),
            reason,
        };
        if let Some(path) = value.strip_prefix("unix:") {
            // `unix:///path` is how others write the same.
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.starts_with('/') {
                return Err(refuse("the socket's path must be absolute"));
            }
            return Ok(Self::Unix { path: path.into() });
        }
        let uri: Uri = value.parse().map_err(|_| refuse("it is not an URL"))?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(refuse("it has no http:// or https:// in front")),
        };
        if uri.query().is_some() || !matches!(uri.path(), "" | "/") {
            return Err(refuse(
                "a path cannot be added, paths are passed as they come",
            ));
        }
        let authority = uri.authority().ok_or_else(|| refuse("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(refuse("credentials cannot be given here"));
        }
        let host = authority.host();
        if host.is_empty() {
            return Err(refuse("it has no host"));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let port = match (authority.port_u16(), has_port(authority)) {
            (Some(0), _) => return Err(refuse("port 0 is nobody's")),
            (Some(port), _) => port,
            (None, false) if tls => 443,
            (None, false) => 80,
            (None, true) => return Err(refuse("the port is not a number up to 65535")),
        };
        Ok(Self::Http {
            tls,
            host: bare.into(),
            port,
            authority: format!("{host}:{port}").into(),
        })
    }

    /// The `Host` for a request that came without one (HTTP/1.0).
    pub(super) fn host(&self) -> HeaderValue {
        match self {
            Self::Http { authority, .. } => HeaderValue::from_str(authority),
            Self::Unix { .. } => Ok(HeaderValue::from_static("localhost")),
        }
        .unwrap_or_else(|_| HeaderValue::from_static("localhost"))
    }

    /// Whether it is reached with TLS.
    #[must_use]
    pub const fn has_tls(&self) -> bool {
        matches!(self, Self::Http { tls: true, .. })
    }

    /// The scheme of its addresses.
    pub(super) const fn scheme(&self) -> Scheme {
        if self.has_tls() {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        }
    }

    /// Opens a connection for HTTP/1.1 or HTTP/2, with the TLS settings in `tls` where the
    /// address asks for it. What takes longer than `limit` fails, with the kind `TimedOut`.
    pub(super) async fn connect(
        &self,
        resolved: &Resolved,
        tls: Option<&ClientTls>,
        http2: bool,
        limit: Duration,
    ) -> io::Result<Stream> {
        let end = time::Instant::now() + limit;
        let plain = self.reach(resolved, http2, end).await?;
        match (self, tls) {
            (
                Self::Http {
                    tls: true, host, ..
                },
                Some(tls),
            ) => in_time(end, tls.connect(plain, host, http2))
                .await
                .map(Stream::from),
            (Self::Http { tls: true, .. }, None) => {
                Err(io::Error::other("TLS is not set up for this upstream"))
            }
            _ => Ok(Stream::from(plain)),
        }
    }

    /// Opens a socket, at whichever address of a name takes it first.
    async fn reach(
        &self,
        resolved: &Resolved,
        http2: bool,
        end: time::Instant,
    ) -> io::Result<Plain> {
        match self {
            Self::Unix { path } => {
                let connecting = async {
                    loop {
                        match UnixStream::connect(path).await {
                            // The upstream's backlog is full; where TCP waits, a Unix socket says so.
                            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                                time::sleep(BACKLOG_PAUSE).await;
                            }
                            connected => return connected.map(Plain::Unix),
                        }
                    }
                };
                in_time(end, connecting).await
            }
            Self::Http { host, port, .. } => {
                let addresses = in_time(end, resolved.addresses(host, *port)).await?;
                let several = addresses.len() > 1;
                let reached = reach::first(addresses, end).await;
                // One that takes its time may still be right.
                if (reached.as_ref()).is_err_and(|error| error.kind() != io::ErrorKind::TimedOut) {
                    resolved.forget();
                }
                let stream = reached?;
                if several && let Ok(address) = stream.peer_addr() {
                    resolved.prefer(address);
                }
                stream.set_nodelay(true)?;
                reach::watch(&stream, http2)?;
                Ok(Plain::Tcp(stream))
            }
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { authority, .. } => write!(f, "{}://{authority}", self.scheme()),
            Self::Unix { path } => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What comes of `work` before `end`.
async fn in_time<T>(
    end: time::Instant,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let done = time::timeout_at(end, work).await;
    done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Whether something stands behind the host, be it a port or not.
fn has_port(authority: &Authority) -> bool {
    authority.as_str().len() > authority.host().len()
}

// === impl Resolved ===

impl Resolved {
    /// The addresses of `host`: looked up on tokio's blocking pool, and then kept for a while,
    /// because an upstream that closes after each response is connected to for each request.
    async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Some((at, addresses)) = &*self.0.borrow()
            && at.elapsed() < RESOLVED_FOR
        {
            return Ok(addresses.clone());
        }
        let addresses: Vec<_> = match tokio::net::lookup_host((host, port)).await {
            Ok(found) => found.collect(),
            // Name servers fail more often than addresses change.
            Err(error) => return self.known().ok_or(error),
        };
        *self.0.borrow_mut() = Some((Instant::now(), addresses.clone()));
        Ok(addresses)
    }

    /// What a name server said last, where that is not long ago.
    fn known(&self) -> Option<Vec<SocketAddr>> {
        let known = self.0.borrow();
        let (at, addresses) = known.as_ref()?;
        (at.elapsed() < KNOWN_FOR).then(|| addresses.clone())
    }

    /// The address that answered is the first to be tried as long as the addresses are kept: where `localhost` has
    /// two and the upstream listens on one, each connection would be refused once before.
    fn prefer(&self, address: SocketAddr) {
        if let Some((_, addresses)) = &mut *self.0.borrow_mut()
            && let Some(at) = addresses.iter().position(|known| *known == address)
        {
            addresses[..=at].rotate_right(1);
        }
    }

    fn forget(&self) {
        *self.0.borrow_mut() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap()
    }

    #[test]
    fn reads_both_kinds_of_address() {
        let written = |value: &str| Upstream::parse(value).unwrap().to_string();
        assert_eq!(written("http://localhost:5000"), "http://localhost:5000");
        assert_eq!(written("http://model/"), "http://model:80");
        assert_eq!(written("http://[::1]:5000"), "http://[::1]:5000");
        assert_eq!(written("unix:/run/model.sock"), "unix:/run/model.sock");
        assert_eq!(written("unix:///run/model.sock"), "unix:/run/model.sock");
        assert_eq!(written("https://model"), "https://model:443");
        assert_eq!(written("https://model:8443/"), "https://model:8443");
        let Upstream::Http { host, .. } = Upstream::parse("http://[::1]:5000").unwrap() else {
            panic!("not http");
        };
        assert_eq!(&*host, "::1");
    }

    #[test]
    fn the_addresses_known_serve_while_no_name_server_answers() {
        let runtime = runtime();
        // Too long for a label: refused without asking anyone.
        let name = "x".repeat(64);
        let address: SocketAddr = "127.0.0.1:5000".parse().unwrap();
        let ask = |resolved: &Resolved| runtime.block_on(resolved.addresses(&name, 5000));
        let resolved = |age: Duration| {
            let at = Instant::now().checked_sub(age).unwrap();
            Resolved(RefCell::new(Some((at, vec![address]))))
        };
        let known = resolved(RESOLVED_FOR);
        assert_eq!(ask(&known).unwrap(), [address]);
        known.forget();
        assert!(ask(&known).is_err());
        assert!(ask(&resolved(KNOWN_FOR)).is_err());
    }

    #[test]
    fn the_address_that_answered_is_tried_first() {
        let runtime = runtime();
        let any = "127.0.0.1:0";
        let good = std::net::TcpListener::bind(any).unwrap();
        let address = good.local_addr().unwrap();
        let gone = std::net::TcpListener::bind(any).unwrap();
        let refusing = gone.local_addr().unwrap();
        drop(gone);
        let upstream = Upstream::parse("http://model").unwrap();
        let known = vec![refusing, refusing, address];
        let resolved = Resolved(RefCell::new(Some((Instant::now(), known))));
        let limit = Duration::from_secs(20);
        let connecting = upstream.connect(&resolved, None, false, limit);
        runtime.block_on(connecting).unwrap();
        let addresses = runtime.block_on(resolved.addresses("model", 80)).unwrap();
        assert_eq!(addresses, [address, refusing, refusing]);
    }

    #[test]
    fn refuses_what_would_surprise() {
        for bad in [
            "",
            "localhost:5000",
            "http://model:5000/v1",
            "http://model:5000?x=1",
            "http://user:secret@model:5000",
            "http://model:99999",
            "http://model:0",
            "unix:model.sock",
            "ftp://model",
        ] {
            let error = Upstream::parse(bad).unwrap_err().to_string();
            assert!(error.contains("http://host:port"), "{bad}: {error}");
        }
    }
}
