//! Stands in for `tls` in a binary built without it: nothing of it can be made, and why is said.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::Plain;
use super::{Error, TlsFiles};

/// What to do about it.
const ABSENT: &str = "this driftd was built without TLS; build it with the cargo feature \"tls\", which is the default";

/// A connection with TLS: there is none.
#[derive(Debug)]
pub(super) struct TlsStream(Infallible);

/// TLS towards clients: there is none.
#[derive(Debug, Clone)]
pub struct ServerTls(Infallible);

/// TLS towards upstreams: there is none.
#[derive(Debug, Clone)]
pub struct ClientTls(Infallible);

// === impl ServerTls ===

impl ServerTls {
    /// Refuses.
    ///
    /// # Errors
    /// Always: this binary has no TLS.
    pub fn load(files: TlsFiles) -> Result<Self, Error> {
        Err(Error::Tls {
            key: "tls.certificate",
            path: files.certificate,
            reason: ABSENT.to_owned(),
        })
    }

    /// Never called, as there is none.
    ///
    /// # Errors
    /// None.
    pub fn reload(&self) -> Result<(), Error> {
        match self.0 {}
    }

    /// Never called, as there is none.
    #[must_use]
    pub fn files(&self) -> &TlsFiles {
        match self.0 {}
    }

    pub(super) async fn accept(&self, _: Plain) -> io::Result<TlsStream> {
        match self.0 {}
    }
}

// === impl ClientTls ===

impl ClientTls {
    /// Refuses.
    ///
    /// # Errors
    /// Always: this binary has no TLS.
    pub fn load(key: &'static str, ca: Option<&Path>) -> Result<Self, Error> {
        Err(Error::Tls {
            key,
            path: ca.unwrap_or(Path::new("https://")).to_owned(),
            reason: ABSENT.to_owned(),
        })
    }

    pub(super) async fn connect(&self, _: Plain, _: &str, _: bool) -> io::Result<TlsStream> {
        match self.0 {}
    }
}

/// Never called, as there is no such stream.
pub(super) fn socket(stream: &TlsStream) -> &Plain {
    match stream.0 {}
}

/// Never called, as there is no such stream.
pub(super) fn chose_http2(stream: &TlsStream) -> bool {
    match stream.0 {}
}

impl AsyncRead for TlsStream {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.0 {}
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        match self.0 {}
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }
}
