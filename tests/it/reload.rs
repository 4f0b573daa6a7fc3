//! References that change while traffic runs: by request, by a file that takes the place of another,
//! by SIGHUP. No request fails meanwhile.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::accept::{TOKEN, post, settings};
use super::app::{Driftd, database, exchange, model_server, write_reference};
use super::child::Killed;

/// Files are looked at every 5 s, and must be the same at two looks.
const LOOKS: Duration = Duration::from_secs(60);

/// Puts another file in the place of the reference, as an editor or a mounted secret does.
fn replace(directory: &Path, text: &str) {
    std::fs::write(directory.join("people.csv.new"), text).unwrap();
    std::fs::rename(
        directory.join("people.csv.new"),
        directory.join("people.csv"),
    )
    .unwrap();
}

/// The reference of people from `first_age` on.
fn people(first_age: u32) -> String {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), first_age);
    std::fs::read_to_string(directory.path().join("people.csv")).unwrap()
}

fn hash(model: &Value) -> String {
    model["reference"]["hash"].as_str().unwrap().to_owned()
}

#[test]
fn a_good_file_takes_over_while_traffic_runs_and_a_broken_one_does_not() {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), 20);
    let driftd = Driftd::start(directory.path(), model_server(), &settings());
    driftd.predict_all(0);
    driftd.eventually("no drift", |d| d.model()["drifted"] == false);
    driftd.predict_all(25);
    // Accepted when all rows compared are older ones: D would go on rising, and end the acceptance.
    driftd.eventually("drift of all rows", |d| {
        let age = d.feature("age");
        age["drifted"] == true && age["checks"][0]["statistic"].as_f64() > Some(0.6)
    });
    let admin = driftd.addresses.admin;
    let body = json!({"model": "people", "reason": "until retrained"}).to_string();
    assert_eq!(post(admin, "/api/v1/accept", &body).0, 200);
    let before = driftd.model();

    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let i = sent.fetch_add(1, Ordering::Relaxed) as u32;
                // Any failure fails the test.
                assert_eq!(
                    driftd.predict(
                        45 + i % 40,
                        if i.is_multiple_of(4) { "pro" } else { "basic" }
                    ),
                    200
                );
            }
        });
        let run = || {
            let (status, said) = post(admin, "/-/reload", "");
            assert_eq!(
                (status, &said["unchanged"]),
                (200, &json!(["people"])),
                "{said:#}"
            );
            let broken = [
                ("", "people.csv"),
                ("age,plan,secret,prediction\n30,basic\n", "people.csv"),
                (
                    "age,plan,secret,answer\n30,basic,1.5,yes\n31,pro,2.5,no\n",
                    "lacks prediction (categorical output)",
                ),
                // Ages as words: another kind of column.
                (
                    "age,plan,secret,prediction\nold,basic,1.5,yes\nyoung,pro,2.5,no\n",
                    "age (numeric feature)",
                ),
            ];
            for (text, part) in broken {
                replace(directory.path(), text);
                let (status, said) = post(admin, "/-/reload", "");
                assert_eq!(status, 422, "{text:?}: {said:#}");
                assert!(said.to_string().contains(part), "{text:?}: {said:#}");
                assert_eq!(hash(&driftd.model()), hash(&before));
            }
            assert_eq!(driftd.feature("age")["state"], "accepted");
            let metrics = exchange(admin, "GET /metrics", "");
            let failures = r#"driftd_reference_reload_failures_total{model="people"} "#;
            let failures = metrics
                .lines()
                .find_map(|line| line.strip_prefix(failures))
                .unwrap();
            // The look at the files may have come upon one as well.
            assert!(failures.parse::<f64>().unwrap() >= 4.0, "{failures}");

            // Retrained on the older people.
            replace(directory.path(), &people(45));
            driftd.within(LOOKS, "the file was not looked at", |d| {
                hash(&d.model()) != hash(&before)
            });
            driftd.eventually("no drift", |d| d.model()["drifted"] == false);
            // However soon the file was looked at, traffic went on before and after.
            driftd.within(LOOKS, "traffic", |_| sent.load(Ordering::Relaxed) > 400);
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    assert!(sent.load(Ordering::Relaxed) > 400);
    driftd.eventually("all counted", |d| d.tap()["in_flight"] == 0);
    assert_eq!(driftd.tap()["dropped"], 0);
    let after = driftd.model();
    assert_eq!(driftd.feature("age")["state"], "ok", "{after:#}");
    assert_eq!(after["accepted"], json!([]));
    assert_ne!(
        after["reference"]["loaded_at"],
        before["reference"]["loaded_at"]
    );
    drop(driftd);

    let window = database(directory.path());
    let one = |sql: &str| -> String { window.query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(
        one("SELECT DISTINCT end_reason FROM accepted"),
        "reference_changed"
    );
    assert_eq!(
        one("SELECT CAST(count(*) AS TEXT) FROM \"references\""),
        "2"
    );
    // A restart goes on with it.
    let driftd = Driftd::start(directory.path(), model_server(), &settings());
    assert_eq!(hash(&driftd.model()), hash(&after));
    assert_eq!(
        driftd.model()["reference"]["loaded_at"],
        after["reference"]["loaded_at"]
    );
}

#[test]
fn only_rows_since_the_new_reference_are_compared() {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), 20);
    let driftd = Driftd::start(directory.path(), model_server(), &settings());
    driftd.predict_all(25);
    driftd.eventually("drift", |d| d.feature("age")["drifted"] == true);
    driftd.eventually("all counted", |d| d.tap()["in_flight"] == 0);
    replace(directory.path(), &people(45));
    let (status, said) = post(driftd.addresses.admin, "/-/reload", "");
    assert_eq!(
        (status, &said["reloaded"]),
        (200, &json!(["people"])),
        "{said:#}"
    );
    let model = driftd.model();
    assert_eq!(model["state"], "warming", "{model:#}");
    assert_eq!(model["drifted"], Value::Null);
    driftd.predict_all(0);
    driftd.eventually("drift from the new one", |d| {
        d.feature("age")["drifted"] == true
    });
    let age = driftd.feature("age");
    assert_eq!(age["checks"][0]["sign"], -1, "{age:#}");
}

