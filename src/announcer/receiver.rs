//! One receiver: what it knows, what waits for it, and its deliveries, one at a time. Those of one model
//! are in the order of its changes; one that is not taken holds up no other model's.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error as _;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::Links;
use crate::drift::Report;
use crate::drift::report::{Level, ModelReport, State};
use crate::metrics::webhook::Delivery;
use crate::push::event::{self, Change};
use crate::push::{Answer, Config, Dial, Failure, Post, Retries, Verdict, post};
use crate::timestamp::Timestamp;
use crate::window::{Announcement, Window};

/// One receiver of webhooks.
pub(super) struct Receiver {
    /// Its place among the counters.
    place: usize,
    config: Config,
    dial: Dial,
    links: Links,
    state: RefCell<Waiting>,
    /// Something waits.
    work: Notify,
    /// It answered 410.
    gone: Cell<bool>,
    /// A change is being delivered.
    busy: Cell<bool>,
}

/// What the receiver knows and what it does not have yet.
#[derive(Debug, Default)]
struct Waiting {
    /// Per model the level it knows once it has what waits; empty until read from the window.
    known: Vec<Option<Level>>,
    changes: VecDeque<Waits>,
    /// Changes that ever waited.
    number: u64,
    /// The receiver asked for nothing earlier than this.
    not_before: Option<Instant>,
    /// The window refused, which was said once.
    refused: bool,
}

/// A change that waits.
#[derive(Debug)]
struct Waits {
    /// Ascending in the order of the changes.
    number: u64,
    /// Its model.
    model: usize,
    announcement: Announcement,
    retries: Retries,
    /// When it is tried again; `None` where it was not tried yet.
    due: Option<Instant>,
}

/// What there is to do.
enum Next {
    Deliver(Waits),
    /// The next change is to be tried then.
    At(Instant),
    Nothing,
}

// === impl Waiting ===

impl Waiting {
    fn push(&mut self, model: usize, announcement: Announcement) {
        self.number += 1;
        self.changes.push_back(Waits {
            number: self.number,
            model,
            announcement,
            retries: Retries::default(),
            due: None,
        });
    }

    /// Puts a change back where it was.
    fn put_back(&mut self, change: Waits) {
        let place = (self.changes).partition_point(|other| other.number < change.number);
        self.changes.insert(place, change);
    }

    /// Everything is due.
    fn forget_dues(&mut self) {
        self.not_before = None;
        for change in &mut self.changes {
            change.due = None;
        }
    }

    /// The oldest change that is due, and of whose model no older one waits.
    fn take(&mut self, now: Instant) -> Next {
        let mut models = Vec::new();
        let mut soonest: Option<Instant> = None;
        for (place, change) in self.changes.iter().enumerate() {
            if models.contains(&change.model) {
                continue;
            }
            models.push(change.model);
            match change.due.max(self.not_before) {
                Some(due) if due > now => {
                    soonest = Some(soonest.map_or(due, |soonest| soonest.min(due)));
                }
                _ => {
                    return self
                        .changes
                        .remove(place)
                        .map_or(Next::Nothing, Next::Deliver);
                }
            }
        }
        soonest.map_or(Next::Nothing, Next::At)
    }
}

// === impl Receiver ===

impl Receiver {
    pub(super) fn new(place: usize, config: Config, dial: Dial, links: Links) -> Self {
        Self {
            place,
            config,
            dial,
            links,
            state: RefCell::default(),
            work: Notify::new(),
            gone: Cell::new(false),
            busy: Cell::new(false),
        }
    }

    /// Compares `report` with what the receiver knows; what is new waits to be delivered.
    pub(super) fn observe(&self, window: &Window, report: &Report) {
        let mut state = self.state.borrow_mut();
        if state.known.len() < report.models.len() && !self.recall(window, report, &mut state) {
            return;
        }
        for (index, model) in report.models.iter().enumerate() {
            let known = state.known[index];
            let now = self.config.heard(model.level);
            // A verdict that cannot be given takes back none that was.
            if now == known || (now < known && !is_verdict(model)) {
                continue;
            }
            state.known[index] = now;
            let announcement = now.map(|to| self.announcement(model, known, to));
            let level = now.map_or("", Level::as_str);
            let saved = window.announce(&self.config.name, index, level, announcement.clone());
            if let Err(error) = &saved
                && !state.refused
            {
                tracing::warn!(%error, webhook = self.config.name, "A change is announced that the window does not hold: a restart may announce it again");
            }
            state.refused = saved.is_err();
            if let Some(announcement) = announcement {
                state.push(index, announcement);
            }
        }
        self.bound(&mut state);
        self.count(&state);
        if !state.changes.is_empty() {
            self.work.notify_one();
        }
    }

