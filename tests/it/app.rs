//! The whole application in this process: real sockets, a real window, a small model server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use driftd::app::App;
use driftd::config::{self, Given};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::waiting::{PATIENCE, within};

/// Answers every POST with `{"prediction": "yes"}`, for as long as the test process lives.
pub(super) fn model_server() -> SocketAddr {
    fn answer(stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut writer = stream;
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).ok()? == 0 {
                    return None;
                }
                let line = line.trim().to_ascii_lowercase();
                if line.is_empty() {
                    break;
                }
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().ok()?;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let answer = "{\"prediction\": \"yes\"}";
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                answer.len()
            );
            writer.write_all((head + answer).as_bytes()).ok()?;
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    address
}

/// Where a driftd of a test is.
pub(super) struct Addresses {
    pub(super) proxy: SocketAddr,
    pub(super) admin: SocketAddr,
}

impl From<driftd::app::Addresses> for Addresses {
    fn from(addresses: driftd::app::Addresses) -> Self {
        let driftd::proxy::Address::Tcp(proxy) = addresses.proxy else {
            panic!("not TCP: {}", addresses.proxy);
        };
        Self {
            proxy,
            admin: addresses.admin,
        }
    }
}

/// A running driftd, drained when dropped.
pub(super) struct Driftd {
    pub(super) addresses: Addresses,
    shutdown: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A reference of 400 people: ages 20 to 59, ten of each, and two plans.
pub(super) fn write_reference(directory: &Path, first_age: u32) {
    let mut csv = String::from("age,plan,secret,prediction\n");
    for i in 0..400 {
        let plan = if i % 4 == 0 { "pro" } else { "basic" };
        csv += &format!("{},{plan},{i}.5,yes\n", first_age + i % 40);
    }
    std::fs::write(directory.join("people.csv"), csv).unwrap();
}

pub(super) const SETTINGS: &str = "
    [window]
    path = \"driftd.db\"
    [drift]
    every = \"100ms\"
    current = \"400 rows\"
    fast = \"off\"
";

impl Driftd {
    /// Starts in `directory`, which holds `people.csv`.
    pub(super) fn start(directory: &Path, upstream: SocketAddr, settings: &str) -> Self {
        Self::start_with(directory, upstream, settings, "reference = \"people.csv\"")
    }

    /// Starts in `directory` with a model whose reference is what `reference` says.
    pub(super) fn start_with(
        directory: &Path,
        upstream: SocketAddr,
        settings: &str,
        reference: &str,
    ) -> Self {
        Self::start_in(directory, upstream, [settings, reference], &[])
    }

