//! Those who are compared, all in front of the same upstream.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::admin::{self, Tap};
use crate::model::Wanted;
use crate::peers::{self, Listening};
use crate::process::{Server, Threads};
use crate::settings::Settings;

/// Who they are. The order is that of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The upstream itself.
    Direct,
    Nginx,
    Haproxy,
    Envoy,
    /// driftd's proxy with its tap, whose exchanges are thrown away.
    Tap,
    /// `driftd run`.
    Whole,
}

/// A contestant that runs.
#[derive(Debug)]
pub(crate) struct Contestant {
    pub(crate) who: Who,
    pub(crate) address: SocketAddr,
    /// `None` for the upstream, whose time is nobody's.
    pub(crate) server: Option<Server>,
    /// Where a whole driftd answers for itself.
    pub(crate) admin: Option<SocketAddr>,
}

/// `driftd run` in a folder with a configuration.
#[derive(Debug)]
pub(crate) struct Driftd {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// All of them with the upstream and the folder they live in.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) contestants: Vec<Contestant>,
    _upstream: Listening,
    pub(crate) folder: tempfile::TempDir,
}

/// A look at a contestant before or after it was loaded.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) threads: Threads,
    pub(crate) tap: Option<Tap>,
}

// === impl Who ===

impl Who {
    pub(crate) const ALL: [Self; 6] = [
        Self::Direct,
        Self::Nginx,
        Self::Haproxy,
        Self::Envoy,
        Self::Tap,
        Self::Whole,
    ];

    /// What it is called in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "no proxy",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Envoy => "Envoy",
            Self::Tap => "driftd, proxy and tap",
            Self::Whole => "driftd, whole",
        }
    }
}

// === impl Contestant ===

impl Contestant {
    /// Waits until it has nothing left to do, and looks.
    pub(crate) fn look(&self) -> Result<Look, String> {
        let tap = self.admin.map(admin::settled).transpose()?;
        let threads = self.server.as_ref().map(Server::cpu).transpose()?;
        Ok(Look {
            threads: threads.unwrap_or_default(),
            tap,
        })
    }
}

// === impl Driftd ===

impl Driftd {
    /// Starts the shipped program in `folder`.
    pub(crate) fn start(
        settings: &Settings,
        wanted: Wanted,
        folder: &Path,
        upstream: SocketAddr,
    ) -> Result<Self, String> {
        let config = wanted.write(folder, upstream)?;
        let log = folder.join("driftd.log");
        let log =
            std::fs::File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let mut command = Command::new(&settings.driftd);
        command.args(["run", "--config"]).arg(config);
        command.current_dir(folder).stdin(Stdio::null());
        // Ours, and unknown to it.
        command.env_remove("DRIFTD_BENCH_ENVOY");
        command.env_remove("DRIFTD_BENCH_PYTHON");
        command.stdout(Stdio::piped()).stderr(log);
        let mut server = Server::spawn("driftd", command)?;
        let mut address = || {
            let line = server.next_line().map_err(|error| {
                let log = std::fs::read_to_string(folder.join("driftd.log"));
                format!("{error}: {}", log.unwrap_or_default())
            })?;
            let (_, address) = line.split_once("http://").unwrap_or_default();
            let address = address.trim_end_matches('/').parse();
            address.map_err(|_| format!("driftd said {line:?} instead of an address"))
        };
        let (address, admin) = (address()?, address()?);
        Ok(Self {
            server,
            address,
            admin,
        })
    }
}

// === impl Field ===

impl Field {
    /// Starts them all.
    pub(crate) fn start(settings: &Settings) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let at = folder.path();
        let upstream = peers::upstream(at)?;
        let model = upstream.address;
        let mut contestants = Vec::new();
        for who in Who::ALL {
            let peer = match who {
                Who::Direct => None,
                Who::Nginx => Some(peers::nginx_proxy(at, model)?),
                Who::Haproxy => Some(peers::haproxy(at, model)?),
                Who::Envoy => match &settings.envoy {
                    Some(program) => Some(peers::envoy(program, at, model)?),
                    None => return Err("Envoy is missing".to_owned()),
                },
                Who::Tap => Some(tapping(model)?),
                Who::Whole => {
                    let driftd = Driftd::start(settings, Wanted::SMALL, at, model)?;
                    contestants.push(Contestant {
                        who,
                        address: driftd.address,
                        server: Some(driftd.server),
                        admin: Some(driftd.admin),
                    });
                    continue;
                }
            };
            contestants.push(Contestant {
                who,
                address: peer.as_ref().map_or(model, |peer| peer.address),
                server: peer.map(|peer| peer.server),
                admin: None,
            });
        }
        Ok(Self {
            contestants,
            _upstream: upstream,
            folder,
        })
    }

    /// Who is loaded in a round, one after the other: each comes first in turn.
    pub(crate) fn turns(&self, round: usize) -> impl Iterator<Item = (usize, &Contestant)> {
        let count = self.contestants.len();
        (0..count).map(move |turn| {
            let index = (turn + round) % count;
            (index, &self.contestants[index])
        })
    }
}

/// This program itself as a proxy with a tap.
fn tapping(upstream: SocketAddr) -> Result<Listening, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["--serve", &format!("http://{upstream}")]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut server = Server::spawn("proxy and tap", command)?;
    let line = server.next_line()?;
    let address = line.parse();
    let address = address.map_err(|_| format!("proxy and tap said {line:?}"))?;
    Ok(Listening { server, address })
}
