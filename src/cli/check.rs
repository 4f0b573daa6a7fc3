//! `driftd check`: compares two files, once: for people, for a pull request, for a CI gate.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::Failure;
use super::output::Output;
use super::progress::{Progress, Stage};
use super::render::{self, Document, Fact, Section};
use crate::drift;
use crate::drift::alarm::Alarms;
use crate::drift::check::{Decided, Dependence, ModelCheck, SpanRows, Subject};
use crate::drift::decide::{Allowance, PLAIN_ALPHA, Policy, Rule};
use crate::drift::explain;
use crate::drift::memo::Memo;
use crate::drift::report::{FeatureReport, ModelReport, ReferenceInfo, SpanName, State};
use crate::drift::season::Against;
use crate::drift::together;
use crate::model::ModelName;
use crate::reference::{self, Pair, PairColumn};
use crate::timestamp::Timestamp;

/// D ≥ 0.1: the same floor as `drift.min_effect`.
const MIN_EFFECT: f64 = 0.1;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What to compare with: CSV with a header, JSON Lines or Parquet, also gzipped
    #[arg(long, value_name = "FILE")]
    reference: PathBuf,
    /// What to check: a file with the same columns, in any of these formats
    #[arg(long, value_name = "FILE")]
    current: PathBuf,
    #[command(flatten)]
    output: Output,
    /// How to decide: family (5 % over all tests together, and D of at least 0.1) or
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
enum Decision {
    Family,
    Pvalue,
}

/// What came of the comparison.
struct Outcome {
    report: ModelReport,
    /// The tests that shared the significance.
    tests: usize,
}

/// What all columns are compared by together, of each track.
#[derive(Default)]
struct Scores {
    names: Vec<Box<str>>,
    reference: Vec<Vec<f32>>,
    current: Vec<Vec<f32>>,
}

pub(super) fn check(args: &Arguments) -> Result<ExitCode, Failure> {
    let now = Timestamp::now();
    let inputs = [args.reference.as_path(), args.current.as_path()];
    args.output.prepare(&inputs).map_err(Failure::Input)?;
    let progress = Progress::start();
    let pair = read(args, &progress).map_err(Failure::Input)?;
    let outcome = compare(args, &pair, &progress, now).map_err(Failure::Input)?;
    drop(progress);
    for note in pair.notes() {
        eprintln!("driftd: {note}");
    }
    let code = exit_code(&outcome.report, args.strict);
    let text = render::render(&document(args, outcome), args.output.format);
    // Not a run-time failure, whose exit code is a verdict here.
    args.output.write(&text).map_err(Failure::Input)?;
    Ok(ExitCode::from(code))
}

/// Every column is compared, whatever part it plays for a model server.
fn read(args: &Arguments, progress: &Progress) -> anyhow::Result<Pair> {
    let mut tell = |read: reference::Progress<'_>| {
        progress.at(Stage::Reading {
            path: read.path.to_owned(),
            bytes: read.bytes,
            total: read.total,
        });
    };
    let missing = reference::default_missing();
    Ok(Pair::open(
        &args.reference,
        &args.current,
        &missing,
        &mut tell,
    )?)
}

/// One check of all there is.
fn compare(
    args: &Arguments,
    pair: &Pair,
    progress: &Progress,
    now: Timestamp,
) -> anyhow::Result<Outcome> {
    let schema = pair.schema();
    let name = args.reference.file_stem().and_then(|stem| stem.to_str());
    let name = name.unwrap_or("reference");
    let model = ModelName::parse(name).or_else(|| ModelName::parse("reference"));
    let model = model.context("a name for the reference")?;
    let rule = match args.decision {
        Decision::Family => Rule::Budget,
        Decision::Pvalue => Rule::PValue,
    };
    let columns = schema.columns();
    let policy = Policy {
        rule,
        min_effect: MIN_EFFECT,
    };
    let policies = vec![policy; columns.len()];
    let tests = columns
        .iter()
        .filter_map(|c| c.kind)
        .map(drift::reference::tests)
        .sum::<usize>()
        + usize::from(pair.is_joint());
    let info = ReferenceInfo {
        hash: pair.hash().to_owned(),
        rows: pair.reference_rows(),
        loaded_at: now,
    };
    let subject = Subject {
        model: &model,
        version: "",
        schema,
        reference: Some(&info),
        tracks: &[],
        dependence: Dependence::None,
        since: None,
        together: None,
        policies: &policies,
        // One check that may spend a family-wise error of 5 %: Bonferroni over its tests.
        allowance: Allowance {
            alarms: PLAIN_ALPHA,
            per: Duration::from_secs(1),
            replicas: 1.0,
        },
        tests,
        min_coverage: 0.0,
        changed: false,
        previous: None,
        describe: true,
    };
    let (mut alarms, mut memo) = (Alarms::default(), Memo::default());
    let later = Timestamp(now.0 + 1000);
    let spans = vec![span(args, pair)];
    let mut check = ModelCheck::begin(subject, spans, None, &mut alarms, &mut memo, later);
    every_column(pair, progress, &mut check)?;
    let mut report = check.finish().report;
    let single = report.features.iter_mut().flat_map(|f| &mut f.checks);
    for check in single.chain(&mut report.checks) {
        check.adjusted_p = check.decision_p.map(|p| (p * tests as f64).min(1.0));
    }
    // A budget over time means nothing to a check made once.
    report.budget = None;
    report.coverage = None;
    report.checked_at = Some(now);
    report.evaluated_at = Some(now);
    Ok(Outcome { report, tests })
}

