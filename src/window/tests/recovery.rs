//! Restarts, crashes, faults and damaged files.

use crate::drift::report::SpanName;
use std::process::Command;

use super::storage::{alarms, report};
use super::*;

#[test]
fn a_restart_goes_on_where_it_stopped() {
    let fixture = Fixture::new(iris());
    let opened = fixture.open(T0);
    assert!(opened.models[0].fresh);
    assert_eq!(opened.gap, None, "a first start has no gap");
    let first = opened.window.commit(stream(0, T0..T0 + 5)).unwrap();
    opened
        .window
        .save_check(0, &report(), &alarms(), &SpanName::ALL)
        .unwrap();
    opened.window.close();
    let again = fixture.open(T0 + 60_000);
    let expected = OpenedModel {
        since: Timestamp(T0),
        first_row: 1,
        alarms: alarms(),
        accepted: Vec::new(),
        fresh: false,
        thinned: None,
    };
    assert_eq!(again.models, [expected]);
    assert_eq!((again.gap, again.quarantined), (None, None));
    assert_eq!(again.window.figures(0).rows, 5);
    let second = again.window.commit(stream(0, T0..T0 + 1)).unwrap();
    assert_eq!(second.rows[0].id, 6);
    let rows = again.window.recent_rows(0, 9).unwrap();
    let priorities: Vec<u32> = rows.iter().map(|row| row.priority).collect();
    let told = first.rows.iter().chain(&second.rows);
    assert_eq!(priorities, told.map(|row| row.priority).collect::<Vec<_>>());
}

#[test]
fn row_ids_are_not_used_again_after_rows_are_gone() {
    let mut fixture = Fixture::new(iris());
    fixture.config.keep_for = Duration::from_secs(1);
    let window = fixture.open(T0).window;
    window.commit(stream(0, T0..T0 + 5)).unwrap();
    window.close();
    let window = fixture.open(T0 + 10_000).window;
    window.settle("");
    assert_eq!(window.figures(0), Figures::default());
    let committed = window.commit(stream(0, T0 + 10_000..T0 + 10_001)).unwrap();
    assert_eq!(committed.rows[0].id, 6);
}

#[test]
fn a_new_reference_starts_over() {
    let mut fixture = Fixture::new(iris());
    let window = fixture.open(T0).window;
    window.commit(stream(0, T0..T0 + 5)).unwrap();
    window
        .save_check(0, &report(), &alarms(), &SpanName::ALL)
        .unwrap();
    window.close();
    fixture.specs[0].reference_hash = Some("beef".to_owned());
    let opened = fixture.open(T0 + 100);
    let expected = OpenedModel {
        since: Timestamp(T0 + 100),
        first_row: 6,
        alarms: Alarms::default(),
        accepted: Vec::new(),
        fresh: true,
        thinned: None,
    };
    assert_eq!(opened.models, [expected]);
    assert_eq!(opened.window.recent_rows(0, 9).unwrap(), []);
    opened.window.commit(stream(0, T0 + 100..T0 + 101)).unwrap();
    assert_eq!(ids(&opened.window.recent_rows(0, 9).unwrap()), [6]);
    let sample = opened.window.sample_rows(0, Timestamp(0), 9).unwrap();
    assert_eq!((ids(&sample.0), sample.1), (vec![6], true));
    assert_eq!(fixture.query::<i64>("SELECT count(*) FROM checks"), 1);
    assert_eq!(
        fixture.query::<i64>("SELECT count(*) FROM \"references\""),
        2
    );
}

#[test]
fn a_killed_process_leaves_a_gap_and_loses_nothing_committed() {
    let mut fixture = Fixture::new(iris());
    let window = fixture.open(T0).window;
    window.commit(stream(0, T0..T0 + 5)).unwrap();
    // The files as SIGKILL leaves them. cp, because closing them in this process would drop locks.
    let copy = fixture.dir.path().join("copy.db");
    for suffix in ["", "-wal"] {
        let (from, to) = (beside(&fixture.config.path, suffix), beside(&copy, suffix));
        assert!(
            Command::new("cp")
                .arg(from)
                .arg(to)
                .status()
                .unwrap()
                .success()
        );
    }
    fixture.config.path = copy;
    let opened = fixture.open(T0 + 9000);
    let gap = Gap {
        model: None,
        started_at: Timestamp(T0 + 4),
        ended_at: Timestamp(T0 + 9000),
        reason: "killed".to_owned(),
        exchanges: None,
    };
    assert_eq!(opened.gap, Some(gap));
    assert_eq!(opened.window.recent_rows(0, 9).unwrap().len(), 5);
    assert_eq!(fixture.query::<String>("SELECT reason FROM gaps"), "killed");
    opened.window.close();
    drop(opened);
    assert_eq!(fixture.open(T0 + 9001).gap, None);
}

