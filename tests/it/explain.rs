//! `driftd explain` and `driftd report --id`: from a body to its rows, and from an id to them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::app::{Driftd, SETTINGS, database, model_server, write_reference};
use super::cli::{IRIS, driftd};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Exit code and standard output.
fn said(output: &Output) -> (i32, String) {
    let code = output.status.code().unwrap();
    assert!(code != 78, "{}", text(&output.stderr));
    (code, text(&output.stdout))
}

#[test]
fn a_body_is_explained_with_its_rows() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    fs::write(
        at.join("q.json"),
        r#"{"features": [[5.1, 3.5, 1.4, 0.2], [6, null, 5, 2]]}"#,
    )
    .unwrap();
    fs::write(
        at.join("a.json"),
        r#"{"predictions": ["setosa", "virginica"]}"#,
    )
    .unwrap();
    let explain = |more: &[&str]| {
        let base = ["explain", "--reference", IRIS, "--request", "q.json"];
        driftd(at, &[&base, more].concat())
    };
    let (code, out) = said(&explain(&["--response", "a.json"]));
    assert_eq!(code, 0, "{out}");
    let line = |start: &str| {
        let found = out.lines().find(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("{start}: {out}")).to_owned()
    };
    assert!(
        line("model").contains("default: 4 features, 1 outputs"),
        "{out}"
    );
    assert!(line("read as").contains(r#"{"features": "#), "{out}");
    let cells = |start: &str| -> Vec<String> {
        line(start).split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(cells("1 "), ["1", "5.1", "3.5", "1.4", "0.2", "\"setosa\""]);
    assert_eq!(
        cells("2 "),
        ["2", "6", "(missing)", "5", "2", "\"virginica\""]
    );
    // Answers for other rows than were asked for.
    fs::write(at.join("a.json"), r#"{"predictions": ["setosa"]}"#).unwrap();
    let (code, out) = said(&explain(&["--response", "a.json"]));
    assert_eq!(code, 1);
    assert!(out.contains("response: 1 answer for 2 rows"), "{out}");
}

#[test]
fn what_cannot_be_read_is_explained_too() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(b"[5.1, 3.5, 1.4, 0.2]").unwrap();
    fs::write(at.join("q.gz"), encoder.finish().unwrap()).unwrap();
    let base = ["explain", "--reference", IRIS, "--request", "q.gz"];
    let (code, out) = said(&driftd(at, &base));
    assert_eq!(code, 1);
    assert!(
        out.contains("not read") && out.contains("invalid UTF-8 at byte 1"),
        "{out}"
    );
    let encoded = [
        &base[..],
        &["--content-encoding", "GZIP", "--content-type", "text/csv"],
    ]
    .concat();
    let (code, out) = said(&driftd(at, &encoded));
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("read as JSON all the same"), "{out}");
    let (code, out) = said(&driftd(
        at,
        &[&base[..], &["--content-encoding", "aes128gcm"]].concat(),
    ));
    assert_eq!(code, 1);
    assert!(
        out.contains("content-encoding aes128gcm is not read"),
        "{out}"
    );
    // From standard input, longer than what the tap captures.
    let mut piped = Command::new(env!("CARGO_BIN_EXE_driftd"))
        .current_dir(at)
        .args(["explain", "--reference", IRIS, "--request", "-"])
        .env("DRIFTD_TAP__MAX_BODY", "1KiB")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let long = format!("[5.1, 3.5, 1.4, {}]", "1".repeat(2000));
    let mut stdin = piped.stdin.take().unwrap();
    stdin.write_all(long.as_bytes()).unwrap();
    drop(stdin);
    let (code, out) = said(&piped.wait_with_output().unwrap());
    assert_eq!(code, 1);
    assert!(
        out.contains("body larger than tap.max_body (2017 bytes, 1024 captured)"),
        "{out}"
    );
}

/// One request with headers of its own; the answer.
fn send(driftd: &Driftd, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(driftd.addresses.proxy).unwrap();
    write!(
        stream,
        "POST /predict HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_id_the_client_sees_finds_its_rows() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    write_reference(at, 20);
    let settings = format!("{SETTINGS}[tap]\nmax_body = \"1KiB\"\nheaders = [\"x-tenant\"]\n");
    let running = Driftd::start(at, model_server(), &settings);
    let person = r#"{"features":{"age":41,"plan":"basic","secret":7.5}}"#;
    let answer = send(
        &running,
        "x-tenant: acme\r\nauthorization: Bearer s3cret\r\n",
        person,
    );
    let id = (answer.lines())
        .find_map(|line| line.strip_prefix("x-request-id: "))
        .unwrap()
        .to_owned();
    // A truncated body: its true length is stored, and no wrong rows are.
    let long = format!(
        "{{\"features\":{{\"age\":1}},\"note\":\"{}\"}}",
        "x".repeat(5000)
    );
    send(&running, "x-request-id: long-one\r\n", &long);
    running.eventually("recorded", |d| {
        d.tap()["in_flight"] == 0 && d.tap()["offered"] == 2
    });

    // Beside the running driftd, and after it.
    let report = |id: &str| {
        let json = [
            "report",
            "--window",
            "driftd.db",
            "--id",
            id,
            "--format",
            "json",
        ];
        let output = driftd(at, &json);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()[0].clone()
    };
    let live = report(&id);
    drop(running);
    let found = report(&id);
    assert_eq!(found, live);
    assert_eq!(found["request_id"], id.as_str());
    assert_eq!(found["headers"]["request"]["x-tenant"], "acme");
    assert_eq!(found["request_bytes"], person.len());
    assert_eq!(found["request_truncated"], 0);
    let rows = found["row_values"].as_array().unwrap();
    assert_eq!(
        (rows.len(), &rows[0]["age"], &rows[0]["prediction"]),
        (1, &41.0.into(), &"yes".into())
    );
    assert_eq!(rows[0]["id"], found["row_id"]);
    let cut = report("long-one");
    assert_eq!(cut["outcome"], "undecodable");
    assert_eq!(cut["request_bytes"], long.len());
    assert_eq!(
        (&cut["request_truncated"], &cut["response_truncated"]),
        (&1.into(), &0.into())
    );
    assert_eq!(cut["row_values"], Value::Array(Vec::new()));

    let table = driftd(at, &["report", "--window", "driftd.db", "--id", &id]);
    let table = text(&table.stdout);
    assert!(
        table.contains("41") && table.contains("/predict"),
        "{table}"
    );
    let none = driftd(at, &["report", "--window", "driftd.db", "--id", "nobody"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).contains("no exchange with the id \"nobody\""));

    // As the README has it.
    let sql = "SELECT r.age FROM exchanges e JOIN rows_people r ON r.exchange_id = e.id \
               WHERE e.request_id = ?1";
    let age: f64 = database(at)
        .query_row(sql, [&id], |row| row.get(0))
        .unwrap();
    assert!((age - 41.0).abs() < 1e-12);
    let bytes = fs::read(at.join("driftd.db")).unwrap();
    assert!(!bytes.windows(6).any(|six| six == b"s3cret"));
}
