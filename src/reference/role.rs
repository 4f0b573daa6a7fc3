//! Which part each column plays, by its name and its content.

use std::collections::BTreeSet;
use std::fmt;

use super::date::Date;
use super::kind::{self, Guess};
use super::names::words;
use super::problem::Problem;
use super::profile::{self, Profile};
use super::table::{Missing, Table};

/// The part a column of a reference file plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FoundRole {
    /// An input of the model; checked.
    Feature,
    /// What the model answered; checked.
    Output,
    /// The truth the model tries to predict; not checked.
    Target,
    /// When the row was made; not checked.
    Time,
    /// Which row it is; not checked.
    Id,
    /// Not looked at.
    Ignore,
}

/// What a column seems to be.
#[derive(Debug)]
pub(super) struct Found {
    /// The likeliest part.
    pub(super) role: FoundRole,
    /// Why; reads on after the column's name.
    pub(super) why: &'static str,
    /// Whether it might as well be a feature.
    pub(super) unclear: bool,
    /// What its cells look like.
    pub(super) profile: Profile,
    /// The kind its cells make it.
    pub(super) guess: Guess,
    /// The hashes of its words, where it holds words and at least two and at most [`ANSWERS`].
    words: Option<BTreeSet<u64>>,
}

/// Below this many rows, unique values in the first column are taken for chance.
const TELLING: usize = 10;

const TARGETS: [&str; 21] = [
    "target",
    "targets",
    "label",
    "labels",
    "class",
    "y",
    "y_true",
    "true_label",
    "truth",
    "ground_truth",
    "groundtruth",
    "outcome",
    "species",
    "variety",
    "survived",
    "churn",
    "churned",
    "exited",
    "is_fraud",
    "diagnosis",
    "actual",
];

const OUTPUTS: [&str; 17] = [
    "prediction",
    "predictions",
    "predicted",
    "pred",
    "preds",
    "y_pred",
    "y_hat",
    "yhat",
    "y_score",
    "output",
    "outputs",
    "score",
    "scores",
    "proba",
    "probability",
    "probabilities",
    "y_proba",
];

/// First words that make a name an output: `prediction_a`, `predicted_class`.
const OUTPUT_STARTS: [&str; 5] = ["prediction", "predicted", "pred", "proba", "probability"];

const TIMES: [&str; 6] = ["time", "timestamp", "date", "datetime", "ts", "at"];

/// Looks at every column of `table`, one after the other.
pub(super) fn find_all(table: &Table, missing: &Missing<'_>) -> Result<Vec<Found>, Problem> {
    let names: Vec<String> = table.header.iter().map(|name| words(name)).collect();
    let has = |word: &str| names.iter().any(|name| name == word);
    let coordinates = has("x") && has("z");
    let mut found = Vec::with_capacity(names.len());
    for (position, name) in names.iter().enumerate() {
        let profile = Profile::new(table.store.cells(position), missing)?;
        let (guess, words) = kind::guess(&profile, |limit| {
            profile::distinct(table.store.cells(position), missing, limit)
        })?;
        let column = Candidate {
            name,
            position,
            coordinates,
            table,
            missing,
        };
        let (role, why, unclear) = column.find(&profile)?;
        let few = (2..=ANSWERS).contains(&words.len());
        found.push(Found {
            role,
            why,
            unclear,
            profile,
            guess,
            words: few.then(|| words.into_iter().collect()),
        });
    }
    suspect_targets(&mut found);
    Ok(found)
}

/// A last column of at most so many words may be the labels of the rows …
const LABELS: usize = 20;

/// … where there are at least so many of them.
const LABELLED: usize = 50;

/// The most different words of an answer that are compared with those of other columns.
const ANSWERS: usize = 50;

/// A column of words that holds exactly the words of an output is likely what it predicts.
fn suspect_targets(found: &mut [Found]) {
    let settled = |f: &Found| matches!(f.role, FoundRole::Output | FoundRole::Target);
    if !found.iter().any(settled)
        && let Some(last) = found.len().checked_sub(1)
        && found[last].role == FoundRole::Feature
        && found[last].profile.present >= LABELLED
        && (found[last].words.as_ref()).is_some_and(|words| words.len() <= LABELS)
    {
        found[last].role = FoundRole::Target;
        found[last].why = "may be the target: it comes last and holds few words, and nothing else is a target or an output";
        found[last].unclear = true;
    }
    let answers: Vec<BTreeSet<u64>> = (found.iter())
        .filter(|found| found.role == FoundRole::Output)
        .filter_map(|found| found.words.clone())
        .collect();
    for found in found.iter_mut() {
        let same = (found.words.as_ref()).is_some_and(|words| answers.contains(words));
        if same && found.role == FoundRole::Feature {
            found.role = FoundRole::Target;
            found.why = "may be the target: it holds exactly the words of an output";
            found.unclear = true;
        }
    }
}

