//! Sockets to listen on: inherited from whoever started driftd, or bound here.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

use super::{Addresses, Error};
use crate::config::Config;
use crate::proxy::{Address, Listener};

/// The sockets, by the name a service manager gives them and in the order it passes them.
const NAMES: [&str; 3] = ["listen", "admin", "metrics"];

/// Every socket driftd listens on.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) proxy: Listener,
    pub(super) admin: TcpListener,
    pub(super) metrics: Option<TcpListener>,
    pub(super) addresses: Addresses,
    /// The file of a Unix socket bound here.
    pub(super) file: Option<SocketFile>,
}

/// The file of a Unix socket; removed when this is dropped, unless another took its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Sockets that were open when driftd began, by their place in [`NAMES`].
#[derive(Debug, Default)]
struct Inherited([Option<Listener>; 3]);

/// Takes what was inherited and binds the rest.
pub(super) async fn bind(config: &Config) -> Result<Listeners, Error> {
    let Inherited([proxy, admin, metrics]) = Inherited::take()?;
    let mut file = None;
    let proxy = match (proxy, &config.listen) {
        (Some(inherited), _) => inherited,
        (None, Address::Tcp(address)) => Listener::Tcp(tcp("listen", *address).await?),
        (None, Address::Unix(path)) => {
            let (listener, bound) = unix(path, config.serving.listen_mode)?;
            file = Some(bound);
            Listener::Unix(listener)
        }
    };
    let admin = match admin {
        Some(inherited) => only_tcp("admin", inherited)?,
        None => tcp("admin", config.admin).await?,
    };
    let metrics = match (metrics, config.metrics) {
        (Some(inherited), _) => Some(only_tcp("metrics", inherited)?),
        (None, Some(address)) => Some(tcp("metrics", address).await?),
        (None, None) => None,
    };
    let local = |listener: &TcpListener| listener.local_addr().ok();
    let addresses = Addresses {
        proxy: proxy.address().unwrap_or_else(|| config.listen.clone()),
        admin: local(&admin).unwrap_or(config.admin),
        metrics: metrics.as_ref().and_then(local),
    };
    Ok(Listeners {
        proxy,
        admin,
        metrics,
        addresses,
        file,
    })
}

async fn tcp(key: &'static str, address: SocketAddr) -> Result<TcpListener, Error> {
    let bound = tokio::net::TcpListener::bind(address).await;
    let detached = bound.and_then(tokio::net::TcpListener::into_std);
    detached.map_err(|source| Error::Bind {
        key,
        address,
        source,
    })
}

/// Binds a Unix socket, in the place of one that nobody listens on any more.
fn unix(path: &Path, mode: u32) -> Result<(UnixListener, SocketFile), Error> {
    let refuse = |hint: &'static str, source| Error::Socket {
        path: path.to_owned(),
        hint,
        source,
    };
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            stale(path).map_err(|(hint, source)| refuse(hint, source))?;
            UnixListener::bind(path)
        }
        bound => bound,
    };
    let hint = "write a path of at most 107 bytes in a directory driftd may write to";
    let listener = listener.map_err(|source| refuse(hint, source))?;
    let hint = "its permissions cannot be set";
    let set = fs::set_permissions(path, Permissions::from_mode(mode));
    let found = set.and_then(|()| fs::symlink_metadata(path));
    let found = found.map_err(|source| refuse(hint, source))?;
    let file = SocketFile {
        path: path.to_owned(),
        device: found.dev(),
        inode: found.ino(),
    };
    Ok((listener, file))
}

/// Removes the socket at `path` if nobody listens on it.
fn stale(path: &Path) -> Result<(), (&'static str, io::Error)> {
    let found = fs::symlink_metadata(path).map_err(|error| ("it cannot be looked at", error))?;
    if !found.file_type().is_socket() {
        let hint = "there is a file that is no socket; write another path, or move it away";
        return Err((hint, ErrorKind::AlreadyExists.into()));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            tracing::info!(path = %path.display(), "Removed a socket nobody listened on");
            fs::remove_file(path).map_err(|error| ("the old socket cannot be removed", error))
        }
        Err(error) => Err(("whether somebody listens on it cannot be told", error)),
        Ok(_) => {
            let hint = "another process listens on it; stop that, or write another path";
            Err((hint, ErrorKind::AddrInUse.into()))
        }
    }
}

