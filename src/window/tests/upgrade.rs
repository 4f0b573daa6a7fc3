//! Files of earlier formats, brought up to date with everything in them.

use super::*;
use crate::exchange::{CapturedHeader, CapturedHeaders};

/// What a driftd of format 2 stored in an hour: rows, exchanges, a standing alarm, a gap, a check, an
/// acceptance.
const HOUR: &str = r#"
INSERT INTO meta VALUES ('seed', 7), ('next_row', 4), ('next_exchange', 3), ('clean', 1);
INSERT INTO models (id, name, view) VALUES (1, 'iris', 'rows_iris');
INSERT INTO columns VALUES (1, 0, 'feature', 'a', 'a'), (1, 1, 'feature', 'b', 'b'),
  (1, 2, 'output', 'prediction', 'prediction');
INSERT INTO reference_data VALUES (1, 1, 'v1', 'cafe', 1700000000000, 1);
CREATE TABLE row_data_1 (id INTEGER PRIMARY KEY, exchange_id INTEGER NOT NULL,
  time INTEGER NOT NULL, checked INTEGER NOT NULL, rest, c0, c1, c2);
CREATE INDEX row_data_1_time ON row_data_1 (time, checked);
INSERT INTO row_data_1 VALUES (1, 1, 1700000000000, 1, NULL, 1.5, 'x', 7.0),
  (2, 1, 1700000000000, 1, NULL, 2.5, 'y', 8.0), (3, 1, 1700000000000, 1, NULL, 3.5, NULL, 9.0);
INSERT INTO exchange_data VALUES
  (1, 'r-1', NULL, 1, 3, 1700000000000, 1, 1, 'POST', '/predict', 200, 1500, 1200, 64, 32, 'captured', ''),
  (2, 'r-2', 't', NULL, 0, 1700000000001, 1, 1, 'POST', '/predict', 200, 1500, 1200, 9, 2, 'undecodable', 'no JSON');
INSERT INTO alarm_data VALUES (1, 'a', 'ks', 'main', 1, 1700000000000, 1e-6);
INSERT INTO gap_data VALUES (1, 1, 1700000000000, 1700000001000, 'queue_full', 3);
INSERT INTO check_data (time, model, reference, "column", role, test, span, state, level,
  n_reference, n_current) VALUES (1700000000000, 1, 1, 'a', 'feature', 'ks', 'main', 'drifted', 'alert', 9, 9);
INSERT INTO accepted_data (model, "column", test, effect, "by", reason, since, until)
  VALUES (1, 'b', 'chi2', 0.4, 'mira', 'new', 1700000000000, 1800000000000);
"#;

#[test]
fn a_window_of_the_second_format_is_upgraded_and_keeps_everything() {
    let fixture = Fixture::new(iris());
    let old = Connection::open(&fixture.config.path).unwrap();
    schema::write_version(&old, 2).unwrap();
    old.execute_batch(HOUR).unwrap();
    drop(old);
    let opened = fixture.open(T0 + 60_000);
    assert_eq!((opened.quarantined, opened.gap), (None, None));
    let model = &opened.models[0];
    assert!(!model.fresh);
    assert_eq!(
        (model.alarms.standing.len(), model.accepted.len()),
        (1, 1),
        "{model:?}"
    );
    let rows = opened.window.recent_rows(0, 9).unwrap();
    assert_eq!(ids(&rows), [1, 2, 3]);
    assert_eq!(rows[1].cells[0], Cell::Number(2.5));
    assert_eq!(rows[0].cells[1], Cell::Text("x".into()));
    let committed = opened.window.commit(stream(0, T0 + 1..T0 + 2)).unwrap();
    assert_eq!(committed.rows[0].id, 4);
    assert_eq!(fixture.query::<i64>("PRAGMA user_version"), 6);
    let seen: String = fixture.query(
        "SELECT json_group_array(json_array(id, request_id, rows, request_bytes, response_bytes, outcome, \
         reason, request_truncated, response_truncated, headers)) FROM exchanges",
    );
    assert_eq!(
        seen,
        "[[1,\"r-1\",3,64,32,\"captured\",\"\",0,0,null],\
          [2,\"r-2\",0,9,2,\"undecodable\",\"no JSON\",0,0,null],\
          [3,\"r-1700000000001\",1,64,0,\"captured\",\"\",0,0,null]]"
    );
    let kept: String = fixture.query(
        "SELECT json_array((SELECT count(*) FROM checks), (SELECT sum(exchanges) FROM gaps), \
         (SELECT count(*) FROM rows_iris))",
    );
    assert_eq!(kept, "[1,3,4]");
}