/// One column to be judged.
struct Candidate<'a> {
    /// Its name in words.
    name: &'a str,
    /// Its place in the file, from 0.
    position: usize,
    /// Whether the file has columns `x` and `z`, so that `y` need not be the target.
    coordinates: bool,
    table: &'a Table,
    missing: &'a Missing<'a>,
}

/// Role, why, and whether it is unclear.
type Judgement = (FoundRole, &'static str, bool);

// === impl Candidate ===

impl Candidate<'_> {
    fn find(&self, profile: &Profile) -> Result<Judgement, Problem> {
        let last = self.name.rsplit('_').next().unwrap_or_default();
        let start = self.name.split('_').next().unwrap_or_default();
        if OUTPUTS.contains(&self.name) || OUTPUT_STARTS.contains(&start) {
            return Ok((FoundRole::Output, "is named like an output", false));
        }
        if self.name == "y" && self.coordinates {
            let why = "may be the target, or a coordinate beside x and z";
            return Ok((FoundRole::Target, why, true));
        }
        if TARGETS.contains(&self.name) {
            return Ok((FoundRole::Target, "is named like a target", false));
        }
        if matches!(last, "id" | "uuid" | "guid") || self.name == "index" {
            return self.identity(profile);
        }
        if is_unnamed(self.name) {
            let unique = self.unique()?;
            let why = match unique {
                true => "is an index without a name, every value once",
                false => "has no name of its own, and its values repeat",
            };
            return Ok((FoundRole::Id, why, !unique));
        }
        if let Some(time) = self.time(profile, last)? {
            return Ok(time);
        }
        Ok(self.numbering(profile)?.unwrap_or((
            FoundRole::Feature,
            "is neither named nor filled like anything else",
            false,
        )))
    }

    fn identity(&self, profile: &Profile) -> Result<Judgement, Problem> {
        let sure = (profile.integers || !profile.numeric()) && self.unique()?;
        let why = match sure {
            true => "is named like an id, every value once",
            false => "is named like an id, but its values repeat or are no ids",
        };
        Ok((FoundRole::Id, why, !sure))
    }

    fn time(&self, profile: &Profile, last: &str) -> Result<Option<Judgement>, Problem> {
        const UNCLEAR: &str = "may be a time: its values are dates or epochs, its name is none";
        let named = TIMES.contains(&last);
        let exactly = named && last == self.name;
        let time = |why, unclear| Ok(Some((FoundRole::Time, why, unclear)));
        match profile.dates {
            Some(Date::Iso) => time("holds ISO dates", false),
            Some(_) if named => time("is named like a time and holds dates", false),
            Some(Date::Other) => time(UNCLEAR, true),
            Some(Date::Epoch)
                if profile.integers && profile.present >= TELLING && self.unique()? =>
            {
                time(UNCLEAR, true)
            }
            None if exactly => time("is named like a time, but does not hold dates", true),
            _ => Ok(None),
        }
    }

    /// Columns that only number or name the rows.
    fn numbering(&self, profile: &Profile) -> Result<Option<Judgement>, Problem> {
        if profile.counts && profile.present >= 3 {
            return Ok(Some((FoundRole::Ignore, COUNTS, true)));
        }
        let wordlike = profile.integers || (!profile.numeric() && !profile.booleans);
        if self.position == 0 && wordlike && profile.present >= TELLING && self.unique()? {
            let why = "may be an id: it comes first and has every value once";
            return Ok(Some((FoundRole::Ignore, why, true)));
        }
        Ok(None)
    }

    fn unique(&self) -> Result<bool, Problem> {
        profile::unique(self.table.store.cells(self.position), self.missing)
    }
}

/// Why a column that counts the rows is unclear.
pub(super) const COUNTS: &str = "may be a row number: it only counts 0, 1, 2 … or 1, 2, 3 …";

/// Whether a name in words is what pandas makes of an empty one, in CSV or in Parquet.
fn is_unnamed(words: &str) -> bool {
    let rest = (words.strip_prefix("unnamed_")).or_else(|| words.strip_prefix("index_level_"));
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
}

// === impl FoundRole ===

impl FoundRole {
    /// The word `columns` knows it by.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Feature => "feature",
            Self::Output => "output",
            Self::Target => "target",
            Self::Time => "time",
            Self::Id => "id",
            Self::Ignore => "ignore",
        }
    }

    /// The role a word names, if it names one.
    pub(super) fn parse(word: &str) -> Option<Self> {
        ROLES.into_iter().find(|role| role.as_str() == word)
    }
}

/// Every role.
pub(super) const ROLES: [FoundRole; 6] = [
    FoundRole::Feature,
    FoundRole::Output,
    FoundRole::Target,
    FoundRole::Time,
    FoundRole::Id,
    FoundRole::Ignore,
];

impl fmt::Display for FoundRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
