//! `driftd check`: compares two files, once: a table for people, JSON for machines, an exit code for
//! a CI gate.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::Failure;
use crate::drift::alarm::Alarms;
use crate::drift::check::{Decided, Dependence, ModelCheck, SpanRows, Subject};
use crate::drift::current::Entry;
use crate::drift::decide::{Allowance, PLAIN_ALPHA, Policy, Rule};
use crate::drift::explain;
use crate::drift::memo::Memo;
use crate::drift::report::{ModelReport, Report, SpanName, State};
use crate::model::ModelName;
use crate::reference;
use crate::timestamp::Timestamp;

/// D ≥ 0.1: the same floor as `drift.min_effect`.
const MIN_EFFECT: f64 = 0.1;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What to compare with: a CSV file with a header
    #[arg(long, value_name = "FILE")]
    reference: PathBuf,
    /// What to check: a CSV file with the same columns
    #[arg(long, value_name = "FILE")]
    current: PathBuf,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// How to decide: family (5 % over all columns together, and D of at least 0.1) or
    /// pvalue (p < 0.05 for each)
    #[arg(long, value_enum, default_value_t = Decision::Family)]
    decision: Decision,
    /// Exit with 2 if any column could not be checked
    #[arg(long)]
    strict: bool,
    /// Fewer values than this are not compared
    #[arg(long, value_name = "ROWS", default_value_t = 2)]
    min_rows: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Decision {
    Family,
    Pvalue,
}

pub(super) fn check(args: &Arguments) -> Result<ExitCode, Failure> {
    let now = Timestamp::now();
    // Every column is compared, whatever part it plays for a model server.
    let loaded = reference::load_all(&args.reference, now)
        .context("--reference")
        .map_err(Failure::Input)?;
    let (rows, notes) = (loaded.rows(&args.current))
        .context("--current")
        .map_err(Failure::Input)?;
    for note in loaded.notes.iter().chain(&notes) {
        eprintln!("driftd: {note}");
    }
    let entries = (0i64..).zip(rows).map(|(id, cells)| Entry {
        id: id + 1,
        priority: 0,
        time: now,
        values: std::sync::Arc::new(loaded.reference.encode(&cells)),
    });
    let rows: Vec<Entry> = entries.collect();
    let span = SpanRows {
        name: SpanName::Main,
        size: rows.len(),
        population: rows.len() as f64,
        alerts: true,
        rows,
        min_rows: args.min_rows,
        length: None,
        last: Decided::default(),
    };
    let name = args
        .reference
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or("reference");
    let model = ModelName::parse(name).or_else(|| ModelName::parse("reference"));
    let model = model.context("a name for the reference")?;
    let rule = match args.decision {
        Decision::Family => Rule::Budget,
        Decision::Pvalue => Rule::PValue,
    };
    let columns = loaded.schema.columns().len();
    let policies = vec![
        Policy {
            rule,
            min_effect: MIN_EFFECT
        };
        columns
    ];
    let tracks = loaded.reference.tracks();
    let info = loaded.reference.info();
    let subject = Subject {
        model: &model,
        version: "",
        schema: &loaded.schema,
        reference: Some(&info),
        tracks: &tracks,
        dependence: Dependence::None,
        policies: &policies,
        // One check that may spend a family-wise error of 5 %: Bonferroni over its columns.
        allowance: Allowance {
            alarms: PLAIN_ALPHA,
            per: Duration::from_secs(1),
        },
        tests: loaded.reference.tests(),
        min_coverage: 0.0,
        changed: false,
        describe: true,
    };
    let mut alarms = Alarms {
        evaluated_at: None,
        ..Alarms::default()
    };
    let later = Timestamp(now.0 + 1000);
    let mut memo = Memo::default();
    let mut check = ModelCheck::begin(subject, vec![span], None, &mut alarms, &mut memo, later);
    while check.step() {}
    let mut report = check.finish().report;
    // A budget over time means nothing to a check made once.
    report.budget = None;
    report.coverage = None;
    report.checked_at = Some(now);
    report.evaluated_at = Some(now);
    match args.format {
        Format::Table => print!("{}", table(&report)),
        Format::Json => {
            let report = Report {
                models: vec![report.clone()],
            };
            let json = serde_json::to_string_pretty(&report).context("the report as JSON")?;
            println!("{json}");
        }
    }
    Ok(ExitCode::from(exit_code(&report, args.strict)))
}

/// 0 no drift, 1 drift, 2 nothing (with `strict`: not everything) could be checked.
fn exit_code(report: &ModelReport, strict: bool) -> u8 {
    let judged = |f: &crate::drift::FeatureReport| f.drifted.is_some();
    // A column that changed its type has changed, if by no test.
    let changed =
        |f: &crate::drift::FeatureReport| f.drifted == Some(true) || f.state == State::TypeChanged;
    let drifted = report.features.iter().any(changed);
    let missed = if strict {
        !report.features.iter().all(judged)
    } else {
        !report.features.iter().any(judged)
    };
    match (drifted, missed) {
        (true, _) => 1,
        (false, true) => 2,
        (false, false) => 0,
    }
}

/// One line a column, widths fitted to what stands in them.
fn table(report: &ModelReport) -> String {
    let head = [
        "column",
        "kind",
        "state",
        "test",
        "statistic",
        "threshold",
        "p",
        "n",
    ];
    let mut lines: Vec<Vec<String>> = vec![head.map(str::to_owned).to_vec()];
    for feature in &report.features {
        let check = feature.main();
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), explain::figure);
        lines.push(vec![
            feature.name.to_string(),
            feature
                .kind
                .map_or("-", crate::feature::Kind::as_str)
                .to_owned(),
            feature.state.as_str().to_owned(),
            check.map_or("-", |c| c.test.as_str()).to_owned(),
            number(check.and_then(|c| c.statistic)),
            number(check.and_then(|c| c.threshold)),
            check
                .and_then(|c| c.log10_p)
                .map_or_else(|| "-".to_owned(), explain::p_value),
            check.map_or_else(|| "-".to_owned(), |c| c.n_current.to_string()),
        ]);
    }
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text.push('\n');
    for feature in report.features.iter().filter(|f| f.state != State::Ok) {
        text.push_str("- ");
        text.push_str(&feature.sentence);
        text.push('\n');
    }
    text.push_str(&report.sentence);
    text.push('\n');
    text
}
