//! The tables of the study, in Markdown.

use std::fmt::Write as _;

use crate::baseline::Baseline;
use crate::month::{FEATURES, Month, ROWS_PER_TICK};
use crate::quick::{self, Run};
use crate::river::Heard;
use crate::streams::Kind;
use crate::traffic::{Load, Said};

/// What came of one kind of stream.
#[derive(Debug)]
pub(crate) struct OfStream {
    pub(crate) kind: Kind,
    /// A month for each draw of the reference.
    pub(crate) months: Vec<Month>,
    /// river's detectors on columns of it.
    pub(crate) heard: Vec<Heard>,
}

/// The mean; 0 of none.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.0}"))
}

/// Alarms of months without drift.
pub(crate) fn months(streams: &[OfStream], ticks: i64) -> String {
    let draws = streams.first().map_or(0, |stream| stream.months.len());
    let mut text = format!(
        "## Calm: {ticks} checks a minute apart, nothing drifts\n\n\
         {FEATURES} features, {ROWS_PER_TICK} rows a minute, the defaults (current 24h, fast 1h, 1 \
         alarm per 30d), {draws} draws of a reference of 10,001 rows for each stream.\n\n\
         | stream | alerts, mean | alerts, most | warnings only, mean | of the fast span, mean | calibrated after, median hours | decisions a run |\n\
         |---|---|---|---|---|---|---|\n"
    );
    for OfStream { kind, months, .. } in streams {
        let each = |of: fn(&Month) -> u32| mean(months.iter().map(|month| f64::from(of(month))));
        let most = months.iter().map(|month| month.alerts).max().unwrap_or(0);
        let hours = months
            .iter()
            .map(|month| month.calibrated.unwrap_or(f64::INFINITY));
        let hours = median(hours.collect()).unwrap_or(f64::INFINITY);
        let _ = writeln!(
            text,
            "| {} | {:.2} | {most} | {:.2} | {:.2} | {hours:.1} | {:.0} |",
            kind.name(),
            each(|month| month.alerts),
            each(|month| month.warned),
            each(|month| month.fast),
            each(|month| month.decisions),
        );
    }
    text += "\nOther rules on the main span's windows (only those driftd decides on; checked each \
             minute they alarm more): alarm episodes a run, and the share of windows flagged. \
             river's detectors see three features of one draw; their alarms are scaled to all \
             features and rows of a run.\n\n| rule |";
    for OfStream { kind, .. } in streams {
        let _ = write!(text, " {} |", kind.name());
    }
    text += "\n|---|---|---|---|---|\n";
    for (index, rule) in Baseline::ALL.into_iter().enumerate() {
        let _ = write!(text, "| {} |", rule.name());
        for OfStream { months, .. } in streams {
            let episodes = || months.iter().map(|month| month.baselines[index]);
            let seen: u32 = episodes().map(|e| e.seen).sum();
            let flagged: u32 = episodes().map(|e| e.flagged).sum();
            let begun = mean(episodes().map(|e| f64::from(e.begun)));
            let share = 100.0 * f64::from(flagged) / f64::from(seen.max(1));
            let _ = write!(text, " {begun:.1} ({share:.0} %) |");
        }
        text += "\n";
    }
    let cells = (ticks * ROWS_PER_TICK) as f64 * FEATURES as f64;
    for detector in ["ADWIN", "KSWIN"] {
        let _ = write!(text, "| river {detector}, per feature |");
        for OfStream { heard, .. } in streams {
            let of = || heard.iter().filter(|heard| heard.detector == detector);
            let rows: usize = of().map(|heard| heard.rows).sum();
            let alarms: usize = of().map(|heard| heard.early).sum();
            let _ = write!(text, " {:.0} |", alarms as f64 / rows.max(1) as f64 * cells);
        }
        text += "\n";
    }
    text
}

/// How soon a change is found.
pub(crate) fn changes(runs: &[Run], river: &[Heard]) -> String {
    let mut text = format!(
        "\n## Quick: .3 σ in one of {FEATURES} features\n\n{} runs; a reference of {} rows, \
         current = \"1000 rows\", a check each 100 rows; the change comes after {} rows. An alarm \
         before the change is a false one. (river: the changed feature of {} runs, its false \
         alarms scaled to all features.)\n\n\
         | rule | found within {} rows | median delay, rows | false alarm episodes before, mean | checks flagged before |\n\
         |---|---|---|---|---|\n",
        runs.len(),
        quick::REFERENCE_ROWS,
        quick::CHANGE,
        river.len() / 2,
        quick::WITHIN,
    );
    let names = std::iter::once("driftd, level alert").chain(Baseline::ALL.map(Baseline::name));
    for (index, name) in names.enumerate() {
        let found = || runs.iter().map(|run| run[index]);
        let delays: Vec<f64> = found().filter_map(|f| f.delay).map(|d| d as f64).collect();
        let share = 100.0 * delays.len() as f64 / runs.len().max(1) as f64;
        let early = mean(found().map(|f| f64::from(f.early.begun)));
        let flagged = mean(found().map(|f| f64::from(f.early.flagged) / f64::from(f.early.seen)));
        let _ = writeln!(
            text,
            "| {name} | {share:.1} % | {} | {early:.2} | {:.1} % |",
            shown(median(delays)),
            100.0 * flagged
        );
    }
    for detector in ["ADWIN", "KSWIN"] {
        let of = || river.iter().filter(|heard| heard.detector == detector);
        let delays: Vec<f64> = of().filter_map(|h| h.delay).map(|d| d as f64).collect();
        let share = 100.0 * delays.len() as f64 / of().count().max(1) as f64;
        let early = mean(of().map(|h| h.early as f64)) * FEATURES as f64;
        let _ = writeln!(
            text,
            "| river {detector}, per feature | {share:.1} % | {} | {early:.2} | – |",
            shown(median(delays))
        );
    }
    text
}

/// What is said of little and of much traffic.
pub(crate) fn traffic(loads: &[(&Load, Said)]) -> String {
    let mut text = "\n## Little and much traffic under the defaults\n\n\
         No change first, then as long 1 σ in one feature.\n\n\
         | traffic | rows | calibrated after, min | states | false: min at alert | false: min at warn | warned after, min | alerted after, min |\n\
         |---|---|---|---|---|---|---|---|\n"
        .to_owned();
    let minutes = |minutes: Option<i64>| shown(minutes.map(|m| m as f64));
    for (load, said) in loads {
        let states: Vec<&str> = said.states.iter().copied().collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            load.name,
            said.rows,
            minutes(said.calibrated),
            states.join(", "),
            said.false_alerts,
            said.false_warnings,
            minutes(said.warned),
            minutes(said.alerted),
        );
    }
    text
}
