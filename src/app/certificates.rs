//! TLS as configured: read at the start, and again when its files were replaced.

use super::reload::{Outcome, Problem, Stamp};
use crate::config::{self, Config, Problems};
use crate::proxy::{self, ClientTls, ServerTls};

/// What was read.
#[derive(Debug, Clone, Default)]
pub(super) struct Certificates {
    /// Towards clients, where configured.
    pub(super) server: Option<ServerTls>,
    /// Towards upstreams, where one needs it.
    pub(super) upstream: Option<ClientTls>,
}

/// The files of TLS towards clients, looked at again and again.
#[derive(Debug)]
pub(super) struct CertificateFiles {
    tls: ServerTls,
    /// The files that were read last, whatever came of it.
    read: Stamps,
    /// Others, seen once.
    pending: Option<Stamps>,
}

/// Of certificate, key and client CA.
type Stamps = [Option<Stamp>; 3];

// === impl Certificates ===

impl Certificates {
    /// Reads what `config` names.
    pub(super) fn load(config: &Config) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut keep = |error: proxy::Error| problems.push(problem(&error));
        let server = config.serving.tls.clone().map(ServerTls::load);
        let server = server.transpose().map_err(&mut keep).ok().flatten();
        let upstreams = config.models.iter().map(|model| &model.upstream);
        let mut upstreams = upstreams.chain([&config.upstream]);
        let ca = config.serving.upstream_ca.as_deref();
        let needed = upstreams.any(proxy::Upstream::has_tls);
        let upstream = needed.then(|| ClientTls::load("upstream_ca", ca));
        let upstream = upstream.transpose().map_err(&mut keep).ok().flatten();
        if problems.is_empty() {
            Ok(Self { server, upstream })
        } else {
            Err(Problems(problems))
        }
    }
}

/// As the configuration reports it.
pub(super) fn problem(error: &proxy::Error) -> config::Problem {
    let (key, value, message) = match error {
        proxy::Error::Tls { key, path, reason } => {
            let shown = format!("{:?}", path.display().to_string());
            ((*key).to_owned(), Some(shown), reason.clone())
        }
        other => ("tls".to_owned(), None, other.to_string()),
    };
    config::Problem {
        origin: "file, environment, flags".to_owned(),
        key,
        value,
        message,
    }
}

// === impl CertificateFiles ===

impl CertificateFiles {
    pub(super) fn new(tls: ServerTls) -> Self {
        let read = stamps(&tls);
        Self {
            tls,
            read,
            pending: None,
        }
    }

    /// Reads the files again, whatever they are.
    pub(super) fn reload(&mut self, outcome: &mut Outcome) {
        // Taken before reading: a file replaced meanwhile is read again at the next looks.
        self.read = stamps(&self.tls);
        self.pending = None;
        match self.tls.reload() {
            Ok(()) => tracing::info!("Certificate reloaded: new connections get it"),
            Err(error) => {
                tracing::error!(%error, "Certificate not reloaded; the one in force stays");
                outcome.problems.push(Problem {
                    setting: "tls".to_owned(),
                    message: error.to_string(),
                    transient: false,
                });
            }
        }
    }

    /// Reads the files if they were replaced since, and are the same at two looks.
    pub(super) fn poll(&mut self) {
        let found = stamps(&self.tls);
        if found == self.read {
            self.pending = None;
        } else if self.pending == Some(found) {
            self.reload(&mut Outcome::default());
        } else {
            self.pending = Some(found);
        }
    }
}

fn stamps(tls: &ServerTls) -> Stamps {
    let files = tls.files();
    let client_ca = files.client_ca.as_deref();
    [
        Stamp::of(&files.certificate),
        Stamp::of(&files.key),
        client_ca.and_then(Stamp::of),
    ]
}
