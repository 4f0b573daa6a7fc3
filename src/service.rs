//! The service manager: says how driftd is to whoever started it (sd_notify(3)) and expects to hear.
//!
//! Invariant: where nobody listens, or not any more, nothing happens and nothing waits.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A manager that is busy is waited for so long, and no longer: traffic is accepted on this thread.
const PATIENCE: Duration = Duration::from_millis(200);

/// Who is told, if anybody.
#[derive(Debug, Default)]
pub struct Notifier {
    manager: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    /// After this only the watchdog is fed: nothing takes the announcement back.
    stopping: Cell<bool>,
}

// === impl Notifier ===

impl Notifier {
    /// As `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` say. Where they cannot be understood
    /// there is a warning, and nobody is told.
    #[must_use]
    pub fn from_env() -> Self {
        let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        let variable = |name| std::env::var(name).ok();
        match connect(&socket) {
            Ok(manager) => Self {
                manager: Some(manager),
                watchdog: watchdog(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID")),
                stopping: Cell::new(false),
            },
            Err(error) => {
                tracing::warn!(%error, ?socket, "NOTIFY_SOCKET cannot be used: the service manager hears nothing");
                Self::default()
            }
        }
    }

    /// How often the watchdog wants a sign of life, where there is one.
    #[must_use]
    pub const fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Whether anybody is told.
    #[must_use]
    pub const fn is_heard(&self) -> bool {
        self.manager.is_some()
    }

    /// Everything is bound and served; also the end of a reload.
    pub fn ready(&self) {
        self.unless_stopping("READY=1");
    }

    /// A reload begins; [`Notifier::ready`] ends it.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.unless_stopping(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The end begins.
    pub fn stopping(&self) {
        self.unless_stopping("STOPPING=1\nSTATUS=Draining");
        self.stopping.set(true);
    }

    /// What `systemctl status` shows, in one line.
    pub fn status(&self, text: &str) {
        let line = text.replace(|c: char| c.is_control(), " ");
        self.unless_stopping(&format!("STATUS={line}"));
    }

    /// Every part has proved that it lives.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    fn unless_stopping(&self, message: &str) {
        if !self.stopping.get() {
            self.send(message);
        }
    }

    fn send(&self, message: &str) {
        let Some((socket, manager)) = &self.manager else {
            return;
        };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), manager) {
            tracing::debug!(%error, message, "The service manager did not take it");
        }
    }
}

/// A socket to tell the manager by, who listens on the path, or the abstract address, of this name.
fn connect(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => {
            let message = "it begins neither with / nor with @";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok((socket, address))
}

/// The period of the watchdog, if it is meant for this process.
fn watchdog(period: Option<String>, process: Option<String>) -> Option<Duration> {
    let own = std::process::id().to_string();
    if process.is_some_and(|process| process != own) {
        return None;
    }
    let period = period?;
    let micros = period.parse().ok().filter(|micros| *micros > 0);
    if micros.is_none() {
        tracing::warn!(
            period,
            "WATCHDOG_USEC is no number of microseconds: the watchdog is not fed"
        );
    }
    micros.map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(listener: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let length = listener.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn notifier(name: &OsStr) -> Notifier {
        Notifier {
            manager: Some(connect(name).unwrap()),
            ..Notifier::default()
        }
    }

    #[test]
    fn the_watchdog_is_this_process_s_own() {
        let own = std::process::id().to_string();
        let period = || Some("30000000".to_owned());
        let expected = Some(Duration::from_secs(30));
        assert_eq!(watchdog(period(), Some(own.clone())), expected);
        assert_eq!(watchdog(period(), None), expected);
        assert_eq!(watchdog(period(), Some("1".to_owned())), None);
        assert_eq!(watchdog(None, Some(own.clone())), None);
        assert_eq!(watchdog(Some("soon".to_owned()), Some(own.clone())), None);
        assert_eq!(watchdog(Some("0".to_owned()), Some(own)), None);
    }

    #[test]
    fn paths_and_abstract_addresses_are_told_in_the_protocol_s_words() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        let by_path = notifier(path.as_os_str());
        by_path.status("two\nlines");
        assert_eq!(told(&listener), "STATUS=two lines");
        by_path.reloading();
        let reloading = told(&listener);
        let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        assert!(micros.unwrap().parse::<u64>().unwrap() > 0, "{reloading}");

        let name = format!("driftd-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
        let listener = UnixDatagram::bind_addr(&address).unwrap();
        let by_name = notifier(OsStr::new(&format!("@{name}")));
        by_name.ready();
        assert_eq!(told(&listener), "READY=1");
        by_name.stopping();
        assert_eq!(told(&listener), "STOPPING=1\nSTATUS=Draining");
        by_name.ready();
        by_name.status("late");
        by_name.alive();
        assert_eq!(told(&listener), "WATCHDOG=1");
    }

    #[test]
    fn nobody_who_listens_is_no_failure() {
        let directory = tempfile::tempdir().unwrap();
        notifier(directory.path().join("gone").as_os_str()).ready();
        Notifier::default().ready();
        assert!(connect(OsStr::new("vsock:2:1234")).is_err());
    }
}
