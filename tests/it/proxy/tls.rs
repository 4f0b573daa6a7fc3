//! TLS on both sides: certificates of the test's own, two proxies one behind the other.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use driftd::metrics::connection::Limit;
use driftd::proxy::{ClientTls, ServerTls, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::net::sockopt::set_socket_linger;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use super::harness::{Running, setup};
use super::http2::{Grpc, connect, run, whole};
use super::origin::Origin;
use super::wire::post;
use crate::waiting::{PATIENCE, eventually};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// An authority and the files of a server at `localhost`.
struct Issued {
    directory: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Issued {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let issued = Self {
            directory: tempfile::tempdir().unwrap(),
            authority,
        };
        fs::write(issued.path("ca.pem"), issued.authority.pem()).unwrap();
        issued.issue("server");
        issued
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a new certificate and key; the certificate, as the peer sees it.
    fn issue(&self, name: &str) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
        certificate.der().clone()
    }

    fn files(&self) -> TlsFiles {
        TlsFiles {
            certificate: self.path("server.pem"),
            key: self.path("server.key"),
            client_ca: None,
        }
    }

    fn tls(&self) -> ServerTls {
        ServerTls::load(self.files()).unwrap()
    }

    /// A client that trusts this authority, with a certificate of its own if it is named.
    fn client(&self, own: Option<&str>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let builder = ClientConfig::builder().with_root_certificates(roots);
        match own {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let own = CertificateDer::from_pem_file(self.path(&format!("{name}.pem"))).unwrap();
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(vec![own], key).unwrap()
            }
        }
    }
}

/// A connection with TLS.
struct Secure(StreamOwned<ClientConnection, TcpStream>);

impl Secure {
    fn connect(proxy: &Running, config: ClientConfig) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = TcpStream::connect(proxy.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(StreamOwned::new(connection, stream))
    }

    /// Sends a request and reads its answer, which ends with `ok`; the status line.
    fn ask(&mut self) -> std::io::Result<String> {
        self.0.write_all(&post(b"x"))?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok") {
            let mut buffer = [0; 1024];
            let read = self.0.read(&mut buffer)?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            answer.extend_from_slice(&buffer[..read]);
        }
        let text = String::from_utf8(answer).unwrap();
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }

    fn certificate(&self) -> CertificateDer<'static> {
        self.0.conn.peer_certificates().unwrap()[0].clone()
    }
}

/// A proxy with TLS in front of `url`.
fn secure(url: &str, tls: ServerTls) -> Running {
    let mut settings = setup(url);
    settings.config.tls = Some(tls);
    settings.run()
}

/// A proxy without TLS in front of one with.
fn in_front_of(behind: &Running, tls: ClientTls) -> Running {
    let mut settings = setup(&format!("https://localhost:{}", behind.address.port()));
    settings.config.upstream_tls = Some(tls);
    settings.run()
}

