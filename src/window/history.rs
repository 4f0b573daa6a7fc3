//! What was decided: checks, the alarms that stand, and gaps.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};
use serde::Deserialize;

use crate::drift::alarm::{Alarm, AlarmKey, Alarms};
use crate::drift::report::{CheckReport, ModelReport, SpanName, Test};
use crate::drift::since::Saved;
use crate::feature::Role;
use crate::timestamp::Timestamp;

use super::Gap;
use super::state::ModelState;

/// A check on its way to the writer.
#[derive(Debug)]
pub(super) struct Check {
    /// Index of the model.
    pub(super) model: usize,
    /// When it was measured.
    pub(super) time: Option<Timestamp>,
    /// Its tests with the columns they are about; empty and `None` for those over all columns.
    pub(super) tests: Vec<(Arc<str>, Option<Role>, CheckReport)>,
    /// What stands after it.
    pub(super) alarms: Alarms,
}

// === impl Check ===

impl Check {
    /// Of a report, the tests over `spans` go into the history.
    pub(super) fn new(
        model: usize,
        report: &ModelReport,
        alarms: &Alarms,
        spans: &[SpanName],
    ) -> Self {
        let joint = report
            .checks
            .iter()
            .map(|check| ("".into(), None, check.clone()));
        let single = report.features.iter().flat_map(|feature| {
            let row = |check: &CheckReport| {
                (Arc::clone(&feature.name), Some(feature.role), check.clone())
            };
            feature.checks.iter().map(row)
        });
        Self {
            model,
            time: report.checked_at,
            tests: (joint.chain(single))
                .filter(|(_, _, check)| spans.contains(&check.span))
                .collect(),
            alarms: alarms.clone(),
        }
    }
}

/// Inserts the history of a check; returns how many rows it took.
pub(super) fn save_tests(
    connection: &Connection,
    check: &Check,
    number: i64,
    reference: i64,
) -> rusqlite::Result<u64> {
    let Some(time) = check.time else {
        return Ok(0);
    };
    let mut statement = connection.prepare_cached(
        "INSERT INTO check_data (time, model, reference, \"column\", role, test, span, state, \
         drifted, level, statistic, p_value, log10_p, decision_p, threshold, n_reference, \
         n_current, n_effective, location, sign, effect, lower_bound) \
         VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    )?;
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    for (column, role, test) in &check.tests {
        statement.execute(rusqlite::params![
            time.0,
            number,
            reference,
            column,
            role.map_or("", Role::as_str),
            test.test.as_str(),
            test.span.as_str(),
            test.state.as_str(),
            test.drifted,
            test.level.as_str(),
            test.statistic,
            test.p_value,
            test.log10_p,
            test.decision_p,
            test.threshold,
            count(test.n_reference),
            count(test.n_current),
            test.n_effective,
            test.location,
            test.sign,
            test.effect,
            test.lower_bound,
        ])?;
    }
    Ok(check.tests.len() as u64)
}

/// Puts `alarms` in the place of those stored.
pub(super) fn save_alarms(
    connection: &Connection,
    number: i64,
    alarms: &Alarms,
) -> rusqlite::Result<()> {
    clear_alarms(connection, number)?;
    connection
        .prepare_cached(
            "UPDATE models SET evaluated_at = ?2, evaluated_row = ?3, since_reference = ?4 \
             WHERE id = ?1",
        )?
        .execute((
            number,
            alarms.evaluated_at.map(|time| time.0),
            alarms.evaluated_row,
            learnt(alarms),
        ))?;
    let mut statement =
        connection.prepare_cached("INSERT INTO alarm_data VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for (key, alarm) in &alarms.standing {
        let (test, span) = (key.test.as_str(), key.span.as_str());
        statement.execute((
            number,
            &key.column,
            test,
            span,
            alarm.drifted,
            alarm.since.0,
            alarm.alpha,
        ))?;
    }
    Ok(())
}

/// What is learnt from traffic, as it is stored: when the main span was first decided over, all rows
/// since the reference, and the significance of each span's last decision.
#[derive(Debug, Default, Deserialize)]
struct Learnt(Option<i64>, Option<Saved>, Vec<(String, f64)>);

/// The same as JSON.
fn learnt(alarms: &Alarms) -> Option<String> {
    let began = alarms.began.map(|time| time.0);
    let alphas: Vec<(&str, f64)> = (alarms.alphas.iter())
        .map(|(span, alpha)| (span.as_str(), *alpha))
        .collect();
    // Numbers, words and lists of them: there is nothing JSON cannot say.
    serde_json::to_string(&(began, &alarms.since, alphas)).ok()
}

fn read_learnt(text: &str) -> Option<Learnt> {
    // Before the significance was stored, it was two values.
    let before = |_| {
        let (began, since) = serde_json::from_str(text)?;
        Ok::<_, serde_json::Error>(Learnt(began, since, Vec::new()))
    };
    serde_json::from_str(text).or_else(before).ok()
}

/// Forgets the alarms of a model; what led to them stays in the history.
pub(super) fn clear_alarms(connection: &Connection, number: i64) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM alarm_data WHERE model = ?1", [number])?;
    connection.execute(
        "UPDATE models SET evaluated_at = NULL, evaluated_row = 0, since_reference = NULL \
         WHERE id = ?1",
        [number],
    )?;
    Ok(())
}

