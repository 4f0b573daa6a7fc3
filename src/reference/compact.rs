//! The compact profile of a reference: how each column is distributed, to within a stated bound,
//! and how it is read, without a row. JSON, or gzip of it; small enough for a ConfigMap.
//!
//! What was settled when it was made (roles, kinds, order, missing words) stands in it, so it needs
//! no configuration, and one that says otherwise is an error (`agree`). The format is versioned;
//! `write` and `read` are its two sides.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::drift;
use crate::drift::ColumnReference;
use crate::drift::joint::JointReference;
use crate::drift::together::Together;
use crate::timestamp::{Timestamp, compact};

use super::build::{self, Column};
use super::{Config, Errors, FoundRole, Inspected, Loaded, Problem, digits};

mod agree;
mod object;
mod read;
mod write;

pub(super) use read::open;

/// The version of the format this driftd writes, and the only one it reads.
const VERSION: u64 = 1;

/// By how much D may be understated where nothing else is asked for.
pub const DEFAULT_ERROR: f64 = 0.002;

/// The most a profile made without a limit of its own takes compressed: what Kubernetes lets
/// a ConfigMap hold.
pub const CONFIG_MAP: usize = 1 << 20;

/// Where the bound is raised no further to save room.
const COARSEST: f64 = 0.05;

/// The bytes of a profile, not compressed.
#[derive(Debug)]
pub(super) struct Content(Vec<u8>);

/// A profile as read.
#[derive(Debug)]
struct Profile {
    rows: usize,
    missing: Vec<String>,
    /// Columns of the file it was made from that are not compared.
    not_compared: Vec<(String, FoundRole)>,
    columns: Vec<Column>,
    references: Vec<Option<ColumnReference>>,
    joint: Option<JointReference>,
    /// The autocorrelation time of each track, where the rows stood in the order of their time.
    dependence: Vec<Option<f64>>,
}

/// A profile that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Profiled {
    /// The file.
    pub json: String,
    /// The same by gzip.
    pub gzip: Vec<u8>,
    /// The bound asked for, raised where the file would not have fitted.
    pub error: f64,
    /// Columns by how much D is understated at most, worst first; 0 where nothing is lost.
    pub resolutions: Vec<Resolution>,
}

/// How well a profile knows a column.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolution {
    /// The column.
    pub name: String,
    /// By how much D may be understated.
    pub error: f64,
}

