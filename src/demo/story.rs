//! What the demo tells: where to look, what happens, and in the end whether drift was found where
//! it was made.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::classifier::FEATURES;
use crate::app::Addresses;
use crate::drift::{ModelReport, Report};
use crate::feature::Role;
use crate::timestamp::Timestamp;
use crate::window;

/// The feature whose sensor slips: sepal width.
pub(super) const SLIPPED: usize = 1;
/// By how much, in centimetres; its standard deviation in the real data is 0.43.
pub(super) const SLIP_BY: f64 = 1.0;
/// When it slips, on the demo's clock: late enough to see "no drift" before.
const SLIP_AT: Duration = Duration::from_secs(20);

const TICK: Duration = Duration::from_millis(500);
/// Ticks between two lines that only say how far things are.
const QUIET_TICKS: u32 = 10;

/// The demo's clock: the time since the first exchange in its window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    began: Timestamp,
    resumed: bool,
}

/// Follows the report and tells what changes.
pub(super) struct Story<'a> {
    addresses: Addresses,
    window: &'a Path,
    report: Arc<ArcSwap<Report>>,
    say: &'a mut dyn FnMut(&str),
    /// Features ever seen drifted.
    drifted: BTreeSet<String>,
    said: String,
}

// === impl Clock ===

impl Clock {
    /// The clock of the demo whose window this is; a fresh one starts now.
    pub(super) fn of(window: &Path) -> Self {
        let oldest = window::oldest_exchange(window);
        Self {
            began: oldest.unwrap_or_else(Timestamp::now),
            resumed: oldest.is_some(),
        }
    }

    fn elapsed(self) -> Duration {
        Timestamp::now().since(self.began)
    }

    /// Whether the sensor has slipped by now.
    pub(super) fn slipped(self) -> bool {
        self.elapsed() >= SLIP_AT
    }
}

// === impl Story ===

impl<'a> Story<'a> {
    /// A story about the driftd at `addresses`.
    pub(super) fn new(
        addresses: Addresses,
        window: &'a Path,
        report: Arc<ArcSwap<Report>>,
        say: &'a mut dyn FnMut(&str),
    ) -> Self {
        Self {
            addresses,
            window,
            report,
            say,
            drifted: BTreeSet::new(),
            said: String::new(),
        }
    }

    /// Says where everything is; the page's address first.
    pub(super) fn introduce(&mut self, clock: Clock, accuracy: f64) {
        let Addresses { admin, proxy, .. } = self.addresses.clone();
        let window = self.window.display().to_string();
        self.say(&format!("page     http://{admin}/"));
        self.say(&format!("proxy    http://{proxy}/predict"));
        self.say(&format!("metrics  http://{admin}/metrics"));
        self.say(&format!("window   {window}"));
        self.say(&format!("resume   {} demo --window {window}", program()));
        self.say("");
        self.say(&format!(
            "A naive Bayes classifier serves Fisher's iris data ({:.0} % right); clients send it real flowers.",
            accuracy * 100.0
        ));
        let slipped = FEATURES[SLIPPED];
        if clock.resumed {
            let ago = humantime::format_duration(Duration::from_secs(clock.elapsed().as_secs()));
            self.say(&format!("Going on with a demo that began {ago} ago."));
        }
        if clock.slipped() {
            self.say(&format!(
                "Its sensor for {slipped} has slipped by {SLIP_BY} cm."
            ));
        } else {
            let after = SLIP_AT.saturating_sub(clock.elapsed()).as_secs();
            self.say(&format!(
                "In {after} s the sensor for {slipped} slips by {SLIP_BY} cm."
            ));
        }
        self.say("");
    }

    /// Tells what happens until `duration` is over or `interrupted` resolves, then sums up. Returns
    /// whether drift was found on the slipped sensor and on no other feature.
    pub(super) async fn follow(
        &mut self,
        clock: Clock,
        duration: Option<Duration>,
        interrupted: impl Future<Output = ()>,
    ) -> bool {
        let mut interrupted = pin!(interrupted);
        let started = Timestamp::now();
        let mut announced = clock.slipped();
        let mut quiet = 0;
        loop {
            tokio::select! {
                () = &mut interrupted => break,
                () = tokio::time::sleep(TICK) => {}
            }
            if duration.is_some_and(|duration| Timestamp::now().since(started) >= duration) {
                break;
            }
            if !announced && clock.slipped() {
                announced = true;
                self.at(
                    clock,
                    &format!("The sensor for {} slips.", FEATURES[SLIPPED]),
                );
            }
            quiet += 1;
            self.look(clock, quiet >= QUIET_TICKS, &mut quiet);
        }
        self.sum_up()
    }

    /// Says what changed since the last look, or where things stand when `due`.
    fn look(&mut self, clock: Clock, due: bool, quiet: &mut u32) {
        let report = self.report.load_full();
        let Some(model) = report.models.first() else {
            return;
        };
        let features = model.features.iter().filter(|f| f.role == Role::Feature);
        let drifted = features.filter(|f| f.drifted == Some(true));
        self.drifted.extend(drifted.map(|f| f.name.to_string()));
        let verdict = verdict(model);
        if verdict != self.said || due {
            *quiet = 0;
            let sentence = if verdict == self.said {
                format!("{} rows compared, {}.", model.rows, model.state.as_str())
            } else {
                model.sentence.clone()
            };
            self.said = verdict;
            self.at(clock, &sentence);
        }
    }

    fn sum_up(&mut self) -> bool {
        let wanted = FEATURES[SLIPPED];
        let report = self.report.load_full();
        let model = report.models.first();
        let feature = model.and_then(|m| m.features.iter().find(|f| *f.name == *wanted));
        let standing = feature.is_some_and(|f| f.drifted == Some(true));
        let others: Vec<String> = (self.drifted.iter())
            .filter(|name| *name != wanted)
            .cloned()
            .collect();
        let found = standing && others.is_empty();
        self.say("");
        let (outcome, detail) = match (found, feature.filter(|_| standing), others.is_empty()) {
            (true, Some(feature), _) => (
                format!("Found: {wanted} drifted, and no other feature."),
                feature.sentence.clone(),
            ),
            (_, _, false) => (
                format!("Not as it should be: {} drifted too.", others.join(", ")),
                model.map_or_else(String::new, |m| m.sentence.clone()),
            ),
            _ => (
                format!("No drift found on {wanted} yet."),
                model.map_or_else(String::new, |m| m.sentence.clone()),
            ),
        };
        self.say(&outcome);
        self.say(&detail);
        let window = self.window.display().to_string();
        self.say("");
        self.say(&format!(
            "Look at the rows:  sqlite3 -readonly {window} 'SELECT * FROM rows_default LIMIT 5'"
        ));
        self.say(&format!(
            "Go on from here:   {} demo --window {window}",
            program()
        ));
        found
    }

    fn at(&mut self, clock: Clock, line: &str) {
        let seconds = clock.elapsed().as_secs();
        self.say(&format!("{seconds:>5} s  {line}"));
    }

    fn say(&mut self, line: &str) {
        (self.say)(line);
    }
}

/// How this program was called, so that its commands can be copied as they stand.
fn program() -> String {
    std::env::args()
        .next()
        .unwrap_or_else(|| "driftd".to_owned())
}

/// What a change of is worth a line.
fn verdict(model: &ModelReport) -> String {
    let drifted = model.features.iter().filter(|f| f.drifted == Some(true));
    let mut names: Vec<&str> = drifted.map(|f| &*f.name).collect();
    names.sort_unstable();
    format!(
        "{} {} {}",
        model.state.as_str(),
        model.level.as_str(),
        names.join(",")
    )
}
