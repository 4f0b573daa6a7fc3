//! The report of the last check again, from what the window kept of it.

use std::sync::Arc;

use crate::drift::explain;
use crate::drift::report::{
    CheckReport, FeatureReport, ModelReport, ReferenceInfo, SpanName, State,
};
use crate::feature::{Kind, Role};

use super::stored::{Found, Model};

/// The report, most severe column first. What the window does not hold is `None`, and `rows` 0.
pub(super) fn report(model: &Model) -> ModelReport {
    let (joint, single): (Vec<&Found>, Vec<&Found>) =
        model.checks.iter().partition(|found| found.role.is_none());
    let checks: Vec<CheckReport> = joint.into_iter().map(|found| found.check.clone()).collect();
    let mut ranked: Vec<(f64, FeatureReport)> = (model.columns.iter())
        .map(|(name, role)| {
            let own = single
                .iter()
                .filter(|found| found.column == *name && found.role == Some(*role));
            let checks: Vec<CheckReport> = own.map(|found| found.check.clone()).collect();
            (severity(&checks), feature(model, name, *role, checks))
        })
        .collect();
    ranked.sort_by(|(x, a), (y, b)| {
        let loud = |f: &FeatureReport| (f.drifted == Some(true), f.level);
        loud(b).cmp(&loud(a)).then(y.total_cmp(x))
    });
    let features: Vec<FeatureReport> = ranked.into_iter().map(|(_, feature)| feature).collect();
    let state = state(model, &features);
    let levels = features.iter().map(|f| f.level);
    let level = levels.chain(checks.iter().map(|c| c.level)).max();
    let level = level.unwrap_or_default();
    let compared = model.checks.iter().map(|found| found.check.n_current).max();
    let sentence = match (model.checked_at, state) {
        (None, _) => "No check has been made yet.".to_owned(),
        // How much of the traffic was captured then is not stored.
        (_, State::LowCoverage) => {
            "No verdict: too few of the exchanges could be read and stored.".to_owned()
        }
        _ => explain::model(state, level, &features, compared.unwrap_or(0), None),
    };
    let reference = model.reference.as_ref();
    ModelReport {
        model: model.name.clone(),
        version: reference.map(|r| r.version.clone()).unwrap_or_default(),
        reference: reference.and_then(|reference| {
            Some(ReferenceInfo {
                hash: reference.hash.clone()?,
                rows: 0,
                loaded_at: reference.since,
            })
        }),
        rows: 0,
        spans: Vec::new(),
        checked_at: model.checked_at,
        evaluated_at: model.evaluated_at,
        coverage: None,
        calibrated: false,
        state,
        drifted: match state {
            State::Drifted => Some(true),
            State::Ok | State::Constant => Some(false),
            _ => None,
        },
        level,
        sentence,
        detectable: None,
        accepted: Vec::new(),
        groups: Vec::new(),
        budget: None,
        checks,
        features,
    }
}

fn feature(model: &Model, name: &str, role: Role, mut checks: Vec<CheckReport>) -> FeatureReport {
    // As a living driftd has them: effect sizes behind all tests.
    checks.sort_by_key(|check| check.test.is_effect());
    let main = || checks.iter().filter(|check| check.span == SpanName::Main);
    let drifted = main().any(|check| check.drifted == Some(true));
    let first = main().next();
    let state = match first {
        _ if drifted => State::Drifted,
        Some(check) => check.state,
        None => State::NoReference,
    };
    let worst = main().find(|check| check.state == state).or(first);
    FeatureReport {
        name: Arc::from(name),
        role,
        kind: kind(first),
        state,
        drifted: match state {
            State::Drifted => Some(true),
            State::Ok | State::Constant => Some(false),
            _ => None,
        },
        level: checks
            .iter()
            .map(|check| check.level)
            .max()
            .unwrap_or_default(),
        obstacle: None,
        since: (model.alarms.iter())
            .filter(|alarm| alarm.column == name && alarm.span == SpanName::Main.as_str())
            .map(|alarm| alarm.since)
            .min()
            .filter(|_| drifted),
        severity: None,
        detectable: None,
        missing: None,
        missing_reference: None,
        mistyped: None,
        unseen: None,
        shift: None,
        calibrated: false,
        quantiles: None,
        sentence: sentence(name, state, worst),
        checks,
        picture: None,
    }
}

/// How severe the worst check of the main span is, for the order of the columns alone: statistic over
/// threshold, of which χ², which grows with the square of the effect, gives the root.
fn severity(checks: &[CheckReport]) -> f64 {
    let of = |check: &CheckReport| {
        let ratio = check.statistic? / check.threshold?;
        let squared = check.test.as_str() == "chi2";
        Some(if squared { ratio.sqrt() } else { ratio })
    };
    (checks.iter())
        .filter(|check| check.span == SpanName::Main)
        .filter_map(of)
        .fold(-1.0, f64::max)
}

/// The kind, where the test tells it: the Kolmogorov-Smirnov test compares numbers and lengths.
fn kind(check: Option<&CheckReport>) -> Option<Kind> {
    (check?.test.as_str() == "chi2").then_some(Kind::Categorical)
}

fn sentence(name: &str, state: State, check: Option<&CheckReport>) -> String {
    let figures = check.and_then(|check| {
        let statistic = explain::figure(check.statistic?);
        let p = check.log10_p.map_or_else(String::new, |log10_p| {
            format!(", p = {}", explain::p_value(log10_p))
        });
        let threshold = check.threshold.map_or_else(String::new, |threshold| {
            format!(", threshold {}", explain::figure(threshold))
        });
        let test = check.test.as_str();
        Some(format!("{test} = {statistic}{threshold}{p}"))
    });
    match (state, figures) {
        (State::Drifted, Some(figures)) => format!("{name} has drifted: {figures}."),
        (State::Drifted, None) => {
            format!("{name} has drifted; the last check could not measure it.")
        }
        (State::Ok, Some(figures)) => format!("{name} looks like the reference: {figures}."),
        (State::NoReference, _) => format!("{name} was not compared by the last check."),
        (state, _) => format!("{name}: {}.", state.as_str().replace('_', " ")),
    }
}

/// The worst that holds for any column, as a live check ranks it.
fn state(model: &Model, features: &[FeatureReport]) -> State {
    if model.checked_at.is_none() {
        let compared = model.reference.as_ref().is_some_and(|r| r.hash.is_some());
        return if compared {
            State::Insufficient
        } else {
            State::NoReference
        };
    }
    let ranked = [
        State::Drifted,
        State::TypeChanged,
        State::LowCoverage,
        State::Stale,
        State::Ok,
        State::Constant,
        State::Warming,
        State::Insufficient,
    ];
    let holds = |state: &State| features.iter().any(|f| f.state == *state);
    ranked.into_iter().find(holds).unwrap_or(State::NoReference)
}
