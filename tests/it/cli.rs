//! The command line: exit codes, what is printed, and that it can be fed back.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use driftd::exchange::{CapturedBody, Ending, Exchange, Outcome};
use driftd::feature::{Cell, Column, Role};
use driftd::model::{ModelName, Schema};
use driftd::timestamp::Timestamp;
use driftd::window::{Config, Gap, ModelSpec, Record, Window};
use serde_json::Value;

use super::child::Killed;
use crate::waiting::PATIENCE;

pub(super) const FLIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/reference_data/flights.csv");
pub(super) const IRIS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/reference_data/iris.csv");

pub(super) fn driftd(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftd"));
    command.current_dir(directory).args(arguments);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DRIFTD_")) {
        command.env_remove(name);
    }
    command.output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn what_init_writes_runs_and_what_config_prints_says_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let init = [
        "init",
        "--reference",
        FLIGHTS,
        "--upstream",
        "http://127.0.0.1:5000",
    ];
    assert_eq!(code(&driftd(at, &init)), 0);
    // A second time there is something to overwrite.
    assert_eq!(code(&driftd(at, &init)), 1);
    let first = driftd(at, &["config"]);
    assert_eq!(code(&first), 0, "{}", text(&first.stderr));
    let printed = text(&first.stdout);
    assert!(printed.contains("\"arrival\" = \"target\""), "{printed}");
    std::fs::write(at.join("again.toml"), &printed).unwrap();
    let second = driftd(at, &["config", "--config", "again.toml"]);
    assert_eq!(code(&second), 0, "{}", text(&second.stderr));
    assert_eq!(text(&second.stdout), printed);
}

#[test]
fn usage_is_configuration() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [
        &["run", "--upstrem", "x"][..],
        &["check", "--reference", IRIS],
        &["check", "--reference", IRIS, "--current", "nowhere.csv"],
        &["run"],
        &["health", "--admin", "nonsense"],
    ] {
        let output = driftd(directory.path(), arguments);
        assert_eq!(code(&output), 78, "{arguments:?}: {}", text(&output.stderr));
        assert!(!output.stderr.is_empty());
    }
    assert_eq!(code(&driftd(directory.path(), &["--version"])), 0);
    // Nobody listens on port 1: a failure at run time.
    let health = driftd(directory.path(), &["health", "--admin", "127.0.0.1:1"]);
    assert_eq!(code(&health), 1);
}

#[test]
fn every_problem_of_every_model_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let toml = format!(
        "upstream = \"http://127.0.0.1:5000\"\n[[model]]\nname = \"iris model\"\nreference = \"{IRIS}\"\nfeatres = []\n\
         [[model]]\nname = \"b\"\npaths = [\"/b\"]\nreference = {{ learn_rows = 5000 }}\n"
    );
    std::fs::write(directory.path().join("driftd.toml"), toml).unwrap();
    let output = driftd(directory.path(), &["config"]);
    assert_eq!(code(&output), 78);
    let said = text(&output.stderr);
    for part in [
        "3 configuration errors",
        "\"iris model\"",
        "did you mean `features`",
        "to learn a reference from traffic, name the columns",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn check_gates_on_drift_and_on_a_changed_type() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let rows = |f: &dyn Fn(usize) -> String| {
        let lines: Vec<String> = (0..200).map(f).collect();
        format!("x,y\n{}\n", lines.join("\n"))
    };
    std::fs::write(
        at.join("a.csv"),
        rows(&|i| format!("{}.5,{}.25", i * 7 % 200, i % 9)),
    )
    .unwrap();
    std::fs::write(
        at.join("moved.csv"),
        rows(&|i| format!("{}.5,{}.25", i * 7 % 200 + 90, i % 9)),
    )
    .unwrap();
    std::fs::write(
        at.join("typed.csv"),
        rows(&|i| format!("n{i},{}.25", i % 9)),
    )
    .unwrap();
    let check = |current: &str, more: &[&str]| {
        let arguments = [
            &["check", "--reference", "a.csv", "--current", current],
            more,
        ]
        .concat();
        driftd(at, &arguments)
    };
    assert_eq!(code(&check("a.csv", &["--strict"])), 0);
    let moved = check("moved.csv", &["--format", "json"]);
    assert_eq!(code(&moved), 1);
    let report: Value = serde_json::from_slice(&moved.stdout).unwrap();
    let features = report["models"][0]["features"].as_array().unwrap();
    assert_eq!(features[0]["name"], "x");
    assert_eq!(
        (&features[0]["drifted"], &features[1]["drifted"]),
        (&Value::Bool(true), &Value::Bool(false))
    );
    let typed = check("typed.csv", &[]);
    assert_eq!(code(&typed), 1);
    assert!(
        text(&typed.stdout).contains("x has changed its type"),
        "{}",
        text(&typed.stdout)
    );
}

