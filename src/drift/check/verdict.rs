//! The verdict on a model: what holds for all its columns together.

use crate::drift::explain;
use crate::drift::report::{FeatureReport, Level, ModelReport, State};

use super::{Dependence, ModelCheck, Subject};

impl ModelCheck<'_> {
    /// The report over all columns checked.
    pub(super) fn report(&mut self) -> ModelReport {
        let main_rows = self.spans.first().map_or(0, |span| span.size);
        let state = worst(&self.features);
        let levels = self.features.iter().map(|f| f.level);
        let level = levels.max().unwrap_or(Level::Ok);
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
            sentence: explain::model(state, level, &features, main_rows, self.coverage),
            budget,
            checks: Vec::new(),
            accepted: Vec::new(),
            features,
        }
    }
}

/// The worst that holds for any column.
pub(in crate::drift) fn worst(features: &[FeatureReport]) -> State {
    let ranked = [
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
