//! A control group (version 2): its processes, and what the kernel counts of them all together, which
//! is there also where the processes themselves are hidden
//! (<https://docs.kernel.org/admin-guide/cgroup-v2.html>).

use std::path::Path;

use crate::metrics::process::Visibility;

/// Groups below the one that are looked into.
const MOST_GROUPS: usize = 256;

/// What a group's files say.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Group {
    /// Its processes and those of the groups below it; 0 stands for one of another pid namespace.
    pub(super) pids: Vec<i32>,
    /// Processor time in seconds.
    pub(super) cpu_seconds: Option<f64>,
    /// Memory of the processes in RAM, in bytes; without the page cache, which the kernel takes back.
    pub(super) resident_bytes: Option<u64>,
}

/// Reads the group at `path`.
pub(super) fn read(path: &Path) -> Result<Group, Visibility> {
    let mut pids = Vec::new();
    let mut left = vec![path.to_owned()];
    let mut seen = 0;
    while let Some(group) = left.pop() {
        let listed = std::fs::read_to_string(group.join("cgroup.procs"));
        match listed {
            Ok(listed) => pids.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok())),
            Err(_) if group == path => return Err(Visibility::NoCgroup),
            Err(_) => {}
        }
        seen += 1;
        let below = std::fs::read_dir(&group).into_iter().flatten().flatten();
        let below = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let room = MOST_GROUPS.saturating_sub(seen + left.len());
        left.extend(below.map(|entry| entry.path()).take(room));
    }
    let cpu = std::fs::read_to_string(path.join("cpu.stat")).unwrap_or_default();
    let memory = std::fs::read_to_string(path.join("memory.stat")).unwrap_or_default();
    // As a process's own figure is: its anonymous memory, and the files it has mapped.
    let (anonymous, mapped) = (figure(&memory, "anon"), figure(&memory, "file_mapped"));
    Ok(Group {
        pids,
        cpu_seconds: figure(&cpu, "usage_usec").map(|micros| micros as f64 / 1e6),
        resident_bytes: anonymous.and_then(|anonymous| Some(anonymous + mapped?)),
    })
}

/// The number behind a key in a flat keyed file.
fn figure(text: &str, key: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    line?.trim().parse().ok()
}