#[test]
fn an_upgrade_needs_no_room_and_keeps_what_is_no_longer_configured() {
    let mut fixture = Fixture::new(iris());
    fixture.config.max_bytes = 1;
    let old = Connection::open(&fixture.config.path).unwrap();
    schema::write_version(&old, 2).unwrap();
    old.execute_batch(HOUR).unwrap();
    old.execute_batch(
        "INSERT INTO models (id, name, view) VALUES (2, 'gone', 'rows_gone'), (3, 'left', 'rows_left'); \
         INSERT INTO columns VALUES (2, 0, 'feature', 'x', 'x'), (3, 0, 'feature', 'x', 'x'); \
         CREATE TABLE row_data_2 (id INTEGER PRIMARY KEY, exchange_id INTEGER NOT NULL, \
         time INTEGER NOT NULL, checked INTEGER NOT NULL, rest, c0); \
         CREATE INDEX row_data_2_time ON row_data_2 (time, checked); \
         CREATE VIEW rows_gone AS SELECT d.id, d.c0 AS x FROM row_data_2 d; \
         CREATE TABLE row_data_3 (id INTEGER PRIMARY KEY, exchange_id INTEGER NOT NULL, \
         time INTEGER NOT NULL, checked INTEGER NOT NULL, rest, c0); \
         CREATE INDEX row_data_3_time ON row_data_3 (time, checked); \
         INSERT INTO row_data_3 VALUES (3, 1, 1700000000000, 1, NULL, 4.5); \
         CREATE VIEW rows_left AS SELECT d.id, d.c0 AS x FROM row_data_3 d",
    )
    .unwrap();
    drop(old);
    let window = fixture.open(T0 + 60_000).window;
    assert!(
        window.commit(stream(0, T0..T0 + 1)).is_err(),
        "there is no room"
    );
    let seen: String = fixture.query(
        "SELECT json_array((SELECT count(x) FROM rows_gone), (SELECT x FROM rows_left), \
         (SELECT count(*) FROM exchanges WHERE id = 1))",
    );
    assert_eq!(seen, "[0,4.5,1]");
}

#[test]
fn rows_of_an_earlier_format_are_thinned_and_expire_beside_new_ones() {
    let mut fixture = Fixture::new(iris());
    fixture.config.keep_rows = 400;
    let old = Connection::open(&fixture.config.path).unwrap();
    schema::write_version(&old, 2).unwrap();
    old.execute_batch(HOUR).unwrap();
    // Three rows of one exchange and one of another are there; 300 more of one row each.
    for id in 4..304 {
        let time = T0 + id;
        old.execute_batch(&format!(
            "INSERT INTO row_data_1 VALUES ({id}, {id}, {time}, 1, NULL, 1.5, 'x', 7.0); \
             INSERT INTO exchange_data VALUES ({id}, 'r', NULL, {id}, 1, {time}, 1, 1, 'POST', '/predict', 200, \
             1500, 1200, 64, 32, 'captured', '')"
        ))
        .unwrap();
    }
    old.execute_batch("UPDATE meta SET value = 304 WHERE name IN ('next_row', 'next_exchange')")
        .unwrap();
    drop(old);
    let window = fixture.open(T0 + 60_000).window;
    assert_eq!(window.figures(0).rows, 303);
    let path = fixture.config.path.clone();
    let count = |what: &str| -> i64 {
        let shell = Connection::open(&path).unwrap();
        let sql = format!("SELECT count(*) FROM {what}");
        shell.query_row(&sql, (), |row| row.get(0)).unwrap()
    };
    for start in (T0 + 60_000..T0 + 61_000).step_by(20) {
        window.commit(stream(0, start..start + 20)).unwrap();
        window.settle("");
        let rows = window.figures(0).rows;
        assert!((250..=400).contains(&rows), "{rows}");
        assert_eq!(count("rows_iris"), rows as i64);
        // Of the first hour's two, the one without rows stays.
        let three = count("rows_iris WHERE exchange_id = 1");
        let exchanges = rows as i64 - three + three.min(1) + 1;
        assert_eq!(count("exchanges"), exchanges);
        assert_eq!(count("rows_iris WHERE status IS NULL"), 0);
    }
    let left = count("rows_iris WHERE id < 304");
    assert!((1..120).contains(&left), "{left}");
    window.close();
    drop(window);
    fixture.config.keep_for = Duration::from_millis(500);
    let window = fixture.open(T0 + 61_000).window;
    window.settle("");
    let rows = window.figures(0).rows as i64;
    assert!((200..400).contains(&rows), "{rows}");
    assert_eq!((count("rows_iris"), count("exchanges")), (rows, rows));
    let oldest: String = fixture.query("SELECT min(time) FROM rows_iris");
    assert!(oldest >= Timestamp(T0 + 60_500).to_string(), "{oldest}");
}

#[test]
fn sizes_truncation_and_headers_are_there_to_read() {
    let fixture = Fixture::new(iris());
    let window = fixture.open(T0).window;
    let mut batch = stream(0, T0..T0 + 2);
    batch[0].exchange.request = CapturedBody {
        length: 20_971_520,
        truncated: true,
        ..CapturedBody::default()
    };
    let header = |name: &str, value: &str| CapturedHeader {
        name: name.into(),
        value: value.into(),
    };
    batch[0].exchange.headers = CapturedHeaders {
        request: vec![header("x-tenant", "a\"b"), header("x-region", "eu")],
        response: vec![header("x-model-version", "7")],
    };
    window.commit(batch).unwrap();
    let seen: String = fixture.query(
        "SELECT json_group_array(json_array(request_bytes, request_truncated, response_truncated, \
         headers -> 'request' ->> 'x-tenant', headers -> 'response' ->> 'x-model-version')) FROM exchanges",
    );
    assert_eq!(seen, r#"[[20971520,1,0,"a\"b","7"],[64,0,0,null,null]]"#);
}
