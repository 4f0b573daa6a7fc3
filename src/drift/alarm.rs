//! The verdict that stands: per column, test and span, from one evaluation to the next and across
//! restarts.

use std::collections::BTreeMap;

use crate::timestamp::Timestamp;

use super::report::{SpanName, Test};
use super::since::Saved;

/// What one alarm is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlarmKey {
    /// Name of the column.
    pub column: String,
    /// The test.
    pub test: Test,
    /// The span.
    pub span: SpanName,
}

/// The standing decision of one check.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alarm {
    /// Whether it is drifted.
    pub drifted: bool,
    /// Since when the decision stands.
    pub since: Timestamp,
    /// The significance at which it was made: an alarm is not cleared by a stricter one.
    pub alpha: f64,
}

/// Everything that must survive a restart so that none raises or clears an alarm.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Alarms {
    /// When the decisions were last made; `None` before the first time.
    pub evaluated_at: Option<Timestamp>,
    /// The newest row that evaluation saw; 0 before the first time.
    pub evaluated_row: i64,
    /// The standing decisions.
    pub standing: BTreeMap<AlarmKey, Alarm>,
    /// When the main span was first decided over with this reference; `None` before.
    pub began: Option<Timestamp>,
    /// The significance each test had when a span was last decided over: thresholds stand still until
    /// the next decision.
    pub alphas: BTreeMap<SpanName, f64>,
    /// What is known of all rows since the reference; `None` where nothing is.
    pub since: Option<Saved>,
}

impl Alarms {
    /// Takes in a fresh decision and returns the one that stands, and whether it changed.
    pub fn decide(&mut self, key: AlarmKey, fresh: Alarm) -> (Alarm, bool) {
        let alarm = self.standing.entry(key).or_insert(Alarm {
            drifted: false,
            ..fresh
        });
        let changed = alarm.drifted != fresh.drifted;
        if changed {
            *alarm = fresh;
        }
        (*alarm, changed)
    }

    /// The standing decision.
    #[must_use]
    pub fn get(&self, key: &AlarmKey) -> Option<Alarm> {
        self.standing.get(key).copied()
    }
}
