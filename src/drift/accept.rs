//! The new normal: drift that a person has accepted stops alerting until it grows or time runs out.
//!
//! An acceptance covers one test of one column, as it stood drifted when it was accepted; other
//! tests of the column alert as before. It is laid over a finished report: the verdicts underneath
//! go on as if there were none, so that its end shows at once what stands.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::timestamp::Timestamp;

use super::check::worst;
use super::explain;
use super::report::{CheckReport, FeatureReport, Level, ModelReport, SpanName, State, Test};

/// An acceptance ends when the effect has grown by so much: as large as the smallest effect that is
/// worth an alarm by default.
pub const MARGIN: f64 = 0.1;

/// How long an acceptance lasts where it is not said: a month to retrain in.
pub const DEFAULT_LENGTH: Duration = Duration::from_secs(30 * 86_400);

/// The longest: what is right for longer belongs into the reference.
pub const MAX_LENGTH: Duration = Duration::from_secs(365 * 86_400);

/// One accepted test of one column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Acceptance {
    /// The column; empty for a test over all columns.
    pub feature: String,
    /// The test.
    pub test: Test,
    /// The effect when it was accepted: D, or total variation; the largest over the spans that stood
    /// drifted, since a short span shows first what a long one will come to.
    pub effect: f64,
    /// The effect from which it alerts again: [`MARGIN`] more.
    pub limit: f64,
    /// Who accepted it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// On which terms drift is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Who accepts it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// For how long.
    pub length: Duration,
}

/// Why an acceptance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its time ran out.
    Expired,
    /// The effect grew beyond its limit.
    Exceeded,
    /// A person took it back.
    Unaccepted,
    /// A person accepted the same anew.
    Replaced,
    /// It was about another reference.
    ReferenceChanged,
    /// It was about another version of the model.
    VersionChanged,
}

/// An acceptance that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The column.
    pub feature: String,
    /// The test.
    pub test: Test,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub why: End,
    /// Who ended it; empty where nobody did.
    pub by: String,
}

/// Why something cannot be accepted, or taken back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such column.
    #[error("no such column; the columns are: {}", .known.join(", "))]
    Unknown {
        /// Those there are.
        known: Vec<String>,
    },
    /// Nothing there is drifted.
    #[error("{what} is not drifted (state {}); only what is drifted now can be accepted", .state.as_str())]
    NotDrifted {
        /// The column or the model.
        what: String,
        /// What holds.
        state: State,
    },
    /// Its size is not known now, so there is nothing to grow from.
    #[error(
        "{what} stands drifted, but too few rows are there to measure it now; try again when there are more"
    )]
    NotMeasured {
        /// The column or the model.
        what: String,
    },
    /// Nothing there is accepted.
    #[error("{what} is not accepted")]
    NotAccepted {
        /// The column or the model.
        what: String,
    },
}

/// The acceptances in force for one model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Acceptances(Vec<Acceptance>);

// === impl Acceptance ===

impl Acceptance {
    /// Accepts `test` of `feature` at `effect`.
    #[must_use]
    pub fn new(feature: String, test: Test, effect: f64, terms: &Terms, at: Timestamp) -> Self {
        let length = i64::try_from(terms.length.as_millis()).unwrap_or(i64::MAX);
        Self {
            feature,
            test,
            effect,
            limit: effect + MARGIN,
            by: terms.by.clone(),
            reason: terms.reason.clone(),
            at,
            until: Timestamp(at.0.saturating_add(length)),
        }
    }

    /// What ends it.
    #[must_use]
    pub fn ended(&self, why: End, at: Timestamp, by: &str) -> Ended {
        Ended {
            feature: self.feature.clone(),
            test: self.test,
            at,
            why,
            by: by.to_owned(),
        }
    }

    fn is_about(&self, feature: &str, test: Test) -> bool {
        self.feature == feature && self.test == test
    }

    /// Whether this check is one of its test, stands drifted, and is no more than was accepted.
    fn covers(&self, check: &CheckReport) -> bool {
        check.test == self.test
            && check.state == State::Drifted
            && check.effect.is_none_or(|effect| effect < self.limit)
    }

    /// Whether this check says that what was accepted has grown. The fast span is too short for
    /// that: there what goes beyond the limit warns.
    fn exceeded_by(&self, check: &CheckReport) -> bool {
        check.test == self.test
            && check.span != SpanName::Fast
            && check.state == State::Drifted
            && check.effect.is_some_and(|effect| effect >= self.limit)
    }
}

// === impl End ===

