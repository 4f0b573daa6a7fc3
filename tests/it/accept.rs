//! The new normal: accepted over the API and by command, across restarts, until it grows.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::app::{Driftd, SETTINGS, database, exchange, model_server, write_reference};
use crate::waiting::PATIENCE;

pub(super) const TOKEN: &str = "a-token-of-the-tests";

/// The settings of every test here, with a token.
pub(super) fn settings() -> String {
    format!("admin_token = \"{TOKEN}\"\n{SETTINGS}")
}

/// One request with the token: status and JSON.
pub(super) fn post(admin: SocketAddr, path: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {TOKEN}\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

impl Driftd {
    /// 400 people who are `older` years older, all of them compared: D is older / 40.
    fn settle(&self, older: u32) {
        self.predict_all(older);
        let d = f64::from(older) / 40.0;
        self.eventually("all rows compared", |driftd| {
            let age = driftd.feature("age");
            let statistic = age["checks"][0]["statistic"].as_f64();
            statistic.is_some_and(|found| (found - d).abs() < 1e-9)
        });
    }

    fn accept(&self, body: &Value) -> (u16, Value) {
        post(self.addresses.admin, "/api/v1/accept", &body.to_string())
    }

    fn accepted(&self) -> Vec<Value> {
        let list = self.json("/api/v1/accept");
        list["accepted"].as_array().unwrap().clone()
    }
}

#[test]
fn accepted_drift_is_quiet_across_a_restart_until_it_grows_by_a_tenth() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = model_server();
    write_reference(directory.path(), 20);
    let driftd = Driftd::start(directory.path(), upstream, &settings());
    driftd.settle(0);
    let early = json!({"model": "people", "feature": "age", "reason": "too early"});
    let (status, said) = driftd.accept(&early);
    assert_eq!(status, 409, "{said:#}");
    driftd.settle(12);
    driftd.eventually("drift", |d| d.feature("age")["drifted"] == true);
    driftd.settle(12);

    let body = json!({"model": "people", "feature": "age", "reason": "an older town", "by": "mira", "for": "7d"});
    let (status, said) = driftd.accept(&body);
    assert_eq!(status, 200, "{said:#}");
    let ks = |list: &[Value]| list.iter().find(|a| a["test"] == "ks").cloned().unwrap();
    let entry = ks(said["accepted"].as_array().unwrap());
    assert_eq!(
        (&entry["model"], &entry["by"]),
        (&json!("people"), &json!("mira"))
    );
    assert!(
        (entry["effect"].as_f64().unwrap() - 0.3).abs() < 1e-9,
        "{entry:#}"
    );
    // It shows with the reply, before the next check.
    let age = driftd.feature("age");
    assert_eq!(
        (&age["state"], &age["drifted"], &age["level"]),
        (&json!("accepted"), &json!(false), &json!("ok"))
    );
    let sentence = age["sentence"].as_str().unwrap();
    for part in ["mira", "an older town", "D was 0.3 then", "again from 0.4"] {
        assert!(sentence.contains(part), "{part}: {sentence}");
    }
    let model = driftd.model();
    assert_eq!(
        (&model["level"], &model["drifted"]),
        (&json!("ok"), &json!(false)),
        "{model:#}"
    );
    let metrics = exchange(driftd.addresses.admin, "GET /metrics", "");
    assert!(metrics.contains(
        r#"driftd_drift_accepted{model="people",version="",feature="age",role="feature"} 1"#
    ));
    assert!(exchange(driftd.addresses.admin, "GET /", "").contains("accepted until"));
    drop(driftd);

    let driftd = Driftd::start(directory.path(), upstream, &settings());
    assert_eq!(driftd.feature("age")["state"], "accepted");
    assert_eq!(ks(&driftd.accepted()), entry);
    driftd.settle(14);
    assert_eq!(driftd.feature("age")["state"], "accepted");
    driftd.settle(20);
    driftd.eventually("drift again", |d| d.feature("age")["drifted"] == true);
    assert_eq!(driftd.feature("age")["state"], "drifted");
    assert!(driftd.accepted().iter().all(|a| a["test"] != "ks"));
    drop(driftd);
    let why = "SELECT \"by\" || ' ' || reason || ' ' || end_reason FROM accepted WHERE test = 'ks'";
    let why: String = database(directory.path())
        .query_row(why, [], |row| row.get(0))
        .unwrap();
    assert_eq!(why, "mira an older town exceeded");
}

