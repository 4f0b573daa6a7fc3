//! Real processes: shells that run `sleep` again whenever it ends, as a server's master does with its
//! workers.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};

use super::find::SCANS;
use super::table::{Entry, Identity};
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

/// A look at the processes there are.
fn look(watch: &mut Watch) -> ProcessSnapshot {
    watch.look(&Table::read())
}

/// A process that began `start` ticks after the machine.
fn entry(pid: i32, parent: i32, start: u64) -> Entry {
    Entry {
        identity: Identity { pid, start },
        parent,
        ticks: 0,
        pages: 1,
        ended: false,
    }
}

/// A control group of these processes that has used these microseconds.
fn write_group(group: &Path, pids: &[i32], micros: u64) {
    let pids: String = pids.iter().map(|pid| format!("{pid}\n")).collect();
    std::fs::write(group.join("cgroup.procs"), pids).unwrap();
    std::fs::write(group.join("cpu.stat"), format!("usage_usec {micros}\n")).unwrap();
}

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

#[track_caller]
fn eventually(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
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
    assert_eq!(look(&mut watch).visible, Visibility::NoPidFile);
    let first = Server::start();
    first.write_pid(&path);
    for _ in 0..3 {
        let seen = look(&mut watch);
        assert_eq!((seen.visible, seen.count), (Visibility::Ok, Some(2)));
        assert_eq!(restarts(&seen), (0, 0));
    }
    for killed in 1..=2 {
        kill(first.workers()[0]);
        eventually(|| look(&mut watch).worker_restarts == killed);
        eventually(|| look(&mut watch).count == Some(2));
        look(&mut watch);
    }
    let before = look(&mut watch);
    drop(first);
    let gone = look(&mut watch);
    assert_eq!((gone.visible, gone.count), (Visibility::NoProcess, None));
    // What was used is not taken back.
    assert_eq!(gone.cpu_seconds, before.cpu_seconds);
    assert_eq!(restarts(&gone), (0, 2));
    // Starts are told in hundredths of a second since boot, as this is.
    let uptime = || std::fs::read_to_string("/proc/uptime").unwrap();
    let ended = uptime();
    eventually(|| uptime().split(' ').next() != ended.split(' ').next());
    let second = Server::start();
    second.write_pid(&path);
    for _ in 0..3 {
        let seen = look(&mut watch);
        assert_eq!((seen.visible, restarts(&seen)), (Visibility::Ok, (1, 2)));
        assert!(seen.start_time > before.start_time);
    }
    drop(second);
    // Between two looks.
    let third = Server::start();
    third.write_pid(&path);
    assert_eq!(restarts(&look(&mut watch)), (2, 2));
}

#[test]
fn a_tool_that_a_server_runs_for_a_moment_is_no_worker() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.pid");
    let server = Server::start();
    server.write_pid(&path);
    let mut watch = Watch::new(Source::PidFile(path));
    look(&mut watch);
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
        assert_eq!(look(&mut watch).worker_restarts, 0);
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
        assert_eq!(look(&mut watch).visible, visible, "{text:?}");
    }
    // An id that was given again, to a process younger than the file.
    let server = Server::start();
    server.write_pid(&path);
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let written = SystemTime::now() - Duration::from_secs(3600);
    file.set_modified(written).unwrap();
    assert_eq!(look(&mut watch).visible, Visibility::StalePidFile);
    server.write_pid(&path);
    assert_eq!(look(&mut watch).visible, Visibility::Ok);
}

#[test]
fn who_listens_on_a_socket_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.sock");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    let _unix = UnixListener::bind(&path).unwrap();
    for source in [Source::Port(port), Source::Socket(path)] {
        let seen = look(&mut Watch::new(source.clone()));
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
    let nobody = look(&mut Watch::new(Source::Port(port)));
    assert_eq!(nobody.visible, Visibility::NotListening);
}