    /// Delivers what waits, for ever.
    pub(super) async fn deliver(&self) {
        loop {
            let next = self.state.borrow_mut().take(Instant::now());
            match next {
                Next::Deliver(change) => self.deliver_one(change).await,
                Next::At(due) => tokio::select! {
                    () = sleep_until(due) => {}
                    () = self.work.notified() => {}
                },
                Next::Nothing => self.work.notified().await,
            }
        }
    }

    /// Says at the end what is left.
    pub(super) fn leave(&self) {
        let left = self.state.borrow().changes.len() + usize::from(self.busy.get());
        if left > 0 {
            tracing::info!(
                webhook = self.config.name,
                left,
                "Changes not delivered yet are delivered after the next start"
            );
        }
    }

    /// Reads what the receiver knows from the window; false where that cannot be read now.
    fn recall(&self, window: &Window, report: &Report, state: &mut Waiting) -> bool {
        let models = state.known.len()..report.models.len();
        let mut pending = Vec::new();
        for model in models {
            let announced = match window.announced(&self.config.name, model) {
                Ok(announced) => announced,
                Err(error) => {
                    tracing::debug!(%error, "What was announced cannot be read yet");
                    state.known.clear();
                    return false;
                }
            };
            let stored = announced.level.map(|level| named(&level));
            // Who was never told of a model takes it for well.
            let known = stored.unwrap_or_else(|| self.config.heard(Level::Ok));
            state.known.push(known);
            pending.extend(announced.pending.into_iter().map(|stored| (model, stored)));
        }
        // In the order they were stored: the clock may have been set back between them.
        pending.sort_by_key(|(_, stored)| stored.number);
        for (model, stored) in pending {
            state.push(model, stored.announcement);
        }
        true
    }

    fn announcement(&self, report: &ModelReport, known: Option<Level>, to: Level) -> Announcement {
        let (id, time) = (Uuid::now_v7().to_string(), Timestamp::now());
        let from = known.unwrap_or_default();
        let change = Change {
            id: &id,
            time,
            page: &self.links.page,
            from,
            to,
            report,
        };
        let body = event::body(change, self.config.format);
        Announcement {
            from: from.as_str().to_owned(),
            to: to.as_str().to_owned(),
            id,
            time,
            body,
        }
    }

    /// Drops the oldest changes of a queue that is full; those that were tried already are on their way.
    fn bound(&self, state: &mut Waiting) {
        let new = |change: &Waits| change.due.is_none();
        let many = state.changes.iter().filter(|change| new(change)).count();
        for _ in self.config.queue..many {
            let oldest = state.changes.iter().position(new);
            if let Some(change) = oldest.and_then(|place| state.changes.remove(place)) {
                self.settle(&change.announcement, Delivery::Dropped);
            }
        }
    }

    /// Connections are opened by this from now on.
    #[cfg(test)]
    pub(super) fn dial(&mut self, dial: Dial) {
        self.dial = dial;
    }

