//! `driftd report`: what a window file says, without a running driftd.
//!
//! Figures the window does not hold (the reference's rows, quantiles, pictures, coverage) are null in
//! JSON and absent elsewhere.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::{Map, Value, json};

use super::Failure;
use super::output::{Format, Output};
use super::progress::Progress;
use super::render::{self, Document, Fact, Listing, Section};
use crate::drift::explain;
use crate::timestamp::Timestamp;

mod exchange;
mod history;
mod rebuild;
mod stored;

use stored::{Gap, Standing, Stored, Verdict};

/// Lines of a list shown to people; the JSON has all that were kept.
const SHOWN: usize = 50;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The window of a driftd, running or not; it is only read
    #[arg(long, value_name = "FILE")]
    window: PathBuf,
    /// Only this model
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Only the exchange with this request id (or trace id), with its rows; as table or json. All
    /// exchanges are looked through, about 0.1 s for a million: an index would make storing each
    /// slower, by far where ids are random
    #[arg(long, value_name = "ID", conflicts_with = "model")]
    id: Option<String>,
    #[command(flatten)]
    output: Output,
}

pub(super) fn report(args: &Arguments) -> Result<ExitCode, Failure> {
    let prepared = args.output.prepare(&[&args.window]);
    prepared.map_err(Failure::Input)?;
    if let Some(id) = &args.id {
        return one(args, id);
    }
    let progress = Progress::start();
    let mut stored = stored::read(&args.window, &progress).context("--window")?;
    drop(progress);
    if let Some(wanted) = &args.model {
        let names: Vec<&str> = stored.models.iter().map(|m| m.name.as_str()).collect();
        let names = match names.is_empty() {
            true => "it holds none".to_owned(),
            false => format!("it holds {}", names.join(", ")),
        };
        stored.models.retain(|model| model.name.as_str() == wanted);
        if stored.models.is_empty() {
            let window = args.window.display();
            return Err(anyhow!("--model: {window} holds no model {wanted:?}; {names}").into());
        }
    }
    let text = render::render(&document(args, &stored), args.output.format);
    args.output.write(&text).map_err(Failure::Input)?;
    Ok(ExitCode::SUCCESS)
}

/// The exchanges with one id.
fn one(args: &Arguments, id: &str) -> Result<ExitCode, Failure> {
    let found = exchange::read(&args.window, id).context("--window")?;
    if found.is_empty() {
        let window = args.window.display();
        return Err(anyhow!(
            "--id: {window} holds no exchange with the id {id:?}: it was not one of a model's, was left \
             out by tap.sample or tap.exclude, was lost (`driftd report` lists gaps), or is older than \
             window.keep_for and keep_rows let it be"
        )
        .into());
    }
    let text = match args.output.format {
        Format::Table => exchange::table(&found),
        Format::Json => format!("{:#}\n", exchange::json(&found)),
        Format::Html | Format::Markdown => {
            let why = anyhow!("--format: an exchange is shown as table or json");
            return Err(Failure::Input(why));
        }
    };
    args.output.write(&text).map_err(Failure::Input)?;
    Ok(ExitCode::SUCCESS)
}

fn document(args: &Arguments, stored: &Stored) -> Document {
    let name = args.window.file_name().unwrap_or(args.window.as_os_str());
    let unknown = (stored.unknown > 0).then(|| {
        let lines = stored.unknown;
        Fact::new(
            "left out",
            format!("{lines} lines of tests this driftd does not know"),
        )
    });
    Document {
        command: "report",
        title: name.to_string_lossy().into_owned(),
        facts: [Fact::new("window", args.window.display().to_string())]
            .into_iter()
            .chain(unknown)
            .collect(),
        sections: stored.models.iter().map(section).collect(),
    }
}

fn section(model: &stored::Model) -> Section {
    let report = rebuild::report(model);
    let reference = match &model.reference {
        Some(stored::Reference {
            hash: Some(hash),
            since,
            ..
        }) => format!("{hash} since {since}"),
        Some(stored::Reference { since, .. }) => format!("none, since {since}"),
        None => "none".to_owned(),
    };
    let time =
        |time: Option<Timestamp>| time.map_or_else(|| "never".to_owned(), |time| time.to_string());
    let mut facts = vec![
        Fact::new("model", model.name.as_str()),
        Fact::new("rows", model.rows.to_string()),
    ];
    if let (Some(oldest), Some(newest)) = (model.oldest, model.newest) {
        facts.push(Fact::new("covering", format!("{oldest} to {newest}")));
    }
    facts.extend([
        Fact::new("reference", reference),
        Fact::new("last check", time(model.checked_at)),
        Fact::new("last decision", time(model.evaluated_at)),
    ]);
    if let Some(version) = model.reference.as_ref().map(|r| &r.version)
        && !version.is_empty()
    {
        facts.insert(1, Fact::new("version", version.clone()));
    }
    let json = json(model, &report);
    Section {
        facts,
        report,
        tests: None,
        listings: vec![
            alarms(&model.alarms),
            verdicts(&model.verdicts),
            references(model),
            gaps(&model.gaps),
        ],
        json: Some(json),
    }
}

