//! What goes, and what must not.

use std::collections::HashSet;

use super::storage::{alarms, report};
use super::*;
use crate::drift::report::SpanName;

/// Commits `count` one-row exchanges a millisecond apart, in batches.
fn feed(window: &Window, model: usize, from: i64, count: i64) {
    for start in (from..from + count).step_by(500) {
        let end = (start + 500).min(from + count);
        window.commit(stream(model, start..end)).unwrap();
    }
}

#[test]
fn the_newest_half_stays_whole_and_the_older_half_is_a_uniform_sample() {
    let mut fixture = Fixture::new(iris());
    fixture.config.keep_rows = 2000;
    let opened = fixture.open(T0);
    let window = opened.window;
    feed(&window, 0, T0, 20_000);
    window.settle("");
    let rows = window.recent_rows(0, usize::MAX).unwrap();
    assert!((1300..=2000).contains(&rows.len()), "{}", rows.len());
    assert_eq!(window.figures(0).rows, rows.len() as u64);
    let kept = ids(&rows);
    let newest: Vec<i64> = (19_001..=20_000).collect();
    assert_eq!(kept[kept.len() - 1000..], newest);
    // What is left of the older ones is exactly what the threshold told says.
    window.close();
    let reopened = fixture.open(T0 + 20_000);
    let thinned = reopened.models[0].thinned.unwrap();
    let older: Vec<&StoredRow> = rows.iter().filter(|row| row.id < thinned.before).collect();
    assert!(
        older
            .iter()
            .all(|row| u64::from(row.priority) < thinned.threshold)
    );
    let expected = thinned.before as f64 * thinned.threshold as f64 / 2f64.powi(32);
    assert!(
        (older.len() as f64 - expected).abs() < 4.0 * expected.sqrt(),
        "{expected}"
    );
    // Chi-squared over ten equal stretches: 9 degrees of freedom, 27.88 is the 0.1 % point
    // (scipy.stats.chi2.isf(0.001, 9)).
    let mut counts = [0.0; 10];
    for row in &older {
        counts[((row.id - 1) * 10 / thinned.before) as usize] += 1.0;
    }
    let mean = older.len() as f64 / 10.0;
    let chi2: f64 = counts.iter().map(|n| (n - mean) * (n - mean) / mean).sum();
    assert!(chi2 < 27.88, "{chi2} {counts:?}");
    let exchanges: i64 = fixture.query("SELECT count(*) FROM exchanges");
    assert_eq!(
        exchanges,
        rows.len() as i64,
        "exchanges go with their last row"
    );
}

#[test]
fn thinning_is_told_with_the_next_commit() {
    let mut fixture = Fixture::new(iris());
    fixture.config.keep_rows = 100;
    let window = fixture.open(T0).window;
    let first = window.commit(stream(0, T0..T0 + 200)).unwrap();
    assert_eq!(first.thinned, []);
    let told = window.commit(Vec::new()).unwrap().thinned;
    let [
        (
            0,
            Thinned {
                before: 151,
                threshold,
            },
        ),
    ] = told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!(window.commit(Vec::new()).unwrap().thinned, []);
    window.settle("");
    let rows = window.recent_rows(0, usize::MAX).unwrap();
    let expected: Vec<i64> = (first.rows.iter())
        .filter(|row| row.id >= 151 || u64::from(row.priority) < threshold)
        .map(|row| row.id)
        .collect();
    assert_eq!(ids(&rows), expected);
}

#[test]
fn an_exchange_stays_while_any_of_its_rows_does() {
    let mut fixture = Fixture::new(iris());
    fixture.config.keep_rows = 100;
    let window = fixture.open(T0).window;
    let row = vec![Cell::Missing; 3];
    for n in 0..50 {
        window
            .commit(vec![record(0, T0 + n, vec![row.clone(); 7])])
            .unwrap();
    }
    window.settle("");
    let orphans: i64 = fixture.query("SELECT count(*) FROM rows_iris WHERE status IS NULL");
    assert_eq!(orphans, 0);
    let empty: i64 = fixture.query(
        "SELECT count(*) FROM exchanges e WHERE NOT EXISTS \
         (SELECT 1 FROM rows_iris r WHERE r.exchange_id = e.id)",
    );
    assert_eq!(empty, 0);
    let partly: i64 = fixture.query(
        "SELECT count(*) FROM exchanges e WHERE rows > \
         (SELECT count(*) FROM rows_iris r WHERE r.exchange_id = e.id)",
    );
    assert!(partly > 0, "otherwise this test shows nothing");
}