    /// What waits, in the order of delivery.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> Vec<Announcement> {
        let state = self.state.borrow();
        let changes = state.changes.iter();
        changes.map(|change| change.announcement.clone()).collect()
    }

    fn count(&self, state: &Waiting) {
        let changes = state.changes.len() + usize::from(self.busy.get());
        self.links.counters.waiting(self.place, changes);
    }

    /// Counts, logs and stores what became of a change.
    fn settle(&self, change: &Announcement, outcome: Delivery) {
        let (webhook, id, to) = (self.config.name.as_str(), &change.id, &change.to);
        self.links.counters.settled(self.place, outcome);
        match outcome {
            Delivery::Delivered => tracing::info!(webhook, id, to, "Change announced"),
            Delivery::Dropped => {
                tracing::warn!(webhook, id, to, "Change not announced: newer ones wait");
            }
            // Said where it was met.
            Delivery::Rejected | Delivery::Gone | Delivery::Expired => {}
        }
        if let Some(window) = self.links.window.get()
            && let Err(error) = window.end_announcement(id, outcome.as_str(), Timestamp::now())
        {
            tracing::warn!(%error, webhook, id, "What became of a change is not in the window: a restart announces it again");
        }
    }

    /// Tries once to deliver a change, and settles it or puts it back.
    async fn deliver_one(&self, mut change: Waits) {
        if self.gone.get() {
            self.settle(&change.announcement, Delivery::Gone);
            return;
        }
        self.busy.set(true);
        let answer = self.try_once(&change.announcement).await;
        self.busy.set(false);
        let left = self.config.retry_for;
        let left = left.saturating_sub(Timestamp::now().since(change.announcement.time));
        let verdict = change.retries.judge(&answer, left, fastrand::f64());
        self.say(&change.announcement, &answer, &verdict);
        let outcome = match verdict {
            Verdict::Delivered => Delivery::Delivered,
            Verdict::Rejected => Delivery::Rejected,
            Verdict::Expired => Delivery::Expired,
            Verdict::Gone => {
                self.gone.set(true);
                // Nothing is waited for any more.
                self.state.borrow_mut().forget_dues();
                Delivery::Gone
            }
            Verdict::Later(pause) => {
                self.links.counters.retried(self.place);
                let due = Some(Instant::now() + pause);
                change.due = due;
                let mut state = self.state.borrow_mut();
                if answer.is_ok_and(|answer| answer.retry_after.is_some()) {
                    state.not_before = due;
                }
                state.put_back(change);
                self.count(&state);
                return;
            }
        };
        self.settle(&change.announcement, outcome);
        self.count(&self.state.borrow());
    }

    async fn try_once(&self, change: &Announcement) -> Result<Answer, Failure> {
        let body = Bytes::copy_from_slice(change.body.as_bytes());
        let secret = self.config.secret.read();
        let secret = secret.map_err(|reason| Failure::Secret { reason })?;
        let seconds = Timestamp::now().0.div_euclid(1000);
        let mut headers = vec![
            ("webhook-id".into(), change.id.clone()),
            ("webhook-timestamp".into(), seconds.to_string()),
        ];
        if let Some(secret) = secret {
            let signature = secret.sign(&change.id, seconds, &body);
            headers.push(("webhook-signature".into(), signature));
        }
        let what = Post {
            endpoint: &self.config.endpoint,
            headers,
            content_type: self.config.format.content_type(),
            body,
        };
        post(&self.dial, what, self.config.timeout).await
    }

    /// Logs a try that came to nothing.
    fn say(&self, change: &Announcement, answer: &Result<Answer, Failure>, verdict: &Verdict) {
        let (webhook, id) = (self.config.name.as_str(), &change.id);
        let said = match answer {
            Ok(answer) => format!("{} {}", answer.status, answer.text),
            Err(error) => match error.source() {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            },
        };
        let said = said.trim();
        match verdict {
            Verdict::Delivered => {}
            Verdict::Later(pause) => {
                let pause = humantime::format_duration(std::time::Duration::from_secs(
                    pause.as_secs().max(1),
                ));
                tracing::warn!(webhook, id, said, %pause, "Change not announced yet; it is tried again");
            }
            Verdict::Rejected => {
                tracing::error!(
                    webhook,
                    id,
                    said,
                    "Change refused by the receiver, and not tried again: it does not take what driftd sends; correct the webhook's url or format"
                );
            }
            Verdict::Gone => tracing::error!(
                webhook,
                id,
                said,
                "The receiver wants no changes any more; remove the webhook, or restart driftd to try it again"
            ),
            Verdict::Expired => tracing::error!(
                webhook,
                id,
                said,
                "Change not announced: the receiver did not take it in the webhook's retry_for"
            ),
        }
    }
}

/// Whether the state of a model is a verdict, and not a reason why none can be given.
fn is_verdict(model: &ModelReport) -> bool {
    matches!(
        model.state,
        State::Ok | State::Constant | State::Drifted | State::TypeChanged | State::Accepted
    )
}

/// The level a stored word stands for.
fn named(word: &str) -> Option<Level> {
    let levels = [Level::Ok, Level::Warn, Level::Alert];
    levels.into_iter().find(|level| level.as_str() == word)
}
