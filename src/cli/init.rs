//! `driftd init`: looks at a reference file and writes a commented driftd.toml.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::Failure;
use super::toml::quoted;
use crate::proxy::Upstream;
use crate::reference::{self, Inspected};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Reference data: CSV with a header, JSON Lines or Parquet; CSV and JSON also gzipped
    #[arg(long, value_name = "FILE")]
    reference: PathBuf,
    /// The model server: http://host:port or unix:/path.sock
    #[arg(long, value_name = "URL")]
    upstream: String,
    /// Where to write; an existing file is never overwritten
    #[arg(long, value_name = "FILE", default_value = "driftd.toml")]
    output: PathBuf,
}

pub(super) fn init(args: &Arguments) -> Result<ExitCode, Failure> {
    let upstream = Upstream::parse(&args.upstream)
        .context("--upstream")
        .map_err(Failure::Input)?;
    let missing = reference::DEFAULT_MISSING.map(str::to_owned);
    let found = reference::inspect(&args.reference, &missing)
        .context("--reference")
        .map_err(Failure::Input)?;
    let text = file(&upstream.to_string(), args, &found);
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&args.output)
        .with_context(|| {
            let path = args.output.display();
            format!("cannot write {path}; an existing file is never overwritten: choose another with --output")
        })?;
    target
        .write_all(text.as_bytes())
        .with_context(|| format!("cannot write {}", args.output.display()))?;
    println!(
        "Wrote {}. Look at the columns found, then:",
        args.output.display()
    );
    println!("  driftd run --config {}", args.output.display());
    Ok(ExitCode::SUCCESS)
}

/// The file: what is in effect as settings, what could be as comments.
fn file(upstream: &str, args: &Arguments, found: &[Inspected]) -> String {
    let mut text = String::new();
    let path = std::path::absolute(&args.reference).unwrap_or_else(|_| args.reference.clone());
    let mut line = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    line(
        "# driftd: what is watched, and how. `driftd config` validates this file and shows what is in effect.",
    );
    line("# Any of it can also come from the environment (DRIFTD_WINDOW__PATH) or from flags.");
    line("");
    line(
        "listen   = \"127.0.0.1:8080\"          # clients send predictions here instead of to the model server",
    );
    line("admin    = \"127.0.0.1:9464\"          # the page, the API, /metrics for Prometheus");
    line(&format!("upstream = {}", quoted(upstream)));
    line("");
    line("# [metrics]");
    line(
        "# features = \"top 50\"                # which have histograms, for many replicas; \"all\", \"off\"",
    );
    line("");
    line("[window]");
    line(
        "path      = \"driftd.db\"              # SQLite; read it with: sqlite3 -readonly driftd.db",
    );
    line("# keep_rows = 100000                  # per model");
    line("# keep_for  = \"30d\"");
    line("# max_bytes = \"1GiB\"");
    line("");
    line("[tap]");
    line(
        "# sample  = 1.0                       # share of exchanges, stable by request id; or \"200/s\"",
    );
    line(
        "# exclude = [{ path = \"/healthz\" }, { header = \"user-agent\", prefix = \"kube-probe\" }]",
    );
    line("# headers = [\"x-tenant\"]              # stored of each exchange; none without it");
    line("");
    line("[drift]");
    line("# every        = \"60s\"");
    line("# current      = \"24h\"                # rows compared: a duration, or \"1000 rows\"");
    line(
        "# fast         = \"1h\"                 # the early span: warns, never alerts; or \"off\"",
    );
    line("# min_rows     = 200");
    line("# false_alarms = \"1 per 30d\"          # all features, tests and checks together");
    line("# decision     = \"budget\"             # or \"pvalue\": p < 0.05 for each test");
    line("# min_effect   = 0.1                  # the smallest D worth an alarm");
    line("");
    line("# [webhook]                            # who is told when the verdict's level changes");
    line("# url    = \"https://hooks.example/driftd\"");
    line("# secret = \"whsec_…\"                 # signs each delivery; or secret_file");
    line("");
    line("[[model]]");
    line("name      = \"default\"");
    line("# paths     = [\"/predict\"]            # without it: every POST");
    line("# version   = \"\"");
    line("# process   = \"auto\"                 # or where the model server's own processes are");
    line(&format!(
        "reference = {}",
        quoted(&path.display().to_string())
    ));
    line("");
    let named = |role: &str| {
        let names = found.iter().filter(|column| column.role == role);
        let names: Vec<String> = names.map(|column| quoted(&column.name)).collect();
        names.join(", ")
    };
    line("# Positional values are read in the file's order, or in the one written here.");
    line(&format!("# features  = [{}]", named("feature")));
    line("# Answers are read into these outputs; an output the file holds is compared.");
    let outputs = named("output");
    if outputs.is_empty() {
        line("# outputs   = [\"prediction\"]");
    } else {
        line(&format!("outputs   = [{outputs}]"));
    }
    line("");
    line(
        "# The columns found. The parts are: feature (input), output (what the model answers; compared),",
    );
    line("# target (the truth; not compared), time, id, ignore.");
    line("[model.columns]");
    for column in found {
        let mut note = column.kind.to_owned();
        if column.role != "feature" || column.unclear {
            let _ = write!(note, "; {}", column.why);
        }
        if column.unclear {
            note.insert_str(0, "PLEASE CHECK: ");
        }
        if column.missing > 0.0 {
            let _ = write!(note, "; {:.1} % missing", column.missing * 100.0);
        }
        if !column.examples.is_empty() {
            let _ = write!(note, "; such as {}", column.examples.join(", "));
        }
        line(&format!(
            "{} = {:<10} # {}",
            quoted(&column.name),
            quoted(column.role),
            note.replace('\n', " ")
        ));
    }
    line("");
    line("# One table per column that needs settings of its own:");
    line("# [[model.feature]]");
    line("# name       = \"age\"");
    line("# kind       = \"numeric\"             # or categorical, text");
    line("# min_effect = 0.05");
    text
}