#[test]
fn exchanges_of_any_size_go_with_their_last_row_and_no_sooner() {
    let specs = vec![spec("iris", &["a"], &[]), spec("wine", &["a"], &[])];
    let mut fixture = Fixture::new(specs);
    fixture.config.keep_rows = 300;
    let window = fixture.open(T0).window;
    // Of each model, one after the other, exchanges of none to three rows.
    let sizes: Vec<(usize, usize)> = (0..4000).map(|n| (n % 2, n / 2 % 7 % 4)).collect();
    let mut told = Vec::new();
    for (batch, start) in sizes.chunks(250).zip((0..).step_by(250)) {
        let new = |(at, (model, rows)): (i64, &(usize, usize))| {
            record(*model, T0 + start + at, vec![vec![Cell::Missing; 1]; *rows])
        };
        told.extend(
            window
                .commit((0..).zip(batch).map(new).collect::<Vec<_>>())
                .unwrap()
                .rows,
        );
    }
    window.settle("");
    let mut ids = told.iter().map(|row| row.id);
    let mut expected: Vec<(i64, i64)> = Vec::new();
    let left: Vec<HashSet<i64>> = (0..2)
        .map(|model| window.recent_rows(model, usize::MAX).unwrap())
        .map(|rows| rows.iter().map(|row| row.id).collect())
        .collect();
    for (id, (model, rows)) in (1_i64..).zip(&sizes) {
        let rows: Vec<i64> = ids.by_ref().take(*rows).collect();
        if rows.is_empty() {
            // Those without rows are bounded by themselves.
            continue;
        }
        let held = rows.iter().filter(|row| left[*model].contains(row)).count();
        if held > 0 {
            expected.push((id, held as i64));
        }
    }
    let shell = fixture.shell();
    let mut found = shell
        .prepare(
            "SELECT e.id, (SELECT count(*) FROM rows_iris r WHERE r.exchange_id = e.id) \
             + (SELECT count(*) FROM rows_wine r WHERE r.exchange_id = e.id) \
             FROM exchanges e WHERE rows > 0 ORDER BY e.id",
        )
        .unwrap();
    let found: Vec<(i64, i64)> = found
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(found, expected);
    let gone = sizes.iter().filter(|(_, rows)| *rows > 0).count() - found.len();
    assert!(gone > 1000, "{gone}");
}

#[test]
fn rows_that_expire_before_thinning_comes_to_them_leave_no_exchange_behind() {
    for size in [1, 3] {
        let mut fixture = Fixture::new(iris());
        fixture.config.keep_rows = 1000;
        fixture.config.keep_for = Duration::from_secs(10);
        let window = fixture.open(T0).window;
        let feed = |parts: &[(i64, i64)]| {
            let times = |(from, count): &(i64, i64)| *from..*from + *count / size as i64;
            let new = |time| record(0, time, vec![vec![Cell::Missing; 3]; size]);
            let batch: Vec<Record> = parts.iter().flat_map(times).map(new).collect();
            window.commit(batch).unwrap();
        };
        feed(&[(T0, 402), (T0 + 5000, 99)]);
        feed(&[(T0 + 5000, 498)]);
        // More than may stay: the older half is thinned, and most of that has expired.
        feed(&[(T0 + 11_000, 3)]);
        window.settle("");
        let oldest: String = fixture.query("SELECT min(time) FROM rows_iris");
        assert_eq!(oldest[..19], Timestamp(T0 + 5000).to_string()[..19]);
        let rows: i64 = fixture.query("SELECT count(*) FROM rows_iris");
        assert!(
            rows < 600,
            "{rows}: some of those that had not expired were thinned"
        );
        let left: i64 = fixture.query(
            "SELECT count(*) FROM exchanges e WHERE NOT EXISTS \
             (SELECT 1 FROM rows_iris r WHERE r.exchange_id = e.id)",
        );
        assert_eq!(left, 0, "exchanges of {size} rows");
    }
}

