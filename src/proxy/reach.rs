//! Opening a TCP connection to a host with one address or several.
//!
//! No address waits for another that does not answer: each has a head start before the next is tried
//! beside it, and the first that answers is taken (as RFC 8305 has it, "Happy Eyeballs").

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

/// How long an address is tried alone: RFC 8305's "Connection Attempt Delay", 5.
const HEAD_START: Duration = Duration::from_millis(250);

/// A peer that vanished (its host crashed, its packets are dropped) sends no end. The kernel asks an
/// idle one after this time, so often, this far apart: half a minute until it is given up. Unlike
/// HTTP/2's pings this costs the upstream's process nothing, and none takes offence at it.
const PROBE_AFTER: Duration = Duration::from_secs(15);
const PROBES: u32 = 3;
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// How long what was sent on a connection that many exchanges share may stay unacknowledged, by a
/// peer that is not idle and so is not asked. For HTTP/1 it would be wrong: a busy worker may leave a
/// long body untaken for minutes.
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

/// Why none of a host's addresses was reached.
#[derive(Debug)]
pub(super) struct Unreached(Vec<Tried>);

#[derive(Debug)]
struct Tried {
    address: SocketAddr,
    /// `None`: it did not answer in time.
    error: Option<io::Error>,
}

/// Connects to the first of `addresses` that answers before `end`.
///
/// # Errors
///
/// [`Unreached`], of kind `TimedOut` if any of the addresses did not answer.
pub(super) async fn first(addresses: Vec<SocketAddr>, end: Instant) -> io::Result<TcpStream> {
    if let [address] = addresses[..] {
        return only(address, end).await;
    }
    let mut left = addresses.into_iter();
    let mut tried: Vec<Tried> = Vec::new();
    let mut under_way = JoinSet::new();
    loop {
        if let Some(address) = left.next() {
            let number = tried.len();
            let error = None;
            tried.push(Tried { address, error });
            under_way.spawn(async move { (number, TcpStream::connect(address).await) });
        }
        let now = Instant::now();
        let next = match u32::try_from(left.len()) {
            Ok(0) | Err(_) => end,
            // Where there is little time, each has its share of it.
            Ok(left) => now + HEAD_START.min(end.saturating_duration_since(now) / (left + 1)),
        };
        tokio::select! {
            biased;
            ended = under_way.join_next() => match ended {
                Some(Ok((_, Ok(stream)))) => {
                    note(&tried);
                    return Ok(stream);
                }
                Some(Ok((number, Err(error)))) => tried[number].error = Some(error),
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return Err(Unreached(tried).into()),
            },
            () = time::sleep_until(next) => {
                if Instant::now() >= end {
                    return Err(Unreached(tried).into());
                }
            }
        }
    }
}

/// Connects to the only address there is: no other is to be tried beside it, so it takes no task.
async fn only(address: SocketAddr, end: Instant) -> io::Result<TcpStream> {
    let error = match time::timeout_at(end, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(error)) => Some(error),
        Err(_) => None,
    };
    Err(Unreached(vec![Tried { address, error }]).into())
}

/// Has the system find out when the upstream at the other end has vanished; `shared` says whether
/// many exchanges share the connection.
pub(super) fn watch(stream: &TcpStream, shared: bool) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, PROBE_EVERY)?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    if shared {
        let limit = u32::try_from(UNACKNOWLEDGED.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(stream, limit)?;
    }
    Ok(())
}

/// Says which addresses refused before one did not.
fn note(tried: &[Tried]) {
    for Tried { address, error } in tried {
        if let Some(error) = error {
            tracing::debug!(%address, %error, "Upstream address failed; another is used");
        }
    }
}

// === impl Unreached ===

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the name has no address");
        }
        for (number, Tried { address, error }) in self.0.iter().enumerate() {
            let between = if number == 0 { "" } else { "; " };
            match error {
                Some(error) => write!(f, "{between}{address}: {error}")?,
                None => write!(f, "{between}{address}: no answer in time")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Unreached {}

impl From<Unreached> for io::Error {
    fn from(unreached: Unreached) -> Self {
        let tried = &unreached.0;
        let kind = if tried.iter().any(|tried| tried.error.is_none()) {
            io::ErrorKind::TimedOut
        } else {
            let last = tried.last().and_then(|tried| tried.error.as_ref());
            // No address at all is what a name server says of a name it does not know.
            last.map_or(io::ErrorKind::NotFound, io::Error::kind)
        };
        Self::new(kind, unreached)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream as Std};

    use super::*;

    /// An address on which packets are lost: nobody accepts, and the backlog is full.
    struct Hole {
        address: SocketAddr,
        _listener: TcpListener,
        _full: Vec<Std>,
    }

    impl Hole {
        fn dig() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            rustix::net::listen(&listener, 0).unwrap();
            let address = listener.local_addr().unwrap();
            let mut full = Vec::new();
            while let Ok(stream) = Std::connect_timeout(&address, Duration::from_millis(200)) {
                full.push(stream);
                assert!(full.len() < 100, "the backlog has no end");
            }
            Self {
                address,
                _listener: listener,
                _full: full,
            }
        }
    }

    fn refusing() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    }

    fn reach(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async { first(addresses.to_vec(), Instant::now() + limit).await })
    }

    #[test]
    fn addresses_that_do_not_answer_or_refuse_leave_time_for_one_that_takes_it() {
        let (hole, refusing) = (Hole::dig(), refusing());
        let good = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = good.local_addr().map(|address| (good, address)).unwrap();
        let addresses = [hole.address, refusing, hole.address, good.1];
        let begun = Instant::now();
        let stream = reach(&addresses, Duration::from_secs(20)).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good.1);
        // Two holes had their head start.
        assert!(begun.elapsed() >= 2 * HEAD_START, "{:?}", begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(10));
        // With less time than the head starts of all, each has its share.
        let stream = reach(&addresses, 2 * HEAD_START).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good.1);
    }

    #[test]
    fn who_failed_and_why_is_told() {
        let (hole, refusing) = (Hole::dig(), refusing());
        let error = reach(&[refusing, hole.address], HEAD_START).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let told = error.to_string();
        let expected = format!("{refusing}: Connection refused (os error 111); ");
        assert!(told.starts_with(&expected), "{told}");
        let expected = format!("{}: no answer in time", hole.address);
        assert!(told.ends_with(&expected), "{told}");
        let error = reach(&[refusing], HEAD_START).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = reach(&[], HEAD_START).unwrap_err();
        assert_eq!(error.to_string(), "the name has no address");
    }
}
