//! Profiles: what they tell, how large they are, and what may be configured beside them.

use super::*;
use crate::drift::ks::ranks;
use crate::drift::numbers::Numbers;
use crate::feature::Role;
use crate::reference::build::Column;
use crate::reference::kind::Reading;

const FLIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/reference_data/flights.csv");
pub(super) const IRIS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/reference_data/iris.csv");

/// Uniform numbers, the same in Python.
pub(super) fn uniform(seed: u64, n: usize) -> Vec<f64> {
    let next = |x: &u64| Some((x * 1_664_525 + 1_013_904_223) % (1 << 32));
    let numbers = std::iter::successors(next(&seed), next);
    numbers
        .take(n)
        .map(|x| x as f64 / 4_294_967_296.0)
        .collect()
}

/// Without ties; on a lattice; with infinities and one value often; half of it one value.
fn sample(kind: u64, seed: u64, n: usize, shift: f64) -> Vec<f64> {
    let value = |(i, u): (usize, f64)| match kind {
        0 => (u + shift).powi(3),
        1 => ((u + shift) * 40.0).floor() / 4.0,
        2 if i >= 7 && (i - 7) % 89 == 0 => f64::NEG_INFINITY,
        2 if i >= 5 && (i - 5) % 97 == 0 => f64::INFINITY,
        2 if i % 11 == 0 => 0.0,
        2 => ((u + shift) * 5000.0).floor() / 7.0,
        _ if u < 0.3 => 5e-4,
        _ => u * 1e-3 + shift * 1e-3,
    };
    uniform(seed, n)
        .into_iter()
        .enumerate()
        .map(value)
        .collect()
}

fn statistic(reference: &Numbers, current: &[f64]) -> f64 {
    let mut codes = vec![0; current.len()];
    reference.codes(current, &mut codes);
    ranks::statistic(reference, &codes, &mut ranks::Scratch::default(), |_| None).statistic
}

/// A reference of the columns c0, c1, … of numbers.
fn loaded(columns: Vec<Numbers>) -> Loaded {
    let rows = columns[0].len() + columns[0].missing();
    let described: Vec<Column> = (0..columns.len())
        .map(|i| Column {
            name: format!("c{i}"),
            at: Some(i),
            source: Some(format!("c{i}")),
            present: true,
            role: Role::Feature,
            kind: Some(Kind::Numeric),
            reading: Reading::Number,
        })
        .collect();
    let references = columns.into_iter().map(ColumnReference::Numeric);
    Loaded {
        reference: drift::Reference {
            hash: "0123456789abcdef".to_owned(),
            rows,
            loaded_at: Timestamp(7),
            columns: references.map(Some).collect(),
            together: None,
            dependence: Vec::new(),
            seasonal: None,
        },
        schema: build::schema(&described),
        roles: Vec::new(),
        notes: Vec::new(),
        columns: described,
        missing: default_missing(),
    }
}

/// The profile of `loaded` as a file, with the configuration that reads it.
fn profiled(loaded: &Loaded, error: f64) -> Sample {
    Sample::new(profile(loaded, error, CONFIG_MAP).json)
}

pub(super) fn flights() -> Loaded {
    let mut config = Config::new(FLIGHTS);
    config
        .columns
        .insert("arrival".to_owned(), "target".to_owned());
    load(&config, Timestamp(7)).unwrap()
}

fn numbers(loaded: &Loaded, name: &str) -> Numbers {
    match loaded.column(name) {
        ColumnReference::Numeric(numbers) => numbers.clone(),
        other => panic!("{name} is {other:?}"),
    }
}

#[test]
fn d_is_never_overstated_and_understated_within_the_bound() {
    // python3: r = column(kind, 12345+kind, n, 0.0); c = column(kind, 999+n, 500, shift) with the
    // numbers above; scipy.stats.ks_2samp(r, c, method="asymp").statistic
    let cases = [
        (0, 1000, 0.0, 0.034_000_000_000_000_03),
        (0, 7000, 0.05, 0.076_000_000_000_000_01),
        (0, 30000, 0.3, 0.304_766_666_666_666_7),
        (1, 1000, 0.0, 0.037_000_000_000_000_03),
        (1, 7000, 0.05, 0.071_571_428_571_428_56),
        (1, 30000, 0.3, 0.2963),
        (2, 1000, 0.0, 0.044_999_999_999_999_984),
        (2, 7000, 0.05, 0.058_714_285_714_285_72),
        (2, 30000, 0.3, 0.266_966_666_666_666_7),
        (3, 1000, 0.0, 0.039_000_000_000_000_035),
        (3, 7000, 0.05, 0.068_857_142_857_142_85),
        (3, 30000, 0.3, 0.282_400_000_000_000_1),
    ];
    for (kind, n, shift, scipy) in cases {
        let reference = sample(kind, 12345 + kind, n, 0.0);
        let current = sample(kind, 999 + n as u64, 500, shift);
        let reference = loaded(vec![Numbers::new(reference.into_iter().map(Some))]);
        for error in [0.0, 0.002, 0.01, 0.05] {
            let made = profile(&reference, error, CONFIG_MAP);
            let again = numbers(&Sample::new(made.json).load(), "c0");
            let found = statistic(&again, &current);
            let bound = made.resolutions[0].error;
            assert!(bound <= error, "{kind} {n}: {bound} {error}");
            let resolution = again.resolution();
            assert!((resolution - bound).abs() < 1e-15, "{resolution} {bound}");
            assert!(
                found <= scipy + 1e-12,
                "{kind} {n} {error}: {found} {scipy}"
            );
            assert!(
                scipy <= found + bound + 1e-12,
                "{kind} {n} {error}: {found} {scipy}"
            );
        }
    }
}

