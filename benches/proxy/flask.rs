//! In front of a real model server: does its throughput change?

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::Findings;
use crate::contestant::Driftd;
use crate::median::Median;
use crate::model::Wanted;
use crate::process::{Server, free_port};
use crate::settings::Settings;
use crate::wrk::Wrk;

/// gunicorn's workers: those that close each connection after its answer, and those that keep it.
const WORKERS: [(&str, &[&str]); 2] = [
    ("sync, 2 workers", &["--worker-class=sync", "--workers=2"]),
    (
        "gthread, 2 workers of 4 threads",
        &["--worker-class=gthread", "--workers=2", "--threads=4"],
    ),
];

/// Whether the interpreter has what this needs.
pub(crate) fn available(python: &Path) -> bool {
    let status = Command::new(python)
        .args(["-c", "import flask, gunicorn"])
        .output();
    status.is_ok_and(|output| output.status.success())
}

pub(crate) fn measure(settings: &Settings) -> Result<Findings, String> {
    let mut found = Findings {
        text: "16 connections, requests/s:\n\n| gunicorn | by itself | behind driftd | ratio |\n\
               |---|---|---|---|\n"
            .to_owned(),
        missed: Vec::new(),
    };
    for (name, arguments) in WORKERS {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let address = free_port()?;
        let mut command = Command::new(&settings.options.python);
        command.args(["-m", "gunicorn", "--log-level=error"]);
        command.args(arguments).arg(format!("--bind={address}"));
        let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/proxy");
        command.arg("--chdir").arg(app).arg("flask_app:app");
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        let _gunicorn = Server::start("gunicorn", command, folder.path(), address)?;
        let driftd = Driftd::start(settings, Wanted::SMALL, folder.path(), address)?;
        let wrk = Wrk::new(folder.path(), &Wanted::SMALL.bodies(|_| 0))?;
        let addresses = [address, driftd.address];
        let mut rates: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
        for round in 0..settings.rounds {
            for index in [round % 2, (round + 1) % 2] {
                let load = wrk.load(addresses[index], 16, settings.turn)?;
                if load.errors > 0 {
                    let behind = ["by itself", "behind driftd"][index];
                    found.missed.push(format!(
                        "gunicorn {name}, {behind}, round {}: {} of {} requests failed",
                        round + 1,
                        load.errors,
                        load.requests
                    ));
                }
                rates[index].push(load.requests / load.seconds);
            }
            eprintln!(
                "gunicorn {name}, round {} of {}",
                round + 1,
                settings.rounds
            );
        }
        let [alone, behind] = &rates;
        let _ = writeln!(
            found.text,
            "| {name} | {:.0} | {:.0} | {} |",
            Median::of(alone.iter().copied()),
            Median::of(behind.iter().copied()),
            Median::ratio(behind, alone)
        );
    }
    Ok(found)
}
