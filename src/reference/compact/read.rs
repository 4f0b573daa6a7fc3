//! A profile as a reference, or what is wrong with it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::drift::ColumnReference;
use crate::drift::numbers::{Edge, Moments, Numbers};
use crate::drift::reference::{Categories, MOST_CATEGORIES, tracks};
use crate::drift::text::{Descriptor, Texts};
use crate::feature::{Kind, Role};
use crate::reference::FoundRole;
use crate::reference::bound::Bound;
use crate::reference::build::Column;
use crate::reference::kind::Reading;
use crate::reference::problem::Problem;

use super::object::Object;
use super::{Content, Profile, VERSION};

/// Looked at for the key that makes a file a profile; driftd writes it first.
const SNIFFED: u64 = 1 << 16;

/// The most a profile may be, not compressed: far more than any that driftd writes.
const MOST_BYTES: u64 = 64 << 20;

const KEY: &str = "driftd_profile";

/// The most columns a profile may have, so that what is read stays in proportion to the file.
const MOST_COLUMNS: usize = 20_000;

/// The content of the file at `path`, if it is a profile, by gzip or not.
pub(in crate::reference) fn open(path: &Path) -> Result<Option<Content>, Problem> {
    let unreadable = |source| Problem::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut magic = Vec::new();
    (&mut file)
        .take(2)
        .read_to_end(&mut magic)
        .map_err(unreadable)?;
    let zipped = magic == b"\x1f\x8b";
    let file = magic.chain(file);
    let mut reader: Box<dyn Read> = match zipped {
        true => Box::new(GzDecoder::new(file)),
        false => Box::new(file),
    };
    let mut content = Vec::new();
    let begun = (&mut reader).take(SNIFFED).read_to_end(&mut content);
    let start = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&content);
    let key = format!("\"{KEY}\"");
    let is_profile = start.trim_ascii_start().starts_with(b"{")
        && start
            .windows(key.len())
            .any(|found| found == key.as_bytes());
    if !is_profile {
        // Whatever else it is, and whatever is wrong with it then, others will say.
        return Ok(None);
    }
    let rest = begun.and_then(|_| reader.take(MOST_BYTES).read_to_end(&mut content));
    rest.map_err(|source| damaged(path, zipped, source))?;
    if content.len() as u64 > MOST_BYTES {
        return Err(Problem::Profile {
            path: path.to_owned(),
            place: String::new(),
            message: "is larger than 64 MiB, as no profile is; make it anew with `driftd profile`"
                .to_owned(),
        });
    }
    if content.starts_with(b"\xef\xbb\xbf") {
        content.drain(..3);
    }
    Ok(Some(Content(content)))
}

fn damaged(path: &Path, zipped: bool, source: io::Error) -> Problem {
    let path = path.to_owned();
    if !zipped {
        return Problem::Unreadable { path, source };
    }
    Problem::Profile {
        path,
        place: String::new(),
        message: format!("the gzip file is damaged or cut off ({source}); copy it again"),
    }
}

/// Reads a profile; its columns may take `max_bytes` where they are exact.
pub(super) fn profile(content: &Content, path: &Path, max_bytes: u64) -> Result<Profile, Problem> {
    let value: Value = serde_json::from_slice(&content.0).map_err(|error| Problem::Profile {
        path: path.to_owned(),
        place: String::new(),
        message: format!("the JSON of the profile is damaged or cut off: {error}"),
    })?;
    let mut top = Object::new(path, String::new(), value)?;
    let version = top.count(KEY, u64::MAX)?;
    if version != VERSION {
        let message = format!(
            "is {version}; this driftd reads version {VERSION}: make the profile anew with its own `driftd profile`"
        );
        return Err(top.wrong(KEY, message));
    }
    top.text("made_by")?;
    top.text("made_from")?;
    top.number("error")?;
    let rows = top.count("rows", Numbers::MOST as u64)?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let missing = top.list("missing_words", "words", text)?;
    let not_compared = not_compared(&mut top)?;
    let joint = match top.optional("joint") {
        None => None,
        Some(joint) => {
            let read = serde_json::from_value(joint);
            Some(read.map_err(|error| top.wrong("joint", error.to_string()))?)
        }
    };
    let time = |value: &Value| match value {
        Value::Null => Some(None),
        time => time.as_f64().filter(|t| (1.0..1e9).contains(t)).map(Some),
    };
    let dependence = match top.has("dependence") {
        false => Vec::new(),
        true => top.list("dependence", "numbers from 1 on, or null", time)?,
    };
    let mut profile = Profile {
        rows: rows as usize,
        missing,
        not_compared,
        columns: Vec::new(),
        references: Vec::new(),
        joint,
        dependence,
    };
    let mut bound = Bound::new(max_bytes);
    for (field, role) in [("features", Role::Feature), ("outputs", Role::Output)] {
        let columns = top.list(field, "columns", |value| Some(value.clone()))?;
        if columns.len() > MOST_COLUMNS {
            let message = format!("are {}; there may be {MOST_COLUMNS}", columns.len());
            return Err(top.wrong(field, message));
        }
        for (at, column) in columns.into_iter().enumerate() {
            let object = Object::new(path, format!("{field}[{at}]"), column)?;
            profile.take(object, role, &mut bound)?;
        }
    }
    if !profile
        .columns
        .iter()
        .any(|column| column.role == Role::Feature)
    {
        return Err(top.wrong("features", "are none; one at least is needed"));
    }
    if rows == 0 {
        return Err(top.wrong("rows", "is 0; a reference has rows"));
    }
    let kinds = profile.references.iter().flatten();
    let tracks: usize = kinds.map(|column| tracks(column.kind())).sum();
    let held = profile.dependence.len();
    if held != 0 && held != tracks {
        let message = format!("holds {held} times for {tracks} distributions");
        return Err(top.wrong("dependence", message));
    }
    if let Some(joint) = profile
        .joint
        .as_ref()
        .filter(|joint| joint.columns() != tracks)
    {
        let message = format!("is about {} distributions, not {tracks}", joint.columns());
        return Err(top.wrong("joint", message));
    }
    top.finish()?;
    Ok(profile)
}