/// The reference and the number of the ages that stand in the histogram.
fn counted(driftd: &Driftd) -> (String, u64) {
    let metrics = exchange(driftd.addresses.admin, "GET /metrics", "");
    let ages = (metrics.lines())
        .filter(|line| line.starts_with("driftd_feature_value_count{"))
        .find(|line| line.contains(r#"feature="age""#))
        .unwrap();
    let (labels, count) = ages.split_once("} ").unwrap();
    let (_, reference) = labels.split_once(r#"reference=""#).unwrap();
    (reference.to_owned(), count.parse().unwrap())
}

#[test]
fn histograms_count_committed_rows_and_begin_anew_with_another_reference_or_process() {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), 20);
    let driftd = Driftd::start(directory.path(), model_server(), &settings());
    driftd.eventually("a report", |d| d.model()["reference"] != Value::Null);
    let (before, none) = counted(&driftd);
    assert_eq!(none, 0, "there before the first row");
    driftd.predict_all(25);
    driftd.eventually("all counted", |d| d.tap()["in_flight"] == 0);
    let rows = driftd.tap()["captured"].as_u64().unwrap();
    assert!(rows > 0);
    assert_eq!(counted(&driftd), (before.clone(), rows));

    replace(directory.path(), &people(45));
    let (status, said) = post(driftd.addresses.admin, "/-/reload", "");
    assert_eq!(status, 200, "{said:#}");
    let (after, none) = counted(&driftd);
    assert_eq!(none, 0);
    assert_ne!(before, after);
    driftd.predict_all(25);
    driftd.eventually("all counted", |d| d.tap()["in_flight"] == 0);
    assert_eq!(counted(&driftd), (after.clone(), rows));
    drop(driftd);

    // What is read back from the window was counted before.
    let driftd = Driftd::start(directory.path(), model_server(), &settings());
    driftd.eventually("a report", |d| d.model()["reference"] != Value::Null);
    assert_eq!(counted(&driftd), (after, 0));
}

#[test]
fn sighup_reloads_and_ends_nothing() {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), 20);
    let text = format!(
        "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nupstream = \"http://{}\"\nadmin_token_file = \"token\"\n\
         [[model]]\nname = \"people\"\npaths = [\"/predict\"]\nreference = \"people.csv\"\n",
        model_server()
    );
    std::fs::write(directory.path().join("driftd.toml"), text).unwrap();
    std::fs::write(directory.path().join("token"), "the-first-token\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftd"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DRIFTD_")) {
        command.env_remove(name);
    }
    let child = command
        .current_dir(directory.path())
        .arg("run")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut driftd = Killed(child);
    let mut lines = BufReader::new(driftd.0.stdout.take().unwrap()).lines();
    let mut address = || {
        let line = lines.next().unwrap().unwrap();
        let address = line
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned();
        address.parse::<std::net::SocketAddr>().unwrap()
    };
    let (proxy, admin) = (address(), address());
    let pid = rustix::process::Pid::from_child(&driftd.0);
    let signal = |signal| rustix::process::kill_process(pid, signal).unwrap();
    let shown = || -> String {
        let answer = exchange(admin, "GET /api/v1/drift", "");
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        let report: Value = serde_json::from_str(body).unwrap();
        hash(&report["models"][0])
    };
    let works = || {
        let body = "{\"features\":{\"age\":30,\"plan\":\"pro\",\"secret\":7.5}}";
        let answer = exchange(proxy, "POST /predict", body);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    };
    let until = |what: &str, condition: &dyn Fn() -> bool| {
        let deadline = Instant::now() + LOOKS;
        while !condition() {
            assert!(Instant::now() < deadline, "{what}");
            works();
        }
    };
    let first = shown();
    works();
    assert_eq!(post(admin, "/-/reload", "").0, 401);
    replace(directory.path(), &people(45));
    std::fs::write(directory.path().join("token"), TOKEN).unwrap();
    signal(rustix::process::Signal::HUP);
    until("the new reference", &|| shown() != first);
    let second = shown();
    until("the new token", &|| post(admin, "/-/reload", "").0 == 200);
    replace(directory.path(), "broken\n");
    signal(rustix::process::Signal::HUP);
    // The answer to a request that comes after the signal comes after the reload.
    until("the reload", &|| post(admin, "/-/reload", "").0 == 422);
    assert_eq!(shown(), second);
    works();
    signal(rustix::process::Signal::TERM);
    driftd.ends();
}