fn alarms(alarms: &[Standing]) -> Listing {
    Listing {
        title: "Standing alarms",
        head: vec!["column", "test", "span", "since"],
        rows: (alarms.iter())
            .map(|alarm| {
                vec![
                    alarm.column.clone(),
                    alarm.test.clone(),
                    alarm.span.clone(),
                    alarm.since.to_string(),
                ]
            })
            .collect(),
        none: "None.",
    }
}

fn verdicts(verdicts: &[Verdict]) -> Listing {
    let row = |verdict: &Verdict| {
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), explain::figure);
        vec![
            verdict.time.to_string(),
            verdict.column.clone(),
            verdict.test.clone(),
            verdict.span.clone(),
            if verdict.drifted {
                "drifted"
            } else {
                "cleared"
            }
            .to_owned(),
            number(verdict.statistic),
            number(verdict.threshold),
        ]
    };
    Listing {
        title: "Verdicts that changed, newest first",
        head: vec![
            "time",
            "column",
            "test",
            "span",
            "verdict",
            "statistic",
            "threshold",
        ],
        rows: verdicts.iter().take(SHOWN).map(row).collect(),
        none: "None.",
    }
}

fn references(model: &stored::Model) -> Listing {
    let row = |reference: &stored::Reference| {
        let hash = reference.hash.clone().unwrap_or_else(|| "none".to_owned());
        vec![reference.since.to_string(), hash, reference.version.clone()]
    };
    Listing {
        title: "References and versions, newest first",
        head: vec!["since", "reference", "version"],
        rows: model.references.iter().take(SHOWN).map(row).collect(),
        none: "None.",
    }
}

fn gaps(gaps: &[Gap]) -> Listing {
    let row = |gap: &Gap| {
        vec![
            gap.started_at.to_string(),
            gap.ended_at.to_string(),
            gap.reason.clone(),
            gap.exchanges
                .map_or_else(|| "unknown".to_owned(), |n| n.to_string()),
            if gap.model {
                "this model"
            } else {
                "all models"
            }
            .to_owned(),
        ]
    };
    Listing {
        title: "Gaps, newest first",
        head: vec!["from", "to", "reason", "exchanges lost", "of"],
        rows: gaps.iter().take(SHOWN).map(row).collect(),
        none: "None: nothing is known to be missing.",
    }
}

/// The drift report's shape, with null for what only a running driftd knows, and what the window
/// holds beside it.
fn json(model: &stored::Model, report: &crate::drift::ModelReport) -> Value {
    // Serialising a report cannot fail: its maps have string keys.
    let mut value = serde_json::to_value(report).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        for unknown in ["rows", "coverage", "calibrated", "budget"] {
            object.insert(unknown.to_owned(), Value::Null);
        }
        if let Some(reference) = object.get_mut("reference").and_then(Value::as_object_mut) {
            reference.insert("rows".to_owned(), Value::Null);
        }
        object.extend(more(model));
    }
    value
}

fn more(model: &stored::Model) -> Map<String, Value> {
    let alarms: Vec<Value> = (model.alarms.iter())
        .map(|a| json!({"feature": a.column, "test": a.test, "span": a.span, "since": a.since}))
        .collect();
    let changes: Vec<Value> = (model.verdicts.iter())
        .map(|v| {
            json!({"time": v.time, "feature": v.column, "test": v.test, "span": v.span,
                "drifted": v.drifted, "statistic": v.statistic, "threshold": v.threshold})
        })
        .collect();
    let references: Vec<Value> = (model.references.iter())
        .map(|r| json!({"hash": r.hash, "version": r.version, "since": r.since}))
        .collect();
    let gaps: Vec<Value> = (model.gaps.iter())
        .map(|g| {
            json!({"started_at": g.started_at, "ended_at": g.ended_at, "reason": g.reason,
                "exchanges": g.exchanges, "model": g.model.then_some(model.name.as_str())})
        })
        .collect();
    let window = json!({"rows": model.rows, "oldest": model.oldest, "newest": model.newest});
    [
        ("window", window),
        ("alarms", alarms.into()),
        ("changes", changes.into()),
        ("references", references.into()),
        ("gaps", gaps.into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect()
}
