//! Calm and quick: how often driftd alarms when nothing has changed, and how soon when something
//! has, beside the rules and detectors people use on the same streams. See benches/README.md.
//!
//!     cargo bench --bench calm -- [--quick] [--draws N] [--output FILE] [--python PYTHON]
//!
//! Ends with 1 if a month without drift has more than four alerts, if a change is found too seldom,
//! or if any traffic alerts without one.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a table is its result"
)]

#[path = "calm/baseline.rs"]
mod baseline;
#[path = "calm/engine.rs"]
mod engine;
#[path = "calm/month.rs"]
mod month;
#[path = "options.rs"]
mod options;
#[path = "calm/quick.rs"]
mod quick;
#[path = "calm/river.rs"]
mod river;
mod streams;
#[path = "calm/table.rs"]
mod table;
#[path = "calm/traffic.rs"]
mod traffic;

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use month::Month;
use options::Options;
use streams::{Kind, Stream};
use table::OfStream;

/// Threads that simulate.
const THREADS: usize = 2;

/// How much is simulated.
struct Size {
    /// Draws of the reference for each stream.
    draws: u64,
    /// Checks of a month.
    ticks: i64,
    /// Ticks over which skipping is proved.
    proved: i64,
    /// Runs with a change.
    runs: usize,
    /// Runs that share a reference.
    together: usize,
    /// Rows of the columns river sees, and those KSWIN does.
    river: (usize, usize),
    /// Runs with a change river sees.
    river_runs: usize,
}

const FULL: Size = Size {
    draws: 20,
    ticks: month::TICKS,
    proved: 300,
    runs: 200,
    together: 10,
    river: (200_000, 5_000),
    river_runs: 10,
};

const SMOKE: Size = Size {
    draws: 1,
    ticks: 600,
    proved: 30,
    runs: 2,
    together: 1,
    river: (5000, 300),
    river_runs: 1,
};

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    let mut size = if options.quick { SMOKE } else { FULL };
    if let [order, draws] = &options.rest[..]
        && order == "--draws"
        && let Ok(draws) = draws.parse()
    {
        size.draws = draws;
        size.runs = size.together * draws as usize;
    } else if !options.rest.is_empty() {
        eprintln!(
            "unknown: {:?}; see the head of benches/calm.rs",
            options.rest
        );
        return ExitCode::from(2);
    }
    match study(&options, &size) {
        Ok(outcome) => {
            let done = options.write(&outcome.text);
            let calm = outcome.failures.is_empty();
            for failure in &outcome.failures {
                eprintln!("Target missed: {failure}");
            }
            ExitCode::from(u8::from(!calm || done.is_err()))
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}

/// The report, and the targets it misses.
struct Outcome {
    text: String,
    failures: Vec<String>,
}

fn study(options: &Options, size: &Size) -> Result<Outcome, String> {
    let began = Instant::now();
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let river = |columns: &[Vec<f64>], change, kswin| {
        river::detect(&options.python, folder.path(), columns, change, kswin)
    };
    // First, so that a missing package shows at once.
    let mut heard = Vec::new();
    for kind in Kind::ALL {
        let columns = columns(kind, size.river.0);
        heard.push(river(&columns, size.river.0, size.river.1)?);
    }
    let mut changed = Vec::new();
    for run in 0..size.river_runs {
        let column = |feature: usize| {
            quick::values(run as u64)
                .iter()
                .map(|r| r[feature])
                .collect()
        };
        let found = river(&[column(0)], quick::CHANGE, usize::MAX >> 1)?;
        changed.extend(found);
    }
    progress(began, "river");
    in_parallel(Kind::ALL.len(), |job| {
        month::prove_skipping(Kind::ALL[job], 1, size.proved)
    });
    progress(began, "skipping proved");
    let mut months: Vec<Vec<Month>> = Vec::new();
    for kind in Kind::ALL {
        months.push(in_parallel(size.draws as usize, |draw| {
            month::run(kind, draw as u64, size.ticks)
        }));
        let alerts = months
            .last()
            .into_iter()
            .flatten()
            .map(|month| month.alerts);
        progress(
            began,
            &format!("{}: alerts {:?}", kind.name(), alerts.collect::<Vec<_>>()),
        );
    }
    let runs = in_parallel(size.runs / size.together, |group| {
        let reference = quick::draw(group as u64);
        let seeds = (group * size.together) as u64..;
        (seeds.take(size.together))
            .map(|seed| quick::run(reference.clone(), seed))
            .collect::<Vec<_>>()
    });
    let runs: Vec<quick::Run> = runs.into_iter().flatten().collect();
    progress(began, "changes");
    let loads = if options.quick {
        &traffic::Load::ALL[1..2]
    } else {
        &traffic::Load::ALL
    };
    let said = in_parallel(loads.len(), |load| loads[load].run(1));
    progress(began, "traffic");
    let streams = Kind::ALL.into_iter().zip(months).zip(heard);
    let streams: Vec<_> = streams
        .map(|((kind, months), heard)| OfStream {
            kind,
            months,
            heard,
        })
        .collect();
    let loads: Vec<_> = loads.iter().zip(said).collect();
    let failures = failures(&streams, &runs, &loads);
    let mut text = table::months(&streams, size.ticks);
    text += &table::changes(&runs, &changed);
    text += &table::traffic(&loads);
    text += &format!(
        "\nTook {:.0} s with {THREADS} threads.\n",
        began.elapsed().as_secs_f64()
    );
    Ok(Outcome { text, failures })
}

fn failures(
    streams: &[OfStream],
    runs: &[quick::Run],
    loads: &[(&traffic::Load, traffic::Said)],
) -> Vec<String> {
    let mut failures = Vec::new();
    for OfStream { kind, months, .. } in streams {
        let most = months.iter().map(|month| month.alerts).max().unwrap_or(0);
        let mean = table::mean(months.iter().map(|month| f64::from(month.alerts)));
        if most > 4 || mean > 1.0 {
            failures.push(format!(
                "{}: {mean} alerts a month, at most {most}",
                kind.name()
            ));
        }
    }
    let found = runs.iter().filter(|run| run[0].delay.is_some()).count();
    if found * 100 < runs.len() * 95 {
        failures.push(format!("{found} of {} changes found", runs.len()));
    }
    let loud = loads
        .iter()
        .filter(|(_, said)| said.false_alerts > 0 || said.warned.is_none());
    failures.extend(loud.map(|(load, said)| format!("{}: {said:?}", load.name)));
    failures
}

/// The first features of a stream, column by column.
fn columns(kind: Kind, rows: usize) -> Vec<Vec<f64>> {
    let mut stream = Stream::new(kind, month::FEATURES, 0);
    let mut columns = vec![Vec::new(); 3];
    let a_day = (month::ROWS_PER_TICK * 1440) as f64;
    for row in 0..rows {
        let values = stream.row(row as f64 / a_day);
        columns
            .iter_mut()
            .zip(values)
            .for_each(|(column, value)| column.push(*value));
    }
    columns
}

/// The results of jobs 0, 1, … in order.
fn in_parallel<T: Send>(jobs: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    if job >= jobs {
                        break;
                    }
                    let result = work(job);
                    done.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((job, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(job, _)| *job);
    done.into_iter().map(|(_, result)| result).collect()
}

fn progress(began: Instant, done: &str) {
    eprintln!("{:6.0} s  {done}", began.elapsed().as_secs_f64());
}