    /// The same in an environment.
    pub(super) fn start_in(
        directory: &Path,
        upstream: SocketAddr,
        [settings, reference]: [&str; 2],
        environment: &[(&str, String)],
    ) -> Self {
        let path = directory.join("driftd.toml");
        let text = format!(
            "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nupstream = \"http://{upstream}\"\n\
             {settings}\n[[model]]\nname = \"people\"\npaths = [\"/predict\"]\n{reference}\n\
             [[model.feature]]\nname = \"plan\"\nstore = \"hash\"\n\
             [[model.feature]]\nname = \"secret\"\nstore = \"drop\"\n"
        );
        std::fs::write(&path, text).unwrap();
        let set = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        let config = config::load(Some(&path), set, Given::default()).unwrap();
        let (shutdown, asked) = oneshot::channel::<()>();
        let (sender, addresses) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let bound = App::prepare(config).unwrap().bind().await.unwrap();
                sender.send(Addresses::from(bound.addresses())).unwrap();
                let asked = async { asked.await.unwrap_or(()) };
                bound.serve(asked).await.unwrap();
            });
        });
        Self {
            addresses: addresses.recv_timeout(PATIENCE).unwrap(),
            shutdown: Some(shutdown),
            thread: Some(thread),
        }
    }

    /// One person's prediction over a connection of its own; the status.
    pub(super) fn predict(&self, age: u32, plan: &str) -> u16 {
        let body = format!("{{\"features\":{{\"age\":{age},\"plan\":\"{plan}\",\"secret\":7.5}}}}");
        let answer = exchange(self.addresses.proxy, "POST /predict", &body);
        assert!(answer.ends_with("{\"prediction\": \"yes\"}"), "{answer}");
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// 400 people like those of the reference, `older` years older.
    pub(super) fn predict_all(&self, older: u32) {
        for i in 0..400 {
            let plan = if i % 4 == 0 { "pro" } else { "basic" };
            assert_eq!(self.predict(20 + i % 40 + older, plan), 200);
        }
    }

    pub(super) fn json(&self, path: &str) -> Value {
        let answer = exchange(self.addresses.admin, &format!("GET {path}"), "");
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        serde_json::from_str(body).unwrap()
    }

    pub(super) fn model(&self) -> Value {
        self.json("/api/v1/drift")["models"][0].clone()
    }

    pub(super) fn feature(&self, name: &str) -> Value {
        let features = self.model()["features"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        features
            .into_iter()
            .find(|f| f["name"] == name)
            .unwrap_or_default()
    }

    pub(super) fn tap(&self) -> Value {
        self.json("/api/v1/status")["models"][0]["tap"].clone()
    }

    #[track_caller]
    pub(super) fn eventually(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        self.within(PATIENCE, what, condition);
    }

    /// The same for what takes longer.
    #[track_caller]
    pub(super) fn within(&self, patience: Duration, what: &str, condition: impl Fn(&Self) -> bool) {
        let holds = || condition(self).then_some(());
        within(patience, holds, || format!("{what}: {:#}", self.model()));
    }
}

impl Drop for Driftd {
    fn drop(&mut self) {
        drop(self.shutdown.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("driftd panicked");
        }
    }
}

/// One request; the whole answer as text.
pub(super) fn exchange(address: SocketAddr, line: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub(super) fn database(directory: &Path) -> rusqlite::Connection {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    rusqlite::Connection::open_with_flags(directory.join("driftd.db"), flags).unwrap()
}

#[test]
fn an_alarm_outlives_a_restart_and_not_its_reference() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = model_server();
    write_reference(directory.path(), 20);
    let driftd = Driftd::start(directory.path(), upstream, SETTINGS);
    driftd.predict_all(0);
    driftd.eventually("no drift", |d| d.model()["drifted"] == false);
    assert_eq!(driftd.feature("age")["state"], "ok");
    driftd.predict_all(25);
    driftd.eventually("drift", |d| d.feature("age")["drifted"] == true);
    driftd.eventually("all rows compared", |d| d.tap()["in_flight"] == 0);
    let before = driftd.feature("age");
    assert_eq!(before["level"], "warn");
    assert_eq!(driftd.feature("plan")["drifted"], false);
    drop(driftd);

    let driftd = Driftd::start(directory.path(), upstream, SETTINGS);
    let after = driftd.feature("age");
    assert_eq!(after["drifted"], true, "{after:#}");
    assert_eq!(after["since"], before["since"]);
    assert_eq!(driftd.model()["coverage"], 1.0);
    drop(driftd);

    // Retrained on the older people: what stood was about another reference.
    write_reference(directory.path(), 45);
    let driftd = Driftd::start(directory.path(), upstream, SETTINGS);
    let model = driftd.model();
    assert_eq!(model["state"], "warming", "{model:#}");
    assert_eq!(model["drifted"], Value::Null);
    driftd.predict_all(25);
    driftd.eventually("no drift", |d| d.model()["drifted"] == false);
}

#[test]
fn what_may_not_be_stored_is_not() {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), 20);
    let driftd = Driftd::start(directory.path(), model_server(), SETTINGS);
    driftd.predict_all(0);
    driftd.eventually("compared", |d| d.feature("plan")["state"] == "ok");
    assert_eq!(driftd.feature("plan")["unseen"], 0.0);
    assert_eq!(driftd.feature("secret")["state"], "no_reference");
    drop(driftd);
    let words = "SELECT count(DISTINCT plan), max(length(plan)), count(secret), count(age) FROM rows_people";
    let found: (i64, i64, i64, i64) = database(directory.path())
        .query_row(words, [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .unwrap();
    assert_eq!(found, (2, 16, 0, 400));
    let bytes = std::fs::read(directory.path().join("driftd.db")).unwrap();
    assert!(!bytes.windows(5).any(|five| five == b"basic"));
}

#[test]
fn every_exchange_is_accounted_for_whatever_it_held() {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), 20);
    let settings = format!(
        "{SETTINGS}\n[tap]\nmax_body = \"1KiB\"\nqueue = \"1MiB\"\nexclude = [{{ header = \"host\", prefix = \"probe\" }}]\n"
    );
    let driftd = Driftd::start(directory.path(), model_server(), &settings);
    let proxy = driftd.addresses.proxy;
    driftd.predict(30, "basic");
    let long = format!(
        "{{\"features\":{{\"age\":1}},\"note\":\"{}\"}}",
        "x".repeat(2000)
    );
    for body in ["not JSON", "[1, 2]", long.as_str()] {
        exchange(proxy, "POST /predict", body);
    }
    exchange(proxy, "GET /health", "");
    let mut probe = TcpStream::connect(proxy).unwrap();
    write!(
        probe,
        "POST /predict HTTP/1.1\r\nhost: probe\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    )
    .unwrap();
    probe.read_to_end(&mut Vec::new()).unwrap();
    driftd.eventually("all counted", |d| {
        d.tap()["in_flight"] == 0 && d.tap()["offered"] == 5
    });
    let tap = driftd.tap();
    let counted = |name: &str| tap[name].as_u64().unwrap();
    assert_eq!(counted("captured"), 1, "{tap:#}");
    assert_eq!(counted("undecodable"), 3, "{tap:#}");
    assert_eq!(counted("excluded"), 1, "{tap:#}");
    assert_eq!(counted("truncated"), 1, "{tap:#}");
    drop(driftd);
    let reasons = "SELECT count(*) FROM exchanges WHERE outcome = 'undecodable' AND reason <> ''";
    let found: i64 = database(directory.path())
        .query_row(reasons, [], |row| row.get(0))
        .unwrap();
    assert_eq!(found, 3);
}

