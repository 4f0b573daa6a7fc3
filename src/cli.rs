//! The command line: parses it, runs the command, maps outcomes to exit codes.
//!
//! Exit codes: 0 done; 1 failed at run time; 78 bad configuration or usage, with every problem on
//! stderr. `check`: 0 no drift, 1 drift, 2 nothing could be checked; whatever else fails there is 78,
//! so that no failure reads as a verdict.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a command prints is its result"
)]

mod accept;
mod attached;
mod check;
mod explain;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod init;
mod output;
mod profile;
mod progress;

mod render;
mod report;
mod run;
mod show;
mod supervised;
mod toml;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::app;
use crate::config::{Config, Given, Problems};

/// sysexits.h `EX_CONFIG`.
const EXIT_CONFIG: u8 = 78;

/// Drift and monitoring sidecar for machine-learning model servers.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Pass traffic to a model server and watch it
    Run(RunArgs),
    /// Show it all at work: an embedded model server, real data, traffic that drifts
    Demo(DemoArgs),
    /// Write a commented driftd.toml from a reference file
    Init(init::Arguments),
    /// Validate the configuration and print what is in effect and what is stored
    Config(RunArgs),
    /// Compare two files, once
    Check(check::Arguments),
    /// Say what a window file holds, without a running driftd
    Report(report::Arguments),
    /// Say how a request's body is read, into which rows, and if not, why not
    Explain(explain::Arguments),
    /// Write a compact profile of a reference file, without its rows
    Profile(profile::Arguments),
    /// Tell a running driftd that drift is the new normal: no alerts until it grows or time runs out
    Accept(accept::AcceptArguments),
    /// Take that back
    Unaccept(accept::UnacceptArguments),
    /// Ask a running driftd whether it is ready (for container health checks)
    Health(health::Arguments),
}

/// Settings by flag; each overrides environment and file.
#[derive(Debug, Default, Args)]
struct RunArgs {
    /// Configuration file [default: driftd.toml, where it exists]
    #[arg(long, value_name = "FILE", env = "DRIFTD_CONFIG")]
    config: Option<PathBuf>,
    /// The model server: http://host:port or unix:/path.sock
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Reference data: CSV with a header, JSON Lines or Parquet, also gzipped
    #[arg(long, value_name = "FILE")]
    reference: Option<String>,
    /// Where predictions come in [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where page, API and metrics are served [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// The SQLite window [default: driftd.db]
    #[arg(long, value_name = "FILE")]
    window: Option<String>,
    /// Columns of the reference that hold what the model answers, comma-separated
    #[arg(long, value_name = "NAMES")]
    outputs: Option<String>,
    /// Paths of the model, comma-separated [default: every POST that decodes]
    #[arg(long, value_name = "PATHS")]
    paths: Option<String>,
    /// Log format: human or json
    #[arg(long, value_name = "FORMAT")]
    log: Option<String>,
}

#[derive(Debug, Args)]
struct DemoArgs {
    /// End after this long, with a summary; exit code 0 only if the drift was found
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// Keep the window here, and go on with it where it exists
    #[arg(long, value_name = "FILE")]
    window: Option<PathBuf>,
}

/// Why a command ended without a result.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] Problems),
    /// A file or setting that cannot be used, in words of its own.
    #[error("{0:#}")]
    Input(anyhow::Error),
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// Parses the command line and runs the command.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no failures; a flag that cannot be used is bad configuration.
            let code = if error.use_stderr() { EXIT_CONFIG } else { 0 };
            drop(error.print());
            return ExitCode::from(code);
        }
    };
    let outcome = match cli.command {
        Command::Run(args) => run::run(args),
        Command::Demo(args) => run::demo(&args),
        Command::Init(args) => init::init(&args),
        Command::Config(args) => show::show(args),
        Command::Check(args) => check::check(&args),
        Command::Report(args) => report::report(&args),
        Command::Explain(args) => explain::explain(args),
        Command::Profile(args) => profile::profile(&args),
        Command::Accept(args) => accept::accept(args),
        Command::Unaccept(args) => accept::unaccept(args),
        Command::Health(args) => health::health(&args),
    };
    match outcome {
        Ok(code) => code,
        Err(Failure::Config(problems)) => {
            eprintln!("driftd: {problems}");
            ExitCode::from(EXIT_CONFIG)
        }
        Err(Failure::Input(error)) => {
            eprintln!("driftd: {error:#}");
            ExitCode::from(EXIT_CONFIG)
        }
        Err(Failure::Other(error)) => {
            eprintln!("driftd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl RunArgs {
    /// Merges these flags with file and environment.
    fn load(self) -> Result<Config, Problems> {
        let mut flags = Given::default();
        let given = [
            ("upstream", self.upstream),
            ("reference", self.reference),
            ("listen", self.listen),
            ("admin", self.admin),
            ("window", self.window),
            ("outputs", self.outputs),
            ("paths", self.paths),
            ("log", self.log),
        ];
        for (flag, value) in given {
            if let Some(value) = value {
                let key = if flag == "window" {
                    "window.path"
                } else {
                    flag
                };
                flags.set(key, value, format!("--{flag}"));
            }
        }
        crate::config::load(self.config.as_deref(), std::env::vars(), flags)
    }
}

impl From<app::Error> for Failure {
    fn from(error: app::Error) -> Self {
        match error {
            app::Error::Config(problems) => Self::Config(problems),
            other => Self::Other(other.into()),
        }
    }
}
