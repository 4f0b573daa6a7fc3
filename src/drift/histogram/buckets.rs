//! Where the buckets of a feature end, from its reference.
//!
//! A numeric feature has an edge at every [`EDGES`]th of its reference (`le`: values up to and
//! including it), and one more just below an edge that holds so many equal values that the bucket
//! would otherwise be larger than one part in [`EDGES`]. The largest gap between two distribution
//! functions at the edges, D̂, then is at most D, and D at most D̂ plus the largest share of the
//! reference that lies strictly between two edges ([`Buckets::resolution`]): within an open bucket
//! (a, b) both functions lie between their values at a and just below b.
//!
//! A categorical feature counts by the rank of its categories in the reference, the most frequent
//! first (0, 1, 2, …), with edges halfway between ranks: no word of a user's becomes a label. A
//! category that the reference does not hold ranks behind all others. Any order of the categories
//! gives a D that is at most their total variation distance, and PSI does not depend on the order.

use sha2::{Digest, Sha256};

use crate::drift::numbers::Numbers;

/// Buckets by quantiles of the reference. D is understated by less than a fiftieth: a fifth of the
/// least effect that is called drift by default. More would cost series in every replica.
pub const EDGES: usize = 50;

/// Every so manyth edge ends a bin of the population stability index: deciles, as is customary.
const DECILE: usize = EDGES / 10;

/// The edges of one feature's buckets, and the reference's counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Buckets {
    /// Ascending and distinct; may begin with -∞, never ends with +∞, which is the last bucket's.
    edges: Vec<f64>,
    /// Reference values up to and including each edge.
    upto: Vec<u64>,
    /// All of them.
    total: u64,
    /// Sum of the finite ones.
    sum: f64,
    /// Indices of the edges that end a bin of the population stability index; behind the last one
    /// comes one more bin.
    bins: Vec<usize>,
    resolution: f64,
    identity: String,
}

/// One bin of the population stability index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Values above this.
    pub after: f64,
    /// Values up to and including this.
    pub upto: f64,
    /// Values of the reference.
    pub count: u64,
}

/// An edge while they are chosen.
#[derive(Debug, Clone, Copy)]
struct Chosen {
    edge: f64,
    upto: u64,
    ends_bin: bool,
}

// === impl Buckets ===

impl Buckets {
    /// Of numbers, of which there is at least one. `hash` is the reference's.
    #[must_use]
    pub fn of_numbers(numbers: &Numbers, hash: &str) -> Self {
        let (n, parts) = (numbers.len() as u64, EDGES as u64);
        let mut chosen: Vec<Chosen> = Vec::with_capacity(2 * EDGES);
        for part in 1..parts {
            let rank = (u128::from(part) * u128::from(n)).div_ceil(u128::from(parts)) as u64;
            let Some(value) = numbers.at_rank(rank) else {
                break;
            };
            // -0 and 0 are equal, and one label.
            let value = value + 0.0;
            let decile = (part as usize).is_multiple_of(DECILE);
            if let Some(last) = chosen.last_mut().filter(|last| last.edge >= value) {
                last.ends_bin |= decile;
                continue;
            }
            let upto = numbers.upto(value);
            let before = chosen.last().map_or(0, |last| last.upto);
            let below = value.next_down();
            let room = chosen.last().is_none_or(|last| last.edge < below);
            // More than one part in EDGES, which is only where values are equal.
            if (upto - before) * parts > n && below < value && room {
                let upto_below = numbers.upto(below);
                chosen.push(Chosen {
                    edge: below,
                    upto: upto_below,
                    ends_bin: (upto - upto_below) * 10 >= n,
                });
            }
            if value == f64::INFINITY {
                break;
            }
            chosen.push(Chosen {
                edge: value,
                upto,
                ends_bin: decile,
            });
        }
        let finite = numbers.upto(f64::MAX) - numbers.upto(f64::NEG_INFINITY);
        let mean = numbers.moments().map_or(0.0, |moments| moments.mean);
        let sum = (mean * finite as f64).clamp(f64::MIN, f64::MAX);
        Self::new(&chosen, n, sum, hash)
    }

