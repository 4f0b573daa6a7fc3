//! `driftd explain`: how a body is read, into which rows, and if not, why not.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::render::{aligned, plain};
use super::{Failure, RunArgs};
use crate::app::App;
use crate::config::Model;
use crate::decode::Decoder;
use crate::exchange::{CapturedBody, CapturedHeaders, Ending, Exchange};
use crate::feature::{Cell, Store};
use crate::model::{Row, Schema};
use crate::timestamp::Timestamp;

/// Rows shown; the count says how many there are.
const SHOWN: usize = 20;

/// Stands in where no upstream is configured: nothing is sent anywhere.
const NOWHERE: &str = "http://127.0.0.1:1";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: RunArgs,
    /// The model, where there are several
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// The body of a request as it is sent; - for standard input
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// The body of the answer to it
    #[arg(long, value_name = "FILE")]
    response: Option<PathBuf>,
    /// The request's content-type; noted, for bodies are read as JSON whatever it says
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// The request's content-encoding, such as gzip, or "gzip, br"
    #[arg(long, value_name = "ENCODING", default_value = "")]
    content_encoding: String,
    /// The answer's content-encoding
    #[arg(long, value_name = "ENCODING", default_value = "")]
    response_encoding: String,
}

pub(super) fn explain(mut args: Arguments) -> Result<ExitCode, Failure> {
    args.settings
        .upstream
        .get_or_insert_with(|| NOWHERE.to_owned());
    let config = std::mem::take(&mut args.settings).load()?;
    let max_body = config.tap.max_body;
    let app = App::prepare(config)?;
    let (model, schema, stores) = chosen(&app, args.model.as_deref()).map_err(Failure::Input)?;
    let read = |path: &Path, encoding: &str, flag: &str| {
        body(path, encoding, max_body)
            .with_context(|| flag.to_owned())
            .map_err(Failure::Input)
    };
    let request = read(&args.request, &args.content_encoding, "--request")?;
    let response = match &args.response {
        Some(path) => read(path, &args.response_encoding, "--response")?,
        None => CapturedBody::default(),
    };

    let mut facts = vec![
        ["model".to_owned(), about(model, schema)],
        ["request".to_owned(), described(&args.request, &request)],
    ];
    if let Some(content_type) = &args.content_type {
        let json = content_type.to_ascii_lowercase().contains("json");
        let note = if json {
            ""
        } else {
            "; the body is read as JSON all the same"
        };
        facts.push(["content-type".to_owned(), format!("{content_type}{note}")]);
    }
    let explained = Decoder::new(schema).explain(&exchange(request, response), max_body);
    let shape = |shape: Option<&str>| shape.unwrap_or("no known shape").to_owned();
    facts.push(["read as".to_owned(), shape(explained.request)]);
    let mut fine = true;
    let mut rows = Vec::new();
    match explained.decoded {
        Err(undecodable) => {
            fine = false;
            facts.push(["not read".to_owned(), undecodable.reason]);
        }
        Ok(decoded) => {
            let problem = (args.response.is_some()).then_some(decoded.response_problem);
            if let Some(path) = &args.response {
                let shown = path.display().to_string();
                facts.push(["response".to_owned(), shown]);
                facts.push(["read as".to_owned(), shape(explained.response)]);
            }
            if let Some(problem) = problem.flatten() {
                fine = false;
                facts.push(["not read".to_owned(), problem]);
            }
            facts.push(["rows".to_owned(), decoded.rows.len().to_string()]);
            rows = table(model, schema, stores, decoded.rows);
        }
    }
    let mut text = String::new();
    let facts: Vec<Vec<String>> = (facts.into_iter())
        .map(|[name, value]| vec![name, plain(&value)])
        .collect();
    aligned(&mut text, &facts);
    if !rows.is_empty() {
        text.push('\n');
        aligned(&mut text, &rows);
    }
    print!("{text}");
    Ok(if fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The model asked for, or the only one.
fn chosen<'a>(
    app: &'a App,
    wanted: Option<&str>,
) -> anyhow::Result<(&'a Model, &'a Schema, &'a [Store])> {
    let names = || {
        let names: Vec<&str> = app
            .models()
            .map(|(model, ..)| model.name.as_str())
            .collect();
        names.join(", ")
    };
    let mut models = app.models();
    match (wanted, models.next(), models.next()) {
        (Some(wanted), ..) => (app.models())
            .find(|(model, ..)| model.name.as_str() == wanted)
            .ok_or_else(|| anyhow!("--model: no model {wanted:?}; there are {}", names())),
        (None, Some(only), None) => Ok(only),
        (None, ..) => Err(anyhow!("--model: name one of {}", names())),
    }
}

/// The body in a file as the tap would have captured it.
fn body(path: &Path, encoding: &str, max: usize) -> anyhow::Result<CapturedBody> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        read.context("standard input cannot be read")?;
    } else {
        let shown = path.display();
        bytes = std::fs::read(path).with_context(|| format!("{shown} cannot be read"))?;
    }
    let length = bytes.len() as u64;
    let truncated = bytes.len() > max;
    bytes.truncate(max);
    Ok(CapturedBody {
        bytes,
        length,
        truncated,
        encoding: encoding.trim().to_ascii_lowercase().into(),
    })
}

fn exchange(request: CapturedBody, response: CapturedBody) -> Exchange {
    Exchange {
        request_id: "-".into(),
        trace_id: None,
        model: 0,
        started: Timestamp(0),
        method: "POST".into(),
        route: Arc::from("*"),
        status: 200,
        total: Duration::ZERO,
        upstream: None,
        request,
        response,
        headers: CapturedHeaders::default(),
        ending: Ending::Complete,
    }
}

fn about(model: &Model, schema: &Schema) -> String {
    let (features, outputs) = (schema.features().len(), schema.outputs().len());
    format!("{}: {features} features, {outputs} outputs", model.name)
}

fn described(path: &Path, body: &CapturedBody) -> String {
    let encoding = match &*body.encoding {
        "" => String::new(),
        encoding => format!(", content-encoding {encoding}"),
    };
    format!("{}: {} bytes{encoding}", path.display(), body.length)
}

/// The first rows, as they would be stored, under the names of their columns.
fn table(model: &Model, schema: &Schema, stores: &[Store], rows: Vec<Row>) -> Vec<Vec<String>> {
    let names = schema.columns().iter().zip(stores);
    let head = names.map(|(column, store)| match store {
        Store::Keep => plain(&column.name),
        other => format!("{} ({})", plain(&column.name), other.as_str()),
    });
    let mut grid = vec![std::iter::once(String::new()).chain(head).collect()];
    let count = rows.len();
    for (number, row) in (1_usize..).zip(rows.into_iter().take(SHOWN)) {
        let cells = row.into_iter().zip(stores).map(|(cell, store)| {
            let stored = store.apply(cell, model.name.as_str());
            shown(&stored)
        });
        grid.push(std::iter::once(number.to_string()).chain(cells).collect());
    }
    if count > SHOWN {
        grid.push(vec!["…".to_owned()]);
    }
    grid
}

fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Missing => "(missing)".to_owned(),
        Cell::Bool(value) => value.to_string(),
        Cell::Number(number) => number.to_string(),
        Cell::Text(text) => format!("\"{}\"", plain(text)),
    }
}
