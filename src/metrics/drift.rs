//! Everything keyed by feature: rendered from the report that is in force at the scrape, so that a
//! column or a version that is gone leaves no series behind.

use prometheus::proto::MetricFamily;

use crate::drift::report::{CheckReport, FeatureReport, ModelReport, Quantiles, Report, State};

use super::catalogue::{self, Series};
use super::family::Family;

/// The families this module renders.
pub(super) const SERIES: [Series; 12] = [
    catalogue::DRIFT_STATE,
    catalogue::DRIFT_SINCE_TIMESTAMP,
    catalogue::DRIFT_LEVEL,
    catalogue::DRIFT_ACCEPTED,
    catalogue::FEATURE_MISSING_RATIO,
    catalogue::FEATURE_UNSEEN_RATIO,
    catalogue::FEATURE_QUANTILE,
    catalogue::DRIFT_STATISTIC,
    catalogue::DRIFT_EFFECT,
    catalogue::DRIFT_P_VALUE,
    catalogue::DRIFT_THRESHOLD,
    catalogue::DRIFT_DETECTED,
];

struct Families([Family; SERIES.len()]);

/// The families of a report.
pub(super) fn families(report: &Report) -> Vec<MetricFamily> {
    let mut families = Families(SERIES.map(Family::new));
    for model in &report.models {
        for check in &model.checks {
            families.check(model, "", "", check);
        }
        for feature in &model.features {
            families.feature(model, feature);
            for check in &feature.checks {
                families.check(model, &feature.name, feature.role.as_str(), check);
            }
        }
    }
    families.0.map(Family::finish).into()
}

// === impl Families ===

impl Families {
    fn feature(&mut self, model: &ModelReport, feature: &FeatureReport) {
        let [
            states,
            since,
            level,
            accepted,
            missing,
            unseen,
            quantiles,
            ..,
        ] = &mut self.0;
        let [name, version] = [model.model.as_str(), &model.version];
        let labels = [name, version, &feature.name, feature.role.as_str()];
        let [_, _, column, role] = labels;
        for state in State::ALL {
            let holds = f64::from(u8::from(state == feature.state));
            states.gauge(&[name, version, column, role, state.as_str()], Some(holds));
        }
        let drifted = feature.drifted == Some(true);
        let began = feature.since.filter(|_| drifted);
        since.gauge(&labels, began.map(|since| since.as_seconds()));
        level.gauge(&labels, Some(f64::from(feature.level.as_number())));
        let is_accepted = model.accepted.iter().any(|a| a.feature == *feature.name);
        accepted.gauge(&labels, Some(f64::from(u8::from(is_accepted))));
        missing.gauge(&labels, feature.missing);
        unseen.gauge(&labels, feature.unseen);
        if let Some(pair) = &feature.quantiles {
            for (side, values) in [("reference", &pair.reference), ("current", &pair.current)] {
                for (quantile, value) in pairs(values) {
                    let labels = [name, version, column, role, side, quantile];
                    quantiles.gauge(&labels, Some(value));
                }
            }
        }
    }

    fn check(&mut self, model: &ModelReport, feature: &str, role: &str, check: &CheckReport) {
        let [.., statistic, effect, p_value, threshold, detected] = &mut self.0;
        let labels = [
            model.model.as_str(),
            &model.version,
            feature,
            role,
            check.test.as_str(),
            check.span.as_str(),
        ];
        statistic.gauge(&labels, check.statistic);
        effect.gauge(&labels, check.effect);
        p_value.gauge(&labels, check.p_value);
        threshold.gauge(&labels, check.threshold);
        detected.gauge(
            &labels,
            check.drifted.map(|drifted| f64::from(u8::from(drifted))),
        );
    }
}

const fn pairs(quantiles: &Quantiles) -> [(&'static str, f64); 5] {
    [
        ("0.05", quantiles.p05),
        ("0.25", quantiles.p25),
        ("0.5", quantiles.p50),
        ("0.75", quantiles.p75),
        ("0.95", quantiles.p95),
    ]
}
