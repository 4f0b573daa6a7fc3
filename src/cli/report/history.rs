//! The verdicts that changed, from all checks a window still holds.

use std::collections::{HashMap, VecDeque};

use rusqlite::Connection;

use super::super::progress::{Progress, Stage};
use super::stored::{Model, Verdict, time};

/// Verdicts kept of one model, the newest.
const MOST_VERDICTS: usize = 1000;

/// Lines of the history read in one transaction.
const PAGE: i64 = 20_000;

/// What a verdict is about: model, column, role, test, span.
type Subject = (String, [String; 4]);

/// Goes through all checks and keeps the verdicts that differ from the one before.
pub(super) fn read(
    connection: &Connection,
    models: &mut [Model],
    progress: &Progress,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(
        "SELECT id, time, model, \"column\", role, test, span, drifted, statistic, threshold \
         FROM checks WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let mut standing: HashMap<Subject, bool> = HashMap::new();
    let mut kept: HashMap<String, VecDeque<Verdict>> = HashMap::new();
    let (mut last, mut done) = (0i64, 0);
    loop {
        let mut rows = statement.query((last, PAGE))?;
        let mut any = false;
        while let Some(row) = rows.next()? {
            (last, any) = (row.get(0)?, true);
            done += 1;
            let Some(drifted) = row.get::<_, Option<bool>>(7)? else {
                continue;
            };
            // The model of a line is known unless somebody deleted it.
            let model: String = row.get::<_, Option<String>>(2)?.unwrap_or_default();
            let about = [row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?];
            let subject = (model, about);
            // Before the first check nothing had drifted.
            let before = standing.get(&subject).copied().unwrap_or(false);
            if before != drifted {
                let (model, [column, _, test, span]) = subject.clone();
                let verdicts = kept.entry(model).or_default();
                verdicts.push_front(Verdict {
                    time: time(row, 1)?,
                    column,
                    test,
                    span,
                    drifted,
                    statistic: row.get(8)?,
                    threshold: row.get(9)?,
                });
                verdicts.truncate(MOST_VERDICTS);
                standing.insert(subject, drifted);
            }
        }
        progress.at(Stage::Counting {
            what: "lines of history read",
            done,
            total: None,
        });
        if !any {
            break;
        }
    }
    for model in models {
        model.verdicts = kept.remove(model.name.as_str()).unwrap_or_default().into();
    }
    Ok(())
}
