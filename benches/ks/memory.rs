//! What the engine holds in memory: a process of its own with the reference and 10,000 rows.

use std::process::Command;

use crate::data::{self, CURRENT, REFERENCE};
use crate::ours::Engine;
use crate::streams::Random;

/// Megabytes.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    pub(crate) peak: f64,
}

/// In a child process.
pub(crate) fn of_child(features: usize) -> Result<Memory, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .args(["--memory", &features.to_string()])
        .output()
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// In this process, after a check with everything described. The raw data is never held: columns
/// come one at a time, rows one by one.
pub(crate) fn measure(features: usize) -> String {
    let columns = (0..features).map(|i| data::column(1, i, REFERENCE, 0.0).into_iter());
    let mut engine = Engine::of(columns);
    let mut random = Random::new(7);
    for _ in 0..CURRENT {
        let row: Vec<f64> = (0..features)
            .map(|index| random.normal() + if index % 10 == 9 { 0.3 } else { 0.0 })
            .collect();
        engine.append(row.into_iter());
    }
    engine.rank();
    engine.check(true);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        kilobytes.map_or(f64::NAN, |kilobytes: f64| kilobytes / 1024.0)
    };
    let memory = Memory {
        resident: field("VmRSS:"),
        peak: field("VmHWM:"),
    };
    serde_json::to_string(&memory).unwrap_or_default()
}
