//! One track over every span: its tests, what they come to together, and what a person is told.

use crate::drift::decide::detectable_shift;
use crate::drift::explain;
use crate::drift::measure::{Description, Measurement, describe, measure};
use crate::drift::reference::{Side, Track};
use crate::drift::report::{CheckReport, FeatureReport, Level, SpanName, State, Test};
use crate::drift::season::{Against, Part};
use crate::drift::values::{Samples, Values};
use crate::feature::{Column, Kind};

use super::ModelCheck;
use super::judge::{Bench, Judged};
use super::wiring::Wire;

impl ModelCheck<'_> {
    /// Compares the track at `index` by its values in each span.
    pub(super) fn compare(
        &mut self,
        index: usize,
        track: &Track<'_>,
        values: Vec<Values<'static>>,
    ) -> FeatureReport {
        let column = &self.subject.schema.columns()[track.column];
        let name = track.name(&column.name);
        let bench = Bench {
            name: &name,
            policy: self.subject.policies[track.column],
            alpha: 0.0,
            samples: None,
            alike: true,
            tau: self.subject.dependence.of(index),
            resolution: match track.side {
                Side::Numbers(numbers) => numbers.resolution(),
                Side::Categories(_) => 0.0,
            },
        };
        let spans = std::mem::take(&mut self.spans);
        let mut judged = Vec::new();
        let mut main = None;
        let mut hours = None;
        for (span, values) in spans.iter().zip(values) {
            let is_main = span.name == SpanName::Main;
            let mut values = values.from(&span.rows, track.slot);
            let part = span.part(track.side);
            let side = part.as_ref().map_or(track.side, Part::side);
            if part.is_some() {
                // Their codes are those among all values of the reference.
                values.codes = None;
            }
            let track = &Track { side, ..*track };
            let mut measured = measure(track, &values, self.memo);
            let bench = Bench {
                alpha: self.alpha(span),
                alike: part.is_some() || span.against == Against::All,
                samples: match side {
                    Side::Numbers(reference) => Some(Samples {
                        reference,
                        current: &values,
                    }),
                    Side::Categories(_) => None,
                },
                ..bench
            };
            for tested in &measured.tests {
                judged.push(self.judge(&bench, span, &measured, tested));
            }
            if is_main {
                hours = Some(explain::hours(span.against, part.is_some(), span.min_rows));
                let alarms = judged.iter().filter_map(|j| j.alarm);
                let raised = alarms.into_iter().any(|alarm| alarm.drifted);
                measured.description = match self.well.get(&*name) {
                    _ if !self.subject.describe => Description::default(),
                    Some(last) if !raised && !span.ripe() => Description::said(last),
                    _ => describe(track, &values, &measured),
                };
                main = Some(measured);
            }
            self.spare.extend(values.codes);
        }
        judged.extend(self.slow(&bench, track, index));
        let min_rows = spans.first().map_or(0, |span| span.min_rows);
        self.spans = spans;
        if let Some(measured) = &main {
            let alarms = judged.iter().filter(|j| j.report.span == SpanName::Main);
            let mut alarms = alarms.filter_map(|j| j.alarm);
            let raised = alarms.clone().find(|alarm| alarm.drifted);
            let mostly = measured.mistyped * 2 > measured.rows - measured.missing;
            let size = (measured.main().result.as_ref()).map(|result| result.effect.size);
            self.wires.push(Wire {
                name: name.clone(),
                gap: if mostly { Some(1.0) } else { size },
                alarm: raised.or_else(|| alarms.next()),
                role: column.role,
                quantiles: measured.description.sides.clone(),
            });
        }
        match main {
            Some(measured) => {
                let (present, rows) = (measured.main().n_current, measured.rows);
                let mut report = report((&name, column), bench.tau, judged, measured, min_rows);
                if let Some(hours) = hours.flatten()
                    && matches!(report.state, State::Ok | State::Drifted)
                {
                    report.sentence = explain::further(report.sentence, &hours);
                }
                if let Some(obstacle) = report.obstacle {
                    let why = explain::stands(obstacle, self.coverage, (present, rows), min_rows);
                    report.sentence = explain::further(report.sentence, &why);
                }
                report
            }
            None => without_reference(column),
        }
    }
}

