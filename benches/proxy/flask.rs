//! In front of a real model server: does its throughput change?

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Findings;
use crate::contestant::Driftd;
use crate::median::Median;
use crate::model::Wanted;
use crate::peers::{Listening, nginx_proxy};
use crate::process::{Server, free_port};
use crate::settings::Settings;
use crate::wrk::Wrk;

/// A model server under gunicorn.
struct Served {
    /// What it is called in the table.
    name: &'static str,
    workers: &'static [&'static str],
    /// Whether a forest predicts, which takes milliseconds. Without, the handler does next to nothing.
    forest: bool,
}

const SYNC: &[&str] = &["--worker-class=sync", "--workers=2"];
const GTHREAD: &[&str] = &["--worker-class=gthread", "--workers=2", "--threads=4"];

/// Workers that close each connection after its answer, and those that keep it.
const SERVED: [Served; 4] = [
    Served {
        name: "sync, a forest",
        workers: SYNC,
        forest: true,
    },
    Served {
        name: "gthread, a forest",
        workers: GTHREAD,
        forest: true,
    },
    Served {
        name: "sync, no model",
        workers: SYNC,
        forest: false,
    },
    Served {
        name: "gthread, no model",
        workers: GTHREAD,
        forest: false,
    },
];

/// How long gunicorn's workers may take to load what predicts.
const LOADING: Duration = Duration::from_secs(60);

/// Who answers; the order is that of the table.
const BEHIND: [&str; 3] = ["by itself", "behind nginx", "behind driftd"];

/// Whether the interpreter has what this needs.
pub(crate) fn available(python: &Path) -> bool {
    let status = Command::new(python)
        .args(["-c", "import flask, gunicorn, sklearn"])
        .output();
    status.is_ok_and(|output| output.status.success())
}

pub(crate) fn measure(settings: &Settings) -> Result<Findings, String> {
    let mut found = Findings {
        text: "16 connections, requests/s. All cores are busy: what a proxy takes, the model server \
               lacks.\n\n| gunicorn, 2 workers | by itself | behind nginx | behind driftd | nginx × \
               by itself | driftd × by itself |\n|---|---|---|---|---|---|\n"
            .to_owned(),
        missed: Vec::new(),
    };
    for served in SERVED {
        served.measure(settings, &mut found)?;
    }
    Ok(found)
}

// === impl Served ===

impl Served {
    fn start(&self, settings: &Settings, folder: &Path) -> Result<Listening, String> {
        let address = free_port()?;
        let mut command = Command::new(&settings.options.python);
        command.args(["-m", "gunicorn", "--log-level=error"]);
        command.args(self.workers).arg(format!("--bind={address}"));
        let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/proxy");
        command.arg("--chdir").arg(app).arg("flask_app:app");
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        if self.forest {
            command.env("FOREST", "1");
        }
        let server = Server::start("gunicorn", command, folder, address)?;
        Ok(Listening { server, address })
    }

    fn measure(&self, settings: &Settings, found: &mut Findings) -> Result<(), String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let folder = folder.path();
        let gunicorn = self.start(settings, folder)?;
        let nginx = nginx_proxy(folder, gunicorn.address)?;
        let driftd = Driftd::start(settings, Wanted::SMALL, folder, gunicorn.address)?;
        let wrk = Wrk::new(folder, &Wanted::SMALL.bodies(|_| 0))?;
        let addresses = [gunicorn.address, nginx.address, driftd.address];
        let mut rates: [Vec<f64>; BEHIND.len()] = Default::default();
        // It listens before its workers have loaded the model.
        let deadline = Instant::now() + LOADING;
        while wrk.load(gunicorn.address, 16, settings.turn)?.errors > 0 {
            if Instant::now() > deadline {
                return Err(format!("gunicorn {} does not answer", self.name));
            }
        }
        for round in 0..settings.rounds {
            for turn in 0..BEHIND.len() {
                let index = (turn + round) % BEHIND.len();
                let load = wrk.load(addresses[index], 16, settings.turn)?;
                if load.errors > 0 {
                    found.missed.push(format!(
                        "gunicorn {}, {}, round {}: {} of {} requests failed",
                        self.name,
                        BEHIND[index],
                        round + 1,
                        load.errors,
                        load.requests
                    ));
                }
                rates[index].push(load.requests / load.seconds);
            }
            let (name, rounds) = (self.name, settings.rounds);
            eprintln!("gunicorn {name}, round {} of {rounds}", round + 1);
        }
        let [alone, nginx, driftd] = &rates;
        let median = |rates: &[f64]| Median::of(rates.iter().copied()).value;
        let ratio = Median::ratio(driftd, alone);
        let _ = writeln!(
            found.text,
            "| {} | {:.0} | {:.0} | {:.0} | {} | {ratio} |",
            self.name,
            median(alone),
            median(nginx),
            median(driftd),
            Median::ratio(nginx, alone),
        );
        if self.forest && ratio.below(1.0) {
            let name = self.name;
            found.missed.push(format!(
                "gunicorn {name}: throughput is {ratio} × what it is without driftd, a loss that shows"
            ));
        }
        Ok(())
    }
}
