//! Half a core: how much a check of 300 features delays requests where the processor is short.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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
        if wanted.drift == CHECKED.drift {
            compared(&driftd)?;
        }
        half.take(driftd.server.pid())?;
        both.push(driftd);
    }
    let last = |index: usize| {
        figure(
            both[index].admin,
            "driftd_drift_last_check_timestamp_seconds{",
        )
    };
    let mut checks = [last(0)?, last(1)?].map(|first| vec![first]);
    let mut latencies: [Vec<Latency>; 2] = [Vec::new(), Vec::new()];
    let turn = settings.turn * 2;
    for round in 0..settings.rounds {
        for index in [round % 2, (round + 1) % 2] {
            let latency = steadily(both[index].address, &requests, RATE, turn)?;
            latencies[index].push(latency);
            checks[index].push(last(index)?);
        }
        eprintln!("Half a core, round {} of {}", round + 1, settings.rounds);
    }
    checks.iter_mut().for_each(Vec::dedup);
    let [made, none] = checks.map(|ends| ends.len() - 1);
    let seconds = figure(both[0].admin, "driftd_drift_check_duration_seconds{")?;
    found.text = table(made, seconds.unwrap_or(f64::NAN), &latencies);
    if made == 0 || none > 0 {
        found.missed.push(format!(
            "half a core: {made} checks ended in the driftd that makes them, {none} in the other"
        ));
    }
    Ok(found)
}

/// Latencies with checks and without; `made` checks ended, and the last took `seconds`.
fn table(made: usize, seconds: f64, [on, off]: &[Vec<Latency>; 2]) -> String {
    let p50 = |rounds: &[Latency]| -> Vec<f64> { rounds.iter().map(|round| round.p50).collect() };
    let ratio = Median::ratio(&p50(on), &p50(off));
    let ([on, on99], [off, off99]) = (medians(on), medians(off));
    format!(
        "300 features, 10,000 rows compared, {} requests/s. One driftd makes a check each second or, where it is not \
         through by then, one after the other: at least {made} ended while it was loaded, the last of which took \
         {seconds:.2} s by the clock. The other one makes none.\n\n\
         | checks | p50 µs | p99 µs | p50 × without |\n|---|---|---|---|\n\
         | on | {on:.0} | {on99:.0} | {ratio} |\n| off | {off:.0} | {off99:.0} | |\n",
        RATE.0
    )
}

/// Waits until a check has compared the whole span.
fn compared(driftd: &Driftd) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(180);
    let series = "driftd_current_rows{model=\"bench\",span=\"main\"}";
    while figure(driftd.admin, series)?.is_none_or(|rows| rows < 10_000.0) {
        if Instant::now() > deadline {
            return Err("the first check of 300 features did not end in three minutes".to_owned());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// The value of the first series that begins so; `None` where there is none yet.
fn figure(address: SocketAddr, series: &str) -> Result<Option<f64>, String> {
    let metrics = admin::get(address, "/metrics")?;
    let line = metrics.lines().find(|line| line.starts_with(series));
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