impl End {
    /// The word used in the window and the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Exceeded => "exceeded",
            Self::Unaccepted => "unaccepted",
            Self::Replaced => "replaced",
            Self::ReferenceChanged => "reference_changed",
            Self::VersionChanged => "version_changed",
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Acceptances ===

impl Acceptances {
    /// Those that were in force before.
    #[must_use]
    pub const fn new(in_force: Vec<Acceptance>) -> Self {
        Self(in_force)
    }

    /// Those in force.
    #[must_use]
    pub fn in_force(&self) -> &[Acceptance] {
        &self.0
    }

    /// What would be accepted on these terms: every drifted test of `feature`, or of the whole model.
    /// A column that is accepted already can be accepted anew by its name.
    ///
    /// # Errors
    /// There is nothing to accept.
    pub fn propose(
        &self,
        report: &ModelReport,
        feature: Option<&str>,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Vec<Acceptance>, Refusal> {
        let chosen = chosen(report, feature)?;
        let mut proposed: Vec<Acceptance> = Vec::new();
        let mut standing = false;
        for (name, checks) in chosen {
            let drifted = checks.iter().filter(|check| {
                let again = feature.is_some() && check.state == State::Accepted;
                !check.test.is_effect() && (check.state == State::Drifted || again)
            });
            for check in drifted {
                standing = true;
                let Some(effect) = check.effect.filter(|effect| effect.is_finite()) else {
                    continue;
                };
                let found = proposed.iter_mut().find(|p| p.is_about(name, check.test));
                let effect = found.as_ref().map_or(effect, |p| p.effect.max(effect));
                let fresh = Acceptance::new(name.to_owned(), check.test, effect, terms, now);
                match found {
                    Some(found) => *found = fresh,
                    None => proposed.push(fresh),
                }
            }
        }
        // All rows since the reference come to the same size in the end, if later.
        let sizes: Vec<(String, f64)> = (proposed.iter())
            .filter(|p| matches!(p.test, Test::Ks | Test::Chi2))
            .filter(|p| report.has(&p.feature, Test::Slow))
            .map(|p| (p.feature.clone(), p.effect))
            .collect();
        for (name, size) in sizes {
            let slow = proposed.iter().find(|p| p.is_about(&name, Test::Slow));
            let size = slow.map_or(size, |slow| slow.effect.max(size));
            proposed.retain(|p| !p.is_about(&name, Test::Slow));
            proposed.push(Acceptance::new(name, Test::Slow, size, terms, now));
        }
        let what = feature.unwrap_or(report.model.as_str()).to_owned();
        match (proposed.is_empty(), standing) {
            (false, _) => Ok(proposed),
            (true, true) => Err(Refusal::NotMeasured { what }),
            (true, false) => {
                let named = report.features.iter().find(|f| Some(&*f.name) == feature);
                let state = named.map_or(report.state, |f| f.state);
                Err(Refusal::NotDrifted { what, state })
            }
        }
    }

    /// Puts `fresh` in force; returns those it takes the place of.
    pub fn add(&mut self, fresh: Vec<Acceptance>, now: Timestamp) -> Vec<Ended> {
        let replaced = |old: &Acceptance| fresh.iter().any(|f| f.is_about(&old.feature, old.test));
        let ended = self.end(End::Replaced, now, replaced);
        self.0.extend(fresh);
        ended
    }

    /// Takes back what is accepted of `feature`, or of the whole model.
    ///
    /// # Errors
    /// There is nothing accepted, or no such column.
    pub fn take_back(
        &mut self,
        report: &ModelReport,
        feature: Option<&str>,
        by: &str,
        now: Timestamp,
    ) -> Result<Vec<Ended>, Refusal> {
        chosen(report, feature)?;
        let about = |a: &Acceptance| feature.is_none_or(|feature| feature == a.feature);
        let mut ended = self.end(End::Unaccepted, now, about);
        ended
            .iter_mut()
            .for_each(|ended| by.clone_into(&mut ended.by));
        if ended.is_empty() {
            let what = feature.unwrap_or(report.model.as_str()).to_owned();
            return Err(Refusal::NotAccepted { what });
        }
        Ok(ended)
    }

    /// Lays the acceptances over a report as it was checked, and returns those that end by it.
    pub fn apply(&mut self, report: &mut ModelReport, now: Timestamp) -> Vec<Ended> {
        let mut ended = self.end(End::Expired, now, |a| a.until <= now);
        ended.extend(self.end(End::Exceeded, now, |a| {
            checks_of(report, &a.feature)
                .iter()
                .any(|c| a.exceeded_by(c))
        }));
        let mut covered = false;
        let own = |name: &str| -> Vec<&Acceptance> {
            self.0.iter().filter(|a| a.feature == name).collect()
        };
        for feature in &mut report.features {
            covered |= cover_feature(feature, &own(&feature.name));
        }
        covered |= cover(&mut report.checks, &own(""));
        report.accepted.clone_from(&self.0);
        if covered {
            sum_up(report);
        }
        ended
    }

    fn end(&mut self, why: End, now: Timestamp, over: impl Fn(&Acceptance) -> bool) -> Vec<Ended> {
        let gone = self.0.extract_if(.., |acceptance| over(acceptance));
        gone.map(|acceptance| acceptance.ended(why, now, ""))
            .collect()
    }
}

/// The checks of one column, or those over all columns where the name is empty.
fn checks_of<'a>(report: &'a ModelReport, feature: &str) -> &'a [CheckReport] {
    if feature.is_empty() {
        return &report.checks;
    }
    let found = report.features.iter().find(|f| *f.name == *feature);
    found.map_or(&[], |f| &f.checks)
}

