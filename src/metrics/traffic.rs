//! Requests as they pass: counted by the thread that serves them, put together at a scrape.
//!
//! Each serving thread holds a [`Shard`] of its own. Its locks are contended by a scrape alone,
//! which holds them for microseconds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::model::ModelName;

use super::connection::{ConnectionCounters, ConnectionTotals};
use super::latency::{self, Leg, Merged, Rolling};
use super::series::{BucketTotals, Interned, Labels};

/// The traffic of every thread.
#[derive(Debug)]
pub struct Traffic {
    /// Models in the configuration's order.
    models: Vec<ModelName>,
    /// Where the intervals of the rolling latencies are counted from.
    origin: Instant,
    /// One per serving thread; threads live as long as the process.
    shards: Mutex<Vec<Arc<Shard>>>,
}

/// What one thread has seen. Correct from any thread, fast from one.
#[derive(Debug)]
pub struct Shard {
    origin: Instant,
    /// One entry per model, then one for requests of no model.
    models: Vec<ModelShard>,
    connections: ConnectionCounters,
}

/// One finished request.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// Index of the model; `None` where no route matched.
    pub model: Option<usize>,
    /// The configured path that matched, never the raw one; empty where none did.
    pub route: &'a str,
    /// The request's method, as the client sent it.
    pub method: &'a str,
    /// The status sent to the client; 499 where it went away before one was.
    pub status: u16,
    /// Why the exchange failed, in a word as in the `driftd-error` header; `client_aborted`,
    /// `upstream_truncated`, `body_timeout` and `shutdown` where no answer of ours said so.
    pub error: Option<&'static str>,
    /// When the response ended.
    pub ended: Instant,
    /// From the request's head to then.
    pub total: Duration,
    /// The upstream's share, where it was reached.
    pub upstream: Option<Duration>,
}

/// The traffic of one model in figures.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Requests finished since the start.
    pub requests: u64,
    /// Those answered with a status of 500 or above.
    pub errors: u64,
    /// Requests under way.
    pub active: u64,
    /// Requests finished in the last minute.
    pub last_minute: u64,
    /// Latency as the client saw it, over the last minute.
    pub total: Option<Quantiles>,
    /// The upstream's share.
    pub upstream: Option<Quantiles>,
    /// What driftd added.
    pub overhead: Option<Quantiles>,
}

/// Latency quantiles in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// 50 %, the median.
    pub p50: f64,
    /// 95 %.
    pub p95: f64,
    /// 99 %.
    pub p99: f64,
}

#[derive(Debug, Default)]
struct ModelShard {
    /// May be negative in one shard: a request can end on another thread than it began on.
    active: AtomicI64,
    /// Under one lock: to take another, or to count with atomics, costs more than to count.
    finished: Mutex<Finished>,
}

/// The finished requests of one model on one thread.
#[derive(Debug, Default)]
struct Finished {
    requests: u64,
    errors: u64,
    interned: Interned,
    /// One per [`Leg`].
    legs: [Rolling; Leg::ALL.len()],
}

/// The request histograms of one label set, over all threads.
#[derive(Debug, Default)]
pub(super) struct RequestTotals {
    /// Request to end of response.
    pub(super) total: BucketTotals,
    /// The upstream's share.
    pub(super) upstream: BucketTotals,
}

// === impl Traffic ===

impl Traffic {
    /// No traffic yet, for models in the configuration's order.
    #[must_use]
    pub fn new(models: Vec<ModelName>) -> Arc<Self> {
        Arc::new(Self {
            models,
            origin: Instant::now(),
            shards: Mutex::default(),
        })
    }

    /// A shard for a thread that is about to serve.
    #[must_use]
    pub fn shard(self: &Arc<Self>) -> Arc<Shard> {
        let models = (0..=self.models.len()).map(|_| ModelShard::default());
        let shard = Arc::new(Shard {
            origin: self.origin,
            models: models.collect(),
            connections: ConnectionCounters::default(),
        });
        lock(&self.shards).push(Arc::clone(&shard));
        shard
    }

    /// The traffic of one model; all zero for one that does not exist.
    #[must_use]
    pub fn summary(&self, model: usize) -> Summary {
        if model >= self.models.len() {
            return Summary::default();
        }
        let shards = self.shards();
        let sum = |of: fn(&Finished) -> u64| {
            let counts = shards.iter().map(|s| of(&s.models[model].finished()));
            counts.sum()
        };
        let legs = Leg::ALL.map(|leg| merged(&shards, model, leg, self.origin.elapsed()));
        let [total, upstream, overhead] = &legs;
        Summary {
            requests: sum(|finished| finished.requests),
            errors: sum(|finished| finished.errors),
            active: active(&shards, model),
            last_minute: total.recent(),
            total: Quantiles::of(total),
            upstream: Quantiles::of(upstream),
            overhead: Quantiles::of(overhead),
        }
    }

    /// Every slot with the name of its model: the models', then the one of no model (empty).
    pub(super) fn slots(&self) -> impl Iterator<Item = (usize, &str)> {
        let names = self.models.iter().map(ModelName::as_str);
        names.chain([""]).enumerate()
    }

    /// Requests under way in a slot.
    pub(super) fn active(&self, slot: usize) -> u64 {
        active(&self.shards(), slot)
    }

