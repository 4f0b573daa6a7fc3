//! The tap dies, hangs, or runs out of disk and memory under load: every request is answered, and
//! every exchange is counted.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::app::{Driftd, SETTINGS, database, exchange, model_server, write_reference};
use super::child::Killed;
use crate::waiting::{PATIENCE, within};

/// A queue that fills soon.
const SMALL_QUEUE: &str = "[tap]\nmax_body = \"16KiB\"\nqueue = \"128KiB\"\n";

const OUTCOMES: [&str; 5] = [
    "captured",
    "sampled_out",
    "excluded",
    "undecodable",
    "dropped",
];

/// Sends `each` predictions from each of four clients; all are answered.
fn load(driftd: &Driftd, each: u32) {
    thread::scope(|scope| {
        for client in 0..4 {
            scope.spawn(move || {
                for i in 0..each {
                    assert_eq!(driftd.predict(20 + (client + i) % 40, "basic"), 200);
                }
            });
        }
    });
}

/// Holds that every exchange offered so far has one outcome, once none is in flight; the counters.
fn settled(driftd: &Driftd, offered: u64) -> Value {
    driftd.eventually("all counted", |d| {
        d.tap()["in_flight"] == 0 && d.tap()["offered"] == offered
    });
    let tap = driftd.tap();
    let counted: u64 = OUTCOMES.iter().map(|name| count(&tap, name)).sum();
    assert_eq!(counted, offered, "{tap:#}");
    tap
}

fn count(tap: &Value, name: &str) -> u64 {
    tap[name].as_u64().unwrap()
}

fn recording(driftd: &Driftd) -> Value {
    driftd.json("/api/v1/status")["recording"].clone()
}

fn stored(directory: &Path) -> u64 {
    database(directory)
        .query_row("SELECT count(*) FROM exchanges", [], |row| {
            row.get::<_, i64>(0)
        })
        .unwrap()
        .unsigned_abs()
}

/// A file beside the window that asks a debug build for a fault.
fn ask(directory: &Path, fault: &str) -> std::path::PathBuf {
    let path = directory.join(format!("driftd.db.{fault}"));
    fs::write(&path, "").unwrap();
    path
}

#[test]
#[cfg(debug_assertions)]
fn a_check_that_panics_is_counted_and_the_next_one_is_made() {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), 20);
    let driftd = Driftd::start(directory.path(), model_server(), SETTINGS);
    load(&driftd, 20);
    let counter = "driftd_drift_check_defects_total";
    let metrics = |d: &Driftd| exchange(d.addresses.admin, "GET /metrics", "");
    assert!(metrics(&driftd).contains(&format!("{counter} 0")));
    for defects in 1..=2 {
        let asked = ask(directory.path(), "fault-monitor-check");
        driftd.eventually("the fault", |_| !asked.exists());
        let line = format!("{counter} {defects}");
        driftd.eventually("the count", |d| metrics(d).contains(&line));
    }
    // The monitor lives: a check is made after it.
    let met = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let last = "driftd_drift_last_check_timestamp_seconds{";
    driftd.eventually("a check", |d| {
        let metrics = metrics(d);
        let line = metrics.lines().find(|line| line.starts_with(last));
        let value = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        value.is_some_and(|seconds| seconds > met.as_secs_f64())
    });
}

#[test]
#[cfg(debug_assertions)]
fn a_recorder_that_panics_costs_a_batch_and_begins_anew() {
    for place in ["fault-recorder-take", "fault-recorder-commit"] {
        let directory = tempfile::tempdir().unwrap();
        write_reference(directory.path(), 20);
        let driftd = Driftd::start(directory.path(), model_server(), SETTINGS);
        load(&driftd, 20);
        let before = settled(&driftd, 80);
        assert_eq!(count(&before, "captured"), 80, "{before:#}");
        let asked = ask(directory.path(), place);
        load(&driftd, 50);
        driftd.eventually("the fault", |_| !asked.exists());
        driftd.eventually("a new beginning", |d| recording(d)["restarts"] == 1);
        load(&driftd, 20);
        let tap = settled(&driftd, 360);
        let lost = count(&tap["dropped_by"], "tap_closed");
        assert!(lost > 0, "{place}: {tap:#}");
        assert_eq!(count(&tap, "dropped"), lost, "{place}: {tap:#}");
        assert_eq!(count(&tap, "captured"), 360 - lost);
        driftd.eventually("recording", |d| recording(d)["state"] == "ok");
        let metrics = exchange(driftd.addresses.admin, "GET /metrics", "");
        assert!(metrics.contains("driftd_tap_restarts_total 1"), "{metrics}");
        assert!(metrics.contains("driftd_tap_recording 1"), "{metrics}");
        drop(driftd);
        assert_eq!(stored(directory.path()), 360 - lost, "{place}");
        let gaps = "SELECT sum(exchanges) FROM gaps WHERE reason = 'tap_closed'";
        let gaps: i64 = database(directory.path())
            .query_row(gaps, [], |row| row.get(0))
            .unwrap();
        assert_eq!(gaps.unsigned_abs(), lost, "{place}");
    }
}

