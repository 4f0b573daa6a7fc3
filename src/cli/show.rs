//! `driftd config`: validates the configuration and prints what is in effect and what is stored.

use std::process::ExitCode;

use super::{Failure, RunArgs};
use crate::app::App;
use crate::config::Config;
use crate::drift::current::{Span, SpanLength};
use crate::drift::decide::Rule;
use crate::timestamp::compact as duration;

pub(super) fn show(args: RunArgs) -> Result<ExitCode, Failure> {
    let config = args.load()?;
    for warning in &config.warnings {
        eprintln!("driftd: {warning}");
    }
    let app = App::prepare(config)?;
    print!("{}", effective(app.config()));
    for model in app.models() {
        println!("\n[[model]]  # as read from its reference\n{model}");
    }
    println!(
        "# Stored, in {}: of every exchange its time, ids, route, status, latencies and sizes, and of\n\
         # each prediction the columns above. Nothing else of a body, and no header, is stored.",
        app.config().window.path.display()
    );
    Ok(ExitCode::SUCCESS)
}

fn effective(config: &Config) -> String {
    let bytes = |b: u64| bytesize::ByteSize(b).display().iec().to_string();
    let length = |span: &Span| match span.length {
        SpanLength::Time(time) => duration(time),
        SpanLength::Rows(rows) => format!("{rows} rows"),
    };
    let Config {
        listen,
        admin,
        metrics,
        upstream,
        upstream_timeout,
        window,
        tap,
        drift,
        ..
    } = config;
    let metrics = metrics.map_or(String::new(), |m| format!("metrics          = \"{m}\"\n"));
    let timeout = upstream_timeout.map_or("off".to_owned(), duration);
    let fast = drift.fast.as_ref().map_or("off".to_owned(), length);
    let decision = match drift.policy.rule {
        Rule::Budget => "budget",
        Rule::PValue => "pvalue",
    };
    format!(
        "listen           = \"{listen}\"\n\
         admin            = \"{admin}\"\n\
         {metrics}\
         upstream         = \"{upstream}\"\n\
         upstream_timeout = \"{timeout}\"\n\
         \n[window]\n\
         path      = {:?}\n\
         keep_rows = {}\n\
         keep_for  = \"{}\"\n\
         max_bytes = \"{}\"\n\
         \n[tap]\n\
         max_body = \"{}\"\n\
         queue    = \"{}\"\n\
         \n[drift]\n\
         every        = \"{}\"\n\
         current      = \"{}\"\n\
         fast         = \"{fast}\"\n\
         min_rows     = {}\n\
         max_rows     = {}\n\
         max_age      = \"{}\"\n\
         false_alarms = \"{} per {}\"\n\
         decision     = \"{decision}\"\n\
         min_effect   = {}\n\
         min_coverage = {}\n",
        window.path.display().to_string(),
        window.keep_rows,
        duration(window.keep_for),
        bytes(window.max_bytes),
        bytes(tap.max_body as u64),
        bytes(tap.queue as u64),
        duration(drift.every),
        length(&drift.main),
        drift.main.min_rows,
        drift.main.max_rows,
        duration(drift.main.max_age),
        drift.allowance.alarms,
        duration(drift.allowance.per),
        drift.policy.min_effect,
        drift.min_coverage,
    )
}