#[test]
fn a_profile_reads_as_the_file_it_was_made_from() {
    let iris = load(&Config::new(IRIS), Timestamp(7)).unwrap();
    for original in [iris, flights()] {
        let made = profile(&original, DEFAULT_ERROR, CONFIG_MAP);
        let sample = Sample::new(&made.json);
        let again = sample.load();
        assert_eq!(again.schema, original.schema);
        assert_eq!(again.reference.rows, original.reference.rows);
        let pairs = (original.reference.columns.iter()).zip(&again.reference.columns);
        let mut compared = 0;
        for (old, new) in pairs {
            match (old, new) {
                (Some(ColumnReference::Numeric(old)), Some(ColumnReference::Numeric(new))) => {
                    assert_eq!((old.values(), old.missing()), (new.values(), new.missing()));
                    assert_eq!(old.moments(), new.moments());
                }
                (
                    Some(ColumnReference::Categorical(old)),
                    Some(ColumnReference::Categorical(new)),
                ) => {
                    assert_eq!((&old.names, &old.counts), (&new.names, &new.counts));
                    assert_eq!(old.missing, new.missing);
                }
                (None, None) => continue,
                (old, new) => panic!("{old:?} became {new:?}"),
            }
            compared += 1;
        }
        assert!(compared >= 4, "{compared}");
        // Equal bytes have an equal identity, compressed or not, and made again they are equal.
        let zipped = Sample::new(&made.gzip).load();
        assert_eq!(zipped.reference.hash, again.reference.hash);
        assert_ne!(again.reference.hash, original.reference.hash);
        let second = profile(&again, DEFAULT_ERROR, CONFIG_MAP);
        let named = format!("\"made_from\": \"{}\"", original.reference.hash);
        let renamed = format!("\"made_from\": \"{}\"", again.reference.hash);
        assert_eq!(second.json.replace(&renamed, &named), made.json);
    }
}

#[test]
fn texts_and_many_words_come_back() {
    let text = rows("note,tag,flag", 3000, |i| {
        let flag = if i % 3 == 0 { "true" } else { "" };
        format!(
            "\"Order no {} of {} pieces, {}\",t{},{flag}",
            i * 7,
            i % 13,
            ["red", "blue"][i % 2],
            i % 1500 / 2 * (i % 2) + i % 1100
        )
    });
    let sample = Sample::new(text)
        .kind("tag", Kind::Categorical)
        .column("note", "feature");
    let original = sample.load();
    let again = profiled(&original, 0.01).load();
    assert_eq!(again.schema, original.schema);
    let (ColumnReference::Text(old), ColumnReference::Text(new)) =
        (original.column("note"), again.column("note"))
    else {
        panic!("texts");
    };
    assert_eq!(old.vocabulary(), new.vocabulary());
    for text in ["Order no 77 of red", "nothing, ever", ""] {
        assert_eq!(
            old.describe(text).map(f64::to_bits),
            new.describe(text).map(f64::to_bits)
        );
    }
    for (old, new) in old.described().iter().zip(new.described()) {
        assert!(new.resolution() <= 0.01);
        assert_eq!((old.len(), old.range()), (new.len(), new.range()));
    }
    let (ColumnReference::Categorical(old), ColumnReference::Categorical(new)) =
        (original.column("tag"), again.column("tag"))
    else {
        panic!("words");
    };
    assert!(old.rest, "{} words", old.names.len());
    assert_eq!(
        (&old.names, &old.counts, old.rest),
        (&new.names, &new.counts, new.rest)
    );
    assert_eq!(
        again.column("tag").value(&Cell::Text("never".into())),
        Value::Category(1000)
    );
    assert_eq!(
        again.column("flag").value(&Cell::Bool(true)),
        Value::Category(0)
    );
}