#[test]
#[cfg(debug_assertions)]
fn a_window_thread_that_panics_costs_a_batch_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), 20);
    let driftd = Driftd::start(directory.path(), model_server(), SETTINGS);
    load(&driftd, 20);
    settled(&driftd, 80);
    let asked = ask(directory.path(), "fault-window");
    load(&driftd, 50);
    driftd.eventually("the fault", |_| !asked.exists());
    load(&driftd, 20);
    let tap = settled(&driftd, 360);
    let lost = count(&tap["dropped_by"], "window_error");
    assert!(lost > 0, "{tap:#}");
    assert_eq!(count(&tap, "captured"), 360 - lost, "{tap:#}");
    assert_eq!(recording(&driftd)["state"], "ok");
    drop(driftd);
    assert_eq!(stored(directory.path()), 360 - lost);
    let sound: String = database(directory.path())
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(sound, "ok");
}

#[test]
#[cfg(debug_assertions)]
fn a_window_that_hangs_costs_counts_within_the_queues_budget() {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), 20);
    let settings = format!("{SETTINGS}{SMALL_QUEUE}");
    let driftd = Driftd::start(directory.path(), model_server(), &settings);
    let hang = ask(directory.path(), "hang-window");
    load(&driftd, 1);
    driftd.eventually("the hang is told", |d| {
        let recording = recording(d);
        let reason = recording["reason"].as_str().unwrap_or_default();
        recording["state"] == "degraded" && reason.contains("has not answered")
    });
    load(&driftd, 300);
    let status = driftd.json("/api/v1/status");
    let held = status["tap_queue_bytes"].as_u64().unwrap();
    assert!((64 << 10..=128 << 10).contains(&held), "{status:#}");
    fs::remove_file(hang).unwrap();
    let tap = settled(&driftd, 1204);
    let lost = count(&tap["dropped_by"], "queue_full");
    assert!(lost > 500, "128 KiB held it all: {tap:#}");
    assert_eq!(count(&tap, "captured"), 1204 - lost, "{tap:#}");
    assert_eq!(recording(&driftd)["state"], "ok");
}

