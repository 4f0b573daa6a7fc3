//! Real processes: shells that run `sleep` again whenever it ends, as a server's master does with its
//! workers.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};

use super::table::Table;
use super::*;
use crate::metrics::process::{ProcessSnapshot, Visibility};

/// A master with one worker; both are killed when it is dropped.
struct Server(Child);

impl Server {
    fn start() -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do sleep 1000; done"]);
        let server = Self(command.stdin(Stdio::null()).spawn().unwrap());
        // Its worker has become another program once it is no copy of the shell any more.
        let name = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/comm"));
        eventually(|| {
            let worker = server.workers().first().copied();
            worker.is_some_and(|pid| name(pid).is_ok_and(|name| name == "sleep\n"))
        });
        server
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    fn workers(&self) -> Vec<i32> {
        let table = Table::read();
        let root = table.get(self.pid()).unwrap().identity;
        let all = table.trees(&[root]).into_iter();
        all.map(|entry| entry.identity.pid)
            .filter(|pid| *pid != self.pid())
            .collect()
    }

    fn write_pid(&self, path: &Path) {
        writeln!(std::fs::File::create(path).unwrap(), "{}", self.pid()).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let workers = self.workers();
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        workers.into_iter().for_each(kill);
    }
}

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

#[track_caller]
fn eventually(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn restarts(snapshot: &ProcessSnapshot) -> (u64, u64) {
    (snapshot.restarts, snapshot.worker_restarts)
}

#[test]
fn replaced_workers_and_new_masters_are_counted_each_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.pid");
    let mut watch = Watch::new(Source::PidFile(path.clone()));
    assert_eq!(watch.look().visible, Visibility::NoPidFile);
    let first = Server::start();
    first.write_pid(&path);
    for _ in 0..3 {
        let seen = watch.look();
        assert_eq!((seen.visible, seen.count), (Visibility::Ok, Some(2)));
        assert_eq!(restarts(&seen), (0, 0));
    }
    for killed in 1..=2 {
        kill(first.workers()[0]);
        eventually(|| watch.look().worker_restarts == killed);
        eventually(|| watch.look().count == Some(2));
        watch.look();
    }
    let before = watch.look();
    drop(first);
    let gone = watch.look();
    assert_eq!((gone.visible, gone.count), (Visibility::NoProcess, None));
    // What was used is not taken back.
    assert_eq!(gone.cpu_seconds, before.cpu_seconds);
    assert_eq!(restarts(&gone), (0, 2));
    let second = Server::start();
    second.write_pid(&path);
    for _ in 0..3 {
        let seen = watch.look();
        assert_eq!((seen.visible, restarts(&seen)), (Visibility::Ok, (1, 2)));
        assert!(seen.start_time > before.start_time);
    }
    drop(second);
    // Between two looks.
    let third = Server::start();
    third.write_pid(&path);
    assert_eq!(restarts(&watch.look()), (2, 2));
}

#[test]
fn a_tool_that_a_server_runs_for_a_moment_is_no_worker() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.pid");
    let server = Server::start();
    server.write_pid(&path);
    let mut watch = Watch::new(Source::PidFile(path));
    watch.look();
    for _ in 0..3 {
        let before = server.workers()[0];
        kill(before);
        eventually(|| {
            server
                .workers()
                .first()
                .is_some_and(|worker| *worker != before)
        });
        // Each is seen at one look only.
        assert_eq!(watch.look().worker_restarts, 0);
    }
}

#[test]
fn a_pid_file_that_leads_nowhere_or_to_another_process_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.pid");
    let mut watch = Watch::new(Source::PidFile(path.clone()));
    for (text, visible) in [
        ("", Visibility::BadPidFile),
        ("gunicorn", Visibility::BadPidFile),
        ("-1", Visibility::BadPidFile),
        // Beyond what Linux gives (PID_MAX_LIMIT).
        ("4194305", Visibility::NoProcess),
    ] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(watch.look().visible, visible, "{text:?}");
    }
    // An id that was given again, to a process younger than the file.
    let server = Server::start();
    server.write_pid(&path);
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let written = SystemTime::now() - Duration::from_secs(3600);
    file.set_modified(written).unwrap();
    assert_eq!(watch.look().visible, Visibility::StalePidFile);
    server.write_pid(&path);
    assert_eq!(watch.look().visible, Visibility::Ok);
}

#[test]
fn who_listens_on_a_socket_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.sock");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    let _unix = UnixListener::bind(&path).unwrap();
    for source in [Source::Port(port), Source::Socket(path)] {
        let seen = Watch::new(source.clone()).look();
        assert_eq!(seen.visible, Visibility::Ok, "{source:?}");
        let status = std::fs::read_to_string("/proc/self/limits").unwrap();
        let limit = status
            .lines()
            .find(|line| line.starts_with("Max open files"))
            .unwrap();
        let soft: u64 = limit.split_whitespace().nth(3).unwrap().parse().unwrap();
        assert_eq!(seen.max_fds, Some(soft));
        assert!(seen.open_fds.unwrap() >= 5 && seen.open_fds.unwrap() < soft);
        assert!(seen.resident_bytes.unwrap() > 1 << 20);
        assert!(seen.cpu_seconds.unwrap() >= 0.0);
        // This process began a while ago, and not long ago.
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        let age = now - seen.start_time.unwrap();
        assert!((-1.0..7200.0).contains(&age), "{age}");
    }
    drop(tcp);
    let nobody = Watch::new(Source::Port(port)).look();
    assert_eq!(nobody.visible, Visibility::NotListening);
}

#[test]
fn a_cgroup_is_counted_by_the_kernel_and_its_processes_may_be_hidden() {
    let directory = tempfile::tempdir().unwrap();
    let group = directory.path().join("model.service");
    let mut watch = Watch::new(Source::Cgroup(group.clone()));
    assert_eq!(watch.look().visible, Visibility::NoCgroup);
    std::fs::create_dir_all(group.join("below")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(group.join(name), text).unwrap();
    write("cgroup.procs", "");
    assert_eq!(watch.look().visible, Visibility::NoProcess);
    let server = Server::start();
    write("cgroup.procs", &format!("{}\n", server.pid()));
    // One of another pid namespace.
    write("below/cgroup.procs", "0\n");
    write(
        "cpu.stat",
        "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\n",
    );
    write(
        "memory.stat",
        "anon 1048576\nfile 99999999\nanon_thp 7\nfile_mapped 4096\n",
    );
    let seen = watch.look();
    assert_eq!((seen.visible, seen.count), (Visibility::Ok, Some(2)));
    assert_eq!(seen.cpu_seconds, Some(1.5));
    assert_eq!(seen.resident_bytes, Some(1_048_576 + 4096));
    assert!(seen.open_fds.is_some() && seen.start_time.is_some());
    // Begun anew, and hidden: no process has such ids (PID_MAX_LIMIT), and ours are no others'.
    for (pid, counted) in [(4_999_001, 1), (4_999_002, 2)] {
        write("cgroup.procs", &format!("{pid}\n{}\n", pid + 100));
        write("cpu.stat", "usage_usec 250000\n");
        let seen = watch.look();
        assert_eq!(
            (seen.visible, restarts(&seen)),
            (Visibility::Ok, (counted, 0))
        );
        assert_eq!(seen.cpu_seconds, Some(1.5 + 0.25 * counted as f64));
        assert_eq!((seen.open_fds, seen.start_time), (None, None));
    }
    // The worker alone.
    watch.look();
    write("cgroup.procs", "4999002\n4999500\n");
    assert_eq!(restarts(&watch.look()), (2, 1));
}
