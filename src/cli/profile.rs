//! `driftd profile`: a reference file as a compact profile without the raw rows.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Args;

use super::{Failure, RunArgs};
use crate::reference::{self, CONFIG_MAP, DEFAULT_ERROR, Profiled};
use crate::timestamp::Timestamp;

/// Columns named as the ones known worst.
const NAMED: usize = 3;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Reference data: a file that `driftd run` could be given
    #[arg(value_name = "REFERENCE")]
    reference: PathBuf,
    /// Where to write the profile; compressed where the name ends in .gz. Replaced if it exists
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Read the file as a model of this configuration does
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which one, where the configuration has several
    #[arg(long, value_name = "NAME", requires = "config")]
    model: Option<String>,
    /// Roles of columns that names and contents do not settle: species=target,row=ignore
    #[arg(long, value_name = "NAME=ROLE,…", value_delimiter = ',', value_parser = role)]
    columns: Vec<(String, String)>,
    /// The features in the order of positional values, comma-separated
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    features: Vec<String>,
    /// Columns that hold what the model answers, comma-separated
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    outputs: Vec<String>,
    /// The rows stand in the order of their time
    #[arg(long)]
    ordered: bool,
    /// By how much D may be understated at most; smaller makes larger files
    #[arg(long, value_name = "SHARE", default_value_t = DEFAULT_ERROR, value_parser = share)]
    error: f64,
}

pub(super) fn profile(args: &Arguments) -> Result<ExitCode, Failure> {
    let settings = settings(args)?;
    let loaded = reference::load(&settings, Timestamp::now())
        .map_err(anyhow::Error::from)
        .map_err(Failure::Input)?;
    for note in &loaded.notes {
        eprintln!("driftd: {note}");
    }
    let profiled = reference::profile(&loaded, args.error, CONFIG_MAP);
    let zipped = args.output.extension().is_some_and(|end| end == "gz");
    let bytes = match zipped {
        true => &profiled.gzip[..],
        false => profiled.json.as_bytes(),
    };
    std::fs::write(&args.output, bytes)
        .with_context(|| format!("cannot write {}", args.output.display()))?;
    print!("{}", summary(args, &loaded, &profiled, bytes.len()));
    Ok(ExitCode::SUCCESS)
}

/// How the reference is read.
fn settings(args: &Arguments) -> Result<reference::Config, Failure> {
    let mut settings = match &args.config {
        Some(file) => configured(file, args)?,
        None => reference::Config::new(&args.reference),
    };
    settings.path.clone_from(&args.reference);
    settings.ordered |= args.ordered;
    settings.columns.extend(args.columns.iter().cloned());
    if !args.features.is_empty() {
        settings.features.clone_from(&args.features);
    }
    if !args.outputs.is_empty() {
        settings.outputs.clone_from(&args.outputs);
    }
    Ok(settings)
}

fn configured(file: &Path, args: &Arguments) -> Result<reference::Config, Failure> {
    let flags = RunArgs {
        config: Some(file.to_owned()),
        ..RunArgs::default()
    };
    let config = flags.load()?;
    let names: Vec<&str> = config.models.iter().map(|m| m.name.as_str()).collect();
    let found = match &args.model {
        Some(name) => config
            .models
            .iter()
            .find(|model| model.name.as_str() == name),
        None => config.models.first().filter(|_| names.len() == 1),
    };
    let found = found.ok_or_else(|| {
        let models = names.join(", ");
        Failure::Input(anyhow!(
            "--model: name one of the models of {}: {models}",
            file.display()
        ))
    })?;
    Ok(found
        .reference
        .clone()
        .unwrap_or_else(|| reference::Config {
            features: found.features.clone(),
            outputs: found.outputs.clone(),
            ..reference::Config::new(&args.reference)
        }))
}

fn summary(
    args: &Arguments,
    loaded: &reference::Loaded,
    profiled: &Profiled,
    bytes: usize,
) -> String {
    let size = |bytes: usize| bytesize::ByteSize(bytes as u64).display().iec().to_string();
    let known = &profiled.resolutions;
    let mut text = format!(
        "Wrote {}: {} columns of {} rows, {}",
        args.output.display(),
        known.len(),
        loaded.reference.rows,
        size(bytes)
    );
    if bytes != profiled.gzip.len() {
        text += &format!(" ({} compressed)", size(profiled.gzip.len()));
    }
    text.push('\n');
    let coarse = known.iter().filter(|column| column.error > 0.0);
    let named: Vec<String> = (coarse.clone().take(NAMED))
        .map(|column| format!("{} {:.2e}", column.name, column.error))
        .collect();
    text += &match coarse.count() {
        0 => "Every column is known exactly: D is what the file itself would give.\n".to_owned(),
        count => format!(
            "D is understated by at most {:.2e} ({}{}), and never overstated; {} columns are exact.\n",
            known.first().map_or(0.0, |column| column.error),
            named.join(", "),
            if count > NAMED { ", …" } else { "" },
            known.len() - count
        ),
    };
    if profiled.error > args.error {
        text += &format!(
            "The bound asked for, {}, would have taken more than {} compressed, which is what a \
             ConfigMap holds: it is {:.2e} instead.\n",
            args.error,
            size(CONFIG_MAP),
            profiled.error
        );
    }
    if profiled.gzip.len() > CONFIG_MAP {
        text += &format!(
            "It takes more than {} compressed all the same, and does not fit a ConfigMap: leave \
             columns out with --columns NAME=ignore.\n",
            size(CONFIG_MAP)
        );
    }
    text
}

fn role(text: &str) -> Result<(String, String), String> {
    let (name, role) = text.rsplit_once('=').ok_or("write NAME=ROLE")?;
    Ok((name.trim().to_owned(), role.trim().to_owned()))
}

fn share(text: &str) -> Result<f64, String> {
    let share = text
        .parse()
        .ok()
        .filter(|share| (0.0..=0.5).contains(share));
    share.ok_or_else(|| "write a share between 0 (everything) and 0.5, such as 0.002".to_owned())
}
