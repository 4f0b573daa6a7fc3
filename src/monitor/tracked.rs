//! One model as the monitor knows it between checks: decisions, acceptances, what was said already.

use std::sync::Arc;

use crate::drift::Reference;
use crate::drift::accept::{Acceptances, End, Ended};
use crate::drift::alarm::Alarms;
use crate::drift::check::{Change, Decided};
use crate::drift::coverage::Coverage;
use crate::drift::histogram::Histograms;
use crate::drift::live::{Live, Lives};
use crate::drift::report::{CheckReport, Level, ModelReport, SpanName, State};
use crate::model::Schema;
use crate::timestamp::Timestamp;

use super::{Config, Watched};

/// A model with what the monitor remembers of it between checks.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) watched: Watched,
    pub(super) coverage: Coverage,
    pub(super) last: Vec<(SpanName, Decided)>,
    /// What is accepted as the new normal.
    pub(super) accepted: Acceptances,
    /// Ends of acceptances the window does not hold yet.
    pub(super) ended: Vec<Ended>,
    /// The last report as it was checked, before what is accepted was laid over it.
    pub(super) checked: Option<ModelReport>,
    /// The last level announced; `None` before the first report, which announces nothing new.
    pub(super) level: Option<Level>,
    /// Verdicts the window does not hold yet.
    pub(super) unsaved: bool,
}

// === impl Tracked ===

impl Tracked {
    pub(super) fn new(mut watched: Watched, coverage: Coverage, now: Timestamp) -> Self {
        let alpha = |name| watched.alarms.alphas.get(&name).copied();
        let main = Decided {
            at: watched.alarms.evaluated_at,
            row: watched.alarms.evaluated_row,
            alpha: alpha(SpanName::Main),
        };
        let newest = watched.live.as_ref().map_or(0, |live| {
            let spans = live.spans();
            spans
                .iter()
                .map(|(_, current)| current.newest())
                .max()
                .unwrap_or(0)
        });
        // When the fast span was last decided is not stored: after a restart it waits for rows.
        let fast = match main.at {
            Some(_) => Decided {
                at: Some(now),
                row: newest,
                alpha: alpha(SpanName::Fast),
            },
            None => main,
        };
        let accepted = Acceptances::new(std::mem::take(&mut watched.accepted));
        Self {
            accepted,
            ended: Vec::new(),
            checked: None,
            coverage,
            last: vec![(SpanName::Main, main), (SpanName::Fast, fast)],
            level: None,
            unsaved: false,
            watched,
        }
    }

    /// Compares with another reference from now on: in the window, by `store`, and in memory at once,
    /// between two commits. Where `store` fails nothing changes.
    pub(super) fn replace<E>(
        &mut self,
        index: usize,
        mut reference: Reference,
        schema: &Schema,
        (config, lives): (&Config, &Lives),
        now: Timestamp,
        store: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        reference.loaded_at = now;
        let histograms = Histograms::new(&reference, schema, config.histograms);
        let live = Live::new(Arc::new(reference), config.spans(), histograms);
        let live = Arc::new(live);
        lives.replace(index, Arc::clone(&live), store)?;
        self.begin(live, now);
        Ok(())
    }

    /// Begins anew with another reference: what stood was about the one before.
    fn begin(&mut self, live: Arc<Live>, now: Timestamp) {
        self.watched.live = Some(live);
        self.watched.alarms = Alarms::default();
        self.watched.changed = true;
        self.checked = None;
        let none = |name| (name, Decided::default());
        self.last = [SpanName::Main, SpanName::Fast].map(none).to_vec();
        self.accepted = Acceptances::default();
        self.ended.clear();
        self.unsaved = false;
        self.not_after(now);
    }

    /// What others are shown of the last check: with what is accepted laid over it.
    pub(super) fn shown(&mut self, now: Timestamp) -> Option<ModelReport> {
        let mut report = self.checked.clone()?;
        for ended in self.accepted.apply(&mut report, now) {
            let model = report.model.as_str();
            let (feature, test) = (ended.feature.as_str(), ended.test.as_str());
            match ended.why {
                End::Exceeded => {
                    tracing::warn!(model, feature, test, "Drift beyond what was accepted");
                }
                why => tracing::info!(model, feature, test, %why, "Acceptance ended"),
            }
            self.ended.push(ended);
        }
        Some(report)
    }

    /// Forgets decisions of the future: the clock was set back, and time counts from now.
    pub(super) fn not_after(&mut self, now: Timestamp) {
        for (_, last) in &mut self.last {
            last.at = last.at.map(|at| at.min(now));
        }
    }

    pub(super) fn remember(&mut self, decided: &[(SpanName, Decided)]) {
        for (name, fresh) in decided {
            for (_, last) in self.last.iter_mut().filter(|(known, _)| known == name) {
                *last = *fresh;
            }
        }
    }

    /// Logs every change of a verdict, once.
    pub(super) fn announce(&mut self, report: &ModelReport, changes: &[Change]) {
        for Change { key, alarm } in changes {
            let feature = report.features.iter().find(|f| *f.name == *key.column);
            let accepted = feature.is_some_and(|f| {
                let about = |c: &&CheckReport| c.test == key.test && c.span == key.span;
                let check = f.checks.iter().find(about);
                check.is_some_and(|c| c.state == State::Accepted)
            });
            let sentence = feature.map_or("", |f| f.sentence.as_str());
            let (model, feature) = (report.model.as_str(), key.column.as_str());
            let (test, span) = (key.test.as_str(), key.span.as_str());
            if accepted {
                tracing::info!(model, feature, test, span, "Drift as accepted");
            } else if alarm.drifted && key.span == SpanName::Main {
                tracing::warn!(model, feature, test, span, sentence, "Drift detected");
            } else if alarm.drifted {
                tracing::info!(
                    model,
                    feature,
                    test,
                    span,
                    "Newest rows differ from the reference"
                );
            } else {
                tracing::info!(model, feature, test, span, sentence, "Drift ended");
            }
        }
        self.announce_level(report);
    }

    /// Logs a change of the model's level.
    pub(super) fn announce_level(&mut self, report: &ModelReport) {
        let before = self.level.replace(report.level);
        if let Some(before) = before.filter(|before| *before != report.level) {
            tracing::info!(
                model = report.model.as_str(),
                from = before.as_str(),
                to = report.level.as_str(),
                state = report.state.as_str(),
                "Level changed"
            );
        }
    }
}