fn only_tcp(key: &'static str, inherited: Listener) -> Result<TcpListener, Error> {
    match inherited {
        Listener::Tcp(listener) => Ok(listener),
        Listener::Unix(_) => Err(Error::Inherited {
            reason: format!("the socket for {key} is a Unix socket; pass a TCP socket"),
        }),
    }
}

// === impl Inherited ===

impl Inherited {
    /// The sockets of `LISTEN_FDS` (sd_listen_fds(3)), if they are meant for this process.
    fn take() -> Result<Self, Error> {
        let mut inherited = Self::default();
        // Looked at first: taking them changes the environment.
        if std::env::var_os("LISTEN_FDS").is_none() {
            return Ok(inherited);
        }
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut sockets = ListenFd::from_env();
        let places = places(&names, sockets.len()).map_err(|reason| Error::Inherited { reason })?;
        for (number, place) in places.into_iter().enumerate() {
            let tcp = sockets
                .take_tcp_listener(number)
                .map(|s| s.map(Listener::Tcp));
            let taken = tcp.or_else(|_| {
                let unix = sockets.take_unix_listener(number);
                unix.map(|s| s.map(Listener::Unix))
            });
            let name = NAMES[place];
            let taken = taken.and_then(listening);
            inherited.0[place] = taken.map_err(|error| Error::Inherited {
                reason: format!("{name}: {error}; pass a listening TCP or Unix stream socket"),
            })?;
            tracing::info!(socket = name, "Listening on an inherited socket");
        }
        Ok(inherited)
    }
}

/// The socket, if connections can be accepted on it.
fn listening(socket: Option<Listener>) -> io::Result<Option<Listener>> {
    let listens = match &socket {
        Some(Listener::Tcp(listener)) => socket_acceptconn(listener)?,
        Some(Listener::Unix(listener)) => socket_acceptconn(listener)?,
        None => false,
    };
    if listens {
        Ok(socket)
    } else {
        Err(io::Error::other("it is not listening"))
    }
}

/// Which of [`NAMES`] each of `count` sockets is: by its name in the colon-separated `names`, or by
/// its place where none of them has one of driftd's names (systemd then gives the unit's).
fn places(names: &str, count: usize) -> Result<Vec<usize>, String> {
    if count > NAMES.len() {
        return Err(format!(
            "{count} sockets were passed; driftd takes up to {}: {}",
            NAMES.len(),
            NAMES.join(", ")
        ));
    }
    let given: Vec<&str> = names.split(':').collect();
    let known = |name: &&str| NAMES.iter().position(|known| known == name);
    if !given.iter().any(|name| known(name).is_some()) {
        return Ok((0..count).collect());
    }
    let mut found = Vec::with_capacity(count);
    for number in 0..count {
        let name = given.get(number).copied().unwrap_or_default();
        match known(&name) {
            Some(place) if !found.contains(&place) => found.push(place),
            Some(_) => return Err(format!("two sockets are named {name}")),
            None => {
                return Err(format!(
                    "socket {number} is named {name:?}; the names are {}",
                    NAMES.join(", ")
                ));
            }
        }
    }
    Ok(found)
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "Socket not removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_known_by_name_or_else_by_order() {
        assert_eq!(places("", 2), Ok(vec![0, 1]));
        assert_eq!(places("driftd.socket:driftd.socket", 2), Ok(vec![0, 1]));
        assert_eq!(places("metrics:listen", 2), Ok(vec![2, 0]));
        assert_eq!(places("", 0), Ok(vec![]));
        for (names, count) in [
            ("", 4),
            ("listen:listen", 2),
            ("listen:http", 2),
            ("listen", 2),
        ] {
            assert!(places(names, count).is_err(), "{names} {count}");
        }
    }

    #[test]
    fn a_socket_nobody_listens_on_is_replaced_and_nothing_else_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("driftd.sock");
        drop(UnixListener::bind(&path).unwrap());
        let (listener, file) = unix(&path, 0o600).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let error = unix(&path, 0o600).unwrap_err().to_string();
        assert!(error.contains("another process listens"), "{error}");
        drop((listener, file));
        assert!(!path.exists());
        fs::write(&path, "precious").unwrap();
        let error = unix(&path, 0o600).unwrap_err().to_string();
        assert!(error.contains("no socket"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }
}
