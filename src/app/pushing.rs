//! The announcer on a thread of its own, and the connections it opens.

use std::sync::Arc;

use super::Error;
use super::certificates::problem;
use super::monitoring::Shared;
use super::threads::Stoppable;
use crate::announcer::{Announcer, Links};
use crate::config::{Config, Problems};
use crate::metrics::webhook::WebhookCounters;
use crate::proxy::{ClientTls, Dialler, Upstream};
use crate::push::{self, Connection, Dial};

/// The receivers of webhooks, with the TLS they are reached with.
#[derive(Debug, Clone, Default)]
pub(super) struct Receivers(Vec<(push::Config, Upstream, Option<ClientTls>)>);

// === impl Receivers ===

impl Receivers {
    /// Reads the certificates each needs.
    pub(super) fn load(config: &Config) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut receivers = Vec::new();
        for webhook in &config.webhooks {
            let tls = (webhook.endpoint.has_tls())
                .then(|| ClientTls::load("webhook.ca", webhook.ca.as_deref()))
                .transpose();
            let address = Upstream::parse(webhook.endpoint.origin());
            match (address, tls) {
                (Ok(address), Ok(tls)) => receivers.push((webhook.clone(), address, tls)),
                (Err(error), _) | (_, Err(error)) => problems.push(problem(&error)),
            }
        }
        if problems.is_empty() {
            Ok(Self(receivers))
        } else {
            Err(Problems(problems))
        }
    }

    /// Where it is counted what became of each change.
    pub(super) fn counters(&self) -> Arc<WebhookCounters> {
        let names = self.0.iter().map(|(webhook, ..)| webhook.name.clone());
        Arc::new(WebhookCounters::new(names))
    }

    /// Begins to announce, where there is anybody to be told.
    pub(super) fn announce(
        self,
        shared: &Shared,
        counters: Arc<WebhookCounters>,
        page: String,
    ) -> Result<Option<Stoppable>, Error> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let announcer = Announcer {
            receivers: (self.0.into_iter())
                .map(|(webhook, address, tls)| (webhook, dial(address, tls)))
                .collect(),
            links: Links {
                report: Arc::clone(&shared.report),
                window: Arc::clone(&shared.window),
                counters,
                page,
            },
        };
        Stoppable::spawn("driftd-webhook", move |stop| announcer.run(stop)).map(Some)
    }
}

/// Opens connections to `address`. A name is looked up for each: they come hours
/// apart, or a minute.
pub(super) fn dial(address: Upstream, tls: Option<ClientTls>) -> Dial {
    Box::new(move || {
        let dialler = Dialler::new(address.clone(), tls.clone());
        Box::pin(async move {
            let stream = dialler.open().await?;
            Ok(Box::new(stream) as Box<dyn Connection>)
        })
    })
}
