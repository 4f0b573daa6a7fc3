//! TLS with rustls: towards clients with certificates that can be replaced while it serves, towards
//! upstreams with the system's roots or a file of one's own.
//!
//! Invariant: a file that cannot be used is refused with its name, and what was in force stays.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::stream::Plain;
use super::{Error, TlsFiles};

/// A connection with TLS.
pub(super) type TlsStream = tokio_rustls::TlsStream<Plain>;

/// What ALPN calls HTTP/2.
const HTTP2: &[u8] = b"h2";

/// What ALPN calls HTTP/1.1.
const HTTP1: &[u8] = b"http/1.1";

/// TLS towards clients; clones share the certificate in force.
#[derive(Debug, Clone)]
pub struct ServerTls {
    files: Arc<TlsFiles>,
    config: Arc<ArcSwap<ServerConfig>>,
}

/// TLS towards upstreams.
#[derive(Debug, Clone)]
pub struct ClientTls {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

// === impl ServerTls ===

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// The file that cannot be used, and why.
    pub fn load(files: TlsFiles) -> Result<Self, Error> {
        let config = ArcSwap::from(server(&files)?);
        Ok(Self {
            files: Arc::new(files),
            config: Arc::new(config),
        })
    }

    /// Reads the files again. Connections begun from now on get what they say.
    ///
    /// # Errors
    /// The file that cannot be used, and why; what was in force stays.
    pub fn reload(&self) -> Result<(), Error> {
        self.config.store(server(&self.files)?);
        Ok(())
    }

    /// The files it is made of.
    #[must_use]
    pub fn files(&self) -> &TlsFiles {
        &self.files
    }

    /// Shakes hands with a client.
    pub(super) async fn accept(&self, plain: Plain) -> io::Result<TlsStream> {
        let acceptor = TlsAcceptor::from(self.config.load_full());
        acceptor.accept(plain).await.map(TlsStream::Server)
    }
}

// === impl ClientTls ===

impl ClientTls {
    /// Trusts the certificates in the file `ca`, which the setting `key` names, or else those the
    /// system trusts.
    ///
    /// # Errors
    /// The file that cannot be used, or that the system trusts nobody.
    pub fn load(key: &'static str, ca: Option<&Path>) -> Result<Self, Error> {
        let roots = match ca {
            Some(path) => trusted(key, path)?,
            None => system_roots(key)?,
        };
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| refuse(key, Path::new(""), error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http1 = config.clone();
        http1.alpn_protocols = vec![HTTP1.to_vec()];
        let mut http2 = config;
        http2.alpn_protocols = vec![HTTP2.to_vec()];
        Ok(Self {
            http1: Arc::new(http1),
            http2: Arc::new(http2),
        })
    }

    /// Shakes hands with the upstream `host`, for HTTP/2 or HTTP/1.1.
    pub(super) async fn connect(
        &self,
        plain: Plain,
        host: &str,
        http2: bool,
    ) -> io::Result<TlsStream> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let config = if http2 { &self.http2 } else { &self.http1 };
        let connector = TlsConnector::from(Arc::clone(config));
        let stream = connector.connect(name, plain).await.map_err(told)?;
        if http2 && stream.get_ref().1.alpn_protocol() != Some(HTTP2) {
            return Err(io::Error::other("TLS: the upstream does not offer HTTP/2"));
        }
        Ok(TlsStream::Client(stream))
    }
}

/// The socket under it.
pub(super) fn socket(stream: &TlsStream) -> &Plain {
    stream.get_ref().0
}

/// Whether the client chose HTTP/2.
pub(super) fn chose_http2(stream: &TlsStream) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP2)
}

/// Says which half of connecting failed.
fn told(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("TLS: {error}"))
}

fn server(files: &TlsFiles) -> Result<Arc<ServerConfig>, Error> {
    let TlsFiles {
        certificate,
        key,
        client_ca,
    } = files;
    let chain = certificates("tls.certificate", certificate)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| match error {
        pem::Error::NoItemsFound => refuse(
            "tls.key",
            key,
            "no private key in it; write an unencrypted one in PEM (PKCS#8, PKCS#1 or SEC1)",
        ),
        error => unread("tls.key", key, &error),
    })?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse("tls.certificate", certificate, error.to_string()))?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = Arc::new(trusted("tls.client_ca", path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|error| refuse("tls.client_ca", path, error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, private).map_err(|error| {
        let reason = match error {
            rustls::Error::InconsistentKeys(_) => format!(
                "its key is not the one of the certificate {}; write the pair that belongs together",
                certificate.display()
            ),
            error => error.to_string(),
        };
        refuse("tls.key", key, reason)
    })?;
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    Ok(Arc::new(config))
}

fn system_roots(key: &'static str) -> Result<RootCertStore, Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let path = Path::new("the system's certificates");
        let reason = format!("none found; install ca-certificates or write {key} = \"ca.pem\"");
        return Err(refuse(key, path, reason));
    }
    Ok(roots)
}

fn trusted(key: &'static str, path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(key, path)? {
        let added = roots.add(certificate);
        added.map_err(|error| refuse(key, path, error.to_string()))?;
    }
    Ok(roots)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all = CertificateDer::pem_file_iter(path).map_err(|error| unread(key, path, &error))?;
    let all: Result<Vec<_>, _> = all.collect();
    let all = all.map_err(|error| unread(key, path, &error))?;
    if all.is_empty() {
        let reason = "no certificate in it; write PEM, with -----BEGIN CERTIFICATE-----";
        return Err(refuse(key, path, reason));
    }
    Ok(all)
}

fn unread(key: &'static str, path: &Path, error: &pem::Error) -> Error {
    refuse(key, path, format!("it cannot be read as PEM: {error}"))
}

fn refuse(key: &'static str, path: &Path, reason: impl Into<String>) -> Error {
    Error::Tls {
        key,
        path: PathBuf::from(path),
        reason: reason.into(),
    }
}