/// The columns a request is about, with their checks.
fn chosen<'a>(
    report: &'a ModelReport,
    feature: Option<&str>,
) -> Result<Vec<(&'a str, &'a [CheckReport])>, Refusal> {
    let columns = || report.features.iter().map(|f| (&*f.name, &*f.checks));
    match feature {
        None => Ok(columns().chain([("", &*report.checks)]).collect()),
        Some(feature) => {
            let found: Vec<_> = columns().filter(|(name, _)| *name == feature).collect();
            if found.is_empty() {
                let known = columns().map(|(name, _)| name.to_owned()).collect();
                return Err(Refusal::Unknown { known });
            }
            Ok(found)
        }
    }
}

/// Marks the checks covered; whether any was.
fn cover(checks: &mut [CheckReport], acceptances: &[&Acceptance]) -> bool {
    let mut covered = false;
    for check in checks {
        if acceptances.iter().any(|a| a.covers(check)) {
            check.state = State::Accepted;
            check.drifted = Some(false);
            check.level = Level::Ok;
            covered = true;
        }
    }
    covered
}

fn cover_feature(feature: &mut FeatureReport, acceptances: &[&Acceptance]) -> bool {
    if !cover(&mut feature.checks, acceptances) {
        return false;
    }
    let decided = || {
        feature
            .checks
            .iter()
            .filter(|check| !check.test.is_effect())
    };
    let loudest = decided().map(|check| check.level).max();
    feature.level = feature.level.min(loudest.unwrap_or(Level::Ok));
    let drifted = matches!(feature.state, State::Drifted | State::TypeChanged);
    let stands = |test: Option<Test>| {
        decided().any(|check| {
            check.span == SpanName::Main
                && check.state == State::Drifted
                && test.is_none_or(|test| test == check.test)
        })
    };
    let words = explain::accepted(&feature.name, &feature.checks, acceptances);
    if drifted && !stands(None) {
        feature.state = State::Accepted;
        feature.drifted = Some(false);
        for effect in feature.checks.iter_mut().filter(|c| c.test.is_effect()) {
            effect.state = State::Accepted;
        }
        feature.sentence = words;
    } else if drifted {
        if !stands(Some(Test::Type)) {
            feature.state = State::Drifted;
        }
        feature.sentence = format!("{} Apart from that, {words}", feature.sentence);
    }
    true
}

/// The verdict on the model anew, where only accepted drift may be left.
fn sum_up(report: &mut ModelReport) {
    // The joint test only ever warns: what state the model is in, its columns say.
    let joint = || report.checks.iter().filter(|check| !check.test.is_effect());
    let stands = report.features.iter().any(|f| f.drifted == Some(true));
    if matches!(report.state, State::Drifted | State::TypeChanged) && !stands {
        report.state = worst(&report.features);
        report.drifted = match report.state {
            State::Ok | State::Constant | State::Accepted => Some(false),
            _ => None,
        };
    }
    let levels = report.features.iter().map(|f| f.level);
    let loudest = levels.chain(joint().map(|check| check.level)).max();
    report.level = report.level.min(loudest.unwrap_or(Level::Ok));
    // Stable: among equals the most severe stays first.
    report
        .features
        .sort_by_key(|f| std::cmp::Reverse((f.drifted == Some(true), f.level)));
    report.sentence = explain::model(
        report.state,
        report.level,
        &report.features,
        report.rows,
        report.coverage,
    );
}

#[cfg(test)]
mod tests;
