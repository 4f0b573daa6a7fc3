//! Connections for what driftd itself sends: over the sockets and the TLS that upstreams are reached
//! with.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use super::upstream::Resolved;
use super::{ClientTls, DEFAULT_CONNECT_TIMEOUT, Upstream};

/// Opens connections to one address.
#[derive(Debug)]
pub struct Dialler {
    address: Upstream,
    tls: Option<ClientTls>,
    resolved: Resolved,
}

// === impl Dialler ===

impl Dialler {
    /// To `address`; `tls` is needed where that has TLS.
    #[must_use]
    pub fn new(address: Upstream, tls: Option<ClientTls>) -> Self {
        Self {
            address,
            tls,
            resolved: Resolved::default(),
        }
    }

    /// Opens a connection that will carry HTTP/1.1.
    ///
    /// # Errors
    /// The address cannot be found or reached, or its certificate is not trusted.
    pub async fn open(&self) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + use<>> {
        let tls = self.tls.as_ref();
        let limit = DEFAULT_CONNECT_TIMEOUT;
        self.address
            .connect(&self.resolved, tls, false, limit)
            .await
    }
}