    /// The request histograms of a slot, by label set.
    pub(super) fn requests(&self, slot: usize) -> BTreeMap<Labels, RequestTotals> {
        let mut totals: BTreeMap<Labels, RequestTotals> = BTreeMap::new();
        for shard in self.shards() {
            let list = shard.models[slot].finished().interned.list();
            for series in list {
                let entry = totals.entry(series.labels).or_default();
                entry.total.add(&series.total);
                entry.upstream.add(&series.upstream);
            }
        }
        totals
    }

    /// The latencies of one leg of a slot.
    pub(super) fn latency(&self, slot: usize, leg: Leg) -> Merged {
        merged(&self.shards(), slot, leg, self.origin.elapsed())
    }

    /// What befell the connections.
    pub(super) fn connections(&self) -> ConnectionTotals {
        let mut totals = ConnectionTotals::default();
        for shard in self.shards() {
            totals.add(&shard.connections);
        }
        totals
    }

    fn shards(&self) -> Vec<Arc<Shard>> {
        lock(&self.shards).clone()
    }
}

// === impl Shard ===

impl Shard {
    /// Counts a request whose head has arrived. Each needs one [`Shard::finished`], on any shard.
    pub fn started(&self, model: Option<usize>) {
        self.slot(model).active.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that has ended, however it did.
    pub fn finished(&self, observation: &Observation<'_>) {
        let slot = self.slot(observation.model);
        slot.active.fetch_sub(1, Ordering::Relaxed);
        let number = latency::number(observation.ended.saturating_duration_since(self.origin));
        let mut finished = slot.finished();
        finished.requests += 1;
        finished.errors += u64::from(observation.status >= 500);
        let series = finished.interned.series(observation);
        series.total.record(observation.total);
        if let Some(upstream) = observation.upstream {
            series.upstream.record(upstream);
        }
        let legs = &mut finished.legs;
        legs[Leg::Total as usize].record(observation.total, number);
        if let Some(upstream) = observation.upstream {
            let overhead = observation.total.saturating_sub(upstream);
            legs[Leg::Upstream as usize].record(upstream, number);
            legs[Leg::Overhead as usize].record(overhead, number);
        }
    }

    /// The counters of what befalls connections.
    pub const fn connections(&self) -> &ConnectionCounters {
        &self.connections
    }

    fn slot(&self, model: Option<usize>) -> &ModelShard {
        let last = self.models.len() - 1;
        &self.models[model.map_or(last, |model| model.min(last))]
    }
}

// === impl ModelShard ===

impl ModelShard {
    fn finished(&self) -> MutexGuard<'_, Finished> {
        lock(&self.finished)
    }
}

// === impl Quantiles ===

impl Quantiles {
    fn of(merged: &Merged) -> Option<Self> {
        Some(Self {
            p50: merged.quantile(0.5)?,
            p95: merged.quantile(0.95)?,
            p99: merged.quantile(0.99)?,
        })
    }
}

fn active(shards: &[Arc<Shard>], slot: usize) -> u64 {
    let counts = shards.iter().map(|shard| &shard.models[slot].active);
    let sum: i64 = counts.map(|count| count.load(Ordering::Relaxed)).sum();
    // A request seen to end but not yet to begin, on another shard, is none.
    u64::try_from(sum).unwrap_or(0)
}

/// One leg over all threads; each lock is held for one leg of one thread.
fn merged(shards: &[Arc<Shard>], slot: usize, leg: Leg, age: Duration) -> Merged {
    let mut merged = Merged::new();
    for shard in shards {
        merged.add(&shard.models[slot].finished().legs[leg as usize], age);
    }
    merged
}

/// Counters hold no invariant that a panic could break, so a poisoned lock is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic() -> Arc<Traffic> {
        Traffic::new(vec![ModelName::parse("iris").unwrap()])
    }

    fn observation(model: Option<usize>, status: u16) -> Observation<'static> {
        Observation {
            model,
            route: "/predict",
            method: "POST",
            status,
            error: None,
            ended: Instant::now(),
            total: Duration::from_millis(12),
            upstream: Some(Duration::from_millis(10)),
        }
    }

    #[test]
    fn shards_are_summed() {
        let traffic = traffic();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let shard = traffic.shard();
                std::thread::spawn(move || {
                    for _ in 0..100 {
                        shard.started(Some(0));
                        shard.finished(&observation(Some(0), 200));
                    }
                    shard.started(Some(0));
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let summary = traffic.summary(0);
        assert_eq!(
            (summary.requests, summary.errors, summary.active),
            (400, 0, 4)
        );
        assert_eq!(summary.last_minute, 400);
        let overhead = summary.overhead.unwrap().p50;
        assert!((overhead - 0.002).abs() < 2e-5, "{overhead}");
        let requests = traffic.requests(0);
        assert_eq!(requests.len(), 1);
        assert_eq!(requests.values().next().unwrap().total.count(), 400);
    }

    #[test]
    fn a_request_may_end_on_another_thread() {
        let traffic = traffic();
        let (one, other) = (traffic.shard(), traffic.shard());
        one.started(None);
        one.started(None);
        other.finished(&observation(None, 404));
        assert_eq!(traffic.active(1), 1);
        assert_eq!(traffic.summary(0), Summary::default());
    }

    #[test]
    fn errors_are_5xx() {
        let traffic = traffic();
        let shard = traffic.shard();
        for status in [200, 404, 499, 500, 504] {
            shard.finished(&observation(Some(0), status));
        }
        assert_eq!(traffic.summary(0).errors, 2);
        // An index out of range counts as no model instead of panicking.
        shard.finished(&observation(Some(99), 200));
        assert_eq!(traffic.requests(1).len(), 1);
        assert_eq!(traffic.summary(99), Summary::default());
    }
}