#[test]
fn age_takes_everything_older() {
    let mut fixture = Fixture::new(iris());
    fixture.config.keep_for = Duration::from_secs(10);
    let window = fixture.open(T0).window;
    feed(&window, 0, T0, 3000);
    let mut bare = record(0, T0, Vec::new());
    bare.outcome = Outcome::Undecodable;
    window.commit(vec![bare]).unwrap();
    window
        .save_check(0, &report(), &alarms(), &SpanName::ALL)
        .unwrap();
    let gap = Gap {
        model: None,
        started_at: Timestamp(T0),
        ended_at: Timestamp(T0 + 1),
        reason: "queue_full".to_owned(),
        exchanges: None,
    };
    window.save_gap(gap).unwrap();
    window.commit(stream(0, T0 + 11_000..T0 + 11_001)).unwrap();
    window.settle("");
    let oldest: String = fixture.query("SELECT min(time) FROM rows_iris");
    assert_eq!(oldest, Timestamp(T0 + 1000).to_string());
    assert_eq!(window.figures(0).oldest, Some(Timestamp(T0 + 1000)));
    assert_eq!(window.figures(0).rows, 2001);
    assert_eq!(fixture.query::<i64>("SELECT count(*) FROM exchanges"), 2001);
    assert_eq!(fixture.query::<i64>("SELECT count(*) FROM checks"), 0);
    assert_eq!(fixture.query::<i64>("SELECT count(*) FROM gaps"), 0);
    assert_eq!(
        fixture.query::<i64>("SELECT count(*) FROM alarms"),
        1,
        "what stands stays"
    );
}

#[test]
fn a_busy_model_never_evicts_a_quiet_one() {
    let mut fixture = Fixture::new(vec![iris().remove(0), spec("quiet", &["a"], &[])]);
    fixture.config.keep_rows = 300;
    fixture.config.max_bytes = 4 << 20;
    let window = fixture.open(T0).window;
    window.commit(stream(1, T0..T0 + 100)).unwrap();
    feed(&window, 0, T0, 20_000);
    window.settle("");
    assert_eq!(window.figures(1).rows, 100);
    assert!(window.figures(0).rows <= 300);
    assert_eq!(
        fixture.query::<i64>("SELECT count(*) FROM exchanges WHERE model = 'quiet'"),
        100
    );
}

#[test]
fn bytes_stay_within_the_budget_and_the_quiet_model_whole() {
    let mut fixture = Fixture::new(vec![iris().remove(0), spec("quiet", &["a"], &[])]);
    fixture.config.max_bytes = 4 << 20;
    let window = fixture.open(T0).window;
    window.commit(stream(1, T0..T0 + 100)).unwrap();
    for start in (0..60_000).step_by(300) {
        window
            .commit(stream(0, T0 + start..T0 + start + 300))
            .unwrap();
        assert!(window.bytes() <= 4 << 20, "{} at {start}", window.bytes());
    }
    window.settle("");
    assert_eq!(window.figures(1).rows, 100);
    let rows = window.figures(0).rows;
    assert!((5_000..60_000).contains(&rows), "{rows}");
    let newest = window.recent_rows(0, 2000).unwrap();
    assert_eq!(
        newest[0].id + 1999,
        newest[1999].id,
        "recent rows are whole"
    );
}

#[test]
fn a_window_that_must_be_smaller_than_it_is_becomes_so() {
    let mut fixture = Fixture::new(iris());
    fixture.config.keep_rows = 100_000;
    let window = fixture.open(T0).window;
    feed(&window, 0, T0, 34_000);
    window.close();
    drop(window);
    let size = std::fs::metadata(&fixture.config.path).unwrap().len();
    fixture.config.max_bytes = size / 2;
    let window = fixture.open(T0 + 34_000).window;
    let took = (0..100).position(|at| {
        let from = T0 + 34_000 + at * 10;
        window.commit(stream(0, from..from + 10)).is_ok()
    });
    assert!(took.is_some());
    window.settle("");
    let rows = window.figures(0).rows;
    assert!((5_000..30_000).contains(&rows), "{rows}");
    assert_eq!(
        fixture.query::<i64>("SELECT count(*) FROM rows_iris"),
        rows as i64
    );
    assert_eq!(
        fixture.query::<i64>("SELECT count(*) FROM exchanges"),
        rows as i64
    );
}

