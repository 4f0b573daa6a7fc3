//! Profiles by the binary itself: made, and used wherever a reference file goes.

use std::path::Path;

use serde_json::Value;

use super::cli::{FLIGHTS, IRIS, driftd};

fn succeeds(directory: &Path, arguments: &[&str]) -> String {
    let output = driftd(directory, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// What `driftd check` says of each column of `names`, without times.
fn verdicts(at: &Path, reference: &str, current: &str, names: &[&str]) -> Vec<Value> {
    let arguments = [
        "check",
        "--format",
        "json",
        "--reference",
        reference,
        "--current",
        current,
    ];
    let output = driftd(at, &arguments);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let features = report["models"][0]["features"].as_array().unwrap().clone();
    let of = |name: &&str| {
        let mut found = features
            .iter()
            .find(|f| f["name"] == **name)
            .cloned()
            .unwrap_or_default();
        // Which columns share the family-wise error differs: the target is in no profile.
        for check in found["checks"].as_array_mut().into_iter().flatten() {
            check["threshold"].take();
            check["adjusted_p"].take();
        }
        for key in ["role", "severity", "since", "detectable", "sentence"] {
            found[key].take();
        }
        found
    };
    names.iter().map(of).collect()
}

#[test]
fn a_profile_gives_the_verdicts_of_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let made = [
        "profile",
        FLIGHTS,
        "-o",
        "flights.json.gz",
        "--columns",
        "arrival=target",
    ];
    let said = succeeds(at, &made);
    assert!(said.contains("Every column is known exactly"), "{said}");
    assert!(succeeds(at, &["profile", IRIS, "-o", "iris.json"]).contains("4 columns of 150 rows"));
    let flights = [
        "carrier",
        "departure_delay",
        "distance",
        "wind_gust",
        "prediction",
    ];
    let iris = ["sepal_length", "sepal_width", "petal_length", "petal_width"];
    // Half of each file, the later half: flights go by the season, iris by the species.
    let half = |path: &str, name: &str| {
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let later = [&lines[..1], &lines[lines.len() / 2..]].concat();
        std::fs::write(at.join(name), later.join("\n")).unwrap();
    };
    half(FLIGHTS, "flights_half.csv");
    half(IRIS, "iris_half.csv");
    for (file, profile, later, names) in [
        (FLIGHTS, "flights.json.gz", "flights_half.csv", &flights[..]),
        (IRIS, "iris.json", "iris_half.csv", &iris[..]),
    ] {
        for current in [file, later] {
            let expected = verdicts(at, file, current, names);
            let found = verdicts(at, profile, current, names);
            assert_eq!(found, expected, "{profile} {current}");
            let drifted = expected.iter().any(|column| column["drifted"] == true);
            assert_eq!(drifted, current == later, "{current}");
        }
    }
}

#[test]
fn what_init_writes_of_a_profile_runs() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    succeeds(
        at,
        &[
            "profile",
            FLIGHTS,
            "-o",
            "flights.json",
            "--columns",
            "arrival=target",
        ],
    );
    let upstream = ["--upstream", "http://127.0.0.1:5000"];
    succeeds(
        at,
        &[&["init", "--reference", "flights.json"], &upstream[..]].concat(),
    );
    let printed = succeeds(at, &["config"]);
    assert!(printed.contains("\"arrival\" = \"target\""), "{printed}");
    assert!(
        printed.contains("reference_max_bytes = \"1073741824B\""),
        "{printed}"
    );
    std::fs::write(at.join("again.toml"), &printed).unwrap();
    assert_eq!(succeeds(at, &["config", "--config", "again.toml"]), printed);
    // The same configuration, on the file itself, makes the same profile again.
    let made = [
        "profile",
        FLIGHTS,
        "-o",
        "again.json",
        "--config",
        "driftd.toml",
    ];
    succeeds(at, &made);
    let read = |name: &str| std::fs::read(at.join(name)).unwrap();
    assert_eq!(read("again.json"), read("flights.json"));
}

#[test]
fn a_reference_beyond_its_memory_is_known_by_edges_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let mut csv = String::from("few,many\n");
    for i in 0..20_000_u32 {
        csv += &format!("{},{}\n", i % 7, i.wrapping_mul(2_654_435_761));
    }
    std::fs::write(at.join("large.csv"), csv).unwrap();
    let config = "upstream = \"http://127.0.0.1:1\"\nreference = \"large.csv\"\n[drift]\nreference_max_bytes = \"200KB\"\n";
    std::fs::write(at.join("driftd.toml"), config).unwrap();
    let made = [
        "profile",
        "large.csv",
        "-o",
        "p.json",
        "--config",
        "driftd.toml",
    ];
    let output = driftd(at, &made);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("1 of the distributions compared are known by 4096 values"),
        "{said}"
    );
    assert!(said.contains("195.3 KiB"), "{said}");
    let refused = driftd(
        at,
        &["profile", "large.csv", "-o", "p.json", "--error", "2"],
    );
    assert_eq!(refused.status.code(), Some(78));
    // The report names the bound of what is compared by edges.
    let current = [
        "check",
        "--format",
        "json",
        "--reference",
        "p.json",
        "--current",
        "large.csv",
    ];
    let report: Value = serde_json::from_slice(&driftd(at, &current).stdout).unwrap();
    let features = report["models"][0]["features"].as_array().unwrap().clone();
    let bound = |name: &str| {
        let feature = features.iter().find(|f| f["name"] == name).unwrap();
        feature["checks"][0]["error_bound"].as_f64()
    };
    assert!(
        bound("many").is_some_and(|bound| bound > 1e-3 && bound <= 0.002),
        "{features:?}"
    );
    assert_eq!(bound("few"), None);
}
