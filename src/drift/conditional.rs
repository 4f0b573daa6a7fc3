//! Exact test of homogeneity for categorical features too sparse for the chi-squared law.
//!
//! Given both margins the table of counts has a known law (the multivariate hypergeometric one), so
//! the probability of a statistic at least as large as the observed one is a sum over tables.

use super::p_value::PValue;
use super::saddle_point::{LogSum, deviance, log_factorial_residual};

/// A statistic this little below the observed one, relatively, counts as equal to it: rounding must
/// not cut off tables exactly as extreme.
const TIE: f64 = 1e-12;

/// Partial statistics as close as this, relatively, are one and the same: rounding separates equal
/// ones by a few units in the last place, far less than [`TIE`].
const SAME: f64 = 1e-14;

/// P(χ² ≥ observed) given both margins of the 2×K table, χ² being the statistic of
/// [`chi2::homogeneity`](super::chi2::homogeneity).
///
/// `scipy.stats.chi2_contingency([reference, current], method=PermutationMethod(n_resamples=inf))`,
/// if only scipy could count them all.
///
/// Preconditions: the slices are parallel, one entry per category; past the shorter one, entries are
/// ignored. `None` as for `chi2::homogeneity` (fewer than two categories, or an empty row), where a
/// row holds 2⁵³ rows or more, and where more than `budget` partial tables would be visited. Time and
/// memory are at most in proportion to `budget`: about 0.1 µs and 48 bytes each.
///
/// Categories are taken one after another, as in the network algorithm of Mehta and Patel (1983):
/// partial tables that have used up equally many current rows for an equal part of the statistic are
/// merged, those bound to fall short are dropped, and those bound to reach it are counted with all
/// their completions at once.
pub fn homogeneity(reference: &[u64], current: &[u64], budget: u64) -> Option<PValue> {
    let table = Table::new(reference, current)?;
    let target = table.observed * (1.0 - TIE);
    let mut budget = budget;
    let mut reached = LogSum::EMPTY;
    let mut nodes = vec![Node {
        used: 0,
        statistic: 0.0,
        log_weight: 0.0,
    }];
    for at in 0..table.columns.len() {
        let mut next = Vec::new();
        for node in &nodes {
            let low = node.used.max(table.least_used(at + 1));
            let high = table.row.min(node.used + table.columns[at]);
            for used in low..=high {
                budget = budget.checked_sub(1)?;
                let count = used - node.used;
                let statistic = node.statistic + table.part(at, count);
                let log_weight = node.log_weight + table.log_binomial(table.columns[at], count);
                let rest = table.rest(at + 1, used);
                if statistic + rest.least >= target {
                    reached.add(log_weight + table.log_binomial(rest.size, rest.count));
                } else if statistic + rest.most >= target {
                    next.push(Node {
                        used,
                        statistic,
                        log_weight,
                    });
                }
            }
        }
        nodes = merged(next);
    }
    Some(PValue::from_ln(reached.ln() - table.log_margin()))
}

/// A 2×K table without its empty columns; the row with fewer counts is the one enumerated.
struct Table {
    /// Column totals.
    columns: Vec<u64>,
    /// Sums of the columns from the k-th on; K + 1 of them.
    sizes_left: Vec<u64>,
    /// Total of the enumerated row.
    row: u64,
    /// Total of the other row.
    other: u64,
    /// Σ (b·N - column·row)²/column over the enumerated counts b: χ² times row·other.
    observed: f64,
}

/// What the columns still to come can add.
struct Rest {
    /// Their total.
    size: u64,
    /// How much of it belongs to the enumerated row.
    count: u64,
    /// No completion adds less to the statistic.
    least: f64,
    /// No completion adds more.
    most: f64,
}

/// Partial tables alike in all that matters to what follows.
#[derive(Clone, Copy)]
struct Node {
    /// Counts of the enumerated row placed so far.
    used: u64,
    /// Their part of the statistic.
    statistic: f64,
    /// ln of the sum of their probabilities, in independent binomial draws.
    log_weight: f64,
}

// === impl Table ===

