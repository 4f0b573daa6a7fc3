//! The announcer: tells receivers of webhooks when the level of a model's verdict has changed.
//!
//! It compares the report in force with what each receiver knows, writes the difference into the
//! window's outbox, and delivers from there in the order of the changes.
//!
//! Invariant: it runs on a thread of its own and only reads what others publish: neither traffic nor
//! checks wait for a receiver, dead or alive.
//! Invariant: a change is in the window before it is sent, and stays until it is known what became of
//! it: no restart announces it twice, or loses it. Where the window cannot be written it is sent all
//! the same.

mod receiver;

use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::{JoinSet, LocalSet};

use crate::drift::Report;
use crate::metrics::webhook::WebhookCounters;
use crate::push::{Config, Dial};
use crate::window::Window;
use receiver::Receiver;

/// Between looks at the report. Looking costs next to nothing, and changes come minutes apart.
const LOOK: Duration = Duration::from_millis(200);

/// The stage itself.
pub struct Announcer {
    /// The receivers, each with what opens connections to it.
    pub receivers: Vec<(Config, Dial)>,
    /// What it shares with other stages.
    pub links: Links,
}

/// What the announcer shares with other stages.
#[derive(Debug, Clone)]
pub struct Links {
    /// Where reports are published.
    pub report: Arc<ArcSwap<Report>>,
    /// The window, once it is open.
    pub window: Arc<OnceLock<Window>>,
    /// Where it is counted what became of each change.
    pub counters: Arc<WebhookCounters>,
    /// Where people reach the page.
    pub page: String,
}

// === impl Announcer ===

impl Announcer {
    /// Announces until `stop` resolves. What is not delivered then is in the window, and is by the next
    /// start.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { receivers, links } = self;
        let receivers: Vec<Rc<Receiver>> = (receivers.into_iter().enumerate())
            .map(|(place, (config, dial))| {
                Rc::new(Receiver::new(place, config, dial, links.clone()))
            })
            .collect();
        let local = LocalSet::new();
        let announced = local.run_until(async {
            let mut deliveries = JoinSet::new();
            for receiver in &receivers {
                let receiver = Rc::clone(receiver);
                deliveries.spawn_local(async move { receiver.deliver().await });
            }
            loop {
                if let Some(window) = links.window.get() {
                    let report = links.report.load();
                    for receiver in &receivers {
                        receiver.observe(window, &report);
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        tokio::select! {
            () = announced => {}
            () = stop => {}
        }
        for receiver in &receivers {
            receiver.leave();
        }
    }
}

impl std::fmt::Debug for Announcer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let receivers = self.receivers.iter().map(|(config, _)| config);
        f.debug_list().entries(receivers).finish()
    }
}

#[cfg(test)]
mod tests;