/// What the tests of one track come to.
fn report(
    (name, column): (&str, &Column),
    tau: Option<f64>,
    judged: Vec<Judged>,
    measured: Measurement,
    min_rows: usize,
) -> FeatureReport {
    let of_main = || judged.iter().filter(|j| j.report.span == SpanName::Main);
    let raised = || of_main().filter(|j| j.report.state == State::Drifted);
    let mostly = measured.mistyped * 2 > measured.rows - measured.missing;
    let state = match of_main().next() {
        _ if raised().any(|j| j.report.test == Test::Type) && mostly => State::TypeChanged,
        _ if raised().next().is_some() => State::Drifted,
        first => first.map_or(State::Insufficient, |j| j.report.state),
    };
    // Where any test that drifted can still be decided, so can the column.
    let blocked = raised().all(|j| j.obstacle.is_some());
    let obstacle = raised().find_map(|j| j.obstacle).filter(|_| blocked);
    let severities = of_main().filter_map(|j| j.severity);
    let severity = severities.reduce(f64::max);
    let since = raised().filter_map(|j| j.alarm).map(|alarm| alarm.since);
    let since = since.reduce(Ord::min);
    let mut checks: Vec<CheckReport> = judged.into_iter().map(|j| j.report).collect();
    let categorical = measured.main().test == Test::Chi2;
    let sentence = match state {
        State::Insufficient | State::Warming => {
            let present = measured.main().n_current;
            explain::too_few(name, present, measured.rows, min_rows)
        }
        _ => explain::column(name, state, &checks, &measured),
    };
    let verdict = checks.first().map(|check| (check.state, check.threshold));
    let threshold = verdict.and_then(|(_, threshold)| threshold);
    let detectable = threshold
        .filter(|_| !categorical)
        .and_then(detectable_shift);
    let levels = checks.iter().map(|check| check.level);
    let level = levels.max().unwrap_or(Level::Ok);
    checks.extend(effects(&measured, state));
    let share = |count: usize, of: usize| (of > 0).then(|| count as f64 / of as f64);
    let compared = measured.main().n_current;
    FeatureReport {
        name: name.into(),
        role: column.role,
        kind: column.kind.or(Some(if categorical {
            Kind::Categorical
        } else {
            Kind::Numeric
        })),
        state,
        drifted: match state {
            State::Drifted | State::TypeChanged => Some(true),
            State::Ok | State::Constant => Some(false),
            _ => None,
        },
        level,
        obstacle,
        since,
        severity,
        detectable,
        missing: share(measured.missing, measured.rows),
        missing_reference: measured.missing_reference(),
        mistyped: share(measured.mistyped, measured.rows),
        unseen: share(measured.unseen, compared).filter(|_| categorical),
        shift: measured.description.shift,
        calibrated: tau.is_some(),
        quantiles: measured.description.quantiles,
        sentence,
        checks,
        picture: measured.description.picture.filter(|_| compared > 0),
    }
}

impl Description {
    /// As a report says it.
    fn said(last: &FeatureReport) -> Self {
        let effects = last.checks.iter().filter(|check| check.test.is_effect());
        Self {
            effects: effects
                .filter_map(|check| Some((check.test, check.statistic?)))
                .collect(),
            quantiles: last.quantiles.clone(),
            shift: last.shift,
            sides: None,
            picture: last.picture.clone(),
        }
    }
}

/// Sizes of the change, as checks that decide nothing.
fn effects(measured: &Measurement, state: State) -> Vec<CheckReport> {
    let few = matches!(state, State::Insufficient | State::Warming);
    let sizes = measured.description.effects.iter().filter(|_| !few);
    let main = measured.main();
    sizes
        .map(|(test, size)| CheckReport {
            test: *test,
            span: SpanName::Main,
            state,
            drifted: None,
            level: Level::Ok,
            statistic: Some(*size),
            p_value: None,
            log10_p: None,
            decision_p: None,
            threshold: None,
            n_reference: main.n_reference,
            n_current: main.n_current,
            n_effective: main.n_current as f64,
            location: None,
            sign: None,
            effect: None,
            lower_bound: None,
            error_bound: None,
            adjusted_p: None,
        })
        .collect()
}

/// A column nothing is known of to compare with.
pub(super) fn without_reference(column: &Column) -> FeatureReport {
    FeatureReport {
        name: column.name.clone(),
        role: column.role,
        kind: column.kind,
        state: State::NoReference,
        drifted: None,
        level: Level::Ok,
        obstacle: None,
        since: None,
        severity: None,
        detectable: None,
        missing: None,
        missing_reference: None,
        mistyped: None,
        unseen: None,
        shift: None,
        calibrated: false,
        quantiles: None,
        sentence: format!(
            "{} is not compared: the reference does not hold it, or it is not stored.",
            column.name
        ),
        checks: Vec::new(),
        picture: None,
    }
}