/// All of the current file; its values come column by column.
fn span(args: &Arguments, pair: &Pair) -> SpanRows {
    SpanRows {
        name: SpanName::Main,
        size: pair.current_rows(),
        population: pair.current_rows() as f64,
        against: Against::All,
        rows: Vec::new(),
        min_rows: args.min_rows,
        length: None,
        last: Decided::default(),
    }
}

/// Compares column by column, so that only one is in memory, then all together.
fn every_column(
    pair: &Pair,
    progress: &Progress,
    check: &mut ModelCheck<'_>,
) -> anyhow::Result<()> {
    let columns = pair.schema().columns();
    let mut scores = Scores::default();
    for index in 0..columns.len() {
        progress.at(Stage::Counting {
            what: "columns compared",
            done: index as u64,
            total: Some(columns.len() as u64),
        });
        let PairColumn {
            reference,
            current,
            reference_scores,
            current_scores,
        } = pair.column(index)?;
        scores.reference.extend(reference_scores);
        scores.current.extend(current_scores);
        let mut tracks = Vec::new();
        if let Some(reference) = &reference {
            reference.tracks(index, &mut tracks);
        }
        for (track, values) in tracks.iter().zip(current) {
            check.take(track, vec![values]);
            scores.names.push(track.name(&columns[index].name));
        }
    }
    if let Some(together) = pair.together(&scores.reference) {
        let rows = together::across(&scores.current);
        check.take_together(&together, &rows, &scores.names);
    }
    Ok(())
}

/// What is printed: the report, and what it is about.
fn document(args: &Arguments, outcome: Outcome) -> Document {
    let Outcome { report, tests } = outcome;
    let name = |path: &Path| {
        let name = path.file_name().unwrap_or(path.as_os_str());
        name.to_string_lossy().into_owned()
    };
    let (reference, current) = (name(&args.reference), name(&args.current));
    let rows = report.reference.as_ref().map_or(0, |r| r.rows);
    let count = match tests {
        1 => "1 test".to_owned(),
        tests => format!("{tests} tests"),
    };
    let decided = match args.decision {
        Decision::Family => format!(
            "family-wise α = {PLAIN_ALPHA} over {count} (p adj: Bonferroni), effect at least {}",
            explain::figure(MIN_EFFECT)
        ),
        Decision::Pvalue => {
            format!(
                "p < {PLAIN_ALPHA} for each of {count}, whatever the effect (p adj: Bonferroni)"
            )
        }
    };
    Document {
        command: "check",
        title: format!("{current} against {reference}"),
        facts: vec![
            Fact::new("reference", format!("{reference}, {rows} rows")),
            Fact::new("current", format!("{current}, {} rows", report.rows)),
            Fact::new("decided", decided),
        ],
        sections: vec![Section {
            facts: Vec::new(),
            report,
            tests: Some(tests),
            listings: Vec::new(),
            json: None,
        }],
    }
}

/// 0 no drift, 1 drift, 2 nothing (with `strict`: not everything) could be checked.
fn exit_code(report: &ModelReport, strict: bool) -> u8 {
    let judged = |f: &FeatureReport| f.drifted.is_some();
    // A column that changed its type has changed, if by no test.
    let changed = |f: &FeatureReport| f.drifted == Some(true) || f.state == State::TypeChanged;
    // All columns together only warn.
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
