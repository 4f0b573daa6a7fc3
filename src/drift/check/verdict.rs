//! The verdict on a model: what holds for all its columns together.

use std::time::Duration;

use crate::drift::decide::{detectable_shift, smallest};
use crate::drift::explain;
use crate::drift::report::{FeatureReport, Group, Level, ModelReport, SpanName, State};

use super::{Dependence, ModelCheck, Subject};

/// The time a decision to come is thought to pay for.
const SOON: Duration = Duration::from_secs(3600);

impl ModelCheck<'_> {
    /// The report over all columns checked; `cause` is that of wrong wiring, where it is suspected.
    pub(super) fn report(&mut self, cause: Option<String>) -> ModelReport {
        let main_rows = self.spans.first().map_or(0, |span| span.size);
        let state = worst(&self.features);
        let checks = std::mem::take(&mut self.joint);
        let levels = self.features.iter().map(|f| f.level);
        let level = levels.chain(checks.iter().map(|check| check.level));
        let level = level.max().unwrap_or(Level::Ok);
        let main = checks.iter().find(|check| check.span == SpanName::Main);
        let joint = main.is_some_and(|check| check.drifted == Some(true));
        let drifted = match state {
            State::Drifted | State::TypeChanged => Some(true),
            State::Ok | State::Constant => Some(false),
            _ => None,
        };
        let budget = self.budget();
        let Subject {
            model,
            version,
            reference,
            dependence,
            ..
        } = self.subject;
        let detectable = self.detectable();
        let features = std::mem::take(&mut self.features);
        ModelReport {
            model: model.clone(),
            version: version.to_owned(),
            reference: reference.cloned(),
            rows: main_rows,
            spans: (self.spans.iter())
                .map(|span| (span.name, span.size))
                .collect(),
            checked_at: Some(self.now),
            evaluated_at: self.alarms.evaluated_at,
            coverage: self.coverage,
            calibrated: match dependence {
                Dependence::None => false,
                Dependence::Measured(times) => {
                    !times.is_empty() && times.iter().all(Option::is_some)
                }
            },
            state,
            drifted,
            level,
            sentence: match cause {
                Some(cause) => cause,
                None => {
                    let single = features.iter().any(|f| f.drifted == Some(true));
                    if joint && !single && state == State::Ok {
                        explain::joint(main, self.pair.as_deref())
                    } else {
                        explain::model(state, level, &features, main_rows, self.coverage)
                    }
                }
            },
            detectable,
            groups: groups(&features),
            budget,
            checks,
            accepted: Vec::new(),
            features,
        }
    }

    /// The smallest shift the main span can tell, in the feature that tells least.
    fn detectable(&self) -> Option<f64> {
        let now = self.features.iter().filter_map(|f| f.detectable);
        now.reduce(f64::max).or_else(|| {
            let (span, reference) = (self.spans.first()?, self.subject.reference?);
            let policy = self.subject.policies.first()?;
            let alpha = self.subject.allowance.alpha(SOON, self.subject.tests);
            let least = smallest(reference.rows, span.min_rows, alpha, policy.min_effect);
            detectable_shift(least)
        })
    }
}

/// The worst that holds for any column.
pub(in crate::drift) fn worst(features: &[FeatureReport]) -> State {
    let ranked = [
        State::Mismatch,
        State::Drifted,
        State::TypeChanged,
        State::LowCoverage,
        State::Stale,
        State::Accepted,
        State::Ok,
        State::Constant,
        State::Warming,
        State::Insufficient,
    ];
    let holds = |state: &State| features.iter().any(|f| f.state == *state);
    ranked.into_iter().find(holds).unwrap_or(State::NoReference)
}

/// Columns that began to drift at the same check, most severe first.
fn groups(features: &[FeatureReport]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for feature in features.iter().filter(|f| f.drifted == Some(true)) {
        let Some(since) = feature.since else {
            continue;
        };
        match groups.iter_mut().find(|group| group.since == since) {
            Some(group) => group.features.push(feature.name.clone()),
            None => groups.push(Group {
                since,
                features: vec![feature.name.clone()],
            }),
        }
    }
    groups
}
