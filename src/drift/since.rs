//! Everything since the reference came into force: how much consecutive rows depend on each other,
//! and how all of them together are distributed.
//!
//! Every row counts, whether it is kept for a check or not, so that a drift too slow for any window
//! shows (see [`super::band`]). The first rows that fit the reference tell the autocorrelation time.

use serde::{Deserialize, Serialize};

use crate::feature::Cell;

use super::dependence::{BINS, Collector, Dependence};
use super::reference::{ColumnReference, Reference, Side, Track};
use super::row::{Row, Value};
use super::text::Descriptor;

/// Bins of the reference's distribution that are counted.
const CUTS: usize = 64;

/// A new estimate is made when the rows have grown by this factor.
const GROWN: f64 = 1.5;

/// What is known of the rows since the reference.
#[derive(Debug, Clone)]
pub struct Since {
    /// Rows counted.
    rows: u64,
    /// The newest of them; 0 before the first.
    newest: i64,
    tracks: Vec<Watch>,
}

/// One track since the reference.
#[derive(Debug, Clone)]
struct Watch {
    bins: Bins,
    /// The decile of the reference each bin begins in.
    deciles: Vec<u8>,
    /// The reference's shares of the bins.
    expected: Vec<f64>,
    counts: Vec<u64>,
    collector: Collector,
    /// Rows at the last estimate.
    estimated: usize,
    tau: Tau,
}

/// How values fall into bins.
#[derive(Debug, Clone)]
enum Bins {
    /// By the upper edges of all but the last.
    Cuts(Vec<f64>),
    /// Categories, the last bin for all that have none of their own.
    Categories,
}

/// The autocorrelation time of one track.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Tau {
    /// An upper bound; `None` before it is known.
    time: Option<f64>,
    /// Whether it will not change any more.
    settled: bool,
}

/// What is stored of it, so that a restart goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    rows: u64,
    newest: i64,
    tracks: Vec<(Tau, Vec<u64>)>,
}

/// How far all rows since the reference are from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// The largest gap at the edges of the bins.
    pub gap: f64,
    /// Values counted.
    pub values: u64,
}

/// Rows of one track to estimate its autocorrelation time from.
#[derive(Debug)]
pub struct Waiting {
    track: usize,
    rows: Collector,
    expected: [f64; BINS],
}

/// What they told.
#[derive(Debug)]
pub struct Estimate {
    track: usize,
    rows: usize,
    /// `None` where the rows are too few, or do not fit the reference.
    found: Option<Dependence>,
}

/// The autocorrelation time of each track of a column, by cells in the order of their time; `None`
/// where they are too few.
#[must_use]
pub fn dependence(column: &ColumnReference, cells: &[Cell]) -> Vec<Option<f64>> {
    let mut tracks = Vec::new();
    column.tracks(0, &mut tracks);
    let mut watches: Vec<Watch> = tracks.iter().map(Watch::new).collect();
    let mut values = Vec::new();
    for cell in cells {
        column.encode(cell, &mut values);
        for (watch, value) in watches.iter_mut().zip(values.drain(..)) {
            watch.push(value, true);
        }
    }
    let time = |watch: Watch| watch.collector.estimate().map(|found| found.tau);
    let mut times: Vec<Option<f64>> = watches.into_iter().map(time).collect();
    // Which words of a text of the reference are new to it cannot be told from the text alone; they
    // depend on each other no more than the rest of what describes it.
    let unknown = |track: &Track<'_>| track.descriptor == Some(Descriptor::UnknownWords);
    if let Some(at) = tracks.iter().position(unknown) {
        let others: Option<Vec<f64>> = times[..at].iter().copied().collect();
        times[at] = others.and_then(|times| times.into_iter().reduce(f64::max));
    }
    times
}

// === impl Waiting ===

impl Waiting {
    /// Estimates.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let fits = self.rows.fits(&self.expected).is_some_and(|fit| fit.fits);
        Estimate {
            track: self.track,
            rows: self.rows.rows(),
            found: self.rows.estimate().filter(|_| fits),
        }
    }
}

// === impl Since ===

impl Since {
    /// No rows yet.
    #[must_use]
    pub fn new(reference: &Reference) -> Self {
        let mut tracks: Vec<Watch> = reference.tracks().iter().map(Watch::new).collect();
        for (watch, time) in tracks.iter_mut().zip(&reference.dependence) {
            watch.tau = Tau {
                time: *time,
                settled: time.is_some(),
            };
        }
        Self {
            rows: 0,
            newest: 0,
            tracks,
        }
    }