#[test]
fn dropped_without_close_counts_as_killed() {
    let fixture = Fixture::new(iris());
    drop(fixture.open(T0));
    let gap = fixture.open(T0 + 7).gap.unwrap();
    assert_eq!(
        (gap.started_at, gap.ended_at),
        (Timestamp(T0), Timestamp(T0 + 7))
    );
}

#[test]
fn after_close_the_db_file_stands_alone_and_writes_are_refused() {
    let fixture = Fixture::new(iris());
    let window = fixture.open(T0).window;
    window.commit(stream(0, T0..T0 + 5)).unwrap();
    window.close();
    window.close();
    assert!(!beside(&fixture.config.path, "-wal").exists());
    assert!(matches!(
        window.commit(stream(0, T0..T0 + 1)),
        Err(CommitError::Closed)
    ));
    assert!(matches!(
        window.save_check(0, &report(), &alarms(), &SpanName::ALL),
        Err(Error::Closed)
    ));
    assert_eq!(window.recent_rows(0, 9).unwrap().len(), 5);
}

#[test]
fn a_file_that_is_no_database_is_set_aside_and_few_are_kept() {
    let fixture = Fixture::new(iris());
    let path = &fixture.config.path;
    // A driftd was here before.
    std::fs::write(beside(path, ".lock"), "").unwrap();
    for round in 0..5 {
        let garbage = format!("not a database, round {round} ").repeat(100);
        std::fs::write(path, &garbage).unwrap();
        std::fs::write(beside(path, "-wal"), "neither").unwrap();
        let time = std::time::UNIX_EPOCH + Duration::from_secs(round);
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(time).unwrap();
        let opened = fixture.open(T0);
        let slot = beside(path, &format!(".corrupt-{}", round % 3 + 1));
        assert_eq!(opened.quarantined.as_ref(), Some(&slot), "round {round}");
        assert_eq!(std::fs::read_to_string(&slot).unwrap(), garbage);
        opened.window.commit(stream(0, T0..T0 + 5)).unwrap();
        assert_eq!(opened.window.figures(0).rows, 5);
        opened.window.close();
    }
}

#[test]
fn a_damaged_page_is_found_at_the_start() {
    use std::os::unix::fs::FileExt as _;
    let fixture = Fixture::new(iris());
    let window = fixture.open(T0).window;
    window.commit(stream(0, T0..T0 + 5000)).unwrap();
    window.close();
    drop(window);
    let file = std::fs::File::options()
        .write(true)
        .open(&fixture.config.path)
        .unwrap();
    for page in 20..60 {
        file.write_all_at(&[0xa5; 4096], page * 4096).unwrap();
    }
    drop(file);
    let opened = fixture.open(T0 + 1);
    assert!(opened.quarantined.is_some());
    assert!(opened.models[0].fresh);
    opened.window.commit(stream(0, T0..T0 + 5)).unwrap();
}

#[test]
fn files_of_others_and_of_the_future_are_left_alone() {
    let fixture = Fixture::new(iris());
    let open = || Window::open(&fixture.config, &fixture.specs, Timestamp(T0));
    std::fs::write(&fixture.config.path, "age,plan\n41,basic\n").unwrap();
    assert!(matches!(open(), Err(Error::Foreign { .. })));
    assert_eq!(std::fs::read_dir(fixture.dir.path()).unwrap().count(), 1);
    std::fs::remove_file(&fixture.config.path).unwrap();
    let other = Connection::open(&fixture.config.path).unwrap();
    other.execute_batch("CREATE TABLE precious (x)").unwrap();
    assert!(matches!(open(), Err(Error::Foreign { .. })));
    assert_eq!(
        other
            .query_row("PRAGMA journal_mode", (), |r| r.get::<_, String>(0))
            .unwrap(),
        "delete"
    );
    drop(other);
    std::fs::remove_file(&fixture.config.path).unwrap();
    open().unwrap().window.close();
    let future = Connection::open(&fixture.config.path).unwrap();
    future.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(future);
    assert!(matches!(open(), Err(Error::Newer { found: 99, .. })));
}

#[test]
fn a_second_driftd_is_kept_out() {
    let fixture = Fixture::new(iris());
    let opened = fixture.open(T0);
    let error = Window::open(&fixture.config, &fixture.specs, Timestamp(T0)).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("w.db is in use by another driftd"),
        "{message}"
    );
    opened.window.commit(stream(0, T0..T0 + 5)).unwrap();
    drop(opened);
    fixture.open(T0 + 1);
}

