//! Servers as groups of processes: started, measured through /proc, and ended.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process_group, setrlimit};

/// How long a server may take to listen, and to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// The groups that are to end with this process.
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A server: a process with all that it started, which form a group.
#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    child: Child,
    group: Pid,
}

/// Processor time, in seconds, by the name of the thread that took it.
pub(crate) type Threads = BTreeMap<String, f64>;

/// Has every server end when this process is asked to, and lets them open enough files.
pub(crate) fn end_with_us() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // A thousand connections need it; were it refused, that part would say so.
    let _ = setrlimit(Resource::Nofile, limit);
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let Ok(mut term) = signal(SignalKind::terminate()) else {
                return;
            };
            tokio::select! {
                _ = term.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            for group in GROUPS.lock().iter().flat_map(|groups| groups.iter()) {
                let _ = kill_process_group(*group, Signal::TERM);
            }
            std::process::exit(130);
        });
    });
}

/// A port nobody listens on. Another process may take it before it is used; that ends the run with
/// an error.
pub(crate) fn free_port() -> Result<SocketAddr, String> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.map_err(|error| format!("no free port: {error}"))
}

// === impl Server ===

impl Server {
    /// Starts `command` in a group of its own, its output in a file beside its configuration, and
    /// waits until it listens on `address`.
    pub(crate) fn start(
        name: &str,
        mut command: Command,
        folder: &Path,
        address: SocketAddr,
    ) -> Result<Self, String> {
        let log = folder.join(format!("{name}.log"));
        let output =
            fs::File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let errors = output.try_clone().map_err(|error| error.to_string())?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let mut server = Self::spawn(name, command)?;
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            let ended = server.child.try_wait().ok().flatten();
            if ended.is_some() || Instant::now() > deadline {
                let said = fs::read_to_string(&log).unwrap_or_default();
                return Err(format!("{name} does not listen on {address}: {said}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Starts `command` in a group of its own.
    pub(crate) fn spawn(name: &str, mut command: Command) -> Result<Self, String> {
        let child = command.process_group(0).spawn();
        let child = child.map_err(|error| format!("{name}: {error}"))?;
        let group = Pid::from_child(&child);
        if let Ok(mut groups) = GROUPS.lock() {
            groups.push(group);
        }
        Ok(Self {
            name: name.to_owned(),
            child,
            group,
        })
    }

    /// The process started first.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line the process writes to its piped standard output.
    pub(crate) fn next_line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        let output = self.child.stdout.as_mut();
        let output = output.ok_or_else(|| format!("{}: no pipe", self.name))?;
        let mut byte = [0];
        while !line.ends_with(b"\n") {
            match output.read(&mut byte) {
                Ok(1) => line.push(byte[0]),
                _ => return Err(format!("{} ended without a word", self.name)),
            }
        }
        Ok(String::from_utf8_lossy(&line).trim().to_owned())
    }

    /// Processor seconds all its live threads have taken, by the scheduler's account in
    /// nanoseconds: the ticks of `stat` are too coarse for a short turn.
    pub(crate) fn cpu(&self) -> Result<Threads, String> {
        let mut threads = Threads::new();
        for pid in self.members() {
            let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
                continue;
            };
            for task in tasks.flatten() {
                let read = |file| fs::read_to_string(task.path().join(file)).unwrap_or_default();
                let nanoseconds = read("schedstat");
                let nanoseconds = nanoseconds.split(' ').next().and_then(|n| n.parse().ok());
                let seconds: f64 = nanoseconds.unwrap_or(0.0) / 1e9;
                *threads.entry(read("comm").trim().to_owned()).or_default() += seconds;
            }
        }
        if threads.values().sum::<f64>() > 0.0 {
            return Ok(threads);
        }
        Err(format!(
            "{} has ended, or this kernel keeps no /proc/PID/task/*/schedstat",
            self.name
        ))
    }

    /// Resident memory in MB, of all its processes.
    pub(crate) fn resident(&self) -> f64 {
        self.status("VmRSS:")
    }

    /// The most that was resident of it, in MB.
    pub(crate) fn peak(&self) -> f64 {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> f64 {
        let of = |pid: u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix(field))?;
            let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
            Some(kibibytes * 1024.0 / 1e6)
        };
        self.members().into_iter().filter_map(of).sum()
    }

    /// The processes of its group.
    fn members(&self) -> Vec<u32> {
        let own = self.group.as_raw_nonzero().get();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let grouped = |pid: &u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok();
            // After the name in brackets, which may hold anything: state, parent, group.
            let group = stat.as_deref().and_then(|stat| {
                let (_, fields) = stat.rsplit_once(')')?;
                fields.split_whitespace().nth(2)?.parse::<i32>().ok()
            });
            group == Some(own)
        };
        pids.filter(grouped).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let _ = kill_process_group(self.group, Signal::TERM);
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = kill_process_group(self.group, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        if let Ok(mut groups) = GROUPS.lock() {
            groups.retain(|group| *group != self.group);
        }
    }
}

/// What passed between two looks at [`Server::cpu`], in seconds by thread.
pub(crate) fn between(before: &Threads, after: &Threads) -> Threads {
    let taken = |(name, seconds): (&String, &f64)| {
        let earlier = before.get(name).copied().unwrap_or(0.0);
        (name.clone(), (seconds - earlier).max(0.0))
    };
    after.iter().map(taken).collect()
}