#[test]
fn three_hundred_columns_fit_a_config_map() {
    // Ten different columns thirty times over: further apart than gzip looks back.
    let normal = |seed: u64| {
        let (u, v) = (uniform(seed, 100_000), uniform(seed * 77 + 1, 100_000));
        let turned = |(u, v): (f64, f64)| {
            (-2.0 * (u + 1e-12).ln()).sqrt() * (std::f64::consts::TAU * v).cos() * 37.5 + 1e4
        };
        Numbers::new(u.into_iter().zip(v).map(turned).map(Some))
    };
    let ten: Vec<Numbers> = (1..=10).map(normal).collect();
    let reference = loaded(ten.iter().cycle().take(300).cloned().collect());
    let made = profile(&reference, DEFAULT_ERROR, CONFIG_MAP);
    assert!(made.gzip.len() <= CONFIG_MAP, "{}", made.gzip.len());
    assert!(made.error <= 0.002, "{}", made.error);
    assert!(made.resolutions[0].error <= made.error);
    // Where it does not fit, the bound gives way and says so.
    let small = profile(&reference, DEFAULT_ERROR, CONFIG_MAP / 8);
    assert!(small.gzip.len() <= CONFIG_MAP / 8);
    assert!(small.error > 0.004, "{}", small.error);
    assert!(small.resolutions[0].error > 0.003);
}

#[test]
fn rows_of_other_files_are_read_as_the_profile_says() {
    let sample = Sample::new("a,who,b,score\n1,x,007,3\n2,y,-,4\n1,z,010,5\n")
        .column("who", "ignore")
        .column("score", "output:prediction")
        .kind("b", Kind::Categorical);
    let mut sample = sample;
    sample.config.missing = vec!["-".to_owned()];
    let again = profiled(&sample.load(), 0.002);
    let other = again.dir.path().join("other.csv");
    std::fs::write(&other, "score,b,a\n9,007,2\n8,-,\n").unwrap();
    let pair = Pair::open(&again.config.path, &other, &default_missing(), &mut |_| {}).unwrap();
    let names: Vec<&str> = pair.schema().columns().iter().map(|c| &*c.name).collect();
    assert_eq!(names, ["a", "b", "prediction"]);
    assert_eq!((pair.reference_rows(), pair.current_rows()), (3, 2));
    let current = |index: usize| pair.column(index).unwrap().current[0].clone();
    assert_eq!((current(0).numbers(), current(0).mistyped), (&[2.0][..], 1));
    assert_eq!((current(1).counts, current(1).missing), (vec![1, 0], 1));
    assert_eq!(current(2).numbers(), [9.0, 8.0]);
    assert!(pair.notes().is_empty(), "{:?}", pair.notes());
    let found = inspect(&again.config.path, &default_missing()).unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|c| (c.name.as_str(), c.role, c.kind))
        .collect();
    let expected = [
        ("a", "feature", "numeric"),
        ("b", "feature", "categorical"),
        ("score", "output", "numeric"),
        ("who", "ignore", "unknown"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn configuration_must_say_what_the_profile_says() {
    let original = flights();
    let sample = || profiled(&original, 0.002);
    let names: Vec<&str> = original.features();
    // What the profile was made with, and what `driftd config` prints, agrees.
    let agreeing = sample().features(&names).outputs(&["prediction"]);
    let agreeing = agreeing
        .column("arrival", "target")
        .kind("distance", Kind::Numeric);
    assert_eq!(agreeing.load().schema, original.schema);
    let mut swapped = names.clone();
    swapped.swap(0, 1);
    let mut words = sample();
    words.config.missing = vec!["-9".to_owned()];
    for (sample, expected) in [
        (
            sample().features(&swapped),
            "features: lists origin, carrier, destination",
        ),
        (
            sample().outputs(&["answer"]),
            "outputs: lists answer, the profile holds prediction",
        ),
        (
            sample().column("arrival", "feature"),
            "columns: makes \"arrival\" \"feature\", in the profile it is target; remove it, or make data.csv anew with it in `driftd profile`",
        ),
        (
            sample().column("prediction", "output:p"),
            "columns: makes \"prediction\" \"output:p\", in the profile it is output:prediction",
        ),
        (
            sample().column("origine", "ignore"),
            "columns: data.csv has no column \"origine\"; did you mean \"origin\"?",
        ),
        (
            sample().kind("distance", Kind::Text),
            "kind: of \"distance\" is text, in the profile it is numeric",
        ),
        (
            words,
            "missing: lists [\"-9\"], the profile was made with [\"\", \"NA\"",
        ),
    ] {
        let problem = sample.problem();
        assert!(problem.starts_with(expected), "{problem}\n{expected}");
    }
}