/// A copy of iris with wider sepals: one column of five drifts.
fn wider(at: &Path) {
    let iris = std::fs::read_to_string(IRIS).unwrap();
    let mut lines = iris.lines();
    let header = lines.next().unwrap();
    let at_column = header.split(',').position(|name| name == "sepal_width");
    let mut text = format!("{header}\n");
    for line in lines {
        let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
        let cell = &mut cells[at_column.unwrap()];
        *cell = (cell.parse::<f64>().unwrap() + 1.5).to_string();
        text += &format!("{}\n", cells.join(","));
    }
    std::fs::write(at.join("wider.csv"), text).unwrap();
}

fn files(at: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(at).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn every_format_goes_to_stdout_or_whole_into_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    wider(at);
    for (format, part) in [
        ("table", "family-wise α = 0.05 over 19 tests"),
        ("markdown", "| sepal\\_width | numeric | **drifted** | ks |"),
        ("html", "<svg class=\"chart\""),
        ("json", "\"models\""),
    ] {
        let check = [
            "check",
            "--reference",
            IRIS,
            "--current",
            "wider.csv",
            "--format",
            format,
        ];
        let printed = driftd(at, &check);
        assert_eq!(code(&printed), 1, "{format}");
        assert!(
            text(&printed.stdout).contains(part),
            "{format}: {}",
            text(&printed.stdout)
        );
        // Progress is for terminals.
        assert_eq!(text(&printed.stderr), "", "{format}");
        std::fs::write(at.join("result"), "what was there before").unwrap();
        let written = driftd(at, &[&check[..], &["-o", "result"]].concat());
        assert_eq!(
            (code(&written), text(&written.stdout)),
            (1, String::new()),
            "{format}"
        );
        let content = std::fs::read_to_string(at.join("result")).unwrap();
        // Two checks are made at two times.
        if format != "json" {
            assert_eq!(content, text(&printed.stdout));
        }
        assert!(content.contains(part), "{format}");
        assert_eq!(files(at), ["result", "wider.csv"]);
    }
}

#[test]
fn an_output_that_cannot_be_is_no_verdict() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    wider(at);
    let before = std::fs::read(at.join("wider.csv")).unwrap();
    for (output, said) in [
        ("wider.csv", "is a file to be read"),
        (".", "is a directory"),
        ("no/where.html", "does not exist"),
    ] {
        let check = [
            "check",
            "--reference",
            IRIS,
            "--current",
            "wider.csv",
            "--output",
            output,
        ];
        let refused = driftd(at, &check);
        assert_eq!(code(&refused), 78, "{output}");
        assert!(
            text(&refused.stderr).contains(said),
            "{}",
            text(&refused.stderr)
        );
    }
    assert_eq!(std::fs::read(at.join("wider.csv")).unwrap(), before);
    assert_eq!(files(at), ["wider.csv"]);
}

/// `driftd check … | head -0`: whoever reads has seen enough, and the verdict stands.
#[test]
fn a_closed_pipe_changes_no_verdict() {
    let directory = tempfile::tempdir().unwrap();
    wider(directory.path());
    let mut check = Command::new(env!("CARGO_BIN_EXE_driftd"));
    check.current_dir(directory.path()).stdout(Stdio::piped());
    check.args(["check", "--reference", IRIS, "--current", "wider.csv"]);
    let mut check = check.stderr(Stdio::piped()).spawn().unwrap();
    drop(check.stdout.take());
    let output = check.wait_with_output().unwrap();
    assert_eq!((code(&output), text(&output.stderr)), (1, String::new()));
}

