//! The words a person reads: one plain sentence per column and per model, with numbers. The page,
//! the JSON, `driftd check` and the log all say the same.

use super::accept::Acceptance;
use super::measure::Measurement;
use super::report::{CheckReport, FeatureReport, Level, SpanName, State, Test};
use super::season::Against;
use crate::feature::Role;
use crate::timestamp::Timestamp;

mod change;

use change::change;

/// A number for people: four significant digits, plain notation where it is short.
#[must_use]
pub fn figure(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value.is_finite() {
            "0".to_owned()
        } else {
            format!("{value}")
        };
    }
    let magnitude = value.abs().log10().floor();
    if !(-4.0..=9.0).contains(&magnitude) {
        return format!("{value:.2e}");
    }
    let decimals = (3.0 - magnitude).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A share as a percentage: `17 %`, `0.4 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let decimals = usize::from(percent > 0.0 && percent < 1.0 || percent > 99.0 && percent < 100.0);
    format!("{percent:.decimals$} %")
}

/// A p-value from its decimal logarithm: `0.031`, `2.1e-17`.
#[must_use]
pub fn p_value(log10_p: f64) -> String {
    if log10_p > -4.0 {
        return figure(10f64.powf(log10_p));
    }
    let exponent = log10_p.floor();
    match 10f64.powf(log10_p - exponent) {
        // 9.96 rounds to 10.0, which is the next power.
        mantissa if mantissa >= 9.95 => format!("1.0e{}", exponent + 1.0),
        mantissa => format!("{mantissa:.1}e{exponent}"),
    }
}

/// What holds for one measured column, in one sentence. `checks` are its tests over every span.
#[must_use]
pub fn column(name: &str, state: State, checks: &[CheckReport], measured: &Measurement) -> String {
    let of_main = || checks.iter().filter(|check| check.span == SpanName::Main);
    let Some(main) = of_main().next() else {
        return format!("{name}: no verdict.");
    };
    match state {
        State::Drifted => {
            let drifted = of_main().filter(|check| check.state == State::Drifted);
            let mut drifted: Vec<&CheckReport> = drifted.collect();
            drifted.sort_by_key(|check| check.statistic.is_none());
            let changes = drifted.iter().map(|check| change(check, measured));
            let changes: Vec<String> = changes.collect();
            let left_out = left_out(measured, &changes);
            format!("{name} has drifted: {}{left_out}.", changes.join("; "))
        }
        State::Ok => {
            let closeness = closeness(main);
            let left_out = left_out(measured, &[]);
            let slow = slowly(checks);
            format!("{name} looks like the reference: {closeness}{left_out}{slow}.")
        }
        State::Constant => format!("{name} holds one and the same value on both sides."),
        State::TypeChanged => format!(
            "{name} has changed its type: {} of {} current values are not {}.",
            measured.mistyped,
            measured.rows - measured.missing,
            if main.test == Test::Ks {
                "numbers"
            } else {
                "words"
            },
        ),
        State::Stale => format!("{name}: no row has come for longer than the span compared."),
        State::LowCoverage => {
            format!("{name}: too few of the exchanges could be read and stored for a verdict.")
        }
        _ => format!("{name}: no verdict."),
    }
}

/// What of the reference a span shorter than the season was compared with, as the end of a sentence;
/// `same` where it was its rows of the same hours.
#[must_use]
pub fn hours(against: Against, same: bool, min_rows: usize) -> Option<String> {
    match against {
        _ if same => Some("compared with the same hours of the reference".to_owned()),
        Against::All | Against::Unlike { rows: None } => None,
        Against::Unlike { rows: Some(rows) } => {
            let held = match rows {
                0 => "no rows of the same hours".to_owned(),
                rows => format!("only {rows} rows of the same hours, and a check needs {min_rows}"),
            };
            Some(format!(
                "the reference holds {held}: compared with all of it, which only warns"
            ))
        }
        Against::Hours(_) => Some(
            "the reference holds too few values of the same hours: compared with all of it, which \
             only warns"
                .to_owned(),
        ),
    }
}

/// `sentence` with more to say before its full stop.
#[must_use]
pub fn further(mut sentence: String, more: &str) -> String {
    let end = sentence.trim_end_matches('.').len();
    sentence.truncate(end);
    format!("{sentence}; {more}.")
}

/// Why a verdict stands from before: what keeps anything from being decided now, as the end of a
/// sentence. `values` are those there and the rows they are of.
#[must_use]
pub fn stands(
    obstacle: State,
    coverage: Option<f64>,
    (present, rows): (usize, usize),
    min_rows: usize,
) -> String {
    let why = match (obstacle, coverage) {
        (State::LowCoverage, Some(coverage)) => format!(
            "only {} of the exchanges can be read and stored now",
            percent(coverage)
        ),
        (State::Stale, _) => "no row has come for longer than the span compared".to_owned(),
        _ if present < rows => {
            format!("{present} of {rows} rows hold a value now, and a check needs {min_rows}")
        }
        _ => format!("{rows} of the {min_rows} rows a check needs are there now"),
    };
    format!("this stands from before: {why}")
}

/// Why a column cannot be judged for want of rows.
#[must_use]
pub fn too_few(name: &str, present: usize, rows: usize, min_rows: usize) -> String {
    if present < rows {
        format!("{name}: {present} of {rows} rows hold a value; a check needs {min_rows}.")
    } else {
        format!("{name}: {rows} of the {min_rows} rows a check needs.")
    }
}

/// The verdict on a model: what drifted, or why nothing can be said.
#[must_use]
pub fn model(
    state: State,
    level: Level,
    features: &[FeatureReport],
    rows: usize,
    coverage: Option<f64>,
) -> String {
    let rows_text = if rows == 1 {
        "1 row".to_owned()
    } else {
        format!("{rows} rows")
    };
    let named = |wanted: &dyn Fn(&FeatureReport) -> bool| -> Vec<&FeatureReport> {
        features.iter().filter(|f| wanted(f)).collect()
    };
    let count = |wanted: &dyn Fn(&FeatureReport) -> bool| named(wanted).len();
    let drifted = named(&|f| f.drifted == Some(true));
    match state {
        State::Drifted => {
            let (inputs, outputs): (Vec<&FeatureReport>, Vec<&FeatureReport>) =
                drifted.iter().partition(|f| f.role == Role::Feature);
            let total = count(&|f| f.role == Role::Feature);
            let worst = drifted.first().map_or("", |f| f.sentence.as_str());
            let mut what = Vec::new();
            if !inputs.is_empty() {
                let names = names(&inputs);
                what.push(format!(
                    "{} of {total} features drifted ({names})",
                    inputs.len()
                ));
            }
            if !outputs.is_empty() {
                what.push(format!("the predictions moved ({})", names(&outputs)));
            }
            let together = together(&drifted);
            format!("{}{together}. {worst}", capitalised(&what.join(", and ")))
        }
        State::Ok if level == Level::Warn => {
            let over = |f: &FeatureReport, span: SpanName| {
                let mut checks = f.checks.iter();
                checks.any(|c| c.span == span && c.level == Level::Warn)
            };
            let newest = named(&|f| over(f, SpanName::Fast));
            let slow = named(&|f| over(f, SpanName::SinceReference));
            let mut differ = Vec::new();
            if !newest.is_empty() {
                differ.push(format!("the newest rows differ in {}", names(&newest)));
            }
            if !slow.is_empty() {
                let names = names(&slow);
                differ.push(format!(
                    "all rows since the reference together differ in {names}"
                ));
            }
            format!(
                "No drift over the main span, but {}.",
                differ.join(", and ")
            )
        }
        State::Ok => {
            let judged = count(&|f| f.drifted == Some(false));
            format!(
                "No drift: {judged} of {} columns compared, over {rows} rows.",
                features.len()
            )
        }
        State::Insufficient => format!("Not enough data yet: {rows_text}."),
        State::Warming => {
            format!("Not enough data since the reference or version changed: {rows_text}.")
        }
        State::NoReference => "No reference to compare with.".to_owned(),
        State::LowCoverage => format!(
            "No verdict: only {} of the exchanges could be read and stored.",
            percent(coverage.unwrap_or(0.0))
        ),
        State::Stale => "No verdict: no row has come for longer than the main span.".to_owned(),
        State::TypeChanged => {
            let changed = named(&|f| f.state == State::TypeChanged);
            format!("The type of {} has changed.", names(&changed))
        }
        State::Constant => "Every column holds one and the same value on both sides.".to_owned(),
        State::Accepted => {
            let accepted = named(&|f| f.state == State::Accepted);
            format!(
                "No drift beyond what was accepted as the new normal ({}), over {rows_text}.",
                names(&accepted)
            )
        }
        State::Learning | State::Mismatch => state.as_str().to_owned(),
    }
}

/// What the joint test says where no column drifted by itself.
#[must_use]
pub fn joint(check: Option<&CheckReport>, pair: Option<&str>) -> String {
    let p = check.and_then(|check| check.log10_p).map(p_value);
    let p = p.map_or_else(String::new, |p| format!(" (p = {p})"));
    let pair = pair.map_or_else(String::new, |pair| format!(": {pair}"));
    format!("No column drifted by itself, but all together have{p}{pair}.")
}

/// What was accepted of a column: by whom, why, until when, at which size.
#[must_use]
pub fn accepted(name: &str, checks: &[CheckReport], acceptances: &[&Acceptance]) -> String {
    let minute = |time: Timestamp| {
        let text = time.to_string();
        let day_and_time = text.get(..16).unwrap_or(&text).replace('T', " ");
        format!("{day_and_time} UTC")
    };
    // What was accepted of all rows since the reference only follows.
    let told = acceptances.iter();
    let told = told.filter(|a| a.test != Test::Slow || acceptances.len() == 1);
    let sizes: Vec<String> = told
        .map(|a| {
            let what = match a.test {
                Test::Ks => "D".to_owned(),
                Test::Chi2 => "total variation".to_owned(),
                other => format!("the effect of {}", other.as_str()),
            };
            let now = (checks.iter())
                .find(|check| check.test == a.test && check.state == State::Accepted)
                .and_then(|check| check.effect);
            let now = now.map_or_else(String::new, |now| format!(", is {} now", figure(now)));
            format!(
                "{what} was {} then{now}, and alerts again from {}",
                figure(a.effect),
                figure(a.limit)
            )
        })
        .collect();
    let Some(first) = acceptances.first() else {
        return format!("{name} is not accepted.");
    };
    format!(
        "{name} differs from the reference as {} accepted on {} until {} (\"{}\"): {}.",
        first.by,
        minute(first.at),
        minute(first.until),
        first.reason,
        sizes.join("; "),
    )
}

/// What all rows since the reference say, where it is other than the main span.
fn slowly(checks: &[CheckReport]) -> String {
    let drifted = |check: &&CheckReport| check.test == Test::Slow && check.drifted == Some(true);
    let slow = checks.iter().find(drifted);
    slow.map_or_else(String::new, |check| {
        let gap = check.statistic.map_or_else(String::new, figure);
        format!(
            "; but all {} rows since the reference together are off by D = {gap}",
            check.n_current
        )
    })
}

/// What of the rows was not compared, where it is much and not told already.
fn left_out(measured: &Measurement, told: &[String]) -> String {
    let share = |count: usize| count as f64 / measured.rows.max(1) as f64;
    let words = [
        (measured.mistyped, "of another type"),
        (measured.missing, "missing"),
    ];
    let noted = words
        .into_iter()
        .filter(|(count, what)| share(*count) >= 0.05 && !told.iter().any(|t| t.contains(what)));
    noted
        .map(|(count, what)| format!("; {} {what}", percent(share(count))))
        .collect()
}

fn sign(check: &CheckReport) -> &'static str {
    if check.test == Test::Ks { "D" } else { "χ²" }
}

fn closeness(check: &CheckReport) -> String {
    let sign = sign(check);
    let statistic = check.statistic.map_or_else(String::new, figure);
    match check.threshold {
        Some(threshold) => format!("{sign} = {statistic}, below {}", figure(threshold)),
        None => format!("{sign} = {statistic}"),
    }
}

/// Up to five names, and how many more.
fn names(features: &[&FeatureReport]) -> String {
    let shown: Vec<&str> = features.iter().take(5).map(|f| &*f.name).collect();
    let more = features.len().saturating_sub(5);
    match more {
        0 => shown.join(", "),
        _ => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Which of them began together.
fn together(drifted: &[&FeatureReport]) -> String {
    let first = drifted.first().and_then(|f| f.since);
    let with = drifted.iter().filter(|f| f.since == first).count();
    match first {
        Some(_) if drifted.len() > 1 && with == drifted.len() => ", all at once".to_owned(),
        Some(_) if with > 1 => format!(", {with} of them at once"),
        _ => String::new(),
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let shown = [
            27260.4,
            0.123_456,
            5.0,
            1.0e-7,
            3.0e12,
            0.0,
            f64::INFINITY,
            120.0,
        ]
        .map(figure);
        assert_eq!(
            shown,
            [
                "27260", "0.1235", "5", "1.00e-7", "3.00e12", "0", "inf", "120"
            ]
        );
    }

    #[test]
    fn p_values_never_read_zero() {
        assert_eq!(p_value(-0.3), "0.5012");
        assert_eq!(p_value(-400.5), "3.2e-401");
        // f"{9.97e-12:.1e}" in Python.
        assert_eq!(p_value(9.97e-12_f64.log10()), "1.0e-11");
    }

    #[test]
    fn shares_keep_a_digit_where_rounding_would_hide_them() {
        assert_eq!(
            [0.0, 0.004, 0.17, 0.996, 1.0].map(percent),
            ["0 %", "0.4 %", "17 %", "99.6 %", "100 %"]
        );
    }
}
