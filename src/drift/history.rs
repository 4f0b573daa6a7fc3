//! What a model was like over its last decisions: a line per column, and what happened meanwhile.
//!
//! Invariant: bounded, whatever the number of columns: [`capacity`] points a line, [`MOST_EVENTS`]
//! events of each kind. A full line loses every second of its older points, but none at which a verdict
//! changed: it reaches back ever more sparsely.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::timestamp::Timestamp;

use super::report::{ModelReport, SpanName, State, Test};

/// Events kept of each kind, the newest.
pub const MOST_EVENTS: usize = 20;

/// Points of one line: as many as a small picture has room for.
const MOST_POINTS: usize = 120;

/// Decisions about a column read back at a start, to be thinned to those kept.
const MOST_READ: usize = 2000;

/// Points of all lines of a model together: 32 bytes each.
const MOST_TOGETHER: usize = 60_000;

/// Points of a line that are always kept: fewer say nothing of a course.
const FEWEST_POINTS: usize = 12;

/// Every model of the process, in the configuration's order.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// One entry per model.
    pub models: Vec<Arc<ModelHistory>>,
}

/// One model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelHistory {
    /// The line of each column that was ever decided over the main span, by the column's name.
    pub lines: BTreeMap<Arc<str>, Line>,
    /// What happened meanwhile, oldest first.
    pub events: Vec<Event>,
}

/// A column's last decisions over the main span, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Line {
    points: Vec<Point>,
}

/// The decisions about a column, as they were stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Decisions {
    /// The column.
    pub column: Arc<str>,
    /// Oldest first.
    pub points: Vec<Point>,
}

/// One decision about a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When.
    pub time: Timestamp,
    /// The test of the distribution, which the figures are of.
    pub test: Test,
    /// Whether any test of the main span said drifted; `None` where no verdict could be given.
    pub drifted: Option<bool>,
    /// Whether it differs as was accepted: neither drift nor the end of it.
    pub accepted: bool,
    /// The test's statistic; single precision is more than a picture shows.
    pub statistic: Option<f32>,
    /// The smallest statistic that would have been drift.
    pub threshold: Option<f32>,
}

/// Something that may explain a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, or from when on.
    pub time: Timestamp,
    /// What.
    pub what: Happened,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// Another version of the model, or another reference, came into force.
    Reference {
        /// The model's version; empty where none is configured.
        version: String,
        /// The version before, where it was another.
        previous_version: Option<String>,
        /// Identity of the reference.
        hash: Option<String>,
        /// Whether the reference is not the one before; false of the very first.
        reference_changed: bool,
        /// Whether none was in force before.
        first: bool,
    },
    /// A person accepted drift as the new normal.
    Accepted {
        /// The columns, none twice; an empty name stands for all of them together.
        columns: Vec<String>,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// That ended, of all these columns at once.
    AcceptanceEnded {
        /// The columns, as they were accepted.
        columns: Vec<String>,
        /// Why, as the window words it.
        why: String,
        /// Who took it back, where somebody did.
        by: String,
    },
    /// Exchanges were lost.
    Gap {
        /// Until when.
        ended: Timestamp,
        /// Why, as the window words it.
        reason: String,
        /// How many; `None` where that is not known.
        exchanges: Option<u64>,
    },
}

/// Points kept of each line of a model of so many columns.
#[must_use]
pub fn capacity(columns: usize) -> usize {
    (MOST_TOGETHER / columns.max(1)).clamp(FEWEST_POINTS, MOST_POINTS)
}

/// Decisions worth reading back about each of so many columns.
#[must_use]
pub fn worth_reading(columns: usize) -> usize {
    (2 * MOST_TOGETHER / columns.max(1)).clamp(capacity(columns), MOST_READ)
}

/// Whether a line shows the figures of this test.
#[must_use]
pub const fn is_drawn(test: Test) -> bool {
    matches!(test, Test::Ks | Test::Chi2)
}

// === impl ModelHistory ===

impl ModelHistory {
    /// The lines as they would be had each of these decisions, oldest first, just been made.
    #[must_use]
    pub fn read_back(decisions: &[Decisions], columns: usize) -> Self {
        let mut history = Self::default();
        let mut by_time: BTreeMap<Timestamp, Vec<(&Arc<str>, Point)>> = BTreeMap::new();
        for Decisions { column, points } in decisions {
            for point in points {
                by_time
                    .entry(point.time)
                    .or_default()
                    .push((column, *point));
            }
        }
        for points in by_time.into_values() {
            for (name, point) in points {
                history.push(name, point);
            }
            history.thin(capacity(columns));
        }
        history
    }

    /// Takes in a report that was decided over the main span.
    pub fn record(&mut self, report: &ModelReport) {
        let Some(time) = report.checked_at else {
            return;
        };
        for feature in &report.features {
            let mut main = (feature.checks.iter()).filter(|check| check.span == SpanName::Main);
            let Some(check) = main.find(|check| is_drawn(check.test)) else {
                continue;
            };
            let point = Point {
                time,
                test: check.test,
                drifted: feature.drifted,
                accepted: feature.state == State::Accepted,
                statistic: check.statistic.map(single),
                threshold: check.threshold.map(single),
            };
            self.push(&feature.name, point);
        }
        self.thin(capacity(report.features.len()));
    }