/// The profile of a reference: D is understated by at most `error` (0 to 1) wherever `most` bytes
/// compressed allow that, else by as little as they do, and never overstated.
#[must_use]
pub fn profile(loaded: &Loaded, error: f64, most: usize) -> Profiled {
    let mut error = error;
    loop {
        let json = write::profile(loaded, error);
        let gzip = gzip(json.as_bytes());
        if gzip.len() > most && error < COARSEST {
            error = (error * 1.25).clamp(1e-4, COARSEST);
            continue;
        }
        return Profiled {
            resolutions: resolutions(loaded, error),
            json,
            gzip,
            error,
        };
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("a vector takes every byte")
}

fn resolutions(loaded: &Loaded, error: f64) -> Vec<Resolution> {
    let columns = loaded.columns.iter().zip(&loaded.reference.columns);
    let known = columns.filter_map(|(column, reference)| {
        let error = match reference.as_ref()? {
            ColumnReference::Numeric(numbers) => numbers.coarse(error).resolution(),
            ColumnReference::Categorical(_) => 0.0,
            ColumnReference::Text(texts) => (texts.described().iter())
                .map(|numbers| numbers.coarse(error).resolution())
                .fold(0.0, f64::max),
        };
        let name = column.name.clone();
        Some(Resolution { name, error })
    });
    let mut known: Vec<Resolution> = known.collect();
    known.sort_by(|a, b| b.error.total_cmp(&a.error));
    known
}

/// The reference a profile holds, if the configuration agrees with it.
pub(super) fn load(
    config: &Config,
    content: &Content,
    mut problems: Vec<Problem>,
    now: Timestamp,
) -> Result<Loaded, Errors> {
    match read::profile(content, &config.path, config.max_bytes) {
        Ok(profile) => {
            problems.extend(agree::check(config, &profile));
            if problems.is_empty() {
                let mut loaded = profile.loaded(content, now);
                loaded.notes.extend(timeless(config));
                return Ok(loaded);
            }
        }
        Err(problem) => problems.push(problem),
    }
    Err(Errors(problems))
}

/// What to know of a profile where a season is configured.
fn timeless(config: &Config) -> Option<String> {
    let season = compact(config.season?);
    Some(format!(
        "{}: a profile holds no times, so that a span shorter than drift.season = {season} only \
         warns; with the file it was made from, and a time column in it, the span is compared with \
         the same hours of the reference",
        config.path.display()
    ))
}

/// A profile that driftd keeps itself, at `path` by name only.
pub(super) fn restore(content: &Content, path: &Path, now: Timestamp) -> Result<Loaded, Errors> {
    let profile = read::profile(content, path, u64::MAX);
    let profile = profile.map_err(|problem| Errors(vec![problem]))?;
    Ok(profile.loaded(content, now))
}

// === impl Content ===

impl Content {
    /// The content of a compressed profile.
    pub(super) fn unzipped(gzip: &[u8], path: &Path) -> Result<Self, Problem> {
        let mut content = Vec::new();
        let read = GzDecoder::new(gzip).read_to_end(&mut content);
        read.map_err(|source| Problem::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self(content))
    }

    /// Identity of these bytes, compressed or not.
    fn hash(&self) -> String {
        digits(
            Sha256::new()
                .chain_update("driftd profile\n")
                .chain_update(&self.0),
        )
    }
}

// === impl Profile ===

impl Profile {
    fn loaded(self, content: &Content, now: Timestamp) -> Loaded {
        let Self {
            rows,
            missing,
            not_compared,
            columns,
            references,
            joint,
            dependence,
        } = self;
        let compared = columns.iter().filter_map(|column| {
            let role = match column.role {
                crate::feature::Role::Feature => FoundRole::Feature,
                crate::feature::Role::Output => FoundRole::Output,
            };
            Some((column.source.clone()?, role, "stands so in the profile"))
        });
        let others = not_compared.into_iter();
        let others = others.map(|(name, role)| (name, role, "is left out of the profile"));
        Loaded {
            roles: compared.chain(others).collect(),
            reference: drift::Reference {
                hash: content.hash(),
                rows,
                loaded_at: now,
                columns: references,
                together: joint.map(|joint| Arc::new(Together::known(joint))),
                dependence,
                seasonal: None,
            },
            schema: build::schema(&columns),
            notes: Vec::new(),
            columns,
            missing,
        }
    }
}

// === impl Loaded ===

impl Loaded {
    /// Without outputs of which only the name is known: comparing files, they are nothing.
    pub(super) fn only_held(mut self) -> Self {
        let held: Vec<bool> = self.columns.iter().map(|c| c.source.is_some()).collect();
        let mut keep = held.iter();
        self.columns.retain(|_| keep.next() == Some(&true));
        let mut keep = held.iter();
        (self.reference.columns).retain(|_| keep.next() == Some(&true));
        self.schema = build::schema(&self.columns);
        self
    }

    /// What there is to know about the columns, for `driftd init`.
    pub(super) fn inspected(self) -> Vec<Inspected> {
        let rows = self.reference.rows.max(1) as f64;
        let held = self.columns.iter().zip(&self.reference.columns);
        let missing = |name: &str| {
            let (_, reference) = held
                .clone()
                .find(|(c, _)| c.source.as_deref() == Some(name))?;
            Some(1.0 - reference.as_ref().map_or(0, ColumnReference::present) as f64 / rows)
        };
        let kind = |name: &str| {
            let (column, _) = held
                .clone()
                .find(|(c, _)| c.source.as_deref() == Some(name))?;
            column.kind
        };
        let inspected = |(name, role, why): &(String, FoundRole, &'static str)| Inspected {
            role: role.as_str(),
            why,
            unclear: false,
            kind: kind(name).map_or("unknown", crate::feature::Kind::as_str),
            kind_why: why,
            examples: Vec::new(),
            missing: missing(name).unwrap_or(0.0),
            name: name.clone(),
        };
        self.roles.iter().map(inspected).collect()
    }
}