#[test]
fn a_lock_held_for_long_loses_nothing_while_the_queue_has_room() {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), 20);
    let driftd = Driftd::start(directory.path(), model_server(), SETTINGS);
    load(&driftd, 5);
    settled(&driftd, 20);
    let other = rusqlite::Connection::open(directory.path().join("driftd.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    load(&driftd, 25);
    // Longer than SQLite waits: the commit has failed at least once.
    driftd.eventually("the lock is told", |d| recording(d)["state"] == "degraded");
    load(&driftd, 25);
    other.execute_batch("ROLLBACK").unwrap();
    let tap = settled(&driftd, 220);
    assert_eq!(count(&tap, "captured"), 220, "{tap:#}");
    assert_eq!(recording(&driftd)["state"], "ok");
}

#[test]
fn a_lock_held_to_the_end_is_given_up_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), 20);
    let driftd = Driftd::start(directory.path(), model_server(), SETTINGS);
    load(&driftd, 5);
    settled(&driftd, 20);
    let other = rusqlite::Connection::open(directory.path().join("driftd.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    load(&driftd, 25);
    let begun = Instant::now();
    drop(driftd);
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(stored(directory.path()), 20);
}

/// `driftd run` as a process of its own.
struct Process {
    child: Killed,
    proxy: SocketAddr,
    admin: SocketAddr,
}

impl Process {
    /// Starts it by a shell that first runs `limits`.
    fn start(directory: &Path, limits: &str, settings: &str) -> Self {
        let upstream = model_server();
        let text = format!(
            "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nupstream = \"http://{upstream}\"\n\
             {settings}\n[[model]]\nname = \"people\"\npaths = [\"/predict\"]\n\
             reference = \"people.csv\"\n"
        );
        fs::write(directory.join("driftd.toml"), text).unwrap();
        let script = format!("{limits}\nexec \"$0\" run");
        let child = Command::new("bash")
            .args(["-c", &script, env!("CARGO_BIN_EXE_driftd")])
            .current_dir(directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut child = Killed(child);
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let mut address = || {
            let line = lines.next().unwrap().unwrap();
            let address = line.rsplit("//").next().unwrap();
            address.trim_end_matches('/').parse().unwrap()
        };
        Self {
            proxy: address(),
            admin: address(),
            child,
        }
    }

    fn tap(&self) -> Value {
        let answer = exchange(self.admin, "GET /api/v1/status", "");
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        let status: Value = serde_json::from_str(body).unwrap();
        status["models"][0]["tap"].clone()
    }

    /// The first word the kernel has under this name, with its colon.
    fn status(&self, name: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next())
            .unwrap_or_else(|| panic!("no {name} in {status}"))
            .to_owned()
    }

    #[track_caller]
    fn eventually(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let tap = || Some(self.tap()).filter(&condition);
        within(PATIENCE * 3, tap, || format!("{what}: {:#}", self.tap()))
    }
}

#[test]
fn a_limit_on_file_sizes_costs_counts_and_kills_nothing() {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), 20);
    // KiB. The write that crosses it raises SIGXFSZ, which ends a process that does not mind it.
    let mut process = Process::start(directory.path(), "ulimit -S -f 256", SETTINGS);
    let body = "{\"features\":{\"age\":30,\"plan\":\"basic\",\"secret\":7.5}}";
    let ask = |process: &Process| {
        let answer = exchange(process.proxy, "POST /predict", body);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    };
    let mut sent = 0;
    let deadline = Instant::now() + PATIENCE * 3;
    while count(&process.tap()["dropped_by"], "window_error") == 0 {
        assert!(Instant::now() < deadline, "256 KiB held it all");
        for _ in 0..100 {
            ask(&process);
        }
        sent += 100;
    }
    let tap = process.eventually("all counted", |tap| tap["in_flight"] == 0);
    assert_eq!(count(&tap, "offered"), sent);
    assert_eq!(count(&tap, "captured") + count(&tap, "dropped"), sent);
    assert_eq!(
        count(&tap, "dropped"),
        count(&tap["dropped_by"], "window_error")
    );
    assert!(process.child.0.try_wait().unwrap().is_none());
    // Room again.
    let pid = process.child.0.id().to_string();
    let lifted = Command::new("prlimit")
        .args(["--pid", &pid, "--fsize=unlimited"])
        .status();
    assert!(lifted.unwrap().success());
    let captured = count(&tap, "captured");
    process.eventually("recording again", |tap| {
        ask(&process);
        count(tap, "captured") > captured
    });
}

/// One request with a gzipped body; the status line.
fn send_gzip(address: SocketAddr, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "POST /predict HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-encoding: gzip\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn gzipped_bodies_of_many_rows_do_not_pile_up_unpacked() {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), 20);
    let settings = format!("{SETTINGS}[tap]\nmax_body = \"1MiB\"\n");
    let process = Process::start(directory.path(), "", &settings);
    // 60,000 rows: 480 KB, which gzip makes less than 4 KB. A batch that took all 96 bodies before
    // it looked at its rows held 1.6 GiB.
    let rows = vec!["[1,2,3]"; 60_000].join(",");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    write!(encoder, "[{rows}]").unwrap();
    let body = encoder.finish().unwrap();
    assert!(body.len() < 4096, "{}", body.len());
    thread::scope(|scope| {
        for _ in 0..96 {
            scope.spawn(|| {
                assert!(send_gzip(process.proxy, &body).starts_with("HTTP/1.1 200"));
            });
        }
    });
    process.eventually("some recorded", |tap| count(tap, "captured") >= 8);
    let peak: u64 = process.status("VmHWM:").parse().unwrap();
    assert!(peak < 200 * 1024, "{peak} KiB at most");
}

#[test]
fn memory_is_taken_in_small_pages_whatever_the_system_gives() {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), 20);
    let process = Process::start(directory.path(), "", SETTINGS);
    assert_eq!(process.status("THP_enabled:"), "0");
}