#[test]
fn a_reader_that_pins_the_wal_fills_the_budget_until_it_lets_go() {
    let mut fixture = Fixture::new(iris());
    fixture.config.max_bytes = 4 << 20;
    let window = fixture.open(T0).window;
    window.commit(stream(0, T0..T0 + 10)).unwrap();
    let shell = fixture.shell();
    shell.execute_batch("BEGIN").unwrap();
    shell
        .query_row("SELECT count(*) FROM rows_iris", (), |_| Ok(()))
        .unwrap();
    let mut refused = None;
    for start in (0..1000).map(|n| T0 + n * 200) {
        let before = window.figures(0).rows;
        if let Err(error) = window.commit(stream(0, start..start + 200)) {
            assert_eq!(window.figures(0).rows, before);
            refused = Some(error);
            break;
        }
        assert!(window.bytes() <= 4 << 20, "{}", window.bytes());
    }
    assert!(
        matches!(
            refused,
            Some(CommitError::Full {
                max_bytes: 4_194_304
            })
        ),
        "{refused:?}"
    );
    shell.execute_batch("COMMIT").unwrap();
    window.commit(stream(0, T0..T0 + 200)).unwrap();
}

#[test]
fn exchanges_without_rows_and_history_are_bounded() {
    let mut fixture = Fixture::new(iris());
    fixture.config.keep_rows = 100;
    let window = fixture.open(T0).window;
    for n in 0..500 {
        window.commit(vec![record(0, T0 + n, Vec::new())]).unwrap();
        let mut report = report();
        report.checked_at = Some(Timestamp(T0 + n));
        window
            .save_check(0, &report, &alarms(), &SpanName::ALL)
            .unwrap();
    }
    window.settle("");
    let exchanges: i64 = fixture.query("SELECT count(*) FROM exchanges");
    assert!((90..=100).contains(&exchanges), "{exchanges}");
    let newest: String = fixture.query("SELECT max(time) FROM exchanges");
    assert_eq!(newest, Timestamp(T0 + 499).to_string());
    let checks: i64 = fixture.query("SELECT count(*) FROM checks");
    assert!((50..=100).contains(&checks), "{checks}");
    let reach: String = fixture.query("SELECT min(time) FROM checks");
    assert!(
        reach < Timestamp(T0 + 250).to_string(),
        "history reaches back: {reach}"
    );
}

#[test]
fn what_a_clock_that_jumped_would_expire_is_there_when_it_is_right_again() {
    const DAY: i64 = 86_400_000;
    let fixture = Fixture::new(iris());
    let opened = fixture.open(T0);
    opened.window.commit(stream(0, T0..T0 + 500)).unwrap();
    let wrong = T0 + 40 * DAY;
    opened
        .window
        .commit(stream(0, wrong..wrong + 1000))
        .unwrap();
    opened.window.settle("");
    assert_eq!(opened.window.figures(0).rows, 1500);
    opened.window.close();
    drop(opened);
    // Whether it is wrong still, at a start and another, or right again.
    for now in [wrong + 2000, wrong + 4000, T0 + 6000] {
        let window = fixture.open(now).window;
        window.commit(stream(0, now..now + 1)).unwrap();
        window.settle("");
        let oldest = window.figures(0).oldest;
        assert_eq!(oldest, Some(Timestamp(T0)), "{now}");
        window.close();
    }
}

#[test]
fn a_clock_that_earlier_runs_went_by_for_a_day_is_believed_at_the_start() {
    const HOUR: i64 = 3_600_000;
    let fixture = Fixture::new(iris());
    let window = fixture.open(T0).window;
    window.commit(stream(0, T0..T0 + 500)).unwrap();
    window.close();
    // driftd was off for 40 days, and is started anew every ten hours since.
    let later = T0 + 40 * 24 * HOUR;
    for (hours, left) in [(0, 500), (10, 501), (20, 502), (30, 503), (40, 4)] {
        let now = later + hours * HOUR;
        let window = fixture.open(now).window;
        window.settle("");
        assert_eq!(window.figures(0).rows, left, "after {hours} h");
        window.commit(stream(0, now..now + 1)).unwrap();
        window.close();
    }
}