fn not_compared(top: &mut Object<'_>) -> Result<Vec<(String, FoundRole)>, Problem> {
    let field = "not_compared";
    let right = "an object of names and roles";
    let Value::Object(roles) = top.value(field, right)? else {
        return Err(top.wrong(field, format!("{right} should stand here")));
    };
    let role = |(name, role): (String, Value)| match role.as_str().and_then(FoundRole::parse) {
        Some(role) => Ok((name, role)),
        None => Err(top.wrong(field, format!("{name:?} is {role}, which is no role"))),
    };
    roles.into_iter().map(role).collect()
}

// === impl Profile ===

impl Profile {
    fn take(&mut self, object: Object<'_>, role: Role, bound: &mut Bound) -> Result<(), Problem> {
        let mut object = object;
        let name = object.text("name")?;
        let mut object = object.renamed(format!("column {name:?}"));
        if self.columns.iter().any(|column| column.name == name) {
            return Err(object.wrong("name", "stands there twice; names must differ"));
        }
        let source = match object.has("source") {
            false => Some(name.clone()),
            true => {
                let source = object.optional("source");
                source
                    .map(|source| match source {
                        Value::String(source) => Ok(source),
                        other => Err(object.wrong(
                            "source",
                            format!("is {other}; a name or null should stand here"),
                        )),
                    })
                    .transpose()?
            }
        };
        let kind = match object.has("kind") {
            false => None,
            true => {
                let word = object.text("kind")?;
                let wrong = || {
                    object.wrong(
                        "kind",
                        format!("is {word:?}; write numeric, categorical or text"),
                    )
                };
                Some(Kind::parse(&word).ok_or_else(wrong)?)
            }
        };
        let reading = object.text("reading")?;
        let wrong = || {
            object.wrong(
                "reading",
                format!("is {reading:?}; write number, bool or text"),
            )
        };
        let reading = Reading::parse(&reading).ok_or_else(wrong)?;
        let reference = match kind {
            Some(kind) if object.has("missing") => {
                Some(distribution(&mut object, kind, self.rows, bound)?)
            }
            _ => None,
        };
        object.finish()?;
        self.columns.push(Column {
            name,
            at: None,
            present: reference.is_some(),
            source,
            role,
            kind,
            reading,
        });
        self.references.push(reference);
        Ok(())
    }
}

fn distribution(
    object: &mut Object<'_>,
    kind: Kind,
    rows: usize,
    bound: &mut Bound,
) -> Result<ColumnReference, Problem> {
    let missing = object.count("missing", rows as u64)? as usize;
    let present = rows - missing;
    Ok(match kind {
        Kind::Numeric => ColumnReference::Numeric(numbers(object, present, missing, bound)?),
        Kind::Categorical => ColumnReference::Categorical(categories(object, present, missing)?),
        Kind::Text => {
            let mut described = Vec::with_capacity(4);
            for descriptor in Descriptor::ALL {
                let name = descriptor.as_str();
                let value = object.value(name, "what describes the texts")?;
                let mut own = object.inside(name, value)?;
                described.push(numbers(&mut own, present, missing, bound)?);
                own.finish()?;
            }
            let described = <[Numbers; 4]>::try_from(described);
            let described = described.expect("there are four descriptors");
            ColumnReference::Text(Box::new(Texts::known(described, vocabulary(object)?)))
        }
    })
}