    /// Goes on from what was saved, where it fits the reference's tracks.
    pub fn restore(&mut self, saved: Saved) {
        let fitting = self.tracks.len() == saved.tracks.len()
            && (self.tracks.iter().zip(&saved.tracks))
                .all(|(track, (_, counts))| track.counts.len() == counts.len());
        if !fitting {
            return;
        }
        self.rows = saved.rows;
        self.newest = saved.newest;
        for (track, (tau, counts)) in self.tracks.iter_mut().zip(saved.tracks) {
            track.tau = tau;
            track.counts = counts;
        }
    }

    /// What to store of it.
    #[must_use]
    pub fn save(&self) -> Saved {
        let track = |watch: &Watch| (watch.tau, watch.counts.clone());
        Saved {
            rows: self.rows,
            newest: self.newest,
            tracks: self.tracks.iter().map(track).collect(),
        }
    }

    /// The newest row counted; 0 before the first.
    #[must_use]
    pub const fn newest(&self) -> i64 {
        self.newest
    }

    /// Rows counted.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Counts a row; one that was counted already is passed over.
    pub fn append(&mut self, id: i64, row: &Row) {
        if id > self.newest {
            self.recall(id, row);
        }
    }

    /// Takes in a row after a restart. One that was counted already still tells how rows depend on
    /// each other; call it in the order of the rows.
    pub fn recall(&mut self, id: i64, row: &Row) {
        let counted = id <= self.newest;
        if !counted {
            self.newest = id;
            self.rows += 1;
        }
        for (slot, watch) in self.tracks.iter_mut().enumerate() {
            watch.push(row.value(slot), counted);
        }
    }

    /// The tracks whose autocorrelation time can be estimated anew. Estimating takes milliseconds;
    /// nobody has to wait for it meanwhile.
    #[must_use]
    pub fn waiting(&self) -> Vec<Waiting> {
        let ready = |watch: &Watch| {
            let rows = watch.collector.rows();
            !watch.tau.settled
                && rows > 0
                && (rows as f64 >= watch.estimated as f64 * GROWN || watch.collector.is_full())
        };
        (self.tracks.iter().enumerate())
            .filter(|(_, watch)| ready(watch))
            .map(|(track, watch)| Waiting {
                track,
                rows: watch.collector.clone(),
                expected: watch.expected_deciles(),
            })
            .collect()
    }

    /// Takes in an estimate.
    pub fn learn(&mut self, estimate: Estimate) {
        let Some(watch) = self.tracks.get_mut(estimate.track) else {
            return;
        };
        watch.estimated = estimate.rows;
        match estimate.found {
            Some(found) => {
                watch.tau = Tau {
                    time: Some(found.tau),
                    settled: found.settled,
                };
                if found.settled {
                    watch.collector = Collector::new();
                }
            }
            // These rows are other traffic than the reference: later ones may fit.
            None if watch.collector.is_full() => {
                watch.collector.clear();
                watch.estimated = 0;
            }
            None => {}
        }
    }

    /// The autocorrelation time of each track, where it is known.
    #[must_use]
    pub fn dependence(&self) -> Vec<Option<f64>> {
        self.tracks.iter().map(|watch| watch.tau.time).collect()
    }

    /// How far each track's rows since the reference are from it.
    #[must_use]
    pub fn distances(&self) -> Vec<Distance> {
        self.tracks.iter().map(Watch::distance).collect()
    }
}

// === impl Watch ===

impl Watch {
    fn new(track: &Track<'_>) -> Self {
        let (bins, counted) = match track.side {
            Side::Numbers(numbers) => {
                let cuts = numbers.cuts(CUTS);
                let counted = numbers.counts(&cuts);
                (Bins::Cuts(cuts), counted)
            }
            Side::Categories(words) => {
                let known = words.counts.len().min(CUTS - 1);
                let rest = words.counts[known..].iter().sum();
                let counted = words.counts[..known].iter().copied().chain([rest]);
                (Bins::Categories, counted.collect())
            }
        };
        let total = counted.iter().sum::<u64>().max(1) as f64;
        let expected: Vec<f64> = counted.iter().map(|n| *n as f64 / total).collect();
        let mut before = 0.0;
        let decile = |share: &f64| {
            let decile = (before * BINS as f64 + 1e-9) as u8;
            before += share;
            decile.min(BINS as u8 - 1)
        };
        Self {
            bins,
            deciles: expected.iter().map(decile).collect(),
            counts: vec![0; expected.len()],
            expected,
            collector: Collector::new(),
            estimated: 0,
            tau: Tau::default(),
        }
    }

