//! Half a core: how much a check of 300 features delays requests where the processor is short.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Findings;
use crate::admin;
use crate::contestant::Driftd;
use crate::median::Median;
use crate::model::Wanted;
use crate::peers::upstream;
use crate::settings::Settings;
use crate::steady::{Latency, medians, requests, steadily};
use crate::wrk::Wrk;

/// A check each second over the largest span, and none.
const CHECKED: Wanted = Wanted {
    features: 300,
    drift: "every = \"1s\"\ncurrent = \"10000 rows\"",
};
const UNCHECKED: Wanted = Wanted {
    features: 300,
    drift: "every = \"1h\"\ncurrent = \"10000 rows\"",
};

/// Requests a second and connections. 300 values each.
const RATE: (f64, usize) = (200.0, 8);

/// A control group with half a core; removed when dropped, after its processes.
#[derive(Debug)]
struct Half(PathBuf);

pub(crate) fn measure(settings: &Settings) -> Result<Findings, String> {
    let mut found = Findings::default();
    let halves = match [Half::new("on"), Half::new("off")] {
        [Ok(on), Ok(off)] => [on, off],
        [Err(error), _] | [_, Err(error)] => {
            let _ = writeln!(
                found.text,
                "Not measured: {error}. It takes a writable cpu controller."
            );
            return Ok(found);
        }
    };
    let mut folders = Vec::new();
    for _ in 0..2 {
        folders.push(tempfile::tempdir().map_err(|error| error.to_string())?);
    }
    let model = upstream(folders[0].path())?;
    let bodies = CHECKED.bodies(|_| 0);
    let requests = requests(&bodies);
    let mut both = Vec::new();
    for ((wanted, folder), half) in [CHECKED, UNCHECKED].into_iter().zip(&folders).zip(&halves) {
        let driftd = Driftd::start(settings, wanted, folder.path(), model.address)?;
        // The span is filled with the whole machine.
        let wrk = Wrk::new(folder.path(), &bodies)?;
        while admin::settled(driftd.admin)?.captured < 10_000 {
            wrk.load(driftd.address, 16, Duration::from_secs(1))?;
        }
        half.take(driftd.server.pid())?;
        both.push(driftd);
    }
    let mut latencies: [Vec<Latency>; 2] = [Vec::new(), Vec::new()];
    let turn = settings.turn * 2;
    for round in 0..settings.rounds {
        for index in [round % 2, (round + 1) % 2] {
            let latency = steadily(both[index].address, &requests, RATE, turn)?;
            latencies[index].push(latency);
        }
        eprintln!("Half a core, round {} of {}", round + 1, settings.rounds);
    }
    let checks = both.iter().map(|driftd| check_seconds(driftd.admin));
    let checks: Vec<Option<f64>> = checks.collect::<Result<_, _>>()?;
    let [Some(check), None] = checks[..] else {
        return Err(format!(
            "one driftd was to make checks, the other none: {checks:?}"
        ));
    };
    found.text = format!(
        "300 features, 10,000 rows compared, {} requests/s; a check each second, the last of which took {:.0} ms, \
         beside none:\n\n| checks | p50 µs | p99 µs | p50 × without |\n|---|---|---|---|\n",
        RATE.0,
        1e3 * check
    );
    let [on, off] = &latencies;
    let p50 = |rounds: &[Latency]| -> Vec<f64> { rounds.iter().map(|round| round.p50).collect() };
    let [median, p99] = medians(on);
    let ratio = Median::ratio(&p50(on), &p50(off));
    let _ = writeln!(found.text, "| on | {median:.0} | {p99:.0} | {ratio} |");
    let [median, p99] = medians(off);
    let _ = writeln!(found.text, "| off | {median:.0} | {p99:.0} | |");
    Ok(found)
}

/// How long the last check took; `None` before the first.
fn check_seconds(address: std::net::SocketAddr) -> Result<Option<f64>, String> {
    let metrics = admin::get(address, "/metrics")?;
    let line = metrics
        .lines()
        .find(|line| line.starts_with("driftd_drift_check_duration_seconds{"));
    Ok(line.and_then(|line| line.rsplit(' ').next()?.parse().ok()))
}

// === impl Half ===

impl Half {
    /// Makes the group, whichever version of control groups there is.
    fn new(name: &str) -> Result<Self, String> {
        let name = format!("driftd-bench-{}-{name}", std::process::id());
        let root = Path::new("/sys/fs/cgroup");
        let (parent, quota, half) = if root.join("cpu/cpu.cfs_quota_us").exists() {
            // The period is 100 ms unless somebody set it.
            (root.join("cpu"), "cpu.cfs_quota_us", "50000")
        } else {
            // Refused where it is on already or not ours to set; what follows tells.
            let _ = fs::write(root.join("cgroup.subtree_control"), "+cpu");
            (root.to_owned(), "cpu.max", "50000 100000")
        };
        let group = Self(parent.join(name));
        let failed = |error| format!("{}: {error}", group.0.display());
        fs::create_dir(&group.0).map_err(failed)?;
        fs::write(group.0.join(quota), half).map_err(failed)?;
        Ok(group)
    }

    /// Moves a process into it.
    fn take(&self, pid: u32) -> Result<(), String> {
        let procs = self.0.join("cgroup.procs");
        fs::write(&procs, pid.to_string()).map_err(|error| format!("{}: {error}", procs.display()))
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}
