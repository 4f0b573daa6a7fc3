//! One receiver: what it knows, what waits for it, and its deliveries, one after the other.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error as _;

use bytes::Bytes;
use tokio::sync::Notify;
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
    changes: VecDeque<Announcement>,
    /// The window refused, which was said once.
    refused: bool,
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
            let announcement = now.map(|_| self.announcement(model, known));
            let level = now.map_or("", Level::as_str);
            let saved = window.announce(&self.config.name, index, level, announcement.clone());
            if let Err(error) = &saved
                && !state.refused
            {
                tracing::warn!(%error, webhook = self.config.name, "A change is announced that the window does not hold: a restart may announce it again");
            }
            state.refused = saved.is_err();
            state.changes.extend(announcement);
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
            let next = self.state.borrow_mut().changes.pop_front();
            let Some(change) = next else {
                self.work.notified().await;
                continue;
            };
            self.busy.set(true);
            let outcome = self.deliver_one(&change).await;
            self.busy.set(false);
            self.settle(&change, outcome);
            self.count(&self.state.borrow());
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
            pending.extend(announced.pending);
        }
        pending.sort_by_key(|change| change.time);
        state.changes.extend(pending);
        true
    }

    fn announcement(&self, report: &ModelReport, known: Option<Level>) -> Announcement {
        let (id, time) = (Uuid::now_v7().to_string(), Timestamp::now());
        let from = known.unwrap_or_default();
        let change = Change {
            id: &id,
            time,
            page: &self.links.page,
            from,
            report,
        };
        let body = event::body(change, self.config.format);
        Announcement {
            from: from.as_str().to_owned(),
            to: report.level.as_str().to_owned(),
            id,
            time,
            body,
        }
    }

    /// Drops the oldest changes of a queue that is full.
    fn bound(&self, state: &mut Waiting) {
        while state.changes.len() > self.config.queue {
            if let Some(change) = state.changes.pop_front() {
                self.settle(&change, Delivery::Dropped);
            }
        }
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

    /// Tries until it is known what becomes of a change.
    async fn deliver_one(&self, change: &Announcement) -> Delivery {
        let mut retries = Retries::default();
        loop {
            if self.gone.get() {
                return Delivery::Gone;
            }
            let answer = self.try_once(change).await;
            let left = self.config.retry_for;
            let left = left.saturating_sub(Timestamp::now().since(change.time));
            let verdict = retries.judge(&answer, left, fastrand::f64());
            self.say(change, &answer, &verdict);
            match verdict {
                Verdict::Delivered => return Delivery::Delivered,
                Verdict::Rejected => return Delivery::Rejected,
                Verdict::Expired => return Delivery::Expired,
                Verdict::Gone => self.gone.set(true),
                Verdict::Later(pause) => {
                    self.links.counters.retried(self.place);
                    tokio::time::sleep(pause).await;
                }
            }
        }
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
                    "Change refused by the receiver, and not tried again; correct the webhook's url or secret"
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