#[test]
fn what_is_wrong_with_a_request_is_named() {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), 20);
    let driftd = Driftd::start(directory.path(), model_server(), &settings());
    driftd.settle(0);
    let wrong = [
        (
            json!({"model": "person", "reason": "x"}),
            404,
            "model",
            "people",
        ),
        (
            json!({"model": "people", "feature": "agee", "reason": "x"}),
            404,
            "feature",
            "age, plan",
        ),
        (
            json!({"model": "people", "feature": "age", "reason": "x"}),
            409,
            "feature",
            "not drifted",
        ),
        (
            json!({"model": "people", "reason": "x"}),
            409,
            "feature",
            "not drifted",
        ),
        (
            json!({"model": "people", "reason": " "}),
            400,
            "reason",
            "empty",
        ),
    ];
    for (body, expected, field, part) in wrong {
        let (status, said) = driftd.accept(&body);
        assert_eq!(status, expected, "{body}: {said:#}");
        let problem = &said["problems"][0];
        assert_eq!(problem["field"], field, "{body}");
        let message = problem["message"].as_str().unwrap();
        assert!(message.contains(part), "{body}: {message}");
    }
    let body = json!({"model": "people", "feature": "age"}).to_string();
    let (status, said) = post(driftd.addresses.admin, "/api/v1/unaccept", &body);
    assert_eq!(
        (status, &said["problems"][0]["message"]),
        (409, &json!("age is not accepted"))
    );
    let answer = exchange(driftd.addresses.admin, "POST /api/v1/accept", "{}");
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    drop(driftd);
    let driftd = Driftd::start(directory.path(), model_server(), SETTINGS);
    let (status, said) = driftd.accept(&json!({}));
    assert_eq!(status, 403);
    assert!(
        said["error"].as_str().unwrap().contains("admin_token"),
        "{said}"
    );
}

#[test]
fn the_command_accepts_and_takes_back() {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), 20);
    let driftd = Driftd::start(directory.path(), model_server(), &settings());
    driftd.settle(0);
    driftd.settle(12);
    driftd.eventually("drift", |d| d.feature("age")["drifted"] == true);
    let url = format!("http://{}", driftd.addresses.admin);
    let run = |arguments: &[&str]| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_driftd"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DRIFTD_")) {
            command.env_remove(name);
        }
        // Address by flag, for the port is any; token from the configuration.
        command
            .current_dir(directory.path())
            .args(arguments)
            .args(["--url", &url]);
        command.output().unwrap()
    };
    let said = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let accept = [
        "accept",
        "--model",
        "people",
        "--reason",
        "an older town",
        "--for",
        "12h",
    ];
    let output = run(&accept);
    assert!(output.status.success(), "{}", said(&output.stderr));
    assert!(
        said(&output.stdout).contains("age: ks accepted at 0.3 until 20"),
        "{}",
        said(&output.stdout)
    );
    assert_eq!(driftd.feature("age")["state"], "accepted");
    assert_eq!(driftd.feature("plan")["state"], "ok");
    // Nothing is left to accept.
    let output = run(&accept);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output.stderr).contains("not drifted"),
        "{}",
        said(&output.stderr)
    );
    let wrong = run(&[
        "accept",
        "--model",
        "people",
        "--reason",
        "x",
        "--token",
        "another-token",
    ]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(
        said(&wrong.stderr).contains("401"),
        "{}",
        said(&wrong.stderr)
    );

    let output = run(&[
        "unaccept",
        "--model",
        "people",
        "--feature",
        "age",
        "--by",
        "jo",
    ]);
    assert!(output.status.success(), "{}", said(&output.stderr));
    assert_eq!(driftd.feature("age")["drifted"], true);
    let count = "SELECT count(*) FROM accepted WHERE end_reason = 'unaccepted' AND ended_by = 'jo'";
    let count: i64 = database(directory.path())
        .query_row(count, [], |row| row.get(0))
        .unwrap();
    assert!(count >= 1);
    // The effective configuration says that there is a token, and not which.
    let output = Command::new(env!("CARGO_BIN_EXE_driftd"))
        .current_dir(directory.path())
        .arg("config")
        .output()
        .unwrap();
    let printed = said(&output.stdout);
    assert!(
        printed.contains("# admin_token") && !printed.contains(TOKEN),
        "{printed}"
    );
}
