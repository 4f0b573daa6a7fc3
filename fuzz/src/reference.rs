//! `reference`: the bytes of a reference file, whatever they are: CSV, JSON Lines, a JSON array,
//! Parquet, a profile, or gzip of one.

use std::time::Duration;

use driftd::drift::ColumnReference;
use driftd::reference::{CONFIG_MAP, Config, DEFAULT_ERROR, Loaded, inspect, load, profile};
use driftd::timestamp::Timestamp;

use super::Scratch;

/// Longest message about a file, beside what it quotes of it.
const LONGEST_MESSAGE: usize = 64 * 1024;

/// Loads `data` as a file, in two ways; what loads must be whole, and make a profile that loads.
pub fn run(data: &[u8]) {
    thread_local!(static SCRATCH: Scratch = Scratch::new());
    SCRATCH.with(|scratch| {
        let path = scratch.write("reference", data);
        let plain = Config::new(&path);
        let told = Config {
            ordered: true,
            season: Some(Duration::from_secs(86_400)),
            max_bytes: 256,
            ..plain.clone()
        };
        if let Err(errors) = inspect(&path, &plain.missing) {
            said(&errors.to_string(), data);
        }
        for config in [plain, told] {
            match load(&config, Timestamp(0)) {
                Ok(loaded) => {
                    whole(&loaded);
                    profiled(scratch, &loaded);
                }
                Err(errors) => said(&errors.to_string(), data),
            }
        }
    });
}

/// A refusal says why, and not without end.
fn said(text: &str, data: &[u8]) {
    assert!(!text.is_empty(), "refused without a reason");
    let most = LONGEST_MESSAGE + 100 * data.len();
    assert!(text.len() <= most, "{} bytes of message", text.len());
}

/// Its parts fit each other.
fn whole(loaded: &Loaded) {
    let (reference, schema) = (&loaded.reference, &loaded.schema);
    assert_eq!(reference.columns.len(), schema.columns().len());
    assert_eq!(reference.hash.len(), 16);
    for (column, held) in schema.columns().iter().zip(&reference.columns) {
        let Some(held) = held else {
            assert_eq!(column.kind, None, "{}", column.name);
            continue;
        };
        assert_eq!(Some(held.kind()), column.kind, "{}", column.name);
        let present = ColumnReference::present(held);
        assert!(
            present <= reference.rows,
            "{present} values in {}",
            column.name
        );
    }
    let mut names: Vec<&str> = schema.columns().iter().map(|c| &*c.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), schema.columns().len(), "a name stands twice");
}

/// Its profile loads and says the same.
fn profiled(scratch: &Scratch, loaded: &Loaded) {
    let made = profile(loaded, DEFAULT_ERROR, CONFIG_MAP);
    let path = scratch.write("profile", made.json.as_bytes());
    let again = match load(&Config::new(&path), Timestamp(0)) {
        Ok(again) => again,
        Err(errors) => panic!("its profile is refused: {errors}\n{}", made.json),
    };
    whole(&again);
    assert_eq!(again.schema, loaded.schema);
    assert_eq!(again.reference.rows, loaded.reference.rows);
    for (one, other) in loaded
        .reference
        .columns
        .iter()
        .zip(&again.reference.columns)
    {
        let present =
            |column: &Option<ColumnReference>| column.as_ref().map(ColumnReference::present);
        assert_eq!(present(one), present(other));
    }
}