/// 2023-11-14T22:13:20Z
const T0: i64 = 1_700_000_000_000;

/// Opens `w.db`, the window of a model named iris.
fn window(at: &Path) -> Window {
    let (role, kind) = (Role::Feature, None);
    let column = |name: &str| Column {
        name: name.into(),
        role,
        kind,
    };
    let config = Config {
        path: at.join("w.db"),
        keep_rows: 1000,
        keep_for: Duration::from_secs(86_400),
        max_bytes: 1 << 30,
    };
    let spec = ModelSpec {
        name: ModelName::parse("iris").unwrap(),
        version: "v7".to_owned(),
        schema: Schema::new(vec![column("a"), column("<b>")], Vec::new()),
        reference_hash: Some("cafe".to_owned()),
    };
    Window::open(&config, &[spec], Timestamp(T0))
        .unwrap()
        .window
}

/// Commits one exchange with one row.
fn commit(window: &Window, time: i64) {
    let exchange = Exchange {
        request_id: "r".into(),
        trace_id: None,
        model: 0,
        started: Timestamp(time),
        method: "POST".into(),
        route: "/predict".into(),
        status: 200,
        total: Duration::from_millis(2),
        upstream: None,
        request: CapturedBody::default(),
        response: CapturedBody::default(),
        headers: Default::default(),
        ending: Ending::Complete,
    };
    let record = Record {
        exchange,
        outcome: Outcome::Captured,
        reason: String::new(),
        rows: vec![vec![Cell::Number(1.0), Cell::Missing].into()],
        checked: true,
    };
    window.commit(vec![record]).unwrap();
}

/// Two checks of both columns, as the recorder stores them: a drifts in the second, and stays so.
fn checks(at: &Path) {
    let connection = rusqlite::Connection::open(at.join("w.db")).unwrap();
    for (time, a, level, state, statistic) in [
        (T0 + 60_000, false, "ok", "ok", 0.125),
        (T0 + 120_000, true, "alert", "drifted", 0.5),
    ] {
        let rows = format!(
            "INSERT INTO check_data (time, model, reference, \"column\", role, test, span, state, \
             drifted, level, statistic, p_value, log10_p, threshold, n_reference, n_current) VALUES \
             ({time}, 1, 1, 'a', 'feature', 'ks', 'main', '{state}', {a}, '{level}', {statistic}, \
             0.001, -3, 0.25, 150, 90), \
             ({time}, 1, 1, '<b>', 'feature', 'chi2', 'main', 'insufficient', NULL, 'ok', NULL, NULL, \
             NULL, NULL, 150, 3)"
        );
        connection.execute_batch(&rows).unwrap();
    }
    let alarm = format!(
        "INSERT INTO alarm_data VALUES (1, 'a', 'ks', 'main', 1, {}, 0.01)",
        T0 + 120_000
    );
    connection.execute_batch(&alarm).unwrap();
}

