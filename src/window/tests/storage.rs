//! What goes in comes out, and what a person sees.

use super::*;
use crate::drift::alarm::{Alarm, AlarmKey};
use crate::drift::report::{CheckReport, Level, SpanName, State, Test};

fn text(word: &str) -> Cell {
    Cell::Text(word.into())
}

/// Cells compared bit by bit.
fn bits(cells: &[Cell]) -> Vec<String> {
    let show = |cell: &Cell| match cell {
        Cell::Number(number) => format!("{:016x}", number.to_bits()),
        other => format!("{other:?}"),
    };
    cells.iter().map(show).collect()
}

/// One of everything.
fn cells() -> Vec<Cell> {
    let numbers = [
        0.1 + 0.2,
        1.0,
        -3.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MIN_POSITIVE / 4.0,
        f64::MAX,
        9_007_199_254_740_993.0,
        1.234_567_890_123_456_7e-300,
    ];
    let others = [
        Cell::Missing,
        Cell::Bool(true),
        Cell::Bool(false),
        text(""),
        text("5.1"),
        text("true"),
        text("inf"),
        text("ünï\"c'øde\0 ☃"),
    ];
    numbers
        .map(Cell::Number)
        .into_iter()
        .chain(others)
        .collect()
}

#[test]
fn every_cell_reads_back_as_it_was() {
    let names: Vec<String> = (0..cells().len()).map(|n| format!("f{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let fixture = Fixture::new(vec![spec("m", &names, &[])]);
    let window = fixture.open(T0).window;
    window.commit(vec![record(0, T0, vec![cells()])]).unwrap();
    let rows = window.recent_rows(0, 10).unwrap();
    assert_eq!(bits(&rows[0].cells), bits(&cells()));
    let types: String = fixture.query("SELECT group_concat(typeof(f1)||typeof(f13)) FROM rows_m");
    assert_eq!(types, "realtext", "numbers stay REAL and numerals TEXT");
}

#[test]
fn a_schema_wider_than_sqlite_allows_round_trips() {
    let names: Vec<String> = (0..2100).map(|n| format!("f{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let fixture = Fixture::new(vec![spec("m", &names, &[])]);
    let window = fixture.open(T0).window;
    let row: Vec<Cell> = cells().into_iter().cycle().take(2100).collect();
    window
        .commit(vec![record(0, T0, vec![row.clone()])])
        .unwrap();
    let rows = window.recent_rows(0, 10).unwrap();
    assert_eq!(bits(&rows[0].cells), bits(&row));
    let seen: String = fixture.query("SELECT json_array(f1888, rest ->> '$.f1906') FROM rows_m");
    assert_eq!(seen, "[1.0,-3.0]", "{:?} {:?}", row[1888], row[1906]);
    let page: i64 = fixture.query("PRAGMA page_size");
    assert_eq!(page, 16384);
}

#[test]
fn a_person_sees_names_times_and_versions() {
    let features = ["id", "Größe \"x\"", "time", "A", "a"];
    let fixture = Fixture::new(vec![spec("my-model.1", &features, &["prediction"])]);
    let window = fixture.open(T0).window;
    let row: Vec<Cell> = (0..6).map(|n| Cell::Number(f64::from(n))).collect();
    window
        .commit(vec![record(0, T0 + 123, vec![row.clone(), row])])
        .unwrap();
    let seen: String = fixture.query(
        "SELECT json_array(id, exchange_id, time, status, version, \"id:2\", \"Größe \"\"x\"\"\", \
         \"time:2\", A, \"a:2\", prediction) FROM \"rows_my-model.1\" ORDER BY id LIMIT 1",
    );
    assert_eq!(
        seen,
        r#"[1,1,"2023-11-14T22:13:20.123Z",200,"v1",0.0,1.0,2.0,3.0,4.0,5.0]"#
    );
    let seen: String = fixture.query(
        "SELECT json_array(id, request_id, row_id, rows, time, model, version, method, route, \
         status, total_us, upstream_us, request_bytes, outcome, reason) FROM exchanges",
    );
    assert_eq!(
        seen,
        r#"[1,"r-1700000000123",1,2,"2023-11-14T22:13:20.123Z","my-model.1","v1","POST","/predict",200,1500,1200,64,"captured",""]"#
    );
    let stored: String = fixture.query("SELECT group_concat(name) FROM columns WHERE name = 'id'");
    assert_eq!(stored, "id");
}

/// Plain ones stand in their rows, others in a table of their own; nobody sees which.
#[test]
fn all_exchanges_look_alike() {
    let fixture = Fixture::new(iris());
    let window = fixture.open(T0).window;
    let mut batch = stream(0, T0..T0 + 4);
    for (record, trace) in batch.iter_mut().zip(["0af7", "b7ad"]) {
        record.exchange.trace_id = Some(trace.into());
    }
    batch[1].exchange.response.truncated = true;
    batch[2].reason = "aborted".to_owned();
    batch[3].checked = false;
    batch[3].exchange.status = 503;
    window.commit(batch).unwrap();
    let apart: i64 = fixture.query("SELECT count(*) FROM exchange_data");
    assert_eq!(apart, 3);
    let seen = "SELECT json_group_array(json_array(id, request_id, trace_id, row_id, rows, time, model, version, \
         method, route, status, total_us, upstream_us, request_bytes, response_bytes, outcome, reason, \
         request_truncated, response_truncated, headers)) FROM (SELECT * FROM exchanges ORDER BY id)";
    assert_eq!(
        fixture.query::<String>(seen),
        r#"[[1,"r-1700000000000","0af7",1,1,"2023-11-14T22:13:20.000Z","iris","v1","POST","/predict",200,1500,1200,64,0,"captured","",0,0,null],"#
            .to_owned()
            + r#"[2,"r-1700000000001","b7ad",2,1,"2023-11-14T22:13:20.001Z","iris","v1","POST","/predict",200,1500,1200,64,0,"captured","",0,1,null],"#
            + r#"[3,"r-1700000000002",null,3,1,"2023-11-14T22:13:20.002Z","iris","v1","POST","/predict",200,1500,1200,64,0,"captured","aborted",0,0,null],"#
            + r#"[4,"r-1700000000003",null,4,1,"2023-11-14T22:13:20.003Z","iris","v1","POST","/predict",503,1500,1200,64,0,"captured","",0,0,null]]"#
    );
    let rows =
        "SELECT json_group_array(json_array(id, exchange_id, status, version)) FROM rows_iris";
    assert_eq!(
        fixture.query::<String>(rows),
        r#"[[1,1,200,"v1"],[2,2,200,"v1"],[3,3,200,"v1"],[4,4,503,"v1"]]"#
    );
    // Three answered well; whatever table they are in.
    let totals = window.coverage(0, Timestamp(T0)).unwrap();
    assert_eq!((totals.captured, totals.lost), (3, 0));
    assert_eq!(window.coverage(0, Timestamp(T0 + 1)).unwrap().captured, 2);
}

#[test]
fn more_models_than_sqlite_joins_selects_have_one_view() {
    let names: Vec<String> = (0..130).map(|n| format!("m{n}")).collect();
    let specs = names.iter().map(|name| spec(name, &["x"], &[])).collect();
    let fixture = Fixture::new(specs);
    let window = fixture.open(T0).window;
    let row = || vec![vec![Cell::Number(7.0)]];
    let batch = vec![record(0, T0, row()), record(129, T0, row())];
    window.commit(batch).unwrap();
    let seen: String = fixture.query("SELECT group_concat(model) FROM exchanges");
    assert_eq!(seen, "m0,m129");
}

#[test]
fn models_whose_names_differ_in_case_have_views_of_their_own() {
    let fixture = Fixture::new(vec![spec("Iris", &["x"], &[]), spec("iris", &["x"], &[])]);
    let window = fixture.open(T0).window;
    window
        .commit(vec![record(1, T0, vec![vec![Cell::Number(7.0)]])])
        .unwrap();
    assert_eq!(
        fixture.query::<i64>("SELECT count(*) FROM \"rows_Iris\""),
        0
    );
    assert_eq!(
        fixture.query::<String>("SELECT format('%.1f', x) FROM \"rows_iris:2\""),
        "7.0"
    );
    assert_eq!(
        fixture.query::<String>("SELECT model FROM exchanges"),
        "iris"
    );
}

#[test]
fn another_schema_keeps_the_old_rows_and_columns() {
    let mut fixture = Fixture::new(vec![spec("m", &["a", "b"], &["p"])]);
    let window = fixture.open(T0).window;
    let row = |numbers: [f64; 3]| numbers.map(Cell::Number).to_vec();
    window
        .commit(vec![record(0, T0, vec![row([1.0, 2.0, 3.0])])])
        .unwrap();
    window.close();
    // b is gone, c is new, the order is another, and p is an input now.
    fixture.specs = vec![spec("m", &["c", "p"], &["a"])];
    let window = fixture.open(T0 + 1).window;
    window
        .commit(vec![record(0, T0 + 1, vec![row([4.0, 5.0, 6.0])])])
        .unwrap();
    let rows = window.recent_rows(0, 9).unwrap();
    let expected = [
        [None, Some(3.0), Some(1.0)],
        [Some(4.0), Some(5.0), Some(6.0)],
    ];
    for (row, expected) in rows.iter().zip(expected) {
        let cells = expected.map(|n: Option<f64>| n.map_or(Cell::Missing, Cell::Number));
        assert_eq!(row.cells[..], cells);
    }
    assert_eq!(rows.len(), 2);
    let old: String = fixture.query("SELECT json_array(a, b, c) FROM rows_m WHERE id = 1");
    assert_eq!(old, "[1.0,2.0,null]");
}

#[test]
fn rows_of_failed_exchanges_are_stored_but_not_checked() {
    let fixture = Fixture::new(iris());
    let window = fixture.open(T0).window;
    let mut batch = stream(0, T0..T0 + 3);
    batch[1].checked = false;
    batch[1].exchange.status = 500;
    let committed = window.commit(batch).unwrap();
    assert_eq!(committed.rows.len(), 3);
    assert_eq!(ids(&window.recent_rows(0, 9).unwrap()), [1, 3]);
    assert_eq!(
        ids(&window.sample_rows(0, Timestamp(0), 9).unwrap().0),
        [1, 3]
    );
    assert_eq!(
        fixture.query::<i64>("SELECT status FROM rows_iris WHERE id = 2"),
        500
    );
    assert_eq!(window.figures(0).rows, 3);
    assert_eq!(window.figures(0).newest, Some(Timestamp(T0 + 2)));
}

#[test]
fn a_sample_is_the_brute_force_one() {
    let fixture = Fixture::new(iris());
    let window = fixture.open(T0).window;
    // Times run against ids, as they may where slow exchanges end late.
    let committed = window.commit(stream(0, (T0..T0 + 500).rev())).unwrap();
    let from = T0 + 100;
    let mut expected: Vec<(u32, i64)> = (committed.rows.iter())
        .zip((T0..T0 + 500).rev())
        .filter(|(_, time)| *time >= from)
        .map(|(row, _)| (row.priority, row.id))
        .collect();
    expected.sort_unstable();
    for (count, complete) in [(50, false), (399, false), (400, true), (1000, true)] {
        let (rows, all) = window.sample_rows(0, Timestamp(from), count).unwrap();
        let mut lowest: Vec<i64> = expected.iter().take(count).map(|row| row.1).collect();
        lowest.sort_unstable();
        assert_eq!(ids(&rows), lowest);
        assert_eq!(all, complete, "{count}");
        let stored = rows.iter().map(|row| (row.priority, row.id));
        assert!(stored.into_iter().all(|row| expected.contains(&row)));
    }
    assert_eq!(ids(&window.recent_rows(0, 3).unwrap()), [498, 499, 500]);
}

#[test]
fn the_view_is_readable_while_the_writer_works() {
    let fixture = Fixture::new(iris());
    let window = fixture.open(T0).window;
    window.commit(stream(0, T0..T0 + 10)).unwrap();
    let shell = fixture.shell();
    let mut statement = shell.prepare("SELECT a, b FROM rows_iris").unwrap();
    let mut rows = statement.query(()).unwrap();
    let mut seen = 0;
    while let Some(row) = rows.next().unwrap() {
        assert_eq!(row.get::<_, f64>("a").unwrap() as i64, T0 + seen);
        seen += 1;
        window.commit(stream(0, T0 + 100..T0 + 110)).unwrap();
    }
    assert_eq!(seen, 10, "a reader sees the snapshot it began with");
    assert_eq!(window.figures(0).rows, 110);
}

pub(super) fn report() -> ModelReport {
    let check = CheckReport {
        test: Test::Ks,
        span: SpanName::Main,
        state: State::Drifted,
        drifted: Some(true),
        level: Level::Alert,
        statistic: Some(0.5),
        p_value: Some(0.0),
        log10_p: Some(-400.5),
        decision_p: None,
        threshold: Some(0.2),
        n_reference: 150,
        n_current: 1000,
        n_effective: 800.5,
        location: Some(5.4),
        sign: Some(-1),
        effect: Some(0.5),
        lower_bound: None,
        error_bound: None,
        adjusted_p: None,
    };
    ModelReport {
        model: ModelName::parse("iris").unwrap(),
        version: "v1".to_owned(),
        reference: None,
        rows: 1000,
        spans: vec![(crate::drift::report::SpanName::Main, 1000)],
        checked_at: Some(Timestamp(T0)),
        evaluated_at: None,
        coverage: None,
        calibrated: true,
        state: State::Drifted,
        drifted: Some(true),
        level: Level::Alert,
        sentence: String::new(),
        detectable: None,
        groups: Vec::new(),
        budget: None,
        checks: vec![check],
        accepted: Vec::new(),
        features: Vec::new(),
    }
}

pub(super) fn alarms() -> Alarms {
    let key = AlarmKey {
        column: "a".to_owned(),
        test: Test::Chi2,
        span: SpanName::Fast,
    };
    let alarm = Alarm {
        drifted: true,
        since: Timestamp(T0 - 5),
        alpha: 1e-6,
    };
    Alarms {
        evaluated_at: Some(Timestamp(T0)),
        evaluated_row: 17,
        began: Some(Timestamp(T0 - 5)),
        since: serde_json::from_str(
            r#"{"rows":3,"newest":3,"tracks":[[{"time":1.5,"settled":false},[1,2]]]}"#,
        )
        .unwrap(),
        standing: [(key, alarm)].into(),
        alphas: [(SpanName::Main, 1.0 / 3.0), (SpanName::Fast, 1e-7)].into(),
    }
}

#[test]
fn checks_and_gaps_are_there_to_read() {
    let fixture = Fixture::new(iris());
    let window = fixture.open(T0).window;
    window
        .save_check(0, &report(), &alarms(), &SpanName::ALL)
        .unwrap();
    let gap = Gap {
        model: Some(0),
        started_at: Timestamp(T0),
        ended_at: Timestamp(T0 + 1000),
        reason: DropReason::QueueFull.as_str().to_owned(),
        exchanges: Some(3),
    };
    window.save_gap(gap).unwrap();
    let check: String = fixture.query(
        "SELECT json_array(time, model, version, reference, test, span, state, drifted, level, \
         p_value, log10_p, decision_p, n_current, sign) FROM checks",
    );
    assert_eq!(
        check,
        r#"["2023-11-14T22:13:20.000Z","iris","v1","cafe","ks","main","drifted",1,"alert",0.0,-400.5,null,1000,-1]"#
    );
    let gap: String =
        fixture.query("SELECT json_array(model, ended_at, reason, exchanges) FROM gaps");
    assert_eq!(gap, r#"["iris","2023-11-14T22:13:21.000Z","queue_full",3]"#);
    let alarm: String =
        fixture.query("SELECT json_array(\"column\", test, span, drifted, since) FROM alarms");
    assert_eq!(alarm, r#"["a","chi2","fast",1,"2023-11-14T22:13:19.995Z"]"#);
}