impl Table {
    fn new(reference: &[u64], current: &[u64]) -> Option<Self> {
        let mut cells: Vec<(u64, u64)> = Vec::with_capacity(reference.len());
        let (mut first, mut second) = (0_u64, 0_u64);
        for (&a, &b) in reference.iter().zip(current) {
            first = first.checked_add(a)?;
            second = second.checked_add(b)?;
            if a > 0 || b > 0 {
                cells.push((a, b));
            }
        }
        if cells.len() < 2 || first == 0 || second == 0 || first.max(second) >= 1 << 53 {
            return None;
        }
        if first < second {
            cells.iter_mut().for_each(|cell| *cell = (cell.1, cell.0));
        }
        // Equal columns side by side merge best, and large ones last are counted in one go most.
        cells.sort_by_key(|&(a, b)| a + b);
        let columns: Vec<u64> = cells.iter().map(|&(a, b)| a + b).collect();
        let mut sizes_left = vec![0; columns.len() + 1];
        for at in (0..columns.len()).rev() {
            sizes_left[at] = sizes_left[at + 1] + columns[at];
        }
        let mut table = Self {
            columns,
            sizes_left,
            row: first.min(second),
            other: first.max(second),
            observed: 0.0,
        };
        table.observed = cells
            .iter()
            .enumerate()
            .map(|(at, &(_, count))| table.part(at, count))
            .sum();
        Some(table)
    }

    /// b·N - size·row, exactly: N times what b exceeds its expectation by.
    fn excess(&self, size: u64, count: u64) -> f64 {
        let total = i128::from(self.row) + i128::from(self.other);
        (i128::from(count) * total - i128::from(size) * i128::from(self.row)) as f64
    }

    /// What one column adds to the statistic.
    fn part(&self, at: usize, count: u64) -> f64 {
        let size = self.columns[at];
        let excess = self.excess(size, count);
        excess * (excess / size as f64)
    }

    /// The fewest counts of the row to have placed before column `at`, for the rest to hold the others.
    fn least_used(&self, at: usize) -> u64 {
        self.row.saturating_sub(self.sizes_left[at])
    }

    /// Bounds on what columns `at` and up add, `used` counts of the row being placed before them.
    fn rest(&self, at: usize, used: u64) -> Rest {
        let size = self.sizes_left[at];
        let count = self.row - used;
        if size == 0 {
            return Rest {
                size,
                count,
                least: 0.0,
                most: 0.0,
            };
        }
        // Least: shared out in proportion (Cauchy and Schwarz). Most: b² ≤ b·column, so
        // Σ b²/column ≤ count, attained by columns that are either full or empty.
        let excess = self.excess(size, count);
        let least = excess * (excess / size as f64);
        let total = self.row as f64 + self.other as f64;
        let spread = count as f64 * ((size - count) as f64 / size as f64) * total * total;
        // A lone last column leaves no choice.
        let most = if at + 1 == self.columns.len() {
            least
        } else {
            least + spread
        };
        Rest {
            size,
            count,
            least,
            most,
        }
    }

    /// ln P(`count` of `size` draws), each for the enumerated row with probability row/N.
    ///
    /// Given that the whole row adds up these weights are those of the multivariate hypergeometric
    /// law, and unlike bare binomial coefficients they are of moderate size. Saddle-point form.
    fn log_binomial(&self, size: u64, count: u64) -> f64 {
        let total = self.row as f64 + self.other as f64;
        let surplus = self.excess(size, count) / total;
        let (hits, misses) = (count as f64, (size - count) as f64);
        log_factorial_residual(size as f64)
            - log_factorial_residual(hits)
            - log_factorial_residual(misses)
            - deviance(hits, -surplus)
            - deviance(misses, surplus)
    }

    /// ln P(the row adds up as it does).
    fn log_margin(&self) -> f64 {
        self.log_binomial(self.row + self.other, self.row)
    }
}

/// ln(eᵃ + eᵇ), not both -∞.
fn log_plus(a: f64, b: f64) -> f64 {
    let (large, small) = if a >= b { (a, b) } else { (b, a) };
    large + (small - large).exp().ln_1p()
}

/// Joins equal partial tables.
fn merged(mut nodes: Vec<Node>) -> Vec<Node> {
    nodes.sort_unstable_by(|a, b| {
        a.used
            .cmp(&b.used)
            .then(a.statistic.total_cmp(&b.statistic))
    });
    nodes.dedup_by(|later, kept| {
        let same =
            later.used == kept.used && later.statistic - kept.statistic <= SAME * kept.statistic;
        if same {
            kept.log_weight = log_plus(kept.log_weight, later.log_weight);
        }
        same
    });
    nodes
}