/// The alarms stored of a model. Those of tests this driftd does not know are left out.
pub(super) fn alarms(connection: &Connection, number: i64) -> rusqlite::Result<Alarms> {
    type Evaluated = (Option<i64>, i64, Option<String>);
    let evaluated: Option<Evaluated> = connection
        .query_row(
            "SELECT evaluated_at, evaluated_row, since_reference FROM models WHERE id = ?1",
            [number],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    let (evaluated_at, evaluated_row, since) = evaluated.unwrap_or((None, 0, None));
    // What cannot be read is learnt anew.
    let Learnt(began, since, alphas) = since
        .and_then(|text| read_learnt(&text))
        .unwrap_or_default();
    let alphas = (alphas.iter()).filter_map(|(span, alpha)| Some((span_named(span)?, *alpha)));
    let mut alarms = Alarms {
        evaluated_at: evaluated_at.map(Timestamp),
        evaluated_row,
        began: began.map(Timestamp),
        since,
        alphas: alphas.collect(),
        ..Alarms::default()
    };
    let mut statement = connection.prepare(
        "SELECT \"column\", test, span, drifted, since, alpha FROM alarm_data WHERE model = ?1",
    )?;
    let mut rows = statement.query([number])?;
    while let Some(row) = rows.next()? {
        let (test, span): (String, String) = (row.get(1)?, row.get(2)?);
        let (Some(test), Some(span)) = (test_named(&test), span_named(&span)) else {
            tracing::warn!(test, span, "An alarm of an unknown test is left out");
            continue;
        };
        let key = AlarmKey {
            column: row.get(0)?,
            test,
            span,
        };
        let alarm = Alarm {
            drifted: row.get(3)?,
            since: Timestamp(row.get(4)?),
            alpha: row.get(5)?,
        };
        alarms.standing.insert(key, alarm);
    }
    Ok(alarms)
}

/// Inserts a gap.
pub(super) fn save_gap(
    connection: &Connection,
    gap: &Gap,
    models: &[ModelState],
) -> rusqlite::Result<()> {
    let model = gap.model.and_then(|index| models.get(index));
    let exchanges = gap.exchanges.map(|n| i64::try_from(n).unwrap_or(i64::MAX));
    connection.execute(
        "INSERT INTO gap_data (model, started_at, ended_at, reason, exchanges) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
        (
            model.map(|model| model.number),
            gap.started_at.0,
            gap.ended_at.0,
            &gap.reason,
            exchanges,
        ),
    )?;
    Ok(())
}

/// The test a stored word stands for.
pub(super) fn test_named(word: &str) -> Option<Test> {
    Test::ALL.into_iter().find(|test| test.as_str() == word)
}

/// The span a stored word stands for.
pub(super) fn span_named(word: &str) -> Option<SpanName> {
    SpanName::ALL.into_iter().find(|span| span.as_str() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_driftd_learnt_is_read() {
        let saved = r#"{"rows":3,"newest":3,"tracks":[]}"#;
        let Learnt(began, since, alphas) = read_learnt(&format!("[5,{saved}]")).unwrap();
        assert_eq!((began, alphas), (Some(5), Vec::new()));
        assert!(since.is_some());
        let Learnt(.., alphas) = read_learnt(r#"[null,null,[["main",0.25]]]"#).unwrap();
        assert_eq!(alphas, [("main".to_owned(), 0.25)]);
        assert!(read_learnt("[5]").is_none() && read_learnt("{}").is_none());
    }
}
