//! How traffic is taken and let go: sockets inherited and bound, lame duck, readiness, a start that
//! waits for nothing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::app::{Driftd, SETTINGS, exchange, model_server, write_reference};
use super::child::Killed;
use super::cli::driftd;
use crate::waiting::{PATIENCE, eventually, throughout};

/// A driftd in a process of its own.
struct Process {
    child: Killed,
    /// What it printed on standard output until it was ready.
    printed: Vec<String>,
}

impl Process {
    /// Starts it in `directory`, with `stdin` as its only inherited socket if there is one.
    fn start(directory: &Path, stdin: Option<OwnedFd>, arguments: &str) -> Self {
        let binary = env!("CARGO_BIN_EXE_driftd");
        let inherit = match &stdin {
            Some(_) => "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1;",
            None => "",
        };
        let mut command = Command::new("sh");
        command
            .current_dir(directory)
            .arg("-c")
            .arg(format!("{inherit} exec {binary} run {arguments}"))
            .env("LISTEN_FDNAMES", "listen")
            .stdin(stdin.map_or_else(Stdio::null, Stdio::from))
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DRIFTD_")) {
            command.env_remove(name);
        }
        let mut child = Killed(command.spawn().unwrap());
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let printed = (0..2).map(|_| lines.next().unwrap().unwrap()).collect();
        Self { child, printed }
    }

    fn admin(&self) -> SocketAddr {
        let page = self.printed[1].trim_start_matches("page   http://");
        page.trim_end_matches('/').parse().unwrap()
    }

    fn signal(&self) {
        let id = Pid::from_raw(self.child.0.id().cast_signed()).unwrap();
        kill_process(id, Signal::TERM).unwrap();
    }

    fn ended(mut self) {
        self.child.ends();
    }
}

/// One prediction on a connection of its own; what came of it.
fn predict(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(
        b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_restart_on_an_inherited_socket_loses_no_connection() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let upstream = model_server();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let arguments = format!("--upstream http://{upstream} --admin 127.0.0.1:0");
    let start = || Process::start(at, Some(listener.try_clone().unwrap().into()), &arguments);
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let more = |count: u64| {
        let wanted = answered.load(SeqCst) + count;
        eventually("more answers", || answered.load(SeqCst) >= wanted);
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    while !stop.load(SeqCst) {
                        let answer = predict(address).expect("an answer");
                        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
                        answered.fetch_add(1, SeqCst);
                    }
                })
            })
            .collect();
        let mut running = start();
        assert_eq!(running.printed[0], format!("proxy  http://{address}"));
        for _ in 0..3 {
            more(50);
            running.signal();
            running.ended();
            running = start();
        }
        more(50);
        stop.store(true, SeqCst);
        for client in clients {
            client.join().unwrap();
        }
    });
}

#[test]
fn a_unix_socket_is_served_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("driftd.sock");
    let upstream = model_server();
    let arguments = format!(
        "--upstream http://{upstream} --admin 127.0.0.1:0 --listen unix:{}",
        path.display()
    );
    let running = Process::start(directory.path(), None, &arguments);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
        )
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let status = exchange(running.admin(), "GET /api/v1/status", "");
    assert!(
        status.contains(&format!("unix:{}", path.display())),
        "{status}"
    );
    running.signal();
    running.ended();
    assert!(!path.exists());
}

#[test]
fn a_lame_duck_says_it_is_not_ready_and_still_takes_connections() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = model_server();
    let settings = "lame_duck = \"1s\"\ngrace = \"10s\"\n";
    std::fs::write(directory.path().join("driftd.toml"), settings).unwrap();
    let arguments =
        format!("--upstream http://{upstream} --admin 127.0.0.1:0 --listen 127.0.0.1:0");
    let running = Process::start(directory.path(), None, &arguments);
    let proxy: SocketAddr = (running.printed[0].trim_start_matches("proxy  http://"))
        .parse()
        .unwrap();
    let ready = || exchange(running.admin(), "GET /readyz", "");
    assert!(ready().starts_with("HTTP/1.1 200"));
    let begun = Instant::now();
    running.signal();
    while !ready().starts_with("HTTP/1.1 503") {
        assert!(begun.elapsed() < Duration::from_millis(900), "still ready");
    }
    assert!(ready().contains("draining"));
    assert!(exchange(running.admin(), "GET /livez", "").starts_with("HTTP/1.1 200"));
    while begun.elapsed() < Duration::from_millis(800) {
        assert!(predict(proxy).unwrap().starts_with("HTTP/1.1 200"));
    }
    running.ended();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert!(TcpStream::connect(proxy).is_err());
}

