//! Tables that take turns, against one that would hold everything.

use std::collections::HashSet;

use super::*;

/// Every row told of, by model, with the exchange it belongs to.
type Told = Vec<(usize, RowId, i64)>;

/// What must be left of a model's rows: those since `before`, and of older ones those below the threshold.
fn must_be_left(told: &Told, model: usize, thinned: Option<Thinned>) -> Vec<i64> {
    let stays = |row: &RowId| {
        thinned.is_none_or(|thinned| {
            row.id >= thinned.before || u64::from(row.priority) < thinned.threshold
        })
    };
    (told.iter())
        .filter(|(of, row, _)| *of == model && stays(row))
        .map(|(_, row, _)| row.id)
        .collect()
}

#[test]
fn tables_that_take_turns_leave_what_one_would() {
    const LIMIT: usize = 1600;
    let specs = vec![spec("iris", &["a"], &[]), spec("wine", &["a"], &[])];
    let mut fixture = Fixture::new(specs);
    fixture.config.keep_rows = LIMIT as u64;
    let mut window = fixture.open(T0).window;
    let mut told: Told = Vec::new();
    let mut thinned = [None; 2];
    let mut exchange = 0;
    let mut turned = HashSet::new();
    for batch in 0..300_i64 {
        // Plain ones, refused ones, and ones of two and three rows; of the second model fewer.
        let kinds: Vec<(usize, usize)> = (0..60)
            .map(|at| {
                (
                    usize::from(at % 4 == 3),
                    [1, 1, 1, 1, 2, 1, 1, 3, 1][at % 9],
                )
            })
            .collect();
        let new = |(at, (model, rows)): (i64, &(usize, usize))| {
            let cells = |row| vec![Cell::Number((batch * 1000 + at * 10 + row) as f64)];
            let rows = (0..*rows as i64).map(cells).collect();
            let mut record = record(*model, T0 + batch * 60 + at, rows);
            if at % 11 == 0 {
                (record.checked, record.exchange.status) = (false, 422);
            }
            record
        };
        let records: Vec<Record> = (0..).zip(&kinds).map(new).collect();
        let mut stored = window.commit(records).unwrap().rows.into_iter();
        for (model, rows) in &kinds {
            exchange += 1;
            told.extend(stored.by_ref().take(*rows).map(|id| (*model, id, exchange)));
        }
        window.settle("");
        for (model, state) in window.commit(Vec::new()).unwrap().thinned {
            thinned[model] = Some(state);
        }
        turned.insert(fixture.query::<i64>("SELECT coalesce(max(id), 0) / 1600 FROM row_data_1_1"));
        if batch % 37 != 0 && batch < 295 {
            continue;
        }
        if batch % 74 == 0 {
            // As it is left by a process killed while it moves rows.
            window.close();
            let file = Connection::open(&fixture.config.path).unwrap();
            let oldest = "SELECT name FROM (SELECT min(id) AS first, 'row_data_1_1' AS name FROM row_data_1_1 \
                 UNION ALL SELECT min(id), 'row_data_1_2' FROM row_data_1_2 \
                 UNION ALL SELECT min(id), 'row_data_1_3' FROM row_data_1_3) \
                 WHERE first IS NOT NULL ORDER BY first LIMIT 1";
            let oldest: String = file.query_row(oldest, (), |row| row.get(0)).unwrap();
            let moved = format!("SELECT * FROM {oldest} WHERE id % 5 = 0");
            file.execute_batch(&format!(
                "INSERT INTO row_data_1 {moved}; DELETE FROM {oldest} WHERE id % 5 = 0"
            ))
            .unwrap();
            drop(file);
            window = fixture.open(T0 + batch * 60 + 60).window;
        }
        let mut left = HashSet::new();
        for (model, thinned) in thinned.into_iter().enumerate() {
            let rows = window.sample_rows(model, Timestamp(0), usize::MAX).unwrap();
            assert!(rows.1);
            let unchecked: i64 = fixture.query(&format!(
                "SELECT count(*) FROM rows_{} WHERE status = 422",
                ["iris", "wine"][model]
            ));
            let expected = must_be_left(&told, model, thinned);
            assert_eq!(rows.0.len() + unchecked as usize, expected.len(), "{batch}");
            assert_eq!(window.figures(model).rows as usize, expected.len());
            assert!(expected.len() <= LIMIT, "{batch}");
            let all = told.iter().filter(|(of, ..)| *of == model);
            let newest: Vec<i64> = all
                .map(|(_, row, _)| row.id)
                .rev()
                .take(LIMIT / 2)
                .collect();
            assert!(newest.iter().all(|id| expected.contains(id)), "{batch}");
            let recent = ids(&window.recent_rows(model, usize::MAX).unwrap());
            assert_eq!(recent, ids(&rows.0), "{batch}");
            assert!(recent.iter().all(|id| expected.contains(id)), "{batch}");
            left.extend(expected);
        }
        let rows = told.iter().filter(|(_, row, _)| left.contains(&row.id));
        let expected: HashSet<i64> = rows.map(|(.., exchange)| *exchange).collect();
        let shell = fixture.shell();
        let mut found = shell.prepare("SELECT id FROM exchanges").unwrap();
        let found: Vec<i64> = (found.query_map((), |row| row.get(0)).unwrap())
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(found.len(), expected.len(), "{batch}");
        assert_eq!(HashSet::from_iter(found), expected, "{batch}");
        let orphans = "SELECT count(*) FROM rows_iris WHERE status IS NULL OR version IS NULL";
        assert_eq!(fixture.query::<i64>(orphans), 0, "{batch}");
    }
    assert!(turned.len() > 5, "{turned:?}: otherwise this shows nothing");
    assert_eq!(fixture.query::<String>("PRAGMA integrity_check"), "ok");
}