    /// Of categories by the number of reference rows that hold them, the most frequent first.
    #[must_use]
    pub fn of_categories(counts: &[u64], hash: &str) -> Self {
        let mut upto = 0;
        let chosen: Vec<Chosen> = (counts.iter().take(EDGES).enumerate())
            .map(|(rank, count)| {
                upto += count;
                Chosen {
                    edge: rank as f64 + 0.5,
                    upto,
                    ends_bin: true,
                }
            })
            .collect();
        let ranked = counts.iter().enumerate();
        let sum = ranked.map(|(rank, count)| rank as f64 * *count as f64);
        let mut buckets = Self::new(&chosen, counts.iter().sum(), sum.sum(), hash);
        // Between two halves there is one rank; behind the last edge there may be many.
        buckets.resolution = (buckets.total - upto) as f64 / buckets.total.max(1) as f64;
        buckets
    }

    fn new(chosen: &[Chosen], total: u64, sum: f64, hash: &str) -> Self {
        let edges: Vec<f64> = chosen.iter().map(|each| each.edge).collect();
        let upto: Vec<u64> = chosen.iter().map(|each| each.upto).collect();
        let bins = (0..chosen.len()).filter(|i| chosen[*i].ends_bin).collect();
        let mut content = Sha256::new().chain_update(hash);
        for (edge, upto) in edges.iter().zip(&upto) {
            content.update(edge.to_bits().to_le_bytes());
            content.update(upto.to_le_bytes());
        }
        let digest = content.chain_update(total.to_le_bytes()).finalize();
        let identity = digest[..4].iter().map(|byte| format!("{byte:02x}"));
        Self {
            resolution: resolution(&edges, &upto, total),
            identity: identity.collect(),
            edges,
            upto,
            total,
            sum,
            bins,
        }
    }

    /// Where the buckets end, ascending; behind the last edge is one more bucket.
    #[must_use]
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// Reference values up to and including each edge.
    #[must_use]
    pub fn upto(&self) -> &[u64] {
        &self.upto
    }

    /// All values of the reference.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Sum of the reference's finite values.
    #[must_use]
    pub const fn sum(&self) -> f64 {
        self.sum
    }

    /// By how much D at the edges may fall short of D.
    #[must_use]
    pub const fn resolution(&self) -> f64 {
        self.resolution
    }

    /// Eight hex digits over the reference's hash, the edges and the reference's counts: buckets of
    /// equal identity can be added up.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The bins of the population stability index: about deciles of the reference, or categories.
    pub fn bins(&self) -> impl Iterator<Item = Bin> {
        let mut before = (f64::NEG_INFINITY, 0);
        let inner = self.bins.iter().map(|at| (self.edges[*at], self.upto[*at]));
        inner
            .chain([(f64::INFINITY, self.total)])
            .map(move |(edge, upto)| {
                let (after, counted) = std::mem::replace(&mut before, (edge, upto));
                Bin {
                    after,
                    upto: edge,
                    count: upto - counted,
                }
            })
    }

    /// The bucket a value belongs to: the index of the first edge that is not below it.
    #[must_use]
    pub fn of(&self, value: f64) -> usize {
        self.edges.partition_point(|edge| *edge < value)
    }
}

/// The largest share of the reference between two edges that have values between them.
fn resolution(edges: &[f64], upto: &[u64], total: u64) -> f64 {
    let mut most = 0;
    let mut before = (f64::NEG_INFINITY, 0);
    for (edge, upto) in edges.iter().zip(upto).chain([(&f64::INFINITY, &total)]) {
        // Nothing fits between neighbours, nor below -∞.
        if edge.next_down() > before.0 {
            most = most.max(upto - before.1);
        }
        before = (*edge, *upto);
    }
    most as f64 / total.max(1) as f64
}
