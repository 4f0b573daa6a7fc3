//! What a request costs on its way through driftd, beside nginx, HAProxy and Envoy in the same run:
//! throughput, processor time, latency, memory, and what a metric costs. See benches/README.md.
//!
//!     cargo bench --bench proxy -- [--quick] [--output FILE] [--rounds N] [--only SECTION]...
//!         [--driftd PROGRAM] [--envoy PROGRAM] [--python PYTHON] [--long]
//!
//! Ends with 1 where a target is missed, and with 2 where something it needs is not there.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a table is its result"
)]

#[path = "proxy/admin.rs"]
mod admin;
#[path = "proxy/contestant.rs"]
mod contestant;
#[path = "proxy/cost.rs"]
mod cost;
#[path = "proxy/flask.rs"]
mod flask;
#[path = "proxy/latency.rs"]
mod latency;
#[path = "proxy/median.rs"]
mod median;
#[path = "proxy/memory.rs"]
mod memory;
#[path = "proxy/model.rs"]
mod model;
mod options;
#[path = "proxy/peers.rs"]
mod peers;
#[path = "proxy/process.rs"]
mod process;
#[path = "proxy/quota.rs"]
mod quota;
#[path = "proxy/recording.rs"]
mod recording;
#[path = "proxy/served.rs"]
mod served;
#[path = "proxy/settings.rs"]
mod settings;
#[path = "proxy/stall.rs"]
mod stall;
#[path = "proxy/steady.rs"]
mod steady;
#[allow(dead_code, reason = "only its random numbers are used here")]
mod streams;
#[path = "proxy/throughput.rs"]
mod throughput;
#[path = "proxy/wrk.rs"]
mod wrk;

use std::process::ExitCode;
use std::time::Instant;

use options::Options;
use settings::{Section, Settings};

/// What a section found.
#[derive(Debug, Default)]
struct Findings {
    /// Markdown.
    text: String,
    /// A line for each target missed.
    missed: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1);
    let settings = Options::parse(arguments).and_then(|options| {
        // What the program starts itself for is no benchmark.
        match &options.rest[..] {
            [order, upstream] if order == "--serve" => {
                served::serve(upstream)?;
                Ok(None)
            }
            [order, file, seconds] if order == "--lock" => {
                stall::hold(file.as_ref(), seconds)?;
                Ok(None)
            }
            _ => Settings::parse(options).map(Some),
        }
    });
    let outcome = settings.and_then(|settings| match settings {
        None => Ok(true),
        Some(settings) => run(&settings),
    });
    match outcome {
        Ok(met) => ExitCode::from(u8::from(!met)),
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}

/// Runs every section asked for; true where all targets are met.
fn run(settings: &Settings) -> Result<bool, String> {
    process::end_with_us();
    let begun = Instant::now();
    let mut text = format!(
        "## Proxy: small JSON posts over loopback\n\n{}\n",
        settings.described()?
    );
    let mut missed = Vec::new();
    for section in Section::ALL {
        if !settings.wants(section) {
            continue;
        }
        eprintln!("{}", section.title());
        let measured = match section {
            Section::Throughput => throughput::measure(settings),
            Section::Latency => latency::measure(settings),
            Section::Metrics => Ok(recording::measure(settings)),
            Section::Memory => memory::measure(settings),
            Section::Quota => quota::measure(settings),
            Section::Flask => flask::measure(settings),
        };
        // What went before is not lost by what fails after it.
        let found = measured.unwrap_or_else(|problem| Findings {
            text: format!("Failed: {problem}\n"),
            missed: vec![format!("{}: {problem}", section.title())],
        });
        text += &format!("\n### {}\n\n{}", section.title(), found.text);
        missed.extend(found.missed);
    }
    text += &format!("\nTook {:.0} s.\n", begun.elapsed().as_secs_f64());
    for line in &missed {
        text += &format!("\nTarget missed: {line}\n");
    }
    let stored = settings.options.write(&text);
    for line in &missed {
        eprintln!("Target missed: {line}");
    }
    Ok(stored.is_ok() && missed.is_empty())
}
