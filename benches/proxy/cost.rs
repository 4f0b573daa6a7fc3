//! What one contestant did in each round, and the table of all.

use std::fmt::Write as _;

use crate::Findings;
use crate::contestant::{Look, Who};
use crate::median::Median;
use crate::process::between;
use crate::wrk::Load;

/// The least share of exchanges that must be committed.
const COMMITTED: f64 = 0.99;

/// A contestant's rounds, an entry each; NaN where the round failed.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    /// Requests a second.
    pub(crate) throughput: Vec<f64>,
    /// Processor microseconds a request.
    pub(crate) cpu: Vec<f64>,
    /// Of these, those of the threads that serve.
    pub(crate) serving: Vec<f64>,
    /// Why rounds failed.
    pub(crate) failures: Vec<String>,
}

// === impl Rounds ===

impl Rounds {
    /// Adds a round in which `load` passed between two looks.
    pub(crate) fn push(&mut self, who: Who, load: Load, before: &Look, after: &Look) {
        let threads = between(&before.threads, &after.threads);
        let micros = 1e6 / load.requests;
        let serving: f64 = (threads.iter())
            .filter(|(name, _)| name.starts_with("proxy-"))
            .map(|(_, seconds)| seconds * micros)
            .sum();
        let cpu = threads.values().sum::<f64>() * micros;
        let failure = failure(load, before, after);
        let valid = if failure.is_none() { 1.0 } else { f64::NAN };
        self.throughput.push(load.requests / load.seconds * valid);
        self.cpu.push(cpu * valid);
        self.serving.push(serving * valid);
        if let Some(failure) = failure {
            let figures = format!(
                "{:.0} requests/s, {cpu:.1} µs a request",
                load.requests / load.seconds
            );
            let round = self.cpu.len();
            self.failures.push(format!(
                "{}, round {round}: {failure} ({figures})",
                who.name()
            ));
        }
    }
}

/// What was wrong with a round.
fn failure(load: Load, before: &Look, after: &Look) -> Option<String> {
    if load.errors > 0 {
        return Some(format!(
            "{} of {} requests failed",
            load.errors, load.requests
        ));
    }
    let (before, after) = before.tap.zip(after.tap)?;
    let tap = after.since(before);
    let committed = tap.captured as f64 / tap.offered as f64;
    // Fails, too, where nothing was offered.
    let enough = committed >= COMMITTED;
    (!enough).then(|| {
        format!(
            "{:.1} % of {} exchanges were committed, {} dropped, {} undecodable",
            100.0 * committed,
            tap.offered,
            tap.dropped,
            tap.undecodable
        )
    })
}

/// The table for a number of connections, with the targets. `rounds` has an entry for each of
/// [`Who::ALL`].
pub(crate) fn table(connections: usize, rounds: &[Rounds]) -> Findings {
    let mut found = Findings::default();
    let of = |who: Who| &rounds[who as usize];
    let (nginx, envoy) = (of(Who::Nginx), of(Who::Envoy));
    let _ = writeln!(
        found.text,
        "{connections} connections:\n\n| | requests/s | × nginx | × Envoy | CPU µs a request | × nginx | × Envoy |\n\
         |---|---|---|---|---|---|---|"
    );
    for who in Who::ALL {
        let ours = of(who);
        let throughput = Median::of(ours.throughput.iter().copied());
        let faster = [nginx, envoy].map(|peer| Median::ratio(&ours.throughput, &peer.throughput));
        let cpu = Median::of(ours.cpu.iter().copied());
        let dearer = [nginx, envoy].map(|peer| Median::ratio(&ours.cpu, &peer.cpu));
        if who == Who::Direct {
            let _ = writeln!(
                found.text,
                "| {} | {throughput:.0} | {} | {} | | | |",
                who.name(),
                faster[0],
                faster[1]
            );
            continue;
        }
        let _ = writeln!(
            found.text,
            "| {} | {throughput:.0} | {} | {} | {cpu:.1} | {} | {} |",
            who.name(),
            faster[0],
            faster[1],
            dearer[0],
            dearer[1],
        );
        found.text += &split(who, ours);
        let targets: &[(&str, Median, f64, bool)] = match who {
            Who::Tap => &[
                ("requests/s × nginx", faster[0], 0.9, true),
                ("requests/s × Envoy", faster[1], 2.0, true),
                ("CPU × nginx", dearer[0], 1.3, false),
            ],
            Who::Whole => &[
                ("CPU × nginx", dearer[0], 1.6, false),
                ("CPU × Envoy", dearer[1], 0.45, false),
            ],
            _ => &[],
        };
        for (figure, median, bar, least) in targets {
            let what = format!("{}, {connections} connections: {figure}", who.name());
            found.demand(&what, *median, *bar, *least);
        }
    }
    for failure in rounds.iter().flat_map(|ours| &ours.failures) {
        let line = format!("{connections} connections, {failure}");
        let _ = write!(found.text, "\nFailed: {line}\n");
        found.missed.push(line);
    }
    found.text.push('\n');
    found
}

/// The rows that say which threads of driftd took the time.
fn split(who: Who, ours: &Rounds) -> String {
    if !matches!(who, Who::Tap | Who::Whole) {
        return String::new();
    }
    let serving = Median::of(ours.serving.iter().copied());
    let rest = ours
        .cpu
        .iter()
        .zip(&ours.serving)
        .map(|(all, part)| all - part);
    let rest = Median::of(rest);
    format!(
        "| – its serving threads | | | | {serving:.1} | | |\n| – the others | | | | {rest:.1} | | |\n"
    )
}

// === impl Findings ===

impl Findings {
    /// Notes a figure on the wrong side of its bar; no figure is on the wrong side, too.
    pub(crate) fn demand(&mut self, what: &str, median: Median, bar: f64, least: bool) {
        let met = if least {
            median.value >= bar
        } else {
            median.value <= bar
        };
        if !met {
            let than = if least { "≥" } else { "≤" };
            self.missed
                .push(format!("{what} is {median:.2}, not {than} {bar}"));
        }
    }
}