#[test]
fn a_request_passes_with_tls_on_both_sides() {
    let issued = Issued::new();
    let origin = Origin::always(OK);
    let behind = secure(&origin.url(), issued.tls());
    let ca = issued.path("ca.pem");
    let front = in_front_of(&behind, ClientTls::load("upstream_ca", Some(&ca)).unwrap());
    let mut client = front.client();
    for _ in 0..3 {
        client.send(&post(b"x"));
        assert_eq!(client.answer().body, b"ok");
    }
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn an_upstream_nobody_vouches_for_is_a_502() {
    let (issued, other) = (Issued::new(), Issued::new());
    let origin = Origin::always(OK);
    let behind = secure(&origin.url(), issued.tls());
    let ca = other.path("ca.pem");
    let front = in_front_of(&behind, ClientTls::load("upstream_ca", Some(&ca)).unwrap());
    let answer = front.ask(&post(b"x"));
    assert_eq!(answer.status(), 502);
    assert_eq!(
        answer.header("driftd-error").as_deref(),
        Some("upstream_connect")
    );
    let said = String::from_utf8(answer.body).unwrap();
    assert!(said.contains("TLS"), "{said}");
    assert!(origin.requests().is_empty());
}

#[test]
fn grpc_goes_over_http2_that_alpn_agreed_on() {
    let issued = Issued::new();
    let (upstream, url) = Grpc::start();
    let behind = secure(&url, issued.tls());
    let ca = issued.path("ca.pem");
    let front = in_front_of(&behind, ClientTls::load("upstream_ca", Some(&ca)).unwrap());
    run(async {
        let mut client = connect(front.address).await;
        let response = client.send_request(whole("/predict", b"x")).await.unwrap();
        assert_eq!(response.status(), 200);
        let collected = http_body_util::BodyExt::collect(response.into_body()).await;
        assert_eq!(collected.unwrap().trailers().unwrap()["grpc-status"], "0");
    });
    assert_eq!(upstream.head(0).headers["content-type"], "application/grpc");
}

#[test]
fn a_client_that_chose_http2_and_says_nothing_is_let_go() {
    let issued = Issued::new();
    let origin = Origin::always(OK);
    for drain in [false, true] {
        let mut settings = setup(&origin.url());
        settings.config.tls = Some(issued.tls());
        if !drain {
            settings.config.limits.idle_timeout = Duration::from_millis(300);
        }
        let mut proxy = settings.run();
        let mut config = issued.client(None);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let mut silent = Secure::connect(&proxy, config).0;
        silent.conn.complete_io(&mut silent.sock).unwrap();
        let begun = Instant::now();
        if drain {
            proxy.shut_down();
        }
        // Our settings, then the end.
        drop(silent.read_to_end(&mut Vec::new()));
        assert!(begun.elapsed() < Duration::from_secs(5), "drain: {drain}");
    }
}

#[test]
fn those_who_wait_for_one_connection_wait_no_longer_than_one_would() {
    let issued = Issued::new();
    // Takes connections, and never shakes hands.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = mute.local_addr().unwrap().port();
    let mut settings = setup(&format!("https://localhost:{port}"));
    let ca = issued.path("ca.pem");
    settings.config.upstream_tls = Some(ClientTls::load("upstream_ca", Some(&ca)).unwrap());
    settings.config.connect_timeout = Duration::from_millis(500);
    let proxy = settings.run();
    let begun = Instant::now();
    run(async {
        let client = connect(proxy.address).await;
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let mut client = client.clone();
            calls.spawn(async move { client.send_request(whole("/predict", b"x")).await });
        }
        while let Some(answer) = calls.join_next().await {
            assert_eq!(answer.unwrap().unwrap().status(), 504);
        }
    });
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_client_certificate_is_asked_for_where_configured() {
    let issued = Issued::new();
    issued.issue("client");
    let origin = Origin::always(OK);
    let tls = ServerTls::load(TlsFiles {
        client_ca: Some(issued.path("ca.pem")),
        ..issued.files()
    });
    let proxy = secure(&origin.url(), tls.unwrap());
    let mut known = Secure::connect(&proxy, issued.client(Some("client")));
    assert_eq!(known.ask().unwrap(), "HTTP/1.1 200 OK");
    let mut unknown = Secure::connect(&proxy, issued.client(None));
    assert!(unknown.ask().is_err());
    assert_eq!(origin.requests().len(), 1);
    // Of the two, that without: in TLS 1.3 its client has written before it is told.
    eventually("the count", || proxy.seen.tls_failed.load(SeqCst) == 1);
}

#[test]
fn plain_http_to_a_tls_listener_is_closed_and_harms_nobody() {
    let issued = Issued::new();
    let origin = Origin::always(OK);
    let mut proxy = secure(&origin.url(), issued.tls());
    // As load balancers try whether the port is open: no failure.
    drop(proxy.client());
    let probe = proxy.client();
    set_socket_linger(&probe.stream, Some(Duration::ZERO)).unwrap();
    drop(probe);
    let mut plain = proxy.client();
    plain.send(&post(b"x"));
    let mut rest = Vec::new();
    drop(plain.stream.read_to_end(&mut rest));
    assert!(!rest.starts_with(b"HTTP"));
    let mut known = Secure::connect(&proxy, issued.client(None));
    assert_eq!(known.ask().unwrap(), "HTTP/1.1 200 OK");
    drop(known);
    // Nothing is counted any more once all connections have ended.
    proxy.shut_down();
    assert_eq!(proxy.seen.tls_failed.load(SeqCst), 1);
}

#[test]
fn a_handshake_may_take_as_long_as_a_head() {
    let issued = Issued::new();
    let mut settings = setup("http://127.0.0.1:1");
    settings.config.tls = Some(issued.tls());
    settings.config.limits.header_timeout = Duration::from_millis(200);
    let proxy = settings.run();
    let begun = Instant::now();
    let mut silent = proxy.client();
    assert!(silent.is_closed());
    assert!(begun.elapsed() >= Duration::from_millis(200));
    eventually("the count", || {
        proxy.seen.limits() == [(Limit::HeaderTimeout, 1)]
    });
    assert_eq!(proxy.seen.tls_failed.load(SeqCst), 0);
}

#[test]
fn a_reload_gives_new_connections_the_new_certificate_and_keeps_the_old_ones() {
    let issued = Issued::new();
    let origin = Origin::always(OK);
    let tls = issued.tls();
    let proxy = secure(&origin.url(), tls.clone());
    let mut before = Secure::connect(&proxy, issued.client(None));
    before.ask().unwrap();
    let old = before.certificate();
    let new = issued.issue("server");
    assert_ne!(old, new);
    tls.reload().unwrap();
    let mut after = Secure::connect(&proxy, issued.client(None));
    after.ask().unwrap();
    assert_eq!(after.certificate(), new);
    before.ask().unwrap();

    // What cannot be used changes nothing, and is named.
    fs::write(issued.path("server.key"), "not a key").unwrap();
    let error = tls.reload().unwrap_err().to_string();
    assert!(
        error.contains("server.key") && error.contains("no private key"),
        "{error}"
    );
    let mut still = Secure::connect(&proxy, issued.client(None));
    still.ask().unwrap();
    assert_eq!(still.certificate(), new);
}

#[test]
fn files_that_cannot_be_used_are_named_with_what_would_be_right() {
    let issued = Issued::new();
    let refused = |files: TlsFiles| ServerTls::load(files).unwrap_err().to_string();
    let missing = refused(TlsFiles {
        certificate: issued.path("none.pem"),
        ..issued.files()
    });
    assert!(missing.starts_with("tls.certificate: "), "{missing}");
    assert!(missing.contains("none.pem"), "{missing}");
    fs::write(issued.path("empty.pem"), "").unwrap();
    let empty = refused(TlsFiles {
        certificate: issued.path("empty.pem"),
        ..issued.files()
    });
    assert!(empty.contains("BEGIN CERTIFICATE"), "{empty}");
    issued.issue("other");
    let pair = refused(TlsFiles {
        key: issued.path("other.key"),
        ..issued.files()
    });
    assert!(
        pair.contains("other.key") && pair.contains("belongs together"),
        "{pair}"
    );
    let error = ClientTls::load("upstream_ca", Some(&issued.path("none.pem")))
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("upstream_ca: "), "{error}");
}