#[test]
fn a_window_is_reported_live_and_closed_and_nothing_is_left_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let live = window(at);
    (0..3).for_each(|i| commit(&live, T0 + i * 1000));
    let gap = Gap {
        model: None,
        started_at: Timestamp(T0 - 5000),
        ended_at: Timestamp(T0),
        reason: "killed".to_owned(),
        exchanges: None,
    };
    live.save_gap(gap).unwrap();
    checks(at);
    let report = |format: &str| {
        let before = files(at);
        let report = driftd(at, &["report", "--window", "w.db", "--format", format]);
        assert_eq!(code(&report), 0, "{}", text(&report.stderr));
        assert_eq!(text(&report.stderr), "");
        assert_eq!(files(at), before);
        text(&report.stdout)
    };
    let shown = report("json");
    let json: Value = serde_json::from_str(&shown).unwrap();
    let model = &json["models"][0];
    assert_eq!(model["state"], "drifted");
    assert_eq!(model["checked_at"], "2023-11-14T22:15:20.000Z");
    assert_eq!(model["reference"]["hash"], "cafe");
    for unknown in ["rows", "coverage", "calibrated", "budget"] {
        assert_eq!(model[unknown], Value::Null, "{unknown}");
    }
    assert_eq!(model["reference"]["rows"], Value::Null);
    assert_eq!(model["features"][0]["since"], "2023-11-14T22:15:20.000Z");
    assert_eq!(model["features"][0]["checks"][0]["statistic"], 0.5);
    assert_eq!(model["features"][1]["state"], "insufficient");
    assert_eq!(model["features"][1]["drifted"], Value::Null);
    assert_eq!(model["window"]["rows"], 3);
    assert_eq!(model["window"]["newest"], "2023-11-14T22:13:22.000Z");
    assert_eq!(model["changes"].as_array().unwrap().len(), 1);
    assert_eq!(model["changes"][0]["time"], "2023-11-14T22:15:20.000Z");
    assert_eq!(model["alarms"][0]["feature"], "a");
    assert_eq!(model["gaps"][0]["reason"], "killed");
    // It was in nobody's way, and does not see itself.
    commit(&live, T0 + 3000);
    let grown: Value = serde_json::from_str(&report("json")).unwrap();
    assert_eq!(grown["models"][0]["window"]["rows"], 4);
    live.close();
    drop(live);
    assert_eq!(files(at), ["w.db", "w.db.lock"]);
    let bytes = std::fs::read(at.join("w.db")).unwrap();
    let closed: Value = serde_json::from_str(&report("json")).unwrap();
    assert_eq!(closed, grown);
    for (format, part) in [
        (
            "table",
            "2023-11-14T22:15:20.000Z  a       ks    main  drifted  0.5        0.25",
        ),
        ("markdown", "**1 of 2 features drifted (a)."),
        ("html", "&lt;b&gt;"),
    ] {
        let shown = report(format);
        assert!(shown.contains(part), "{format}: {shown}");
        assert!(!shown.contains("<script") && !shown.contains("<b>") || format == "table");
    }
    assert!(std::fs::read(at.join("w.db")).unwrap() == bytes);
    for (arguments, said) in [
        (
            &["--window", "w.db", "--model", "iri"][..],
            "no model \"iri\"; it holds iris",
        ),
        (&["--window", "no.db"], "cannot read no.db"),
    ] {
        let refused = driftd(at, &[&["report"], arguments].concat());
        assert_eq!(code(&refused), 1);
        assert!(
            text(&refused.stderr).contains(said),
            "{}",
            text(&refused.stderr)
        );
    }
    assert_eq!(files(at), ["w.db", "w.db.lock"]);
    // And it opens as before.
    commit(&window(at), T0 + 4000);
}

/// Logs go nowhere, and traffic does not mind: more lines than a pipe holds, and nobody reads them.
#[test]
fn a_log_that_nobody_reads_holds_up_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = format!("http://{}", super::app::model_server());
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftd"));
    command
        .current_dir(directory.path())
        .args([
            "run",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--paths",
            "/predict",
        ])
        .args(["--upstream", &upstream, "--reference", IRIS])
        .env("DRIFTD_LOG_EXCHANGES", "true")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut driftd = Killed(command.spawn().unwrap());
    let mut first = String::new();
    let mut stdout = BufReader::new(driftd.0.stdout.take().unwrap());
    stdout.read_line(&mut first).unwrap();
    let proxy = first.trim().rsplit('/').next().unwrap();

    let mut stream = TcpStream::connect(proxy).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    let flowers = vec!["[5.1,3.5,1.4,0.2]"; 100].join(",");
    let body = format!("{{\"features\":[{flowers}]}}");
    // A line of some 8 KB for each: 800 KB, where a pipe holds 64.
    for _ in 0..100 {
        write!(
            stream,
            "POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut line = String::new();
        while !line.ends_with("\"yes\"}") {
            let mut byte = [0];
            answers.read_exact(&mut byte).unwrap();
            line.push(char::from(byte[0]));
        }
        assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    }
    drop((stream, answers));
    let pid = rustix::process::Pid::from_child(&driftd.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    driftd.ends();
}
