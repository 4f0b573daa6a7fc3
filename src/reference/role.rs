//! Which part each column plays, by its name and its content.

use std::collections::BTreeSet;
use std::fmt;

use super::date::Date;
use super::names::words;
use super::profile::{self, Profile};
use super::table::{Cells, Missing, Table};

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

/// Looks at every column of `table`.
pub(super) fn find_all(table: &Table, missing: &Missing<'_>) -> Vec<Found> {
    let words: Vec<String> = table.header.iter().map(|name| words(name)).collect();
    let has = |word: &str| words.iter().any(|name| name == word);
    let coordinates = has("x") && has("z");
    let columns = table.columns.iter().zip(&words).enumerate();
    let mut found: Vec<Found> = columns
        .map(|(position, (cells, name))| {
            let profile = Profile::new(cells, missing);
            let column = Candidate {
                name,
                first: position == 0,
                coordinates,
                cells,
                missing,
            };
            let (role, why, unclear) = column.find(&profile);
            Found {
                role,
                why,
                unclear,
                profile,
            }
        })
        .collect();
    suspect_targets(table, missing, &mut found);
    found
}

/// A last column of at most so many words may be the labels of the rows …
const LABELS: usize = 20;

/// … where there are at least so many of them.
const LABELLED: usize = 50;

/// The most different words of an answer that are compared with those of other columns.
const ANSWERS: usize = 50;

/// A column of words that holds exactly the words of an output is likely what it predicts.
fn suspect_targets(table: &Table, missing: &Missing<'_>, found: &mut [Found]) {
    let words = |column: usize, found: &Found| {
        let wordlike = !found.profile.numeric() && !found.profile.booleans;
        let mut different = BTreeSet::new();
        for cell in table.columns[column]
            .iter()
            .filter(|cell| !missing.is(cell))
        {
            if !wordlike || different.len() > ANSWERS {
                return None;
            }
            different.insert(cell);
        }
        (2..=ANSWERS)
            .contains(&different.len())
            .then_some(different)
    };
    let held: Vec<_> = (0..).zip(found.iter()).map(|(i, f)| words(i, f)).collect();
    let settled = |f: &Found| matches!(f.role, FoundRole::Output | FoundRole::Target);
    if !found.iter().any(settled)
        && let Some(last) = found.len().checked_sub(1)
        && found[last].role == FoundRole::Feature
        && found[last].profile.present >= LABELLED
        && held[last]
            .as_ref()
            .is_some_and(|words| words.len() <= LABELS)
    {
        found[last].role = FoundRole::Target;
        found[last].why = "may be the target: it comes last and holds few words, and nothing else is a target or an output";
        found[last].unclear = true;
    }
    let answers: Vec<_> = (found.iter().zip(&held))
        .filter(|(found, _)| found.role == FoundRole::Output)
        .filter_map(|(_, words)| words.as_ref())
        .collect();
    for (found, words) in found.iter_mut().zip(&held) {
        let same = words.as_ref().is_some_and(|words| answers.contains(&words));
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
    /// Whether it is the first of the file.
    first: bool,
    /// Whether the file has columns `x` and `z`, so that `y` need not be the target.
    coordinates: bool,
    cells: &'a Cells,
    missing: &'a Missing<'a>,
}

/// Role, why, and whether it is unclear.
type Judgement = (FoundRole, &'static str, bool);

// === impl Candidate ===

impl Candidate<'_> {
    fn find(&self, profile: &Profile) -> Judgement {
        let last = self.name.rsplit('_').next().unwrap_or_default();
        let start = self.name.split('_').next().unwrap_or_default();
        if OUTPUTS.contains(&self.name) || OUTPUT_STARTS.contains(&start) {
            return (FoundRole::Output, "is named like an output", false);
        }
        if self.name == "y" && self.coordinates {
            return (
                FoundRole::Target,
                "may be the target, or a coordinate beside x and z",
                true,
            );
        }
        if TARGETS.contains(&self.name) {
            return (FoundRole::Target, "is named like a target", false);
        }
        if matches!(last, "id" | "uuid" | "guid") || self.name == "index" {
            return self.identity(profile);
        }
        if is_unnamed(self.name) {
            return match self.unique() {
                true => (
                    FoundRole::Id,
                    "is an index without a name, every value once",
                    false,
                ),
                false => (
                    FoundRole::Id,
                    "has no name of its own, and its values repeat",
                    true,
                ),
            };
        }
        self.time(profile, last)
            .or_else(|| self.numbering(profile))
            .unwrap_or((
                FoundRole::Feature,
                "is neither named nor filled like anything else",
                false,
            ))
    }

    fn identity(&self, profile: &Profile) -> Judgement {
        if self.unique() && (profile.integers || !profile.numeric()) {
            (
                FoundRole::Id,
                "is named like an id, every value once",
                false,
            )
        } else {
            (
                FoundRole::Id,
                "is named like an id, but its values repeat or are no ids",
                true,
            )
        }
    }

    fn time(&self, profile: &Profile, last: &str) -> Option<Judgement> {
        const UNCLEAR: &str = "may be a time: its values are dates or epochs, its name is none";
        let named = TIMES.contains(&last);
        let exactly = named && last == self.name;
        match profile.dates {
            Some(Date::Iso) => Some((FoundRole::Time, "holds ISO dates", false)),
            Some(_) if named => Some((
                FoundRole::Time,
                "is named like a time and holds dates",
                false,
            )),
            Some(Date::Other) => Some((FoundRole::Time, UNCLEAR, true)),
            Some(Date::Epoch)
                if profile.integers && profile.present >= TELLING && self.unique() =>
            {
                Some((FoundRole::Time, UNCLEAR, true))
            }
            None if exactly => {
                let why = "is named like a time, but does not hold dates";
                Some((FoundRole::Time, why, true))
            }
            _ => None,
        }
    }

    /// Columns that only number or name the rows.
    fn numbering(&self, profile: &Profile) -> Option<Judgement> {
        if profile.counts && profile.present >= 3 {
            return Some((FoundRole::Ignore, COUNTS, true));
        }
        let wordlike = profile.integers || (!profile.numeric() && !profile.booleans);
        if self.first && wordlike && profile.present >= TELLING && self.unique() {
            let why = "may be an id: it comes first and has every value once";
            return Some((FoundRole::Ignore, why, true));
        }
        None
    }

    fn unique(&self) -> bool {
        profile::unique(self.cells, self.missing)
    }
}

/// Why a column that counts the rows is unclear.
pub(super) const COUNTS: &str = "may be a row number: it only counts 0, 1, 2 … or 1, 2, 3 …";

/// Whether a name in words is what pandas makes of an empty one.
fn is_unnamed(words: &str) -> bool {
    let rest = words.strip_prefix("unnamed_");
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