#[test]
fn a_path_that_cannot_be_is_an_error_with_a_remedy() {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    let mut fixture = Fixture::new(iris());
    fixture.config.path = fixture.dir.path().join("missing/w.db");
    let error = Window::open(&fixture.config, &fixture.specs, Timestamp(T0)).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("missing/w.db") && message.contains("set window.path"),
        "{message}"
    );
    // A directory by mistake: refused, and as open as it was.
    let directory = fixture.dir.path().join("shared");
    std::fs::create_dir(&directory).unwrap();
    std::fs::set_permissions(&directory, Permissions::from_mode(0o777)).unwrap();
    fixture.config.path.clone_from(&directory);
    assert!(Window::open(&fixture.config, &fixture.specs, Timestamp(T0)).is_err());
    let mode = directory.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o777);
}

#[test]
fn the_file_is_private_and_set_up_to_shrink() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = Fixture::new(iris());
    let window = fixture.open(T0).window;
    window.commit(stream(0, T0..T0 + 5)).unwrap();
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let file = std::fs::metadata(beside(&fixture.config.path, suffix)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600, "{suffix}");
    }
    assert_eq!(fixture.query::<i64>("PRAGMA auto_vacuum"), 2);
    assert_eq!(fixture.query::<String>("PRAGMA journal_mode"), "wal");
}

#[test]
fn a_failed_commit_leaves_nothing_and_the_next_one_works() {
    let fixture = Fixture::new(iris());
    let window = fixture.open(T0).window;
    window.commit(stream(0, T0..T0 + 5)).unwrap();
    // A full disk: no page more than there are.
    window.settle("PRAGMA max_page_count = 1");
    let error = window.commit(stream(0, T0..T0 + 5000)).unwrap_err();
    assert_eq!(error.drop_reason(), DropReason::WindowError, "{error:?}");
    window.settle("PRAGMA max_page_count = 100000; PRAGMA query_only = 1");
    let error = window.commit(stream(0, T0..T0 + 5)).unwrap_err();
    assert_eq!(error.drop_reason(), DropReason::WindowError, "{error:?}");
    assert!(
        window
            .save_check(0, &report(), &alarms(), &SpanName::ALL)
            .is_err()
    );
    window.settle("PRAGMA query_only = 0");
    assert_eq!(window.figures(0).rows, 5);
    let committed = window.commit(stream(0, T0..T0 + 1)).unwrap();
    assert_eq!(committed.rows[0].id, 6, "no id is lost");
    assert_eq!(fixture.query::<i64>("SELECT count(*) FROM exchanges"), 6);
    assert_eq!(fixture.query::<String>("PRAGMA integrity_check"), "ok");
}

/// A file of which a check that ends early says nothing, nor reading at the start.
#[test]
fn damage_that_a_commit_met_is_looked_for_to_the_end() {
    let fixture = Fixture::new(iris());
    let path = &fixture.config.path;
    let window = fixture.open(T0).window;
    window.commit(stream(0, T0..T0 + 5000)).unwrap();
    window.close();
    drop(window);
    let sound = std::fs::read(path).unwrap();
    opening::UNCHECKED.set(true);
    let unnoticed = (20..sound.len() / 4096).find(|page| {
        let mut damaged = sound.clone();
        damaged[page * 4096..][..4096].fill(0xa5);
        std::fs::write(path, &damaged).unwrap();
        let opened = fixture.open(T0 + 1);
        opened.window.close();
        opened.quarantined.is_none()
    });
    assert!(unnoticed.is_some());
    // Everything is damaged under a window that is open.
    let mut damaged = sound.clone();
    damaged[4096..].fill(0xa5);
    std::fs::write(path, &sound).unwrap();
    let window = fixture.open(T0 + 2).window;
    // Nothing of it is held in memory any more.
    window.settle("PRAGMA shrink_memory");
    let file = std::fs::File::options().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &damaged[4096..], 4096).unwrap();
    assert!(window.commit(stream(0, T0 + 3..T0 + 2000)).is_err());
    window.close();
    drop(window);
    let mark = beside(path, ".suspect");
    assert!(mark.exists());
    // What opening alone would not notice.
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(beside(path, suffix));
    }
    let mut damaged = sound.clone();
    damaged[unnoticed.unwrap() * 4096..][..4096].fill(0xa5);
    std::fs::write(path, &damaged).unwrap();
    let opened = fixture.open(T0 + 4);
    assert!(opened.quarantined.is_some() && !mark.exists());
    opened.window.close();
    drop(opened);
    // A note that proves wrong is taken back.
    std::fs::write(path, &sound).unwrap();
    std::fs::write(&mark, "").unwrap();
    let opened = fixture.open(T0 + 5);
    assert!(opened.quarantined.is_none() && !mark.exists());
    assert_eq!(opened.window.figures(0).rows, 5000);
}
