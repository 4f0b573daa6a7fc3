//! What the monitor does between checks when it is asked to: accept drift, take that back, compare
//! with another reference.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::drift::Reference;
use crate::drift::accept::{Acceptance, Ended, Terms};
use crate::drift::report::{ModelReport, Report};
use crate::timestamp::Timestamp;

use super::Monitor;
use super::command::{Command, Refused};
use super::pace::Pace;
use super::past;

impl Monitor {
    /// Does what it is asked and says what came of it. Whoever asked may have gone: no failure.
    pub(super) fn obey(&mut self, command: Command) {
        let now = Timestamp::now();
        let obey = AssertUnwindSafe(|| match command {
            Command::Accept {
                model,
                feature,
                terms,
                reply,
            } => drop(reply.send(self.accept(model, feature.as_deref(), &terms, now))),
            Command::Unaccept {
                model,
                feature,
                by,
                reply,
            } => drop(reply.send(self.take_back(model, feature.as_deref(), &by, now))),
            Command::Reference {
                model,
                reference,
                reply,
            } => drop(reply.send(self.begin(model, *reference, now))),
            Command::Stop => {}
        });
        if catch_unwind(obey).is_err() {
            tracing::error!("A command failed by a defect in driftd");
        }
    }

    fn accept(
        &mut self,
        index: usize,
        feature: Option<&str>,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Vec<Acceptance>, Refused> {
        let tracked = self.models.get_mut(index).ok_or(Refused::Unchecked)?;
        let shown = tracked.shown(now).ok_or(Refused::Unchecked)?;
        let mut next = tracked.accepted.clone();
        let fresh = next.propose(&shown, feature, terms, now)?;
        let mut ended = tracked.ended.clone();
        ended.extend(next.add(fresh.clone(), now));
        let save = || self.window.save_accepted(index, ended, fresh.clone());
        self.links.pulse.waits(save)?;
        tracked.ended.clear();
        tracked.accepted = next;
        for Acceptance { feature, test, .. } in &fresh {
            let (model, test) = (tracked.watched.name.as_str(), test.as_str());
            let (by, reason) = (terms.by.as_str(), terms.reason.as_str());
            tracing::info!(
                model,
                feature,
                test,
                by,
                reason,
                "Accepted as the new normal"
            );
        }
        self.publish(index, now);
        Ok(fresh)
    }

    fn take_back(
        &mut self,
        index: usize,
        feature: Option<&str>,
        by: &str,
        now: Timestamp,
    ) -> Result<Vec<Ended>, Refused> {
        let tracked = self.models.get_mut(index).ok_or(Refused::Unchecked)?;
        let shown = tracked.shown(now).ok_or(Refused::Unchecked)?;
        let mut next = tracked.accepted.clone();
        let ended = next.take_back(&shown, feature, by, now)?;
        let all = [&tracked.ended[..], &ended[..]].concat();
        let save = || self.window.save_accepted(index, all, Vec::new());
        self.links.pulse.waits(save)?;
        tracked.ended.clear();
        tracked.accepted = next;
        let model = tracked.watched.name.as_str();
        tracing::info!(model, feature, by, "No longer accepted");
        self.publish(index, now);
        Ok(ended)
    }

    /// Compares with another reference from now on.
    fn begin(&mut self, index: usize, reference: Reference, now: Timestamp) -> Result<(), Refused> {
        let tracked = self.models.get_mut(index).ok_or(Refused::Unchecked)?;
        let (version, hash) = (tracked.watched.version.clone(), reference.hash.clone());
        let (window, place) = (&self.window, (&self.config, &*self.links.lives));
        let begin = || {
            let begun = window.begin_reference(index, &version, &hash, now);
            begun.map(|_first_row| ())
        };
        let replace = || tracked.replace(index, reference, place, now, begin);
        self.links.pulse.waits(replace)?;
        let mut pace = Pace::hurried(&self.links.pulse);
        if let Some(report) = self.check_model(index, now, &mut pace) {
            self.put(index, report);
        }
        Ok(())
    }

    /// Shows the last check of a model again, with what is accepted now.
    fn publish(&mut self, index: usize, now: Timestamp) {
        let shown = self.models.get_mut(index).and_then(|tracked| {
            let shown = tracked.shown(now)?;
            tracked.announce_level(&shown);
            Some(shown)
        });
        if let Some(report) = shown {
            self.put(index, report);
        }
        (self.links.pulse).waits(|| past::record(&self.window, &self.links, index, None));
    }

    fn put(&self, index: usize, report: ModelReport) {
        let mut models = self.links.report.load().models.clone();
        if let Some(slot) = models.get_mut(index) {
            *slot = report;
        }
        self.links.report.store(Arc::new(Report { models }));
    }
}