#[test]
fn a_full_window_costs_counts_and_no_traffic() {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), 20);
    let settings = SETTINGS.replace("[window]", "[window]\nmax_bytes = \"64KiB\"");
    let driftd = Driftd::start(directory.path(), model_server(), &settings);
    driftd.predict_all(0);
    driftd.eventually("all counted", |d| {
        d.tap()["in_flight"] == 0 && d.tap()["offered"] == 400
    });
    let tap = driftd.tap();
    let counted = |name: &str| tap[name].as_u64().unwrap();
    assert_eq!(counted("captured") + counted("dropped"), 400, "{tap:#}");
    assert_eq!(
        counted("dropped"),
        tap["dropped_by"]["window_full"].as_u64().unwrap()
    );
    assert!(counted("dropped") > 0, "64 KiB held it all: {tap:#}");
}

#[test]
fn a_window_that_cannot_be_opened_yet_holds_up_no_traffic() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = model_server();
    write_reference(directory.path(), 20);
    drop(Driftd::start(directory.path(), upstream, SETTINGS));
    let other = rusqlite::Connection::open(directory.path().join("driftd.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    let driftd = Driftd::start(directory.path(), upstream, SETTINGS);
    assert_eq!(driftd.predict(30, "basic"), 200);
    driftd.eventually("counted", |d| d.tap()["dropped_by"]["window_error"] == 1);
    other.execute_batch("ROLLBACK").unwrap();
    driftd.eventually("recording", |d| {
        d.predict(30, "basic");
        d.tap()["captured"].as_u64() > Some(0)
    });
    drop(driftd);
    let lost = "SELECT sum(exchanges) FROM gaps WHERE reason = 'window_error'";
    let lost: i64 = database(directory.path())
        .query_row(lost, [], |row| row.get(0))
        .unwrap();
    assert!(lost >= 1);
}
