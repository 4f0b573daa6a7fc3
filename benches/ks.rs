//! The KS test at 300 features × 10,000 current × 100,000 reference rows on one thread, beside
//! scipy's loop and Evidently's preset on the same data. See benches/README.md.
//!
//!     cargo bench --bench ks -- [--quick] [--output FILE] [--python PYTHON]
//!     cargo bench --bench ks -- --alone      periodic checks only, for a profiler
//!
//! Ends with 1 where a target is missed or a figure differs from scipy's.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a table is its result"
)]

#[path = "ks/data.rs"]
mod data;
#[path = "ks/memory.rs"]
mod memory;
mod options;
#[path = "ks/ours.rs"]
mod ours;
#[path = "ks/peers.rs"]
mod peers;
#[allow(dead_code, reason = "only its random numbers are used here")]
mod streams;

use std::fmt::Write as _;
use std::process::ExitCode;

use data::Data;
use options::Options;
use ours::Engine;
use peers::Peers;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    if let [order, features] = &options.rest[..]
        && order == "--memory"
    {
        println!("{}", memory::measure(features.parse().unwrap_or(0)));
        return ExitCode::SUCCESS;
    }
    if options.rest.first().is_some_and(|order| order == "--alone") {
        alone();
        return ExitCode::SUCCESS;
    }
    match compare(&options) {
        Ok((text, failures)) => {
            let stored = options.write(&text).is_ok();
            for failure in &failures {
                eprintln!("Target missed: {failure}");
            }
            ExitCode::from(u8::from(!stored || !failures.is_empty()))
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}

/// Checks without any peer, for a profiler to look at.
fn alone() {
    let data = Data::new(300);
    let mut engine = Engine::new(&data);
    let mut times = Vec::new();
    for _ in 0..40 {
        engine.roll(&data);
        engine.rank();
        times.push(engine.check(false));
    }
    println!("{}", shown(median(&times)));
}

/// Seconds of each contestant, a round after the other.
#[derive(Debug, Default)]
struct Rounds {
    scipy: Vec<f64>,
    evidently: Vec<f64>,
    raw: Vec<f64>,
    periodic: Vec<f64>,
    described: Vec<f64>,
    ranking: Vec<f64>,
    exact: Vec<f64>,
    scipy_exact: Vec<f64>,
}

fn compare(options: &Options) -> Result<(String, Vec<String>), String> {
    let (features, rounds) = if options.quick { (12, 2) } else { (300, 5) };
    let data = Data::new(features);
    let mut peers = Peers::start(&options.python, &data)?;
    let mut engine = Engine::new(&data);
    let mut times = Rounds::default();
    let theirs = peers.order("scipy")?;
    let differing = ours::differing(&data, &engine.raw(&data).results, &theirs.results);
    for round in 0..rounds {
        times.scipy.push(peers.order("scipy")?.seconds);
        times.raw.push(engine.raw(&data).seconds);
        engine.roll(&data);
        times.ranking.push(engine.rank());
        times.periodic.push(engine.check(false));
        times.described.push(engine.check(true));
        times.exact.push(ours::exact());
        times.scipy_exact.push(peers.order("exact")?.seconds);
        // A minute each: three say enough.
        if round < 3 {
            times.evidently.push(peers.order("evidently")?.seconds);
        }
        eprintln!("Round {} of {rounds}", round + 1);
    }
    drop(engine);
    let versions = peers.versions.clone();
    drop(peers);
    let (mut text, mut failures) = table(&data, &times, &versions);
    failures.extend(differing);
    for (features, most) in [(300, 300), (30, 64)] {
        let memory = memory::of_child(features)?;
        let _ = writeln!(
            text,
            "| memory, {features} features | {:.0} MB resident, {:.0} MB at most (≤ {most}) | | |",
            memory.resident, memory.peak
        );
        if memory.resident > f64::from(most) {
            failures.push(format!("{} MB for {features} features", memory.resident));
        }
    }
    Ok((text, failures))
}

fn table(data: &Data, times: &Rounds, versions: &str) -> (String, Vec<String>) {
    let mut text = format!(
        "## KS: {} features, {} current rows, {} reference rows, one thread\n\n{versions}; medians of CPU time \
         over {} interleaved rounds (Evidently {}), ratios round by round.\n\n\
         | | time | × scipy's loop | × Evidently's preset |\n|---|---|---|---|\n",
        data.features,
        data::CURRENT,
        data::REFERENCE,
        times.scipy.len(),
        times.evidently.len(),
    );
    let mut failures = Vec::new();
    let mut row = |name: &str, ours: &[f64], least: Option<(f64, f64)>| {
        let [scipy, evidently] = [ratio(&times.scipy, ours), ratio(&times.evidently, ours)];
        let _ = writeln!(
            text,
            "| {name} | {} | {scipy:.1} | {evidently:.0} |",
            shown(median(ours))
        );
        if least.is_some_and(|least| scipy < least.0 || evidently < least.1) {
            failures.push(format!(
                "{name}: {scipy:.1} × scipy, {evidently:.0} × Evidently"
            ));
        }
    };
    row("Evidently, KS on every column", &times.evidently, None);
    row("scipy, ks_2samp(method=\"asymp\") loop", &times.scipy, None);
    row("driftd, from raw values", &times.raw, Some((20.0, 0.0)));
    row(
        "driftd, a periodic check",
        &times.periodic,
        Some((90.0, 1000.0)),
    );
    row(
        "the same with quantiles, effect sizes, pictures",
        &times.described,
        None,
    );
    let each = median(&times.ranking) / (1000 * data.features) as f64 * 1e9;
    let _ = writeln!(
        text,
        "| ranking 1,000 new rows, at ingest | {} ({each:.0} ns a value) | | |",
        shown(median(&times.ranking))
    );
    let _ = writeln!(
        text,
        "| exact p, 10,000 × 9,999, D = .3 | {} (scipy {}) | {:.1} | |",
        shown(median(&times.exact)),
        shown(median(&times.scipy_exact)),
        ratio(&times.scipy_exact, &times.exact)
    );
    (text, failures)
}

/// The median of the ratios of two contestants' rounds.
fn ratio(theirs: &[f64], ours: &[f64]) -> f64 {
    let ratios: Vec<f64> = theirs.iter().zip(ours).map(|(a, b)| a / b).collect();
    median(&ratios)
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn shown(seconds: f64) -> String {
    if seconds >= 1.0 {
        format!("{seconds:.2} s")
    } else {
        format!("{:.1} ms", seconds * 1e3)
    }
}
