//! How traffic is taken and let go: sockets, TLS, HTTP/2, the end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::resolve;
use super::section::{Section, parse_duration};
use crate::proxy::{Address, TlsFiles};

/// Owner and group may connect to a Unix socket.
const DEFAULT_MODE: u32 = 0o660;

/// Time for everything between the signal and the exit; Kubernetes kills after 30 s.
const DEFAULT_GRACE: Duration = Duration::from_secs(25);

/// How traffic is taken and let go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// Permissions of a Unix socket driftd listens on.
    pub listen_mode: u32,
    /// TLS towards clients.
    pub tls: Option<TlsFiles>,
    /// Whose certificates upstreams with `https://` must show; `None`: whom the system trusts.
    pub upstream_ca: Option<PathBuf>,
    /// Whether every request goes to its upstream over HTTP/2, and not gRPC calls alone.
    pub upstream_http2: bool,
    /// How long connections are taken after the signal to end, while `/readyz` says 503.
    pub lame_duck: Duration,
    /// Time for everything between the signal and the exit.
    pub grace: Duration,
    /// Whether `/readyz` says 503 while an upstream cannot be reached.
    pub ready_needs_upstream: bool,
}

/// Reads it.
pub(super) fn read(top: &mut Section<'_>, base: &Path) -> Serving {
    let right = "permissions in octal such as \"0660\"";
    let listen_mode = top.parse("listen_mode", right, |text| {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let mode = u32::from_str_radix(digits, 8).map_err(|_| String::new())?;
        (mode <= 0o777).then_some(mode).ok_or_else(String::new)
    });
    let right = "a duration such as \"5s\", or \"0s\"";
    let lame_duck = top.parse("lame_duck", right, |text| match text {
        "0" | "0s" | "off" => Ok(Duration::ZERO),
        text => parse_duration(text),
    });
    let serving = Serving {
        listen_mode: listen_mode.unwrap_or(DEFAULT_MODE),
        tls: tls(top, base),
        upstream_ca: path(top, "upstream_ca", base),
        upstream_http2: top.boolean("upstream_http2").unwrap_or(false),
        lame_duck: lame_duck.unwrap_or_default(),
        grace: top.duration("grace").unwrap_or(DEFAULT_GRACE),
        ready_needs_upstream: top.boolean("ready_needs_upstream").unwrap_or(false),
    };
    if serving.lame_duck >= serving.grace.mul_f64(0.8) {
        let message = format!(
            "takes more than four fifths of grace ({}), which is for draining and writing down as well; lengthen that",
            humantime::format_duration(serving.grace)
        );
        top.lacks("lame_duck", message);
    }
    serving
}

/// `127.0.0.1:8080` or `unix:/path`.
pub(super) fn listen(top: &mut Section<'_>) -> Option<Address> {
    let right = "an address such as \"127.0.0.1:8080\", or \"unix:/path.sock\"";
    top.parse("listen", right, Address::parse)
}

fn tls(top: &mut Section<'_>, base: &Path) -> Option<TlsFiles> {
    let given = top.has("tls");
    let mut section = top.section("tls");
    let certificate = path(&mut section, "certificate", base);
    let key = path(&mut section, "key", base);
    let client_ca = path(&mut section, "client_ca", base);
    if given && certificate.is_none() {
        let message = "missing; write the path of a PEM file: certificate = \"tls.crt\"";
        section.lacks("certificate", message.to_owned());
    }
    if given && key.is_none() {
        let message = "missing; write the path of a PEM file: key = \"tls.key\"";
        section.lacks("key", message.to_owned());
    }
    section.finish();
    Some(TlsFiles {
        certificate: certificate?,
        key: key?,
        client_ca,
    })
}

fn path(section: &mut Section<'_>, key: &'static str, base: &Path) -> Option<PathBuf> {
    let value = section.take(key)?;
    let text = value.to_string();
    if text.trim().is_empty() {
        let message = "write the path of a PEM file".to_owned();
        section.problem(key, &value, format!("{text:?}"), message);
        return None;
    }
    Some(resolve(base, &value, &text))
}