#[test]
fn readiness_follows_the_upstream_where_asked_to() {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), 20);
    // Nobody listens there yet.
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = held.local_addr().unwrap();
    drop(held);
    let settings = format!("ready_needs_upstream = true\n{SETTINGS}");
    let driftd = Driftd::start(directory.path(), upstream, &settings);
    let admin = driftd.addresses.admin;
    let ready = || exchange(admin, "GET /readyz", "");
    assert!(ready().starts_with("HTTP/1.1 503"));
    driftd.eventually("the reason", |_| ready().contains("cannot be reached"));
    assert!(exchange(admin, "GET /livez", "").starts_with("HTTP/1.1 200"));
    let listener = TcpListener::bind(upstream).unwrap();
    driftd.eventually("readiness", |_| ready().starts_with("HTTP/1.1 200"));
    drop(listener);
    driftd.eventually("its end", |_| ready().starts_with("HTTP/1.1 503"));
}

/// A model server is tried again without traffic once it was found to be down, and only then.
#[test]
fn an_upstream_that_failed_is_seen_to_be_back_without_a_request() {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), 20);
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = held.local_addr().unwrap();
    drop(held);
    let driftd = Driftd::start(directory.path(), upstream, SETTINGS);
    let up = || {
        let page = exchange(driftd.addresses.admin, "GET /metrics", "");
        let line = page.lines().find(|l| l.starts_with("driftd_upstream_up"))?;
        line.ends_with(" 1").then_some(true).or(Some(false))
    };
    // Longer than one round of tries.
    let tries = Duration::from_millis(1500);
    throughout(tries, "nothing is known of it", || up().is_none());
    let answer = exchange(driftd.addresses.proxy, "POST /predict", "{}");
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    driftd.eventually("that it is down", |_| up() == Some(false));
    let listener = TcpListener::bind(upstream).unwrap();
    driftd.eventually("that it is up", |_| up() == Some(true));
    // Whoever is up is not tried: the one connection is all that came.
    let (tried, _) = listener.accept().unwrap();
    drop(tried);
    listener.set_nonblocking(true).unwrap();
    throughout(tries, "nobody comes", || {
        let kind = listener.accept().map(drop).map_err(|error| error.kind());
        kind == Err(std::io::ErrorKind::WouldBlock)
    });
}

#[test]
fn traffic_passes_while_the_window_cannot_be_opened_and_is_recorded_once_it_can() {
    let directory = tempfile::tempdir().unwrap();
    write_reference(directory.path(), 20);
    let upstream = model_server();
    drop(Driftd::start(directory.path(), upstream, SETTINGS));
    let window = rusqlite::Connection::open(directory.path().join("driftd.db")).unwrap();
    window
        .pragma_update(None, "locking_mode", "EXCLUSIVE")
        .unwrap();
    window.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let begun = Instant::now();
    let driftd = Driftd::start(directory.path(), upstream, SETTINGS);
    assert_eq!(driftd.predict(30, "pro"), 200);
    // driftd tries for two seconds to get the window's lock.
    assert!(
        begun.elapsed() < Duration::from_millis(1500),
        "{:?}",
        begun.elapsed()
    );
    let ready = exchange(driftd.addresses.admin, "GET /readyz", "");
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    drop(window);
    driftd.eventually("a row", |driftd| {
        driftd.predict(31, "pro");
        driftd.tap()["captured"].as_u64().unwrap_or(0) > 0
    });
    driftd.eventually("nothing uncounted", |driftd| {
        let tap = driftd.tap();
        let count = |name: &str| tap[name].as_u64().unwrap();
        count("offered") == count("captured") + count("dropped")
    });
}

#[test]
fn settings_of_serving_that_cannot_be_used_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let settings = "upstream = \"http://127.0.0.1:1\"\nlisten_mode = \"0999\"\nlame_duck = \"30s\"\n\
                    [tls]\ncertificate = \"none.pem\"\n";
    std::fs::write(at.join("driftd.toml"), settings).unwrap();
    let output = driftd(at, &["config"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    for expected in ["listen_mode", "0660", "lame_duck", "tls.key"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let settings = "upstream = \"http://127.0.0.1:1\"\n[tls]\ncertificate = \"none.pem\"\nkey = \"none.key\"\n";
    std::fs::write(at.join("driftd.toml"), settings).unwrap();
    let output = driftd(at, &["config"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(
        said.contains("tls.certificate") && said.contains("none.pem"),
        "{said}"
    );
}
