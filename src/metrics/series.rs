//! Request histograms by label set: interned, and bounded in number.

use std::sync::Arc;
use std::time::Duration;

use super::latency::nanos;
use super::traffic::Observation;

/// Upper bounds in nanoseconds, as OpenTelemetry's conventions give them for request durations.
pub(super) const BOUNDS_NANOS: [u64; 14] = [
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    75_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    750_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    7_500_000_000,
    10_000_000_000,
];

/// The most label sets kept per model and thread; what comes later is counted as [`OTHER`].
pub(super) const MOST_SETS: usize = 100;

/// The value of labels that are not told apart.
pub(super) const OTHER: &str = "_OTHER";

/// The methods of the HTTP standards; any other reads [`OTHER`], for clients can invent them.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// The labels of one request series, apart from the model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Labels {
    /// The configured path.
    pub(super) route: Arc<str>,
    /// The request's method.
    pub(super) method: &'static str,
    /// The status sent; `None` where it is not told apart.
    pub(super) status: Option<u16>,
    /// Why the exchange failed, where it did.
    pub(super) error: Option<&'static str>,
}

/// The histograms of one label set on one thread.
#[derive(Debug, Clone)]
pub(super) struct RequestSeries {
    /// What they are of.
    pub(super) labels: Labels,
    /// Request to end of response.
    pub(super) total: Buckets,
    /// The upstream's share.
    pub(super) upstream: Buckets,
}

/// A histogram that is only ever added to.
#[derive(Debug, Clone, Default)]
pub(super) struct Buckets {
    /// One count per bound, then one for everything above; not cumulative.
    counts: [u64; BOUNDS_NANOS.len() + 1],
    sum_nanos: u64,
}

/// A histogram as exposed: several [`Buckets`] put together.
#[derive(Debug, Clone, Default)]
pub(super) struct BucketTotals {
    /// One count per bound, then one for everything above; not cumulative.
    pub(super) counts: [u64; BOUNDS_NANOS.len() + 1],
    /// Sum in seconds.
    pub(super) sum: f64,
}

/// The label sets one thread has seen of one model.
#[derive(Debug, Default)]
pub(super) struct Interned {
    /// The last one is the overflow, once there are more than [`MOST_SETS`].
    sets: Vec<RequestSeries>,
}

// === impl Interned ===

impl Interned {
    /// The series of an observation's label set.
    pub(super) fn series(&mut self, observation: &Observation<'_>) -> &mut RequestSeries {
        let method = known(observation.method);
        let found = self.sets.iter().position(|series| {
            let labels = &series.labels;
            labels.status == Some(observation.status)
                && labels.method == method
                && labels.error == observation.error
                && *labels.route == *observation.route
        });
        let index = found.unwrap_or_else(|| self.intern(observation, method));
        &mut self.sets[index]
    }

    /// The series seen so far; copied, so that the thread that records hardly waits.
    pub(super) fn list(&self) -> Vec<RequestSeries> {
        self.sets.clone()
    }

    fn intern(&mut self, observation: &Observation<'_>, method: &'static str) -> usize {
        if self.sets.len() > MOST_SETS {
            return MOST_SETS;
        }
        let full = self.sets.len() == MOST_SETS;
        let labels = if full {
            Labels {
                route: OTHER.into(),
                method: OTHER,
                status: None,
                error: Some(OTHER),
            }
        } else {
            Labels {
                route: observation.route.into(),
                method,
                status: Some(observation.status),
                error: observation.error,
            }
        };
        let (total, upstream) = Default::default();
        self.sets.push(RequestSeries {
            labels,
            total,
            upstream,
        });
        self.sets.len() - 1
    }
}

// === impl Labels ===

impl Labels {
    /// The status as a label's value.
    pub(super) fn status(&self) -> String {
        self.status
            .map_or_else(|| OTHER.to_owned(), |status| status.to_string())
    }

    /// The error as a label's value: the cause, else the status where that says failure (as
    /// OpenTelemetry has it), else empty.
    pub(super) fn error(&self) -> String {
        match (self.error, self.status) {
            (Some(error), _) => error.to_owned(),
            (None, Some(status)) if status >= 500 => status.to_string(),
            _ => String::new(),
        }
    }
}

// === impl Buckets ===

impl Buckets {
    /// Counts a duration.
    pub(super) fn record(&mut self, duration: Duration) {
        let nanos = nanos(duration);
        let bucket = BOUNDS_NANOS.partition_point(|bound| *bound < nanos);
        self.counts[bucket] += 1;
        self.sum_nanos = self.sum_nanos.saturating_add(nanos);
    }
}

// === impl BucketTotals ===

impl BucketTotals {
    /// Adds a thread's histogram.
    pub(super) fn add(&mut self, buckets: &Buckets) {
        for (total, count) in self.counts.iter_mut().zip(&buckets.counts) {
            *total += count;
        }
        self.sum += buckets.sum_nanos as f64 / 1e9;
    }

    /// Everything counted.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

fn known(method: &str) -> &'static str {
    METHODS
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        let mut buckets = Buckets::default();
        for nanos in [0, 5_000_000, 5_000_001, 10_000_000_000, 10_000_000_001] {
            buckets.record(Duration::from_nanos(nanos));
        }
        let mut totals = BucketTotals::default();
        totals.add(&buckets);
        let counts = totals.counts;
        assert_eq!((counts[0], counts[1], counts[13], counts[14]), (2, 1, 1, 1));
        assert_eq!(totals.count(), 5);
    }

    #[test]
    fn label_sets_are_bounded() {
        let mut interned = Interned::default();
        for status in 0..500 {
            let observation = Observation {
                model: None,
                route: "/predict",
                method: "POST",
                status,
                error: None,
                ended: Instant::now(),
                total: Duration::ZERO,
                upstream: None,
            };
            interned.series(&observation).total.record(Duration::ZERO);
        }
        let list = interned.list();
        assert_eq!(list.len(), MOST_SETS + 1);
        let overflow = list.last().unwrap();
        assert_eq!(&*overflow.labels.route, OTHER);
        let mut totals = BucketTotals::default();
        totals.add(&overflow.total);
        assert_eq!(totals.count(), 400);
    }

    #[test]
    fn an_invented_method_is_no_label() {
        assert_eq!(known("POST"), "POST");
        assert_eq!(known("post"), OTHER);
        assert_eq!(known("X\"\n"), OTHER);
    }
}