fn vocabulary(object: &mut Object<'_>) -> Result<Vec<u32>, Problem> {
    let leaps = object.list("vocabulary", "whole numbers", Value::as_u64)?;
    let mut word = 0_u64;
    let mut words = Vec::with_capacity(leaps.len());
    for (at, leap) in leaps.into_iter().enumerate() {
        word = word.saturating_add(leap);
        let Some(hash) = u32::try_from(word).ok().filter(|_| leap > 0 || at == 0) else {
            let message = "must be steps from one 32-bit number to the next, none of them 0";
            return Err(object.wrong(&format!("vocabulary[{at}]"), message));
        };
        words.push(hash);
    }
    Ok(words)
}

fn categories(
    object: &mut Object<'_>,
    present: usize,
    missing: usize,
) -> Result<Categories, Problem> {
    let right = "an object of words and how often each stands";
    let Value::Object(words) = object.value("words", right)? else {
        return Err(object.wrong("words", format!("{right} should stand here")));
    };
    if words.len() > MOST_CATEGORIES {
        let message = format!("are {}; there may be {MOST_CATEGORIES}", words.len());
        return Err(object.wrong("words", message));
    }
    let count = |(word, count): (String, Value)| match count.as_u64().filter(|count| *count > 0) {
        Some(count) => Ok((word.into_boxed_str(), count)),
        None => Err(object.wrong(
            "words",
            format!("{word:?} stands {count} times; write how often"),
        )),
    };
    let counted: Vec<(Box<str>, u64)> = words.into_iter().map(count).collect::<Result<_, _>>()?;
    let other = match object.has("other_words") {
        false => None,
        true => Some(object.count("other_words", Numbers::MOST as u64)?),
    };
    let counts = counted.iter().map(|(_, count)| *count).chain(other);
    sums_up(object, "words", counts, present)?;
    Ok(Categories::known(counted, other, missing))
}

/// Numbers by their edges; exactly where no value lies between two edges and `bound` allows it.
fn numbers(
    object: &mut Object<'_>,
    present: usize,
    missing: usize,
    bound: &mut Bound,
) -> Result<Numbers, Problem> {
    let moments = match object.has("mean") {
        false => None,
        true => Some(Moments {
            mean: object.number("mean")?,
            deviation: object.number("deviation")?,
        }),
    };
    if moments.is_some_and(|moments| moments.deviation < 0.0) {
        return Err(object.wrong("deviation", "is below 0"));
    }
    let edges = object.list("edges", "ascending numbers, \"inf\" or \"-inf\"", edge)?;
    let between = object.list("between", "whole numbers", Value::as_u64)?;
    let equal = object.list("equal", "whole numbers", Value::as_u64)?;
    for (field, counts) in [("between", &between), ("equal", &equal)] {
        if counts.len() != edges.len() {
            let message = format!("holds {} counts for {} edges", counts.len(), edges.len());
            return Err(object.wrong(field, message));
        }
    }
    if let Some(at) = edges.windows(2).position(|pair| pair[0] >= pair[1]) {
        let message = format!("{} does not lie above {}", edges[at + 1], edges[at]);
        return Err(object.wrong(&format!("edges[{}]", at + 1), message));
    }
    if between.first().is_some_and(|count| *count > 0) {
        return Err(object.wrong(
            "between[0]",
            "is above 0; nothing lies below the first edge",
        ));
    }
    if equal
        .first()
        .into_iter()
        .chain(equal.last())
        .any(|count| *count == 0)
    {
        let message = "the first and the last edge are the smallest and the largest value, so 0 is wrong there";
        return Err(object.wrong("equal", message));
    }
    let counts = between.iter().chain(&equal).copied();
    sums_up(object, "between and equal", counts, present)?;
    let mut before = 0;
    let edge = |((value, between), equal): ((f64, u64), u64)| {
        let below = before + between;
        before = below + equal;
        Edge {
            value,
            below,
            upto: before,
        }
    };
    let edges = edges.into_iter().zip(between).zip(equal).map(edge);
    let known = Numbers::from_edges(edges.collect(), missing, moments);
    let exact = known.resolution() <= 0.0 && bound.holds(present);
    Ok(match known.expanded().filter(|_| exact) {
        Some(values) => Numbers::sorted(values, missing),
        None => known,
    })
}

fn edge(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some("inf") => Some(f64::INFINITY),
        Some("-inf") => Some(f64::NEG_INFINITY),
        Some(_) => None,
        None => value.as_f64().filter(|number| number.is_finite()),
    }
}

fn sums_up(
    object: &Object<'_>,
    field: &str,
    counts: impl IntoIterator<Item = u64>,
    present: usize,
) -> Result<(), Problem> {
    let sum = counts.into_iter().fold(0, u64::saturating_add);
    if sum == present as u64 {
        return Ok(());
    }
    let message = format!("count {sum} values; rows less missing are {present}");
    Err(object.wrong(field, message))
}
