//! Profiles that are damaged, of another version, or made to do harm.

use super::compact::{IRIS, flights, uniform};
use super::*;

#[test]
fn what_is_wrong_with_a_profile_is_named() {
    let original = load(&Config::new(IRIS), Timestamp(7)).unwrap();
    let json = profile(&original, 0.002, CONFIG_MAP).json;
    let mut cases = vec![
        (
            "\"driftd_profile\": 1",
            "\"driftd_profile\": 2",
            "driftd_profile: is 2; this driftd reads version 1",
        ),
        (
            "\"rows\": 150",
            "\"rows\": \"many\"",
            "rows: is \"many\"; a whole number up to",
        ),
        (
            "\"rows\": 150",
            "\"rows\": 151",
            "column \"sepal_length\", between and equal: count 150 values; rows less missing are 151",
        ),
        (
            "\"rows\": 150,",
            "",
            "rows: is missing; a whole number up to",
        ),
        (
            "[4.3,4.4,",
            "[4.4,4.3,",
            "column \"sepal_length\", edges[1]: 4.3 does not lie above 4.4",
        ),
        (
            "[4.3,4.4,",
            "[4.3,null,",
            "column \"sepal_length\", edges[1]: is null; ascending numbers, \"inf\" or \"-inf\" should stand here",
        ),
        (
            "[4.3,4.4,",
            "[4.4,",
            "column \"sepal_length\", between: holds 35 counts for 34 edges",
        ),
        (
            "\"equal\": [1,3,1,",
            "\"equal\": [0,4,1,",
            "column \"sepal_length\", equal: the first and the last edge",
        ),
        (
            "\"between\": [0,0",
            "\"between\": [1,-1",
            "column \"sepal_length\", between[1]: is -1; whole numbers should",
        ),
        (
            "\"kind\": \"numeric\"",
            "\"kind\": \"number\"",
            "column \"sepal_length\", kind: is \"number\"; write numeric, categorical or text",
        ),
        (
            "\"reading\": \"number\"",
            "\"raeding\": \"number\"",
            "column \"sepal_length\", reading: is missing",
        ),
        (
            "\"mean\": 5.8",
            "\"median\": 5.8",
            "column \"sepal_length\", deviation: is no field of a profile; remove it",
        ),
        (
            "\"name\": \"sepal_width\"",
            "\"name\": \"sepal_length\"",
            "column \"sepal_length\", name: stands there twice",
        ),
        (
            "\"species\":\"target\"",
            "\"species\":\"truth\"",
            "not_compared: \"species\" is \"truth\", which is no role",
        ),
    ];
    cases.push((
        "\"error\": 0.002",
        "\"joint\": {\"columns\": 0}, \"error\": 0.002",
        "joint: missing field",
    ));
    for (from, to, expected) in cases {
        assert!(json.contains(from), "{from}");
        let problem = Sample::new(json.replacen(from, to, 1)).problem();
        assert!(
            problem.starts_with(&format!("data.csv: {expected}")),
            "{problem}\n{expected}"
        );
    }
    let cut = Sample::new(&json[..json.len() / 2]).problem();
    assert!(
        cut.contains("the JSON of the profile is damaged or cut off: EOF"),
        "{cut}"
    );
    let gzip = profile(&original, 0.002, CONFIG_MAP).gzip;
    let cut = Sample::new(&gzip[..gzip.len() - 20]).problem();
    assert!(cut.contains("damaged or cut off"), "{cut}");
}

/// Whatever stands in a file, it is a reference or an error; and a reference can be used.
#[test]
fn no_profile_makes_anything_panic() {
    let original = flights();
    let json = profile(&original, 0.02, CONFIG_MAP).json.into_bytes();
    let gzip = profile(&original, 0.02, CONFIG_MAP).gzip;
    let dir = tempfile::tempdir().unwrap();
    let config = Config::new(dir.path().join("p.json"));
    let words: [&[u8]; 12] = [
        b"0",
        b"-1",
        b"1e999",
        b"18446744073709551615",
        b"null",
        b"[]",
        b"{}",
        b"\"inf\"",
        b"\"-inf\"",
        b"1e308",
        b"2147483640",
        b"\xff",
    ];
    let mut draws = uniform(5, 12_000).into_iter();
    let mut draw = |below: usize| (draws.next().unwrap() * below as f64) as usize;
    let (mut good, mut bad) = (0, 0);
    for round in 0..800 {
        let mut bytes = if round % 4 == 3 {
            gzip.clone()
        } else {
            json.clone()
        };
        for _ in 0..=draw(3) {
            let at = draw(bytes.len());
            let digits = |bytes: &[u8]| bytes.iter().take_while(|b| b.is_ascii_digit()).count();
            match draw(5) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes[at] = draw(256) as u8,
                2 => drop(bytes.splice(
                    at..at + digits(&bytes[at..]),
                    words[draw(12)].iter().copied(),
                )),
                3 => drop(bytes.drain(at..(at + draw(40)).min(bytes.len() - 1).max(at))),
                _ => bytes[at] = b"0123456789"[draw(10)],
            }
        }
        std::fs::write(&config.path, &bytes).unwrap();
        match load(&config, Timestamp(7)) {
            Err(errors) => {
                assert!(!errors.0.is_empty());
                bad += 1;
            }
            Ok(loaded) => {
                good += 1;
                let cells: Vec<Cell> = loaded
                    .schema
                    .columns()
                    .iter()
                    .map(|_| Cell::Number(3.5))
                    .collect();
                drop(loaded.reference.encode(&cells));
                drop(crate::drift::since::Since::new(&loaded.reference));
                drop(profile(&loaded, 0.01, CONFIG_MAP));
            }
        }
    }
    assert!(good >= 20 && bad > 400, "{good} good, {bad} bad");
}