    /// What is not newer than a line's last point is dropped: the clock was set back, and a line does
    /// not go backwards.
    fn push(&mut self, name: &Arc<str>, point: Point) {
        let line = self.lines.entry(Arc::clone(name)).or_default();
        if line.points.last().is_none_or(|last| last.time < point.time) {
            line.points.push(point);
        }
    }

    /// Brings every line down to `most` points, by dropping the same checks from all of them.
    fn thin(&mut self, most: usize) {
        while self.lines.values().any(|line| line.points.len() > most) {
            let points = self.lines.values().flat_map(|line| &line.points);
            let times: BTreeSet<Timestamp> = points.map(|point| point.time).collect();
            let turns = self.turns();
            let older = times.iter().take(times.len() / 2).skip(1).step_by(2);
            let mut gone: BTreeSet<Timestamp> = older.copied().collect();
            gone.retain(|time| !turns.contains(time));
            if gone.is_empty() {
                gone.extend(times.first());
            }
            for line in self.lines.values_mut() {
                line.points.retain(|point| !gone.contains(&point.time));
            }
            self.lines.retain(|_, line| !line.points.is_empty());
        }
    }

    /// The checks on either side of a verdict that changed.
    fn turns(&self) -> BTreeSet<Timestamp> {
        let pairs = self.lines.values().flat_map(|line| line.points.windows(2));
        let verdict = |point: &Point| (point.drifted, point.accepted);
        let changed = pairs.filter(|pair| verdict(&pair[0]) != verdict(&pair[1]));
        changed.flatten().map(|point| point.time).collect()
    }
}

/// Rounded to single precision: what is lost no picture shows.
#[must_use]
pub const fn single(value: f64) -> f32 {
    value as f32
}

// === impl Line ===

impl Line {
    /// Of points, oldest first.
    #[must_use]
    pub fn new(points: impl IntoIterator<Item = Point>) -> Self {
        Self {
            points: points.into_iter().collect(),
        }
    }

    /// Its points, oldest first.
    pub fn points(&self) -> impl DoubleEndedIterator<Item = &Point> + ExactSizeIterator + Clone {
        self.points.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(time: i64) -> Point {
        Point {
            time: Timestamp(time),
            test: Test::Ks,
            drifted: Some(false),
            accepted: false,
            statistic: Some(0.1),
            threshold: Some(0.2),
        }
    }

    /// A model of one column with a point at each of `times`, drifted at those of `drifted`.
    fn model(times: std::ops::Range<i64>, drifted: std::ops::Range<i64>) -> ModelHistory {
        let mut model = ModelHistory::default();
        for time in times {
            let point = Point {
                drifted: Some(drifted.contains(&time)),
                ..point(time)
            };
            model.push(&"x".into(), point);
            model.thin(16);
        }
        model
    }

    fn times(model: &ModelHistory) -> Vec<i64> {
        model.lines["x"]
            .points()
            .map(|point| point.time.0)
            .collect()
    }

    #[test]
    fn a_line_reaches_back_ever_more_sparsely_and_keeps_where_the_verdict_changed() {
        let model = model(0..1000, 37..40);
        let kept = times(&model);
        assert!(kept.len() <= 16, "{kept:?}");
        assert!(kept.is_sorted());
        assert_eq!((kept[0], kept[kept.len() - 1]), (0, 999));
        for turn in [36, 37, 39, 40] {
            assert!(kept.contains(&turn), "{kept:?}");
        }
        assert!(kept.contains(&998) && kept.contains(&997), "{kept:?}");
    }

    #[test]
    fn a_line_that_changes_at_every_check_loses_its_oldest() {
        let mut model = ModelHistory::default();
        for time in 0..100 {
            let point = Point {
                drifted: Some(time % 2 == 0),
                ..point(time)
            };
            model.push(&"x".into(), point);
            model.thin(16);
        }
        assert_eq!(times(&model), (84..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_does_not_go_backwards() {
        let mut model = model(0..3, 0..0);
        model.push(&"x".into(), point(1));
        model.push(&"x".into(), point(2));
        assert_eq!(times(&model), [0, 1, 2]);
    }

    #[test]
    fn what_is_read_back_is_what_was_recorded() {
        let points = |drifted: std::ops::Range<i64>| -> Vec<Point> {
            let at = |time| Point {
                drifted: Some(drifted.contains(&time)),
                ..point(time)
            };
            (0..700).map(at).collect()
        };
        let (a, b) = (points(100..300), points(650..700));
        let mut live = ModelHistory::default();
        for (x, y) in a.iter().zip(&b) {
            live.push(&"a".into(), *x);
            live.push(&"b".into(), *y);
            live.thin(capacity(2));
        }
        let read = [("a", a), ("b", b)].map(|(column, points)| Decisions {
            column: column.into(),
            points,
        });
        assert_eq!(ModelHistory::read_back(&read, 2), live);
        let [a, b] = ["a", "b"].map(|name| live.lines[name].points().len());
        assert!(a == b && (60..=120).contains(&a), "{a} {b}");
    }

    #[test]
    fn the_lines_of_a_model_are_bounded_together() {
        assert_eq!(capacity(4), 120);
        assert_eq!(capacity(0), 120);
        assert_eq!(capacity(500), 120);
        assert_eq!(capacity(1000), 60);
        assert_eq!(capacity(1_000_000), 12);
        assert_eq!(
            [4, 100, 500, 100_000].map(worth_reading),
            [2000, 1200, 240, 12]
        );
        assert_eq!(size_of::<Point>(), 32);
    }
}
