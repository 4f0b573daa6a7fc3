//! The model server's own resources, as they were last read.

/// Whether the model server's processes can be seen, and if not, why; the label `reason` of
/// `driftd_upstream_process_visible`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// They are seen.
    Ok,
    /// Nobody listens where the upstream should.
    NotListening,
    /// Somebody listens, and no process that can be seen has that socket.
    Hidden,
    /// Somebody listens, and whose files are open may not be seen.
    Permission,
    /// There is no pid file.
    NoPidFile,
    /// The pid file holds no process id.
    BadPidFile,
    /// The process of that id began after the pid file was written: it is another one.
    StalePidFile,
    /// There is no process of that id, or none in the cgroup.
    NoProcess,
    /// There is no such cgroup.
    NoCgroup,
}

/// One model server at one moment. Several processes count together; what cannot be read is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessSnapshot {
    /// Whether it can be seen.
    pub visible: Visibility,
    /// Its processes.
    pub count: Option<u64>,
    /// Processor time since driftd began to look, over restarts, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Memory in RAM, in bytes.
    pub resident_bytes: Option<u64>,
    /// Files open in the process that is closest to its limit.
    pub open_fds: Option<u64>,
    /// That limit.
    pub max_fds: Option<u64>,
    /// When its first process began, in seconds since the epoch.
    pub start_time: Option<f64>,
    /// How often the server itself began anew.
    pub restarts: u64,
    /// How often one of its workers was replaced while it went on.
    pub worker_restarts: u64,
}

// === impl Visibility ===

impl Visibility {
    /// The word used in labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotListening => "not_listening",
            Self::Hidden => "hidden",
            Self::Permission => "permission",
            Self::NoPidFile => "no_pid_file",
            Self::BadPidFile => "bad_pid_file",
            Self::StalePidFile => "stale_pid_file",
            Self::NoProcess => "no_process",
            Self::NoCgroup => "no_cgroup",
        }
    }
}