    fn push(&mut self, value: Value, counted: bool) {
        let last = self.counts.len() - 1;
        let bin = match (&self.bins, value) {
            (Bins::Cuts(cuts), Value::Number(number)) => cuts.partition_point(|cut| *cut < number),
            (Bins::Categories, Value::Category(code)) => (code as usize).min(last),
            (Bins::Categories, Value::Unseen(_)) => last,
            _ => return,
        };
        self.counts[bin] += u64::from(!counted);
        if !self.tau.settled {
            self.collector.push(self.deciles[bin]);
        }
    }

    fn expected_deciles(&self) -> [f64; BINS] {
        let mut shares = [0.0; BINS];
        for (decile, share) in self.deciles.iter().zip(&self.expected) {
            shares[usize::from(*decile)] += share;
        }
        shares
    }

    fn distance(&self) -> Distance {
        let values: u64 = self.counts.iter().sum();
        let (mut gap, mut ours, mut theirs) = (0.0_f64, 0, 0.0);
        for (count, share) in self.counts.iter().zip(&self.expected) {
            ours += count;
            theirs += share;
            gap = gap.max((ours as f64 / values.max(1) as f64 - theirs).abs());
        }
        Distance { gap, values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::ColumnReference;
    use crate::drift::random::SplitMix64;
    use crate::feature::{Cell, Kind};
    use crate::timestamp::Timestamp;

    fn reference(kind: Kind, cells: impl Iterator<Item = Cell>) -> Reference {
        Reference {
            hash: "0".to_owned(),
            rows: 1000,
            loaded_at: Timestamp(0),
            columns: vec![Some(ColumnReference::new(kind, cells))],
            together: None,
            dependence: Vec::new(),
            seasonal: None,
        }
    }

    fn numbers() -> Reference {
        reference(Kind::Numeric, (0..1000).map(|i| Cell::Number(f64::from(i))))
    }

    fn row(value: f64) -> Row {
        [Value::Number(value)].into_iter().collect()
    }

    fn calibrate(since: &mut Since) {
        for waiting in since.waiting() {
            since.learn(waiting.estimate());
        }
    }

    /// Independent, uniform on 0, 1, … 999.
    fn mixed(i: i64) -> f64 {
        (SplitMix64::new(i.unsigned_abs()).next_u64() % 1000) as f64
    }

    #[test]
    fn rows_that_fit_tell_how_they_depend() {
        let mut since = Since::new(&numbers());
        (1..=2000).for_each(|i| since.append(i, &row(mixed(i))));
        calibrate(&mut since);
        let tau = since.dependence()[0].expect("2,000 rows are enough");
        assert!((1.0..2.5).contains(&tau), "{tau}");
        assert!(since.distances()[0].gap < 0.05);
    }

    #[test]
    fn rows_of_other_traffic_tell_nothing() {
        let mut since = Since::new(&numbers());
        (1..=4000).for_each(|i| since.append(i, &row(mixed(i) + 400.0)));
        calibrate(&mut since);
        assert_eq!(since.dependence(), [None]);
        assert!(since.distances()[0].gap > 0.35);
    }

    #[test]
    fn what_is_saved_goes_on_and_rows_count_once() {
        let mut since = Since::new(&numbers());
        (1..=3000).for_each(|i| since.append(i, &row(mixed(i))));
        calibrate(&mut since);
        let mut again = Since::new(&numbers());
        again.restore(since.save());
        (2500..=3000).for_each(|i| again.append(i, &row(mixed(i))));
        assert_eq!(again.rows(), 3000);
        assert_eq!(again.dependence(), since.dependence());
        assert_eq!(again.distances(), since.distances());
        let text = serde_json::to_string(&since.save()).unwrap();
        assert_eq!(serde_json::from_str::<Saved>(&text).unwrap(), since.save());
    }

    #[test]
    fn categories_are_bins_of_their_own() {
        let words = ["a", "a", "b", "b"].map(|w| Cell::Text(w.into()));
        let mut since = Since::new(&reference(Kind::Categorical, words.into_iter()));
        for id in 1..=10 {
            since.append(id, &[Value::Category(0)].into_iter().collect());
        }
        assert!((since.distances()[0].gap - 0.5).abs() < 1e-12);
    }
}