#[test]
fn a_cgroup_is_counted_by_the_kernel_and_its_processes_may_be_hidden() {
    let directory = tempfile::tempdir().unwrap();
    let group = directory.path().join("model.service");
    let mut watch = Watch::new(Source::Cgroup(group.clone()));
    assert_eq!(look(&mut watch).visible, Visibility::NoCgroup);
    std::fs::create_dir_all(group.join("below")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(group.join(name), text).unwrap();
    write("cgroup.procs", "");
    assert_eq!(look(&mut watch).visible, Visibility::NoProcess);
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
    let seen = look(&mut watch);
    assert_eq!((seen.visible, seen.count), (Visibility::Ok, Some(2)));
    assert_eq!(seen.cpu_seconds, Some(1.5));
    assert_eq!(seen.resident_bytes, Some(1_048_576 + 4096));
    assert!(seen.open_fds.is_some() && seen.start_time.is_some());
    // Begun anew, and hidden: no process has such ids (PID_MAX_LIMIT), and ours are no others'.
    for (pid, counted) in [(4_999_001, 1), (4_999_002, 2)] {
        write("cgroup.procs", &format!("{pid}\n{}\n", pid + 100));
        // The group goes on, and with it its figure.
        let micros = 1_500_000 + 250_000 * counted;
        write("cpu.stat", &format!("usage_usec {micros}\n"));
        let seen = look(&mut watch);
        assert_eq!(
            (seen.visible, restarts(&seen)),
            (Visibility::Ok, (counted, 0))
        );
        assert_eq!(seen.cpu_seconds, Some(1.5 + 0.25 * counted as f64));
        assert_eq!((seen.open_fds, seen.start_time), (None, None));
    }
    // The worker alone.
    look(&mut watch);
    write("cgroup.procs", "4999002\n4999500\n");
    assert_eq!(restarts(&look(&mut watch)), (2, 1));
}

#[test]
fn the_figure_of_a_cgroup_counts_once_whatever_becomes_of_its_processes() {
    let directory = tempfile::tempdir().unwrap();
    let group = directory.path();
    let table = Table::of([entry(7, 1, 50), entry(8, 1, 60)]);
    for pids in [&[0, 0][..], &[7]] {
        write_group(group, pids, 9_000_000);
        let mut watch = Watch::new(Source::Cgroup(group.to_owned()));
        for _ in 0..3 {
            let seen = watch.look(&table);
            assert_eq!(
                (seen.visible, seen.cpu_seconds),
                (Visibility::Ok, Some(0.0))
            );
        }
        // Other processes in the group that was there before, and nobody in between.
        for (pids, micros, seconds) in [
            (&[8][..], 9_500_000, 0.5),
            (&[], 9_750_000, 0.75),
            (&[7], 10_000_000, 1.0),
            // A group made anew.
            (&[8], 250_000, 1.25),
        ] {
            write_group(group, pids, micros);
            assert_eq!(watch.look(&table).cpu_seconds, Some(seconds), "{pids:?}");
        }
        assert_eq!(watch.look(&table).cpu_seconds, Some(1.25));
    }
    // One that is made only now has no past, however much it has used.
    let later = group.join("later");
    let mut watch = Watch::new(Source::Cgroup(later.clone()));
    assert_eq!(watch.look(&table).cpu_seconds, None);
    std::fs::create_dir(&later).unwrap();
    write_group(&later, &[7], 2_000_000);
    assert_eq!(watch.look(&table).cpu_seconds, Some(2.0));
}

#[test]
fn a_command_run_beside_a_server_is_no_restart_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let group = directory.path();
    let mut watch = Watch::new(Source::Cgroup(group.to_owned()));
    let mut see = |pids: &[i32]| {
        write_group(group, pids, 0);
        let start = |pid: i32| u64::try_from(pid).unwrap();
        // All were begun from outside of the group; 100 and above have 20 for a parent.
        let parent = |pid: i32| if pid < 100 { 1 } else { 20 };
        let entries = pids
            .iter()
            .map(|pid| entry(*pid, parent(*pid), start(*pid)));
        restarts(&watch.look(&Table::of(entries)))
    };
    for pids in [&[20, 100][..], &[20, 100, 31], &[20, 100], &[20, 100, 32]] {
        assert_eq!(see(pids), (0, 0), "{pids:?}");
    }
    // A probe that takes the place of the last one, and the place of a worker.
    for pids in [&[20, 100, 33][..], &[20, 34], &[20, 35], &[20, 101, 36]] {
        assert_eq!(see(pids).0, 0, "{pids:?}");
    }
    assert_eq!(see(&[20, 101]), (0, 1));
    // It begins anew while a command is run, and again, seen once each time.
    see(&[20, 101, 37]);
    assert_eq!(see(&[21, 37]).0, 1);
    assert_eq!(see(&[22, 37]).0, 1);
    assert_eq!(see(&[22, 37]).0, 1);
    assert_eq!(see(&[23]).0, 2);
    assert_eq!(see(&[24]).0, 3);
}

#[test]
fn what_processes_used_before_the_watch_began_is_not_counted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.pid");
    // This process has used some for certain once it has been busy.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(200) {
        std::hint::black_box(0);
    }
    std::fs::write(&path, std::process::id().to_string()).unwrap();
    let mut watch = Watch::new(Source::PidFile(path.clone()));
    assert_eq!(look(&mut watch).cpu_seconds, Some(0.0));
    // One that began later counts whole, also where the first look comes late.
    let mut watch = Watch::new(Source::PidFile(path.clone()));
    let server = Server::start();
    server.write_pid(&path);
    let real = *Table::read().get(server.pid()).unwrap();
    for seconds in [5, 6] {
        let ticks = seconds * procfs::ticks_per_second();
        let seen = watch.look(&Table::of([Entry { ticks, ..real }]));
        assert_eq!(seen.cpu_seconds, Some(seconds as f64));
    }
}

