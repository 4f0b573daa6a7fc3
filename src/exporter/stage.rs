//! The stage: gathers, converts, sends, and says so once when what becomes of it changes.

use std::borrow::Cow;
use std::error::Error as _;
use std::future::Future;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::StatusCode;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::Config;
use crate::metrics::Metrics;
use crate::metrics::otlp::{Page, rejected};
use crate::push::{Answer, Dial, Failure, Hidden, Post, post};
use crate::timestamp::Timestamp;

/// The last export, on the way out, may not hold up the end for longer.
const LAST: Duration = Duration::from_secs(1);

/// Longest a receiver is left alone because it asked for it.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Pushes the metrics.
pub struct Exporter {
    /// Where to, and how.
    pub config: Config,
    /// Opens connections to the receiver.
    pub dial: Dial,
    /// What is exported.
    pub metrics: Arc<Metrics>,
    /// Since when the counters count.
    pub started: Timestamp,
}

/// What became of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The receiver took it.
    Taken,
    /// It took a part of it.
    InPart,
    /// It answered with another status.
    Refused(StatusCode),
    /// There was no answer.
    Unanswered,
    /// There was nothing to send.
    NoMetrics,
}

// === impl Exporter ===

impl Exporter {
    /// Exports every interval until `stop` resolves, and then once more.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut last = None;
        let mut not_before = Instant::now();
        tokio::pin!(stop);
        let begin = Instant::now() + self.config.interval;
        let mut ticks = interval_at(begin, self.config.interval);
        // One that took too long takes the place of those that would have begun meanwhile.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let going_on = async {
            loop {
                ticks.tick().await;
                if Instant::now() >= not_before {
                    let pause = self.export(&mut last).await;
                    not_before = Instant::now() + pause.unwrap_or_default().min(LONGEST_PAUSE);
                }
            }
        };
        tokio::select! {
            () = going_on => {}
            () = stop => {}
        }
        if timeout(LAST, self.export(&mut last)).await.is_err() {
            tracing::warn!(
                endpoint = %self.config.endpoint,
                "The last metrics were not taken within {LAST:?}"
            );
        }
    }

    /// One export; how long the receiver asks to be left alone.
    async fn export(&self, last: &mut Option<Outcome>) -> Option<Duration> {
        let page = Page {
            resource: &self.config.resource,
            started: self.started,
            now: Timestamp::now(),
        };
        let (outcome, said, pause) = match self.metrics.otlp(page) {
            Err(error) => (Outcome::NoMetrics, error.to_string(), None),
            Ok(message) => match self.send(message).await {
                Ok(answer) => {
                    let (outcome, said) = judge(&answer);
                    (outcome, said, answer.retry_after)
                }
                Err(error) => {
                    let said = match error.source() {
                        Some(source) => format!("{error}: {source}"),
                        None => error.to_string(),
                    };
                    (Outcome::Unanswered, said, None)
                }
            },
        };
        self.say(*last, outcome, &self.hidden().mask(&said));
        *last = Some(outcome);
        pause
    }

    async fn send(&self, message: Vec<u8>) -> Result<Answer, Failure> {
        let mut headers: Vec<(Cow<'static, str>, String)> = (self.config.headers.iter())
            .map(|header| (Cow::Owned(header.name.clone()), header.value.clone()))
            .collect();
        let body = if self.config.gzip {
            headers.push((Cow::Borrowed("content-encoding"), "gzip".to_owned()));
            gzip(&message)
        } else {
            message
        };
        let what = Post {
            endpoint: &self.config.endpoint,
            headers,
            content_type: "application/x-protobuf",
            body: Bytes::from(body),
        };
        post(&self.dial, what, self.config.timeout).await
    }

    /// What a receiver may repeat and nobody is shown.
    fn hidden(&self) -> Hidden {
        let values = self.config.headers.iter().map(|header| &*header.value);
        Hidden::new(&self.config.endpoint, values)
    }

    /// Logs what is other than it was the last time.
    fn say(&self, last: Option<Outcome>, outcome: Outcome, said: &str) {
        let endpoint = &self.config.endpoint;
        if last == Some(outcome) {
            tracing::debug!(%endpoint, ?outcome, said, "Metrics exported or not, as before");
        } else if outcome == Outcome::Taken {
            tracing::info!(%endpoint, "Metrics exported");
        } else {
            tracing::warn!(%endpoint, ?outcome, said, "Metrics not exported; said once until it changes");
        }
    }
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporter")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// What an answer means (OTLP 1.x, "OTLP/HTTP Response"), and what it says.
fn judge(answer: &Answer) -> (Outcome, String) {
    if !answer.status.is_success() {
        let said = format!("{} {}", answer.status, answer.text);
        return (Outcome::Refused(answer.status), said.trim().to_owned());
    }
    match rejected(&answer.body) {
        Some(why) => (Outcome::InPart, why),
        None => (Outcome::Taken, String::new()),
    }
}

fn gzip(message: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    (encoder.write_all(message))
        .and_then(|()| encoder.finish())
        .expect("a vector takes everything")
}
