//! The command line: exit codes, what is printed, and that it can be fed back.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const FLIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/reference_data/flights.csv");
const IRIS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/reference_data/iris.csv");

fn driftd(directory: &Path, arguments: &[&str]) -> Output {
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
        "not supported yet",
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
    let mut driftd = command.spawn().unwrap();
    let mut first = String::new();
    let mut stdout = BufReader::new(driftd.stdout.take().unwrap());
    stdout.read_line(&mut first).unwrap();
    let proxy = first.trim().rsplit('/').next().unwrap();

    let mut stream = TcpStream::connect(proxy).unwrap();
    let patience = Duration::from_secs(20);
    stream.set_read_timeout(Some(patience)).unwrap();
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
    let pid = rustix::process::Pid::from_child(&driftd);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let deadline = Instant::now() + patience;
    let status = loop {
        if let Some(status) = driftd.try_wait().unwrap() {
            break status;
        }
        if Instant::now() >= deadline {
            driftd.kill().unwrap();
            panic!("it does not end while nobody reads its log");
        }
        std::thread::yield_now();
    };
    assert!(status.success(), "{status}");
}