#[test]
fn what_a_worker_used_is_counted_once_however_late_its_parent_takes_notice() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.pid");
    std::fs::write(&path, "70").unwrap();
    let mut watch = Watch::new(Source::PidFile(path));
    let hertz = procfs::ticks_per_second();
    let at = |parent: u64, worker: Option<(u64, bool)>| {
        let master = Entry {
            ticks: parent * hertz,
            ..entry(70, 1, 10)
        };
        let worker = worker.map(|(ticks, ended)| Entry {
            ticks: ticks * hertz,
            ended,
            ..entry(71, 70, 10)
        });
        Table::of(std::iter::once(master).chain(worker))
    };
    for (table, count, seconds) in [
        (at(3, Some((40, false))), 2, 0.0),
        (at(3, Some((50, false))), 2, 10.0),
        (at(3, Some((51, true))), 1, 11.0),
        (at(4, Some((51, true))), 1, 12.0),
        // It was waited for.
        (at(4 + 51, None), 1, 12.0),
        (at(4 + 51 + 1, None), 1, 13.0),
    ] {
        let seen = watch.look(&table);
        assert_eq!((seen.count, seen.cpu_seconds), (Some(count), Some(seconds)));
    }
}

/// With a real child that ends and is waited for between looks.
#[test]
fn a_child_that_waits_to_be_noticed_keeps_its_time_and_is_no_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.pid");
    // It reads a line when it is to wait for its child.
    let script = "(i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done) & read line; wait; read line";
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::piped());
    let mut watch = Watch::new(Source::PidFile(path.clone()));
    let mut server = command.spawn().unwrap();
    let pid = i32::try_from(server.id()).unwrap();
    std::fs::write(&path, pid.to_string()).unwrap();
    let root = Table::read().get(pid).unwrap().identity;
    let ended = |table: &Table| {
        table
            .trees(&[root])
            .iter()
            .filter(|entry| entry.ended)
            .count()
    };
    eventually(|| ended(&Table::read()) == 1);
    let before = look(&mut watch);
    assert_eq!(before.count, Some(1));
    assert!(before.cpu_seconds.unwrap() > 0.0);
    let mut stdin = server.stdin.take().unwrap();
    stdin.write_all(b"\n").unwrap();
    eventually(|| ended(&Table::read()) == 0);
    let after = look(&mut watch);
    assert_eq!(after.count, Some(1));
    // The shell itself has next to nothing to do.
    let more = after.cpu_seconds.unwrap() - before.cpu_seconds.unwrap();
    assert!((0.0..=0.05).contains(&more), "{before:?} {after:?}");
    stdin.write_all(b"\n").unwrap();
    server.wait().unwrap();
}

#[test]
fn nobody_is_looked_for_again_and_again_once_a_server_is_gone() {
    // Somebody listens, and is not among the processes there are: hidden.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut watch = Watch::new(Source::Port(port));
    let before = SCANS.get();
    assert_eq!(look(&mut watch).visible, Visibility::Ok);
    let nobody = Table::default();
    for _ in 0..4 {
        assert_eq!(watch.look(&nobody).visible, Visibility::Hidden);
    }
    assert_eq!(SCANS.get() - before, 2);
}

#[test]
fn a_socket_is_found_by_any_way_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let real = directory.path().join("real");
    std::fs::create_dir(&real).unwrap();
    let link = |to: &Path, name: &str| {
        let link = directory.path().join(name);
        std::os::unix::fs::symlink(to, &link).unwrap();
        link
    };
    let _socket = UnixListener::bind(real.join("server.sock")).unwrap();
    let file = link(&real.join("server.sock"), "short");
    for path in [link(&real, "link").join("server.sock"), file] {
        let seen = look(&mut Watch::new(Source::Socket(path.clone())));
        assert_eq!(seen.visible, Visibility::Ok, "{path:?}");
    }
    // Another socket of that name.
    let other = directory.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let nobody = look(&mut Watch::new(Source::Socket(other.join("server.sock"))));
    assert_eq!(nobody.visible, Visibility::NotListening);
}

#[test]
fn a_pid_file_is_judged_once_whatever_the_clock_does() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.pid");
    let server = Server::start();
    server.write_pid(&path);
    let table = Table::read();
    let mut judged = None;
    let identity = find::by_pid_file(&path, &table, &mut judged).unwrap();
    // A clock that is set forward makes the process seem younger than its file, as this would.
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let written = SystemTime::now() - Duration::from_secs(3600);
    file.set_modified(written).unwrap();
    if let Some(judged) = &mut judged {
        judged.written = written;
    }
    let again = find::by_pid_file(&path, &table, &mut judged);
    assert_eq!(again, Ok(identity));
    assert_eq!(
        find::by_pid_file(&path, &table, &mut None),
        Err(Visibility::StalePidFile)
    );
}
