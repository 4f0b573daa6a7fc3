//! What one drifted test says.

use crate::drift::measure::Measurement;
use crate::drift::picture::{Picture, Share};
use crate::drift::report::{CheckReport, Test};

use super::{figure, p_value, percent, sign};

/// What one drifted test says.
pub(super) fn change(check: &CheckReport, measured: &Measurement) -> String {
    let Some(statistic) = check.statistic else {
        return from_before(check);
    };
    let p = check
        .log10_p
        .map_or_else(String::new, |p| format!("p = {}", p_value(p)));
    let share = |count: usize| percent(count as f64 / measured.rows.max(1) as f64);
    match check.test {
        Test::Missing => {
            let before = before(check, measured);
            format!("{} missing{before} ({p})", share(measured.missing))
        }
        Test::Type => format!("{} of another type ({p})", share(measured.mistyped)),
        Test::Range => {
            let outside = percent(statistic);
            format!("{outside} lie beyond everything in the reference ({p})")
        }
        _ => distribution(check, &figure(statistic), measured, &p),
    }
}

/// What a drifted test of the distribution says.
fn distribution(check: &CheckReport, statistic: &str, measured: &Measurement, p: &str) -> String {
    match (
        &measured.description.picture,
        &measured.description.quantiles,
    ) {
        (Some(Picture::Ecdf { gap: Some(gap), .. }), Some(quantiles)) => {
            let moved = moved(measured.description.shift);
            format!(
                "{} of rows are at most {}, {} in the reference; median {} → {}{moved} (D = {statistic}, {p})",
                percent(gap.current),
                figure(gap.location),
                percent(gap.reference),
                figure(quantiles.reference.p50),
                figure(quantiles.current.p50),
            )
        }
        (Some(Picture::Shares(shares)), _) => match most_moved(shares) {
            Some(share) => format!(
                "{} of rows are {}, {} in the reference (χ² = {statistic}, {p})",
                percent(share.current),
                if share.group {
                    share.name.clone()
                } else {
                    format!("{:?}", share.name)
                },
                percent(share.reference),
            ),
            None => format!("χ² = {statistic}, {p}"),
        },
        _ => format!("{} = {statistic}, {p}", sign(check)),
    }
}

/// What a test says that drifted when it could last be measured, and cannot be now.
fn from_before(check: &CheckReport) -> String {
    let what = match check.test {
        Test::Missing => "the share of missing values",
        Test::Type => "the share of values of another type",
        Test::Range => "the share of values beyond everything in the reference",
        _ => sign(check),
    };
    let now = match check.n_current {
        0 => ", and there is no value to measure now",
        _ => "",
    };
    format!("{what} was beyond its threshold when it could last be measured{now}")
}

/// The share of missing values in the reference.
fn before(check: &CheckReport, measured: &Measurement) -> String {
    let present = measured.main().n_reference;
    let missing = check.n_reference.saturating_sub(present);
    let share = missing as f64 / check.n_reference.max(1) as f64;
    format!(", {} in the reference", percent(share))
}

/// How far the mean has moved, where it is worth a word.
fn moved(shift: Option<f64>) -> String {
    match shift {
        Some(shift) if shift.abs() >= 0.05 => {
            let way = if shift > 0.0 { "up" } else { "down" };
            format!(
                ", mean {way} {} σ",
                figure((shift.abs() * 100.0).round() / 100.0)
            )
        }
        _ => String::new(),
    }
}

fn most_moved(shares: &[Share]) -> Option<&Share> {
    let moved = |share: &Share| (share.current - share.reference).abs();
    shares.iter().max_by(|a, b| moved(a).total_cmp(&moved(b)))
}
