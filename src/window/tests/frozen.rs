//! References learned from traffic: where they begin, and that they outlive a kill.

use super::*;

fn learned(hash: &str, at: i64) -> Frozen {
    Frozen {
        version: "v1".to_owned(),
        hash: hash.to_owned(),
        rows: 3,
        profile: b"a profile".to_vec(),
        at: Timestamp(at),
    }
}

fn learning() -> Vec<ModelSpec> {
    let mut specs = iris();
    specs[0].reference_hash = None;
    specs
}

#[test]
fn a_frozen_reference_begins_with_the_next_row() {
    let mut fixture = Fixture::new(learning());
    let path = fixture.config.path.clone();
    let name = fixture.specs[0].name.clone();
    assert_eq!(frozen(&path, &name, "v1").unwrap(), None);
    let window = fixture.open(T0).window;
    window.commit(stream(0, T0..T0 + 5)).unwrap();
    assert_eq!(window.checked_rows(0, 99).unwrap(), 5);
    assert_eq!(window.checked_rows(0, 3).unwrap(), 3);
    assert_eq!(ids(&window.oldest_rows(0, 3).unwrap()), [1, 2, 3]);
    window.freeze(0, learned("beef", T0 + 10)).unwrap();
    assert_eq!(window.checked_rows(0, 99).unwrap(), 0);
    window.commit(stream(0, T0 + 10..T0 + 12)).unwrap();
    assert_eq!(ids(&window.recent_rows(0, 9).unwrap()), [6, 7]);
    assert_eq!(
        ids(&window.sample_rows(0, Timestamp(0), 9).unwrap().0),
        [6, 7]
    );

    // As after kill -9: what is in the log alone is found all the same.
    let copy = tempfile::tempdir().unwrap();
    for end in ["", "-wal"] {
        std::fs::copy(
            beside(&path, end),
            copy.path().join(format!("copy.db{end}")),
        )
        .unwrap();
    }
    let killed = frozen(&copy.path().join("copy.db"), &name, "v1").unwrap();
    assert_eq!(killed, Some(learned("beef", T0 + 10)));
    window.close();

    fixture.specs[0].reference_hash = Some("beef".to_owned());
    let again = fixture.open(T0 + 60_000);
    let model = &again.models[0];
    assert_eq!(
        (model.since, model.first_row, model.fresh),
        (Timestamp(T0 + 10), 6, false)
    );
    assert_eq!(ids(&again.window.recent_rows(0, 9).unwrap()), [6, 7]);
    again.window.close();
    assert_eq!(frozen(&path, &name, "v2").unwrap(), None);
    assert!(frozen(&path, &name, "v1").unwrap().is_some());
}

#[test]
fn a_reference_that_does_not_fit_changes_nothing() {
    let mut fixture = Fixture::new(learning());
    fixture.config.max_bytes = 1 << 20;
    let window = fixture.open(T0).window;
    window.commit(stream(0, T0..T0 + 5)).unwrap();
    let mut large = learned("beef", T0 + 10);
    large.profile = vec![7; 2 << 20];
    let refused = window.freeze(0, large);
    assert!(
        matches!(refused, Err(CommitError::Full { .. })),
        "{refused:?}"
    );
    assert_eq!(window.checked_rows(0, 99).unwrap(), 5);
}

#[test]
fn a_file_that_cannot_be_read_now_is_no_file_without_a_reference() {
    let fixture = Fixture::new(learning());
    let path = fixture.config.path.clone();
    let name = fixture.specs[0].name.clone();
    let window = fixture.open(T0).window;
    window.freeze(0, learned("beef", T0)).unwrap();
    window.close();
    let other = rusqlite::Connection::open(&path).unwrap();
    other
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
        .unwrap();
    let refused = frozen(&path, &name, "v1");
    assert!(matches!(refused, Err(Error::Sqlite { .. })), "{refused:?}");
    drop(other);
    assert!(frozen(&path, &name, "v1").unwrap().is_some());

    // Files without the table, and no databases at all.
    let older = path.with_extension("older");
    schema::write_version(&rusqlite::Connection::open(&older).unwrap(), 1).unwrap();
    let text = path.with_extension("text");
    std::fs::write(
        &text,
        "no database, and longer than a header of one ".repeat(90),
    )
    .unwrap();
    for path in [older, text] {
        assert_eq!(frozen(&path, &name, "v1").unwrap(), None, "{path:?}");
    }
}

#[test]
fn the_newest_references_are_kept_and_older_ones_give_way() {
    let mut fixture = Fixture::new(learning());
    fixture.config.max_bytes = 16 << 20;
    let path = fixture.config.path.clone();
    let name = fixture.specs[0].name.clone();
    let window = fixture.open(T0).window;
    let freeze = |version: i64, bytes: usize| {
        let mut reference = learned(&format!("hash {version}"), T0 + version);
        reference.version = format!("v{version}");
        reference.profile = vec![7; bytes];
        window.freeze(0, reference).unwrap();
    };
    let kept = || -> Vec<i64> {
        let version = |version: &i64| frozen(&path, &name, &format!("v{version}")).unwrap();
        (1..=40).filter(|n| version(n).is_some()).collect()
    };
    for version in 1..=15 {
        freeze(version, 10);
    }
    assert_eq!(kept(), (6..=15).collect::<Vec<_>>());
    // A sixteenth of the window is 1 MiB.
    for version in 16..=18 {
        freeze(version, 400 << 10);
    }
    assert_eq!(kept(), [17, 18]);
    // The one in force stays whatever it takes.
    freeze(19, 2 << 20);
    assert_eq!(kept(), [19]);
    freeze(20, 10);
    assert_eq!(kept(), [20]);
}
